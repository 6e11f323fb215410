"""How the templates of a folder get their labels: strategies behind one interface.

* ``combined``: cluster, then ask wherever an answer, with evidence or without, is worth most
  (`calibrate.combined`).
* ``calibrate``: ask about every template, then again about those in doubt, with evidence, round by
  round (MaidLog, `calibrate.calibration`).
* ``alpha``: cluster, ask about a few, ask on where in doubt (`alpha.loop`).
* ``one-shot``: every template is asked about once.

A person's corrections win whatever the strategy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.corrections import template_key
from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.loop import Settings as AlphaSettings
from logagent_build.alpha.loop import label_pool
from logagent_build.alpha.pool import shown
from logagent_build.calibrate import calibration
from logagent_build.calibrate.combined import Combining, combine
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.label_cache import rounded
from logagent_build.calibrate.queries import AskQueries, Query
from logagent_build.folder.annotators import Asker
from logagent_build.folder.pooled import pool_of

__all__ = ["STRATEGIES", "WITHOUT_VECTORS", "Labels", "Plan", "default_calls", "label_entries"]

_UNKNOWN = 0.5  # probability of being wrong where nobody answered
_ONE_SHOT_WRONG = 0.1  # of a single answer: the order of what is reported of good models on logs
DEFAULT_SHARE, DEFAULT_MOST, DEFAULT_LEAST = 0.1, 1000, 200
"""Calls by default: 10 % of the templates, at least 200, at most 1,000."""
_CALIBRATE = 3  # calls for each template by default: one each, and two more where in doubt
Reals = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to label."""

    strategy: str
    calls: int
    """Most lines that may be asked."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of entries."""

    anomalous: npt.NDArray[np.bool_]
    """Of each entry: bool (n,)."""
    soft: Reals
    """Probability that it is anomalous, float64 (n,), in [0, 1]."""
    wrong: Reals
    """Probability that the label is wrong, float64 (n,), in [0, 0.5]."""
    calls: int
    """Lines asked."""
    rounds: int
    """Exchanges with the annotator."""
    unanswered: int = 0
    """Lines that were asked about and never answered."""


class Strategy(Protocol):
    """One way to label."""

    def __call__(
        self,
        entries: Entries,
        asker: Asker,
        plan: Plan,
        people: Mapping[int, bool],
        progress: Progress,
        /,
    ) -> Labels:
        """Label entries; `people` has the labels that persons gave, by entry."""


def default_calls(strategy: str, templates: int) -> int:
    """Return how many lines may be asked if nobody says."""
    if strategy == "one-shot":
        return templates
    if strategy == "calibrate":
        return _CALIBRATE * templates
    return max(DEFAULT_LEAST, min(DEFAULT_MOST, round(DEFAULT_SHARE * templates)))


def label_entries(
    entries: Entries,
    asker: Asker,
    plan: Plan,
    *,
    people: Mapping[str, bool] | None = None,
    progress: Progress = lambda _stage, _done: None,
) -> tuple[Labels, int]:
    """Label entries by a strategy; return the labels, and how many of them are people's.

    Args:
        entries: of all systems.
        asker: whom to ask.
        plan: how.
        people: corrections, by `corrections.template_key`.
        progress: told of the stages.

    Raises:
        ValueError: there is no such strategy, or it needs more calls than are allowed.
        LogagentError: see `annotate.errors`; what was paid is stored.
    """
    if plan.strategy not in STRATEGIES:
        raise ValueError(f"strategy {plan.strategy!r} is none of {', '.join(STRATEGIES)}")
    said = people or {}
    known = {
        at: said[key]
        for at, template in enumerate(entries.templates)
        if (key := template_key(template)) in said
    }
    found = STRATEGIES[plan.strategy](entries, asker, plan, known, progress)
    for at, label in known.items():
        found.anomalous[at], found.soft[at], found.wrong[at] = label, float(label), 0.0
    return found, len(known)


class _Heard:
    """Counts what is asked, and what of it nobody answers."""

    def __init__(self) -> None:
        self.calls = self.exchanges = 0
        self._asked: set[str] = set()
        self._answered: set[str] = set()

    @property
    def unanswered(self) -> int:
        return len(self._asked - self._answered)

    def lines(self, ask: LabelLines) -> LabelLines:
        def counted(lines: Sequence[str], examples: Sequence[Example], /) -> Sequence[Answer]:
            return self._count(lines, ask(lines, examples))

        return counted

    def queries(self, ask: AskQueries) -> AskQueries:
        def counted(queries: Sequence[Query], /) -> Sequence[Answer]:
            return self._count([query.line for query in queries], ask(queries))

        return counted

    def _count(self, lines: Sequence[str], answers: Sequence[Answer]) -> Sequence[Answer]:
        self.calls += len(lines)
        self.exchanges += 1
        self._asked.update(lines)
        self._answered.update(
            line
            for line, answer in zip(lines, answers, strict=True)
            if answer.anomalous is not None
        )
        return answers


