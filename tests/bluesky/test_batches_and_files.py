"""A file is what its documents say, however the writer happened to take them together."""

import json
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support_bluesky import EPOCH, Document, Run, Told
from tests.support_clock import FakeClock

from nexus_writer_service.bluesky.queue import DocumentQueue
from nexus_writer_service.layout.bluesky import BlueskyOptions, plan
from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.model.events import ScanEvent
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scan_writer import ScanWriter
from nexus_writer_service.service.status import StatusBoard
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.sources.bluesky.documents import Translator

if TYPE_CHECKING:
    from nexus_writer_service.model.tree import Group

FILES = {"external": "FILESTORE:", "dtype": "array", "shape": [2, 2]}
STREAMS: dict[str, tuple[str, dict[str, Document]]] = {
    "ab": ("primary", {"a": {}, "b": {}}),
    "ac": ("primary", {"a": {}, "c": {}}),
    "x": ("monitor", {"x": {}}),
    "image": ("cam", {"image": FILES, "n": {}}),
}
"""Descriptors: two of one stream, one of another, and one whose values are in files."""

NOTE, SUMMARY = "entry/writer/data", "entry/writer/description"

numbers = st.floats(-10, 10, width=16)
odd: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63, -(2**63), 2**70, 10**400, np.int8(1), np.float32(0.1), 1j]),
    st.sampled_from(["", "text", b"bytes", {"a": 1}, [[1], [2, 3]]]),
    st.lists(st.integers(0, 3), max_size=3),
    st.lists(numbers, min_size=2, max_size=3).map(np.array),
)
values = st.one_of(numbers, numbers, odd)
stamps = st.one_of(*[st.just(True)] * 4, st.just(False), st.none())
"""Whether a value has a time stamp; None: one that cannot be read."""


@st.composite
def events(draw: Any) -> Document:
    """Most of the documents: an event, or a page of some, without what follows from the run."""
    name = draw(st.sampled_from(["ab", "ab", "ab", *STREAMS]))
    keys = [key for key in STREAMS[name][1] if key != "image"]
    kept = [key for key in keys if draw(st.integers(0, 5))]
    if not draw(st.integers(0, 5)):
        kept.append("ghost")
    count = draw(st.sampled_from([1, 1, 1, 3])) if name != "image" else 1
    return {
        "of": name,
        "page": count > 1 or not draw(st.integers(0, 9)),
        "data": {key: [draw(values) for _ in range(count)] for key in kept},
        "stamped": {key: draw(stamps) for key in kept},
        "step": draw(st.sampled_from([1, 1, 1, 1, 0, -1, -2, 3])),
        "datum": draw(st.sampled_from(["in time", "too late", "late", "array"])),
    }


def documents(told: list[Document]) -> Iterator[Told]:
    """The run: its descriptors, its events, its end."""
    run = Run()
    described = {
        name: run.descriptor(keys, stream, uid=name) for name, (stream, keys) in STREAMS.items()
    }
    yield from described.values()
    resource = {"spec": "AD_TIFF", "root": "/nowhere", "resource_path": "x", "run_start": run.uid}
    settings = {"template": "%s%s_%3.3d.tif", "filename": "x", "frame_per_point": 1}
    yield "resource", {**resource, "uid": "r", "resource_kwargs": settings}
    newest = dict.fromkeys((stream for stream, _ in STREAMS.values()), 0)
    for index, made in enumerate(told):
        stream = STREAMS[made["of"]][0]
        count = len(next(iter(made["data"].values()), [0]))
        first = max(1, newest[stream] + made["step"])
        newest[stream] = first + count - 1
        moments = [EPOCH + index + step / 10 for step in range(count)]
        times: dict[str, Any] = {
            key: moments if made["stamped"][key] else ["no time"] * count
            for key in made["data"]
            if made["stamped"][key] is not False
        }
        event = {"uid": str(index), "descriptor": made["of"], "time": EPOCH, "filled": {}}
        datum = f"r/{index}"
        known = "datum", {"datum_id": datum, "resource": "r", "datum_kwargs": {"point_number": 1}}
        data = dict(made["data"])
        if made["of"] == "image":
            data["image"] = [np.ones((2, 2)) if made["datum"] == "array" else datum]
            if made["datum"] == "in time":
                yield known
        if made["page"]:
            seq_nums = list(range(first, first + count))
            page = {**event, "seq_num": seq_nums, "data": data, "timestamps": times}
            yield "event_page", page
        else:
            data = {key: column[0] for key, column in data.items()}
            times = {key: column[0] for key, column in times.items()}
            yield "event", {**event, "seq_num": first, "data": data, "timestamps": times}
        if made["of"] == "image" and made["datum"] in ("late", "too late"):
            yield known
    yield "stop", {"uid": "s", "run_start": run.uid, "exit_status": "success", "time": EPOCH + 9}


