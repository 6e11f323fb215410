r"""What votes say of entries nobody was asked about, and whom to ask next.

Not in the paper, which stops at one majority per cluster and says of its loop only that it selects
"the most informative samples" (§IV-C1). Where a log has many more kinds of lines than clusters,
that one majority is too coarse. Here every vote is a noisy reading, +1 or -1, of a Gaussian
process over the entries, whose kernel is the distance of their vectors:

    reading = belief(entry) + slip(vote)

(A third term, misreadings that all votes on a template share, was tried: nothing in the votes tells
them from a template that is unlike its neighbours, and it made half of the calls repeat.)
An entry's label is the sign of its belief; the probability that it is wrong follows from mean and
variance. Asked next is where most *lines* are expected to be wrong. How far belief reaches, and
how large slips are, is what makes the votes most probable (marginal likelihood).

Guarantees: no randomness. Costs: O(votes² · entries) a turn; so `MOST_VOTES` bounds the votes.
Memory: O(votes · entries), 4 bytes each.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_VOTES", "Belief", "Reading", "believe", "doubtful_first"]

Vectors = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

MOST_VOTES = 2500
"""With 10,000 entries a turn then takes about 20 s, and 100 MiB."""
_REACH = (0.3, 0.5, 0.8, 1.0)  # length scales, in distances of unit vectors (0 to √2 mostly)
_SLIP = (0.02, 0.2, 0.5, 1.0, 2.0)  # variances, relative to that of belief
_COMMON = 0.3  # variance of what all entries share: how anomalous the log is on the whole
# Of belief's variance. Votes are +1 and -1: where all agree so far, they must not seem certain of
# what nobody was asked about.
_LEAST_SCALE = 0.5
_FITTED_ON = 400  # votes that reach and noise are fitted on: a Cholesky each, O(votes³)
_BLOCK = 4000  # entries predicted at a time


@dataclass(frozen=True, slots=True)
class Reading:
    """One vote."""

    entry: int
    anomalous: bool


@dataclass(frozen=True, slots=True)
class Belief:
    """What is thought of each entry."""

    anomalous: npt.NDArray[np.bool_]
    """Label: bool (n,)."""
    wrong: Reals
    """Probability that the label is wrong: float64 (n,), in [0, 0.5]."""
    reach: float
    slip: float
    """What was fitted: length scale, and variance relative to that of belief."""


def believe(vectors: Vectors, readings: Sequence[Reading]) -> Belief:
    """Return what the votes say of every entry.

    Args:
        vectors: of unit length, float32 (n, d).
        readings: at least one, at most `MOST_VOTES`; of one entry there may be several.

    Raises:
        ValueError: too few or too many votes.
    """
    from scipy.linalg import cholesky, solve_triangular  # type: ignore[import-untyped]  # noqa: PLC0415  # no types; slow
    from scipy.special import ndtr  # type: ignore[import-untyped]  # noqa: PLC0415  # likewise

    if not 1 <= len(readings) <= MOST_VOTES:
        raise ValueError(f"{len(readings)} votes; give 1 to {MOST_VOTES}")
    at = np.array([each.entry for each in readings])
    said = np.array([1.0 if each.anomalous else -1.0 for each in readings])
    reach, slip, amplitude = _fit(vectors, at, said)
    chosen = vectors[at]
    lower = cholesky(_covariance(_squares(chosen, chosen), reach, slip), lower=True)
    half = solve_triangular(lower, said, lower=True)
    mean = np.empty(len(vectors))
    variance = np.empty(len(vectors))
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        shared = np.exp(_squares(chosen, block) / (-2 * reach**2)) + _COMMON
        solved = solve_triangular(lower, shared, lower=True, overwrite_b=True)
        mean[start : start + _BLOCK] = half @ solved
        variance[start : start + _BLOCK] = 1 + _COMMON - (solved**2).sum(axis=0)
    spread = np.sqrt(amplitude * np.maximum(variance, 1e-6))
    wrong: Reals = ndtr(-np.abs(mean) / spread)
    return Belief(mean > 0, wrong, reach, slip)


def doubtful_first(
    vectors: Vectors,
    belief: Belief,
    count: npt.NDArray[np.int64],
    askable: npt.NDArray[np.bool_],
    most: int,
) -> list[int]:
    """Return entries to ask about next: where most lines are expected to be wrong.

    What an answer settles nearby is taken off before the next is chosen, so that those asked
    together are not of one kind.

    Args:
        vectors: as for `believe`.
        belief: of the votes so far.
        count: lines of each entry.
        askable: entries that have a text nobody was asked about yet.
        most: entries wanted.
    """
    expected = np.where(askable, count * belief.wrong, 0.0)
    near = (belief.reach / 2) ** 2
    chosen: list[int] = []
    while len(chosen) < most:
        best = int(np.argmax(expected))
        if expected[best] <= 1e-9:
            break
        chosen.append(best)
        squares = _squares(vectors[best : best + 1], vectors)[0]
        expected *= 1 - 0.8 * np.exp(squares / (-2 * near))
        expected[best] = 0.0
    return chosen


def _squares(left: Vectors, right: Vectors) -> Reals:
    """Return squared distances of unit vectors: float64 (left, right)."""
    apart: Reals = np.maximum(2.0 - 2.0 * (left @ right.T).astype(np.float64), 0.0)
    return apart


def _covariance(squares: Reals, reach: float, slip: float) -> Reals:
    found: Reals = np.exp(squares / (-2 * reach**2)) + _COMMON
    found[np.diag_indices_from(found)] += slip + 1e-6
    return found


def _fit(vectors: Vectors, at: npt.NDArray[np.int64], said: Reals) -> tuple[float, float, float]:
    """Return reach, slip and scale under which the votes are most probable."""
    from scipy.linalg import (  # noqa: PLC0415  # likewise
        LinAlgError,
        cholesky,
        solve_triangular,
    )

    kept = np.unique(np.linspace(0, len(at) - 1, num=min(len(at), _FITTED_ON)).round().astype(int))
    squares = _squares(vectors[at[kept]], vectors[at[kept]])
    best = (-np.inf, _REACH[-1], _SLIP[-1], 1.0)
    for reach, slip in itertools.product(_REACH, _SLIP):
        try:
            lower = cholesky(_covariance(squares, reach, slip), lower=True)
        except LinAlgError:  # two entries nearer to each other than rounding tells
            continue
        half = solve_triangular(lower, said[kept], lower=True)
        scale = max(float(half @ half) / len(kept), _LEAST_SCALE)
        fit = -0.5 * (len(kept) * np.log(scale) + float(half @ half) / scale)
        fit -= np.log(np.diag(lower)).sum()
        best = max(best, (float(fit), reach, slip, scale))
    return best[1:]
