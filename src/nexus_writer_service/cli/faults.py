"""Faults that commands can build in, for tests."""

import time
from collections.abc import Callable
from enum import StrEnum

from nexus_writer_service.service.disk_space import free_bytes


class Patch(StrEnum):
    """One fault."""

    SLOWDISK = "slowdisk"
    """The question for free space takes ten seconds."""


def free_bytes_with(patches: list[Patch] | None) -> Callable[[str], int]:
    """What tells the free space of a directory, with these faults built in."""
    return _slow_free_bytes if Patch.SLOWDISK in (patches or ()) else free_bytes


def _slow_free_bytes(directory: str) -> int:
    time.sleep(10)
    return free_bytes(directory)
