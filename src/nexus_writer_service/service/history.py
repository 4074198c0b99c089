"""What became of every scan, kept for ever: an SQLite file that many writers may share.

A scan is never slowed down or lost by its history: verdicts are saved in a thread of their own, and
what cannot be saved now is tried again with the next scan.

The file has SQLite's rollback journal, not a write-ahead log, since that one needs shared memory
and home directories are often on NFS. It is synced fully: a few milliseconds for each scan, in a
thread that nobody waits for, and a verdict survives a power cut.
"""

import json
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nexus_writer_service.errors import FileError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Verdict
from nexus_writer_service.service.status import ScanStatus

_log = logging.getLogger(__name__)

_BUSY = 5.0
"""Seconds for which another process that writes is waited for."""
_CLOSE_PATIENCE = 12.0
"""Seconds that ``close`` waits: two attempts at a locked file; a stalled disk may never answer."""
_MOST_WAITING = 10_000
"""Scans that are remembered for a later attempt (some kilobytes each)."""

_CREATE = (
    """CREATE TABLE IF NOT EXISTS scans (
        key TEXT PRIMARY KEY, name TEXT, session TEXT, file TEXT, entries TEXT, started TEXT,
        ended TEXT, state TEXT, outcome TEXT, summary TEXT, verdict TEXT, warnings TEXT)""",
    "CREATE INDEX IF NOT EXISTS scans_by_end ON scans (ended)",
)
# The newest verdict on a scan holds, but "could not be saved" does not replace what is in a file:
# it is what the second of two writers of a session says.
_SAVE = """
    INSERT INTO scans (key, name, session, file, entries, started, ended, state, outcome, summary,
        verdict, warnings)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET name = excluded.name, session = excluded.session,
        file = excluded.file, entries = excluded.entries, started = excluded.started,
        ended = excluded.ended, state = excluded.state, outcome = excluded.outcome,
        summary = excluded.summary, verdict = excluded.verdict, warnings = excluded.warnings
    WHERE (excluded.outcome <> 'failed', excluded.ended) >= (scans.outcome <> 'failed', scans.ended)
"""
_SELECT = """
    SELECT * FROM scans
    WHERE (:scan IS NULL OR name = :scan OR key = :scan)
        AND (:session IS NULL OR session = :session)
        AND (NOT :failed OR outcome <> 'complete')
        AND (:since IS NULL OR ended >= :since)
    ORDER BY ended DESC, key LIMIT :limit
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class PastScan:
    """A scan that is over, as the history knows it."""

    key: ScanKey
    name: str
    session: str
    file: str | None
    entries: tuple[str, ...]
    started: datetime
    """When the writer learned of the scan."""
    ended: datetime
    state: ScanState
    verdict: Verdict
    warnings: tuple[str, ...]
    """Those of the verdict, and what came up after it was written."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the entries are, ``/data/file.h5::/4.1``."""
        return tuple(f"{self.file}::/{entry}" for entry in self.entries)


