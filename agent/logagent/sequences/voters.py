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
from logagent.sequences.features import Events, shares

__all__ = ["Forest", "Neighbours", "Network", "Seen", "Voter"]


Counts = npt.NDArray[np.int64]


class Seen:
    """A sequence with what several voters need of it."""

    __slots__ = ("counts", "events", "which")

    def __init__(self, events: Events, counts: Counts) -> None:
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

    def scores(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Score rows of counts: int64 (n, events) to float64 (n,)."""
        ...


class Neighbours:
    """k nearest training sequences by Euclidean distance of counts (§4.3.2)."""

    cut = 0.5

    def __init__(self, part: Mapping[str, Any], width: int) -> None:
        self._known = array(part, "counts", "<u2", (width, -1))
        several = self._known.shape[1]
        self._anomalous = array(part, "anomalous", "|u1", (several,))
        if several and int(self._anomalous.max()) > 1:
            raise ValueError("neighbours: labels are not 0 or 1")
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

    def scores(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Score rows of counts: int64 (n, events) to float64 (n,)."""
        return _each(self, counts)


class Forest:
    """Decision trees on counts, and on shares if they were trained with them; one tree or many.

    Nodes of all trees stand in one row, a node's left child right after it.
    """

    def __init__(self, part: Mapping[str, Any], width: int) -> None:
        feature = array(part, "feature", "<i2", (-1,))
        nodes = len(feature)
        right = array(part, "right", "<i4", (nodes,))
        value = array(part, "value", "<f4", (nodes,))
        roots = array(part, "roots", "<i4", (-1,))
        here = np.arange(nodes, dtype=np.int32)
        inner = feature >= 0
        # Children come after their parent, so every walk ends.
        if not ((here + 1 < right) & (right < nodes))[inner].all():
            raise ValueError("trees: their nodes are not in order")
        if not len(roots) or int(roots.min()) < 0 or int(roots.max()) >= nodes:
            raise ValueError("trees: no such root")
        if nodes and int(feature.max()) >= 2 * width:
            raise ValueError("trees: an event is not in the vocabulary")
        if not ((value >= 0) & (value <= 1))[~inner].all():
            raise ValueError("trees: shares are not in [0, 1]")
        self.cut = number(part, "cut", 0, 1)
        self._shares = nodes > 0 and int(feature.max()) >= width
        # A leaf is its own child on both sides: walks of all trees are one loop.
        self._feature = np.where(inner, feature, 0).astype(np.int32)
        self._child = np.stack([np.where(inner, right, here), np.where(inner, here + 1, here)])
        self._value, self._roots = value, roots
        self._inner = inner
        self.parameters = 2 * nodes

    def score(self, seen: Seen) -> float:
        """Mean over the trees of the share of anomalous training sequences in the leaf reached."""
        return float(self.scores(seen.counts[None])[0])

    def scores(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Score rows of counts: int64 (n, events) to float64 (n,)."""
        table = counts.astype(np.float32)
        if self._shares:
            table = np.concatenate([table, shares(counts)], axis=1)
        rows = np.arange(len(table))[:, None]
        node = np.broadcast_to(self._roots, (len(table), len(self._roots)))
        while self._inner[node].any():  # as often as the deepest walk has steps
            small = table[rows, self._feature[node]] <= self._value[node]
            node = self._child[small.astype(np.int8), node]
        held: npt.NDArray[np.float64] = self._value[node].mean(axis=1, dtype=np.float64)
        return held


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

    def scores(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Score rows of counts: int64 (n, events) to float64 (n,)."""
        return _each(self, counts)


def _each(voter: Voter, counts: Counts) -> npt.NDArray[np.float64]:
    nothing = np.zeros(0, np.int32)  # these voters look at counts only
    return np.array([voter.score(Seen(nothing, row)) for row in counts])


def _sigmoid(x: float) -> float:
    small = float(np.exp(-abs(x)))
    return 1 / (1 + small) if x >= 0 else small / (1 + small)
