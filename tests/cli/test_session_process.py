import pytest
from tests.support_description import line_scan

from nexus_writer_service.cli.session_process import acceptor


@pytest.mark.parametrize(
    ("names", "data_writer", "accepted"),
    [
        (("external",), "external", True),
        (("external",), "nexus", False),
        (("external", "nexus"), "nexus", True),
        (("any",), "nexus", True),
        (("any",), "", True),
        (("external",), "", False),
    ],
)
def test_scans_are_accepted_by_the_writer_that_bliss_selected(names, data_writer, accepted):
    assert acceptor(names)(line_scan(data_writer=data_writer)) is accepted


@pytest.mark.parametrize("names", [("any",), ("null",)])
def test_scans_of_the_null_writer_have_no_file_and_are_never_saved(names):
    assert not acceptor(names)(line_scan(data_writer="null", path=None))


def test_scans_that_are_not_to_be_saved_never_are():
    assert not acceptor(("any",))(line_scan(data_writer="external", save=False))
