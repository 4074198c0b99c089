"""One scan from its announcement to its verdict. Lives in the scribe's thread.

Whatever goes wrong stays as small as it is: a channel that cannot be written costs that channel,
a plot that plot, a master file its link; only a file that cannot be opened or an entry that exists
already costs the scan.
"""

import logging
from dataclasses import replace
from enum import Enum, auto

from nexus_writer_service.errors import DatasetError, FileError, LayoutError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import ScanPlan, Trees
from nexus_writer_service.model.description import ChannelName, Content, ScanDescription
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Frames,
    Lost,
    Points,
    Prepared,
    ScanEvent,
    Scans,
    Sealed,
    Vanished,
)
from nexus_writer_service.model.states import SCAN_TRANSITIONS, ScanState
from nexus_writer_service.model.verdict import Outcome, Verdict, judge
from nexus_writer_service.service.channel_writer import ChannelWriter
from nexus_writer_service.service.scan_file import ScanFile
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.service.troubles import Troubles

_log = logging.getLogger(__name__)

FILES_PATIENCE = 10.0
"""Seconds after the end of a scan for which detector files that are not there yet are awaited."""
COMMIT_PATIENCE = 30.0
"""Seconds for which a commit that fails at the end of a scan is tried again."""
_DISK_PERIOD = 3.0
"""Seconds between two looks at the free disk space."""


class _Stage(Enum):
    ANNOUNCED = auto()
    REFUSED = auto()
    """It cannot be saved: only its end is awaited."""
    WRITING = auto()
    AWAITING_FILES = auto()
    AWAITING_COMMIT = auto()
    OVER = auto()


_ENDABLE = (_Stage.ANNOUNCED, _Stage.REFUSED, _Stage.WRITING)


