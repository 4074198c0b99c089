"""Documents on their way from the RunEngine to the writer: taken at once, never dropped.

Beyond a budget of memory they go to a temporary file, in order, so that a slow disk of the data
neither holds up the RunEngine nor fills the memory.
"""

import contextlib
import logging
import pickle
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Any, Final

from nexus_writer_service.sources.bluesky.batches import EVENTS, Events

_log = logging.getLogger(__name__)

BUDGET: Final = 32 << 20
"""Bytes of documents in memory above which they are spilled."""
_VALUE_BYTES: Final = 160
"""What a number and its time stamp hold in an event, roughly."""
_MOST_DESCRIBED: Final = 1000
_LARGEST: Final = 1 << 16
"""Bytes of arrays and texts in an event above which to gather it is no use."""
_MOST_READ: Final = 100
_FLOOD: Final = 20_000
"""Events per second from which on there are pauses; a RunEngine has its own."""
_UNTIL_PAUSE: Final = 8192
"""The most events between two of them."""
_PAUSE: Final = 12e-3
"""Seconds of each, in which others do what is to be done for so many events. Shorter and more often
costs more, as what threads share changes processors each time."""
_TOGETHER: Final = 1 << 20
"""Bytes of events that go to the temporary file, or come from it, together: one by one costs
hundreds of times as much, with all that is done for them later."""


Item = tuple[str, Any, Any]
"""Name of a document, the document, and what is to be known with a start document."""


