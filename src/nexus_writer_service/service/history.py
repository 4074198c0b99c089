"""What became of every scan, kept for ever: an SQLite file that many writers may share.

A scan is never slowed down or lost by its history: what is known is saved in a thread of its own,
a moment later, and what cannot be saved now is tried again.

The file has SQLite's rollback journal, not a write-ahead log, since that one needs shared memory
and home directories are often on NFS. It is synced fully: a few milliseconds for each change, in a
thread that nobody waits for, and a verdict survives a power cut.
"""

import json
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nexus_writer_service.errors import FileError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Verdict
from nexus_writer_service.service.past_scan import PastScan, account, together
from nexus_writer_service.service.status import ScanStatus, StateChange

__all__ = ["History", "PastScan"]

_log = logging.getLogger(__name__)

_BUSY = 5.0
"""Seconds for which another process that writes is waited for."""
_CLOSE_PATIENCE = 12.0
"""Seconds that ``close`` waits: two attempts at a locked file; a stalled disk may never answer."""
_PERIOD = 0.25
"""Seconds for which changes are collected: saving takes some milliseconds for any number."""
_RETRY = 10.0
"""Seconds after which what could not be saved is tried again."""
_MOST_WAITING = 10_000
"""Changes that are remembered for a later attempt (some kilobytes each)."""

