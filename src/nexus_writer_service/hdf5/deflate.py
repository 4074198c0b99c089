"""Deflate, as HDF5's filter 1 defines it, outside HDF5.

ISA-L compresses several times faster than zlib to the same format; where it is not installed, zlib
does. Any HDF5 reader understands the result.

Of measured floats, the lower bytes are noise. After the filter shuffle they stand together, before
the others, and to look for patterns in them takes most of the time for nothing. Deflate has stored
blocks for that.
"""

from typing import Final
from zlib import DEFLATED, compressobj

try:
    from isal import igzip_lib
    from isal.isal_zlib import adler32, compress

    _LEVEL: int | None = 2
    """Within 5 % of the size that zlib's level 4 gives for spectra and counters, 9 times faster."""
except ImportError:  # no package for this platform
    from zlib import adler32, compress  # the same of another library

    _LEVEL = None

_ZLIB: Final = b"\x78\x01"
"""How zlib's format begins: deflate, a window of 32 KiB."""
_RAW: Final = -15
"""What asks zlib for that window, and for nothing around it."""
_MOST_STORED: Final = 0xFFFF
_FIRST_LOOK: Final = 0.5
"""Share of its bytes above which a compressed chunk is looked into."""
_NOISE: Final = 0.95
"""Share of its bytes above which compressed noise is noise."""
_PERIOD: Final = 32
"""Chunks after which another look is taken."""


def deflated(data: bytes | memoryview, level: int, noise: int = 0) -> bytes:
    """A chunk after the filter deflate (1).

    Args:
        data: the chunk, in the order that the filters before this one give it.
        level: 1 to 9, of zlib; ISA-L does all of these alike.
        noise: so many bytes at its beginning are stored as they are.
    """
    if not noise:
        return compress(data, _LEVEL or level)
    view = memoryview(data)
    parts: list[bytes | memoryview] = [_ZLIB]
    for begin in range(0, noise, _MOST_STORED):
        part = view[begin : min(noise, begin + _MOST_STORED)]
        size = len(part)
        lengths = size | (size ^ _MOST_STORED) << 16
        parts += [b"\0" + lengths.to_bytes(4, "little"), part]
    parts += [_raw(view[noise:], level), adler32(view).to_bytes(4, "big")]
    return b"".join(parts)


def _raw(data: memoryview, level: int) -> bytes:
    """Deflated, without what zlib's format has around it."""
    if _LEVEL is not None:
        raw: bytes = igzip_lib.compress(data, _LEVEL, igzip_lib.COMP_DEFLATE)
        return raw
    stream = compressobj(level, DEFLATED, _RAW)
    return stream.compress(data) + stream.flush()


class Deflater:
    """Deflates the chunks of one dataset, one after the other.

    Args:
        level: 1 to 9, of zlib.
        planes: how many bytes of a number were moved apart by the filter shuffle; 1: none.
    """

    def __init__(self, level: int, planes: int) -> None:
        self._level = level
        self._planes = planes
        self._noise = 0
        """Bytes at the beginning of chunks that are not compressed."""
        self._chunks = 0

    def part(self, data: memoryview) -> bytes:
        """A chunk of which some is fill."""
        return deflated(data, self._level)

    def whole(self, data: memoryview) -> bytes:
        """A chunk that is full of numbers."""
        self._chunks += 1
        if self._noise and self._chunks % _PERIOD:
            return deflated(data, self._level, self._noise)
        done = deflated(data, self._level)
        self._noise = self._look(data) if len(done) > _FIRST_LOOK * len(data) else 0
        return done

    def _look(self, data: memoryview) -> int:
        """How many bytes at the beginning are noise; not all of them."""
        size = len(data) // self._planes
        for plane in range(self._planes - 1):
            part = data[plane * size : (plane + 1) * size]
            if len(_raw(part, self._level)) < _NOISE * size:
                return plane * size
        return (self._planes - 1) * size
