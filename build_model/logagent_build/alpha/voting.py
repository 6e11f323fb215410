"""Votes of representatives to labels of all lines: §IV-B2, Algorithm 1 lines 14-18, Eq. 4.

The paper's τ ("confidence threshold", an input of Algorithm 1 that none of its lines uses) is read
as the share of votes that the majority must have: a cluster below it is marked doubtful. Its label
is propagated all the same, as in the paper; who trains may leave it out, who reviews sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.clusters import Clustering
from logagent_build.alpha.labeller import Example, LabelLines
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.representatives import representatives

__all__ = ["Vote", "Voted", "majority", "propagate", "vote"]

TAU = 0.75
"""Share of the votes that makes a cluster sure: 4 of 5, 3 of 3, but not 3 of 5."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What was said of one line."""

    line: int
    """Index into the pool's lines."""
    anomalous: bool | None
    """None: no answer."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Voted:
    """The label of one cluster, and what it rests on."""

    anomalous: bool
    """Y_Ci."""
    votes: tuple[Vote, ...]
    """On its representatives S_i, nearest to the centroid first."""
    share: float
    """Of the answers that agree with the label, in [0.5, 1]; 0 if there was no answer."""
    doubtful: bool
    """Whether `share` is below τ: the representatives disagree, or nobody answered."""


def vote(
    pool: Pool,
    clustering: Clustering,
    labeller: LabelLines,
    m: int,
    *,
    examples: Sequence[Example] = (),
    tau: float = TAU,
) -> list[Voted]:
    """Have the representatives of every cluster labelled, in one call, and count their votes.

    Args:
        pool: the entries that were clustered.
        clustering: of them.
        labeller: whom to ask.
        m: representatives of a cluster.
        examples: few-shot examples for the prompt, see `refinement`.
        tau: share of votes below which a cluster is doubtful, in [0.5, 1].
    """
    chosen = representatives(pool, clustering, m)
    flat = [line for lines in chosen for line in lines]
    answers = labeller([shown(pool.lines[line]) for line in flat], examples)
    if len(answers) != len(flat):
        raise ValueError(f"{len(flat)} lines were asked, {len(answers)} answers came")
    votes = iter(
        Vote(line, answer.anomalous, answer.reason)
        for line, answer in zip(flat, answers, strict=True)
    )
    return [majority([next(votes) for _ in lines], tau) for lines in chosen]


def majority(votes: Sequence[Vote], tau: float = TAU) -> Voted:
    """Count votes: Algorithm 1 line 15.

    A tie goes to the vote nearest to the centroid, which the paper's other reading (one
    representative, Table III) would follow. Without any answer a cluster is normal, and doubtful.
    """
    given = [each.anomalous for each in votes if each.anomalous is not None]
    if not given:
        return Voted(anomalous=False, votes=tuple(votes), share=0.0, doubtful=True)
    yes = sum(given)
    label = given[0] if 2 * yes == len(given) else 2 * yes > len(given)
    share = (yes if label else len(given) - yes) / len(given)
    return Voted(anomalous=label, votes=tuple(votes), share=share, doubtful=share < tau)


def propagate(clustering: Clustering, voted: Sequence[Voted]) -> npt.NDArray[np.bool_]:
    """Give each entry the label of its cluster: Algorithm 1 lines 16-17, Eq. 4.

    Returns:
        bool (entries,); ``pool.of_entries`` makes them labels of lines.
    """
    labels = np.array([each.anomalous for each in voted], np.bool_)
    spread: npt.NDArray[np.bool_] = labels[clustering.of]
    return spread
