"""Entries whose writer was stopped say what became of them; nothing else is touched."""

import h5py
import pytest
from tests.support_left import begin, entry_tree

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.tree_text import tree_lines
from nexus_writer_service.layout.writer_note import DATA, RUN_ENGINE, read_writer_note, writer_note
from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.tree import Dataset, Group, at
from nexus_writer_service.model.verdict import ChannelTally, Gap, Outcome, Verdict
from nexus_writer_service.service.conclude import conclude

TALLY = ChannelTally(ChannelName("axis:robx"), None, 7, gaps=(Gap(2, 4, "trimmed"),))
KNOWN = Verdict(Outcome.INTERRUPTED, ("stopped",), ("little room",), (TALLY,))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.h5")


def note_of(file: NexusFile, entry: str):
    return read_writer_note(file.read_text(f"/{entry}/{DATA}"))


@pytest.mark.parametrize(
    ("final", "outcome"), [(True, Outcome.INCOMPLETE), (False, Outcome.INTERRUPTED)]
)
def test_an_unfinished_entry_gets_a_verdict_with_the_reason(path, final, outcome):
    file = begin(path, e1="scan:1")
    verdicts = conclude(file, "its writer died", final=final)
    assert verdicts == {"1.1": Verdict(outcome, ("its writer died",))}
    note = note_of(file, "1.1")
    assert note is not None
    assert (note.scan, note.verdict) == ("scan:1", verdicts["1.1"])
    file.close()
    with h5py.File(path) as after:
        assert after["1.1/writer/status"].asstr()[()] == "FAILED"
        assert after["1.1/writer/description"].asstr()[()] == f"{outcome.value}: its writer died"
        assert len(after["1.1/data/x"]) == 10


def test_what_was_known_of_the_scan_is_kept(path):
    file = begin(path)
    file.merge(Group({"1.1": entry_tree("scan:1", KNOWN)}))
    (verdict,) = conclude(file, "Redis lost it", final=True).values()
    file.close()
    assert verdict.reasons == ("stopped", "Redis lost it")
    assert (verdict.warnings, verdict.channels) == (KNOWN.warnings, KNOWN.channels)


def test_where_the_scan_came_from_is_kept(path):
    file = begin(path)
    file.merge(Group({"1.1": entry_tree("run", source=RUN_ENGINE)}))
    conclude(file, "its writer died", final=True)
    note = note_of(file, "1.1")
    file.close()
    assert note is not None
    assert (note.source, note.over) == (RUN_ENGINE, True)


def test_only_entries_of_the_scan_are_concluded_if_one_is_given(path):
    file = begin(path, e1="scan:1", e2="scan:2")
    file.merge(at("/1.2", entry_tree("scan:1")))
    assert sorted(conclude(file, "over", scan=ScanKey("scan:1"), final=True)) == ["1.1", "1.2"]
    assert sorted(conclude(file, "over", final=True)) == ["2.1"]
    assert conclude(file, "over", final=True) == {}
    file.close()


@pytest.mark.nonconforming("notes of other programs")
def test_entries_of_others_and_finished_ones_are_never_touched(path):
    file = begin(path)
    finished = (Outcome.COMPLETE, Outcome.INCOMPLETE, Outcome.FAILED)
    for number, outcome in enumerate(finished):
        file.merge(Group({f"{number}.1": entry_tree("scan:1", Verdict(outcome))}))
    for number, text in enumerate(("", "{}", '{"scan": "a"}', "RUNNING", '{"outcome": "running"}')):
        file.merge(at(f"/other{number}/writer/data", Dataset(text)))
    file.merge(at("/plain/title", Dataset("of another program")))
    file.merge(at("/odd/writer", Dataset("not a group")))
    file.commit()
    before = list(tree_lines(path))
    assert conclude(file, "over", final=True) == {}
    file.close()
    assert list(tree_lines(path)) == before


def test_to_conclude_again_in_the_same_way_changes_nothing(path):
    file = begin(path, e1="scan:1")
    first = conclude(file, "its writer died", final=False)
    file.commit()
    assert conclude(file, "its writer died", final=False) == first
    assert not file.dirty
    assert conclude(file, "nobody came", final=True)["1.1"].reasons == (
        "its writer died",
        "nobody came",
    )
    file.close()


@pytest.mark.nonconforming("a group where a text belongs")
def test_a_verdict_that_the_file_does_not_take_is_an_error(path):
    file = begin(path)
    note = writer_note(ScanKey("scan:1"), Verdict(Outcome.RUNNING))
    file.merge(at("/1.1/writer/data", note.children["data"]))
    file.merge(at("/1.1/writer/status", Group()))
    with pytest.raises(FileError, match="is a group"):
        conclude(file, "over", final=True)
    file.close()
