"""The pseudo-label cache: everything that was said of each entry, and what it comes to.

MaidLog §III-B3: Y = {(y, w)} of an entry keeps the binary label y of every round with a weight w
that grows linearly with the round. Eq. 3 rounds the weighted mean for the verifier; the detector
gets the mean itself. Late answers weigh more, so that early mistakes are corrected soon, but one
of them is outvoted by several earlier ones, so that one late mistake does little.

Guarantees: answers are only ever added; `as_dict` and `from_dict` are inverse. An entry nobody
has an answer for has no label (`labelled`), and counts as normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LabelCache", "rounded", "weight_of"]

Floats = npt.NDArray[np.float64]


def rounded(soft: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Round soft labels by Eq. 3, ``⌊x - 0.5⌋ + 1``: one half is anomalous; bool (n,)."""
    up: npt.NDArray[np.bool_] = np.asarray(soft, np.float64) >= 0.5
    return up


def weight_of(round_: int, growth: float = 1.0) -> float:
    """Return the weight w of an answer of a round: ``1 + growth · round``.

    Args:
        round_: 0 is the initial labelling.
        growth: of the weight in a round; the paper says "linearly" and leaves the slope open.
    """
    return 1.0 + growth * round_


@dataclass(slots=True)
class LabelCache:
    """Answers about n entries. Memory: O(answers)."""

    entries: int
    entry: list[int] = field(default_factory=list)
    """Of each answer, in the order they came."""
    anomalous: list[bool] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)

    def add(self, entry: int, weight: float, *, anomalous: bool) -> None:
        """Add an answer.

        Raises:
            ValueError: there is no such entry, or the weight is not positive.
        """
        if not 0 <= entry < self.entries or not weight > 0:
            raise ValueError(f"no answer for entry {entry} of {self.entries} with weight {weight}")
        self.entry.append(entry)
        self.anomalous.append(bool(anomalous))
        self.weight.append(float(weight))

    def soft(self) -> Floats:
        """Return ỹ of each entry: the weighted mean of its answers, float64 (n,), in [0, 1]."""
        entry = np.array(self.entry, np.int64)
        weight = np.array(self.weight, np.float64)
        whole = np.bincount(entry, weight, self.entries)
        said = np.bincount(entry, weight * np.array(self.anomalous, np.float64), self.entries)
        return said / np.where(whole > 0, whole, 1.0)

    def hard(self) -> npt.NDArray[np.bool_]:
        """Return Eq. 3 of each entry: bool (n,)."""
        return rounded(self.soft())

    def labelled(self) -> npt.NDArray[np.bool_]:
        """Return which entries have an answer: bool (n,)."""
        return np.bincount(np.array(self.entry, np.int64), minlength=self.entries) > 0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "entries": self.entries,
            "entry": list(self.entry),
            "anomalous": [int(each) for each in self.anomalous],
            "weight": list(self.weight),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> LabelCache:
        """Read what `as_dict` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        cache = cls(int(raw["entries"]))
        for entry, anomalous, weight in zip(
            raw["entry"], raw["anomalous"], raw["weight"], strict=True
        ):
            cache.add(int(entry), float(weight), anomalous=bool(anomalous))
        return cache
