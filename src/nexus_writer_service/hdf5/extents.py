"""Bytes at addresses of a file, kept in memory: later ones cover earlier ones.

HDF5 puts thousands of blocks between two commits, hardly ever looks at them, and hardly ever lets
them overlap. So a block that is put is only noted; order is made when somebody looks.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from nexus_writer_service.hdf5.disk import Bytes

_MANY: Final = 16
"""Blocks are put in order one by one if they are fewer than one for so many that are."""


class Extents:
    """A sparse piece of a file. What is put later covers what was put before."""

    def __init__(self) -> None:
        self._noted: dict[int, Bytes] = {}
        """What was put since order was made, in the order of time."""
        self._starts: list[int] = []
        """Addresses of what is in order: sorted, without overlaps."""
        self._data: dict[int, Bytes] = {}
        self._stop = 0
        """Nothing lies at or beyond."""
        self.nbytes = 0
        """Memory of what is held; what is covered counts until order is made."""

    def __bool__(self) -> bool:
        return bool(self._noted or self._starts)

    def __len__(self) -> int:
        self._make_order()
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, Bytes]]:
        """Address and bytes of each extent, in order of the addresses."""
        self._make_order()
        data = self._data
        return ((start, data[start]) for start in self._starts)

    def put(self, address: int, data: Bytes) -> None:
        """Hold ``data``, which must not change any more, at ``address``."""
        size = len(data)
        if address in self._noted:
            old = self._noted[address]
            if len(old) > size:  # only the beginning of the old one is covered
                self._make_order()
            else:
                del self._noted[address]  # or it would keep its place in time
                self.nbytes -= len(old)
        if size:
            self._noted[address] = data
            self.nbytes += size
            self._stop = max(self._stop, address + size)

    def _make_order(self) -> None:
        if not self._noted:
            return
        noted, self._noted = self._noted, {}
        if len(noted) < len(self._starts) // _MANY or not self._merge(noted):
            for address, data in noted.items():
                self._insert(address, data)

    def _merge(self, noted: dict[int, Bytes]) -> bool:
        """Insert many at once; does nothing and returns False where some cover parts of others."""
        data = self._data
        replaced = 0
        for address in noted.keys() & data.keys():
            if len(noted[address]) < len(data[address]):
                return False
            replaced += len(data[address])
        merged = data | noted
        starts = sorted(merged)
        stop = 0
        for start in starts:
            if start < stop:
                return False
            stop = start + len(merged[start])
        self._starts, self._data = starts, merged
        self.nbytes -= replaced
        return True

    def _insert(self, address: int, data: Bytes) -> None:
        old = self._data.get(address)
        if old is not None and len(old) == len(data):  # the same block once more
            self._data[address] = data
            self.nbytes -= len(old)
            return
        stop = address + len(data)
        first = last = self._first(address)
        pieces = [(address, data)]
        while last < len(self._starts) and (start := self._starts[last]) < stop:
            last += 1
            covered = self._data.pop(start)
            self.nbytes -= len(covered)
            if start < address:
                pieces.insert(0, (start, covered[: address - start]))
                self.nbytes += address - start
            if start + len(covered) > stop:
                pieces.append((stop, covered[stop - start :]))
                self.nbytes += start + len(covered) - stop
        self._starts[first:last] = [start for start, _ in pieces]
        self._data.update(pieces)

    def patch(self, buffer: memoryview, address: int) -> None:
        """Copy what is held of ``address ..`` over a buffer of bytes."""
        if address >= self._stop:
            return
        self._make_order()
        stop = address + len(buffer)
        index = self._first(address)
        while index < len(self._starts) and (start := self._starts[index]) < stop:
            data = self._data[start]
            low, high = max(address, start), min(stop, start + len(data))
            buffer[low - address : high - address] = data[low - start : high - start]
            index += 1

    def cut(self, limit: int) -> None:
        """Forget all at or beyond ``limit``."""
        if limit >= self._stop:
            return
        self._make_order()
        while self._starts and self._starts[-1] >= limit:
            self.nbytes -= len(self._data.pop(self._starts.pop()))
        if self._starts:
            start = self._starts[-1]
            data = self._data[start]
            self._data[start] = data[: limit - start]
            self.nbytes -= len(data) - len(self._data[start])
        self._stop = limit

    def clear(self) -> None:
        """Forget all."""
        self._noted, self._starts, self._data = {}, [], {}
        self._stop = self.nbytes = 0

    def pieces(self, most: int) -> Iterator[tuple[int, list[Bytes]]]:
        """What lies without a gap, as it was put, in order of the addresses.

        Args:
            most: pieces of one address; more than so many follow with the address of the next.
        """
        self._make_order()
        together: list[Bytes] = []
        first = stop = -1
        for start in self._starts:
            data = self._data[start]
            if start != stop or len(together) == most:
                if together:
                    yield first, together
                first, together = start, []
            together.append(data)
            stop = start + len(data)
        if together:
            yield first, together

    def runs(self) -> list[tuple[int, memoryview]]:
        """What lies without a gap, as one piece each, in order of the addresses."""
        self._make_order()
        if not self._starts:
            return []
        places: list[tuple[int, int]] = []  # address and where in all bytes
        stop = -1
        size = 0
        for start in self._starts:
            if start != stop:
                places.append((start, size))
            length = len(self._data[start])
            stop = start + length
            size += length
        whole = memoryview(b"".join(map(self._data.__getitem__, self._starts)))
        ends = [begin for _, begin in places[1:]]
        return [
            (address, whole[begin:end])
            for (address, begin), end in zip(places, [*ends, size], strict=True)
        ]

    def _first(self, address: int) -> int:
        """Index of the first extent that ends beyond ``address``."""
        index = bisect_left(self._starts, address)
        if index:
            before = self._starts[index - 1]
            if before + len(self._data[before]) > address:
                return index - 1
        return index