class DocumentQueue:
    """Documents in order. One thread takes, any may put.

    Args:
        budget: bytes in memory.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._items: list[Item] = []
        self._held = 0
        self._sizes: dict[Any, int] = {}
        self._described: dict[Any, Events] = {}
        """What events of a descriptor are gathered in, without any."""
        self._gathering: dict[Any, Events] = {}
        """Those that events can be added to: they are among the items, and nothing but events of
        other descriptors came behind them."""
        self._spilled = 0
        self._spill: IO[bytes] | None = None
        self._read_at = 0
        self._last: list[Item] = []
        """Events that are gathered in memory, to go to the end of the file."""
        self._last_bytes = 0
        self._behind: list[Item] = []
        """In memory, but behind those in the file, which does not take any."""
        self._facts: deque[Any] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._urgent = False
        self._woken = False
        """Who takes was told that there is enough, which is the time for a pause."""
        self._packed = 0
        """Events since the last pause."""
        self._paused = time.monotonic()
        self._awake = False
        """Who takes was told that there is something."""
        self._told = False
        """Who takes was told not to wait for more."""
        self._enough = budget >> 4  # little is left to do when a run stops
        self._warned = False

    def put(self, item: Item, *, urgent: bool = False) -> None:
        """Take a document.

        Args:
            item: the document.
            urgent: whether it should not wait for others.
        """
        size = self._size(item)
        with self._changed:
            self._seal(item[0], item[1])
            held = self._held + size
            if self._spilled or self._last or held > self._budget:
                self._put_off(item)
            else:
                self._items.append(item)
                self._held = held
                if item[0] == EVENTS:
                    self._gather(item[1])
            if urgent or held > self._enough or not self._awake:
                self._urgent = self._urgent or urgent or held > self._enough
                if not self._awake or (self._urgent and not self._told):
                    self._awake = True
                    self._told = self._urgent
                    self._changed.notify_all()

    def put_event(self, document: Any) -> None:
        """Take an event, as ``put`` does; of those that are alike only the values stay.

        Raises:
            LookupError: it has no descriptor.
            TypeError: it is no document.
        """
        # Without a lock: to take one costs more than all else. Nothing is lost by that, because who
        # closes ``events`` does so before looking into them.
        events = self._gathering.get(document["descriptor"])
        if events is None:
            self._begin(document)
            return
        try:
            look = events.add(document)
        except LookupError:
            self.put(("event", document, None))
            return
        if look:
            self._look_at(events)

    def _look_at(self, events: Events) -> None:
        """Pack a block of events; those that came too late are put once more."""
        with self._lock:
            late = events.take() if events.closed else None
            if late is None:
                self._pack(events)
        if late is None:
            self._let_others_work(events.block)
        elif late:
            more = events.another(events.nbytes)
            more.newest += late
            self.put((EVENTS, more, None))

    def _let_others_work(self, count: int) -> None:
        """Pause when events come without a pause, of which these are some more.

        Who puts them keeps Python's lock to itself: the threads that write wait 5 ms each time that
        they ask for it, and find most of a run undone when it stops.
        """
        self._packed += count
        if self._woken or self._packed >= _UNTIL_PAUSE:
            if time.monotonic() - self._paused < self._packed / _FLOOD:
                time.sleep(_PAUSE)
            self._paused, self._packed, self._woken = time.monotonic(), 0, False

    def _begin(self, document: Any) -> None:
        """Gather events of a descriptor, from this one on, if they can be."""
        described, size = self._described.get(document["descriptor"]), _size_of(document)
        if described is None or size > _LARGEST:
            self.put(("event", document, None))
            return
        try:
            plain = all(type(one) is float for one in document["data"].values())
            events = described.another(None if plain else size)
            events.add(document)
        except (LookupError, TypeError, AttributeError):
            self.put(("event", document, None))
            return
        self.put((EVENTS, events, None))

    def _pack(self, events: Events) -> None:
        """Account for events in blocks: one at a time would cost as much as to take them."""
        events.pack()
        if self._last:  # they are among these: others were closed when the first of them came
            self._last_bytes += events.block * events.nbytes
            if self._last_bytes > _TOGETHER:
                self._spill_last()
            return
        self._held += events.block * events.nbytes
        if self._held > self._budget:
            self._close_all()
        if self._held > self._enough and not self._told:
            self._awake = self._told = self._urgent = self._woken = True
            self._changed.notify_all()

    def _put_off(self, item: Item) -> None:
        """Let a document wait in the file, behind all others."""
        if item[0] != EVENTS or self._behind or len(self._last) >= _MOST_READ:
            self._spill_last()
        if item[0] != EVENTS or self._behind:
            self._to_end(item)
            return
        if not self._last:
            self._close_all()
        self._last.append(item)
        self._gather(item[1])

    def _spill_last(self) -> None:
        """Bring the events that are gathered to the end of the file."""
        self._close_all()
        last, self._last, self._last_bytes = self._last, [], 0
        for item in last:
            self._to_end(item)

    def _to_end(self, item: Item) -> None:
        if self._behind or not self._to_file(item):
            (self._behind if self._spilled else self._items).append(item)

    def _gather(self, events: Events) -> None:
        for one in [*self._gathering.values()]:
            if one.stream == events.stream:  # a row may be measured again
                self._gathering.pop(one.descriptor).close()
        self._gathering[events.descriptor] = events

    def _close_all(self) -> None:
        gathering, self._gathering = self._gathering, {}
        for events in gathering.values():
            events.close()

    def _seal(self, name: str, document: Any) -> None:
        """What comes now must not be overtaken by events that are added to those before it."""
        if name != EVENTS:
            self._close_all()
        if name == "descriptor":
            # If there is anything wrong with it, its run is told of that.
            with contextlib.suppress(LookupError, TypeError, AttributeError):
                self._describe(document["uid"], Events.of(document))

    def _describe(self, uid: Any, events: Events | None) -> None:
        self._described.pop(uid, None)
        if events is not None:
            self._described[uid] = events
        if len(self._described) > _MOST_DESCRIBED:  # those of long ago
            del self._described[next(iter(self._described))]

    def take(self, timeout: float, gather: float) -> list[Item]:
        """Documents, oldest first; none after ``timeout`` seconds without any.

        Args:
            timeout: seconds to wait for the first one.
            gather: seconds to wait for more, unless one is urgent.
        """
        with self._changed:
            self._awake = self._told = False
            self._changed.wait_for(self._waiting, timeout)
            self._awake = True
            if self._waiting() and not self._urgent:
                self._changed.wait_for(lambda: self._urgent, gather)
            self._urgent = False
            self._close_all()
            taken: list[Item] = []
            if self._items:
                taken, self._items = self._items, []
                self._held = 0
            elif self._spilled:
                taken = self._some_from_file()
            else:
                taken, self._last, self._last_bytes = self._last, [], 0
            self._urgent = self._waiting()
            return taken

    def _waiting(self) -> bool:
        return bool(self._items or self._spilled or self._last)

    def __len__(self) -> int:
        return len(self._items) + self._spilled + len(self._last) + len(self._behind)

    @property
    def spilled(self) -> int:
        """Documents that wait in the temporary file."""
        return self._spilled

    def _size(self, item: Item) -> int:
        """Bytes that a document holds, roughly: events of one descriptor are alike."""
        name, document, _ = item
        if name == EVENTS:
            return int(document.nbytes)
        if name != "event":
            return _size_of(document) if name.endswith("page") else _VALUE_BYTES
        try:
            uid = document["descriptor"]
            size = self._sizes.get(uid)
            if size is None:
                size = self._sizes[uid] = _size_of(document)
        except (LookupError, TypeError):
            return _VALUE_BYTES
        return size

    def _to_file(self, item: Item) -> bool:
        try:
            if self._spill is None:
                self._spill = tempfile.TemporaryFile(prefix="nexus_writer_")  # noqa: SIM115 - it stays
                level = logging.DEBUG if self._warned else logging.WARNING
                self._warned = True
                _log.log(
                    level,
                    "documents come faster than they can be written: they wait in a temporary "
                    "file in %s",
                    tempfile.gettempdir(),
                )
            text = pickle.dumps(item[:2], pickle.HIGHEST_PROTOCOL)
            self._spill.seek(0, 2)
            self._spill.write(len(text).to_bytes(8, "little") + text)
        except (OSError, pickle.PicklingError, TypeError, AttributeError) as error:
            # Rather too much memory than a lost document.
            _log.error("a document stays in memory, it cannot wait in a file: %s", error)
            return False
        self._facts.append(item[2])
        self._spilled += 1
        return True

    def _some_from_file(self) -> list[Item]:
        """The oldest documents of the file, few at once: whoever puts waits meanwhile."""
        taken: list[Item] = []
        begin = self._read_at
        while self._spilled and len(taken) < _MOST_READ and self._read_at < begin + _TOGETHER:
            taken.append(self._from_file())
        return taken

    def _from_file(self) -> Item:
        if self._spill is None:
            raise RuntimeError("nothing was spilled")
        self._spill.seek(self._read_at)
        length = int.from_bytes(self._spill.read(8), "little")
        name, document = pickle.loads(self._spill.read(length))  # noqa: S301 - we wrote it
        self._read_at += 8 + length
        self._spilled -= 1
        if not self._spilled:
            self._spill.close()
            self._spill, self._read_at = None, 0
            self._items, self._behind = self._behind, []
        return name, document, self._facts.popleft()


def _size_of(document: Any) -> int:
    """Bytes of the values in an event or a page of events."""
    data = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(data, Mapping):
        return _VALUE_BYTES
    total = _VALUE_BYTES
    for value in data.values():
        total += _VALUE_BYTES + _length(value)
    return total


def _length(value: Any) -> int:
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return len(value) * (8 + (_length(value[0]) if value else 0))
    return 0
