"""All channels of a scan that are to be saved: events in, datasets and accounts out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import ScanPlan
from nexus_writer_service.model.description import Channel, ChannelName, Content, ScanDescription
from nexus_writer_service.model.events import Frames, Located, Lost, Points, Scans, Sealed
from nexus_writer_service.model.verdict import ChannelTally, Verdict
from nexus_writer_service.service.channel_writer import ChannelWriter
from nexus_writer_service.service.scan_file import ScanFile
from nexus_writer_service.service.status import Progress
from nexus_writer_service.service.troubles import Troubles

_MOST_NAMED: Final = 3
"""Channels that are named of many that are alike."""

_MOST_SKIPPED: Final = 100
"""Files that are given up at once: other scans of the process wait meanwhile."""

ChannelEvent = Points | Located | Frames | Scans | Sealed | Lost

_OF_FILES = (Content.IMAGES, Content.LOCATED)


class Channels:
    """The channels of one scan; what goes wrong with one of them costs that one.

    Args:
        scan: the scan as prepared.
        plan: of the scan.
        scan_file: where its entries are.
        troubles: told what goes wrong.
    """

    def __init__(
        self, scan: ScanDescription, plan: ScanPlan, scan_file: ScanFile, troubles: Troubles
    ) -> None:
        self._plan = plan
        self._scan_file = scan_file
        self._troubles = troubles
        self._all: dict[ChannelName, ChannelWriter] = {}
        """By name of the place, which is that of the channel but for further places of one."""
        self._of_channel: dict[ChannelName, list[ChannelWriter]] = {}
        self._known: Mapping[ChannelName, Channel] = {}
        self.plots_due = False
        """Channels have begun since somebody looked."""
        self.note_due = False
        """The file is to be told what cannot be seen from its datasets."""
        self._include(scan)
        for name, why in scan.unusable.items():
            self._all[name] = ChannelWriter(name, Content.NUMBERS, None)
            self._give_up(self._all[name], why)
        for channel in list(self._all.values()):
            if channel.place is not None and (said := scan_file.refusal(channel.place)):
                self._give_up(channel, said)

    def describe(self, scan: ScanDescription, plan: ScanPlan) -> None:
        """Take in what is new of a scan that goes on; see ``Extended``."""
        before, self._plan = self._known, plan
        self._include(scan)
        for name, channel in scan.channels.items():
            known, writer = before.get(name), self._all.get(name)
            if known is None or writer is None or not writer.begun:
                continue
            if (known.dtype, known.shape) != (channel.dtype, channel.shape):
                self._begin([writer])

    def _include(self, scan: ScanDescription) -> None:
        self._known = scan.channels
        for name, channel in scan.channels.items():
            place = self._plan.places.get(name)
            if name not in self._all and (place is not None or channel.content is Content.SCANS):
                self._add(ChannelWriter(name, channel.content, place, channel.aside), name)
        for name, place in self._plan.places.items():
            if place.source is not None and name not in self._all:
                content = scan.channels[place.source].content
                self._add(ChannelWriter(name, content, place, aside=True), place.source)
        self._subscans = _by_subscan(scan, self._all)

    def _add(self, writer: ChannelWriter, source: ChannelName) -> None:
        self._all[writer.name] = writer
        self._of_channel.setdefault(source, []).append(writer)

    # ------------------------------------------------------------------------------ events

    def go_on_from(self, verdict: Verdict) -> None:
        """Go on with what an earlier writer left in the file.

        Args:
            verdict: the one of its note.
        """
        for tally in verdict.channels:
            if channel := self._all.get(tally.channel):
                channel.go_on_from(tally)
        self.note_due = True  # the start of the scan, merged again, said nothing of gaps
        self._begin(
            channel
            for channel in self._all.values()
            if channel.place
            and not channel.lost
            and self._scan_file.file_of(channel.place).has(channel.place.path)
        )

    def take(self, events: Sequence[ChannelEvent]) -> None:
        """Take what happened to channels; those that are not to be saved are passed over.

        Channels that get their first points begin together, which is cheaper than one by one.
        """
        if len(events) > 1:
            self._begin_together(events)
        for event in events:
            for channel in self._of_channel.get(event.channel, ()):
                self._take(channel, event)

    def _take(self, channel: ChannelWriter, event: ChannelEvent) -> None:
        match event:
            case Points():
                self._add_points(channel, event)
            case Located():
                self._add_located(channel, event)
            case Frames():
                self._add_frames(channel, event)
            case Scans():
                self._add_scans(channel, event)
            case Sealed():
                channel.published = event.length
            case Lost():
                self._lose(channel, event)

    def extend(self) -> None:
        """Take in more of the images that are there while the scan goes on."""
        for channel in self._images:
            if channel.reached < channel.available:
                self._extend(channel)

    def catch_up(self) -> bool:
        """Take in images whose files have come by now; tells whether some are still missing."""
        missing = False
        for channel in self._images:
            missing = self._catch_up(channel) or missing
        return missing

    def skip_missing(self) -> bool:
        """Give up images that are awaited, up to the next ones that can be had.

        Tells whether there were any. Not all at once where there are many.
        """
        skipped = False
        for channel in self._images:
            for _ in range(_MOST_SKIPPED):
                gap = channel.skip_missing(self._file(channel))
                if gap is None:
                    break
                skipped = True
                self._catch_up(channel)
                if channel.reached > gap.stop:
                    break
        return skipped

    @property
    def frames(self) -> int:
        """Frames that are in the file, or known not to be had."""
        return sum(channel.reached for channel in self._images)

    # ------------------------------------------------------------------------------ accounts

    def tallies(self) -> tuple[ChannelTally, ...]:
        """The accounts of all channels."""
        found = [(one.aside, one.tally(self._file(one))) for one in self._all.values()]
        return tuple(tally for aside, tally in found if not (aside and tally.complete))

    def lengths(self) -> Mapping[ChannelName, int]:
        """Points of each channel that has a dataset, lost ones included."""
        return {
            channel.name: self._scan_file.file_of(channel.place).length(channel.place.path)
            for channel in self._all.values()
            if channel.begun and channel.place is not None
        }

    def unequal_lengths(self) -> tuple[str, ...]:
        """For each entry whose channels differ in length, a text that says so.

        They stay as they are: to cut the longer ones would lose data, to fill up the shorter ones
        would invent some. Detectors of another rate than the motors' differ rightly.
        """
        entries: dict[str, dict[int, list[str]]] = {}
        for channel in self._all.values():
            if channel.place is not None and not channel.lost:
                lengths = entries.setdefault(channel.place.path.split("/")[1], {})
                lengths.setdefault(channel.reached, []).append(channel.name)
        return tuple(
            f"the channels of entry {entry} differ in length: "
            + "; ".join(_of_one_length(n, lengths[n]) for n in sorted(lengths, reverse=True))
            for entry, lengths in entries.items()
            if len(lengths) > 1
        )

    def progress(self) -> tuple[Progress, ...]:
        """Points written of each subscan, over its channels."""
        return tuple(
            Progress(name, min(written), max(written))
            for name, names in self._subscans.items()
            if (written := [self._all[one].written for one in names])
        )

    @property
    def nbytes(self) -> int:
        """Bytes received."""
        return sum(channel.nbytes for channel in self._all.values())

    # ------------------------------------------------------------------------------ one channel

    def _add_points(self, channel: ChannelWriter, event: Points) -> None:
        if channel.place is None or not self._ready(channel):
            return
        file = self._scan_file.file_of(channel.place)
        try:
            if event.again:
                file.replace(channel.place.path, event.start, event.batches)
            else:
                file.append(channel.place.path, event.start, event.batches)
        except DatasetError as error:
            self._give_up(channel, str(error))
            return
        channel.take(event.start, event.count)
        channel.nbytes += event.nbytes

    def _add_frames(self, channel: ChannelWriter, event: Frames) -> None:
        if channel.place is None or not self._ready(channel):
            return
        channel.frames, channel.saved = event.count, event.saved
        self._extend(channel)

    def _add_located(self, channel: ChannelWriter, event: Located) -> None:
        if channel.place is None or not self._ready(channel):
            return
        try:
            file = self._scan_file.file_of(channel.place)
            file.locate(channel.place.path, event.start, event.blocks)
        except DatasetError as error:
            self._give_up(channel, str(error))
            return
        channel.take(event.start, event.count)

    def _add_scans(self, channel: ChannelWriter, event: Scans) -> None:
        trees = self._plan.references(event.channel, event.references)
        self._troubles.complain(self._scan_file.merge(trees, warn=self._troubles.warn))
        channel.take(event.start, len(event.references))
        self.note_due = True

    @property
    def _images(self) -> list[ChannelWriter]:
        """The channels of images, or other values in files, that have begun."""
        return [one for one in self._all.values() if one.content in _OF_FILES and one.begun]

    def _file(self, channel: ChannelWriter) -> NexusFile:
        """The file that a channel goes to; the scan's own for one that has no place."""
        place = channel.place
        if place is None or self._scan_file.refusal(place):
            return self._scan_file.file
        return self._scan_file.file_of(place)

    def _extend(self, channel: ChannelWriter) -> None:
        try:
            channel.extend(self._file(channel), channel.available)
        except DatasetError as error:
            self._give_up(channel, str(error))

    def _catch_up(self, channel: ChannelWriter) -> bool:
        try:
            return channel.catch_up(self._file(channel))
        except DatasetError as error:
            self._give_up(channel, str(error))
            return False

    def _ready(self, channel: ChannelWriter) -> bool:
        """Whether a channel is (still) written; its dataset is in the file then."""
        if not channel.lost and not channel.begun:
            self._begin([channel])
        return channel.begun and not channel.lost

    def _begin_together(self, events: Sequence[ChannelEvent]) -> None:
        """Begin the channels that have first points among events; not beyond a loss."""
        met = takewhile(lambda event: not isinstance(event, Lost), events)
        names = dict.fromkeys(event.channel for event in met if isinstance(event, Points))
        known = [one for name in names for one in self._of_channel.get(name, ())]
        self._begin([one for one in known if one.place and not one.begun and not one.lost])

    def _begin(self, channels: Iterable[ChannelWriter]) -> None:
        """Make the datasets of channels and all that appears with their first points."""
        places = {one.name: (one, one.place) for one in channels if one.place}
        if not places:
            return
        trees = self._plan.first_points(places)
        problems = self._scan_file.merge(trees, warn=self._troubles.warn)
        self.plots_due = True
        for channel, place in places.values():
            try:
                channel.found(self._scan_file.file_of(place).length(place.path))
                channel.begun = True
            except DatasetError as error:
                # Merged again alone, to tell its problems from those of the others.
                trees = self._plan.first_points([channel.name])
                own = self._scan_file.merge(trees, warn=self._troubles.warn)
                problems = [text for text in problems if text not in own]
                self._give_up(channel, "; ".join(own) or str(error))
        self._troubles.complain(problems)

    def _lose(self, channel: ChannelWriter, event: Lost) -> None:
        if event.stop is None:
            count = max(event.start, channel.reached)
            after = f" after {count} points" if count else ""
            self._give_up(channel, f"lost{after}: {event.reason}")
        elif gap := channel.skip(event.stop, event.reason):
            self.note_due = True
            self._troubles.alarm(f"channel {channel.name}: {gap.text}")

    def _give_up(self, channel: ChannelWriter, reason: str) -> None:
        channel.lose(reason)
        self._troubles.alarm(f"channel {channel.name}: {reason}; the other channels go on")


def _of_one_length(length: int, names: list[str]) -> str:
    """Some of the channels of one length."""
    more = len(names) - _MOST_NAMED
    shown = ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{length} points of {shown}"


def _by_subscan(
    scan: ScanDescription, channels: Iterable[ChannelName]
) -> Mapping[str, list[ChannelName]]:
    """The channels of each subscan, as their entries have them: by name of the subscan.

    Those that no device of the chain has count for the first one.
    """
    names = sorted(subscan.name for subscan in scan.subscans) or [""]
    owners = {
        channel: subscan.name
        for subscan in sorted(scan.subscans, key=lambda one: one.name, reverse=True)
        for key in subscan.devices
        if key in scan.devices
        for channel in scan.devices[key].channels
    }
    found: dict[str, list[ChannelName]] = {name: [] for name in names}
    for channel in channels:
        found[owners.get(channel, names[0])].append(channel)
    return found