class History:
    """The verdicts of all scans, in one file.

    ``record`` is for the writer, ``scans`` and ``find`` read what is in the file, in any process.

    Args:
        path: of the file; it and its directory are made with the first scan.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[ScanStatus | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._trouble = ""

    # ------------------------------------------------------------------------------ writing

    def record(self, status: ScanStatus) -> None:
        """Save the verdict on a scan, soon; returns at once and never fails.

        What is known of the same scan is replaced, unless it is newer or this writer could not
        save the scan while another could. A status without a verdict is not recorded.
        """
        if status.verdict is None or status.ended is None:
            return
        with self._lock:
            if self._thread is None:
                # A daemon, since a disk that never answers may not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name="history", daemon=True)
                self._thread.start()
        self._queue.put(status)

    def close(self) -> None:
        """Save what waits and end the thread; nothing may be recorded after that."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        thread.join(_CLOSE_PATIENCE)
        if thread.is_alive():
            _log.warning("history %s: the disk does not answer, some verdicts may be missing", self)

    def __str__(self) -> str:
        return str(self._path)

    def _run(self) -> None:
        waiting: list[ScanStatus] = []
        forgotten = 0
        while (status := self._queue.get()) is not None:
            waiting.append(status)
            if len(waiting) > _MOST_WAITING:
                del waiting[0]
                forgotten += 1
            if self._queue.empty() and self._saved(waiting):
                waiting.clear()
        if waiting and self._saved(waiting):
            waiting.clear()
        if missing := forgotten + len(waiting):
            _log.warning("history %s: the verdicts of %d scans are not in it", self, missing)

    def _saved(self, scans: Sequence[ScanStatus]) -> bool:
        """Save scans; tells whether they are in the file. Each trouble is told once."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._save(scans)
            except sqlite3.DatabaseError as error:
                if not _tells_damage(error):
                    raise
                self._move_aside()
                self._save(scans)
        except (OSError, sqlite3.Error) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("history %s: %s; tried again with the next scan", self, error)
            return False
        self._trouble = ""
        return True

    def _save(self, scans: Sequence[ScanStatus]) -> None:
        # Opened for each attempt: whatever becomes of the file, the next attempt finds it.
        with closing(sqlite3.connect(self._path, timeout=_BUSY)) as base:
            base.execute("PRAGMA synchronous = FULL")
            for statement in _CREATE:
                base.execute(statement)
            with base:
                base.executemany(_SAVE, [row for scan in scans for row in _rows(scan)])

    def _move_aside(self) -> None:
        """Give a damaged file another name, with its journal, which no new file may meet."""
        if self._is_sound():
            return  # another process has begun a new one
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = f"{self._path}.damaged-{stamp}"
        os.replace(self._path, aside)
        journal = Path(f"{self._path}-journal")
        if journal.exists():
            journal.replace(f"{aside}-journal")
        _log.warning("history %s was damaged: it is now %s, and a new one is begun", self, aside)

    def _is_sound(self) -> bool:
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY)) as base:
                return bool(base.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except sqlite3.DatabaseError as error:
            if not _tells_damage(error):
                raise
            return False

    # ------------------------------------------------------------------------------ reading

    def scans(
        self,
        session: str | None = None,
        *,
        scan: str | None = None,
        failed: bool = False,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[PastScan]:
        """Scans in the file, newest first.

        Args:
            session: only those of this session.
            scan: only those with this name or key.
            failed: only those that are not complete.
            since: only those that ended at this moment or later; with a time zone.
            limit: at most so many.

        Raises:
            FileError: there is no such file, or it cannot be read.
        """
        if not self._path.exists():
            raise FileError(f"there is no history {self}: no writer has saved a scan with it yet")
        wanted = {
            "session": session,
            "scan": scan,
            "failed": failed,
            "since": None if since is None else _time_text(since),
            "limit": -1 if limit is None else limit,
        }
        # Looking makes no file, but may have to undo what a killed writer began: not read-only.
        address = f"{self._path.resolve().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=_BUSY)) as base:
                base.row_factory = sqlite3.Row
                return [_past(row) for row in base.execute(_SELECT, wanted)]
        except (sqlite3.Error, ValueError, LookupError) as error:
            raise FileError(f"history {self} cannot be read: {error}") from error

    def find(self, scan: str) -> list[PastScan]:
        """The scans with this name or key, newest first: names come back with every dataset.

        Raises:
            FileError: there is no such file, or it cannot be read.
        """
        return self.scans(scan=scan)


def _tells_damage(error: sqlite3.DatabaseError) -> bool:
    # The low byte is the kind of error; an error of the Python module itself has no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _rows(scan: ScanStatus) -> Iterator[tuple[str | None, ...]]:
    """The row of a scan that is over."""
    if scan.verdict is None or scan.ended is None:
        return
    row = (
        *(scan.key, scan.name, scan.session, scan.file, json.dumps(scan.entries)),
        *(_time_text(scan.started), _time_text(scan.ended)),
        *(scan.state.value, scan.verdict.outcome.value, scan.verdict.summary),
        *(scan.verdict.as_json(), json.dumps(scan.warnings, ensure_ascii=False)),
    )
    # Names of files may hold bytes that are no text, and SQLite takes no such thing.
    yield tuple(text and text.encode("utf-8", "backslashreplace").decode() for text in row)


def _past(row: sqlite3.Row) -> PastScan:
    return PastScan(
        key=ScanKey(row["key"]),
        name=row["name"],
        session=row["session"],
        file=row["file"],
        entries=tuple(json.loads(row["entries"])),
        started=datetime.fromisoformat(row["started"]),
        ended=datetime.fromisoformat(row["ended"]),
        state=ScanState(row["state"]),
        verdict=Verdict.from_json(row["verdict"]),
        warnings=tuple(json.loads(row["warnings"])),
    )


def _time_text(time: datetime) -> str:
    """In UTC and of one length, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
