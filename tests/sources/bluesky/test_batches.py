"""Events that are alike are gathered by value, and all events stay in their order."""

import pickle
import sys
import threading
from typing import Self

import numpy as np
import pytest
from tests.support_bluesky import Run

from nexus_writer_service.bluesky.queue import DocumentQueue
from nexus_writer_service.model.events import Points
from nexus_writer_service.sources.bluesky.batches import BLOCK, EVENTS, Events
from nexus_writer_service.sources.bluesky.documents import Translator

KEYS = ("a", "b")
BOTH = {"a": 1.0, "b": 2.0}


class OneStream:
    """A run with one stream of two numbers."""

    def __init__(self, **more) -> None:
        self.run = Run()
        self.descriptor = self.run.descriptor(list(KEYS), **more)

    def events(self, *data):
        return [self.run.event(self.descriptor, **one)[1] for one in data]

    def gathered(self, *data):
        """Events as they are kept."""
        events = Events.of(self.descriptor[1])
        assert events is not None
        for number, document in enumerate(self.events(*data), 1):
            assert events.add(document) == (number % BLOCK == 0)
            if number % BLOCK == 0:
                events.pack()
        return events


def queue_of(*streams):
    queue = DocumentQueue()
    for stream in streams:
        queue.put((*stream.descriptor, None))
    queue.take(0.0, 0.0)
    return queue


def numbers(events):
    """The seq_num of all events."""
    batch = events.batch()
    return [] if batch is None else [*batch.numbers]


def test_floats_are_kept_as_numbers():
    count = 2 * BLOCK + 3
    data = [{"a": number / 2, "b": -1.0 - number} for number in range(count)]
    batch = OneStream().gathered(*data).batch()
    assert [*batch.numbers] == list(range(1, count + 1))
    assert {key: column.dtype for key, column in batch.data.items()} == dict.fromkeys(KEYS, float)
    for key in KEYS:
        assert batch.data[key].tolist() == [one[key] for one in data]
        assert len(batch.stamps[key]) == count


@pytest.mark.parametrize("value", [1, True, np.float64(1.5), np.float32(1.5), "1.5", None])
def test_what_is_no_float_stays_what_it_is(value):
    batch = OneStream().gathered(*[BOTH] * BLOCK, {"a": 1.0, "b": value}).batch()
    assert batch.data["b"][-1] is value
    assert list(batch.data["a"]) == [1.0] * (BLOCK + 1)


@pytest.mark.parametrize("odd", [{"a": 1.0}, {"a": 1.0, "c": 2.0}, {**BOTH, "c": 3.0}, {}])
@pytest.mark.parametrize("first", [0, 1, BLOCK])
def test_events_with_other_keys_stay_documents_in_their_place(odd, first):
    stream = OneStream()
    queue = queue_of(stream)
    for document in stream.events(*[BOTH] * first, odd, *[BOTH] * BLOCK):
        queue.put_event(document)
    *before, (name, document, _), (_, after, _) = queue.take(0.0, 0.0)
    assert [number for _, one, _ in before for number in numbers(one)] == [*range(1, first + 1)]
    assert (name, document["data"], document["seq_num"]) == ("event", odd, first + 1)
    assert numbers(after) == [*range(first + 2, first + BLOCK + 2)]


@pytest.mark.parametrize("part", ["data", "timestamps", "seq_num"])
@pytest.mark.parametrize("first", [True, False])
def test_an_event_that_is_none_is_left_to_who_looks_closely(part, first):
    stream = OneStream()
    queue = queue_of(stream)
    good, bad, last = stream.events(BOTH, BOTH, BOTH)
    del bad[part]
    for document in [bad, last] if first else [good, bad, last]:
        queue.put_event(document)
    found = queue.take(0.0, 0.0)
    assert [name for name, *_ in found] == ([] if first else [EVENTS]) + ["event", EVENTS]
    assert found[-2][1] is bad


@pytest.mark.parametrize("number", [None, "2", 2.5, np.arange(2), [2]])
def test_an_odd_number_is_left_to_who_looks_closely(number):
    stream = OneStream()
    events = Events.of(stream.descriptor[1])
    assert events is not None
    good, bad, last = stream.events(BOTH, BOTH, BOTH)
    for document in (good, {**bad, "seq_num": number}, last):
        events.add(document)
    batch = events.batch()
    assert batch is not None
    assert batch.numbers[0] == 1
    assert batch.numbers[1] is number
    assert list(batch.data["a"]) == [1.0] * 3


