"""What carried a verdict: how the sequence differs from normal ones that are most like it.

The normal training sequences nearest to a sequence say what it would have been without the trouble.
Each event that comes more or less often than in them is set to their count, alone, and the
sequence is judged again: by how much the score falls is what that event carried.

Guarantees: work is bounded (`MOST_EVENTS`, `MOST_CARRIED`, `MOST_POSITIONS`); no verdict hangs on
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from logagent.sequences.features import Events

__all__ = ["MOST_CARRIED", "MOST_POSITIONS", "Carried", "Contrast"]

NEAREST = 5  # normal sequences compared with: their median forgives one odd one
MOST_EVENTS = 48  # tried, those of the largest difference first; each is one more judgement
MOST_CARRIED = 8  # told
MOST_POSITIONS = 16  # told of each
_LEAST = 0.02  # of the score: half of what a tree in a forest of 25 would change

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Carried:
    """An event that carried a verdict of "anomalous"."""

    kind: Literal["missing", "unexpected", "repeated", "out of order"]
    """Rarer than in sequences like this; in none of them; more often than in them; or before
    another event that in normal sequences is always first (`order`)."""
    event: int
    weight: float
    """By how much the score falls if only this were as in normal ones, in (0, 1]; out of order:
    its share of the evidence."""
    positions: list[int]
    """Where in the sequence, the first `MOST_POSITIONS`; empty where it is missing; out of order:
    its place, and that of the other event."""
    before: int = -1
    """Out of order: the other event, which comes first in normal sequences."""
    held: int = 0
    """Out of order: normal training sequences with the two in order, …"""
    of: int = 0
    """… and those with both of them."""


class Contrast:
    """Normal sequences to compare with. Memory: O(their number · events), 2 bytes each."""

    def __init__(self, normal: npt.NDArray[np.uint16]) -> None:
        self.normal = self._normal = normal
        """Counts: uint16 (events, n)."""
        self._held = np.flatnonzero(normal.any(axis=1))

    def of(
        self, events: Events, counts: Counts, score: Callable[[Counts], npt.NDArray[np.float64]]
    ) -> list[Carried]:
        """Return what carried a verdict, the heaviest first.

        Args:
            events: the sequence.
            counts: its counts, int64 (events,).
            score: scores rows of counts.
        """
        if not self._normal.shape[1] or not len(events):
            return []
        like = self._usual(counts)
        differ = np.abs(np.log1p(counts) - np.log1p(like))
        tried = np.flatnonzero(differ)
        tried = tried[np.argsort(-differ[tried], kind="stable")][:MOST_EVENTS]
        if not len(tried):
            return []
        rows = np.repeat(counts[None], len(tried) + 1, axis=0)
        rows[np.arange(len(tried)), tried] = like[tried]
        scores = score(rows)
        fall = scores[-1] - scores[:-1]
        order = np.argsort(-fall, kind="stable")[:MOST_CARRIED]
        return [
            _carried(int(tried[at]), float(fall[at]), events, counts, like)
            for at in order.tolist()
            if fall[at] >= _LEAST
        ]

    def _usual(self, counts: Counts) -> Counts:
        """Median counts of the normal sequences nearest in the logarithm of counts."""
        rows = np.union1d(np.flatnonzero(counts), self._held)  # the others are 0 on both sides
        here = np.log1p(counts[rows]).astype(np.float32)[:, None]
        far = ((np.log1p(self._normal[rows].astype(np.float32)) - here) ** 2).sum(axis=0)
        nearest = np.argsort(far, kind="stable")[:NEAREST]
        held: Counts = np.zeros_like(counts)
        held[rows] = np.median(self._normal[rows[:, None], nearest], axis=1).astype(np.int64)
        return held


def _carried(event: int, weight: float, events: Events, counts: Counts, like: Counts) -> Carried:
    kind: Literal["missing", "unexpected", "repeated"] = "missing"
    positions: list[int] = []
    if counts[event] > like[event]:
        kind = "repeated" if like[event] else "unexpected"
        positions = np.flatnonzero(events == event)[:MOST_POSITIONS].tolist()
    return Carried(kind, event, weight, positions)
