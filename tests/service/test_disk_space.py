import threading

import pytest

from nexus_writer_service.errors import DiskSpaceError
from nexus_writer_service.service.disk_space import MEGABYTE, DiskWatch, free_bytes


@pytest.fixture
def watch_with():
    watches = []

    def make(free, **options):
        watch = DiskWatch(ask=lambda _directory: free, **options)
        watches.append(watch)
        return watch

    yield make
    for watch in watches:
        watch.stop()


def test_enough_room_is_no_reason_to_say_anything(watch_with):
    assert watch_with(5000 * MEGABYTE).check("/data/file.h5") == ""


def test_less_than_recommended_is_a_warning(watch_with):
    assert watch_with(500 * MEGABYTE).check("/data/file.h5") == (
        "Free disk space below 1024 MB in /data"
    )


def test_less_than_required_is_an_error(watch_with):
    with pytest.raises(DiskSpaceError, match="below 200 MB in /data"):
        watch_with(100 * MEGABYTE).check("/data/file.h5")


def test_zero_switches_a_check_off(watch_with):
    assert watch_with(0, required=0, recommended=0).check("/data/file.h5") == ""


def test_a_disk_that_does_not_answer_holds_nobody_up():
    stalled = threading.Event()
    watch = DiskWatch(ask=lambda _directory: stalled.wait(60) or 0)
    try:
        assert watch.check("/data/file.h5") == ""
    finally:
        stalled.set()
        watch.stop()


def test_a_disk_that_refuses_to_answer_counts_as_enough(watch_with):
    def refuse(_directory):
        raise OSError(5, "Input/output error")

    watch = DiskWatch(ask=refuse)
    assert watch.check("/data/file.h5") == ""
    watch.stop()


def test_free_space_of_a_missing_directory_is_that_of_its_parent(tmp_path):
    missing = tmp_path / "not" / "there"
    assert free_bytes(str(missing)) > 0
