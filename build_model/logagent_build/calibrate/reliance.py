r"""How far each kind of answer is to be relied on, learned from the answers themselves.

Nobody knows how often the labeller errs, nor whether it errs alike on all lines of a template, nor
whether evidence in the prompt helps it. What is known: several answers about one entry, and what
its neighbours say of it (`neighbours`). From that, as Dawid and Skene do for human annotators with
a classifier beside them (Raykar et al., Learning from Crowds, 2010):

    P(truth of i | all) ∝ P(truth | neighbours)ᵢ · Π over kinds P(its answers of the kind | truth)

For each kind: the share of normal entries called anomalous, and of anomalous ones called normal.
Errors about one entry go together in two ways:

* within a kind, a beta-binomial with correlation ρ: with ρ near 1 a second answer of that kind
  says nothing new, and one of another kind is worth more;
* over all kinds, a difficulty δ ~ N(0, τ²) of each entry, added to the logit of every rate: with
  a large τ no number of answers makes an entry sure, and its neighbours decide.

What the neighbours say is scaled by a logistic curve. All of it is fitted by expectation
maximisation, with priors that decide while there are few answers; τ is the one of a few under
which the answers are most probable.

Guarantees: no randomness; rates stay in [`LEAST_RATE`, `MOST_RATE`]. Costs depend on how many
different tallies there are, hardly on entries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.neighbours import Predicted

__all__ = [
    "CHANNELS",
    "Reliance",
    "Tally",
    "Trust",
    "fit",
    "likelihood",
    "odds_of_answers",
    "odds_of_neighbours",
    "patterns_of",
]

Reals = npt.NDArray[np.float64]
Tally = npt.NDArray[np.int64]
"""Answers about each entry: int64 (n, channels, 2), said to be normal and anomalous."""

CHANNELS = (
    "plain",
    "refine",
    "induce, near normal",
    "induce, near anomalous",
    "filter, near normal",
    "filter, near anomalous",
)
"""Kinds of answers; those with labelled examples by the label of the nearest one."""
LEAST_RATE, MOST_RATE = 0.01, 0.45
_BEFORE = ((0.2, 0.2), (0.15, 0.15)) + 2 * ((0.05, 0.4), (0.4, 0.05))
"""Rates of normal and of anomalous entries before anything is known. Of prompts with examples it
is assumed that they are read as their examples are: then the answer says little that the
neighbours did not say. Nothing but other answers about the same entries can tell otherwise."""
_ANSWERS = 12.0  # answers that this prior weighs as much as
_CORRELATIONS = (0.02, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
_CORRELATION = 0.3  # before anything is known
_PAIRS = 15.0  # entries with several answers of a kind that this prior weighs as much as
_SLOPE = 1.7  # a logistic curve with this slope is nearly the normal distribution's
_LAPSE = 0.02  # share of entries that are unlike their neighbours, however many agree
_SLOPES = 20.0  # weight of the prior of the curve
_STEPS = 6  # of expectation maximisation: each fit begins where the one before ended
_DIFFICULTIES = (0.0, 0.7, 1.4, 2.1, 3.0, 4.0)  # logits
_DIFFICULTY = 0.7  # before anything is known
_DIFFICULTIES_PRIOR = 1.0
NODES: Reals = np.sqrt(2) * np.polynomial.hermite.hermgauss(5)[0]
"""Difficulties, in standard deviations, that stand for a normal distribution of them."""
LOG_WEIGHTS: Reals = np.log(np.polynomial.hermite.hermgauss(5)[1] / np.sqrt(np.pi))
"""Of the nodes."""


@dataclass(frozen=True, slots=True)
class Trust:
    """In one kind of answer."""

    wrong_normal: float
    """Share of normal entries of mean difficulty called anomalous."""
    wrong_anomalous: float
    """Share of anomalous entries of mean difficulty called normal."""
    together: float = _CORRELATION
    """ρ: how much the errors about one entry go together, in (0, 1)."""


@dataclass(frozen=True, slots=True)
class Reliance:
    """In all kinds, in the order of `CHANNELS`, and in the neighbours."""

    channels: tuple[Trust, ...] = field(
        default_factory=lambda: tuple(Trust(*rates) for rates in _BEFORE)
    )
    difficulty: float = _DIFFICULTY
    """τ: standard deviation of difficulty, in logits."""
    slope: float = _SLOPE
    """Of the log odds in the neighbours' standardised prediction."""
    offset: float = 0.0

    def rates(self, channel: int, *, anomalous: bool) -> Reals:
        """Share of entries of a class that are misread, at each of `NODES` difficulties."""
        trust = self.channels[channel]
        rate = trust.wrong_anomalous if anomalous else trust.wrong_normal
        at: Reals = _expit(math.log(rate / (1 - rate)) + self.difficulty * NODES)
        return np.clip(at, 1e-3, 1 - 1e-3)


