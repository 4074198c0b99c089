"""How long to wait between attempts at something that is away."""

import random
from collections.abc import Callable


class Backoff:
    """Seconds to wait before the next attempt: twice as long each time, up to a limit.

    Each is shortened by up to a fifth at random, so that many who lost the same server do not come
    back all at once.

    Args:
        first: seconds before the second attempt.
        longest: seconds.
        chance: random numbers from 0 to 1.
    """

    def __init__(
        self,
        first: float = 0.25,
        longest: float = 10.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        wait, self._next = self._next, min(2 * self._next, self._longest)
        return wait * (1 - 0.2 * self._chance())

    def reset(self) -> None:
        """It is there: the next wait is a short one again."""
        self._next = self._first
