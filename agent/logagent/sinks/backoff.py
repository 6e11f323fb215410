"""When to try again what has just failed: later each time, and not all agents at once.

Guarantees: the first pause is `first_seconds`, each doubles, none is over `last_seconds`; every
one of them is shortened by up to half at random, so that a fleet does not come back as one.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Backoff", "RandomNumbers"]


class RandomNumbers(Protocol):
    """What is needed of `random.Random`."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


class Backoff:
    """The pauses of one thing that fails."""

    def __init__(self, first_seconds: float, last_seconds: float, rng: RandomNumbers) -> None:
        self._first_seconds = first_seconds
        self._last_seconds = last_seconds
        self._rng = rng
        self._pause = first_seconds

    def next_seconds(self) -> float:
        """Return how long to wait now [s]."""
        pause = self._pause
        self._pause = min(pause * 2, self._last_seconds)
        return pause * (1 - self._rng.random() / 2)

    def reset(self) -> None:
        """Begin anew: it worked."""
        self._pause = self._first_seconds
