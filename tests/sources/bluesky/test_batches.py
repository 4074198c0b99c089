"""Events that are gathered by value are told as those that are looked at one by one."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support_bluesky import Run

from nexus_writer_service.bluesky.queue import DocumentQueue
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.events import Extended, Lost, Points
from nexus_writer_service.sources.bluesky.batches import EVENTS, Events
from nexus_writer_service.sources.bluesky.documents import Translator

KEYS = ("a", "b")
floats = st.floats(width=64)
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=3),
    st.lists(floats, max_size=3),
    st.floats(width=32).map(np.float32),
    floats.map(lambda one: np.array([one])),
)
values = st.one_of(floats, floats, floats, odd)
data = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(KEYS, floats)),
    st.fixed_dictionaries(dict.fromkeys(KEYS, values)),
)
"""All keys: what a column becomes does depend on which events are taken together."""
numbers = st.one_of(st.just(0), st.just(0), st.integers(-2, 2))
"""How far a seq_num is from the one that is expected."""
stamped = st.just(True)
batches = st.lists(
    st.lists(st.tuples(data, numbers, stamped), min_size=1, max_size=6), min_size=1, max_size=4
)


def documents(run, told):
    """The events of a run in batches."""
    number = 0
    for batch in told:
        made = []
        for row, off, stamps in batch:
            number = max(1, number + 1 + off)
            document = {
                "uid": f"e{number}",
                "descriptor": run.uid_of_descriptor,
                "seq_num": number,
                "data": row,
                "timestamps": dict.fromkeys(row, 1.7e9 + number) if stamps else {},
            }
            made.append(document)
        yield made


class OneStream:
    """A run with one stream of two numbers."""

    def __init__(self) -> None:
        self.run = Run()
        self.descriptor = self.run.descriptor(list(KEYS))
        self.uid_of_descriptor = self.descriptor[1]["uid"]

    def begun(self):
        translator = Translator()
        translator.begin(self.run.start()[1], "/data/run.h5")
        return translator, translator.feed([self.descriptor])


def columns(events):
    """Of each channel its type, its values by row as text, and its rows without any."""
    channels = next(one.scan.channels for one in reversed(events) if isinstance(one, Extended))
    found: dict[ChannelName, tuple[Any, dict[int, str], set[int]]]
    found = {name: ((one.dtype, one.shape), {}, set()) for name, one in channels.items()}
    for event in events:
        if isinstance(event, Points):
            (dtype, _), rows, lost = found[event.channel]
            points = [value for batch in event.batches for value in batch]
            for row, value in enumerate(points, event.start):
                rows[row] = str(np.asarray(value).astype(dtype).tolist())
                if event.again:
                    lost.discard(row)
        elif isinstance(event, Lost) and event.channel in found:
            assert event.stop is not None
            found[event.channel][2].update(range(event.start, event.stop))
    for _, rows, lost in found.values():
        for row in lost:  # fill, now or at the end
            rows.pop(row, None)
    return found


def in_documents(stream, batched):
    translator, told = stream.begun()
    for batch in batched:
        told += translator.feed([("event", document) for document in batch])
    return told, translator


def gathered(stream, batched):
    translator, told = stream.begun()
    queue = DocumentQueue()
    queue.put((*stream.descriptor, None))
    queue.take(0.0, 0.0)
    for batch in batched:
        for document in batch:
            queue.put_event(document)
        told += translator.feed([item[:2] for item in queue.take(0.0, 0.0)])
    return told, translator


@given(told=batches)
@example(told=[[({"a": 1.0, "b": 2.0}, 0, True)], [({"a": 1.0, "b": 2**70}, 0, True)]])
@example(told=[[({"a": 1.0, "b": 2.0}, 0, True)], [({"a": True, "b": "x"}, 0, True)]])
@example(told=[[({"a": 1, "b": 2.0}, 0, True)] * 3, [({"a": math.inf, "b": 2}, -1, True)] * 3])
@example(told=[[({"a": 1.0, "b": 2.0, "ghost": 1}, 0, True), ({"a": 1.0, "b": 2.0}, 0, True)]])
def test_columns_do_not_depend_on_how_events_are_gathered(told):
    stream = OneStream()
    ends = []
    for way in (in_documents, gathered):
        events, translator = way(stream, documents(stream, told))
        stop = {"uid": "s", "run_start": stream.run.uid, "exit_status": "success"}
        ends.append(columns(events + translator.feed([("stop", stop)])))
    assert ends[0] == ends[1]


def test_alike_events_are_gathered_and_odd_ones_stay_in_their_place():
    stream = OneStream()
    queue = DocumentQueue()
    queue.put((*stream.descriptor, None))
    good = ({"a": 1.0, "b": 2.0}, 0, True)
    (made,) = documents(stream, [[good, good, ({"a": 1.0}, 0, True), good]])
    for document in made:
        queue.put_event(document)
    _, first, odd_one, last = queue.take(0.0, 0.0)
    assert (first[0], odd_one[0], last[0]) == (EVENTS, "event", EVENTS)
    assert (first[1].numbers, last[1].numbers) == ([1, 2], [4])
    queue.put_event(made[0])
    assert last[1].numbers == [4]  # what was taken grows no more


def test_what_is_gathered_is_not_overtaken_by_what_comes_later():
    stream = OneStream()
    queue = DocumentQueue()
    queue.put((*stream.descriptor, None))
    (made,) = documents(stream, [[({"a": 1.0, "b": 2.0}, 0, True)] * 2])
    queue.put_event(made[0])
    queue.put(("stop", {}, None))
    queue.put_event(made[1])
    assert [name for name, *_ in queue.take(0.0, 0.0)] == ["descriptor", EVENTS, "stop", EVENTS]


def test_beyond_the_budget_nothing_that_was_gathered_is_lost():
    stream = OneStream()
    queue = DocumentQueue(budget=1000)
    queue.put((*stream.descriptor, None))
    (made,) = documents(stream, [[({"a": 1.0, "b": 2.0}, 0, True)] * 50])
    for document in made:
        queue.put_event(document)
    assert queue.spilled
    found = []
    while len(queue):
        for name, document, _ in queue.take(0.0, 0.0):
            if name == EVENTS:
                found += document.numbers
            elif name == "event":
                found.append(document["seq_num"])
    assert found == list(range(1, 51))


@pytest.mark.parametrize("keys", [("a",), KEYS])
def test_events_of_other_keys_than_those_of_their_run_are_looked_at_one_by_one(keys):
    stream = OneStream()
    translator, told = stream.begun()
    events = Events.of({**stream.descriptor[1], "data_keys": {key: {} for key in keys}})
    document = {"data": dict.fromkeys(keys, 1.0), "timestamps": dict.fromkeys(keys, 2.0)}
    assert events is not None
    assert events.take({**document, "seq_num": 1})
    again = pickle.loads(pickle.dumps(events))  # noqa: S301 - as when it is spilled
    told += translator.feed([(EVENTS, again)])
    assert {one.channel for one in told if isinstance(one, Points)} == {
        f"primary/{key}{part}" for key in keys for part in ("", "@EPOCH", "@time")
    }


def test_events_of_external_values_are_not_gathered():
    descriptor = OneStream().descriptor[1]
    described = {"a": {"external": "FILESTORE:"}, "b": {}}
    assert Events.of({**descriptor, "data_keys": described}) is None
    assert Events.of({**descriptor, "data_keys": {}}) is None
    described = {"a": {"external": "STREAM:"}, "b": {}}
    events = Events.of({**descriptor, "data_keys": described})
    assert events is not None
    assert events.keys == ("b",)
