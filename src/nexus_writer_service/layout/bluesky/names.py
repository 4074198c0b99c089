"""Names of streams and data keys as names of HDF5 objects, and where their values are."""

from collections.abc import Iterable, Mapping
from typing import Final

ENTRY: Final = "/entry"
INSTRUMENT: Final = f"{ENTRY}/instrument"
BLUESKY: Final = f"{INSTRUMENT}/bluesky"
METADATA: Final = f"{BLUESKY}/metadata"
STREAMS: Final = f"{BLUESKY}/streams"


def object_names(keys: Iterable[str]) -> Mapping[str, str]:
    """An HDF5 name for each key: the key itself but for what HDF5 forbids; all are different.

    "/" becomes "_": it would make groups. A name depends only on the keys before, so that it stays
    when more keys come.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for key in dict.fromkeys(keys):
        name = base = _legal(key)
        number = 2
        while name in taken:
            name = f"{base}_{number}"
            number += 1
        taken.add(name)
        found[key] = name
    return found


def _legal(key: str) -> str:
    name = key.replace("/", "_").replace("\0", "").encode("utf-8", "replace").decode()
    return name if name.strip(".") else f"_{len(name)}"
