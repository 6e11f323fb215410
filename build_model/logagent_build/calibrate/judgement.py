"""All that was said of entries, what follows from it, and which questions are worth most now.

Two witnesses for each entry, kept apart: its own answers, as far as they are to be relied on
(`reliance`), and what all others' answers say of it (`neighbours`). P(anomalous) follows from both
by Bayes' rule. A person's label is certain, and its neighbours hear of it.

Guarantees: no randomness. Memory: O(entries · `neighbours.RANK`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.gain import gain_nearby, gain_own, wanted
from logagent_build.calibrate.neighbours import Neighbours, Predicted
from logagent_build.calibrate.queries import Kind, Query
from logagent_build.calibrate.reliance import (
    CHANNELS,
    Reliance,
    fit,
    odds_of_answers,
    odds_of_neighbours,
)
from logagent_build.calibrate.support import Support, query

__all__ = ["KINDS", "Judgement", "Question"]

Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KINDS: tuple[Kind, ...] = ("plain", "refine", "induce", "filter")
_CHANNEL = {"plain": 0, "refine": 1, "induce": 2, "filter": 4}
# Where a kind begins in `CHANNELS`; those with examples have a second one beside it.
_TOLD = 6.0  # log odds of a person's label towards its neighbours
_MOST_ODDS = 30.0  # of any entry: beyond that exp() says nothing new
_SURE = 0.1  # P(wrong) below which an entry may be an example
_SAMPLES = 3  # answers of a kind about an entry, where it has fewer texts
_LEAST_SAID = 1e-3  # of an answer's weight: below it, it is as if nothing was said


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about which entry."""

    entry: int
    kind: Kind
    gain: float = 0.0
    """Lines it is expected to put right; 0 where that was not the reason to ask."""


