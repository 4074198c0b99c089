import pytest


@pytest.fixture
def path(tmp_path):
    """Where a history is to be."""
    return tmp_path / "state" / "history.sqlite"
