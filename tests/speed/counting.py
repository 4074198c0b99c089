"""Counts what the writer's own Python does: no clock, so the same on every machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(slots=True)
class Work:
    """What was done while it was counted, in this thread, by modules of the writer."""

    instructions: int = 0
    """Bytecode instructions."""
    calls: int = 0
    """Calls of functions that are written in C, HDF5's and h5py's own not among them."""


@contextmanager
def counted() -> Iterator[Work]:
    """Count inside the block; other libraries are left out, since their versions vary."""
    work = Work()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "call":
            if not _is_ours(frame):
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
        elif event == "opcode":
            work.instructions += 1
        return trace

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "c_call" and _is_ours(frame):
            work.calls += 1

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        yield work
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])


def _is_ours(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith("nexus_writer_service.") and ".testing." not in name
