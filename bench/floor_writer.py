"""The floor: what it takes to bring points from Redis into HDF5 with nothing around it.

A probe for measurements and no writer: a bare hiredis parser, low-level appends, chunks that are
compressed by ISA-L and written past HDF5's filters. It checks nothing, survives nothing, says
nothing; what it does not do is what a writer is for. Places of datasets are taken from the map that
scans bring along.

    python -m bench.floor_writer URL
"""

import gc
import json
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h5py
import hdf5plugin
import hiredis
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from isal.isal_zlib import compress
from numpy.typing import NDArray

_CREATIONS = b"_SCAN_HISTORY_"
_SEAL = b"18446744073709551615-18446744073709551615"
_CLOSED = 4
_ENTRIES = 1000
_ANSWER_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_FLUSH = 0.25
_GATHER = 0.02


class Link:
    """One connection to Redis: commands out, lists of bytes in."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(parts.path)
        else:
            self._socket = socket.create_connection((parts.hostname, parts.port or 6379))
        self._reader = hiredis.Reader()

    def ask(self, *words: Any) -> Any:
        """The answer to one command."""
        self._socket.sendall(hiredis.pack_command(words))
        answer = self._reader.gets()
        while answer is False:
            self._reader.feed(self._socket.recv(1 << 20))
            answer = self._reader.gets()
        return answer


class Column:
    """The dataset of one stream; without a file it only decodes."""

    def __init__(self, encoding: Mapping[str, Any]) -> None:
        self.dtype: np.dtype[Any] = np.dtype(encoding["dtype_str"])
        self.sample = tuple(encoding["shape"])
        self.point_bytes: int = self.dtype.itemsize * int(np.prod(self.sample))
        self.next_id = b"0-0"
        self.entry_bytes: int = self.point_bytes
        self.length = 0
        self.sealed = False
        self._waiting: list[bytes] = []
        self._written = 0
        self._dataset: Any = None
        self._deflated = False
        self._rows = 1

    def create(self, file: Any, path: str, points: int) -> None:
        """Make the dataset, in the ways of the two writers: large ones are compressed."""
        nbytes = points * self.point_bytes
        self._rows = max(1, min(points, _CHUNK_BYTES // self.point_bytes))
        properties = h5p.create(h5p.DATASET_CREATE)
        properties.set_chunk((self._rows, *self.sample))
        if nbytes > _CHUNK_BYTES and _BITSHUFFLE:
            filters = hdf5plugin.Bitshuffle(cname="lz4")
            properties.set_filter(filters.filter_id, 0, filters.filter_options)
        elif nbytes > _CHUNK_BYTES:
            self._deflated = True
            properties.set_shuffle()
            properties.set_deflate(4)
        space = h5s.create_simple((0, *self.sample), (h5s.UNLIMITED, *self.sample))
        kind = h5t.py_create(self.dtype)
        self._dataset = h5d.create(file.id, path.encode(), kind, space, properties, _INTERMEDIATE)

    def receive(self, entries: list[Any]) -> None:
        """Take the next entries of the stream."""
        if entries[-1][0] == _SEAL:
            self.sealed = True
            entries.pop()
        if entries:
            payloads = [fields[1] for _, fields in entries]
            self._waiting += payloads
            self.entry_bytes = len(payloads[-1])
            self.length += sum(map(len, payloads)) // self.point_bytes
            self.next_id = b"%d-0" % self.length

    def decoded(self) -> NDArray[Any]:
        """The points that wait; they wait no longer."""
        joined = np.frombuffer(b"".join(self._waiting), self.dtype)
        self._waiting = []
        return joined.reshape(-1, *self.sample)

    def write(self, *, last: bool) -> None:
        """Write what waits: whole chunks, with the last also the rest."""
        if not self._waiting:
            return
        points = self.decoded()
        if self._deflated or _BITSHUFFLE:
            whole = len(points) if last else len(points) // self._rows * self._rows
            if whole < len(points):
                self._waiting = [points[whole:].tobytes()]
                points = points[:whole]
        if not len(points):
            return
        stop = self._written + len(points)
        self._dataset.set_extent((stop, *self.sample))
        if self._deflated:
            self._write_chunks(points)
        else:
            space = h5s.create_simple((stop, *self.sample))
            corner = (0,) * len(self.sample)
            space.select_hyperslab((self._written, *corner), points.shape)
            self._dataset.write(h5s.create_simple(points.shape), space, points)
        self._written = stop

    def _write_chunks(self, points: NDArray[Any]) -> None:
        for start in range(0, len(points), self._rows):
            chunk = points[start : start + self._rows]
            if len(chunk) < self._rows:
                full = np.zeros((self._rows, *self.sample), self.dtype)
                full[: len(chunk)] = chunk
                chunk = full
            shuffled = chunk.reshape(-1).view(np.uint8).reshape(-1, self.dtype.itemsize).T
            data = compress(np.ascontiguousarray(shuffled).data, 1)
            corner = (0,) * len(self.sample)
            self._dataset.write_direct_chunk((self._written + start, *corner), data)


class Scan:
    """The streams of one scan."""

    def __init__(self, key: bytes, document: Mapping[str, Any]) -> None:
        self.key = key
        self.state_key = _stream_key(document["state_stream"])
        self.state_id = b"0-0"
        self.state = 0
        self.columns: dict[bytes, Column] = {}
        self.begun = False
        self.path = ""
        self.entry = ""

    def begin(self, document: Mapping[str, Any], files: dict[str, Any]) -> None:
        """Make the file and its datasets."""
        self.begun = True
        info = document["info"]
        ((self.path, tree),) = info["h5maps"].items()
        if self.path not in files:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            files[self.path] = h5py.File(self.path, "a")
        self.entry = next(iter(tree["children"]))
        places = dict(_streams(tree, ""))
        for name, stream in document["data_streams"].items():
            column = self.columns[_stream_key(stream)] = Column(stream["encoding"])
            column.create(files[self.path], places[name], info["npoints"])

    @property
    def over(self) -> bool:
        """Whether all has been read."""
        return self.state == _CLOSED and all(one.sealed for one in self.columns.values())


def _stream_key(stream: Mapping[str, Any]) -> bytes:
    return f"esrf:stream:{stream['pk']}".encode()


def _streams(item: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Name and place of each stream below an item of the map."""
    for name, child in item.get("children", {}).items():
        if isinstance(child, dict):
            stream = child.get("value", child) if child["type"] == "dataset" else child
            if isinstance(stream, dict) and stream["type"] == "stream":
                yield stream["stream"], f"{path}/{name}"
            yield from _streams(child, f"{path}/{name}")


