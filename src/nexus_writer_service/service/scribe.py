"""The scribe: the one thread that touches HDF5, for all scans of the process.

It takes events from a bounded inbox, lets each scan's writer handle them, and commits on a tick
while there is something new: one commit covers all scans of a file. It commits at once when a scan
is prepared and when it ends.

While the disk does not take commits, points are held in memory up to a budget; above it they stay
in the inbox, so that the sources stop reading, until a commit succeeds.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nexus_writer_service.errors import FileError, WriterError
from nexus_writer_service.model.description import ScanDescription, ScanKey
from nexus_writer_service.model.events import Ended, Points, Prepared, ScanEvent, Vanished
from nexus_writer_service.service.inbox import Inbox
from nexus_writer_service.service.scan_writer import ScanWriter
from nexus_writer_service.service.surroundings import Surroundings

if TYPE_CHECKING:
    from nexus_writer_service.hdf5.file import NexusFile

_log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds from the first uncommitted point to its commit: with the time a commit takes, a reader
sees every point within half a second."""
BUDGET = 64 << 20
"""Bytes of points that may wait for the scribe; above it the sources stop reading."""
_MOST_BUFFERED = 32 << 20
"""Bytes of points in buffers of files above which they are committed before the tick."""
_MOST_TAKEN = 16 << 20
"""Bytes of points that are handled between two looks at the time."""
_STOPPED = "the writer was stopped; it goes on when it is started again"
_IDLE = 60.0
"""Seconds between two turns of a scribe without scans; anything that comes in wakes it at once."""
_POLL = 0.03
"""Seconds between two looks whether readers have left a file that has a commit to show."""
_EVENT_BYTES = 200
"""What an event without points holds, roughly."""


@dataclass(frozen=True, slots=True)
class _Call:
    """Something to run in the scribe's thread."""

    function: Callable[[], Any]
    future: Future[Any]

    def run(self) -> None:
        """Run it; its errors belong to who called."""
        try:
            self.future.set_result(self.function())
        except Exception as error:  # noqa: BLE001
            self.future.set_exception(error)