def likelihood(tally: Tally, reliance: Reliance) -> Reals:
    """Return log P(answers about an entry, its difficulty | truth): float64 (n, nodes, 2).

    The last axis is the truth: normal, anomalous.
    """
    found = np.zeros((len(tally), len(NODES), 2)) + LOG_WEIGHTS[:, None]
    for channel, trust in enumerate(reliance.channels):
        heard = np.flatnonzero(tally[:, channel].any(axis=1))
        for truth in (0, 1):
            rates = reliance.rates(channel, anomalous=bool(truth))
            wrong, right = tally[heard, channel, 1 - truth], tally[heard, channel, truth]
            found[heard, :, truth] += _log_chance(wrong, right, rates, trust.together)
    return found


def odds_of_answers(tally: Tally, reliance: Reliance) -> Reals:
    """Return the log odds that an entry is anomalous by its own answers alone: float64 (n,)."""
    patterns, of = patterns_of(tally)
    each = _sum_log(likelihood(patterns, reliance), axis=1)
    odds: Reals = (each[:, 1] - each[:, 0])[of]
    return odds


def odds_of_neighbours(predicted: Predicted, reliance: Reliance) -> Reals:
    """Return the log odds that an entry is anomalous by its neighbours: float64 (n,)."""
    standard = predicted.mean / np.sqrt(predicted.variance)
    return _bounded(reliance.slope * standard + reliance.offset)


def fit(tally: Tally, predicted: Predicted, before: Reliance) -> Reliance:
    """Learn how far to rely on kinds and neighbours.

    Args:
        tally: of all answers so far.
        predicted: what neighbours say of each entry, its own answers left out.
        before: where to begin.
    """
    asked = np.flatnonzero(tally.any(axis=(1, 2)))
    if not len(asked):
        return before
    patterns, of = patterns_of(tally[asked])
    standard = predicted.mean[asked] / np.sqrt(predicted.variance[asked])
    best = (-np.inf, before)
    # Difficulty changes little from one round to the next: only the nearest are tried.
    at = _DIFFICULTIES.index(before.difficulty)
    for difficulty in _DIFFICULTIES[max(0, at - 1) : at + 2]:
        found = replace(before, difficulty=difficulty)
        for step in range(_STEPS):
            joint = likelihood(patterns, found)
            each = _sum_log(joint, axis=1)
            odds = _bounded(found.slope * standard + found.offset)
            truth = _expit(odds + (each[:, 1] - each[:, 0])[of])
            node = joint - each[:, None]
            found = _better(patterns, of, node, truth, standard, found, last=step == _STEPS - 1)
        each = _sum_log(likelihood(patterns, found), axis=1)[of]
        odds = _bounded(found.slope * standard + found.offset)
        whole = _sum_log(each + np.stack([-_soft(odds), -_soft(-odds)], axis=1), axis=1)
        fits = float(whole.sum()) - _DIFFICULTIES_PRIOR * (difficulty - _DIFFICULTY) ** 2
        best = max(best, (fits, found), key=lambda pair: pair[0])
    return best[1]


def _better(
    patterns: Tally,
    of: npt.NDArray[np.int64],
    node: Reals,
    truth: Reals,
    standard: Reals,
    before: Reliance,
    *,
    last: bool,
) -> Reliance:
    """One step of maximisation, `node` being log P(difficulty | answers, truth).

    How errors go together is fitted in the last step only: it takes most of the time.
    """
    mass = np.stack(
        [np.bincount(of, 1 - truth, len(patterns)), np.bincount(of, truth, len(patterns))], axis=1
    )
    weight: Reals = np.exp(node) * mass[:, None]  # (patterns, nodes, 2)
    channels = tuple(
        _trust(channel, patterns[:, channel], weight, before, last=last)
        if patterns[:, channel].any()
        else Trust(*rates)
        for channel, rates in enumerate(_BEFORE)
    )
    slope, offset = _curve(standard, truth, before)
    return replace(before, channels=channels, slope=slope, offset=offset)


