"""Documents wait in order, in memory and beyond it in a file."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nexus_writer_service.bluesky.queue import DocumentQueue
from nexus_writer_service.sources.bluesky.batches import EVENTS


@pytest.fixture
def small_blocks(monkeypatch):
    """Events are accounted for soon, so that few of them are beyond a budget."""
    monkeypatch.setattr("nexus_writer_service.sources.bluesky.batches.BLOCK", 64)


def event(number, size=100):
    return {"descriptor": "d", "data": {"x": np.zeros(size)}, "seq_num": number}


def numbers(items):
    return [document["seq_num"] for _, document, _ in items]


def taken(queue):
    found = []
    while len(queue):
        found += queue.take(0.0, 0.0)
    return found


def test_documents_come_out_in_the_order_in_which_they_went_in():
    queue = DocumentQueue()
    for number in range(20):
        queue.put(("event", event(number), None))
    assert numbers(taken(queue)) == list(range(20))
    assert queue.take(0.0, 0.0) == []


def test_beyond_the_budget_they_wait_in_a_file_in_order():
    queue = DocumentQueue(budget=5000)
    for number in range(50):
        queue.put(("event", event(number), ("facts", number)))
    assert queue.spilled > 30
    first = queue.take(0.0, 0.0)
    for number in range(50, 60):
        queue.put_event(event(number))
    found = [*first, *taken(queue)]
    assert numbers(found) == list(range(60))
    assert [facts for _, _, facts in found[:50]] == [("facts", number) for number in range(50)]
    assert queue.spilled == 0
    assert np.array_equal(found[40][1]["data"]["x"], np.zeros(100))


def test_what_cannot_wait_in_a_file_stays_in_memory_in_its_place(monkeypatch):
    queue = DocumentQueue(budget=1500)
    queue.put(("event", event(0), None))
    queue.put(("event", event(1), None))
    assert queue.spilled == 1
    queue.put(("event", {**event(2), "lock": threading.Lock()}, None))  # no pickle takes it
    queue.put(("event", event(3), None))
    assert numbers(taken(queue)) == [0, 1, 2, 3]
    queue.put(("event", event(4), None))
    assert numbers(taken(queue)) == [4]


def test_a_full_disk_for_the_file_loses_nothing(monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    queue = DocumentQueue(budget=10)
    for number in range(5):
        queue.put(("event", event(number), None))
    assert numbers(taken(queue)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["start", "stop"])
def test_an_urgent_document_is_not_gathered_with_others(name):
    queue = DocumentQueue()
    got = threading.Event()

    def take():
        if queue.take(60.0, 60.0):
            got.set()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    queue.put((name, {}, None), urgent=True)
    assert got.wait(20)
    thread.join()


@pytest.mark.parametrize("gathered", [False, True])
def test_events_of_many_threads_are_all_there(gathered):
    queue = DocumentQueue(budget=50_000)
    if gathered:
        queue.put(("descriptor", described("d"), None))
        queue.take(0.0, 0.0)

    def put(first):
        for number in range(first, first + 500):
            queue.put_event(small("d", number) if gathered else event(number))

    threads = [threading.Thread(target=put, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    found = []
    while any(thread.is_alive() for thread in threads) or len(queue):
        found += queue.take(0.05, 0.0)
    expected = [*range(500), *range(1000, 1500), *range(2000, 2500)]
    assert sorted(told(found)) == expected
    if not gathered:
        assert [number for number in told(found) if number < 500] == list(range(500))


def told(items):
    """The numbers of events, also of those that were gathered."""
    for name, document, _ in items:
        if name == EVENTS:
            yield from document.batch().numbers
        elif name == "event":
            yield document["seq_num"]


def described(uid, stream="primary") -> dict[str, Any]:
    return {"uid": uid, "run_start": "r", "name": stream, "data_keys": {"x": {}}}


def small(uid, number):
    return {"descriptor": uid, "seq_num": number, "data": {"x": 1.0}, "timestamps": {"x": 1.0}}


@pytest.mark.parametrize(
    ("rate", "budget", "pauses"),
    [(19_000, 1 << 25, 0), (50_000, 1 << 25, 2), (19_000, 100_000, 0), (50_000, 100_000, 156)],
    ids=["slow", "flood", "slow, taken", "flood, taken"],
)
@pytest.mark.usefixtures("small_blocks")
def test_who_floods_it_with_events_pauses_now_and_then(rate, budget, pauses, monkeypatch):
    now = 0.0
    slept: list[float] = []
    # Not the functions themselves: threads that other tests have left sleep, too.
    clock = SimpleNamespace(monotonic=lambda: now, sleep=slept.append)
    monkeypatch.setattr("nexus_writer_service.bluesky.queue.time", clock)
    queue = DocumentQueue(budget)
    queue.put(("descriptor", described("d"), None))
    found = []
    for number in range(20_000):
        now = number / rate
        before = len(slept)
        queue.put_event(small("d", number))
        if len(slept) > before and budget < 1 << 25:
            found += queue.take(0.0, 0.0)
    assert len(slept) == pauses
    assert not slept or max(slept) < 0.02
    assert list(told([*found, *taken(queue)])) == list(range(20_000))


@pytest.mark.usefixtures("small_blocks")
def test_events_that_wait_in_the_file_wait_there_together():
    queue = DocumentQueue(budget=100_000)
    queue.put(("descriptor", described("d"), None))
    for number in range(50_000):
        queue.put_event(small("d", number))
    assert queue.spilled < 10
    found = []
    for number in range(50_000, 50_500):  # while it is read, too
        found += queue.take(0.0, 0.0)
        queue.put_event(small("d", number))
    found += taken(queue)
    assert list(told(found)) == list(range(50_500))
    queue.put_event(small("d", 50_500))
    assert queue.spilled == 0
    assert list(told(taken(queue))) == [50_500]


@pytest.mark.parametrize("every", [1, 3, 7])
@pytest.mark.usefixtures("small_blocks")
def test_streams_that_take_turns_wait_in_the_file_in_order(every, monkeypatch):
    monkeypatch.setattr("nexus_writer_service.bluesky.queue._TOGETHER", 3000)
    queue = DocumentQueue(budget=5000)
    for uid in ("a", "b"):
        queue.put(("descriptor", described(uid, stream=uid), None))
    found: dict[str, list[int]] = {"a": [], "b": []}

    def take(items):
        for item in items:
            if item[0] == EVENTS:
                found[item[1].descriptor] += told([item])

    for number in range(2000):
        queue.put_event(small("ab"[number // every % 2], number))
        if number == 1200:
            take(queue.take(0.0, 0.0))
            take(queue.take(0.0, 0.0))
    assert queue.spilled
    take(taken(queue))
    assert found["a"] == [number for number in range(2000) if number // every % 2 == 0]
    assert found["b"] == [number for number in range(2000) if number // every % 2 == 1]


@pytest.mark.usefixtures("small_blocks")
def test_events_that_the_file_does_not_take_stay_in_memory_in_order(monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    queue = DocumentQueue(budget=5000)
    queue.put(("descriptor", described("d"), None))
    for number in range(2000):
        queue.put_event(small("d", number))
    queue.put(("stop", {"run_start": "r"}, None))
    items = taken(queue)
    assert list(told(items)) == list(range(2000))
    assert items[-1][0] == "stop"


@pytest.mark.parametrize("budget", range(4000, 7000, 100))
@pytest.mark.usefixtures("small_blocks")
def test_events_never_overtake_those_of_their_stream_that_wait_in_the_file(budget):
    queue = DocumentQueue(budget)
    for uid in ("d", "e"):
        queue.put(("descriptor", described(uid), None))
    for number in range(100):
        # Of another descriptor now and then, as of a device that is configured anew.
        queue.put_event(small("e" if number % 36 == 35 else "d", number))
    assert list(told(taken(queue))) == list(range(100))


def test_large_events_are_accounted_for_before_they_are_many():
    queue = DocumentQueue()
    queue.put(("descriptor", described("d"), None))
    images = 100
    for number in range(images):  # 50 KB each: as many as are packed at most would take 25 MB
        image = {"x": np.zeros(6250)}
        queue.put_event({"descriptor": "d", "seq_num": number, "data": image, "timestamps": image})
        assert queue._held > (number - 10) * 50_000
    assert list(told(taken(queue))) == list(range(images))