class ScanWriter:
    """Turns the events of one scan into a file and a verdict.

    Args:
        scan: the scan as announced.
        around: what it shares with the other scans.
        wanted: whether this writer is to save it; if not it is only watched.
    """

    def __init__(self, scan: ScanDescription, around: Surroundings, *, wanted: bool) -> None:
        self.scan = scan
        self._around = around
        self._wanted = wanted
        self._stage = _Stage.ANNOUNCED
        self._plan: ScanPlan | None = None
        self._scan_file: ScanFile | None = None
        self._channels: dict[ChannelName, ChannelWriter] = {}
        self._troubles = Troubles(scan.name)
        self._failure: str | None = None
        self._uncommitted: str | None = None
        self._plots_due = False
        """Channels have begun since the plots were last merged."""
        self._verdict: Verdict | None = None
        self._deadline = 0.0
        self._disk_due = 0.0
        reason = "announced" if wanted else "saving is disabled: not for this writer"
        self.status = ScanStatus(
            scan.key, scan.name, scan.session, ScanState.INIT, reason, around.clock.now()
        )
        around.board.put(self.status)

    @property
    def over(self) -> bool:
        """Whether the verdict is in the file and the file was let go."""
        return self._stage is _Stage.OVER

    @property
    def file(self) -> NexusFile | None:
        """The file that holds the entries, while it is being written."""
        return self._scan_file.file if self._scan_file else None

    # ------------------------------------------------------------------------------ events

    def feed(self, event: ScanEvent) -> None:
        """Take the next event of the scan."""
        match event:
            case Announced() | Prepared():
                self._troubles.warn(*event.warnings)
                if isinstance(event, Prepared) and self._stage is _Stage.ANNOUNCED:
                    self._prepare(event.scan)
            case Points():
                self._add_points(event)
            case Frames():
                self._add_frames(event)
            case Scans():
                self._add_scans(event)
            case Sealed():
                if channel := self._channels.get(event.channel):
                    channel.published = event.length
            case Lost():
                self._lose(event)
            case Ended():
                self._troubles.warn(*event.warnings)
                if self._stage is _Stage.ANNOUNCED:
                    # It failed before it was prepared: its entry tells when and why.
                    self._prepare(event.scan)
                self._end(event.scan, FILES_PATIENCE)
            case Vanished():
                self._troubles.problems.append(event.reason)
                self._end(self.scan, FILES_PATIENCE)

    def tick(self) -> None:
        """Do what time brings: look for late files, look at the disk, tell how far it is."""
        now = self._around.clock.monotonic()
        if self._stage is _Stage.WRITING and now >= self._disk_due:
            self._disk_due = now + _DISK_PERIOD
            self._look_at_disk()
        if self._stage is _Stage.AWAITING_FILES:
            self._await_files()
        if self._stage in (_Stage.WRITING, _Stage.AWAITING_FILES):
            self._report()

    def before_commit(self) -> None:
        """Complete what the next commit is to show."""
        if self._plots_due and self._stage is _Stage.WRITING:
            self._plots_due = False
            self._merge_plots(final=False)

    def committed(self, error: FileError | None) -> None:
        """Learn how the newest commit of the file went."""
        self._uncommitted = None if error is None else str(error)
        if error is not None:
            self._troubles.warn(f"not committed yet: {error}")
        if self._stage is not _Stage.AWAITING_COMMIT:
            return
        if error is None:
            self._conclude()
        elif self._around.clock.monotonic() >= self._deadline:
            self._failure = self._failure or str(error)
            self._conclude()

    def stop(self, reason: str) -> None:
        """End the scan with what has been received; the verdict says why."""
        if self._stage is _Stage.AWAITING_FILES:
            self._deadline = 0.0
            self._await_files()
        elif self._stage in _ENDABLE:
            self._troubles.problems.append(reason)
            self._end(self.scan, patience=0.0)

    def fail(self, error: BaseException) -> None:
        """Take an error that nobody foresaw: this scan fails, all others go on."""
        _log.error("scan %s: unforeseen error", self.scan.name, exc_info=error)
        self._failure = self._failure or f"unforeseen error, please report it: {error!r}"
        self._conclude()

    def _prepare(self, scan: ScanDescription) -> None:
        self.scan = scan
        if not self._wanted:
            return
        self._around.profiler.start(scan.name)
        try:
            self._open(scan)
        except (FileError, LayoutError) as error:
            self._failure = str(error)
            self._stage = _Stage.REFUSED
            _log.error("scan %s cannot be saved: %s", scan.name, error)
            self._transit(ScanState.FAULT, self._failure)
            return
        self._stage = _Stage.WRITING
        self._transit(ScanState.ON, "accepting data")

    def _open(self, scan: ScanDescription) -> None:
        if scan.path is None:
            raise LayoutError(
                "it is to be saved but has no absolute file path: check SCAN_SAVING of the session"
            )
        around = self._around
        plan = around.layout(scan)
        self._troubles.warn(*plan.warnings, around.disk.check(plan.file))
        self._scan_file = ScanFile(plan, around.files, around.clock, around.version)
        self._plan = plan
        self._merge(plan.start(around.clock.now()))
        self._merge(plan.links)
        for name, channel in scan.channels.items():
            place = plan.places.get(name)
            if place is not None or channel.content is Content.SCANS:
                self._channels[name] = ChannelWriter(name, channel.content, place)
        for name, why in scan.unusable.items():
            self._channels[name] = ChannelWriter(name, Content.NUMBERS, None)
            self._give_up(self._channels[name], why)

    def _add_points(self, event: Points) -> None:
        channel = self._ready(event.channel)
        if channel is None or channel.place is None or self.file is None:
            return
        try:
            self.file.append(channel.place.path, event.start, event.batches)
        except DatasetError as error:
            self._give_up(channel, str(error))
            return
        channel.written += event.count
        channel.nbytes += event.nbytes

    def _add_frames(self, event: Frames) -> None:
        channel = self._ready(event.channel)
        if channel is None or channel.place is None or self.file is None:
            return
        channel.frames = event.saved if channel.place.copied else event.count
        self._catch_up(channel)
        channel.frames = event.count

    def _catch_up(self, channel: ChannelWriter) -> bool:
        """Take in frames whose files are there; tells whether some are still missing."""
        try:
            return self.file is not None and channel.catch_up(self.file)
        except DatasetError as error:
            self._give_up(channel, str(error))
            return False

    def _add_scans(self, event: Scans) -> None:
        channel = self._channels.get(event.channel)
        if channel is None or self._plan is None:
            return
        self._merge(self._plan.references(event.channel, event.references))
        channel.written += len(event.references)

    def _ready(self, name: ChannelName) -> ChannelWriter | None:
        """The channel, with its dataset in the file; None when it is not (or no longer) written."""
        channel = self._channels.get(name)
        if channel is None or channel.lost or self._stage is not _Stage.WRITING:
            return None
        return channel if channel.begun or self._begin(channel) else None

    def _begin(self, channel: ChannelWriter) -> bool:
        """Make the dataset of a channel and all that appears with its first point."""
        if self._plan is None or self._scan_file is None or channel.place is None:
            return False
        trees = self._plan.first_point(channel.name)
        problems = self._scan_file.merge(trees, warn=self._troubles.warn)
        if not self._scan_file.file.has(channel.place.path):
            self._give_up(channel, "; ".join(problems) or "its dataset could not be made")
            return False
        self._troubles.complain(problems)
        channel.begun = self._plots_due = True
        return True

    def _lose(self, event: Lost) -> None:
        channel = self._channels.get(event.channel)
        if channel is None:
            return
        if event.stop is None:
            after = f" after {event.start} points" if event.start else ""
            self._give_up(channel, f"lost{after}: {event.reason}")
        else:
            text = f"points {event.start} to {event.stop - 1} lost: {event.reason}"
            channel.problems.append(text)
            self._troubles.alarm(f"channel {channel.name}: {text}")
            self._report()

    def _give_up(self, channel: ChannelWriter, reason: str) -> None:
        channel.lose(reason)
        self._troubles.alarm(f"channel {channel.name}: {reason}; the other channels go on")
        self._report()

    # --------------------------------------------------------------------------------- end

    def _end(self, scan: ScanDescription, patience: float) -> None:
        if self._stage not in _ENDABLE:
            return
        self.scan = scan
        if self._stage is not _Stage.WRITING:
            self._conclude()
            return
        self._stage = _Stage.AWAITING_FILES
        self._deadline = self._around.clock.monotonic() + patience
        self._await_files()

    def _await_files(self) -> None:
        """Finish as soon as all detector files are there, or when patience ends."""
        missing = False
        for channel in self._channels.values():
            if channel.content is Content.IMAGES and channel.begun:
                missing = self._catch_up(channel) or missing
        if not missing or self._around.clock.monotonic() >= self._deadline:
            self._finish()

    def _finish(self) -> None:
        if self._plan is not None:
            self._merge(self._plan.finish(self.scan, self._around.clock.now()))
            self._merge_plots(final=True)
            self._verdict = self._judge()
            self._merge(self._plan.verdict(self._verdict))
            for entry in self._plan.entries:
                if self.file is not None:
                    self.file.settle(f"/{entry}")
        self._stage = _Stage.AWAITING_COMMIT
        self._deadline = self._around.clock.monotonic() + COMMIT_PATIENCE

    def _judge(self) -> Verdict:
        return judge(
            [channel.tally(self.file) for channel in self._channels.values()],
            failure=self._failure,
            problems=self._troubles.problems,
            warnings=self._troubles.warnings,
        )

    def _conclude(self) -> None:
        """The last step: let go of the file and tell the verdict."""
        if self._verdict is None or self._failure:
            self._verdict = self._judge()
        self._stage = _Stage.OVER
        self._let_go()
        self._around.profiler.stop(self.scan.name)
        if not self._wanted:
            self._transit(ScanState.OFF, self.status.reason)
            return
        complete = self._verdict.outcome is Outcome.COMPLETE
        where = " ".join(self.status.urls) or self.scan.path
        level = logging.INFO if complete else logging.WARNING
        _log.log(level, "scan %s: %s (%s)", self.scan.name, self._verdict.summary, where)
        self._transit(ScanState.OFF if complete else ScanState.FAULT, self._verdict.summary)
        self._around.record(self.status)

    def _let_go(self) -> None:
        scan_file, self._scan_file = self._scan_file, None
        if scan_file is None:
            return
        try:
            scan_file.close()
        except FileError as error:
            _log.error("scan %s: closing its file failed: %s", self.scan.name, error)

    def _merge(self, trees: Trees) -> None:
        if self._scan_file is not None:
            self._troubles.complain(self._scan_file.merge(trees, warn=self._troubles.warn))

    def _merge_plots(self, *, final: bool) -> None:
        if self._plan is None or self.file is None:
            return
        lengths = {
            channel.name: self.file.length(channel.place.path)
            for channel in self._channels.values()
            if channel.begun and channel.place is not None
        }
        self._merge(self._plan.plots(lengths, final=final))

    def _look_at_disk(self) -> None:
        if self._plan is None:
            return
        try:
            self._troubles.warn(self._around.disk.check(self._plan.file))
        except FileError as error:
            self._troubles.fault = str(error)
            self._troubles.warn(str(error))

    def _transit(self, state: ScanState, reason: str) -> None:
        if state in SCAN_TRANSITIONS[self.status.state]:
            ended = self._around.clock.now() if state.final else None
            self.status = replace(self.status, state=state, reason=reason, ended=ended)
        self._report()

    def _report(self) -> None:
        """Put a new snapshot on the board."""
        written = [channel.written for channel in self._channels.values() if channel.begun]
        self.status = replace(
            self.status,
            file=self._plan.file if self._plan else self.scan.path,
            entries=self._plan.entries if self._plan else (),
            fault=self._troubles.fault or self._uncommitted,
            fewest_points=min(written, default=0),
            most_points=max(written, default=0),
            nbytes=sum(channel.nbytes for channel in self._channels.values()),
            warnings=tuple(self._troubles.warnings),
            verdict=self._verdict if self.over else None,
        )
        self._around.board.put(self.status)