class Scribe:
    """Owns the thread, the scan writers and the files.

    Args:
        around: what the scan writers share.
        tick: seconds between commits while there is something new.
        budget: bytes of points that may wait; ``submit`` blocks above it. As much again may be
            held for files while their commits fail.
    """

    def __init__(self, around: Surroundings, *, tick: float = TICK, budget: int = BUDGET) -> None:
        self._around = around
        self._tick = tick
        self._inbox: Inbox[ScanEvent | _Call] = Inbox(budget)
        self._writers: dict[ScanKey, ScanWriter] = {}
        self._budget = budget
        self._failing = False
        """The newest commits did not all succeed."""
        self._uncommitted: Counter[NexusFile | None] = Counter()
        """Bytes of points that were taken since a file was committed, by file."""
        self._holding = False
        self._stopping = False
        self._over = False
        """Nothing is taken any more."""
        self._waiting_since: float | None = None
        self._held_since: float | None = None
        self._dead: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="scribe")

    @property
    def lag(self) -> float:
        """Seconds since the oldest event was received that is not committed; 0 when all are."""
        known = [since for since in (self._waiting_since, self._held_since) if since is not None]
        return max(0.0, self._around.clock.monotonic() - min(known)) if known else 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def announce(self, scan: ScanDescription, *, wanted: bool) -> None:
        """A scan exists: from now on it is on the board. Call before submitting its events."""
        if scan.key not in self._writers:
            self._writers[scan.key] = ScanWriter(scan, self._around, wanted=wanted)

    def submit(self, events: Iterable[ScanEvent]) -> None:
        """Hand events over; waits while the memory budget is used up.

        Raises:
            WriterError: the scribe has died, which is a bug.
        """
        if self._dead is not None:
            raise WriterError("nothing is written any more, restart the writer") from self._dead
        now = self._around.clock.monotonic()
        self._inbox.put((event, _size(event)) for event in events)
        if self._waiting_since is None and self._inbox.held_bytes:
            self._waiting_since = now

    def commit(self) -> None:
        """Let what was submitted be committed as soon as it is handled, not on the tick."""
        self.call(_nothing)

    def stop_scan(self, key: ScanKey, reason: str) -> Future[Any]:
        """End a scan with what has been received; done when its last commit is asked for."""
        return self.call(partial(self._end, key, lambda writer: writer.stop(reason)))

    def kill_scan(self, key: ScanKey, reason: str) -> Future[Any]:
        """Abandon a scan: its entry is not ended; done when its file was let go."""
        return self.call(partial(self._end, key, lambda writer: writer.kill(reason)))

    def suspend(self, reason: str) -> Future[Any]:
        """Suspend all scans that are being written, with what they have; the thread goes on."""
        return self.call(partial(self._suspend, reason))

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run a function in the scribe's thread.

        After what was submitted before; but ahead of data that the disk has no room for. Once the
        scribe has ended it fails with a WriterError.
        """
        future: Future[Any] = Future()
        self._inbox.push(_Call(function, future))
        if self._over:
            self._refuse_calls()
        return future

    def stop(self) -> None:
        """Suspend all scans that are being written, with what they have, and end the thread."""
        self._inbox.close()

        def stop() -> None:
            self._stopping = True

        self.call(stop)
        self._thread.join()

    # ---------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            self._write()
        except Exception as error:
            _log.critical("the scribe has died, restart the writer", exc_info=True)
            self._dead = error
            self._inbox.close()  # who waits for room would wait for ever
            raise
        finally:
            self._over = True
            self._refuse_calls()

    def _refuse_calls(self) -> None:
        for item in self._inbox.take_pushed(0.0):
            if isinstance(item, _Call):
                item.future.set_exception(WriterError("the scribe has ended"))

    def _write(self) -> None:
        clock = self._around.clock
        files = self._around.files
        due: float | None = None
        while not self._stopping:
            wait = _IDLE if due is None else max(0.0, due - clock.monotonic())
            if files.pending:
                wait = min(wait, _POLL)
            urgent = self._handle(self._taken(wait))
            if due is None and (files.dirty or self._writers):
                # Also without anything new: scans wait for late files, for room on the disk.
                due = clock.monotonic() + self._tick
            if due is None:
                self._held_since = None  # nothing came of it
            files.poll()
            # While commits fail, to try more often than on the tick is no use.
            full = not self._failing and files.buffered_bytes >= _MOST_BUFFERED
            if urgent or full or (due is not None and clock.monotonic() >= due):
                self._commit()
                due = clock.monotonic() + self._tick if self._writers else None
        self._finish()

    def _taken(self, wait: float) -> list[ScanEvent | _Call]:
        """What is to be done next; only calls while the disk does not take what is held."""
        room = self._budget - self._uncommitted.total() if self._failing else _MOST_TAKEN
        if (room <= 0) != self._holding:
            self._holding = not self._holding
            text = "commits fail and the memory is used up: no more data are taken until one works"
            _log.warning(text if self._holding else "data are taken again")
        if self._holding:
            return self._inbox.take_pushed(wait)
        items = self._inbox.take(wait, min(room, _MOST_TAKEN))
        if self._held_since is None:
            self._held_since = self._waiting_since
        self._waiting_since = self._around.clock.monotonic() if self._inbox.held_bytes else None
        return items

    def _end(self, key: ScanKey, how: Callable[[ScanWriter], None]) -> None:
        writer = self._writers.get(key)
        if writer is not None and not writer.over:
            self._guarded(writer, partial(how, writer))

    def _handle(self, items: Iterable[ScanEvent | _Call]) -> bool:
        """Handle items in order; tells whether one of them wants a commit at once."""
        urgent = False
        for key, run in groupby(items, _key):
            if key is None:
                urgent = True
                for item in run:
                    if isinstance(item, _Call):
                        item.run()
            else:
                events = [item for item in run if not isinstance(item, _Call)]
                urgent = self._feed(key, events) or urgent
        return urgent

    def _feed(self, key: ScanKey, events: Sequence[ScanEvent]) -> bool:
        """Hand a writer events of its scan; tells whether one of them wants a commit at once."""
        writer = self._writers.get(key)
        if writer is None or writer.over:
            return False
        self._guarded(writer, partial(writer.feed_all, events))
        size = sum(map(_size, events))
        for file in writer.files or (None,):
            self._uncommitted[file] += size
        return any(isinstance(event, Prepared | Ended | Vanished) for event in events)

    def _commit(self) -> None:
        for writer in list(self._writers.values()):
            self._guarded(writer, writer.before_commit)
        errors = self._around.files.commit()
        self._failing = bool(errors)
        self._uncommitted = Counter({file: self._uncommitted[file] for file in errors})
        if not errors:
            self._held_since = None
        for writer in list(self._writers.values()):
            if not writer.over:
                error = next((errors[file] for file in writer.files if file in errors), None)
                self._guarded(writer, partial(self._settle, writer, error))
        for key in [key for key, writer in list(self._writers.items()) if writer.over]:
            del self._writers[key]

    def _settle(self, writer: ScanWriter, error: FileError | None) -> None:
        """After a commit: what it means for a scan, and what time means for it."""
        writer.committed(error)
        writer.tick()

    def _guarded(self, writer: ScanWriter, step: Callable[[], None]) -> None:
        """Run a step of a scan; an error that nobody foresaw costs that scan only."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the one place where a scan's errors end
            writer.fail(error)

    def _finish(self) -> None:
        self._suspend(_STOPPED)
        self._commit()
        self._around.files.close()

    def _suspend(self, reason: str) -> None:
        for writer in list(self._writers.values()):
            if not writer.over:
                self._guarded(writer, partial(writer.suspend, reason))


def _nothing() -> None:
    """What is called for the commit that follows each call."""


def _key(item: ScanEvent | _Call) -> ScanKey | None:
    """Of which scan an item tells; None for a call."""
    return None if isinstance(item, _Call) else item.key


def _size(event: ScanEvent) -> int:
    return event.nbytes + _EVENT_BYTES if isinstance(event, Points) else _EVENT_BYTES
