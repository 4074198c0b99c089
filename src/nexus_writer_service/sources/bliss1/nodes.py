"""What Redis holds of a node: its hash, its info, its children, whose changes are streams.

Keys of the node ``name`` [blissdata 0.3]: ``name`` (what it is), ``name_info`` (pickled values),
``name_children_list``, ``name_data``, ``name_prepared``, ``name_end`` (streams). Each stream is
made with an entry that is no event and goes again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.sources.bliss1.pickles import is_pickle, load

Entry = list[Any]
"""``[id, [field, value, field, value...]]``, all bytes, as the server sends it."""

SCANS = ("scan", "scan_group")
CHANNELS = ("channel", "lima", "node_ref_channel")
_SNAPSHOT = "dataset_metadata_snapshot"
"""Where the scan info of BLISS 2 has the metadata of a dataset."""
PREPARED, END = "PREPARED_SCAN", "END_SCAN"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree."""

    db_name: str
    """Its key in Redis: the names of all nodes above it, and its own, separated by ":"."""
    kind: str
    """``scan``, ``scan_group``, ``channel``, ``lima``, ``node_ref_channel``, or a container."""
    name: str
    """Its own name: that of a scan is ``<number>_<type>``, that of a channel its full name."""

    @staticmethod
    def decoded(db_name: str, fields: Mapping[bytes, bytes]) -> "Node | None":
        """A node out of its hash; None when Redis does not hold it."""
        if b"node_type" not in fields:
            return None
        kind = fields[b"node_type"].decode(errors="replace")
        name = fields.get(b"name", b"").decode(errors="replace")
        return Node(db_name, kind, name or db_name.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Info:
    """The info of a node, and what of it cannot be used."""

    content: Mapping[str, Any]
    warnings: tuple[str, ...] = field(default=())

    def below(self, *above: "Info") -> "Info":
        """The info of a scan that also has the metadata of its dataset.

        Args:
            above: infos of the nodes above it, the next one first, whose word counts.
        """
        metadata: dict[str, Any] = {}
        for info in above:
            said = {name: one for name, one in info.content.items() if not name.startswith("__")}
            metadata = {**said, **metadata}
        known = self.content.get(_SNAPSHOT)
        if isinstance(known, Mapping):
            metadata |= known
        return Info(
            {**self.content, _SNAPSHOT: metadata} if metadata else self.content, self.warnings
        )

    @staticmethod
    def decoded(key: str, fields: Mapping[bytes, bytes]) -> "Info":
        """The values of a hash; those that cannot be read are left out, each with a warning."""
        content: dict[str, Any] = {}
        warnings: list[str] = []
        for name, value in fields.items():
            text = name.decode(errors="replace")
            try:
                content[text] = value_of(value)
            except DecodeError as error:
                warnings.append(f"{text!r} of {key} in Redis is left out: {error}")
        return Info(content, tuple(warnings))


def value_of(value: bytes) -> Any:
    """A value as BLISS 1 keeps it: a pickle, or text.

    Raises:
        DecodeError: a pickle that holds anything but what scans are made of.
    """
    return load(value) if is_pickle(value) else value.decode(errors="replace")


def fields_of(answer: Any) -> dict[bytes, bytes]:
    """The fields of a hash, or of an entry, out of a flat list; empty for anything else."""
    if not isinstance(answer, Sequence):
        return {}
    return dict(zip(answer[::2], answer[1::2], strict=False))


def children_of(entries: Sequence[Entry]) -> list[str]:
    """The nodes that a stream of children tells, each once: BLISS may tell a child twice."""
    found = (fields_of(entry[1]) for entry in entries)
    names = (one[b"db_name"] for one in found if one.get(b"__EVENT__") == b"NEW_NODE")
    return list(dict.fromkeys(name.decode(errors="replace") for name in names))


def event_of(entry: Entry) -> str:
    """What an entry tells: ``CHANNELDATA``...; empty for one that is no event."""
    return fields_of(entry[1]).get(b"__EVENT__", b"").decode(errors="replace")


def field_of(entry: Entry, name: bytes) -> bytes:
    """The value of a field of an entry.

    Raises:
        DecodeError: the entry has no such field.
    """
    fields = entry[1]
    for position in range(0, len(fields), 2):
        if fields[position] == name:
            value: bytes = fields[position + 1]
            return value
    raise DecodeError(f"the field {name.decode()} is missing")
