"""Does a file contain all that a listing of the reference's file tells of?

A listing (``tests/data/bluesky/listings``) has a row per object: groups with their attributes,
datasets with type, shape, attributes and value (all of it up to eight elements; else the first
eight of the first row, and a checksum of the whole), and links: further names of an object, with
its home. Home is the path that the object's attribute ``target`` tells.

What may differ: how values are stored (chunks, filters, virtual), the character set of text, hard
or soft links, and a time may carry its zone. There may be more than the listing tells of.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

PREVIEW = 8
Row = dict[str, Any]


def read_listing(path: Path) -> list[Row]:
    """The rows of a listing."""
    rows: list[Row] = json.loads(gzip.decompress(path.read_bytes()))
    return rows


def missing_of(listing: list[Row], file: Path, **replaced: str) -> list[str]:
    """What of the listing the file does not contain, one line each.

    Args:
        listing: of the reference's file.
        file: ours.
        replaced: texts of the listing that stand for others in the file.
    """
    with h5py.File(file, "r", locking=False) as root:
        return [
            f"{row['path']}: {what}" for row in listing for what in _missing(row, root, replaced)
        ]


def _missing(row: Row, root: h5py.File, replaced: dict[str, str]) -> Iterator[str]:
    node = root.get(row["path"])
    if node is None:
        yield "not there"
        return
    if row["kind"] == "link":
        home = root.get(row["to"])
        if home is None or home != node:
            yield f"not the same as {row['to']}"
        return
    if row["kind"] != ("group" if isinstance(node, h5py.Group) else "dataset"):
        yield f"not a {row['kind']}"
        return
    for name, value in row.get("attrs", {}).items():
        found = plain(node.attrs[name]) if name in node.attrs else "nothing"
        if not same(value, found, replaced):
            yield f"@{name} is {bare(found)!r}, not {bare(value)!r}"
    if row["kind"] == "dataset":
        yield from _missing_of_dataset(row, node, replaced)


def _missing_of_dataset(row: Row, node: h5py.Dataset, replaced: dict[str, str]) -> Iterator[str]:
    dtype = type_name(node.dtype)
    if dtype != row["dtype"] and not (dtype.startswith("str") and row["dtype"].startswith("str")):
        yield f"its type is {dtype}, not {row['dtype']}"
    if list(node.shape or ()) != (row["shape"] or []):
        yield f"its shape is {list(node.shape or ())}, not {row['shape']}"
        return
    whole = node[()]
    short = node.shape == () or node.size <= PREVIEW
    value = plain(whole if short else whole[(0,) * (node.ndim - 1)][:PREVIEW])
    if not _same_preview(row["value"], value, replaced):
        yield f"its value is {str(bare(value))[:80]}, not {str(bare(row['value']))[:80]}"
    elif "crc32" in row and dtype == row["dtype"] and checksum(whole) != row["crc32"]:
        yield "its values differ after the first ones"


def _same_preview(expected: Any, found: Any, replaced: dict[str, str]) -> bool:
    if isinstance(expected, str) and expected.startswith("{"):  # a listing keeps 600 characters
        return json.dumps(found).startswith(expected)
    return same(expected, found, replaced)


def checksum(whole: Any) -> int:
    """Of all values, in C order."""
    if whole.dtype.kind == "O":
        return zlib.crc32(b"\0".join(whole.ravel()))
    return zlib.crc32(whole.tobytes())


def type_name(dtype: np.dtype[Any]) -> str:
    """As listings name types."""
    if text := h5py.check_string_dtype(dtype):
        return f"str({text.encoding},{'vlen' if text.length is None else text.length})"
    if names := h5py.check_enum_dtype(dtype):
        return f"enum{names}"
    return str(dtype.str)


def plain(value: Any) -> Any:
    """A value as listings hold it."""
    match value:
        case bytes():
            return {"bytes": value.decode("utf8", "replace")}
        case np.ndarray():
            items = [plain(item) if isinstance(item, bytes) else item for item in value.tolist()]
            return {"array": items, "dtype": str(value.dtype)}
        case np.generic():
            return {"scalar": value.item(), "dtype": str(value.dtype)}
        case h5py.Empty():
            return {"empty": str(value.dtype)}
    return value


def bare(value: Any) -> Any:
    """A value of a listing without its type; a list of one text as the text."""
    if isinstance(value, dict):
        for key in ("bytes", "array", "scalar"):
            if key in value:
                return bare(value[key])
    if isinstance(value, list):
        items = [bare(item) for item in value]
        return items[0] if len(items) == 1 and isinstance(items[0], str) else items
    return value


def same(expected: Any, found: Any, replaced: dict[str, str]) -> bool:
    """Whether two values of listings mean the same."""
    left, right = bare(expected), bare(found)
    if isinstance(left, str) and isinstance(right, str):
        for old, new in replaced.items():
            left = left.replace(f"${{{old}}}", new)
        return left == right or (instant(left) is not None and instant(left) == instant(right))
    return repr(left) == repr(right) or left == right


def instant(text: str) -> datetime | None:
    """The moment that a text tells, in UTC where it tells no zone; None when it is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
