"""An answer of Redis is a tree of many small lists, which the garbage collector never sees."""

import gc

import numpy as np
import pytest
from tests.speed.loops import loops

from nexus_writer_service.model.events import Points
from nexus_writer_service.testing.simulation import number_channel

pytestmark = pytest.mark.integration

CHANNELS, POINTS = 20, 2000


def test_the_collector_does_not_go_through_what_was_read(redis_url, tmp_path):
    looked_at = [0]

    def look(phase, _info):
        if phase == "start":
            looked_at.append(len(gc.get_objects(generation=0)))

    with loops(redis_url, tmp_path) as one:
        values = np.arange(float(POINTS))
        channels = [number_channel(f"card:c{index}", values) for index in range(CHANNELS)]
        one.session.channel_scan(channels, POINTS, counters=())
        points = 0
        gc.collect()
        gc.callbacks.append(look)
        try:
            while not one.ended:
                events = one.source.read(0.0)
                one.note(events)
                points += sum(event.count for event in events if isinstance(event, Points))
        finally:
            gc.callbacks.remove(look)
    assert points >= CHANNELS * POINTS
    # Each entry is at least two lists; an answer here is of 100 entries of each stream and more.
    assert max(looked_at) < 2 * 100 * CHANNELS
