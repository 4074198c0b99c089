"""What is known of one data key of a stream while its run goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nexus_writer_service.model import run as model
from nexus_writer_service.model.description import Channel, ChannelName, Content, FileBlock, Shape
from nexus_writer_service.sources.bluesky.columns import TEXT, Column


@dataclass(frozen=True, slots=True)
class Found:
    """Where a value in a file is: one of the three is given."""

    block: FileBlock | None = None
    uri: str = ""
    """Of a file that HDF5 cannot map."""
    missing: str = ""
    """Why nobody knows."""
    resource: str = ""


@dataclass(slots=True)
class DataKey:
    """What is known of one data key, once it has values."""

    column: Column
    described: model.Column
    located: bool = False
    dtype: np.dtype[Any] | None = None
    """Of values in files, as described."""
    sample: Shape = ()
    rows: int = 0
    """Row behind the last one that was told."""
    stamps: int = 0
    """Row behind the last one whose time was told."""


def channel_names(state: DataKey) -> list[ChannelName]:
    """The channels of a data key: its values, then their times if there are any."""
    told = state.described
    stamped = told.first_epoch == told.first_epoch
    return [told.value, told.epoch, told.elapsed] if stamped else [told.value]


def channels_of(state: DataKey, unit: Any) -> list[Channel]:
    """The channels of a data key as of now.

    Args:
        state: of the data key.
        unit: as described.
    """
    value, *times = channel_names(state)
    unit = unit if isinstance(unit, str) else None
    if state.located:
        dtype = state.dtype or np.dtype(float)
        found = [Channel(value, dtype, state.sample, Content.LOCATED, unit)]
    else:
        column = state.column
        dtype = column.dtype or np.dtype(float)
        found = [Channel(value, dtype, column.sample, unit=unit)]
    return found + [Channel(name, np.dtype(float), (), unit="s", aside=True) for name in times]


def described_dtype(described: Mapping[str, Any]) -> np.dtype[Any]:
    """The type of a data key as its descriptor tells it, for what it is worth."""
    dtype = described.get("dtype")
    try:
        found = np.dtype(described["dtype_numpy"])
    except (LookupError, TypeError):
        if dtype == "string":
            return TEXT
        return np.dtype({"integer": int, "boolean": bool, "array": np.uint8}.get(str(dtype), float))
    return found if found.kind in "biufc" else TEXT