class Judgement:
    """What is thought of the entries; changes with every answer."""

    def __init__(self, entries: Entries, people: Mapping[int, bool]) -> None:
        """Begin without any answer.

        Args:
            entries: what is judged.
            people: labels of some by a person.

        Raises:
            ValueError: a person labelled an entry there is not.
        """
        n = len(entries)
        if any(not 0 <= entry < n for entry in people):
            raise ValueError(f"reviewed: labels of entries that are none of the {n}")
        self.reliance = Reliance()
        self._entries = entries
        self._people = np.array(sorted(people), np.int64)
        self._labels = np.array([people[int(entry)] for entry in self._people], np.bool_)
        self._neighbours = Neighbours(entries.vectors, entries.domain)
        self._tally = np.zeros((n, len(CHANNELS), 2), np.int64)
        self._asked = np.zeros((n, len(KINDS)), np.int64)
        self._most = np.maximum([len(each) for each in entries.variants], _SAMPLES)
        around = zip(entries.before, entries.after, strict=True)
        self._alone = np.array([not (before or after) for before, after in around], np.bool_)
        self._support: Support | None = None
        self._predicted: Predicted
        self._odds: Reals
        self._think()

    @property
    def soft(self) -> Reals:
        """P(anomalous) of each entry: float64 (n,), in [0, 1]; 0 or 1 where a person said so."""
        found: Reals = 1 / (1 + np.exp(-self._odds))
        found[self._people] = self._labels
        return found

    @property
    def wrong(self) -> Reals:
        """P(the likelier label is wrong) of each entry: float64 (n,), in [0, 0.5]."""
        soft = self.soft
        found: Reals = np.minimum(soft, 1 - soft)
        return found

    def queries(self, asked: Sequence[Question]) -> list[Query]:
        """Put questions into words."""
        before = self._asked.copy()
        made = []
        for each in asked:
            number = before[each.entry]
            kind = KINDS.index(each.kind)
            made.append(
                query(
                    self._entries,
                    each.entry,
                    each.kind,
                    int(number.sum()),
                    int(number[kind]),
                    self._support,
                )
            )
            number[kind] += 1
        return made

    def hear(self, asked: Sequence[Question], said: Sequence[bool | None]) -> None:
        """Take in what was answered to the questions; None is no answer, and no vote."""
        for each, anomalous in zip(asked, said, strict=True):
            self._asked[each.entry, KINDS.index(each.kind)] += 1
            if anomalous is not None:
                channel = self._channels(each.kind)[each.entry]
                self._tally[each.entry, channel, int(anomalous)] += 1
        self._think()

    def worth(self, cells: npt.NDArray[np.int64], most: int) -> list[Question]:
        """Return the questions with the largest gains, best first, one about an entry at most.

        Args:
            cells: cluster of each entry.
            most: questions wanted.
        """
        count = self._entries.count.astype(np.float64)
        heard: Bools = self._tally.sum(axis=(1, 2)) > 0
        heard[self._people] = True
        likely = heard & (self.wrong < _SURE)
        self._support = Support.of(self._entries, likely, self.soft > 0.5)
        gains = gain_own(self._odds, self._tally, self.reliance) * count[:, None]
        rows = np.arange(len(count))
        own = np.stack([gains[rows, self._channels(kind)] for kind in KINDS], axis=1)
        own = np.where(self._askable(self._support), own, -1.0)
        nearby = gain_nearby(self._predicted, self.wrong, count, self.reliance)
        nearby[self._asked.any(axis=1)] = 0.0
        found = wanted(own, nearby, cells, most)
        return [Question(each.entry, KINDS[each.kind], each.gain) for each in found]

    def trials(self, entries: int) -> list[Question]:
        """Return all kinds of questions about those with most lines that were asked already.

        Kinds can be compared on the same entries only; and these deserve several answers anyway.
        """
        if self._support is None:
            return []
        askable = self._askable(self._support)
        asked = np.flatnonzero(self._asked.any(axis=1))
        most = asked[np.argsort(-self._entries.count[asked], kind="stable")[:entries]]
        return [
            Question(int(at), kind)
            for at in most
            for number, kind in enumerate(KINDS)
            if kind != "plain" and askable[at, number]
        ]

    def _channels(self, kind: Kind) -> npt.NDArray[np.int64]:
        """Return the channel that an answer of a kind about each entry belongs to."""
        found = np.full(len(self._entries), _CHANNEL[kind])
        if kind in ("induce", "filter") and self._support is not None:
            found += self._support.near_anomalous
        return found

    def _askable(self, support: Support) -> Bools:
        found: Bools = np.less(self._asked, self._most[:, None])
        normal, anomalous = support.normal.shape[1] > 0, support.anomalous.shape[1] > 0
        found[:, KINDS.index("refine")] &= ~self._alone
        found[:, KINDS.index("induce")] &= normal and anomalous
        found[:, KINDS.index("filter")] &= normal
        found[self._people] = False
        return found

    def _think(self) -> None:
        # The first time, what is assumed of answers is far from what they show.
        for _ in range(2 if self._support is None else 1):
            answers = odds_of_answers(self._tally, self.reliance)
            answers[self._people] = np.where(self._labels, _TOLD, -_TOLD)
            # Moments of ±1 under a prior of variance 1: mean t, so a reading 1/t of this noise.
            mean = np.tanh(answers / 2)
            heard = np.abs(mean) > _LEAST_SAID
            mean = np.where(heard, mean, 1.0)
            noise = np.where(heard, (1 - mean**2) / mean**2, np.inf)
            self._predicted = self._neighbours.predict(1 / mean, noise)
            self.reliance = fit(self._tally, self._predicted, self.reliance)
        nearby = odds_of_neighbours(self._predicted, self.reliance)
        odds = nearby + odds_of_answers(self._tally, self.reliance)
        odds[self._people] = np.where(self._labels, _MOST_ODDS, -_MOST_ODDS)
        self._odds = np.clip(odds, -_MOST_ODDS, _MOST_ODDS)
