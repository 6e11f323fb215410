"""The pseudo-label cache: everything that was said of each entry, and what it comes to.

MaidLog §III-B3: Y = {(y, w)} of an entry keeps the binary label y of every round with a weight w
that grows linearly with the round. Eq. 3 rounds the weighted mean for the verifier; the detector
gets the mean itself. Late answers weigh more, so that early mistakes are corrected soon, but one
of them is outvoted by several earlier ones, so that one late mistake does little.

Guarantees: answers are only ever added, so what the labels were after any round can still be told;
`as_dict` and `from_dict` are inverse. An entry nobody has an answer for counts as normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LabelCache", "rounded"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def rounded(soft: npt.NDArray[np.floating[Any]]) -> Bools:
    """Round soft labels by Eq. 3, ``⌊x - 0.5⌋ + 1``: one half is anomalous; bool (n,)."""
    up: Bools = np.asarray(soft, np.float64) >= 0.5
    return up


@dataclass(slots=True)
class LabelCache:
    """Answers about n entries. Memory: O(answers)."""

    entries: int
    growth: float = 1.0
    """Of the weight in a round: w = 1 + growth · round. The paper says "linearly", no more."""
    entry: list[int] = field(default_factory=list)
    """Of each answer, in the order they came."""
    anomalous: list[bool] = field(default_factory=list)
    round: list[int] = field(default_factory=list)
    """0 is the initial labelling."""

    def add(self, entry: int, round_: int, *, anomalous: bool) -> None:
        """Add an answer.

        Raises:
            ValueError: there is no such entry, or the round is negative.
        """
        if not 0 <= entry < self.entries or round_ < 0:
            raise ValueError(f"no answer for entry {entry} of {self.entries} in round {round_}")
        self.entry.append(int(entry))
        self.anomalous.append(bool(anomalous))
        self.round.append(int(round_))

    def soft(self, until: int | None = None) -> Floats:
        """Return ỹ of each entry: the weighted mean of its answers, float64 (n,), in [0, 1].

        Args:
            until: last round that counts; None: all.
        """
        entry, said, weight = self._until(until)
        whole = np.bincount(entry, weight, self.entries)
        anomalous = np.bincount(entry, weight * said, self.entries)
        return anomalous / np.where(whole > 0, whole, 1.0)

    def hard(self, until: int | None = None) -> Bools:
        """Return Eq. 3 of each entry: bool (n,)."""
        return rounded(self.soft(until))

    def answers(self, until: int | None = None) -> npt.NDArray[np.int64]:
        """Return how many answers each entry has: int64 (n,)."""
        return np.bincount(self._until(until)[0], minlength=self.entries).astype(np.int64)

    def _until(self, until: int | None) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
        round_ = np.array(self.round, np.int64)
        kept = np.ones(len(round_), np.bool_) if until is None else round_ <= until
        weight = (1.0 + self.growth * round_[kept]).astype(np.float64)
        said = np.array(self.anomalous, np.float64)[kept]
        return np.array(self.entry, np.int64)[kept], said, weight

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "entries": self.entries,
            "growth": self.growth,
            "entry": list(self.entry),
            "anomalous": [int(each) for each in self.anomalous],
            "round": list(self.round),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> LabelCache:
        """Read what `as_dict` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        cache = cls(int(raw["entries"]), float(raw["growth"]))
        for entry, anomalous, round_ in zip(
            raw["entry"], raw["anomalous"], raw["round"], strict=True
        ):
            cache.add(int(entry), int(round_), anomalous=bool(anomalous))
        return cache
