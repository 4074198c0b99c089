"""The scans that earlier writers began and did not finish: none of them stays so for ever.

Their files are brought to their last commit at once. Those that Redis still holds come back as any
other scan does. Of the others nothing more can be had: their entries are concluded.
"""

import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

from nexus_writer_service.errors import FileError, FileLockedError, FilePathError
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.layout.writer_note import DATA, WriterNote, read_writer_note
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.conclude import conclude
from nexus_writer_service.service.past_scan import PastScan
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.service.surroundings import Surroundings

_log = logging.getLogger(__name__)


class Unfinished:
    """What the scans are that nobody finished, and how they are finished now.

    Args:
        scans: as the history knows them.
        around: what the scan writers share.
        call: runs a function in the thread that owns the files.
    """

    def __init__(
        self,
        scans: Iterable[PastScan],
        around: Surroundings,
        call: Callable[[Callable[[], None]], Future[Any]],
    ) -> None:
        self._scans = {scan.key: scan for scan in scans}
        self._around = around
        self._call = call

    @property
    def keys(self) -> frozenset[ScanKey]:
        """The keys of the scans."""
        return frozenset(self._scans)

    def recover(self) -> None:
        """Bring the files to their last commit. What fails is told in the log and costs nothing."""
        for path in sorted({scan.file for scan in self._scans.values() if scan.file}):
            try:
                done = recover(path)
            except FileError as error:
                _log.warning("%s is left as it is: %s", path, error)
            else:
                _log.info("%s holds scans that were not finished: %s", path, done)

    def conclude(self, key: ScanKey, reason: str) -> None:
        """Finish a scan that nobody can go on with, soon; returns at once.

        Args:
            key: of the scan; one that is not among them is ignored.
            reason: why nobody can.
        """
        if scan := self._scans.get(key):
            self._call(partial(self._conclude, scan, f"the writer was away and meanwhile {reason}"))

    def _conclude(self, scan: PastScan, reason: str) -> None:
        verdict = Verdict(Outcome.INCOMPLETE, (reason,))
        try:
            if scan.file and os.path.exists(scan.file):
                verdict = self._marked(scan, scan.file, reason) or verdict
        except (FileLockedError, FilePathError) as error:
            # It is for the writer that has the file, or the one that may use it.
            _log.warning("scan %s is left as it is: %s", scan.name, error)
            return
        except FileError as error:
            verdict = Verdict(Outcome.INCOMPLETE, (reason, str(error)))
        complete = verdict.outcome is Outcome.COMPLETE
        level = logging.INFO if complete else logging.WARNING
        _log.log(level, "scan %s: %s (%s)", scan.name, verdict.summary, " ".join(scan.urls))
        status = ScanStatus(
            scan.key,
            scan.name,
            scan.session,
            ScanState.OFF if complete else ScanState.FAULT,
            verdict.summary,
            scan.started,
            ended=self._around.clock.now(),
            file=scan.file,
            entries=scan.entries,
            verdict=verdict,
            over=True,
        )
        self._around.record(status)

    def _marked(self, scan: PastScan, path: str, reason: str) -> Verdict | None:
        """The verdict that is in the files now; None when nothing in its own is of this scan."""
        note = self._marked_in(path, scan, reason)
        if note is None:
            return None
        found = [note.verdict]
        for name in note.others:
            other = os.path.normpath(os.path.join(os.path.dirname(path), name))
            if os.path.exists(other):
                found += self._marked_elsewhere(other, scan, reason)
        return next((one for one in found if one.outcome is not Outcome.COMPLETE), note.verdict)

    def _marked_elsewhere(self, path: str, scan: PastScan, reason: str) -> list[Verdict]:
        """The verdict on what is in one more file of the scan, as far as there is one."""
        try:
            note = self._marked_in(path, scan, reason)
        except FileLockedError:
            raise
        except FileError as error:
            _log.warning("scan %s: what it has in %s is left as it is: %s", scan.name, path, error)
            return []
        return [] if note is None else [note.verdict]

    def _marked_in(self, path: str, scan: PastScan, reason: str) -> WriterNote | None:
        """What a file says of the scan now; None when nothing there is of it."""
        file = self._around.files.acquire(path)
        try:
            verdicts = conclude(file, reason, scan=scan.key, final=True)
            # The history is not to know what the file does not say yet.
            file.commit()
            for entry in verdicts or scan.entries:
                note = read_writer_note(file.read_text(f"/{entry}/{DATA}"))
                if note is not None and note.scan == scan.key:
                    return note
            return None
        finally:
            self._around.files.release(file)
