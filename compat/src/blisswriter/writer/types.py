"""What BLISS tells the writer in its own process of channels."""

from enum import IntEnum, auto
from typing import Any, NamedTuple


class ChannelDataType(IntEnum):
    """What the points of a channel are."""

    SCAN_REFERENCE = auto()
    LIMA_STATUS = auto()
    """Of any Lima, in BLISS 2.2."""
    LIMA1_STATUS = auto()
    LIMA2_STATUS = auto()
    NUMERIC_DATA = auto()


class Channel(NamedTuple):
    """A channel."""

    name: str
    data_type: ChannelDataType
    info: dict[str, Any]
