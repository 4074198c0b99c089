"""Names in an ESRF entry: short, made of plain characters, and never used twice.

Names of devices and datasets are part of what BLISS publishes: readers that fall back from Redis to
the file look for a channel at the path that follows from these rules.
"""

import re
from collections import Counter
from collections.abc import Container, Iterable
from functools import lru_cache

_NOT_PLAIN = re.compile(r"[^a-zA-Z0-9_]+")


def normalized(name: str) -> str:
    """The name with every run of characters other than letters, digits and "_" as one "_"."""
    return _NOT_PLAIN.sub("_", name)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """The shortest endings of names that tell them apart; parts are separated by ":".

    The last part is taken where nobody else has it, for the rest the last two parts, and so on:
    ``a:b:c, a:b:d, c`` become ``b:c, d, c``.
    """
    parts = {name: name.split(":") for name in names}
    found: dict[str, str] = {}
    for count in range(1, max(map(len, parts.values()), default=0) + 1):
        candidates = {n: ":".join(p[-count:]) for n, p in parts.items() if n not in found}
        uses = Counter([*candidates.values(), *found.values()])
        found |= {name: short for name, short in candidates.items() if uses[short] == 1}
    return {name: found.get(name, name) for name in parts}


def matches(channel: str, wanted: str) -> bool:
    """Whether a name that may lack its beginning means a channel, part by part from the end.

    ``diode1`` and ``controller:diode1`` mean ``simulation_controller:diode1``, ``xmap:det0`` means
    ``xmap:spectrum_det0``.
    """
    parts = channel.replace(".", ":").split(":")
    ends = wanted.replace(".", ":").split(":")
    return 0 < len(ends) <= len(parts) and all(
        part.endswith(end) for part, end in zip(reversed(parts), reversed(ends), strict=False)
    )


def unique_name(name: str, taken: Container[str]) -> str:
    """The name itself, or with the first number from 2 on that makes it new."""
    number = 2
    unique = name
    while unique in taken:
        unique = f"{name}_{number}"
        number += 1
    return unique


@lru_cache(maxsize=4096)  # each snapshot of positions has the names of all motors
def item_name(key: str) -> str:
    """A metadata key as the name of an HDF5 item or attribute.

    HDF5 keeps "/" and "." for paths and ends names at a zero byte.
    """
    name = key.replace("/", "_").replace("\0", "").encode("utf-8", "replace").decode()
    return "_" if name in ("", ".", "..") else name
