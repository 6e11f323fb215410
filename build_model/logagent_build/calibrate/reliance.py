r"""How far each kind of answer is to be relied on, learned from the answers themselves.

Nobody knows how often the labeller errs, nor whether it errs alike on all lines of a template, nor
whether evidence in the prompt helps it. What is known: several answers about one entry, and what
its neighbours say of it (`neighbours`). From that, as Dawid and Skene do for human annotators with
a classifier beside them (Raykar et al., Learning from Crowds, 2010):

    P(truth of i | all) ∝ P(truth | neighbours)ᵢ · Π over kinds P(answers of the kind about i | truth)

For each kind: the share of normal entries called anomalous, of anomalous ones called normal, and
how much the answers about one entry err together, a beta-binomial with correlation ρ: with ρ near
1 a second answer of that kind says nothing new, and one of another kind is worth more. What the
neighbours say is scaled likewise, by a logistic curve. All of it is fitted by expectation
maximisation, with priors that decide while there are few answers.

Guarantees: no randomness; rates stay in [`LEAST_RATE`, `MOST_RATE`]. Memory: O(entries · kinds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.neighbours import Predicted
from logagent_build.calibrate.queries import Kind

__all__ = ["KINDS", "Reliance", "Tally", "Trust", "fit", "odds_of_answers", "odds_of_neighbours"]

Reals = npt.NDArray[np.float64]
Tally = npt.NDArray[np.int64]
"""Answers about each entry: int64 (n, kinds, 2), said to be normal and anomalous."""

KINDS: tuple[Kind, ...] = ("plain", "induce", "filter", "refine")
LEAST_RATE, MOST_RATE = 0.01, 0.45
_RATE = 0.15  # of errors, before anything is known
_ANSWERS = 12.0  # answers that this prior weighs as much as
_CORRELATIONS = (0.02, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
_CORRELATION = 0.3  # before anything is known
_PAIRS = 15.0  # entries with several answers of a kind that this prior weighs as much as
_SLOPE = 1.7  # a logistic curve with this slope is nearly the normal distribution's
_SLOPES = 20.0  # weight of the prior of the curve
_STEPS = 25  # of expectation maximisation


@dataclass(frozen=True, slots=True)
class Trust:
    """In one kind of answer."""

    wrong_normal: float = _RATE
    """Share of normal entries called anomalous."""
    wrong_anomalous: float = _RATE
    """Share of anomalous entries called normal."""
    together: float = _CORRELATION
    """ρ: how much the errors about one entry go together, in (0, 1)."""

    def rate(self, *, anomalous: bool) -> float:
        """Share of entries of a class that are misread."""
        return self.wrong_anomalous if anomalous else self.wrong_normal


@dataclass(frozen=True, slots=True)
class Reliance:
    """In all kinds, in the order of `KINDS`, and in the neighbours."""

    kinds: tuple[Trust, ...] = field(default_factory=lambda: (Trust(),) * len(KINDS))
    slope: float = _SLOPE
    """Of the log odds in the neighbours' standardised prediction."""
    offset: float = 0.0


def odds_of_answers(tally: Tally, reliance: Reliance) -> Reals:
    """Return the log odds that an entry is anomalous by its own answers alone: float64 (n, kinds).

    Args:
        tally: of the answers.
        reliance: in their kinds.
    """
    found = np.zeros(tally.shape[:2])
    for at, trust in enumerate(reliance.kinds):
        found[:, at] = _log_likelihood(tally[:, at], trust, anomalous=True)
        found[:, at] -= _log_likelihood(tally[:, at], trust, anomalous=False)
    return found


def odds_of_neighbours(predicted: Predicted, reliance: Reliance) -> Reals:
    """Return the log odds that an entry is anomalous by its neighbours: float64 (n,)."""
    standard = predicted.mean / np.sqrt(predicted.variance)
    odds: Reals = reliance.slope * standard + reliance.offset
    return odds


