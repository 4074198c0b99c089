"""Runs for the benchmark of Bluesky writers: made document by document, so they cost no memory."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Document = tuple[str, dict[str, Any]]

SIGNALS = 10
FRAMES = 100
FRAME = (1024, 1024)
"""Of images, uint16: 2 MiB each."""


def value(number: int, signal: int) -> float:
    """What a signal has in event ``number``, from 1."""
    return number * 0.5 + signal


def scalars(events: int, rate: float = 0.0) -> Iterator[Document]:
    """A run with ten numbers per event.

    Args:
        events: how many.
        rate: of them, per second; 0: as fast as possible.
    """
    keys = [f"s{signal}" for signal in range(SIGNALS)]
    yield "start", _start(["s1"], ["s0"], events)
    number_key = {"source": "SIM:x", "dtype": "number", "shape": []}
    yield "descriptor", _descriptor({key: dict(number_key) for key in keys})
    for number in _paced(events, rate):
        data = {key: value(number, signal) for signal, key in enumerate(keys)}
        yield "event", _event(number, data)
    yield "stop", _stop(events)


def images(folder: Path, rate: float = 0.0) -> Iterator[Document]:
    """A run whose images an area detector has saved in ``images.h5`` of a folder.

    Args:
        folder: with the images.
        rate: of them, per second; 0: as fast as possible.
    """
    resource = str(uuid.UUID(int=4))
    shape = [1, *FRAME]
    described = {"source": "SIM:cam", "dtype": "array", "shape": shape, "external": "FILESTORE:"}
    yield "start", _start(["cam"], [], FRAMES)
    yield "descriptor", _descriptor({"cam": described})
    yield (
        "resource",
        {
            "uid": resource,
            "run_start": str(uuid.UUID(int=1)),
            "spec": "AD_HDF5",
            "root": str(folder),
            "resource_path": "images.h5",
            "resource_kwargs": {"frame_per_point": 1},
            "path_semantics": "posix",
        },
    )
    for number in _paced(FRAMES, rate):
        datum = f"{resource}/{number - 1}"
        kwargs = {"point_number": number - 1}
        yield "datum", {"datum_id": datum, "resource": resource, "datum_kwargs": kwargs}
        yield "event", _event(number, {"cam": datum}, {"cam": False})
    yield "stop", _stop(FRAMES)


def _paced(count: int, rate: float) -> Iterator[int]:
    """Numbers from 1 on, so many per second; 0: as fast as possible."""
    begun = time.perf_counter()
    for number in range(1, count + 1):
        if rate and (early := begun + number / rate - time.perf_counter()) > 1e-3:
            time.sleep(early)
        yield number


def _start(detectors: list[str], motors: list[str], points: int) -> dict[str, Any]:
    return {
        "uid": str(uuid.UUID(int=1)),
        "time": 1.7e9,
        "scan_id": 1,
        "plan_name": "bench",
        "num_points": points,  # as plans of bluesky tell it
        "detectors": detectors,
        "motors": motors,
    }


def _descriptor(data_keys: dict[str, Any]) -> dict[str, Any]:
    return {
        "uid": str(uuid.UUID(int=2)),
        "run_start": str(uuid.UUID(int=1)),
        "time": 1.7e9,
        "name": "primary",
        "data_keys": data_keys,
        "object_keys": {key: [key] for key in data_keys},
        "hints": {key: {"fields": [key]} for key in data_keys},
        "configuration": {},
    }


def _event(
    number: int, data: dict[str, Any], filled: dict[str, bool] | None = None
) -> dict[str, Any]:
    now = 1.7e9 + number
    return {
        "uid": str(number),
        "descriptor": str(uuid.UUID(int=2)),
        "time": now,
        "seq_num": number,
        "data": data,
        "timestamps": dict.fromkeys(data, now),
        "filled": filled or {},
    }


def _stop(events: int) -> dict[str, Any]:
    return {
        "uid": str(uuid.UUID(int=3)),
        "run_start": str(uuid.UUID(int=1)),
        "time": 1.7e9 + events + 1,
        "exit_status": "success",
        "reason": "",
        "num_events": {"primary": events},
    }
