"""A disk on which the writer dies, at a moment that the test chooses."""

import os
import signal
from typing import NoReturn

from nexus_writer_service.testing.faults.moments import Moment, StruckDisk


class DeadlyDisk(StruckDisk):
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

    def meets(self, moment: Moment) -> float | None:
        """Stop the change that was chosen."""
        self._left -= moment == self._moment
        return self._done if moment == self._moment and self._left == 0 else None

    def strike(self) -> NoReturn:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process outlived SIGKILL")
