"""Recorded runs of Bluesky (``tests/data/bluesky``), and documents made for tests."""

import gzip
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from nexus_writer_service.sources.bluesky.recording import Document, read_recording

DATA = Path(__file__).parent / "data" / "bluesky"
INDEX: dict[str, dict[str, Any]] = json.loads((DATA / "recordings.json").read_text())
"""What each recording is about, and what the reference made of it: sound, raises or wrong."""

ASSETS = "${ASSETS}"
"""Stands in the documents for the folder with the detectors' files."""
LONG_RUN = 100_000


def unpack_assets(folder: Path) -> None:
    """Put the files of detectors, to which the recordings refer, into a folder."""
    for packed in (DATA / "assets").glob("*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))


def recorded(name: str, assets: Path) -> Iterator[Document]:
    """The documents of a recording."""
    if name == "long_1e5":
        yield from long_run()
        return
    (path,) = (DATA / "recordings").glob(f"{name}.jsonl*")
    for kind, doc in read_recording(path):
        yield kind, {key: placed(value, assets) for key, value in doc.items()}


def placed(value: Any, assets: Path) -> Any:
    """A value of a document that may name the folder with the detectors' files."""
    if not isinstance(value, str):
        return value
    uri = f"file://localhost{ASSETS}"
    return value.replace(uri, f"file://localhost{quote(str(assets))}").replace(ASSETS, str(assets))


def long_run(events: int = LONG_RUN, *, per_page: int = 0) -> Iterator[Document]:
    """One run with three signals; ``motor`` counts from zero, the others are random.

    Args:
        events: how many.
        per_page: that many in one event_page; 0: each in an event document.
    """
    run, descriptor = "bbbc92d4-30ef-458f-88db-582df4a81b46", "1c837769-ebd2-4467-894e-c313c99ab02c"
    keys = ("det", "motor", "temp")
    zero = 1795197449.7507286
    yield (
        "start",
        {
            "uid": run,
            "time": 1795197449.749454,
            "scan_id": 1,
            "plan_name": "made",
            "detectors": ["det"],
            "motors": ["motor"],
        },
    )
    yield (
        "descriptor",
        {
            "configuration": {},
            "data_keys": {key: {"source": "SIM:x", "dtype": "number", "shape": []} for key in keys},
            "name": "primary",
            "object_keys": {key: [key] for key in keys},
            "run_start": run,
            "time": 1795197449.7499926,
            "uid": descriptor,
            "object_classes": {},
            "hints": {key: {"fields": [key]} for key in keys},
        },
    )
    rows = np.random.default_rng(0).random((LONG_RUN, 3))[:events].tolist()
    columns = [
        (number, zero + number, {"det": det, "motor": float(number - 1), "temp": temp})
        for number, (det, temp, _) in enumerate(rows, 1)
    ]
    for first in range(0, events if per_page else 0, per_page or 1):
        yield "event_page", _page(columns[first : first + per_page], descriptor, keys)
    for number, now, data in () if per_page else columns:
        yield (
            "event",
            {
                "uid": str(uuid.UUID(int=number)),
                "time": now,
                "seq_num": number,
                "descriptor": descriptor,
                "data": data,
                "timestamps": dict.fromkeys(keys, now),
                "filled": {},
            },
        )
    yield (
        "stop",
        {
            "uid": "a3efe8cc-a6df-4ff6-95a3-4ffda5b6fecd",
            "time": 1795197453.9169776,
            "run_start": run,
            "exit_status": "success",
            "reason": "",
            "num_events": {"primary": events},
        },
    )


def _page(rows: list[Any], descriptor: str, keys: tuple[str, ...]) -> dict[str, Any]:
    times = [now for _, now, _ in rows]
    return {
        "uid": [str(uuid.UUID(int=number)) for number, _, _ in rows],
        "time": times,
        "seq_num": [number for number, _, _ in rows],
        "descriptor": descriptor,
        "data": {key: [data[key] for _, _, data in rows] for key in keys},
        "timestamps": dict.fromkeys(keys, times),
        "filled": {},
    }
