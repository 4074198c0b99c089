from collections.abc import Iterator

import pytest

from nexus_writer_service.sources.bliss.session import BlissSource


@pytest.fixture
def source(redis_url: str) -> Iterator[BlissSource]:
    with BlissSource(redis_url, "test_session") as source:
        source.connect()
        yield source
