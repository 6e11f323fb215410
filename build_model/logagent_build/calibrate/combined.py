r"""Labels with few calls: clusters first, then evidence where a question is worth most.

    entries → clusters → their nearest entries asked (round 1)
            → own answers + neighbours → P(anomalous) of every entry ─┐
              ↑   answers ← questions with the largest gains  ←───────┘  until little is gained

ALPHA's clusters spread a few labels over many lines, but an error that all lines of a template
share cannot be outvoted there. MaidLog's calibration asks again with evidence (induce, filter,
refine), but of every line, once, before it begins. Here every question, first or repeated, plain
or with evidence, has a price of one call and an expected gain (`gain`), and the best are asked.
Clusters whose members disagree are split by that: where answers contradict each other or the
neighbours, P(wrong) is high, and its entries are asked one by one.

Guarantees: seeded; whoever answers the same is asked the same in the same order, so a run that
was stopped goes on from a store of answers. Each round is one call of `ask`; never more than
`Combining.calls` questions, nor `Combining.rounds` rounds. Memory: O(entries · neighbours.RANK).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.clusters import Clustering, cluster
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.judgement import Judgement, Question
from logagent_build.calibrate.queries import AskQueries
from logagent_build.calibrate.reliance import Reliance

__all__ = ["Combined", "Combining", "Round", "combine"]

Reals = npt.NDArray[np.float64]
Progress = Callable[[float], None]

_CLUSTERS = 512  # most: k-means of 20,000 entries then takes a quarter of a minute
_SETTLED = 20  # iterations of k-means; clusters are a beginning only
_TRIALS = 40  # entries that every kind of question is tried on
_TRIAL_CALLS = 30  # calls for each of them: few calls, few trials


@dataclass(frozen=True, slots=True)
class Combining:
    """How to label."""

    calls: int
    """Most questions; at least 4."""
    rounds: int = 10
    """Most exchanges, at least 2."""
    first: float = 0.2
    """Share of `calls` that goes to the clusters, in (0, 1)."""
    least: float = 0.02
    """Lines that a call must be expected to put right: when the calls of a round are expected to
    put right fewer on average, asking ends."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.calls < 4 or self.rounds < 2 or not 0 < self.first < 1 or self.least < 0:
            raise ValueError("calls: at least 4; rounds: at least 2; first: in (0, 1)")


@dataclass(frozen=True, slots=True)
class Round:
    """One exchange, and what was thought after it."""

    calls: int
    """Questions of the round."""
    kinds: dict[str, int]
    """By kind."""
    gain: float
    """Lines that a call was expected to put right, on average; of round 1: 0, nothing is known."""
    expected_wrong: float
    """Lines expected to be labelled wrong after it."""
    reliance: Reliance
    """As fitted after it."""


@dataclass(frozen=True, slots=True)
class Combined:
    """Labels of entries, and what they rest on."""

    anomalous: npt.NDArray[np.bool_]
    """bool (n,)."""
    soft: Reals
    """Probability that an entry is anomalous: float64 (n,), in [0, 1]."""
    wrong: Reals
    """Probability that its label is wrong: float64 (n,), in [0, 0.5]; 0 if a person gave it."""
    calls: int
    rounds: tuple[Round, ...]


def combine(
    entries: Entries,
    ask: AskQueries,
    settings: Combining,
    progress: Progress = lambda _done: None,
    reviewed: Mapping[int, bool] | None = None,
) -> Combined:
    """Label entries of several systems.

    Args:
        entries: what is labelled.
        ask: whom to ask.
        settings: see there.
        progress: told the share of the calls that are spent; 1 at the end.
        reviewed: labels of entries by a person: they win, and their neighbours hear of them.
    """
    people = dict(reviewed or {})
    judged = Judgement(entries, people)
    k = max(1, min(int(settings.calls * settings.first), len(entries), _CLUSTERS))
    found = cluster(entries.vectors, entries.count, k, seed=settings.seed, iterations=_SETTLED)
    chosen = [Question(at, "plain") for at in _centres(entries, found, people)]
    rounds: list[Round] = []
    spent = 0
    while chosen:
        queries = judged.queries(chosen)
        answers = ask(queries)
        if len(answers) != len(queries):
            raise ValueError(f"{len(queries)} questions, {len(answers)} answers")
        judged.hear(chosen, [answer.anomalous for answer in answers])
        spent += len(queries)
        rounds.append(_row(chosen, judged, entries))
        progress(spent / settings.calls)
        left = settings.rounds - len(rounds)
        room = -(-(settings.calls - spent) // left) if left else 0
        if room <= 0:
            break
        chosen = judged.worth(found.of, room)
        if not chosen or np.mean([each.gain for each in chosen]) < settings.least:
            break
        if len(rounds) == 1:
            trials = judged.trials(min(_TRIALS, settings.calls // _TRIAL_CALLS, room // 4))
            tried = {(each.entry, each.kind) for each in trials}
            chosen = trials + [each for each in chosen if (each.entry, each.kind) not in tried]
            chosen = chosen[:room]
    progress(1.0)
    soft = judged.soft
    return Combined(soft > 0.5, soft, judged.wrong, spent, tuple(rounds))


def _centres(entries: Entries, found: Clustering, people: Mapping[int, bool]) -> list[int]:
    """Return the entry nearest to each centroid; of equally near ones that with most lines.

    Those that people labelled are left out: others of their clusters stand for them.
    """
    order = np.lexsort((-entries.count, found.distance, found.of))
    order = order[~np.isin(order, list(people))]
    first = np.r_[True, np.diff(found.of[order]) != 0][: len(order)]
    return [int(at) for at in order[first]]


def _row(asked: Sequence[Question], judged: Judgement, entries: Entries) -> Round:
    return Round(
        len(asked),
        dict(Counter(each.kind for each in asked)),
        float(np.mean([each.gain for each in asked])),
        float((judged.wrong * entries.count).sum()),
        judged.reliance,
    )
