"""A scan's story is told in order and to its end, however reading and publishing interleave."""

import json
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_bliss import KINDS, recorded_scans
from tests.support_bliss_documents import document, prepared_scan, states, text
from tests.support_bliss_events import SCAN, HeardScan, entry, seal

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Lost,
    Prepared,
    ScanReference,
    Vanished,
)
from nexus_writer_service.sources.bliss.scan import (
    FollowedScan,
    ScanState,
    complete_reference,
    parse_document,
    session_of,
)

CREATED, PREPARED, STARTED, STOPPED, CLOSED = ScanState


class Published:
    """A scan in a Redis that exists in memory only, and what its publisher will do next."""

    def __init__(self, plan: list[Any]) -> None:
        self.plan = list(plan)
        self.streams: dict[bytes, list[Any]] = {}
        self.document: Any = None
        self.act()

    def act(self, actions: int = 1) -> None:
        for action in self.plan[:actions]:
            if isinstance(action[0], ScanState):
                state, self.document = action
                self.streams.setdefault(b"esrf:stream:state", []).extend(states(state))
            else:
                key, new = action
                self.streams.setdefault(key, []).append(new)
        del self.plan[:actions]

    def read(self, key: bytes, after: bytes, count: int) -> list[Any]:
        position = tuple(map(int, after.split(b"-")))
        entries = self.streams.get(key, [])
        later = [one for one in entries if tuple(map(int, one[0].split(b"-"))) > position]
        return later[:count]


def life(
    points: int,
    *,
    passed: tuple[ScanState, ...] = (PREPARED, STARTED, STOPPED),
    sealed: bool = True,
) -> list[Any]:
    """What the publisher of a scan with channels a and b does, one transaction after the other."""
    open_, ready = document(), document("a", "b")
    plan: list[Any] = [(CREATED, open_)]
    plan += [(PREPARED, ready)] if PREPARED in passed else []
    plan += [(STARTED, ready)] if STARTED in passed else []
    for index in range(points):
        value = np.float64(index).tobytes()
        plan += [(b"esrf:stream:a", entry(index, value)), (b"esrf:stream:b", entry(index, value))]
    if sealed:
        plan += [(b"esrf:stream:a", seal(points)), (b"esrf:stream:b", seal(points))]
    plan += [(STOPPED, ready)] if STOPPED in passed else []
    last = deepcopy(ready if PREPARED in passed else open_)
    last["info"]["end_reason"] = "SUCCESS"
    return [*plan, (CLOSED, last)]


def follow(published: Published, pauses: Iterable[int] = ()) -> HeardScan:
    """Read as a source does; pauses tell how much the publisher does between two commands."""
    heard = HeardScan()
    pause = chain(pauses, repeat(1))
    published.act(next(pause))
    scan = FollowedScan(SCAN, published.document)
    heard.add(scan.announced)
    while not scan.over:
        published.act(next(pause))
        # One command reads all streams at one moment.
        found = {key: published.read(key, one.next_id, 3) for key, one in scan.streams().items()}
        changes = published.read(scan.state_key, scan.state_id, 3)
        for event in scan.receive({key: entries for key, entries in found.items() if entries}):
            heard.add(event)
        scan.receive_states(changes)
        published.act(next(pause))
        if scan.document_due:
            for event in scan.receive_document(text(published.document)):
                heard.add(event)
    return heard


PAUSES = st.lists(st.integers(0, 20), max_size=40)


@given(PAUSES, st.integers(0, 5))
def test_any_interleaving_tells_the_whole_scan(pauses, points):
    heard = follow(Published(life(points)), pauses)
    assert isinstance(heard.end, Ended)
    assert heard.end.warnings == ()
    assert heard.end.scan.end_reason == "SUCCESS"
    for name in ("ctl:a", "ctl:b"):
        assert heard.channels[name].sealed == points
        if points:
            np.testing.assert_array_equal(heard.channels[name].values, np.arange(points))


@given(PAUSES, st.integers(0, 5))
def test_streams_without_seal_are_read_to_the_end(pauses, points):
    heard = follow(Published(life(points, sealed=False)), pauses)
    assert isinstance(heard.end, Ended)
    assert len(heard.end.warnings) == 2
    for name in ("ctl:a", "ctl:b"):
        assert heard.channels[name].sealed is None
        assert heard.channels[name].next == points


@given(PAUSES, st.integers(0, 5), st.sampled_from([(PREPARED,), (PREPARED, STARTED)]))
def test_a_scan_may_be_closed_from_any_state(pauses, points, passed):
    heard = follow(Published(life(points, passed=passed)), pauses)
    assert isinstance(heard.end, Ended)
    assert heard.channels["ctl:a"].sealed == points


def test_a_scan_that_fails_early_is_announced_and_ended():
    heard = follow(Published(life(0, passed=(), sealed=False)))
    assert [type(event) for event in heard.events] == [Announced, Ended]


def test_a_scan_is_prepared_by_its_document_alone():
    scan = FollowedScan(SCAN, document())
    scan.receive_states(states(CREATED, CLOSED))
    events = scan.receive_document(text(document("a")))
    assert [type(event) for event in events] == [Prepared]
    assert scan.draining


def test_the_document_is_due_after_states_that_change_it():
    scan = FollowedScan(SCAN, document())
    due = []
    for state in ScanState:
        scan.receive_states(states(state))
        if scan.document_due:
            due.append(state)
            scan.receive_document(text(document("a")))
    assert due == [PREPARED, CLOSED]


