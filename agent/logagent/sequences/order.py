"""The order voter: what normal sequences always have in one order, and a sequence has in the other.

Holds: `Order`, invariants of pairs of events as Synoptic and CSight mine them ("a is always before
b"), read from a bundle's part. There are three kinds (`KINDS`): the first a comes before the first
b, the last a before the last b, every a before any b. A pair that a sequence has in the other order
by at least its margin of places violates its invariant; nothing is said of a pair it does not have
both of. So a sequence is never out of order for what it lacks or has too often: that is what the
voters on counts see.

An invariant held in n normal sequences weighs log(n / 3) / log(N / 3), N being all of them: by the
rule of three, a probability above 3 / n to be violated is excluded with 95 %. The *evidence* is the
sum of weights of the invariants violated, hence 1 for one that all normal sequences showed.

Guarantees: arrays fit together before anything is judged (`ValueError` otherwise); work is O(events
of the vocabulary + invariants + length); a judgement depends on the sequence alone. Left to others:
mining (`logagent_build.sequences.order`), and that the order may only add to what counts say
(`ensemble`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from logagent.sequences.arrays import array, number, whole
from logagent.sequences.contrast import Carried
from logagent.sequences.features import Events

__all__ = ["KINDS", "MOST_INVARIANTS", "Order", "weight"]

KINDS: Final = ("first before first", "last before last", "all before any")
MOST_INVARIANTS: Final = 4_096
"""Of a voter: six numbers each, 24,576 parameters; two gathers of 4,096 are some 30 µs."""
MOST_TOLD: Final = 3  # misplaced events: beyond that nobody reads on
_MOST_SEQUENCES: Final = 2**31 - 1

Indices = npt.NDArray[np.int64]


def weight(of: npt.NDArray[np.uint32], most: int) -> npt.NDArray[np.float64]:
    """Return what invariants weigh: float64, in (0, 1].

    Args:
        of: normal sequences with both events of each; more than 3.
        most: all normal sequences, at least as many.
    """
    held: npt.NDArray[np.float64] = np.log(of / 3.0) / np.log(most / 3.0)
    return held


class Order:
    """Invariants of order. Memory: O(invariants)."""

    def __init__(self, part: Mapping[str, Any], width: int) -> None:
        """Read what `logagent_build.sequences.order` made.

        Args:
            part: its map in a bundle.
            width: events of the vocabulary.

        Raises:
            ValueError: it is no such map.
        """
        self._a = array(part, "a", "<u2", (-1,)).astype(np.int64)
        several = len(self._a)
        self._b = array(part, "b", "<u2", (several,)).astype(np.int64)
        kind = array(part, "kind", "|u1", (several,))
        self._held = array(part, "held", "<u4", (several,))
        self._of = array(part, "of", "<u4", (several,))
        normal = whole(part, "normal", 4, _MOST_SEQUENCES)
        if not 0 < several <= MOST_INVARIANTS:
            raise ValueError(f"order: {several} invariants, not 1 to {MOST_INVARIANTS}")
        if max(int(self._a.max()), int(self._b.max())) >= width or (self._a == self._b).any():
            raise ValueError("order: an event is not in the vocabulary, or before itself")
        if int(kind.max()) >= len(KINDS):
            raise ValueError("order: an unknown kind of invariant")
        if not ((self._of > 3) & (self._of <= normal) & (self._held <= self._of)).all():
            raise ValueError("order: counts of sequences do not fit together")
        self.cut = number(part, "cut", 0, 1)
        """Votes "anomalous" if the score is greater."""
        self._margin = array(part, "margin", "|u1", (several,)).astype(np.int32)
        if int(self._margin.min()) < 1:
            raise ValueError("order: a margin is 0")
        self.parameters = 6 * several
        self._width = width
        # First places stand before last places: which of them an invariant asks for is an index.
        self._ask_a = self._a + np.where(kind > 0, width, 0)
        self._ask_b = self._b + np.where(kind == 1, width, 0)
        self._weight = weight(self._of, normal)

    def violated(self, events: Events) -> Indices:
        """Return which invariants a sequence violates: int64 (n,).

        Args:
            events: int32 (length,), each in [0, width).
        """
        places = self._places(events)
        b = places[self._ask_b]
        # Of an event that is not there the place is -1: never late enough as a, left out as b.
        return np.flatnonzero((places[self._ask_a] - b >= self._margin) & (b >= 0))

    def score(self, violated: Indices) -> float:
        """Return evidence / (1 + evidence): in [0, 1), 0 if nothing is violated."""
        evidence = float(self._weight[violated].sum())
        return evidence / (1 + evidence)

    def carried(self, events: Events, violated: Indices) -> list[Carried]:
        """Say which pairs are out of order: for each misplaced event the weightiest.

        An event moved far violates an invariant with each it has passed, so the one with most
        weight in all is taken for misplaced, then that of those it does not explain, and so on.
        """
        places = self._places(events)
        left = violated
        told: list[Carried] = []
        total = float(self._weight[violated].sum())
        while len(left) and len(told) < MOST_TOLD:
            load = np.bincount(self._a[left], self._weight[left], self._width)
            load += np.bincount(self._b[left], self._weight[left], self._width)
            moved = int(load.argmax())
            with_it = (self._a[left] == moved) | (self._b[left] == moved)
            mine = left[with_it]
            best = mine[np.lexsort((mine, -self._weight[mine]))[0]]
            early, late = int(places[self._ask_b[best]]), int(places[self._ask_a[best]])
            told.append(
                Carried(
                    "out of order",
                    int(self._b[best]),
                    float(self._weight[mine].sum()) / total,
                    [early, late],
                    before=int(self._a[best]),
                    held=int(self._held[best]),
                    of=int(self._of[best]),
                )
            )
            left = left[~with_it]
        return told

    def _places(self, events: Events) -> npt.NDArray[np.int32]:
        """Return first places, then last places: int32 (2 · width,), -1 where there is none."""
        places = np.full(2 * self._width, -1, np.int32)
        here = np.arange(len(events), dtype=np.int32)
        places[events[::-1]] = here[::-1]  # of equal indices the last assignment stays
        places[events + self._width] = here
        return places
