"""Run the methods on the configurations of a data set, over seeds: rows of figures.

Ours is trained with as many labels as `Plan.labels`; the baselines with the full training set. Each
test is de-duplicated against the full training set, the same for every method; figures on all of
the test are kept beside.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from logagent_build.sequences import choosing, duplicates, injection
from logagent_build.sequences.baselines import PCA, LightAD, LogCluster
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.measures import measure
from logagent_build.sequences.networks import CNN, DeepLog
from logagent_build.sequences.training import Settings, Trained, train
from logagent_build.sequences.voters import (
    Neighbours,
    Network,
    Scores,
    Tree,
    Voter,
    Votes,
    majority,
)

__all__ = ["BASELINES", "Plan", "Row", "Task", "cache_bytes", "curve", "rows"]

OURS = "forest, asked"
BASELINES = ("LightAD", "CNN", "DeepLog", "LogCluster", "PCA", "vote of 3, full")
SIZES = (50, 500, 1000, 1500, 2000)  # of RQ2 (§5.2)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run."""

    labels: int = 1000
    settings: Settings = field(default_factory=Settings)
    networks: bool = True
    """Run the baselines with a deep network too."""


@dataclass(frozen=True, slots=True)
class Task:
    """Training sequences, and tests by name."""

    seed: int
    train: Sequences
    tests: dict[str, Sequences]
    """Their vocabulary may go on after that of the training set: reworded templates."""


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one test."""

    configuration: str
    seed: int
    method: str
    labels: int
    """Sequences it was trained on."""
    distinct: int
    """Of these, how many are distinct: what had to be labelled (§4.2.4)."""
    precision: float
    recall: float
    f1: float
    f1_duplicates: float
    """On the whole test, sequences seen in training included."""
    train_seconds: float
    """Choosing what to label included."""
    test_seconds: float
    """For one sequence."""


class _Majority:
    """The paper's three and what is added to them, counted by Eq. 6."""

    def __init__(self, voters: Iterable[Voter]) -> None:
        self.voters = tuple(voters)
        self.name = "vote"

    def fit(self, train: Sequences) -> _Majority:
        for voter in self.voters:
            voter.fit(train)
        return self

    def score(self, test: Sequences) -> Scores:
        held: Scores = np.mean([voter.score(test) for voter in self.voters], axis=0)
        return held

    def predict(self, test: Sequences) -> Votes:
        return majority([voter.predict(test) for voter in self.voters])


def rows(task: Task, plan: Plan, say: Say) -> Iterator[Row]:
    """Run all methods on a task."""
    torch.set_num_threads(1)
    for name, labels, made in _methods(task, plan):
        began = time.perf_counter()
        predict, trained_on = made()
        took = time.perf_counter() - began
        yield from _judged(task, name, labels, trained_on, predict, took)
        say(f"{', '.join(task.tests)}, seed {task.seed}: {name}, {took:.1f} s")


def curve(task: Task, plan: Plan, say: Say) -> Iterator[Row]:
    """Run what depends on labels at each of `SIZES` (RQ2); all are trained on as many."""
    for size in SIZES:
        part = Plan(size, plan.settings, networks=False)
        for name, labels, made in _methods(task, part, limited=True):
            began = time.perf_counter()
            predict, trained_on = made()
            took = time.perf_counter() - began
            yield from _judged(task, name, labels, trained_on, predict, took)
        say(f"{', '.join(task.tests)}, seed {task.seed}: {size} labels")


_Made = Callable[[], tuple[Callable[[Sequences], Votes], Sequences]]


def _methods(task: Task, plan: Plan, limited: bool = False) -> Iterator[tuple[str, int, _Made]]:
    full, seed = task.train, task.seed
    settings = plan.settings
    few = full.only(choosing.drawn(len(full), plan.labels, seed))
    kept: dict[str, tuple[Trained, Sequences]] = {}

    def asked() -> tuple[Callable[[Sequences], Votes], Sequences]:
        which = choosing.asked(full, plan.labels, seed)
        chosen = full.only(which)
        left, hidden = choosing.rest(full, which), choosing.hidden(full, which)
        kept["asked"] = train(chosen, settings, seed, left, hidden=hidden), chosen
        return kept["asked"][0].predict, chosen

    def drawn() -> tuple[Callable[[Sequences], Votes], Sequences]:
        kept["drawn"] = train(few, settings, seed), few
        return kept["drawn"][0].predict, few

    def fitted(voter: Voter, data: Sequences) -> _Made:
        return lambda: (voter.fit(data).predict, data)

    def three() -> _Majority:
        return _Majority((Neighbours(settings.neighbours), Tree(seed), Network(seed)))

    def both(data: Sequences) -> bool:
        return bool(data.anomalous.any() and not data.anomalous.all())

    if not both(few):
        return  # 50 drawn at random may lack an anomaly: nothing can be trained on them
    yield OURS, plan.labels, asked
    yield "forest, drawn", plan.labels, drawn
    yield "vote of 3, drawn", plan.labels, fitted(three(), few)
    if limited:
        yield "LightAD, drawn", plan.labels, fitted(LightAD(seed), few)
        return
    yield "vote of 4, asked", plan.labels, lambda: (kept["asked"][0].vote, kept["asked"][1])
    yield "vote of 4, drawn", plan.labels, lambda: (kept["drawn"][0].vote, few)
    yield "vote of 3, asked", plan.labels, lambda: (_vote_of(kept["asked"][0]), kept["asked"][1])
    yield "KNN, drawn", plan.labels, fitted(Neighbours(settings.neighbours), few)
    yield "tree, drawn", plan.labels, fitted(Tree(seed), few)
    yield "network, drawn", plan.labels, fitted(Network(seed), few)
    yield "LightAD", len(full), fitted(LightAD(seed), full)
    yield "vote of 3, full", len(full), fitted(three(), full)
    yield "LogCluster", len(full), fitted(LogCluster(seed), full)
    yield "PCA", len(full), fitted(PCA(), full)
    if plan.networks:
        yield "DeepLog", len(full), fitted(DeepLog(seed), full)
        yield "CNN", len(full), fitted(CNN(seed), full)


def _vote_of(trained: Trained) -> Callable[[Sequences], Votes]:
    return lambda test: majority([each.predict(test) for each in trained.others])


def _judged(
    task: Task,
    name: str,
    labels: int,
    trained_on: Sequences,
    predict: Callable[[Sequences], Votes],
    took: float,
) -> Iterator[Row]:
    distinct = len(choosing.distinct(trained_on))
    for configuration, test in task.tests.items():
        new = ~duplicates.seen(test, task.train)
        judged = test
        began = time.perf_counter()
        if len(test.vocabulary) > len(task.train.vocabulary):
            judged = injection.matched(test, task.train.vocabulary)
        said = predict(judged)
        each = (time.perf_counter() - began) / len(test)
        found = measure(test.anomalous[new], said[new])
        yield Row(
            configuration,
            task.seed,
            name,
            labels,
            distinct,
            found.precision,
            found.recall,
            found.f1,
            measure(test.anomalous, said).f1,
            took,
            each,
        )


def cache_bytes(test: Sequences) -> int:
    """Return the memory of a dictionary of all distinct sequences and their verdicts (§4.2.4)."""
    cache = {duplicates.key(events): False for events in test.events}
    return sys.getsizeof(cache) + sum(map(sys.getsizeof, cache))
