"""What is known of each round of a calibration: the rows behind Fig. 5 and Tables III and IV.

Figures that need the truth are None where it is not known; nothing in a calibration reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Quality", "Round", "quality"]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Quality:
    """Labels against the truth; anomalous is the positive class."""

    precision: float
    recall: float
    f1: float
    line_precision: float
    """The same with each entry weighed by its lines."""
    line_recall: float
    line_f1: float
    wrong: float
    """Share of entries labelled wrong."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round."""

    number: int
    """0 is the initial labelling."""
    asked: int
    """Queries of the round."""
    unanswered: int
    """Of these without an answer."""
    changed: int
    """Entries whose rounded label (Eq. 3) is another than before the round."""
    anomalous: int
    """Entries whose label is anomalous after the round."""
    candidates: dict[str, dict[str, int]] = field(default_factory=dict)
    """By system, and by label before the round: ``normal`` and ``anomalous``."""
    disagreed: int = 0
    """Candidates marked for disagreement; the others for their loss."""
    support: int = 0
    """Entries that may be examples."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Queries by kind of prompt."""
    against: dict[str, int] = field(default_factory=dict)
    """By kind: answers that contradict the label before the round."""
    signal: float = 0.0
    """What the stopping rule reads, see `stopping`."""
    candidates_wrong: float | None = None
    """Share of candidates whose label before the round was wrong."""
    support_wrong: float | None = None
    """Likewise of the support."""
    repaired: dict[str, int] | None = None
    """By kind: answers that are right where the label before the round was wrong."""
    broken: dict[str, int] | None = None
    """By kind: answers that are wrong where the label before the round was right."""
    quality: Quality | None = None
    """Of the labels after the round."""


def quality(
    anomalous: Bools, truth: Bools, known: Bools, count: npt.NDArray[np.int64]
) -> Quality | None:
    """Compare labels with the truth, where it is known; None if it is known nowhere.

    Args:
        anomalous: labels, bool (n,).
        truth: bool (n,).
        known: bool (n,).
        count: lines of each entry, int64 (n,).
    """
    if not known.any():
        return None
    said, right, lines = anomalous[known], truth[known], count[known].astype(np.float64)
    return Quality(
        *_scores(said, right, np.ones(len(said))),
        *_scores(said, right, lines),
        float((said != right).mean()),
    )


def _scores(
    said: Bools, right: Bools, weight: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return precision, recall and F1; 0 where nothing could be found."""
    both = float(weight[said & right].sum())
    precision = both / max(float(weight[said].sum()), 1e-12)
    recall = both / max(float(weight[right].sum()), 1e-12)
    f1 = 0.0 if both == 0 else 2 * precision * recall / (precision + recall)
    return precision, recall, f1


def by_kind(kinds: Sequence[str], chosen: Bools) -> dict[str, int]:
    """Count the queries of each kind for which something holds."""
    counted = Counter(kind for kind, holds in zip(kinds, chosen, strict=True) if holds)
    return dict(sorted(counted.items()))
