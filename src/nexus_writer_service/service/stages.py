"""The stages of a scan writer, from the announcement of its scan to letting go of the file."""

from enum import Enum, auto


class Stage(Enum):
    """How far the writing of a scan is."""

    ANNOUNCED = auto()
    LOCKED_OUT = auto()
    """Another process has its file, which is awaited."""
    REFUSED = auto()
    """It cannot be saved: only its end is awaited."""
    WRITING = auto()
    AWAITING_FILES = auto()
    AWAITING_COMMIT = auto()
    OVER = auto()


ENDABLE = (Stage.ANNOUNCED, Stage.LOCKED_OUT, Stage.REFUSED, Stage.WRITING)
"""Stages in which the end of the scan is awaited."""
