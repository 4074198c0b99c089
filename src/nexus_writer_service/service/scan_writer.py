"""One scan from its announcement to its verdict. Lives in the scribe's thread.

Whatever goes wrong stays as small as it is: a channel that cannot be written costs that channel,
a plot that plot, a master file its link; only a file that cannot be opened or an entry of somebody
else costs the scan.

A scan is told from its beginning, also to a writer that was started again. How far it is, is read
from the file: the writer's note in the entry says whose it is and whether it is over, the length of
a dataset how many of its points are there.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby

from nexus_writer_service.errors import EntryExistsError, FileError, FileLockedError, LayoutError
from nexus_writer_service.hdf5.file import NexusFile
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
from nexus_writer_service.service.channels import ChannelEvent
from nexus_writer_service.service.clock import until
from nexus_writer_service.service.lockout import Lockout
from nexus_writer_service.service.open_scan import OpenScan
from nexus_writer_service.service.scan_report import ScanReport
from nexus_writer_service.service.stages import ENDABLE, Stage
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.service.troubles import Troubles

_log = logging.getLogger(__name__)

COMMIT_PATIENCE = 600.0
"""Seconds for which a commit that fails at the end of a scan is tried again: time to make room."""
_DISK_PERIOD = 3.0
"""Seconds between two looks at the free disk space."""


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
        self._stage = Stage.ANNOUNCED
        self._open: OpenScan | None = None
        """Kept when its file was let go: it knows what is in there."""
        self._lockout: Lockout | None = None
        self._troubles = Troubles(scan.name)
        self._failure: str | None = None
        self._uncommitted: str | None = None
        self._suspended: str | None = None
        self._verdict: Verdict | None = None
        self._deadline = self._patience = 0.0
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
        return self._stage is Stage.OVER

    @property
    def files(self) -> tuple[NexusFile, ...]:
        """The files that are being written for the scan; first the one that holds the entries."""
        return self._open.files if self._open else ()

    # ------------------------------------------------------------------------------ events

    def feed_all(self, events: Iterable[ScanEvent]) -> None:
        """Take the next events of the scan; channels that begin with them begin together."""
        for of_channels, run in groupby(events, lambda event: isinstance(event, ChannelEvent)):
            if of_channels and self._lockout is None:
                self._take([event for event in run if isinstance(event, ChannelEvent)])
            else:
                for event in run:
                    self.feed(event)

    def feed(self, event: ScanEvent) -> None:
        """Take the next event of the scan."""
        if self._lockout is not None:
            self._lockout.keep(event)
            if isinstance(event, Ended | Vanished):
                self._lockout.end()
            return
        match event:
            case Announced() | Prepared():
                self._troubles.warn(*event.warnings)
                if isinstance(event, Prepared) and self._stage is Stage.ANNOUNCED:
                    self._prepare(event.scan)
            case Ended():
                self._troubles.warn(*event.warnings)
                if self._stage is Stage.ANNOUNCED:
                    # It failed before it was prepared: its entry tells when and why.
                    self._prepare(event.scan)
                self._end(event.scan, self._around.files_patience)
            case Vanished():
                self._end_early(event.reason, self._around.files_patience)
            case Extended():
                if self._open is not None and self._stage is Stage.WRITING:
                    self.scan = event.scan
                    self._open.describe(event)
            case _:
                self._take([event])

    def _take(self, events: Sequence[ChannelEvent]) -> None:
        if self._open is not None and self._stage is Stage.WRITING:
            self._open.take(events)
            if self._fault() != self.status.fault:
                self._report()

    def tick(self) -> None:
        """Do what time brings: look for files, look at the disk, tell how far it is."""
        now = self._around.clock.monotonic()
        if self._lockout is not None:
            self._try_again(self._lockout)
        if self._open is not None and self._stage is Stage.WRITING:
            if now >= self._disk_due:
                self._disk_due = now + _DISK_PERIOD
                self._disk_full = self._open.look_around()
            self._open.extend()
        if self._stage is Stage.AWAITING_FILES:
            self._await_files()
        if self._stage in (Stage.WRITING, Stage.AWAITING_FILES):
            self._report()

    def before_commit(self) -> None:
        """Complete what the next commit is to show."""
        if self._open is not None and self._stage is Stage.WRITING:
            self._open.before_commit()

    def committed(self, error: FileError | None) -> None:
        """Learn how the newest commit of the file went."""
        if error is not None and self._uncommitted is None:
            self._troubles.warn(f"not committed for a while: {error}")
        self._uncommitted = None if error is None else str(error)
        if self._stage is not Stage.AWAITING_COMMIT:
            return
        if error is None:
            if self._suspended is not None or self._open is None or self._open.shows():
                self._conclude()
        elif self._suspended is not None or self._around.clock.monotonic() >= self._deadline:
            self._give_up_commit(str(error))
        else:
            self._report(reason=f"ended; its last commit is tried again {self._until()}: {error}")

    def stop(self, reason: str) -> None:
        """End the scan with what has been received; the verdict says why."""
        if self._stage is Stage.AWAITING_FILES:
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
        if self._stage in (Stage.WRITING, Stage.AWAITING_FILES) and self._open is not None:
            self._open.extend()
            self._verdict = self._interrupted(reason)
            self._open.say(self._verdict)
            self._await_commit(patience=0.0)
        elif self._stage in (Stage.ANNOUNCED, Stage.LOCKED_OUT):
            self._verdict = self._interrupted(reason)
            self._conclude()
        elif self._stage is Stage.REFUSED:
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
        if self._lockout is None:
            self._around.profiler.start(scan.name)
        try:
            opened = self._opened(scan)
        except FileLockedError as error:
            self._lock_out(str(error))
            return
        except (FileError, LayoutError) as error:
            if self._found_over and isinstance(error, EntryExistsError):
                self._verdict = Verdict(Outcome.INCOMPLETE, (str(error),))
                self._conclude(said_by="not saved here: ")
                return
            self._refuse(str(error))
            return
        self._open, self._lockout = opened, None
        if opened.note is not None and opened.note.over:
            self._verdict = opened.note.verdict
            self._conclude(said_by="saved already: ")
            return
        self._stage = Stage.WRITING
        again = " again: it goes on with what is in the file" if opened.note else ""
        if opened.note is not None:
            _log.info("scan %s: goes on with what is in %s", scan.name, opened.path)
        self._change(ScanState.ON, f"accepting data{again}")

    def _opened(self, scan: ScanDescription) -> OpenScan:
        if scan.path is None:
            raise LayoutError(
                "it is to be saved but has no absolute file path: check SCAN_SAVING of the session"
            )
        return OpenScan(scan, self._around, self._troubles)

    def _refuse(self, reason: str) -> None:
        self._failure, self._lockout = reason, None
        self._stage = Stage.REFUSED
        _log.error("scan %s cannot be saved: %s", self.scan.name, reason)
        self._change(ScanState.FAULT, reason)

    def _lock_out(self, reason: str) -> None:
        """Keep what comes until whoever has the file lets go of it."""
        if self._lockout is None:
            _log.error("scan %s waits for its file: %s", self.scan.name, reason)
            self._lockout = Lockout(reason, self._around.clock, self._around.held)
        self._stage = Stage.LOCKED_OUT
        self._report(reason=f"waits for its file: {reason}")

    def _try_again(self, lockout: Lockout) -> None:
        if reason := lockout.hopeless:
            self._refuse(reason)
        elif lockout.due:
            self._prepare(self.scan)
        if self._lockout is None:
            self.feed_all(lockout.end_waiting())

    # --------------------------------------------------------------------------------- end

    def _end_early(self, reason: str, patience: float) -> None:
        if self._stage in ENDABLE:
            if self._lockout is not None:
                self._failure = self._lockout.reason
            self._troubles.problems.append(reason)
            self._end(self.scan, patience)

    def _end(self, scan: ScanDescription, patience: float) -> None:
        if self._stage not in ENDABLE:
            return
        self.scan = scan
        if self._stage is not Stage.WRITING:
            self._conclude()
            return
        self._stage = Stage.AWAITING_FILES
        self._patience = patience
        self._deadline = self._around.clock.monotonic() + patience
        self._await_files()

    def _await_files(self) -> None:
        """Finish as soon as all detector files are there, or when patience ends.

        Patience begins anew while more and more frames are copied. At its end those are given up
        that cannot be read, but not the ones behind them.
        """
        frames = self._open.frames if self._open else 0
        if self._open is None or not self._open.catch_up():
            self._finish()
            return
        now = self._around.clock.monotonic()
        if self._open.frames > frames:
            self._deadline = max(self._deadline, now + self._patience)
        elif now >= self._deadline:
            if not self._open.skip_missing():
                self._finish()
                return
            self._patience = 0.0
        self._report(reason=f"ended; files of detectors are awaited {self._until()}")

    def _finish(self) -> None:
        if self._open is not None:
            self._open.finish(self.scan)
            self._verdict = self._judge()
            self._open.say(self._verdict)
        self._await_commit(COMMIT_PATIENCE)

    def _await_commit(self, patience: float) -> None:
        if self._open is not None:
            self._open.settle()
        self._stage = Stage.AWAITING_COMMIT
        self._deadline = self._around.clock.monotonic() + patience

    def _give_up_commit(self, error: str) -> None:
        """The file stays at its last commit, from which a writer can go on."""
        reason = (
            f"its end could not be saved: {error}; the file stays as of its last commit, and a "
            "writer that is started again goes on from there while the source has the scan"
        )
        interrupted = self._interrupted(*filter(None, (self._suspended, reason)))
        # Should the disk take it in the very last moment, it does not say more than the verdict.
        if self._open is not None:
            self._open.say(interrupted)
        if self._suspended is None:
            self._failure = self._failure or reason
        else:
            self._verdict = interrupted
        self._conclude()

    def _judge(self) -> Verdict:
        return judge(
            self._open.tallies() if self._open else (),
            failure=self._failure,
            problems=self._troubles.problems,
            warnings=(*self._troubles.warnings, *(self._open.remarks() if self._open else ())),
        )

    def _interrupted(self, *reasons: str) -> Verdict:
        tallies = self._open.tallies() if self._open else ()
        return Verdict(Outcome.INTERRUPTED, reasons, tuple(self._troubles.warnings), tallies)

    def _conclude(self, said_by: str = "") -> None:
        if self._verdict is None or self._failure:
            self._verdict = self._judge()
        self._stage = Stage.OVER
        if self._lockout is not None:
            self._lockout.end_waiting()
            self._lockout = None
        if self._open is not None:
            self._open.close()
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

    def _until(self) -> str:
        return until(self._around.clock, self._deadline)

    def _fault(self) -> str | None:
        return self._troubles.fault or self._halted()

    def _halted(self) -> str | None:
        waits = self._lockout
        return self._uncommitted or self._disk_full or (waits.reason if waits else None)

    def _change(self, state: ScanState, reason: str) -> None:
        self._shown.change(state, reason, **self._facts())

    def _report(self, **more: str) -> None:
        self._shown.show(**self._facts(), **more)

    def _facts(self) -> dict[str, object]:
        channels = self._open.channels if self._open else None
        return {
            "file": self._open.path if self._open else self.scan.path,
            "entries": self._open.entries if self._open else (),
            "fault": self._fault(),
            "halted": self._halted(),
            "progress": channels.progress() if channels else (),
            "nbytes": channels.nbytes if channels else 0,
            "acquired": (self.scan.start_time, self.scan.end_time),
            "warnings": tuple(self._troubles.warnings),
            "verdict": self._verdict if self.over else None,
            "over": self.over,
        }