def _soft(anomalous: npt.NDArray[np.bool_], wrong: Reals) -> Reals:
    return np.where(anomalous, 1 - wrong, wrong)


def _alpha(
    entries: Entries, asker: Asker, plan: Plan, people: Mapping[int, bool], progress: Progress
) -> Labels:
    pool = pool_of(entries)
    settings = AlphaSettings(plan.calls, seed=plan.seed)
    # Its share of wrong lines is one of the lines in the pool, of which there are few here.
    sure = settings.sure * float(entries.count.sum()) / len(pool.lines)
    heard = _Heard()
    found = label_pool(
        pool,
        entries.vectors,
        heard.lines(asker.lines),
        dataclasses.replace(settings, sure=sure),
        reviewed=people,
        progress=progress,
    )
    wrong = np.clip(found.wrong, 0.0, 0.5)
    soft = _soft(found.anomalous, wrong)
    return Labels(
        found.anomalous.copy(), soft, wrong, found.calls, heard.exchanges, heard.unanswered
    )


def _one_shot(
    entries: Entries, asker: Asker, plan: Plan, people: Mapping[int, bool], progress: Progress
) -> Labels:
    asked = [at for at in range(len(entries)) if at not in people]
    if len(asked) > plan.calls:
        raise ValueError(
            f"one-shot asks about every template, {len(asked):,} here, and {plan.calls:,} calls "
            "are allowed: give more with --calls, or another --strategy"
        )
    progress("labels", 0.0)
    lines = entries.lines
    answers = asker.lines([shown(lines[at]) for at in asked], [])
    anomalous = np.zeros(len(entries), np.bool_)
    wrong = np.full(len(entries), _UNKNOWN)
    for at, answer in zip(asked, answers, strict=True):
        if answer.anomalous is not None:
            anomalous[at], wrong[at] = answer.anomalous, _ONE_SHOT_WRONG
    silent = sum(answer.anomalous is None for answer in answers)
    progress("labels", 1.0)
    return Labels(anomalous, _soft(anomalous, wrong), wrong, len(asked), 1, silent)


def _combined(
    entries: Entries, asker: Asker, plan: Plan, people: Mapping[int, bool], progress: Progress
) -> Labels:
    heard = _Heard()
    found = combine(
        entries,
        heard.queries(asker.queries(entries)),
        Combining(calls=plan.calls, seed=plan.seed),
        progress=lambda done: progress("labels", done),
        reviewed=people,
    )
    return Labels(
        found.anomalous.copy(),
        found.soft.copy(),
        found.wrong.copy(),
        found.calls,
        len(found.rounds),
        heard.unanswered,
    )


def _calibrate(
    entries: Entries, asker: Asker, plan: Plan, people: Mapping[int, bool], progress: Progress
) -> Labels:
    first = len(entries) - len(people)
    if first > plan.calls:
        raise ValueError(
            f"calibrate begins with every template, {first:,} here, and {plan.calls:,} "
            "calls are allowed: give more with --calls, or another --strategy"
        )
    settings = calibration.Settings(calls=plan.calls - first, seed=plan.seed)
    state = calibration.Calibration(entries, settings)
    lines = entries.lines
    said = {shown(lines[at]): Answer(label, "reviewed") for at, label in people.items()}
    heard = _Heard()
    ask = _with_people(heard.queries(asker.queries(entries)), said)
    state.begin(ask)
    while not state.done():
        progress("labels", len(state.rounds) / (settings.rounds + 1))
        state.round(ask)
    progress("labels", 1.0)
    soft = state.labels()
    return Labels(
        rounded(soft),
        soft,
        np.minimum(soft, 1 - soft),
        heard.calls,
        heard.exchanges,
        heard.unanswered,
    )


def _with_people(ask: AskQueries, said: Mapping[str, Answer]) -> AskQueries:
    """Return who answers as people did where they did, and else asks."""

    def answer(queries: Sequence[Query], /) -> list[Answer]:
        others = [query for query in queries if query.line not in said]
        answers = iter(ask(others) if others else [])
        return [said[query.line] if query.line in said else next(answers) for query in queries]

    return answer


STRATEGIES: dict[str, Strategy] = {
    "combined": _combined,
    "alpha": _alpha,
    "calibrate": _calibrate,
    "one-shot": _one_shot,
}
"""By name."""

WITHOUT_VECTORS = frozenset(["one-shot"])
"""Strategies that do not look at `Entries.vectors`."""
