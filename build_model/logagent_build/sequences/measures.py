"""How good verdicts on sequences are, and whether one method beats another (§4.2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import (  # type: ignore[import-untyped]  # it ships no types
    mannwhitneyu,
    wilcoxon,
)

__all__ = ["SIGNIFICANT", "Measured", "above", "measure", "paired"]

SIGNIFICANT = 0.05  # p below which the paper calls a difference significant


@dataclass(frozen=True, slots=True)
class Measured:
    """Verdicts against labels, all in [0, 1]."""

    precision: float
    recall: float
    f1: float


def measure(anomalous: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> Measured:
    """Compare verdicts with labels, both bool (n,); without any true positive all are 0."""
    right = int((anomalous & said).sum())
    if not right:
        return Measured(0.0, 0.0, 0.0)
    precision, recall = right / int(said.sum()), right / int(anomalous.sum())
    return Measured(precision, recall, 2 * precision * recall / (precision + recall))


def above(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return p of the two-sided Mann-Whitney U test that both are alike (1 if all are equal)."""
    if np.ptp([*ours, *theirs]) == 0:
        return 1.0
    return float(mannwhitneyu(ours, theirs, alternative="two-sided").pvalue)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return p of the two-sided Wilcoxon signed-rank test, run by run (1 if all are equal).

    The paper has no such test. Configurations differ more than methods do, which an unpaired test
    takes for noise.
    """
    if np.array_equal(ours, theirs):
        return 1.0
    return float(wilcoxon(ours, theirs).pvalue)
