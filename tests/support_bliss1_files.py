"""A writer of ours on what BLISS 1.11 wrote into Redis, and what it left."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.support_bliss1 import published
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.model.verdict import Verdict
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.sources.generation import Generation, source_of


class Bliss1Writer:
    """A writer that listens."""

    def __init__(self, process: SessionProcess) -> None:
        self.process = process

    def status(self, node: str) -> ScanStatus | None:
        """Of the scan with this node, once it has been announced."""
        return next((one for one in self.process.board if one.key.startswith(f"{node}@")), None)

    def verdict(self, node: str) -> Verdict:
        """Of the scan with this node, when it is over."""

        def over() -> Verdict | None:
            status = self.status(node)
            return status.verdict if status and status.over else None

        verdict = wait_for(over, what=f"end of {node}")
        assert verdict is not None
        return verdict


@contextmanager
def bliss1_writer(
    url: str,
    session: str = "test_session",
    *,
    history: Path | None = None,
    generation: Generation = Generation.BLISS1,
) -> Iterator[Bliss1Writer]:
    """Listens until the end of the block; saves scans of the writer ``nexus``."""
    options = ProcessOptions(session, data_writers=("nexus",), history=history, grace=0.1)
    process = SessionProcess(
        options,
        lambda backlog: source_of(generation, url, session, backlog),
        DiskWatch(required=0, recommended=0),
    )
    process.start()
    try:
        wait_for(lambda: process.session.state is not SessionState.INIT, what="writer listening")
        yield Bliss1Writer(process)
    finally:
        process.stop()


def missing_channels(kind: str, node: str, file: Path, entry: str) -> list[str]:
    """Channels of a recorded scan of whose points there is no dataset in its entry."""
    with h5py.File(file, "r", locking=False) as root:
        found: list[Any] = []
        root[entry].visititems(
            lambda _, one: found.append(one[()]) if isinstance(one, h5py.Dataset) else None
        )
    return [
        name
        for name, values in published(kind, node).items()
        if values and not any(_equal(one, values) for one in found)
    ]


def _equal(found: Any, values: list[Any]) -> bool:
    if not isinstance(found, np.ndarray) or found.ndim != np.ndim(values[0]) + 1:
        return False
    if len({np.shape(one) for one in values}) == 1:
        return np.array_equal(found, np.asarray(values))
    # Points of different lengths are padded to the longest.
    return len(found) == len(values) and all(
        np.array_equal(row[: len(one)], one) and np.isnan(row[len(one) :]).all()
        for row, one in zip(found, values, strict=True)
    )
