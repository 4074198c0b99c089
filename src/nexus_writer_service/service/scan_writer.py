"""One scan from its announcement to its verdict. Lives in the scribe's thread.

Whatever goes wrong stays as small as it is: a channel that cannot be written costs that channel,
a plot that plot, a master file its link; only a file that cannot be opened or an entry of somebody
else costs the scan.

A scan is told from its beginning, also to a writer that was started again. How far it is, is read
from the file: the writer's note in the entry says whose it is and whether it is over, the length of
a dataset how many of its points are there.
"""

import logging
from datetime import timedelta
from enum import Enum, auto

from nexus_writer_service.errors import EntryExistsError, FileError, LayoutError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import ScanPlan, Trees
from nexus_writer_service.layout.writer_note import WriterNote
from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Extended,
    Prepared,
    ScanEvent,
    Vanished,
)
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome, Verdict, judge
from nexus_writer_service.service.channels import Channels
from nexus_writer_service.service.scan_file import ScanFile
from nexus_writer_service.service.scan_report import ScanReport
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.service.troubles import Troubles

_log = logging.getLogger(__name__)

COMMIT_PATIENCE = 600.0
"""Seconds for which a commit that fails at the end of a scan is tried again: time to make room."""
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
        self._found_over = scan.end_reason is not None
        """It ended before this writer learned of it: another program may have saved it."""
        self._stage = _Stage.ANNOUNCED
        self._plan: ScanPlan | None = None
        self._scan_file: ScanFile | None = None
        self._channels: Channels | None = None
        self._troubles = Troubles(scan.name)
        self._failure: str | None = None
        self._uncommitted: str | None = None
        self._suspended: str | None = None
        self._verdict: Verdict | None = None
        self._last_commit: int | None = None
        """Which commit of the file has all of the scan."""
        self._deadline = 0.0
        self._disk_due = 0.0
        self._disk_full: str | None = None
        reason = "announced" if wanted else "saving is disabled: not for this writer"
        self._shown = ScanReport(scan, around, recorded=wanted, reason=reason)

    @property
    def status(self) -> ScanStatus:
        """The newest snapshot."""
        return self._shown.status

    @property
    def over(self) -> bool:
        """Whether the file was let go: nothing more becomes of the scan here."""
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
            case Ended():
                self._troubles.warn(*event.warnings)
                if self._stage is _Stage.ANNOUNCED:
                    # It failed before it was prepared: its entry tells when and why.
                    self._prepare(event.scan)
                self._end(event.scan, self._around.files_patience)
            case Vanished():
                self._end_early(event.reason, self._around.files_patience)
            case Extended():
                self._extend(event)
            case _:
                if self._channels is not None and self._stage is _Stage.WRITING:
                    self._channels.take(event)
                    if self._fault() != self.status.fault:
                        self._report()

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
        if self._channels is None or self._plan is None or self._stage is not _Stage.WRITING:
            return
        if self._channels.plots_due:
            self._channels.plots_due = False
            self._merge_plots(final=False)
        if self._channels.note_due:
            self._channels.note_due = False
            self._note(Verdict(Outcome.RUNNING, channels=self._channels.tallies()))

    def committed(self, error: FileError | None) -> None:
        """Learn how the newest commit of the file went."""
        if error is not None and self._uncommitted is None:
            self._troubles.warn(f"not committed for a while: {error}")
        self._uncommitted = None if error is None else str(error)
        if self._stage is not _Stage.AWAITING_COMMIT:
            return
        if error is None:
            if self._shows():
                self._conclude()
        elif self._suspended is not None or self._around.clock.monotonic() >= self._deadline:
            self._give_up_commit(str(error))
        else:
            self._report(reason=f"ended; its last commit is tried again {self._until()}: {error}")

    def _shows(self) -> bool:
        """Whether readers see all of the scan, which those that stay in the file can delay."""
        if self.file is None or self._suspended is not None:
            return True
        if self._last_commit is None:
            self._last_commit = self.file.commits
        return self.file.shown >= self._last_commit

    def stop(self, reason: str) -> None:
        """End the scan with what has been received; the verdict says why."""
        if self._stage is _Stage.AWAITING_FILES:
            self._deadline = 0.0
            self._await_files()
        else:
            self._end_early(reason, patience=0.0)

    def suspend(self, reason: str) -> None:
        """Let go of the scan where it is, so that a writer that is started again goes on with it.

        What was received comes into the file with the next commit; the entry is not ended.
        """
        self._suspended = reason
        self.before_commit()
        if self._stage in (_Stage.WRITING, _Stage.AWAITING_FILES) and self._channels is not None:
            self._channels.catch_up()
            self._verdict = self._interrupted(reason)
            self._note(self._verdict)
            self._await_commit(patience=0.0)
        elif self._stage is _Stage.ANNOUNCED:
            self._verdict = self._interrupted(reason)
            self._conclude()
        elif self._stage is _Stage.REFUSED:
            self._conclude()

    def kill(self, reason: str) -> None:
        """Abandon the scan: its entry is not ended, its file stays as of the last commit."""
        self._failure = self._failure or reason
        self._conclude()

    def fail(self, error: BaseException) -> None:
        """Take an error that nobody foresaw: this scan fails, all others go on."""
        _log.error("scan %s: unforeseen error", self.scan.name, exc_info=error)
        self.kill(f"unforeseen error, please report it: {error!r}")

    # --------------------------------------------------------------------------- beginning

    def _prepare(self, scan: ScanDescription) -> None:
        self.scan = scan
        if not self._wanted:
            return
        self._around.profiler.start(scan.name)
        try:
            note = self._open(scan)
        except (FileError, LayoutError) as error:
            if self._found_over and isinstance(error, EntryExistsError):
                self._verdict = Verdict(Outcome.INCOMPLETE, (str(error),))
                self._conclude(said_by="not saved here: ")
                return
            self._failure = str(error)
            self._stage = _Stage.REFUSED
            _log.error("scan %s cannot be saved: %s", scan.name, error)
            self._change(ScanState.FAULT, self._failure)
            return
        if note is not None and note.over:
            self._verdict = note.verdict
            self._conclude(said_by="saved already: ")
            return
        self._stage = _Stage.WRITING
        again = " again: it goes on with what is in the file" if note else ""
        if note is not None:
            _log.info("scan %s: goes on with what is in %s", scan.name, self.status.file)
        self._change(ScanState.ON, f"accepting data{again}")

    def _open(self, scan: ScanDescription) -> WriterNote | None:
        """Open the file and write the start; returns what an earlier writer said of the scan."""
        if scan.path is None:
            raise LayoutError(
                "it is to be saved but has no absolute file path: check SCAN_SAVING of the session"
            )
        around = self._around
        plan = around.layout(scan)
        self._troubles.warn(*plan.warnings, around.disk.check(plan.file))
        self._scan_file = ScanFile(plan, scan.key, around.files, around.clock, around.version)
        self._plan = plan
        note = self._scan_file.note
        if note is not None and note.over:
            return note
        self._merge(plan.start(around.clock.now()))
        self._merge(plan.links)
        self._channels = Channels(scan, plan, self._scan_file, self._troubles)
        if note is not None:
            self._channels.go_on_from(note.verdict)
        return note

    def _extend(self, event: Extended) -> None:
        """More is known of the scan: its plan is made anew, and what is in the file stays."""
        self._troubles.warn(*event.warnings)
        self._troubles.complain(list(event.problems))
        if self._stage is _Stage.WRITING and self._channels is not None:
            self.scan = event.scan
            self._plan = self._around.layout(event.scan)
            self._merge(self._plan.start(self._around.clock.now()))
            self._channels.extend(event.scan, self._plan)

    # --------------------------------------------------------------------------------- end

    def _end_early(self, reason: str, patience: float) -> None:
        if self._stage in _ENDABLE:
            self._troubles.problems.append(reason)
            self._end(self.scan, patience)

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
        missing = self._channels is not None and self._channels.catch_up()
        if not missing or self._around.clock.monotonic() >= self._deadline:
            self._finish()
        else:
            self._report(reason=f"ended; files of detectors are awaited {self._until()}")

    def _finish(self) -> None:
        if self._plan is not None:
            self._merge(self._plan.finish(self.scan, self._around.clock.now()))
            self._merge_plots(final=True)
            if self.file is not None:
                self._troubles.complain(self._around.finish(self.scan, self.file))
            self._verdict = self._judge()
            self._note(self._verdict)
        self._await_commit(COMMIT_PATIENCE)

    def _await_commit(self, patience: float) -> None:
        if self._scan_file is not None:
            self._scan_file.settle()
        self._stage = _Stage.AWAITING_COMMIT
        self._deadline = self._around.clock.monotonic() + patience

    def _give_up_commit(self, error: str) -> None:
        """The file stays at its last commit, from which a writer can go on."""
        reason = (
            f"its end could not be saved: {error}; the file stays as of its last commit, and a "
            "writer that is started again goes on from there while the source has the scan"
        )
        interrupted = self._interrupted(*filter(None, (self._suspended, reason)))
        # Should the disk take it in the very last moment, it does not say more than the verdict.
        self._note(interrupted)
        if self._suspended is None:
            self._failure = self._failure or reason
        else:
            self._verdict = interrupted
        self._conclude()

    def _judge(self) -> Verdict:
        return judge(
            self._channels.tallies() if self._channels else (),
            failure=self._failure,
            problems=self._troubles.problems,
            warnings=self._troubles.warnings,
        )

    def _interrupted(self, *reasons: str) -> Verdict:
        """The verdict on a scan with which a writer can go on."""
        tallies = self._channels.tallies() if self._channels else ()
        return Verdict(Outcome.INTERRUPTED, reasons, tuple(self._troubles.warnings), tallies)

    def _conclude(self, said_by: str = "") -> None:
        """The last step: let go of the file and tell the verdict."""
        if self._verdict is None or self._failure:
            self._verdict = self._judge()
        self._stage = _Stage.OVER
        self._let_go()
        self._around.profiler.stop(self.scan.name)
        if not self._wanted:
            self._change(ScanState.OFF, self.status.reason)
            return
        if self._verdict.outcome is Outcome.INTERRUPTED:
            said_by = "suspended: "
        summary = f"{said_by}{self._verdict.summary}"
        good = self._verdict.outcome is Outcome.COMPLETE
        where = " ".join(self.status.urls) or self.scan.path
        level = logging.INFO if good or said_by else logging.WARNING
        _log.log(level, "scan %s: %s (%s)", self.scan.name, summary, where)
        self._change(ScanState.OFF if good else ScanState.FAULT, summary)

    def _let_go(self) -> None:
        scan_file, self._scan_file = self._scan_file, None
        if scan_file is None:
            return
        try:
            scan_file.close()
        except FileError as error:
            _log.error("scan %s: closing its file failed: %s", self.scan.name, error)

    # ------------------------------------------------------------------------------- parts

    def _merge(self, trees: Trees) -> None:
        if self._scan_file is not None:
            self._troubles.complain(self._scan_file.merge(trees, warn=self._troubles.warn))

    def _note(self, verdict: Verdict) -> None:
        """Say in the file how far the scan is, or what became of it."""
        if self._plan is not None:
            self._merge(self._plan.verdict(verdict))

    def _merge_plots(self, *, final: bool) -> None:
        if self._plan is not None and self._channels is not None:
            self._merge(self._plan.plots(self._channels.lengths(), final=final))

    def _look_at_disk(self) -> None:
        self._disk_full = None
        if self._plan is None:
            return
        try:
            self._troubles.warn(self._around.disk.check(self._plan.file))
        except FileError as error:
            self._disk_full = str(error)
            self._troubles.warn(self._disk_full)

    def _fault(self) -> str | None:
        return self._troubles.fault or self._uncommitted or self._disk_full

    def _until(self) -> str:
        """Up to when something is awaited."""
        clock = self._around.clock
        left = timedelta(seconds=max(0.0, self._deadline - clock.monotonic()))
        return f"until {clock.now() + left:%H:%M:%S}"

    def _change(self, state: ScanState, reason: str) -> None:
        self._shown.change(state, reason, **self._facts())

    def _report(self, **more: str) -> None:
        """Put a new snapshot on the board."""
        self._shown.show(**self._facts(), **more)

    def _facts(self) -> dict[str, object]:
        written = self._channels.written if self._channels else []
        return {
            "file": self._plan.file if self._plan else self.scan.path,
            "entries": self._plan.entries if self._plan else (),
            "fault": self._fault(),
            "halted": self._uncommitted or self._disk_full,
            "fewest_points": min(written, default=0),
            "most_points": max(written, default=0),
            "nbytes": self._channels.nbytes if self._channels else 0,
            "warnings": tuple(self._troubles.warnings),
            "verdict": self._verdict if self.over else None,
            "over": self.over,
        }
