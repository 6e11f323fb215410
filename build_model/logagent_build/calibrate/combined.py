r"""Labels with few calls: clusters first, then evidence where a question is worth most.

    entries → clusters → their nearest entries asked (round 1)
            → neighbours + reliance → P(anomalous) of every entry ─┐
              ↑  answers ← questions with the largest gains  ←─────┘  until too little is gained

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
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.clusters import cluster
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.gain import gain_nearby, gain_own, wanted
from logagent_build.calibrate.neighbours import Neighbours, Predicted
from logagent_build.calibrate.queries import AskQueries, Kind, Query
from logagent_build.calibrate.reliance import (
    CHANNELS,
    Reliance,
    fit,
    odds_of_answers,
    odds_of_neighbours,
)
from logagent_build.calibrate.support import Support, query

__all__ = ["Combined", "Combining", "Round", "combine"]

Reals = npt.NDArray[np.float64]
Progress = Callable[[float], None]
Asked = tuple[int, Kind, float]
"""Entry, kind, and the gain that was expected."""
KINDS: tuple[Kind, ...] = ("plain", "refine", "induce", "filter")

_CLUSTERS = 512  # most: k-means of 20,000 entries then takes a quarter of a minute
_TOLD = 6.0  # log odds of an entry that stands in for infinity: a person's label
_PILOTS = 40  # entries that every kind is tried on
_SURE = 0.1  # P(wrong) below which an asked entry may be an example
_SAMPLES = 3  # answers of a kind about an entry, where it has fewer texts


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
    reliance: dict[str, object]
    """`Reliance` as fitted after it."""


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
    state = _State(entries, dict(reviewed or {}))
    pilots = min(_PILOTS, settings.calls // 30)
    n = len(entries)
    k = max(1, min(int(settings.calls * settings.first), n, _CLUSTERS))
    found = cluster(entries.vectors, entries.count, k, seed=settings.seed, iterations=20)
    order = np.lexsort((-entries.count, found.distance, found.of))
    firsts = order[np.r_[True, np.diff(found.of[order]) != 0]]
    chosen: list[Asked] = [(int(at), "plain", 0.0) for at in firsts if int(at) not in state.people]
    rounds: list[Round] = []
    spent = 0
    while chosen:
        queries = state.queries(chosen)
        answers = ask(queries)
        if len(answers) != len(queries):
            raise ValueError(f"{len(queries)} questions, {len(answers)} answers")
        state.hear(chosen, [answer.anomalous for answer in answers])
        spent += len(queries)
        progress(spent / settings.calls)
        left = settings.rounds - len(rounds) - 1
        batch = -(-(settings.calls - spent) // left) if left else 0
        gains = float(np.mean([gain for _, _, gain in chosen]))
        rounds.append(
            Round(
                len(queries),
                dict(Counter(kind for _, kind, _ in chosen)),
                gains,
                float((state.wrong * entries.count).sum()),
                asdict(state.reliance),
            )
        )
        chosen = state.worth(found.of, batch)
        if len(rounds) == 1 and batch:
            chosen = state.pilots(min(pilots, batch // 4)) + chosen
            chosen = list({(entry, kind): (entry, kind, gain) for entry, kind, gain in reversed(chosen)}.values())[::-1][:batch]
        if not chosen or np.mean([gain for _, _, gain in chosen]) < settings.least:
            break
    progress(1.0)
    return Combined(state.odds > 0, state.soft, state.wrong, spent, tuple(rounds))


class _State:
    """All that was said, and what follows from it."""

    def __init__(self, entries: Entries, people: dict[int, bool]) -> None:
        self.entries = entries
        self.people = people
        self.reliance = Reliance()
        n = len(entries)
        self._neighbours = Neighbours(entries.vectors, entries.domain)
        self._tally = np.zeros((n, len(CHANNELS), 2), np.int64)
        self._asked = np.zeros((n, len(KINDS)), np.int64)
        self._texts = np.maximum([len(each) for each in entries.variants], _SAMPLES)
        self._alone = np.array(
            [not (a or b) for a, b in zip(entries.before, entries.after, strict=True)], np.bool_
        )
        self._support: Support | None = None
        self.odds = np.zeros(n)
        self._predicted: Predicted
        self._think()

    @property
    def soft(self) -> Reals:
        """P(anomalous) of each entry; a person's label is certain."""
        found: Reals = 1 / (1 + np.exp(-self.odds))
        for entry, label in self.people.items():
            found[entry] = float(label)
        return found

    @property
    def wrong(self) -> Reals:
        """P(label is wrong)."""
        soft = self.soft
        found: Reals = np.minimum(soft, 1 - soft)
        return found

    def hear(self, asked: Sequence[Asked], said: Sequence[bool | None]) -> None:
        """Count answers, and think again."""
        for (entry, kind, _), anomalous in zip(asked, said, strict=True):
            self._asked[entry, KINDS.index(kind)] += 1
            if anomalous is not None:
                self._tally[entry, self._channel(kind)[entry], int(anomalous)] += 1
        self._think()

    def _channel(self, kind: Kind) -> npt.NDArray[np.int64]:
        at = {"plain": 0, "refine": 1, "induce": 2, "filter": 4}[kind]
        found = np.full(len(self.entries), at)
        if at >= 2 and self._support is not None:
            found += self._support.near_anomalous
        return found

    def _think(self) -> None:
        for _ in range(2):
            answers = odds_of_answers(self._tally, self.reliance)
            for entry, label in self.people.items():
                answers[entry] = _TOLD if label else -_TOLD
            strength = np.tanh(answers / 2)
            known = np.abs(strength) > 1e-3
            safe = np.where(known, strength, 1.0)
            said = np.where(known, 1 / safe, 0.0)
            noise = np.where(known, (1 - safe**2) / safe**2, np.inf)
            self._predicted = self._neighbours.predict(said, noise)
            self.reliance = fit(self._tally, self._predicted, self.reliance)
        nearby = odds_of_neighbours(self._predicted, self.reliance)
        self.odds = np.clip(nearby + odds_of_answers(self._tally, self.reliance), -30, 30)
        for entry, label in self.people.items():
            self.odds[entry] = 30.0 if label else -30.0

    def worth(self, cells: npt.NDArray[np.int64], most: int) -> list[Asked]:
        """Return the questions worth most."""
        count = self.entries.count.astype(np.float64)
        heard = self._tally.any(axis=(1, 2))
        heard[list(self.people)] = True
        support = self._support = Support.of(
            self.entries, heard & (self.wrong < _SURE), self.odds > 0
        )
        gains = gain_own(self.odds, self._tally, self.reliance) * count[:, None]
        own = np.stack(
            [np.take_along_axis(gains, self._channel(kind)[:, None], 1)[:, 0] for kind in KINDS],
            axis=1,
        )
        own = np.where(self._askable(support), own, -1.0)
        nearby = gain_nearby(self._predicted, self.wrong, count, self.reliance)
        nearby[self._asked.any(axis=1)] = 0.0
        return [
            (each.entry, KINDS[each.kind], each.gain)
            for each in wanted(own, nearby, cells, most)
        ]

    def pilots(self, most: int) -> list[Asked]:
        """Ask everything about the heaviest entries that were asked: kinds are compared there."""
        askable = self._askable(self._support) if self._support else np.zeros((0, 4), np.bool_)
        asked = np.flatnonzero(self._asked.any(axis=1))
        heaviest = asked[np.argsort(-self.entries.count[asked], kind="stable")[:most]]
        return [
            (int(at), kind, 0.0)
            for at in heaviest
            for number, kind in enumerate(KINDS)
            if kind != "plain" and askable[at, number]
        ]

    def _askable(self, support: Support) -> npt.NDArray[np.bool_]:
        found = self._asked < self._texts[:, None]
        found[:, 1] &= ~self._alone
        found[:, 2] &= bool(support.normal.shape[1] and support.anomalous.shape[1])
        found[:, 3] &= bool(support.normal.shape[1])
        found[list(self.people)] = False
        return found

    def queries(self, asked: Sequence[Asked]) -> list[Query]:
        """Make the questions."""
        return [
            query(
                self.entries, entry, kind, int(self._asked[entry, KINDS.index(kind)]), self._support
            )
            for entry, kind, _ in asked
        ]