_TABLE = """
    CREATE TABLE IF NOT EXISTS scans (
        key TEXT PRIMARY KEY, name TEXT, session TEXT, file TEXT, entries TEXT, started TEXT,
        ended TEXT, state TEXT, outcome TEXT, summary TEXT, verdict TEXT, warnings TEXT,
        states TEXT)
"""
_STATES = "ALTER TABLE scans ADD COLUMN states TEXT"
"""Files of the first version have none."""
# What an index is for must be in a question word for word.
_NEWEST = "coalesce(ended, '~' || started)"
"""Sorts scans by their ends, and those that have not ended behind them all."""
_UNFINISHED = "outcome IN ('running', 'interrupted')"
_FAILED = "outcome IN ('incomplete', 'failed', 'interrupted')"
_SETTLED = "outcome IN ('complete', 'incomplete')"
_INDEXES = (
    f"CREATE INDEX IF NOT EXISTS scans_newest ON scans ({_NEWEST})",
    f"CREATE INDEX IF NOT EXISTS scans_of_session ON scans (session, {_NEWEST})",
    "CREATE INDEX IF NOT EXISTS scans_by_name ON scans (name)",
    f"CREATE INDEX IF NOT EXISTS scans_failed ON scans ({_NEWEST}) WHERE {_FAILED}",
    f"CREATE INDEX IF NOT EXISTS scans_unfinished ON scans ({_NEWEST}) WHERE {_UNFINISHED}",
    f"CREATE INDEX IF NOT EXISTS scans_settled ON scans (session, key) WHERE {_SETTLED}",
    "DROP INDEX IF EXISTS scans_by_end",
)
_SAVE = """
    INSERT OR REPLACE INTO scans (key, name, session, file, entries, started, ended, state,
        outcome, summary, verdict, warnings, states)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class History:
    """What is known of all scans, in one file.

    ``record`` is for the writer; the others read what is in the file, in any process.

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
        """Save what is known of a scan, soon; returns at once and never fails.

        To be told of every change of a scan's state. A verdict on what is in a file is replaced
        only by a newer one of that kind, anything else by whatever is newer. Of scans that are not
        to be saved (OFF and without a verdict) nothing is kept.
        """
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
            _log.warning("history %s: the disk does not answer, something may be missing", self)

    def __str__(self) -> str:
        return str(self._path)

    def _run(self) -> None:
        waiting: list[ScanStatus] = []
        due, forgotten = 0.0, 0
        while True:
            patience = max(0.0, due - time.monotonic()) if waiting else None
            try:
                status = self._queue.get(timeout=patience)
            except queue.Empty:
                due = time.monotonic() + _RETRY
                if self._saved(waiting):
                    waiting.clear()
                continue
            if status is None:
                break
            due = due if waiting else time.monotonic() + _PERIOD
            waiting.append(status)
            if len(waiting) > _MOST_WAITING:
                del waiting[0]
                forgotten += 1
        left = len(waiting) if waiting and not self._saved(waiting) else 0
        if missing := forgotten + left:
            _log.warning("history %s: %d changes of scans are not in it", self, missing)

    def _saved(self, scans: Sequence[ScanStatus]) -> bool:
        """Save changes; tells whether they are in the file. Each trouble is told once."""
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
                _log.warning("history %s: %s; tried again until it can be saved", self, error)
            return False
        self._trouble = ""
        return True

    def _save(self, scans: Sequence[ScanStatus]) -> None:
        # Opened for each attempt: whatever becomes of the file, the next attempt finds it.
        base = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None)
        with closing(base):
            base.execute("PRAGMA synchronous = FULL")
            # Nobody else writes between what is read of a scan and what is made of it.
            base.execute("BEGIN IMMEDIATE")
            _make_tables(base)
            for scan in scans:
                if told := account(scan):
                    known = _known(base, told.key)
                    base.execute(_SAVE, _row(together(known, told) if known else told))
            base.execute("COMMIT")

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
        unfinished: bool = False,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[PastScan]:
        """Scans in the file: those that are being written, then the others, newest first.

        Args:
            session: only those of this session.
            scan: only those with this name or key.
            failed: only those that have ended, or were left by their writer, and are not complete.
            unfinished: only those that are being written or were left by their writer.
            since: only those that ended at this moment or later, or did not; with a time zone.
            limit: at most so many.

        Raises:
            FileError: there is no such file, or it cannot be read.
        """
        found = self._choose(
            session, scan=scan, failed=failed, unfinished=unfinished, since=since, limit=limit
        )
        if found is None:
            raise FileError(f"there is no history {self}: no writer has saved a scan with it yet")
        return found

    def find(self, scan: str) -> list[PastScan]:
        """The scans with this name or key, newest first: names come back with every dataset.

        Raises:
            FileError: there is no such file, or it cannot be read.
        """
        return self.scans(scan=scan)

    def unfinished(self, session: str | None = None) -> list[PastScan]:
        """Scans that are being written or were left by their writer, newest first.

        A writer that was killed could not tell: its scans are "being written" until another writer
        goes on with them, or ``nexus-writer recover`` finishes them.

        Args:
            session: only those of this session.

        Raises:
            FileError: the file is there and cannot be read.
        """
        return self._choose(session, unfinished=True) or []

    def settled(self, session: str | None = None) -> frozenset[ScanKey]:
        """Scans that need no writer any more: what became of them is in their file.

        Scans that could not be saved are not among them: another attempt may succeed.

        Args:
            session: only those of this session.

        Raises:
            FileError: the file is there and cannot be read.
        """
        conditions = {"session = :session": session is not None, _SETTLED: True}
        with self._opened() as base:
            if base is None:
                return frozenset()
            keys = base.execute(_question("key", conditions), {"session": session})
            return frozenset(ScanKey(key) for (key,) in keys)

    def _choose(
        self,
        session: str | None = None,
        *,
        scan: str | None = None,
        failed: bool = False,
        unfinished: bool = False,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[PastScan] | None:
        """As ``scans``; None when nothing was ever saved."""
        # A plus keeps SQLite from looking through a whole session where another index is narrower.
        plus = "+" if scan is not None or failed or unfinished else ""
        conditions = {
            f"{plus}session = :session": session is not None,
            "(name = :scan OR key = :scan)": scan is not None,
            _FAILED: failed,
            _UNFINISHED: unfinished,
            f"{_NEWEST} >= :since": since is not None,
        }
        wanted = {
            "session": session,
            "scan": scan,
            "since": None if since is None else _time_text(since),
            "limit": -1 if limit is None else limit,
        }
        question = _question("*", conditions, f"ORDER BY {_NEWEST} DESC, key LIMIT :limit")
        with self._opened() as base:
            if base is None:
                return None
            base.row_factory = sqlite3.Row
            return [_past(dict(row)) for row in base.execute(question, wanted)]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection | None]:
        """The file, for reading; None when nothing was ever saved. Its errors become FileError."""
        try:
            if not self._path.exists():
                yield None
                return
            # Looking makes no file, but may have to undo what a killed writer began: not read-only.
            address = f"{self._path.resolve().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=_BUSY)) as base:
                # A writer that was killed with its first scan leaves an empty file.
                yield base if _columns(base) else None
        except (OSError, sqlite3.Error, ValueError, LookupError, TypeError) as error:
            raise FileError(f"history {self} cannot be read: {error}") from error


