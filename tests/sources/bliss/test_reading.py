"""One reading asks for all streams, and for no more than fits in memory."""

import pytest
from tests.support_bliss_documents import prepared_scan
from tests.support_bliss_events import entry, seal

from nexus_writer_service.sources.bliss.reading import Reading

CREATIONS = b"_SCAN_HISTORY_"


def ask(reading: Reading) -> int:
    """The limit of entries per stream."""
    return reading.request(b"0-0", data=True)[2]


def test_all_streams_are_read_from_where_each_was_left():
    reading = Reading(CREATIONS, 1 << 20)
    scan = prepared_scan("a", "b")
    reading.cover([scan])
    scan.receive({b"esrf:stream:a": [entry(0, bytes(16), 2)]})
    keys, after, _ = reading.request(b"5-0", data=True)
    asked = dict(zip(keys, after, strict=True))
    assert asked == {
        CREATIONS: b"5-0",
        b"esrf:stream:state": scan.state_id,
        b"esrf:stream:a": b"2-0",
        b"esrf:stream:b": b"0-0",
    }


def test_without_data_only_creations_and_states_are_read():
    reading = Reading(CREATIONS, 1 << 20)
    reading.cover([prepared_scan("a")])
    keys, after, _ = reading.request(b"5-0", data=False)
    assert list(keys) == [CREATIONS, b"esrf:stream:state"]
    assert len(after) == 2


def test_sealed_streams_are_read_no_more():
    reading = Reading(CREATIONS, 1 << 20)
    scan = prepared_scan("a", "b")
    scan.receive({b"esrf:stream:a": [seal(0)]})
    reading.cover([scan])
    keys, _, _ = reading.request(b"5-0", data=True)
    assert list(keys) == [CREATIONS, b"esrf:stream:state", b"esrf:stream:b"]


def test_an_answer_is_told_apart():
    reading = Reading(CREATIONS, 1 << 20)
    scan = prepared_scan("a")
    reading.cover([scan])
    created, state, data = [entry(0, b"")], [entry(1, b"")], [entry(2, b"")]
    reply = reading.sort([(CREATIONS, created), (b"esrf:stream:state", state)])
    assert (reply.created, reply.states, reply.data) == (created, {scan: state}, {})
    assert not reply.only_data
    reply = reading.sort([(b"esrf:stream:a", data)])
    assert reply.data == {scan: {b"esrf:stream:a": data}}
    assert reply.only_data


def test_a_backlog_is_read_in_larger_pieces_that_shrink_again():
    reading = Reading(CREATIONS, 1 << 30)
    reading.cover([prepared_scan("a")])
    limits = []
    for backlog in (True, True, True, True, True, False, False, False, False):
        limits.append(ask(reading))
        reply = reading.sort([(b"esrf:stream:a", [entry(0, b"")] * (limits[-1] if backlog else 1))])
        assert reply.full == backlog
    assert limits == [100, 200, 400, 800, 1000, 1000, 500, 250, 125]


@pytest.mark.parametrize("megabytes", [1, 16])
def test_large_points_are_read_a_few_at_a_time(megabytes):
    reading = Reading(CREATIONS, megabytes << 20)
    reading.cover([prepared_scan("a", "b", shape=(512, 1024))])
    assert ask(reading) == max(1, megabytes // 8 - 1)


def test_many_channels_are_read_a_few_points_at_a_time():
    reading = Reading(CREATIONS, 1 << 20)
    reading.cover([prepared_scan(*map(str, range(100)))])
    assert 10 < ask(reading) < 100
