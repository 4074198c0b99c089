"""Questions to disks, asked in a thread of their own because a stalled disk may never answer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

PERIOD = 3.0
"""Seconds between two times that the same question is asked."""
_INTEREST = 60.0
"""Seconds after which a question that nobody wants answered is asked no more."""


@dataclass(slots=True)
class _Question(Generic[T]):
    wanted: float
    """When the answer was last wanted."""
    answer: T | None = None


class Lookout(Generic[T]):
    """Keeps asking what was asked once, so that an answer is at hand. For any threads.

    Args:
        ask: gives the answer for a path, however long that takes; it must not raise.
        name: of the thread.
    """

    def __init__(self, ask: Callable[[str], T], name: str) -> None:
        self._ask = ask
        self._name = name
        self._questions: dict[str, _Question[T]] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def answer(self, path: str, patience: float) -> T | None:
        """The newest answer for a path: some seconds old, unless the disk stalls.

        Args:
            path: what to ask about.
            patience: seconds to wait for the first answer.

        Returns:
            The answer; None while there is none yet.
        """
        with self._changed:
            question = self._questions.get(path)
            if question is None:
                question = self._questions[path] = _Question(time.monotonic())
                self._start()
                self._changed.notify_all()
            question.wanted = time.monotonic()
            self._changed.wait_for(lambda: question.answer is not None, patience)
            return question.answer

    def stop(self) -> None:
        """End the thread (at its next turn)."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            # A daemon, since it may hang for ever.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while paths := self._next():
            for path in paths:
                answer = self._ask(path)
                with self._changed:
                    if question := self._questions.get(path):
                        question.answer = answer
                    self._changed.notify_all()

    def _next(self) -> list[str]:
        """What to ask next: what has no answer yet, or all of it every now and then."""
        with self._changed:
            if not self._stopped and not self._unanswered():
                self._changed.wait_for(lambda: self._stopped or self._unanswered(), PERIOD)
            while not self._stopped:
                if unanswered := self._unanswered():
                    return unanswered
                oldest = time.monotonic() - _INTEREST
                self._questions = {
                    path: one for path, one in self._questions.items() if one.wanted >= oldest
                }
                if self._questions:
                    return list(self._questions)
                self._changed.wait()
            return []

    def _unanswered(self) -> list[str]:
        return [path for path, one in self._questions.items() if one.answer is None]
