"""Bytes at addresses of a file, kept in memory: sorted, and never two for one address."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Final

_MOST_PIECES: Final = 1000
"""Pieces that the system takes in one call: IOV_MAX is 1024 on Linux."""


class Extents:
    """A sparse piece of a file. What is put later covers what was put before."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._data: dict[int, bytes] = {}
        self.nbytes = 0
        """Bytes that are held."""

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Address and bytes of each extent, in order of the addresses."""
        return ((start, self._data[start]) for start in self._starts)

    def put(self, address: int, data: bytes) -> None:
        """Hold ``data`` at ``address``."""
        if not data:
            return
        old = self._data.get(address)
        if old is not None and len(old) == len(data):  # HDF5 writes the same blocks at each flush
            self._data[address] = data
            return
        stop = address + len(data)
        first = last = self._first(address)
        pieces = [(address, data)]
        for start in islice(self._starts, first, None):
            if start >= stop:
                break
            last += 1
            covered = self._data.pop(start)
            self.nbytes -= len(covered)
            if start < address:
                pieces.insert(0, (start, covered[: address - start]))
            if start + len(covered) > stop:
                pieces.append((stop, covered[stop - start :]))
        self._starts[first:last] = [start for start, _ in pieces]
        for start, piece in pieces:
            self._data[start] = piece
            self.nbytes += len(piece)

    def update(self, other: "Extents") -> None:
        """Put all of ``other``."""
        for address, data in other:
            self.put(address, data)

    def patch(self, buffer: memoryview, address: int) -> None:
        """Copy what is held of ``address ..`` over a buffer of bytes."""
        stop = address + len(buffer)
        for start in islice(self._starts, self._first(address), None):
            if start >= stop:
                return
            data = self._data[start]
            low, high = max(address, start), min(stop, start + len(data))
            buffer[low - address : high - address] = data[low - start : high - start]

    def cut(self, limit: int) -> None:
        """Forget all at or beyond ``limit``."""
        while self._starts and self._starts[-1] >= limit:
            self.nbytes -= len(self._data.pop(self._starts.pop()))
        if self._starts:
            start = self._starts[-1]
            data = self._data[start]
            self._data[start] = data[: limit - start]
            self.nbytes -= len(data) - len(self._data[start])

    def clear(self) -> None:
        """Forget all."""
        self.cut(0)

    def runs(self) -> Iterator[tuple[int, list[bytes]]]:
        """What lies without a gap, as address and pieces for one call of the system."""
        run: list[bytes] = []
        begin = stop = 0
        for start, data in self:
            if run and (start != stop or len(run) == _MOST_PIECES):
                yield begin, run
                run = []
            if not run:
                begin = start
            run.append(data)
            stop = start + len(data)
        if run:
            yield begin, run

    def _first(self, address: int) -> int:
        """Index of the first extent that ends beyond ``address``."""
        index = bisect_left(self._starts, address)
        if index:
            before = self._starts[index - 1]
            if before + len(self._data[before]) > address:
                return index - 1
        return index
