"""Scan documents of blissdata, as small as they can be."""

import json
from typing import Any

from tests.support_bliss_events import SCAN

from nexus_writer_service.model.events import Prepared
from nexus_writer_service.sources.bliss.scan import FollowedScan, ScanState


def document(*channels: str, shape: tuple[int, ...] = (), **info: Any) -> dict[str, Any]:
    """A scan with channels ``ctl:<name>`` of float64, whose streams have their name as pk."""
    about = {"dtype": "float64", "shape": list(shape)}
    return {
        "pk": "01",
        "id": {"name": "ascan", "number": 4, "data_policy": "None", "session": "test_session"},
        "info": {
            "name": "ascan",
            "scan_nb": 4,
            "title": "ascan",
            "start_time": "2026-11-21T03:00:00+00:00",
            "filename": "/data/dataset.h5",
            "save": True,
            "scan_meta_categories": [],
            "acquisition_chain": {"timer": {"devices": []}},
            **info,
        },
        "state_stream": {"pk": "state"},
        "data_streams": {
            f"ctl:{name}": {
                "pk": name,
                "encoding": {"type": "numeric", "dtype_str": "<f8", "shape": list(shape)},
                "info": about,
            }
            for name in channels
        },
    }


def text(value: Any) -> bytes:
    """A document as Redis holds it."""
    return json.dumps(value).encode()


def states(*values: ScanState) -> list[Any]:
    """Entries of the stream of states."""
    return [[b"%d-0" % (value + 1), [b"state", b"%d" % value]] for value in values]


def prepared_scan(*channels: str, shape: tuple[int, ...] = ()) -> FollowedScan:
    """A scan that is prepared, with such channels."""
    scan = FollowedScan(SCAN, document())
    scan.receive_states(states(ScanState.CREATED, ScanState.PREPARED))
    (event,) = scan.receive_document(text(document(*channels, shape=shape)))
    assert isinstance(event, Prepared)
    return scan
