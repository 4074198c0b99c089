"""What a layout offers: the trees to write at each moment of a scan's life.

A plan is made from the description of a prepared scan. It holds no file and no clock: the moment is
an argument, and the trees are merged into files by others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nexus_writer_service.model.description import ChannelName, ScanDescription
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import Group
from nexus_writer_service.model.verdict import Verdict

Trees = Mapping[str, Group]
"""What to merge, by absolute path of the file: the file's root group."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the points of a channel go."""

    file: str
    """Absolute path."""
    path: str
    """Absolute path of the dataset inside the file."""
    copied: bool = False
    """Pixels are copied out of detector files: a frame counts once it is on disk."""
    source: ChannelName | None = None
    """The channel whose points go there, where the place has another name: it is one of several
    places of that channel."""


class ScanPlan(Protocol):
    """The trees of one scan."""

    @property
    def file(self) -> str:
        """Absolute path of the file that holds the entries."""

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the scan's entries in ``file``, e.g. ``("4.1",)``.

        Those that exist before must be of this very scan.
        """

    @property
    def further(self) -> Mapping[str, tuple[str, ...]]:
        """Other files that hold what was published, by absolute path: the entries in each.

        Like ``entries``, those that exist before must be of this very scan.
        """

    @property
    def problems(self) -> tuple[str, ...]:
        """What will be missing in the files because it cannot be laid out."""

    def links(self, now: datetime) -> Trees:
        """Links to the entries in other files (masters); a failure there costs no data.

        Args:
            now: the moment, with zone.
        """

    @property
    def places(self) -> Mapping[ChannelName, Place]:
        """Where each channel goes; a channel that is not here is not to be saved.

        A channel with several places has further names for them [``Place.source``], which
        ``first_points`` knows, too.
        """

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the layout: collisions of names, missing metadata."""

    def root(
        self, now: datetime, versions: Mapping[str, str], file: str | None = None
    ) -> Mapping[str, str]:
        """Attributes of the root of a new file.

        Args:
            now: the moment, with zone.
            versions: HDF5_Version, h5py_version and creator_version.
            file: absolute path of the file; by default the one with the entries.
        """

    def start(self, now: datetime) -> Trees:
        """What is written when the scan is prepared: the entries and all that is known by then."""

    def first_points(self, channels: Iterable[ChannelName]) -> Trees:
        """What appears with the first points of channels: datasets, devices, links to them.

        For all at once it is the same as for one after the other.
        """

    def plots(self, lengths: Mapping[ChannelName, int], *, final: bool) -> Trees:
        """The plots that can be shown.

        Args:
            lengths: points written of each channel that has any.
            final: no more points will come, so plots that need all of them can be made.
        """

    def references(self, channel: ChannelName, scans: tuple[ScanReference, ...]) -> Trees:
        """What is written for the scans of a sequence."""

    def finish(self, scan: ScanDescription, now: datetime) -> Trees:
        """What is written at the end: end time and reason, last metadata.

        Args:
            scan: the description with its end.
            now: the moment, with zone.
        """

    def verdict(self, verdict: Verdict) -> Trees:
        """The verdict, for the record in the entry."""


class OneFilePlan:
    """What plans share whose points all go to one file."""

    @property
    def further(self) -> Mapping[str, tuple[str, ...]]:
        """No other file has points."""
        return {}

    @property
    def problems(self) -> tuple[str, ...]:
        """Nothing of a description cannot be laid out."""
        return ()