def test_what_others_do_to_an_event_later_does_not_count():
    stream = OneStream()
    queue = queue_of(stream)
    documents = stream.events(BOTH, BOTH)
    for document in documents:
        queue.put_event(document)
        document["data"]["a"] = "filled"
        document["timestamps"].clear()
    ((_, events, _),) = queue.take(0.0, 0.0)
    batch = events.batch()
    assert batch.data["a"].tolist() == [1.0, 1.0]


def test_events_are_gathered_until_they_are_taken():
    stream = OneStream()
    queue = queue_of(stream)
    for document in stream.events(BOTH, BOTH):
        queue.put_event(document)
    ((name, events, _),) = queue.take(0.0, 0.0)
    assert name == EVENTS
    (document,) = stream.events(BOTH)
    queue.put_event(document)
    assert numbers(events) == [1, 2]


def test_what_is_gathered_is_not_overtaken_by_what_comes_later():
    stream = OneStream()
    queue = queue_of(stream)
    for document in stream.events(BOTH, BOTH):
        queue.put_event(document)
        queue.put(("stop", {}, None))
    assert [name for name, *_ in queue.take(0.0, 0.0)] == [EVENTS, "stop", EVENTS, "stop"]


def test_no_event_is_lost_or_told_twice_when_somebody_takes_while_it_comes():
    stream = OneStream()
    queue = queue_of(stream)
    count = 20 * BLOCK
    documents = stream.events(*[BOTH] * count)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        putting = threading.Thread(target=lambda: [queue.put_event(one) for one in documents])
        putting.start()
        found = []
        while putting.is_alive() or len(queue):
            found += queue.take(0.01, 0.0)
        putting.join()
        found += queue.take(0.0, 0.0)
    finally:
        sys.setswitchinterval(before)
    assert {name for name, *_ in found} == {EVENTS}
    told = [number for _, events, _ in found for number in numbers(events)]
    assert told == list(range(1, count + 1))


def test_an_event_that_comes_when_its_events_were_just_taken_is_put_once_more():
    stream = OneStream()
    queue = queue_of(stream)
    first, second = stream.events(BOTH, BOTH)
    queue.put_event(first)

    taken = []
    gathering = queue._gathering  # the moment cannot be met from outside
    events = gathering[stream.descriptor[1]["uid"]]

    class Meanwhile(list[object]):
        def __iadd__(self, row) -> Self:  # type: ignore[misc]
            taken.extend(queue.take(0.0, 0.0))
            return super().__iadd__(row)

    events.newest = Meanwhile(events.newest)
    queue.put_event(second)
    later = queue.take(0.0, 0.0)
    assert [numbers(one) for _, one, _ in taken] == [[1]]
    assert [numbers(one) for _, one, _ in later] == [[2]]


@pytest.mark.parametrize(("name", "items"), [("primary", 3), ("other", 2)])
def test_events_of_one_stream_stay_in_order_also_with_two_descriptors(name, items):
    one, other = OneStream(uid="one"), OneStream(uid="other", name=name)
    queue = queue_of(one, other)
    for stream in (one, other, one):
        for document in stream.events(BOTH):
            queue.put_event(document)
    assert len(queue.take(0.0, 0.0)) == items


def test_beyond_the_budget_nothing_that_was_gathered_is_lost(monkeypatch):
    monkeypatch.setattr("nexus_writer_service.bluesky.queue._TOGETHER", 3000)
    monkeypatch.setattr("nexus_writer_service.sources.bluesky.batches.BLOCK", 64)
    stream = OneStream()
    queue = DocumentQueue(budget=3000)
    queue.put((*stream.descriptor, None))
    for document in stream.events(*[BOTH] * 200):
        queue.put_event(document)
    assert queue.spilled
    found = []
    while len(queue):
        for name, document, _ in queue.take(0.0, 0.0):
            if name == EVENTS:
                found += numbers(document)
            elif name == "event":
                found.append(document["seq_num"])
    assert found == list(range(1, 201))


@pytest.mark.parametrize("keys", [("a",), KEYS, (*KEYS, "c")])
def test_events_of_other_keys_than_those_of_their_run_are_told(keys):
    stream = OneStream()
    translator = Translator()
    translator.begin(stream.run.start()[1], "/data/run.h5")
    translator.feed([stream.descriptor])
    events = Events.of({**stream.descriptor[1], "data_keys": {key: {} for key in keys}})
    assert events is not None
    for document in stream.events(dict.fromkeys(keys, 1.0)):
        events.add(document)
    events.close()
    again = pickle.loads(pickle.dumps(events))  # noqa: S301 - as when it is spilled
    told = translator.feed([(EVENTS, again)])
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