@pytest.mark.parametrize("state", [b"7", b"x"])
def test_an_unknown_state_changes_nothing(state):
    scan = FollowedScan(SCAN, document())
    scan.receive_states([[b"9-0", [b"state", state]], [b"9-1", [b"other", b"1"]]])
    assert scan.state is None
    assert scan.state_id == b"9-1"


def test_a_scan_whose_document_is_gone_vanishes():
    scan = FollowedScan(SCAN, document())
    scan.receive_states(states(CREATED, PREPARED))
    (event,) = scan.receive_document(None)
    assert isinstance(event, Vanished)
    assert scan.over
    assert not scan.draining


def test_a_scan_whose_channels_cannot_be_known_vanishes():
    scan = FollowedScan(SCAN, document())
    scan.receive_states(states(PREPARED))
    (event,) = scan.receive_document(b"{")
    assert isinstance(event, Vanished)
    assert "not JSON" in event.reason


def test_a_scan_whose_end_is_not_described_ends_with_a_warning():
    scan = prepared_scan("a")
    scan.receive_states(states(CLOSED))
    assert scan.receive_document(b"{") == []
    events = scan.receive({b"esrf:stream:a": [seal(0)]})
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.scan.channels.keys() == {"ctl:a"}
    (warning,) = ended.warnings
    assert "not described" in warning


def test_a_channel_that_is_added_late_is_told_at_the_end():
    scan = prepared_scan("a")
    scan.receive({b"esrf:stream:a": [seal(0)]})
    scan.receive_states(states(CLOSED))
    (ended,) = scan.receive_document(text(document("a", "late")))
    assert isinstance(ended, Ended)
    (warning,) = ended.warnings
    assert "ctl:late" in warning


def test_streams_that_cannot_be_followed_are_lost():
    broken = document("a", "b", "c", "d")
    broken["data_streams"]["ctl:b"] = {
        "pk": "b",
        "encoding": {"type": "json"},
        "info": {
            "plugin": "lima",
            "dtype": "uint16",
            "shape": [2, 3],
            "lima_info": {"protocol_version": 9},
        },
    }
    broken["data_streams"]["ctl:d"]["encoding"] = {"type": "morse"}
    del broken["data_streams"]["ctl:c"]["pk"]
    scan = FollowedScan(SCAN, document())
    scan.receive_states(states(PREPARED))
    prepared, *lost = scan.receive_document(text(broken))
    assert isinstance(prepared, Prepared)
    assert {(one.channel, one.start, one.stop) for one in lost if isinstance(one, Lost)} == {
        ("ctl:b", 0, None),
        ("ctl:c", 0, None),
    }
    assert prepared.scan.unusable.keys() == {"ctl:d"}
    assert scan.streams().keys() == {b"esrf:stream:a"}


def test_a_warning_is_told_once():
    untitled = document("a")
    del untitled["info"]["title"]
    scan = FollowedScan(SCAN, untitled)
    assert len(scan.announced.warnings) == 1
    scan.receive_states(states(PREPARED, CLOSED))
    (prepared,) = scan.receive_document(text(untitled))
    assert isinstance(prepared, Prepared)
    assert prepared.warnings == ()


@pytest.mark.parametrize("bad", [None, [], {}, {"state_stream": {}}, {"state_stream": {"pk": 7}}])
def test_a_document_without_states_is_refused(bad):
    with pytest.raises(DecodeError, match="no pk"):
        FollowedScan(SCAN, bad)


def test_text_that_is_not_json_is_refused():
    with pytest.raises(DecodeError):
        parse_document(b"\xff{")


def test_the_session_is_read_from_the_identity():
    assert session_of(document()) == "test_session"
    assert session_of({"id": {}}) is None
    assert session_of([]) is None


def test_a_reference_is_completed_by_the_scan_it_refers_to():
    reference = ScanReference(ScanKey("esrf:scan:02"), 4)
    chain: dict[str, Any] = {"a": {"devices": []}, "b": {"devices": []}}
    assert complete_reference(reference, document(acquisition_chain=chain)) == ScanReference(
        reference.key, 4, "/data/dataset.h5", ("4.1", "4.2")
    )
    assert complete_reference(reference, document(save=False)) == reference
    assert complete_reference(reference, None) == reference


@pytest.mark.parametrize("kind", KINDS)
def test_scans_that_bliss_published_are_followed(kind):
    for recorded in recorded_scans(kind):
        published = deepcopy(recorded.document)
        published["state_stream"] = {"pk": "state"}
        for pk, stream in enumerate(published["data_streams"].values()):
            stream["pk"] = str(pk)
        scan = FollowedScan(recorded.key, published)
        scan.receive_states(states(*ScanState))
        prepared, *others = scan.receive_document(json.dumps(published).encode())
        assert isinstance(prepared, Prepared)
        assert [type(event) for event in others] == ([] if recorded.lengths else [Ended])
        assert {one.channel for one in scan.streams().values()} == recorded.lengths.keys()


def test_only_streams_that_have_been_seen_can_be_missed():
    scan = prepared_scan("a", "b")
    assert scan.begun_streams() == []
    scan.receive({b"esrf:stream:a": [entry(0, bytes(16), 2)]})
    assert scan.begun_streams() == [b"esrf:stream:a"]
    (lost,) = scan.lose([b"esrf:stream:a"], "it is gone")
    assert lost == Lost(SCAN, ChannelName("ctl:a"), 2, None, "channel ctl:a: it is gone")
    assert scan.begun_streams() == []
    assert list(scan.streams()) == [b"esrf:stream:b"]
