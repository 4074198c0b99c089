"""Disks that refuse, that take little at a time, that stall."""

import os
import threading
from collections.abc import Sequence
from typing import NoReturn

from nexus_writer_service.hdf5.disk import Bytes, Disk
from nexus_writer_service.testing.faults.moments import Moment, StruckDisk


class FailingDisk(StruckDisk):
    """Refuses changes from ``fail`` until ``heal``, or a number of them."""

    def __init__(self) -> None:
        self.refused: list[Moment] = []
        """The changes that were refused, in order."""
        self._error = 0
        self._moments: tuple[Moment, ...] = ()
        self._skip = 0
        self._left: int | None = 0
        self._done = 0.0

    def fail(
        self,
        error: int,
        *moments: Moment,
        skip: int = 0,
        times: int | None = None,
        done: float = 0.0,
    ) -> None:
        """Refuse changes of these kinds from now on.

        Args:
            error: number of the system's error, such as ``errno.ENOSPC``.
            moments: kinds of changes; all others succeed.
            skip: how many of them to let pass before.
            times: how many of them to refuse; None for all until ``heal``.
            done: share of a write that is made all the same; 1 makes any other change too.
        """
        self._error, self._moments, self._done = error, moments, done
        self._skip, self._left = skip, times

    def heal(self) -> None:
        """Refuse nothing any more."""
        self._left = 0

    def meets(self, moment: Moment) -> float | None:
        """Stop what is to fail."""
        if moment not in self._moments or self._left == 0:
            return None
        if self._skip:
            self._skip -= 1
            return None
        if self._left is not None:
            self._left -= 1
        self.refused.append(moment)
        return self._done

    def strike(self) -> NoReturn:
        """Raise the error."""
        raise OSError(self._error, os.strerror(self._error))


class ShortDisk(Disk):
    """The system takes only so many bytes in one call, as it may.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most

    def write_some(self, descriptor: int, pieces: Sequence[Bytes], address: int) -> int:
        """Write the first few bytes."""
        return super().write_some(descriptor, [b"".join(pieces)[: self._most]], address)


class StallingDisk(StruckDisk):
    """The first change of a kind after ``stall`` does not return before ``release``."""

    def __init__(self) -> None:
        self.stalled = threading.Event()
        """Set while a change does not return."""
        self._moment: Moment | None = None
        self._released = threading.Event()

    def stall(self, moment: Moment) -> None:
        """Let the next change of this kind stall, before anything of it is done."""
        self._released.clear()
        self._moment = moment

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    def meets(self, moment: Moment) -> float | None:
        """Wait, if it is the one."""
        if moment == self._moment:
            self._moment = None
            self.stalled.set()
            self._released.wait()
            self.stalled.clear()
        return None

    def strike(self) -> NoReturn:
        """Never called: nothing is stopped for good."""
        raise AssertionError("a stalled change was stopped")