def fit(tally: Tally, predicted: Predicted, before: Reliance) -> Reliance:
    """Learn how far to rely on kinds and neighbours.

    Args:
        tally: of all answers so far.
        predicted: what neighbours say of each entry, its own answers left out.
        before: where to begin.
    """
    asked = np.flatnonzero(tally.sum(axis=(1, 2)) > 0)
    if not len(asked):
        return before
    tally = tally[asked]
    standard = predicted.mean[asked] / np.sqrt(predicted.variance[asked])
    found = before
    for _ in range(_STEPS):
        odds = found.slope * standard + found.offset + odds_of_answers(tally, found).sum(axis=1)
        truth = _logistic(odds)
        kinds = tuple(
            _trust(tally[:, at], truth) if tally[:, at].any() else Trust()
            for at in range(len(KINDS))
        )
        found = Reliance(kinds, *_curve(standard, truth, found))
    return found


def _log_likelihood(tally: Tally, trust: Trust, *, anomalous: bool) -> Reals:
    """Return log P(answers in this order | truth) of a beta-binomial: float64 (n,)."""
    from scipy.special import (  # type: ignore[import-untyped]  # noqa: PLC0415  # no types; slow
        betaln,
    )

    rate = trust.rate(anomalous=anomalous)
    size = (1 - trust.together) / trust.together
    wrong, right = (tally[:, 0], tally[:, 1]) if anomalous else (tally[:, 1], tally[:, 0])
    log: Reals = betaln(rate * size + wrong, (1 - rate) * size + right) - betaln(
        rate * size, (1 - rate) * size
    )
    return log


def _trust(tally: Tally, truth: Reals) -> Trust:
    """Fit one kind to answers, `truth` being the probability that an entry is anomalous."""
    total = tally.sum(axis=1)
    used = total > 0
    tally, truth, total = tally[used], truth[used], total[used]
    best = (-np.inf, Trust())
    for together in _CORRELATIONS:
        # An entry weighs as much as its answers say independently of each other.
        weight = 1.0 / (1 + (total - 1) * together)
        rates = []
        for share, wrong in ((1 - truth, tally[:, 1]), (truth, tally[:, 0])):
            errors = float((share * weight * wrong).sum()) + _ANSWERS * _RATE
            answers = float((share * weight * total).sum()) + _ANSWERS
            rates.append(min(max(errors / answers, LEAST_RATE), MOST_RATE))
        trust = Trust(rates[0], rates[1], together)
        several = total > 1
        fits = truth[several] * _log_likelihood(tally[several], trust, anomalous=True)
        fits += (1 - truth[several]) * _log_likelihood(tally[several], trust, anomalous=False)
        prior = -_PAIRS * (together - _CORRELATION) ** 2
        best = max(best, (float(fits.sum()) + prior, trust), key=lambda pair: pair[0])
    return best[1]


def _curve(standard: Reals, truth: Reals, before: Reliance) -> tuple[float, float]:
    """Fit the logistic curve from predictions to truth: two parameters, Newton's method."""
    values = np.stack([standard, np.ones_like(standard)], axis=1)
    at = np.array([before.slope, before.offset])
    centre, strength = np.array([_SLOPE, 0.0]), np.array([_SLOPES, _SLOPES / 4])
    for _ in range(8):
        guess = _logistic(values @ at)
        gradient = values.T @ (truth - guess) - strength * (at - centre)
        curvature = (values * (guess * (1 - guess))[:, None]).T @ values + np.diag(strength)
        at = at + np.clip(np.linalg.solve(curvature, gradient), -0.5, 0.5)
    return float(np.clip(at[0], 0.2, 4.0)), float(np.clip(at[1], -3.0, 3.0))


def _logistic(odds: Reals) -> Reals:
    from scipy.special import expit  # noqa: PLC0415  # slow to import

    found: Reals = expit(odds)
    return found
