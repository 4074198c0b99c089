"""What a template can ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from nexus_writer_service.model.description import Channel, Json, ScanDescription


class When(StrEnum):
    """When a value is written."""

    START = "start"
    """When the scan is prepared."""
    END = "end"
    """When it has ended."""
    ALWAYS = "always"
    """At the start, and again with the value of the end."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is the same for every scan."""

    value: Json
    when: When = When.START


@dataclass(frozen=True, slots=True)
class Metadata:
    """A value that is announced with the scan."""

    path: str
    """Names from outside in, with slashes between: ``sample/name``."""
    when: When = When.ALWAYS
    default: Json = None
    """Where the scan says nothing; None: it is left out then."""
    optional: bool = False
    """Whether nobody is to be told that it is left out."""


@dataclass(frozen=True, slots=True)
class ChannelData:
    """A link to the dataset of a channel, made with its first point."""

    pattern: str
    device: bool = False
    """Link to the group of its device instead."""
    optional: bool = False
    """Whether the template is for scans without this channel, too."""

    def matches(self, channel: Channel) -> bool:
        """Whether this channel is meant: its name, the last part of it, or its displayed name."""
        names = {
            channel.name,
            channel.name.rpartition(":")[2],
            channel.display_name or channel.name,
        }
        return any(fnmatchcase(one, self.pattern) for one in names)


@dataclass(frozen=True, slots=True)
class Link:
    """A link to what the default layout writes: made once that is there."""

    target: str
    """Path inside the entry."""


@dataclass(frozen=True, slots=True)
class Items:
    """A group: its class, its attributes, and what is in it."""

    nx_class: str = ""
    """Empty for the entry itself."""
    attributes: Mapping[str, Json] = field(default_factory=dict)
    children: Mapping[str, "Item"] = field(default_factory=dict)
    attributes_of: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Attributes of those of the children that are values, by name."""

    @property
    def channels(self) -> tuple[ChannelData, ...]:
        """The channels that are right in this group."""
        return tuple(one for one in self.children.values() if isinstance(one, ChannelData))

    def all(self) -> Iterator["Item"]:
        """Everything in this group and in those below."""
        for one in self.children.values():
            yield one
            if isinstance(one, Items):
                yield from one.all()


Item = Constant | Metadata | ChannelData | Link | Items


@dataclass(frozen=True, slots=True)
class Template:
    """What is added to the entries of which scans."""

    name: str
    """For messages."""
    entry: Items
    titles: tuple[str, ...] = ()
    """Patterns of scan titles, of which one must match; empty: any title will do."""
    names: tuple[str, ...] = ()
    """The same for names of scans, e.g. ``4_ascan``."""
    sessions: tuple[str, ...] = ()
    """The same for names of sessions."""

    def is_for(self, scan: ScanDescription) -> bool:
        """Whether it is meant for a scan, whatever its channels are."""
        said = (
            (self.titles, scan.title or ""),
            (self.names, scan.name),
            (self.sessions, scan.session),
        )
        return all(
            not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
            for patterns, text in said
        )

    @property
    def channels(self) -> tuple[ChannelData, ...]:
        """All channels that it names."""
        return tuple(one for one in self.entry.all() if isinstance(one, ChannelData))
