"""Reproducible values: any slice of what a channel publishes, at any time, in any block size.

A channel's values are a function of the point's index, so that a benchmark can publish gigabytes
and a test can still compare each point with what a file holds.
"""

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]
Points = Array | Sequence[Array]
"""Of shape (points, *sample), or one array per point where the shape of a point varies."""

Values = Callable[[int, int], Points]
"""``values(start, stop)``: points start to stop - 1, fewer where a table ends before."""


def noise(name: str, start: int, stop: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) that look random and depend on the name and the index only."""
    # Finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    state = np.arange(start, stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state += np.uint64(crc32(name.encode()) << 16)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def table(points: ArrayLike, dtype: DTypeLike | None = None) -> Values:
    """Values that are all given, of shape (points, *sample)."""
    array = np.array(points, dtype=dtype)
    return lambda start, stop: array[start:stop]


def ragged_table(points: Sequence[Any], dtype: DTypeLike) -> Values:
    """Values that are all given, one array per point."""
    arrays = [np.array(point, dtype=dtype) for point in points]
    return lambda start, stop: arrays[start:stop]


def ramp(first: float, step: float) -> Values:
    """first, first + step, first + 2 step..."""
    return lambda start, stop: first + step * np.arange(start, stop, dtype=np.float64)


def counter(name: str, points: int) -> Values:
    """A peak in the middle of the scan, with noise."""
    center, width = (points - 1) / 2, max(points, 2) / 8

    def values(start: int, stop: int) -> Array:
        offset = (np.arange(start, stop) - center) / width
        signal: Array = 90 * np.exp(-0.5 * offset**2) + 10 * noise(name, start, stop)
        return signal

    return values


def hill(name: str, fast: NDArray[np.float64], slow: NDArray[np.float64]) -> Values:
    """A peak in the middle of a grid, with noise.

    Args:
        name: name of the channel, seed of the noise.
        fast: position of the fast motor for each point.
        slow: position of the slow motor for each point.
    """

    def distance(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        extent = float(np.ptp(positions)) or 1.0
        scaled: NDArray[np.float64] = (positions - positions.mean()) / extent * 4
        return scaled

    peak = 90 * np.exp(-0.5 * (distance(fast) ** 2 + distance(slow) ** 2))

    def values(start: int, stop: int) -> Array:
        part = peak[start:stop]
        signal: Array = part + 10 * noise(name, start, start + len(part))
        return signal

    return values


def counts(name: str, most: int = 10_000) -> Values:
    """Integers from 0 to ``most``, as int64."""
    return lambda start, stop: (most * noise(name, start, stop)).astype(np.int64)


def spectra(name: str, channels: int, dtype: DTypeLike = np.uint32) -> Values:
    """Spectra with three lines above a background, whose intensity varies from point to point."""
    energy = np.arange(channels) / channels
    lines = sum(
        height * np.exp(-0.5 * ((energy - place) / 0.01) ** 2)
        for place, height in ((0.2, 500.0), (0.45, 900.0), (0.7, 300.0))
    )
    base = (lines + 20 * np.exp(-3 * energy)).astype(dtype)

    def values(start: int, stop: int) -> Array:
        intensity = (1 + 8 * noise(name, start, stop)).astype(dtype)
        points: Array = base[np.newaxis, :] * intensity[:, np.newaxis]
        return points

    return values


def frames(name: str, shape: tuple[int, int], dtype: DTypeLike = np.uint16) -> Values:
    """Images with a bright spot; the first pixel is the index of the frame (modulo its type)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    spot = ((rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2) / (min(shape) / 4) ** 2
    base = (100 * np.exp(-spot)).astype(dtype)

    def values(start: int, stop: int) -> Array:
        level = (10 * noise(name, start, stop)).astype(dtype)
        images: Array = base[np.newaxis] + level[:, np.newaxis, np.newaxis]
        images[:, 0, 0] = np.arange(start, stop).astype(dtype)
        return images

    return values
