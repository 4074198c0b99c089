"""The plan of a run: which trees to merge at which moment. Made anew whenever more is known."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Final

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.layout.bluesky import nxdata, parts
from nexus_writer_service.layout.bluesky.names import ENTRY, INSTRUMENT, STREAMS
from nexus_writer_service.layout.bluesky.options import BlueskyOptions
from nexus_writer_service.layout.bluesky.streams import values_of, with_values
from nexus_writer_service.layout.bluesky.templates import templates
from nexus_writer_service.layout.bluesky.view import View
from nexus_writer_service.layout.plan import OneFilePlan, Place, Trees
from nexus_writer_service.layout.writer_note import NOTE, RUN_ENGINE, writer_note
from nexus_writer_service.model.description import ChannelName, ScanDescription
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.run import Run
from nexus_writer_service.model.tree import Group, Node, at, merged, news
from nexus_writer_service.model.verdict import Outcome, Verdict

_IN_BLUESKY: Final = {"metadata": parts.metadata, "streams": parts.all_streams}
_IN_INSTRUMENT: Final = {
    "bluesky": parts.bluesky,
    "hinted": parts.hinted,
    "detector": parts.detectors,
    "monochromator": parts.monochromator,
    "positioner": parts.positioners,
    "source": parts.source,
}
_IN_ENTRY: Final = {"times": parts.times, "sample": parts.sample, "user": parts.user}


def plan(
    scan: ScanDescription, options: BlueskyOptions, known: Group | None = None
) -> "BlueskyPlan":
    """The plan of a run.

    Args:
        scan: the run.
        options: how its file is to look.
        known: the tree of an earlier plan of the run, which is in the file.

    Raises:
        LayoutError: it is no run, or has no absolute path.
    """
    if not isinstance(scan, Run) or scan.path is None:
        raise LayoutError(f"{scan.name} is not a Bluesky run with the path of a file")
    return BlueskyPlan(scan, options, known or Group())


class BlueskyPlan(OneFilePlan):
    """The trees of one run; a ``ScanPlan``."""

    def __init__(self, run: Run, options: BlueskyOptions, known: Group) -> None:
        self._known = known
        self._view = View(run, options)
        self._options = options
        self._file = run.path or ""
        self._given: set[ChannelName] = set()
        """Channels whose datasets somebody has got."""

    @property
    def file(self) -> str:
        """Absolute path of the file."""
        return self._file

    @property
    def entries(self) -> tuple[str, ...]:
        """Always ``entry``: a run has a file of its own."""
        return (ENTRY[1:],)

    def links(self, now: datetime) -> Trees:
        """None."""
        return {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """None at the start of a run."""
        return ()

    @cached_property
    def _values(self) -> Mapping[ChannelName, tuple[str, Group]]:
        return values_of(self._view)

    @cached_property
    def places(self) -> Mapping[ChannelName, Place]:
        """Where each channel goes."""
        return {name: Place(self._file, path) for name, (path, _) in self._values.items()}

    def root(
        self, now: datetime, versions: Mapping[str, str], file: str | None = None
    ) -> Mapping[str, str]:
        """Attributes of the root of a new file.

        Args:
            now: the moment, with zone.
            versions: as of ``NexusFile``.
            file: absolute path of the file.
        """
        found = {
            "NX_class": "NXroot",
            "file_name": file or self._file,
            "file_time": parts.moment(now),
            "creator": self._options.creator,
            "NeXus_release": self._options.nexus_release,
            "NeXus_version": self._options.nexus_release,  # its name until 2022
            "default": ENTRY[1:],
            **versions,
        }
        if self._options.instrument_name is not None:
            found["instrument"] = self._options.instrument_name
        return found

    def part(self, name: str) -> Group:
        """One part, to be merged into the group that holds it.

        Args:
            name: times, sample, user, data (into the entry); bluesky, hinted, detector,
                monochromator, positioner, source, undulator (into the instrument); metadata,
                streams (into ``bluesky``).
        """
        if name == "undulator":
            return parts.undulator(self._view) if self._options.aps else Group()
        if name == "data":
            return nxdata.data(self._view)
        return {**_IN_BLUESKY, **_IN_INSTRUMENT, **_IN_ENTRY}[name](self._view)

    def start(self, now: datetime) -> Trees:
        """All that is known by now but for values, and was not before."""
        return {self._file: with_values(news(self.tree, self._known))}

    @cached_property
    def tree(self) -> Group:
        """All that is known by now but for values."""
        inner = [self._wanted(name) for name in (*_IN_INSTRUMENT, "undulator")]
        within = [self._wanted(name) for name in _IN_BLUESKY]
        bluesky: Node = merged(*within)
        instrument = merged(*inner, Group({"bluesky": bluesky}))
        entry = merged(
            *(self._wanted(name) for name in (*_IN_ENTRY, "data")),
            Group({"instrument": instrument}),
        )
        tree = merged(at(ENTRY, self._targeted(entry)))
        note = writer_note(self._view.run.key, Verdict(Outcome.RUNNING), RUN_ENGINE)
        if not self._view.run.streams:
            tree = merged(tree, at(f"{ENTRY}/{NOTE}", note))
        return tree

    def _wanted(self, name: str) -> Group:
        return Group() if name in self._options.omitted else self.part(name)

    def _targeted(self, entry: Group) -> Group:
        instrument = entry.children["instrument"]
        if not isinstance(instrument, Group):
            raise TypeError("the instrument is a group")
        told = Group(instrument.children, {"NX_class": "NXinstrument", "target": INSTRUMENT})
        children = {**entry.children, "instrument": told}
        attributes = {"NX_class": "NXentry", "target": ENTRY, **entry.attributes}
        return Group(children, attributes)

    def first_points(self, channels: Iterable[ChannelName]) -> Trees:
        """The datasets of channels; with those of values those of their times, if there are any."""
        names = [name for one in channels for name in (one, *self._view.times_of(one))]
        fresh = [
            name
            for name in dict.fromkeys(names)
            if name in self._values and name not in self._given
        ]
        self._given.update(fresh)
        found = [self._values[name][1] for name in fresh]
        return {self._file: at(STREAMS, merged(*found))} if found else {}

    def plots(self, lengths: Mapping[ChannelName, int], *, final: bool) -> Trees:
        """The default plot; that of a grid once it is over."""
        if not final or "data" in self._options.omitted:
            return {}
        tree = at(ENTRY, nxdata.data(self._view, lengths))
        return {self._file: news(tree, self.tree)}

    def references(self, channel: ChannelName, scans: tuple[ScanReference, ...]) -> Trees:
        """None: a run knows of no others."""
        return {}

    def finish(self, scan: ScanDescription, now: datetime) -> Trees:
        """All that is known at the end."""
        last = plan(scan, self._options, self.tree)
        return last.ending() if last.only_ends(self._view.run) else last.start(now)

    def only_ends(self, earlier: Run) -> bool:
        """Whether nothing became known of a run but its end."""
        run = self._view.run
        return (
            run.start is earlier.start
            and run.streams is earlier.streams
            and run.channels is earlier.channels
        )

    def ending(self) -> Trees:
        """What a stop document tells, and was not known before."""
        instrument = Group({"instrument": self._wanted("bluesky")})
        tree = at(ENTRY, merged(self._wanted("times"), instrument))
        return {self._file: news(tree, self._known)}

    def templates(self, exists: Callable[[str], bool]) -> tuple[Group, list[str]]:
        """What the templates of the start document make, and what is wrong with them.

        Args:
            exists: whether there is an object at an absolute path.
        """
        text = self._view.run.start.get(self._options.template_key)
        return templates(text, exists) if text else (Group(), [])

    def verdict(self, verdict: Verdict) -> Trees:
        """The verdict in the writer's note."""
        note = writer_note(self._view.run.key, verdict, RUN_ENGINE)
        return {self._file: at(f"{ENTRY}/{NOTE}", note)}
