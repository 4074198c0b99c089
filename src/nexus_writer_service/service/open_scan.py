"""A scan whose file is open: what its plan says and its channels get is brought into the file."""

import logging
from collections.abc import Sequence

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import Trees
from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.model.events import Extended
from nexus_writer_service.model.verdict import ChannelTally, Outcome, Verdict
from nexus_writer_service.service.channels import ChannelEvent, Channels
from nexus_writer_service.service.scan_file import ScanFile
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.service.troubles import Troubles

_log = logging.getLogger(__name__)


class OpenScan:
    """The entries of one scan, from the opening of its file until it is let go.

    Args:
        scan: the scan as prepared; has a path.
        around: what it shares with the other scans.
        troubles: told what goes wrong.

    Raises:
        FileError: its file cannot be opened or made.
        EntryExistsError: an entry exists and is not of this scan.
        LayoutError: the description cannot become a file tree.
    """

    def __init__(self, scan: ScanDescription, around: Surroundings, troubles: Troubles) -> None:
        self._around = around
        self._troubles = troubles
        self._plan = around.layout(scan)
        troubles.warn(*self._plan.warnings)
        troubles.warn(*(around.disk.check(one) for one in (self._plan.file, *self._plan.further)))
        self._scan_file: ScanFile | None = ScanFile(
            self._plan, scan.key, around.files, around.clock, around.version
        )
        self.note = self._scan_file.note
        """What an earlier writer said of the scan."""
        self._channels: Channels | None = None
        self._last_commits: dict[NexusFile, int] = {}
        """Which commit of each file has all of the scan."""
        try:
            if self.note is None or not self.note.over:
                self._channels = self._begin(scan, self._scan_file)
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------------------ what is there

    @property
    def file(self) -> NexusFile | None:
        """The file with the entries, until it is let go."""
        return self._scan_file.file if self._scan_file else None

    @property
    def files(self) -> tuple[NexusFile, ...]:
        """All files that it has open, that one first."""
        return self._scan_file.files if self._scan_file else ()

    @property
    def path(self) -> str:
        """Absolute path of the file with the entries."""
        return self._plan.file

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries."""
        return self._plan.entries

    @property
    def channels(self) -> Channels | None:
        """The channels; None when the scan was over before."""
        return self._channels

    def tallies(self) -> tuple[ChannelTally, ...]:
        """The accounts of all channels."""
        return self._channels.tallies() if self._channels else ()

    def look_around(self) -> str | None:
        """Try again to link from files that were in use; see whether there is room.

        Returns:
            Why nothing more can be written; None while there is enough room on the disk.
        """
        if self._scan_file is not None:
            self._scan_file.link_again()
        try:
            for path in (self.path, *self._plan.further):
                self._troubles.warn(self._around.disk.check(path))
        except FileError as error:
            self._troubles.warn(str(error))
            return str(error)
        return None

    def shows(self) -> bool:
        """Whether readers see the newest commit, which those that stay in the file can delay.

        To be asked only when nothing more comes in: the commit that is meant is that of the first
        time.
        """
        for file in self.files:
            self._last_commits.setdefault(file, file.commits)
        return all(file.shown >= self._last_commits[file] for file in self.files)

    # ------------------------------------------------------------------------------ what comes in

    def take(self, events: Sequence[ChannelEvent]) -> None:
        """Take what happened to channels, in order."""
        if self._channels is not None:
            self._channels.take(events)

    def extend(self) -> None:
        """Take in more of the images that are there while the detector is at work."""
        if self._channels is not None:
            self._channels.extend()

    def catch_up(self) -> bool:
        """Take in images whose files have come by now; tells whether some are still missing."""
        return self._channels is not None and self._channels.catch_up()

    def skip_missing(self) -> bool:
        """Give up images that cannot be had, so that those behind them come in.

        Returns:
            Whether there were any, so that ``catch_up`` can go on.
        """
        if self._channels is None or not self._channels.skip_missing():
            return False
        # With the frames behind them: a writer that goes on must know of the gap.
        self.say(Verdict(Outcome.RUNNING, channels=self.tallies()))
        return True

    @property
    def frames(self) -> int:
        """Images that are in the file, or known not to be had."""
        return self._channels.frames if self._channels else 0

    def remarks(self) -> tuple[str, ...]:
        """What is odd about what came in, although nothing is missing."""
        return self._channels.unequal_lengths() if self._channels else ()

    def before_commit(self) -> None:
        """Complete what the next commit is to show."""
        channels = self._channels
        if channels is None:
            return
        if channels.plots_due:
            channels.plots_due = False
            self._merge_plots(final=False)
        if channels.note_due:
            channels.note_due = False
            self.say(Verdict(Outcome.RUNNING, channels=channels.tallies()))

    def describe(self, event: Extended) -> None:
        """More is known of the scan: its plan is made anew, and what is in the file stays."""
        self._troubles.warn(*event.warnings)
        self._troubles.complain(list(event.problems))
        self._plan = self._around.layout(event.scan)
        self._merge(self._plan.start(self._around.clock.now()))
        if self._channels is not None:
            self._channels.describe(event.scan, self._plan)

    def finish(self, scan: ScanDescription) -> None:
        """Write the end of the entries, but for the verdict.

        Args:
            scan: the description with its end.
        """
        known = self._plan.problems
        self._merge(self._plan.finish(scan, self._around.clock.now()))
        self._troubles.warn(*self._plan.warnings)
        self._troubles.complain([text for text in self._plan.problems if text not in known])
        self._merge_plots(final=True)
        if self._scan_file is not None:
            self._troubles.complain(self._around.finish(scan, self._scan_file.file))
        if self._scan_file is not None:
            self._troubles.warn(*self._scan_file.link_again())

    def say(self, verdict: Verdict) -> None:
        """Say in the file how far the scan is, or what became of it."""
        self._merge(self._plan.verdict(verdict))

    def settle(self) -> None:
        """Nothing more will come in: the next commit completes the datasets."""
        if self._scan_file is not None:
            self._scan_file.settle()

    def close(self) -> None:
        """Let go of the file; what goes wrong is told in the log."""
        scan_file, self._scan_file = self._scan_file, None
        if scan_file is None:
            return
        try:
            scan_file.close()
        except FileError as error:
            _log.error("%s: to let it go failed: %s", self.path, error)

    # ------------------------------------------------------------------------------ inside

    def _begin(self, scan: ScanDescription, scan_file: ScanFile) -> Channels:
        self._troubles.complain([*self._plan.problems, *scan_file.refusals])
        self._merge(self._plan.start(self._around.clock.now()))
        scan_file.link(self._plan.links(self._around.clock.now()))
        channels = Channels(scan, self._plan, scan_file, self._troubles)
        if self.note is not None:
            channels.go_on_from(self.note.verdict)
        return channels

    def _merge(self, trees: Trees) -> None:
        if self._scan_file is not None:
            self._troubles.complain(self._scan_file.merge(trees, warn=self._troubles.warn))

    def _merge_plots(self, *, final: bool) -> None:
        if self._channels is not None:
            self._merge(self._plan.plots(self._channels.lengths(), final=final))
