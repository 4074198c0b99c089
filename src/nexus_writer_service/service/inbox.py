"""A queue between threads that is bounded by the memory of what it holds."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Items with a size; ``put`` waits while the inbox is full, so nothing is ever dropped.

    Items without one are pushed: they never wait.

    Args:
        budget: bytes above which ``put`` waits. One item may be larger than the budget.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._items: deque[tuple[T, int | None]] = deque()
        self._held = 0
        self._pushed = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def held_bytes(self) -> int:
        """Size of what is waiting."""
        return self._held

    def put(self, items: Iterable[tuple[T, int]]) -> None:
        """Add items with their sizes in bytes, in order, each as soon as there is room."""
        with self._changed:
            for item, nbytes in items:
                self._changed.wait_for(self._has_room)
                self._items.append((item, nbytes))
                self._held += nbytes
                self._changed.notify_all()

    def push(self, item: T) -> None:
        """Add an item without a size: it goes in at once, however full the inbox is."""
        with self._changed:
            self._items.append((item, None))
            self._pushed += 1
            self._changed.notify_all()

    def take(self, timeout: float, most: int = 64 << 20) -> list[T]:
        """What is waiting, oldest first; waits for something up to ``timeout`` seconds.

        Args:
            timeout: seconds.
            most: stop once this many bytes have been taken.
        """
        with self._changed:
            if not self._items:
                self._changed.wait(timeout)
            taken: list[T] = []
            nbytes = 0
            while self._items and nbytes <= most:
                item, size = self._items.popleft()
                taken.append(item)
                nbytes += size or 0
                self._pushed -= size is None
            self._held -= nbytes
            if taken:
                self._changed.notify_all()
            return taken

    def take_pushed(self, timeout: float) -> list[T]:
        """What was pushed, ahead of all that has a size, which stays; waits as ``take`` does."""
        with self._changed:
            self._changed.wait_for(lambda: self._pushed, timeout)
            taken: list[T] = []
            if self._pushed:
                taken = [item for item, size in self._items if size is None]
                self._items = deque(one for one in self._items if one[1] is not None)
                self._pushed = 0
            return taken

    def close(self) -> None:
        """Let every ``put`` through from now on, so that nobody hangs at the end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._closed or self._held < self._budget
