"""Whose entry is it? What a scan finds in its file."""

import h5py
import pytest
from tests.support_clock import FakeClock
from tests.support_description import channel, line_scan

from nexus_writer_service.errors import EntryExistsError
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import ScanKey, Subscan
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.scan_file import ScanFile

pytestmark = pytest.mark.nonconforming("entries that were only begun")

CLOCK = FakeClock()


def unexpected(text):
    raise AssertionError(text)


class Case:
    """A scan of two entries, and files to save it in."""

    def __init__(self, tmp_path, key="esrf:scan:01") -> None:
        found = line_scan(channel("card:diode"), path=str(tmp_path / "data.h5"), key=ScanKey(key))
        subscans = (Subscan("axis", ("1:axis",)), Subscan("card", ("2:card",)))
        self.plan = plan(
            line_scan(channel("card:diode"), path=found.path, key=found.key, subscans=subscans),
            EsrfOptions(),
        )
        self.key = found.key
        self.files = FilePool()

    def open(self):
        return ScanFile(self.plan, self.key, self.files, CLOCK, "1.2.3")

    def write(self, outcome=Outcome.RUNNING):
        file = self.open()
        assert not file.merge(self.plan.start(CLOCK.now()), warn=unexpected)
        assert not file.merge(self.plan.verdict(Verdict(outcome)), warn=unexpected)
        file.close()


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_a_scan_that_is_new_in_its_file_finds_no_note(case):
    file = case.open()
    assert file.note is None
    file.close()


@pytest.mark.parametrize("outcome", Outcome)
def test_the_entries_of_the_same_scan_tell_how_far_an_earlier_writer_came(case, outcome):
    case.write(outcome)
    file = case.open()
    assert file.note.verdict.outcome is outcome
    assert file.note.over is outcome.final
    file.close()


def test_the_entry_of_another_scan_is_refused_and_left_alone(case, tmp_path):
    case.write()
    before = (tmp_path / "data.h5").read_bytes()
    other = Case(tmp_path, key="esrf:scan:02")
    with pytest.raises(EntryExistsError, match=r"entry /7\.1 exists already"):
        other.open()
    assert (tmp_path / "data.h5").read_bytes() == before
    with h5py.File(tmp_path / "data.h5", "a"):
        pass  # nobody holds it


@pytest.mark.parametrize("content", ["nothing", "no JSON", "a link"])
def test_an_entry_without_a_note_of_ours_is_refused(case, tmp_path, content):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        match content:
            case "nothing":
                file.create_group("7.2")
            case "no JSON":
                file["7.2/writer/data"] = "{"
            case _:
                file["7.2"] = h5py.ExternalLink("other.h5", "/7.2")
    with pytest.raises(EntryExistsError, match=r"entry /7\.2"):
        case.open()


def test_one_of_two_entries_is_enough_to_go_on(case, tmp_path):
    case.write()
    with h5py.File(tmp_path / "data.h5", "a") as file:
        del file["7.2"]
    file = case.open()
    assert not file.note.over
    file.close()


def test_one_entry_that_is_over_ends_the_scan(case, tmp_path):
    case.write(Outcome.COMPLETE)
    with h5py.File(tmp_path / "data.h5", "a") as file:
        note = file["7.1/writer/data"].asstr()[()]
        file["7.1/writer/data"][()] = note.replace("complete", "running")
    file = case.open()
    assert file.note.over
    file.close()