class Floor:
    """Writes all scans that come."""

    def __init__(self, url: str) -> None:
        self._link = Link(url)
        self._scans: list[Scan] = []
        self._files: dict[str, Any] = {}
        newest = self._link.ask("XREVRANGE", _CREATIONS, "+", "-", "COUNT", 1)
        self._since = newest[0][0] if newest else b"0-0"

    def run(self) -> None:
        """For ever."""
        flushed = time.monotonic()
        while True:
            if self._read():
                time.sleep(_GATHER)
            if time.monotonic() > flushed + _FLUSH:
                for scan in self._scans:
                    self._write(scan, last=False)
                flushed = time.monotonic()

    def _read(self) -> bool:
        """One round; whether there is no more to be had at once."""
        owners = {key: one for scan in self._scans for key, one in scan.columns.items()}
        states = {scan.state_key: scan for scan in self._scans}
        open_ones = {key: column for key, column in owners.items() if not column.sealed}
        count = _count(open_ones.values())
        after = [self._since, *(scan.state_id for scan in self._scans)]
        after += [column.next_id for column in open_ones.values()]
        keys = (_CREATIONS, *states, *open_ones)
        answer = self._link.ask("XREAD", "COUNT", count, "BLOCK", 200, "STREAMS", *keys, *after)
        for key, entries in answer or ():
            if column := open_ones.get(key):
                column.receive(entries)
            elif scan := states.get(key):
                scan.state_id = entries[-1][0]
                scan.state = max(int(fields[1]) for _, fields in entries)
            else:
                self._since = entries[-1][0]
                self._scans += [Scan(fields[1], self._document(fields[1])) for _, fields in entries]
        for scan in list(self._scans):
            if scan.state and not scan.begun:
                scan.begin(self._document(scan.key), self._files)
            elif scan.begun and scan.over:
                self._finish(scan)
        return not any(len(entries) >= count for _, entries in answer or ())

    def _finish(self, scan: Scan) -> None:
        self._write(scan, last=True)
        self._files[scan.path][f"{scan.entry}/end_time"] = time.ctime()
        self._scans.remove(scan)
        if all(other.path != scan.path for other in self._scans):
            self._files.pop(scan.path).close()

    def _write(self, scan: Scan, *, last: bool) -> None:
        for column in scan.columns.values():
            column.write(last=last)
        if scan.begun:
            self._files[scan.path].flush()

    def _document(self, key: bytes) -> Any:
        return json.loads(self._link.ask("JSON.GET", key))


def read_all(url: str) -> tuple[float, float, int]:
    """Read every scan of a database to its end and keep nothing.

    Returns:
        CPU seconds, seconds, and the number of points.
    """
    link = Link(url)
    columns: dict[bytes, Column] = {}
    for _, fields in link.ask("XRANGE", _CREATIONS, "-", "+"):
        for stream in json.loads(link.ask("JSON.GET", fields[1]))["data_streams"].values():
            columns[_stream_key(stream)] = Column(stream["encoding"])
    gc.disable()
    begin, cpu, points = time.monotonic(), time.process_time(), 0
    left = dict(columns)
    while left:
        after = [column.next_id for column in left.values()]
        answer = link.ask("XREAD", "COUNT", _count(left.values()), "STREAMS", *left, *after)
        for key, entries in answer:
            left[key].receive(entries)
            points += len(left[key].decoded())
        left = {key: column for key, column in left.items() if not column.sealed}
    return time.process_time() - cpu, time.monotonic() - begin, points


def _count(columns: Iterable[Column]) -> int:
    needed = sum(column.entry_bytes for column in columns)
    return max(1, min(_ENTRIES, _ANSWER_BYTES // max(1, needed)))


_BITSHUFFLE = "--bitshuffle" in sys.argv
_INTERMEDIATE = h5p.create(h5p.LINK_CREATE)
_INTERMEDIATE.set_create_intermediate_group(True)


def main() -> None:
    """Until Ctrl-C."""
    gc.disable()
    try:
        Floor(sys.argv[1]).run()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