def _tells_damage(error: sqlite3.DatabaseError) -> bool:
    # The low byte is the kind of error; an error of the Python module itself has no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _make_tables(base: sqlite3.Connection) -> None:
    base.execute(_TABLE)
    if "states" not in _columns(base):
        base.execute(_STATES)
    for statement in _INDEXES:
        base.execute(statement)


def _columns(base: sqlite3.Connection) -> set[str]:
    """Empty when there is no table."""
    return {name for _, name, *_ in base.execute("PRAGMA table_info(scans)")}


def _question(what: str, conditions: dict[str, bool], order: str = "") -> str:
    """A question with the conditions that count: only such an one finds its index.

    All of it is text of this module; what users say is given as parameters.
    """
    where = " AND ".join(text for text, counts in conditions.items() if counts) or "TRUE"
    return " ".join(("SELECT", what, "FROM scans WHERE", where, order))


def _known(base: sqlite3.Connection, key: ScanKey) -> PastScan | None:
    """What the file tells of a scan; None for nothing, or nothing that this version understands."""
    rows = base.cursor()
    rows.row_factory = sqlite3.Row
    row = rows.execute("SELECT * FROM scans WHERE key = ?", (_clean(key),)).fetchone()
    try:
        return None if row is None else _past(dict(row))
    except (ValueError, LookupError, TypeError):
        return None


def _row(scan: PastScan) -> tuple[str | None, ...]:
    states = [(one.state.value, _time_text(one.time), one.reason) for one in scan.states]
    row = (
        *(scan.key, scan.name, scan.session, scan.file, json.dumps(scan.entries)),
        *(_time_text(scan.started), None if scan.ended is None else _time_text(scan.ended)),
        *(scan.state.value, scan.verdict.outcome.value, scan.verdict.summary),
        *(scan.verdict.as_json(), json.dumps(scan.warnings, ensure_ascii=False)),
        json.dumps(states, ensure_ascii=False),
    )
    return tuple(text and _clean(text) for text in row)


def _clean(text: str) -> str:
    """Names of files may hold bytes that are no text, and SQLite takes no such thing."""
    return text.encode("utf-8", "backslashreplace").decode()


def _past(row: dict[str, Any]) -> PastScan:
    return PastScan(
        key=ScanKey(row["key"]),
        name=row["name"],
        session=row["session"],
        file=row["file"],
        entries=tuple(json.loads(row["entries"])),
        started=datetime.fromisoformat(row["started"]),
        ended=row["ended"] and datetime.fromisoformat(row["ended"]),
        state=ScanState(row["state"]),
        verdict=Verdict.from_json(row["verdict"]),
        warnings=tuple(json.loads(row["warnings"])),
        states=tuple(_states(row.get("states"))),
    )


def _states(text: str | None) -> Iterator[StateChange]:
    changes: list[list[Any]] = json.loads(text or "[]")
    for state, moment, reason in changes:
        yield StateChange(ScanState(state), datetime.fromisoformat(moment), reason)


def _time_text(moment: datetime) -> str:
    """In UTC and of one length, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
