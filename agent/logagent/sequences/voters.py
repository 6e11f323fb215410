"""Voters of the ensemble, on numpy: what was trained with scikit-learn is only applied here.

Each voter gives a score in [0, 1], 1 is anomalous, and votes "anomalous" above its own cut.
Guarantees: a voter's arrays fit together before it judges anything (`ValueError` otherwise); a
judgement's work is bounded by the size of the arrays and the length of the sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from logagent.sequences.arrays import array, number, whole
from logagent.sequences.features import Events

__all__ = ["Neighbours", "Network", "Seen", "Tree", "Voter"]


class Seen:
    """A sequence with what several voters need of it."""

    __slots__ = ("counts", "events", "which")

    def __init__(self, events: Events, counts: npt.NDArray[np.int64]) -> None:
        self.events = events
        self.counts = counts
        """How often each event is in it: int64 (events,)."""
        self.which = np.flatnonzero(counts)
        """Events that are in it: int64 (distinct,)."""


class Voter(Protocol):
    """What the ensemble knows of a voter."""

    cut: float
    """Votes "anomalous" if the score is greater."""
    parameters: int

    def score(self, seen: Seen) -> float:
        """Return a score in [0, 1]; 1 is anomalous."""
        ...


class Neighbours:
    """k nearest training sequences by Euclidean distance of counts (§4.3.2)."""

    cut = 0.5

    def __init__(self, part: Mapping[str, Any], width: int) -> None:
        self._known = array(part, "counts", "<u2", (width, -1))
        several = self._known.shape[1]
        self._anomalous = array(part, "anomalous", "|u1", (several,))
        self._k = whole(part, "neighbours", 1, several)
        self._square = np.zeros(several)
        for row in self._known:  # one at a time: widened at once it would be eight times as large
            self._square += row.astype(np.float64) ** 2
        self.parameters = self._known.size + several

    def score(self, seen: Seen) -> float:
        """Share of anomalous ones; of equally near ones the first trained on counts first."""
        weight = seen.counts[seen.which].astype(np.float64)
        # Whole numbers below 2^53: distances are exact, hence so is the order.
        far = self._square - 2.0 * (weight @ self._known[seen.which].astype(np.float64))
        nearest = np.argsort(far, kind="stable")[: self._k]
        return float(self._anomalous[nearest].mean())


class Tree:
    """A decision tree on counts."""

    cut = 0.5

    def __init__(self, part: Mapping[str, Any], width: int) -> None:
        feature = array(part, "feature", "<i2", (-1,))
        nodes = len(feature)
        threshold = array(part, "threshold", "<f4", (nodes,))
        left, right = (array(part, name, "<i2", (nodes,)) for name in ("left", "right"))
        share = array(part, "anomalous", "<f4", (nodes,))
        inner = left >= 0
        number = np.arange(nodes)
        if not nodes or feature[inner].size and not 0 <= feature[inner].min() <= width - 1:
            raise ValueError("tree: an event is not in it")
        if feature[inner].size and feature[inner].max() >= width:
            raise ValueError("tree: an event is not in it")
        for child in (left, right):  # children come after their parent: every walk ends
            if not ((number < child) & (child < nodes))[inner].all():
                raise ValueError("tree: its nodes are not in order")
        if not ((share >= 0) & (share <= 1)).all():
            raise ValueError("tree: shares are not in [0, 1]")
        self._feature, self._threshold = feature.tolist(), threshold.tolist()
        self._left, self._right, self._share = left.tolist(), right.tolist(), share.tolist()
        self.parameters = 2 * nodes

    def score(self, seen: Seen) -> float:
        """Share of anomalous training sequences in the leaf."""
        node = 0
        while self._left[node] >= 0:
            small = seen.counts[self._feature[node]] <= self._threshold[node]
            node = self._left[node] if small else self._right[node]
        return float(self._share[node])


class Network:
    """One hidden layer on counts (SLFN, §4.3.2)."""

    cut = 0.5

    def __init__(self, part: Mapping[str, Any], width: int) -> None:
        self._first = array(part, "first.weight", "<f4", (width, -1))
        hidden = self._first.shape[1]
        self._first_bias = array(part, "first.bias", "<f4", (hidden,))
        self._second = array(part, "second.weight", "<f4", (hidden,))
        self._second_bias = number(part, "second.bias", -1e6, 1e6)
        self.parameters = self._first.size + 2 * hidden + 1

    def score(self, seen: Seen) -> float:
        """Probability of the network."""
        weight = seen.counts[seen.which].astype(np.float32)
        hidden = np.maximum(weight @ self._first[seen.which] + self._first_bias, np.float32(0))
        return _sigmoid(float(hidden @ self._second) + self._second_bias)


def _sigmoid(x: float) -> float:
    small = float(np.exp(-abs(x)))
    return 1 / (1 + small) if x >= 0 else small / (1 + small)
