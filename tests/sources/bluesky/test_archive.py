"""Runs out of archives, and replay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support_recordings import recorded

from nexus_writer_service.errors import DecodeError, SourceUnavailableError
from nexus_writer_service.sources.bluesky.archive import archived_runs, replay
from nexus_writer_service.sources.bluesky.recording import Document, Recorder


def run(uid: str, time: float) -> list[Document]:
    return [
        ("start", {"uid": uid, "time": time}),
        ("descriptor", {"uid": f"{uid}d", "run_start": uid}),
        ("stop", {"run_start": uid, "uid": f"{uid}s"}),
    ]


class Header:
    """Tells a run as databroker 1 does."""

    def __init__(self, documents: list[Document]) -> None:
        self.start = documents[0][1]
        self._documents = documents
        self.filled: list[Any] = []

    def documents(
        self, stream_name: object = None, fields: object = None, fill: bool = False
    ) -> Iterator[Document]:
        self.filled.append(fill)
        yield from self._documents


class BlueskyRun:
    """Tells a run as databroker 2 does."""

    def __init__(self, documents: list[Document]) -> None:
        self.metadata = {"start": documents[0][1], "stop": documents[-1][1]}
        self._documents = documents
        self.filled: list[Any] = []

    def documents(self, *, fill: str, strict_order: bool = True) -> Iterator[Document]:
        self.filled.append(fill)
        yield from self._documents


class Collector:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def receiver(self, name: str, doc: dict[str, Any]) -> None:
        self.heard.append(doc["uid"] if name == "start" else name)

    def wait_writer(self) -> None:
        self.heard.append("waited")


@pytest.mark.parametrize("kind", [Header, BlueskyRun])
def test_runs_of_databroker_are_told_with_their_data_left_outside(kind: type) -> None:
    one = kind(run("a", 1.0))
    (archived,) = archived_runs(one)
    assert archived.start["uid"] == "a"
    assert list(archived.documents()) == run("a", 1.0)
    assert one.filled == [False if kind is Header else "no"]


def test_replay_waits_for_the_writer_after_every_run() -> None:
    collector = Collector()
    replay([run("b", 2.0), run("a", 1.0)], collector.receiver)
    once = ["descriptor", "stop", "waited"]
    assert collector.heard == ["a", *once, "b", *once]


def test_replay_sorts_by_time_in_either_direction() -> None:
    runs = [Header(run("b", 2.0)), BlueskyRun(run("c", 3.0)), run("a", 1.0)]
    collector = Collector()
    replay(runs, collector.receiver)
    replay(runs, collector.receiver, sort=False)
    assert [one for one in collector.heard if len(one) == 1] == list("abccba")


def test_a_path_is_a_recording_or_a_folder_with_some(tmp_path: Path) -> None:
    for number, uid in enumerate("ab"):
        with Recorder(tmp_path / f"{uid}.jsonl") as recorder:
            for name, doc in run(uid, -float(number)):
                recorder(name, doc)
    (tmp_path / "notes.txt").write_text("nothing")
    assert [one.start["uid"] for one in archived_runs(tmp_path)] == ["a", "b"]
    assert [one.start["uid"] for one in archived_runs(str(tmp_path / "b.jsonl"))] == ["b"]
    heard: list[str] = []
    replay(tmp_path, lambda name, doc: heard.append(doc["uid"]) if name == "start" else None)
    assert heard == ["b", "a"]


def test_a_catalog_is_all_its_runs() -> None:
    catalog = {"a": Header(run("a", 1.0)), "b": BlueskyRun(run("b", 2.0))}
    assert [one.start["uid"] for one in archived_runs(catalog)] == ["a", "b"]


def test_a_list_of_documents_is_a_run(tmp_path: Path) -> None:
    documents = list(recorded("sim_scan", tmp_path))
    (archived,) = archived_runs(documents)
    assert list(archived.documents()) == documents


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="int is no run"):
        archived_runs([3])
    with pytest.raises(SourceUnavailableError, match="nowhere"):
        archived_runs(tmp_path / "nowhere")
    with pytest.raises(DecodeError, match="begins with its start document"):
        archived_runs(run("a", 1.0)[1:])
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(DecodeError, match="no start document"):
        archived_runs(empty)


def test_an_error_while_reading_names_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"name": "start", "doc": {"uid": "a7"}}\nnonsense\n')
    with pytest.raises(DecodeError, match="not JSON") as caught:
        replay(path, lambda name, doc: None)
    assert any("a7" in note for note in caught.value.__notes__)
