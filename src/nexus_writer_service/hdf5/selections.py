"""Where points of a grid go, as HDF5 selections."""

import math
from collections.abc import Iterator
from typing import Any

from h5py import h5s

from nexus_writer_service.model.description import Shape

Box = tuple[Shape, Shape]
"""First index and count along each axis."""


def boxes(start: int, stop: int, inner: Shape) -> Iterator[Box]:
    """The fewest boxes that cover points ``start .. stop - 1`` of a grid filled in C order.

    Args:
        start: first point.
        stop: the point after the last; not below ``start``.
        inner: lengths of all axes of the grid but the slowest, which is open.

    Yields:
        Boxes in the order of the points.
    """
    if not inner:
        if start < stop:
            yield (start,), (stop - start,)
        return
    row = math.prod(inner)
    head = min(stop, -(-start // row) * row)
    if start < head:
        slow, first = divmod(start, row)
        for corner, counts in boxes(first, first + head - start, inner[1:]):
            yield (slow, *corner), (1, *counts)
    rows = (stop - head) // row
    if rows:
        yield (head // row, *(0,) * len(inner)), (rows, *inner)
    tail = head + rows * row
    if tail < stop:
        for corner, counts in boxes(0, stop - tail, inner[1:]):
            yield (tail // row, *corner), (1, *counts)


class Spaces:
    """Dataspaces for writing, made once for all datasets that write the same place and count.

    Making them is most of the cost of a small write. For one commit: forget it afterwards.
    """

    def __init__(self) -> None:
        self._in_file: dict[tuple[Shape, Shape, Shape], Any] = {}
        self._in_memory: dict[Shape, Any] = {}

    def in_file(self, shape: Shape, corner: Shape, counts: Shape) -> Any:
        """The box at ``corner`` of a dataset of ``shape`` that can grow."""
        key = (shape, corner, counts)
        space = self._in_file.get(key)
        if space is None:
            space = h5s.create_simple(shape, (h5s.UNLIMITED,) * len(shape))
            space.select_hyperslab(corner, counts)
            self._in_file[key] = space
        return space

    def in_memory(self, shape: Shape) -> Any:
        """All of an array; HDF5 is twice as fast when it has the rank of what is selected."""
        space = self._in_memory.get(shape)
        if space is None:
            space = self._in_memory[shape] = h5s.create_simple(shape)
        return space
