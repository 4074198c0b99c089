"""Time stamps of events as seconds since 1970."""

from typing import Any

import numpy as np

from nexus_writer_service.sources.bluesky.columns import Array, Values


def epochs(stamps: Values, count: int) -> Array:
    """The first ``count`` time stamps as numbers; NaN for those that are none, or not there."""
    stamps = stamps[:count]
    if isinstance(stamps, np.ndarray) and stamps.dtype == np.float64 and len(stamps) == count:
        return stamps
    try:
        found = np.array(stamps, float)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(())
    if len(stamps) == count and found.shape != (count,):
        found = np.array([_epoch(stamp) for stamp in stamps])
    return found if found.shape == (count,) else np.full(count, np.nan)


def _epoch(stamp: Any) -> float:
    try:
        return float("nan") if np.ndim(stamp) else float(stamp)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
