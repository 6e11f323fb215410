r"""What one more question is expected to be worth, in lines whose label it puts right.

Of a question about entry i, in kind k:

* its own entry: lines · (P(wrong) now - expected P(wrong) after), under the beta-binomial of
  `reliance`. One answer often cannot overturn a label though three could; so the gain is that of
  the best number of answers up to `_AHEAD`, for each of them.
* its neighbours, if nobody was asked about it yet: the share of their variance that the answer
  takes away, times the lines expected to be wrong there. Those of one cluster that are asked
  together repeat each other: each counts half as much as the one before.

Guarantees: no randomness; ties go to the lower entry. Costs O(entries · RANK²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.neighbours import Predicted
from logagent_build.calibrate.reliance import (
    CHANNELS,
    Reliance,
    Tally,
    likelihood,
    odds_of_answers,
    patterns_of,
)

__all__ = ["Wanted", "gain_nearby", "gain_own", "wanted"]

Reals = npt.NDArray[np.float64]

_AHEAD = 3
_REACHES = 0.5
"""Lines put right for each line expected to be wrong whose variance vanishes: with the variance
gone half of the wrong labels are taken to have turned."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question worth asking."""

    entry: int
    kind: int
    """Index of the kind, as in the gains given."""
    gain: float
    """Lines put right, expected."""


def gain_own(odds: Reals, tally: Tally, reliance: Reliance) -> Reals:
    """Return the probability of error that one more answer takes away: float64 (n, channels).

    Args:
        odds: log odds that an entry is anomalous, given all answers.
        tally: of the answers so far.
        reliance: in them.
    """
    from scipy.special import (  # type: ignore[import-untyped]  # noqa: PLC0415  # no types; slow
        expit,
        logsumexp,
    )

    yes = expit(odds)
    now = np.minimum(yes, 1 - yes)
    patterns, of = patterns_of(tally)
    joint = likelihood(patterns, reliance)
    node = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    found = np.zeros((len(odds), len(CHANNELS)))
    for channel in range(len(CHANNELS)):
        for more in range(1, _AHEAD + 1):
            after = np.zeros(len(odds))
            for flagged in range(more + 1):
                chances = [
                    node[:, :, truth]
                    * _chance(patterns[:, channel], channel, more, flagged, reliance, truth)
                    for truth in (0, 1)
                ]
                normal, anomalous = (chance.sum(axis=1)[of] for chance in chances)
                after += np.minimum(yes * anomalous, (1 - yes) * normal)
            found[:, channel] = np.maximum(found[:, channel], (now - after) / more)
    return found


def gain_nearby(predicted: Predicted, wrong: Reals, count: Reals, reliance: Reliance) -> Reals:
    """Return the lines nearby that a first answer about each entry puts right: float64 (n,)."""
    one = np.zeros((1, len(CHANNELS), 2), np.int64)
    one[0, 0, 1] = 1
    strength = math.tanh(abs(float(odds_of_answers(one, reliance)[0])) / 2)
    noise = (1 - strength**2) / max(strength**2, 1e-3)
    spread = predicted.spread
    weight = (count * wrong / predicted.variance).astype(np.float32)
    matrix = (spread * weight[:, None]).T @ spread
    whole = np.einsum("ij,ij->i", spread @ matrix, spread).astype(np.float64)
    own = (spread.astype(np.float64) ** 2).sum(axis=1)
    nearby = np.maximum(whole - weight * own**2, 0.0)
    found: Reals = _REACHES * nearby / (predicted.variance + noise)
    return found


def wanted(own: Reals, nearby: Reals, cells: npt.NDArray[np.int64], most: int) -> list[Wanted]:
    """Return the questions with the largest gains, at most one about an entry, best first.

    Args:
        own: lines put right in the entry itself, by kind; negative where it cannot be asked.
        nearby: lines put right around it, before others of its cell.
        cells: cluster of each entry.
        most: questions wanted.
    """
    kind = np.argmax(own, axis=1)
    best = own[np.arange(len(own)), kind]
    order = np.lexsort((-nearby, cells))
    starts = np.flatnonzero(np.r_[True, np.diff(cells[order]) != 0])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    rank = np.empty(len(order), np.int64)
    rank[order] = place
    whole = np.where(best >= 0, best + nearby * 0.5 ** np.minimum(rank, 60), -1.0)
    first = np.argsort(-whole, kind="stable")[:most]
    return [Wanted(int(at), int(kind[at]), float(whole[at])) for at in first if whole[at] > 0]


def _chance(
    tally: npt.NDArray[np.int64],
    channel: int,
    more: int,
    flagged: int,
    reliance: Reliance,
    truth: int,
) -> Reals:
    """P(`flagged` of `more` further answers say anomalous | those before, difficulty, truth).

    Args:
        tally: answers of the channel so far, int64 (n, 2).
        channel: index into `reliance.CHANNELS`.
        more: answers asked for.
        flagged: of them, at most `more`.
        reliance: in the channel.
        truth: 1 if the entries are anomalous, 0 if normal.

    Returns:
        float64 (n, nodes).
    """
    together = reliance.channels[channel].together
    size = (1 - together) / together
    rates = reliance.rates(channel, anomalous=bool(truth))
    wrong, right = (more - flagged, flagged) if truth else (flagged, more - flagged)
    alpha = rates * size + tally[:, 1 - truth, None]
    beta = (1 - rates) * size + tally[:, truth, None]
    found: Reals = np.full(alpha.shape, float(math.comb(more, flagged)))
    for step in range(wrong):
        found *= (alpha + step) / (alpha + beta + step)
    for step in range(right):
        found *= (beta + step) / (alpha + beta + wrong + step)
    return found
