"""A disk on which the writer dies, at a moment that the test chooses."""

import os
import signal
from collections.abc import Sequence
from typing import Literal, NoReturn

from nexus_writer_service.hdf5.disk import Bytes, Disk, Step

Moment = Step | Literal["truncate", "sync", "unlink"]


class DeadlyDisk(Disk):
    """Kills the process (SIGKILL) during one of the changes that it makes to files.

    Args:
        moment: kind of change.
        count: which of its kind, from 1 on.
        done: how much of the change is done: 0 for nothing, 1 for all; of a write also parts.
    """

    def __init__(self, moment: Moment, count: int, done: float) -> None:
        self._moment = moment
        self._left = count
        self._done = done

    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        """Write, or a part of it and die."""
        if self._is_now(step):
            data = b"".join(pieces)
            super().write(step, descriptor, [data[: round(len(data) * self._done)]], address)
            _die()
        super().write(step, descriptor, pieces, address)

    def truncate(self, descriptor: int, size: int) -> None:
        """Truncate; or die before or after it."""
        now = self._is_now("truncate")
        if not now or self._done:
            super().truncate(descriptor, size)
        if now:
            _die()

    def sync(self, descriptor: int) -> None:
        """Die, or go on: what a sync does shows only after a loss of power."""
        if self._is_now("sync"):
            _die()
        super().sync(descriptor)

    def unlink(self, path: str) -> None:
        """Unlink; or die before or after it."""
        now = self._is_now("unlink")
        if not now or self._done:
            super().unlink(path)
        if now:
            _die()

    def _is_now(self, moment: Moment) -> bool:
        self._left -= moment == self._moment
        return moment == self._moment and self._left == 0


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process outlived SIGKILL")
