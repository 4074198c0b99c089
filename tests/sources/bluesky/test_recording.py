"""Recordings: what was recorded is read again, in every format."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tests.support_recordings import INDEX, recorded

from nexus_writer_service.errors import DecodeError, SourceUnavailableError
from nexus_writer_service.sources.bluesky.recording import (
    Document,
    Recorder,
    is_recording,
    read_recording,
    runs_of,
)

DOCUMENTS: list[Document] = [
    ("start", {"uid": "a", "time": 1.0, "scan_id": 1}),
    ("descriptor", {"uid": "d", "run_start": "a", "name": "primary"}),
    ("event", {"descriptor": "d", "seq_num": 1, "data": {"x": 1.5}}),
    ("stop", {"uid": "s", "run_start": "a"}),
]


def record(path: Path, documents: list[Document]) -> Path:
    with Recorder(path) as recorder:
        for name, doc in documents:
            recorder(name, doc)
    return path


# Without a time in it, so that the test has the same name in every process.
_COMPRESSED = gzip.compress(b'{"name": "start", "doc": {}}\n' * 999, mtime=0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.msgpack", "a.jsonl.gz", "a.msgpack.gz"])
@pytest.mark.parametrize("recording", ["arrays_in_events", "dtype_numpy_ints", "metadata_bigint"])
def test_every_format_brings_back_the_documents(tmp_path: Path, name: str, recording: str) -> None:
    documents = list(recorded(recording, tmp_path))
    read = list(read_recording(record(tmp_path / name, documents)))
    assert repr(read) == repr(documents)


@pytest.mark.parametrize("name", ["a.jsonl", "a.msgpack"])
def test_half_a_surrogate_pair_is_kept(tmp_path: Path, name: str) -> None:
    documents = [("start", {"uid": "a", "title": "\ud800"})]
    assert list(read_recording(record(tmp_path / name, documents))) == documents


def test_every_recording_of_the_tests_is_readable(tmp_path: Path) -> None:
    for name in INDEX.keys() - {"long_1e5"}:
        documents = list(recorded(name, tmp_path))
        assert documents[0][0] == "start"
        assert documents[-1][0] == "stop"


@pytest.mark.parametrize(
    "line",
    [
        '["{name}", {doc}]\n',
        '{{"name": "{name}", "doc": {doc}}}\n',
        '\x1e{{"doc": {doc}, "name": "{name}"}}\n',
        '{{"name": "{name}", "doc": {doc}}},\n',
    ],
)
def test_lines_of_other_programs_are_understood(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.json"
    lines = [line.format(name=name, doc=json.dumps(doc)) for name, doc in DOCUMENTS]
    path.write_text("".join(["[\n", *lines, "]\n"] if line.endswith(",\n") else lines))
    assert list(read_recording(path)) == DOCUMENTS
    assert [run.start["uid"] for run in runs_of(path)] == ["a"]


def test_message_pack_of_other_programs_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "run.msgpack"
    path.write_bytes(b"".join(msgpack.packb(pair) for pair in DOCUMENTS))
    assert list(read_recording(path)) == DOCUMENTS


@pytest.mark.parametrize("name", ["a.jsonl", "a.msgpack"])
def test_a_last_document_that_was_cut_off_is_left_out(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name, DOCUMENTS)
    path.write_bytes(path.read_bytes()[:-5])
    assert list(read_recording(path)) == DOCUMENTS[:-1]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.jsonl", b'{"name": "start", "doc": {}}\nnonsense\n', "byte 29.*not JSON"),
        ("a.jsonl", b'{"name": "start"}\n', "byte 0.*no document"),
        ("a.jsonl", b'["start", 3]\n', "no document"),
        ("a.msgpack", msgpack.packb(["start", {}]) + b"\xc1", "byte 8.*not MessagePack"),
        ("a.msgpack", b"\x07", "no document"),
        ("a.jsonl.gz", _COMPRESSED[:40], "damaged"),
    ],
)
def test_damage_is_reported_with_its_place(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=what) as caught:
        list(read_recording(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match=r"none\.jsonl"):
        list(read_recording(tmp_path / "none.jsonl"))


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = record(tmp_path / "a.jsonl", DOCUMENTS)
    with pytest.raises(FileExistsError):
        Recorder(path)
    assert list(read_recording(path)) == DOCUMENTS


def renamed(documents: list[Document], tag: str) -> list[Document]:
    references = ("uid", "run_start", "descriptor", "resource", "stream_resource")

    def other(doc: dict[str, Any]) -> dict[str, Any]:
        return {key: f"{value}{tag}" if key in references else value for key, value in doc.items()}

    return [(name, other(doc)) for name, doc in documents]


@pytest.mark.parametrize("name", ["a.jsonl", "a.msgpack", "a.jsonl.gz"])
@pytest.mark.parametrize("recording", ["ad_hdf5", "oa_blob_count", "event_pages"])
def test_runs_that_were_open_at_once_are_told_apart(
    tmp_path: Path, name: str, recording: str
) -> None:
    documents = list(recorded(recording, tmp_path))
    one, two = renamed(documents, "-1"), renamed(documents, "-2")
    mixed = [document for pair in zip(one, two, strict=True) for document in pair]
    runs = runs_of(record(tmp_path / name, mixed))
    assert [run.start["uid"][-2:] for run in runs] == ["-1", "-2"]
    assert [list(run.documents()) for run in runs] == [one, two]
    assert list(runs[0].documents()) == one  # again


def test_names_tell_recordings() -> None:
    names = {"a.jsonl", "a.jsonl.gz", "b.msgpack", "c.h5", "d.gz", "notes.txt"}
    assert {name for name in names if is_recording(Path(name))} == {
        "a.jsonl",
        "a.jsonl.gz",
        "b.msgpack",
    }
