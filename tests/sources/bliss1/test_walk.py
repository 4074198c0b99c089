"""Walks of users' programs over what BLISS 1.11 wrote."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tests.support_bliss1 import Bliss1Redis, published, recording, scans_of

from nexus_writer_service.errors import ScanNotFoundError
from nexus_writer_service.sources.bliss1.walk import DataNode, EventType, get_session_node

pytestmark = pytest.mark.integration


@pytest.fixture
def bliss1(redis_url: str) -> Iterator[Bliss1Redis]:
    database = Bliss1Redis(redis_url)
    database.clear()
    yield database
    database.clear()


def walked(url: str, kind: str) -> tuple[DataNode, list[tuple[EventType, DataNode]]]:
    """The first scan of a kind, and all that happened to it."""
    session = get_session_node("test_session", url)
    events = session.iterator.walk_on_new_events(filter="scan", from_next=False)
    scan = next(node for kind_of, node in events if kind_of is EventType.NEW_NODE)
    assert scan.db_name == scans_of(kind)[0]
    return scan, list(scan.iterator.walk_events())


def test_the_events_of_a_scan_come_in_order(bliss1: Bliss1Redis, redis_url: str) -> None:
    bliss1.write(recording("ascan"))
    scan, events = walked(redis_url, "ascan")
    kinds = [kind for kind, _ in events]
    assert Counter(kinds)[EventType.PREPARED_SCAN] == 1
    assert kinds[-1] is EventType.END_SCAN
    assert events[-1][1].db_name == scan.db_name
    new = [node.db_name for kind, node in events if kind is EventType.NEW_NODE]
    assert len(new) == len(set(new)) == 8
    assert all(name.rpartition(":")[0] in {scan.db_name, *new} for name in new)
    with_data = {node.name for kind, node in events if kind is EventType.NEW_DATA_IN_CHANNEL}
    assert with_data == set(published("ascan", scan.db_name))


def test_a_channel_gives_its_points(bliss1: Bliss1Redis, redis_url: str) -> None:
    bliss1.write(recording("ascan"))
    scan, events = walked(redis_url, "ascan")
    for node in {node.name: node for _, node in events if node.type == "channel"}.values():
        expected = published("ascan", scan.db_name)[node.name]
        np.testing.assert_array_equal(node.get(0, -1), expected)
        np.testing.assert_array_equal(node.get(2, 3), expected[2:4])
        assert len(node.get(5)) == 0


def test_points_that_are_gone_are_an_error(bliss1: Bliss1Redis, redis_url: str) -> None:
    bliss1.write(recording("ascan"))
    scan, _ = walked(redis_url, "ascan")
    bliss1.client.xtrim(f"{scan.db_name}:axis:robx_data", maxlen=2, approximate=False)
    (node,) = [one for _, one in walked(redis_url, "ascan")[1][:3] if one.name == "axis:robx"]
    with pytest.raises(ScanNotFoundError, match="points 0 to 2"):
        node.get(0)


def test_only_what_is_new_is_told_from_next_on(bliss1: Bliss1Redis, redis_url: str) -> None:
    bliss1.write(recording("loopscan"))
    session = get_session_node("test_session", redis_url)
    walk = session.walk_on_new_events(filter=["scan", "scan_group"])
    bliss1.write(recording("sequence"))
    seen = list(islice(walk, 9))
    assert Counter(kind for kind, _ in seen)[EventType.END_SCAN] == 3
    assert all("sequence" in node.db_name for _, node in seen)


def test_what_is_not_there_yet_is_waited_for(
    bliss1: Bliss1Redis, redis_url: str, tmp_path: Path
) -> None:
    session = get_session_node("test_session", redis_url)
    walk = session.walk_events(filter="scan")
    bliss1.write(recording("mca", tmp_path))
    kind, node = next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert (kind, node.name) == (EventType.NEW_NODE, "1_loopscan")
    assert node.info["filename"].startswith(str(tmp_path))
