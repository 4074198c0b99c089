"""What the writer's note tells whoever finds the file after a crash."""

import pytest

from nexus_writer_service.layout.writer_note import (
    DATA,
    RUN_ENGINE,
    WriterNote,
    read_writer_note,
    writer_note,
)
from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.tree import Dataset
from nexus_writer_service.model.verdict import ChannelTally, Gap, Outcome, Verdict

KEY = ScanKey("esrf:scan:01")
ODD = "a\0b\ud800c"
VERDICT = Verdict(
    Outcome.INCOMPLETE,
    (ODD,),
    channels=(ChannelTally(ChannelName("a:b"), 9, 7, gaps=(Gap(2, 4, ODD),)),),
)


def text_of(verdict: Verdict) -> str:
    found = writer_note(KEY, verdict).children[DATA.rpartition("/")[2]]
    assert isinstance(found, Dataset)
    assert isinstance(found.value, str)
    return found.value


def test_what_is_written_is_read_back() -> None:
    assert read_writer_note(text_of(VERDICT)) == WriterNote(KEY, VERDICT)


def test_it_says_where_the_scan_came_from() -> None:
    data = writer_note(KEY, VERDICT, RUN_ENGINE).children[DATA.rpartition("/")[2]]
    assert isinstance(data, Dataset)
    assert read_writer_note(str(data.value)) == WriterNote(KEY, VERDICT, RUN_ENGINE)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_a_running_or_interrupted_scan_is_gone_on_with(outcome: Outcome) -> None:
    found = read_writer_note(text_of(Verdict(outcome)))
    assert found is not None
    assert found.over is (outcome not in (Outcome.RUNNING, Outcome.INTERRUPTED))


@pytest.mark.parametrize(
    "text", [None, "", "null", "[]", "3", "{", '{"scan": "a"}', '{"scan": "a", "outcome": "odd"}']
)
def test_the_note_of_another_program_is_not_one_of_ours(text: str | None) -> None:
    assert read_writer_note(text) is None


def test_hdf5_can_hold_the_texts() -> None:
    for node in writer_note(KEY, VERDICT).children.values():
        assert isinstance(node, Dataset)
        assert "\0" not in str(node.value)
        str(node.value).encode()


def test_it_says_where_else_the_scan_is() -> None:
    data = writer_note(KEY, VERDICT, others=["b.h5", "../c.h5"]).children["data"]
    assert isinstance(data, Dataset)
    found = read_writer_note(str(data.value))
    assert found == WriterNote(KEY, VERDICT, others=("b.h5", "../c.h5"))
