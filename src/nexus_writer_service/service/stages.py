"""How far the writer of one scan is."""

from enum import Enum, auto
from typing import Final


class Stage(Enum):
    """How far the writer of one scan is."""

    ANNOUNCED = auto()
    LOCKED_OUT = auto()
    """Another process has its file, which is awaited."""
    REFUSED = auto()
    """It cannot be saved: only its end is awaited."""
    WRITING = auto()
    AWAITING_FILES = auto()
    AWAITING_COMMIT = auto()
    OVER = auto()


ENDABLE: Final = (Stage.ANNOUNCED, Stage.LOCKED_OUT, Stage.REFUSED, Stage.WRITING)
"""The stages in which the end of the scan is still to come."""