class Writing:
    """A run on its way into a file, without threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = FilePool(clock=FakeClock())
        self.known: Group | None = None
        around = Surroundings(
            files=self.files,
            board=StatusBoard(),
            clock=FakeClock(),
            disk=DiskWatch(ask=lambda _directory: 1 << 40),
            layout=self.layout,
            profiler=Profiler(),
            version="1.2.3",
            files_patience=0.0,
        )
        self.translator = Translator()
        begun = self.translator.begin(Run().start()[1], str(self.path))
        self.writer = ScanWriter(begun[0].scan, around, wanted=True)  # type: ignore[union-attr]
        self.take(begun)

    def layout(self, scan: ScanDescription) -> Any:
        made = plan(scan, BlueskyOptions(), self.known)
        self.known = made.tree
        return made

    def take(self, told: list[ScanEvent]) -> None:
        """What the scribe does with events that come together."""
        for event in told:
            self.writer.feed(event)
        self.writer.before_commit()
        errors = self.files.commit()
        self.writer.committed(errors.get(self.writer.files[0]) if self.writer.files else None)
        if not self.writer.over:
            self.writer.tick()


def batched(told: list[Told], cuts: list[int]) -> Iterator[list[Told]]:
    """Documents cut behind some of them."""
    places = sorted({0, len(told), *(cut % len(told) for cut in cuts)})
    return (told[first:stop] for first, stop in pairwise(places))


def in_documents(path: Path, batches: Iterator[list[Told]]) -> Path:
    writing = Writing(path)
    for batch in batches:
        writing.take(writing.translator.feed(batch))
    assert writing.writer.over
    return writing.path


def gathered(path: Path, batches: Iterator[list[Told]]) -> Path:
    writing = Writing(path)
    queue = DocumentQueue()
    for batch in batches:
        for name, document in batch:
            if name == "event":
                queue.put_event(document)
            else:
                queue.put((name, document, None))
        writing.take(writing.translator.feed([item[:2] for item in queue.take(0.0, 0.0)]))
    assert writing.writer.over
    return writing.path


def _counts(channels: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The numbers of the accounts of channels."""
    return {
        name: {key: value for key, value in account.items() if isinstance(value, int)}
        for name, account in channels.items()
    }


def content(path: Path) -> dict[str, Any]:
    """All that is in a file, as text, but for when it was written."""
    found: dict[str, Any] = {}

    def look(name: str, item: Any) -> None:
        attributes = {key: repr(value) for key, value in sorted(item.attrs.items())}
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item[()]).tolist()
            if name == NOTE:  # how the verdict is worded, and in which order, may differ
                note = json.loads(values)
                values = {"outcome": note["outcome"], "channels": _counts(note["channels"])}
            if name == SUMMARY:
                values = values.decode().partition(":")[0]
            found[name] = str(item.dtype), item.shape, repr(values), attributes
        else:
            found[name] = sorted(item), attributes

    with h5py.File(path, locking=False) as file:
        file.visititems(look)
    return {name: one for name, one in found.items() if not name.endswith(("/date", "/program"))}


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What two files have differently."""
    names = one.keys() | other.keys()
    return {
        name: (one.get(name), other.get(name))
        for name in sorted(names)
        if one.get(name) != other.get(name)
    }


def one(
    of: str = "ab", step: int = 1, *, stamped: bool = True, datum: str = "late", **data: Any
) -> Document:
    """An event of the run."""
    columns = {key: [value] for key, value in data.items()}
    times = dict.fromkeys(data, stamped)
    return {
        "of": of, "page": False, "data": columns, "stamped": times, "step": step, "datum": datum
    }  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(told=[one(a=1.0, ghost=2.0), one(a=3.0), one(a=1.0, step=-1)], cuts=[7])
@example(told=[one(a=1.0), one(a=False), one(a=2.5), one(a="text"), one(a=False)], cuts=[7, 8])
@example(told=[one(a=1), one(a=None), one(a=2.5), one("ac", a=3.0)], cuts=[7])
@example(told=[one(a=None), one(a=2.5, stamped=False), one(a=1.0), one(a=0.0)], cuts=[6])
@example(told=[one(a=[1, 2]), one(a=[3, 4, 5]), one(a=[1.5]), one(a=[1.0] * 4)], cuts=[7])
@example(told=[one(a=2**63), one(a=1), one(a=2**63)], cuts=[7])
@example(told=[one("ab", a=1, b=2), one("ac", step=0, a=3.5, c=2), one(a=1, b=2)], cuts=[])
@example(told=[one("image", n=1), one("image", n=2)], cuts=[7])
@example(told=[one("image", datum="array"), one("image", datum="in time")], cuts=[])
@example(told=[one("image", datum="in time"), one("image", datum="array")], cuts=[])
@given(told=st.lists(events(), min_size=1, max_size=9), cuts=st.lists(st.integers(0, 30)))
def test_a_file_is_what_its_documents_say(told: list[Document], cuts: list[int]) -> None:
    """Neither which of them are taken together, nor how, nor when they are committed, matters."""
    made = list(documents(told))
    ways = [
        (in_documents, list(range(len(made)))),
        (in_documents, cuts),
        (in_documents, []),
        (gathered, cuts),
        (gathered, []),
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            content(way(Path(folder) / f"{number}.h5", batched(made, places)))
            for number, (way, places) in enumerate(ways)
        ]
    assert [differences(files[0], file) for file in files[1:]] == [{}] * (len(ways) - 1)
