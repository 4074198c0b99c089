"""Carries out what takes time, one operation after the other, in a thread of its own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet


class Operator:
    """For any threads, one at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "operator")
        self._newest: Future[None] | None = None

    def begin(self, operation: Callable[[], None]) -> None:
        """Carry out an operation after those that were begun before."""
        self._newest = self._thread.submit(operation)

    def wait(self, patience: float) -> bool:
        """Whether everything is done, waited for up to ``patience`` seconds."""
        if self._newest is None:
            return True
        try:
            self._newest.result(patience)
        except NotYet:
            return False
        return True

    def end(self) -> None:
        """Finish everything, for good; waits for it."""
        self._thread.shutdown(wait=True)
