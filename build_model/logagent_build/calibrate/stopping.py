r"""When to end a calibration, and which round's labels to take: a rule of ours that needs no truth.

MaidLog leaves this open (§VI-B) and recommends a fixed number of rounds, though labels may become
worse after some (Fig. 4, Llama; Fig. 5, after round 52). The harm comes with the evidence: whoever
is asked again with examples errs in a way that spreads, and a verifier trained on the labels
learns the spreading errors too, so that neither can tell. What is free of it are the *initial*
answers, given to each line alone. Those of an entry's neighbours are witnesses of its label that
neither its own answers nor any evidence had a part in:

    pᵢ = (π ȳ + Σ_{j≠i} k(i, j) yⱼ⁰) / (π + Σ_{j≠i} k(i, j)),   wᵢ = log pᵢ / (1 - pᵢ)
    S(R) = Σᵢ (yᵢᴿ - yᵢ⁰) wᵢ

yᴿ are the rounded labels after round R, ȳ the mean of y⁰, k a kernel of the vectors' cosine, lower
between systems. S(R) is the log-likelihood ratio of the labels of round R to the initial ones, as
the witnesses have it: a repaired mistake adds to it, a label corrupted against its neighbourhood
takes from it. Each change is judged by what was said of *other* lines (leave-one-out), so labels
cannot vouch for themselves. The labels taken are those of the R with the highest S; asking ends
when `patience` rounds brought no higher one.

What it cannot see: whole neighbourhoods that were misread from the beginning. Their repair looks
like corruption, and is forgone where it outweighs the rest. Constants were chosen on seeds 0 and 1
of simulations; docs/calibration.md has what the rule does on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Rule", "Witnesses"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_CELLS = 1 << 22  # kernel values held at a time: 32 MB each of a few arrays


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule's constants."""

    patience: int = 6
    """Rounds without a higher S after which asking ends."""
    width: float = 0.1
    """Of the kernel exp((cos - 1) / width)."""
    elsewhere: float = 0.3
    """Factor of the kernel between different systems, in [0, 1]."""
    prior: float = 0.5
    """π: weight of the mean label, in neighbours of cosine 1."""
    surest: float = 0.99
    """Highest probability a witness is believed to have; the lowest is 1 minus it."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.patience < 1 or self.width <= 0 or self.prior <= 0 or not 0.5 < self.surest < 1:
            raise ValueError("patience is at least 1, width and prior positive, surest in (0.5, 1)")

    def best(self, signals: Sequence[float]) -> int:
        """Return the round whose labels to take: the first of the highest S.

        Args:
            signals: S of each round, the initial one included.
        """
        return int(np.argmax(signals))

    def ends(self, signals: Sequence[float]) -> bool:
        """Tell whether asking ends after these rounds."""
        return len(signals) - 1 - self.best(signals) >= self.patience


class Witnesses:
    """What the neighbours' initial labels say of each entry. Time O(n²·d), once; memory O(n)."""

    def __init__(
        self,
        vectors: npt.NDArray[np.float32],
        domain: npt.NDArray[np.int64],
        initial: Bools,
        answered: Bools,
        rule: Rule,
    ) -> None:
        """Hear them.

        Args:
            vectors: of the entries, float32 (n, d), of unit length.
            domain: their systems, int64 (n,).
            initial: rounded labels of round 0, bool (n,).
            answered: which entries have one, bool (n,); others are no witnesses.
            rule: see there.
        """
        self._initial = initial
        witness = answered.astype(np.float64)
        said = witness * initial
        mean = said.sum() / max(1.0, float(witness.sum()))
        chance = np.empty(len(vectors))
        block = max(1, _CELLS // len(vectors))
        for start in range(0, len(vectors), block):
            rows = slice(start, start + block)
            near = vectors[rows] @ vectors.T  # (b, n)
            kernel = np.exp((near.astype(np.float64) - 1.0) / rule.width)
            kernel *= np.where(domain[rows][:, None] == domain[None, :], 1.0, rule.elsewhere)
            at = np.arange(len(kernel))
            kernel[at, start + at] = 0.0
            chance[rows] = (rule.prior * mean + kernel @ said) / (rule.prior + kernel @ witness)
        chance = np.clip(chance, 1.0 - rule.surest, rule.surest)
        self._weight = np.log(chance / (1.0 - chance))

    def agree(self, labels: Bools) -> Bools:
        """Return which labels the witnesses of an entry share: bool (n,).

        Args:
            labels: rounded, bool (n,).
        """
        return (self._weight > 0) == labels

    def signal(self, labels: Bools) -> float:
        """Return S of the labels after a round: 0 for the initial ones.

        Args:
            labels: rounded, bool (n,).
        """
        changed = labels.astype(np.float64) - self._initial
        return float(changed @ self._weight)
