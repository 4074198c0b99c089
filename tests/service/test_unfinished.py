"""What earlier writers did not finish is finished, unless somebody else is at it."""

from concurrent.futures import Future
from datetime import UTC, datetime

import h5py
import pytest
from tests.support_clock import FakeClock

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.layout.writer_note import DATA, NOTE, read_writer_note, writer_note
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.tree import at
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.past_scan import PastScan
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.status import ScanStatus, StatusBoard
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.service.unfinished import Unfinished

KEY = ScanKey("esrf:scan:1")
RUNNING = Verdict(Outcome.RUNNING)
# The files hold nothing but notes.
pytestmark = pytest.mark.nonconforming("entries without anything but a note")


class Office:
    """Unfinished scans, and what is recorded of them."""

    def __init__(self, tmp_path) -> None:
        self.path = tmp_path / "data.h5"
        self.recorded: list[ScanStatus] = []
        self.roots: tuple[str, ...] = ()

    def unfinished(self, *entries, file=True):
        disk = DiskWatch(required=0, recommended=0)
        self.files = FilePool(self.roots)
        around = Surroundings(
            files=self.files,
            board=StatusBoard(),
            clock=FakeClock(),
            disk=disk,
            layout=lambda scan: plan(scan, EsrfOptions()),
            profiler=Profiler(),
            version="1.2.3",
            record=self.recorded.append,
        )
        path = str(self.path) if file else None
        noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
        scan = PastScan(KEY, "1_ascan", "s", path, entries, noon, None, ScanState.ON, RUNNING, ())
        return Unfinished([scan], around, self._at_once)

    def _at_once(self, function):
        future: Future[None] = Future()
        future.set_result(function())
        return future

    @property
    def verdict(self) -> Verdict:
        (status,) = self.recorded
        assert status.verdict is not None
        assert status.ended is not None
        return status.verdict

    def write(
        self, entry: str, verdict: Verdict, key: ScanKey = KEY, *others: str, name: str = "data.h5"
    ) -> None:
        file = NexusFile.open(str(self.path.with_name(name)))
        file.merge(at(f"/{entry}/{NOTE}", writer_note(key, verdict, others=others)))
        file.close()

    def in_file(self, entry: str, name: str = "data.h5") -> Verdict:
        file = NexusFile.open(str(self.path.with_name(name)))
        note = read_writer_note(file.read_text(f"/{entry}/{DATA}"))
        file.close()
        assert note is not None
        return note.verdict


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


def test_a_scan_that_nobody_goes_on_with_is_incomplete_in_file_and_history(office):
    office.write("1.1", RUNNING)
    office.write("2.1", RUNNING, ScanKey("esrf:scan:2"))
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.verdict.outcome is Outcome.INCOMPLETE
    assert office.verdict.reasons == ("the writer was away and meanwhile it is gone",)
    assert office.recorded[0].state is ScanState.FAULT
    assert office.in_file("1.1") == office.verdict
    assert office.in_file("2.1") == RUNNING


def test_a_scan_that_was_finished_just_before_its_writer_died_stays_what_it_is(office):
    office.write("1.1", Verdict(Outcome.COMPLETE))
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.verdict == Verdict(Outcome.COMPLETE)
    assert office.recorded[0].state is ScanState.OFF


def test_an_entry_of_another_scan_says_nothing(office):
    office.write("1.1", Verdict(Outcome.COMPLETE), ScanKey("esrf:scan:other"))
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.verdict.outcome is Outcome.INCOMPLETE
    assert office.in_file("1.1") == Verdict(Outcome.COMPLETE)


@pytest.mark.parametrize("file", [True, False])
def test_a_scan_without_a_file_is_concluded_in_the_history_alone(office, file):
    office.unfinished("1.1", file=file).conclude(KEY, "it is gone")
    assert office.verdict.outcome is Outcome.INCOMPLETE
    assert not office.path.exists()


