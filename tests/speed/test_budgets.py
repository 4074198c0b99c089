"""What the main loops take, as counts, stays within what was decided."""

import sys

import numpy as np
import pytest
from tests.speed.counting import counted
from tests.speed.measure import budgets, figures

from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.events import Sealed
from nexus_writer_service.model.tree import Group
from nexus_writer_service.sources.bliss.encodings import FixedNumbers, field_of
from nexus_writer_service.sources.bliss.streams import SEAL_ID, PointStream

SCAN, CHANNEL = ScanKey("scan"), ChannelName("card:diode")

_OTHER_PYTHON = 1.3
"""Other versions make other bytecode of the same lines."""

_HOW = (
    "A slower loop? `python -m tests.speed.measure` shows all figures; where the cost is wanted, "
    "--write makes new budgets."
)


@pytest.mark.integration
def test_the_main_loops_take_no_more_than_their_budgets(redis_url):
    allowed = 1.0 if sys.version_info[:2] == (3, 11) else _OTHER_PYTHON
    found = figures(redis_url)
    over = [
        f"{name}: {found[name]:,.1f}, budget {budget:,.1f}"
        for name, budget in budgets().items()
        if found[name] > allowed * budget
    ]
    assert not over, "\n".join([*over, _HOW])
    assert found.keys() == budgets().keys()


def entries(count):
    payload = [b"payload", bytes(8)]
    data = [[b"%d-1" % index, payload] for index in range(count)]
    return [*data, [SEAL_ID, [b"id", b"%d" % count]]]


def reading(count):
    """Instructions to decode a stream of so many entries."""
    stream = PointStream(SCAN, CHANNEL, FixedNumbers(np.dtype("f8"), ()))
    with counted() as work:
        events = stream.receive(entries(count))
    assert stream.next_id == b"%d-0" % count
    assert isinstance(events[-1], Sealed)
    return work.instructions


def test_the_same_work_counts_the_same():
    assert reading(1000) == reading(1000)


def test_a_loop_that_looks_at_each_entry_is_seen(monkeypatch):
    before = reading(1000)
    monkeypatch.setattr(PointStream, "_data", PointStream._one_by_one)
    assert reading(1000) > 10 * before


def test_one_more_step_for_each_entry_is_seen(monkeypatch):
    before = reading(1000)
    receive = PointStream.receive

    def slower(stream, entries):
        for entry in entries:
            field_of(entry, entry[1][0])
        return receive(stream, entries)

    monkeypatch.setattr(PointStream, "receive", slower)
    assert reading(1000) > 1.1 * before


def test_other_libraries_are_not_counted():
    with counted() as work:
        np.array_split(np.arange(100), 7)
        Group()
    ours = work.instructions
    with counted() as alone:
        Group()
    assert ours == alone.instructions > 0
