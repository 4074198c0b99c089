"""Bad input: what a writer meets when a publisher is old, broken or killed."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with one scan. Channels are given by full name.

    blissdata refuses to publish most of this, so a scan with faults is always published through a
    pipeline.
    """

    without: tuple[str, ...] = ()
    """Keys missing from the scan info, ``title`` or, deeper, ``nexuswriter.devices``."""
    info: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the scan info with other values than BLISS would give."""
    encodings: Mapping[str, Json] = field(default_factory=dict)
    """What streams say of their encoding instead of the truth, ``{"type": "morse"}``."""
    stream_info: Mapping[str, Json] = field(default_factory=dict)
    """What is changed in the info of streams, ``{"ctl:a": {"plugin": "unknown"}}``."""
    garbage: Mapping[str, int] = field(default_factory=dict)
    """Points whose entry has three bytes too few."""
    trimmed: Mapping[str, int] = field(default_factory=dict)
    """Streams that lose the entries before a point in the moment in which they get them."""
    unsealed: frozenset[str] = frozenset()
    """Streams that nobody ever seals."""
    unclosed: bool = False
    """The publisher is killed after the last point: nothing is sealed, stopped or closed."""

    def on_info(self, info: dict[str, Json]) -> dict[str, Json]:
        """The scan info as this publisher gives it."""
        changed = deepcopy(info) | dict(self.info)
        for path in self.without:
            *parents, key = path.split(".")
            place = changed
            for parent in parents:
                place = place.get(parent, {})
            place.pop(key, None)
        return changed