def _trust(channel: int, tally: Tally, weight: Reals, before: Reliance, *, last: bool) -> Trust:
    """Fit one kind to answers."""
    total = tally.sum(axis=1)
    used = total > 0
    tally, total, weight = tally[used], total[used], weight[used]
    old = before.channels[channel]
    # An entry weighs as much as its answers say independently of each other.
    alone = weight / (1 + (total - 1) * old.together)[:, None, None]
    rates = []
    for truth, rate in enumerate((old.wrong_normal, old.wrong_anomalous)):
        answers = (alone[:, :, truth] * total[:, None]).sum(axis=0)
        errors = float((alone[:, :, truth] * tally[:, 1 - truth, None]).sum())
        rates.append(_rate(answers, errors, rate, before.difficulty, _BEFORE[channel][truth]))
    found = replace(old, wrong_normal=rates[0], wrong_anomalous=rates[1])
    several = total > 1
    if not several.any() or not last:
        return found
    fits = []
    for together in _CORRELATIONS:
        value = -_PAIRS * (together - _CORRELATION) ** 2
        for truth in (0, 1):
            at = replace(before, channels=(found,)).rates(0, anomalous=bool(truth))
            wrong, right = tally[several, 1 - truth], tally[several, truth]
            log = _log_chance(wrong, right, at, together)
            value += float((weight[several, :, truth] * log).sum())
        fits.append(value)
    return replace(found, together=_CORRELATIONS[int(np.argmax(fits))])


def _rate(answers: Reals, errors: float, start: float, difficulty: float, usual: float) -> float:
    """Return the rate at mean difficulty under which `errors` of `answers` are expected."""
    answers = answers + _ANSWERS * np.exp(LOG_WEIGHTS)
    prior = _expit(math.log(usual / (1 - usual)) + difficulty * NODES)
    errors += _ANSWERS * float(np.exp(LOG_WEIGHTS) @ prior)
    at = math.log(start / (1 - start))
    for _ in range(6):
        rates = _expit(at + difficulty * NODES)
        slope = float((answers * rates * (1 - rates)).sum())
        at += min(max((errors - float(answers @ rates)) / max(slope, 1e-9), -1.0), 1.0)
    return float(np.clip(_expit(np.array(at)), LEAST_RATE, MOST_RATE))


def _log_chance(wrong: Reals, right: Reals, rates: Reals, together: float) -> Reals:
    """Log probability of answers in this order, beta-binomial: float64 (n, nodes)."""
    from scipy.special import (  # type: ignore[import-untyped]  # noqa: PLC0415  # no types; slow
        betaln,
    )

    size = (1 - together) / together
    alpha, beta = rates * size, (1 - rates) * size
    log: Reals = betaln(alpha + wrong[:, None], beta + right[:, None]) - betaln(alpha, beta)
    return log


def _bounded(odds: Reals) -> Reals:
    """Return log odds of a probability that is at least `_LAPSE` from 0 and 1."""
    likely = _LAPSE + (1 - 2 * _LAPSE) * _expit(odds)
    bounded: Reals = np.log(likely / (1 - likely))
    return bounded


def patterns_of(tally: Tally) -> tuple[Tally, npt.NDArray[np.int64]]:
    """Return the different tallies, and which of them each entry has: int64 (n,)."""
    flat, of = np.unique(tally.reshape(len(tally), -1), axis=0, return_inverse=True)
    return flat.reshape(-1, *tally.shape[1:]), of.reshape(-1)


def _curve(standard: Reals, truth: Reals, before: Reliance) -> tuple[float, float]:
    """Fit the logistic curve from predictions to truth: two parameters, Newton's method."""
    values = np.stack([standard, np.ones_like(standard)], axis=1)
    at = np.array([before.slope, before.offset])
    centre, strength = np.array([_SLOPE, 0.0]), np.array([_SLOPES, _SLOPES / 4])
    for _ in range(8):
        guess = _expit(values @ at)
        gradient = values.T @ (truth - guess) - strength * (at - centre)
        curvature = (values * (guess * (1 - guess))[:, None]).T @ values + np.diag(strength)
        at = at + np.clip(np.linalg.solve(curvature, gradient), -0.5, 0.5)
    return float(np.clip(at[0], 0.2, 4.0)), float(np.clip(at[1], -3.0, 3.0))


def _expit(odds: Reals) -> Reals:
    from scipy.special import expit  # noqa: PLC0415  # slow to import

    found: Reals = expit(odds)
    return found


def _soft(odds: Reals) -> Reals:
    """Return log(1 + exp(odds)): minus the log of the probability of the other."""
    found: Reals = np.logaddexp(0.0, odds)
    return found


def _sum_log(values: Reals, axis: int) -> Reals:
    """Return the logarithm of a sum of exponentials."""
    found: Reals = np.logaddexp.reduce(values, axis=axis)
    return found