def test_a_file_that_cannot_be_read_is_a_reason_more(office):
    office.path.write_bytes(b"no HDF5" * 1000)
    unfinished = office.unfinished("1.1")
    unfinished.recover()
    unfinished.conclude(KEY, "it is gone")
    assert office.verdict.outcome is Outcome.INCOMPLETE
    assert len(office.verdict.reasons) == 2
    assert str(office.path) in office.verdict.reasons[1]
    assert office.path.read_bytes() == b"no HDF5" * 1000


def test_a_file_that_another_writer_has_is_left_to_it(office, caplog):
    office.write("1.1", RUNNING)
    file = NexusFile.open(str(office.path))
    unfinished = office.unfinished("1.1")
    unfinished.recover()
    assert "is left as it is" in caplog.text
    unfinished.conclude(KEY, "it is gone")
    file.close()
    assert office.recorded == []
    assert "scan 1_ascan is left as it is" in caplog.text
    assert office.in_file("1.1") == RUNNING


def test_a_file_that_this_writer_may_not_use_is_left_alone(office, tmp_path):
    office.write("1.1", RUNNING)
    office.roots = (str(tmp_path / "elsewhere"),)
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.recorded == []
    assert office.in_file("1.1") == RUNNING


def test_the_history_is_told_what_the_file_says_also_while_another_scan_is_in_it(office):
    office.write("1.1", RUNNING)
    unfinished = office.unfinished("1.1")
    file = office.files.acquire(str(office.path))
    unfinished.conclude(KEY, "it is gone")
    with h5py.File(office.path, "r", locking=False) as shown:
        note = read_writer_note(shown[f"1.1/{DATA}"].asstr()[()])
    office.files.release(file)
    assert note is not None
    assert note.verdict == office.verdict


def test_scans_that_nobody_left_are_none_of_its_business(office):
    unfinished = office.unfinished("1.1")
    assert unfinished.keys == {KEY}
    unfinished.conclude(ScanKey("esrf:scan:other"), "it is gone")
    assert office.recorded == []


# ----------------------------------------------------------------------------- several files


def test_all_files_of_a_scan_are_concluded_and_only_where_they_are_of_it(office):
    office.write("1.1", RUNNING, KEY, "b.h5", "c.h5", "gone.h5")
    office.write("x", RUNNING, name="b.h5")
    office.write("1.1", RUNNING, ScanKey("esrf:scan:2"), name="c.h5")
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.verdict.outcome is Outcome.INCOMPLETE
    assert office.in_file("1.1") == office.verdict
    assert office.in_file("x", "b.h5") == office.verdict
    assert office.in_file("1.1", "c.h5") == RUNNING
    assert not office.path.with_name("gone.h5").exists()


def test_a_scan_is_incomplete_when_one_of_its_files_is(office):
    office.write("1.1", Verdict(Outcome.COMPLETE), KEY, "b.h5")
    office.write("1.1", RUNNING, name="b.h5")
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.verdict.outcome is Outcome.INCOMPLETE
    assert office.in_file("1.1", "b.h5") == office.verdict


def test_a_second_file_that_cannot_be_read_costs_the_first_nothing(office, caplog):
    office.write("1.1", RUNNING, KEY, "b.h5")
    office.path.with_name("b.h5").write_bytes(b"no HDF5" * 1000)
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.in_file("1.1") == office.verdict
    assert "b.h5 is left as it is" in caplog.text


def test_a_scan_of_which_another_writer_has_one_file_is_left_for_later(office):
    office.write("1.1", RUNNING, KEY, "b.h5")
    office.write("1.1", RUNNING, name="b.h5")
    file = NexusFile.open(str(office.path.with_name("b.h5")))
    office.unfinished("1.1").conclude(KEY, "it is gone")
    file.close()
    assert office.recorded == []
    office.unfinished("1.1").conclude(KEY, "it is gone")
    assert office.in_file("1.1", "b.h5") == office.verdict
