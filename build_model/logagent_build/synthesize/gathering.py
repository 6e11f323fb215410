"""Rounds of asking until every system has its lines, or no more come.

Each round is one `ask` for all systems and kinds: one exchange of batch files. A kind of a system
is asked for until it has `SPARE` times the distinct lines wanted (the spare is for `repairs`),
or until two rounds running bring fewer than `DRY` new ones of the lines asked for, or `rounds` are
over. Where the lengths of both classes then differ by more than chance, the class that lacks short
or long lines is asked for those, in `_EVEN_ROUNDS` more rounds at most. What of a reply cannot be
read is asked for again, warmer each time, `ATTEMPTS` times, and is then given up and counted.

Guarantees: the same replies give the same lines in the same order, so that a run stopped anywhere
goes on from a store of replies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from logagent.errors import ConfigError

from logagent_build.annotate.protocol import Annotator, Failure, Outcome, Prompt
from logagent_build.synthesize.distinct import Line, Unit, distinct
from logagent_build.synthesize.leaks import distance, gap, near_lengths
from logagent_build.synthesize.questions import (
    ATTEMPTS,
    COMPONENTS,
    LATEST,
    Ask,
    Component,
    Questions,
)
from logagent_build.synthesize.replies import KINDS, Row, read

__all__ = ["DRY", "SPARE", "Gathered", "Settings", "expected", "gather"]

SPARE = 1.15  # lines gathered for each one wanted
DRY = 0.1  # of the lines asked for; fewer new ones in two rounds running: there are no more
_DRY_ROUNDS = 2
_MOST_PROMPTS = 8  # of a kind and system in a round
_FEWEST = 5  # lines asked for in a prompt: fewer are not worth its rules
_PAIR_LINES = 2
_EVEN_ROUNDS = 2
_USUAL = 110  # [characters] of a line: the corpora's median
Progress = Callable[[int, int], None]
"""Told how many prompts are answered, and how many there are so far."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is asked for."""

    wanted: Mapping[str, int]
    """Distinct lines, or pairs, of each of `KINDS`; 0 asks for none."""
    lines_per_prompt: int = 20
    rounds: int = 10
    """At most, after the plan."""

    def __post_init__(self) -> None:
        if set(self.wanted) != set(KINDS) or min(self.wanted.values()) < 0:
            raise ConfigError(f"wanted: a number at least 0 for each of {', '.join(KINDS)}")
        if not any(self.wanted.values()):
            raise ConfigError("no line is wanted of any kind: nothing to ask for")
        if self.lines_per_prompt < 1 or self.rounds < 1:
            raise ConfigError("lines per prompt and rounds: at least 1")


@dataclass(slots=True)
class Gathered:
    """What came together for a system."""

    plan: list[Component] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    """All that was taken from replies, in order."""
    ended: dict[str, str] = field(default_factory=dict)
    """Why it ended, by kind: ``enough``, ``dry``, ``rounds``, ``none wanted``."""
    rounds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """See `replies.Reading`; and ``prompts``, ``failures``, ``rows``, ``asked again`` (rows),
    ``gave up`` (rows), ``no plan``."""
    input_tokens: int = 0
    output_tokens: int = 0
    """[tokens] Of all replies, whoever paid for them, and when."""
    simulated: bool = False
    """Whether a reply is of a simulation."""


def gather(
    annotator: Annotator,
    questions: Questions,
    systems: int,
    settings: Settings,
    progress: Progress = lambda _done, _all: None,
) -> list[Gathered]:
    """Ask until it is enough.

    Args:
        annotator: whom to ask.
        questions: makes the prompts, of as many systems.
        systems: how many.
        settings: how much.
        progress: see `Progress`.

    Raises:
        AnnotatorError, BudgetReached, WaitForResponses: see `Annotator.ask`; nothing is lost, call
            again with a store in front.
    """
    works = [_System(number, settings) for number in range(systems)]
    asks = [work.begin() for work in works]
    done = total = 0
    while asks:
        total += len(asks)
        progress(done, total)
        prompts = [questions.prompt(ask, works[ask.system].made.plan) for ask in asks]
        before, so_far = done, total

        answered = 0

        def arrived(_index: int, _outcome: Outcome) -> None:
            nonlocal answered
            answered += 1
            progress(before + answered, so_far)  # noqa: B023  # called within this turn

        outcomes = annotator.ask(prompts, arrived)
        done = total
        for ask, prompt, outcome in zip(asks, prompts, outcomes, strict=True):
            works[ask.system].take(ask, prompt, outcome)
        asks = [ask for work in works for ask in work.following()]
    progress(done, total)
    return [work.made for work in works]


def expected(questions: Questions, systems: int, settings: Settings) -> list[Prompt]:
    """Return prompts as many and as long as those of a run without broken rows and repetitions.

    For an estimate: the plan is not known, so its examples are of a usual length, as are the lines
    that later prompts show.
    """
    usual = [Component("component", "x" * _USUAL)] * COMPONENTS
    made = []
    for number in range(systems):
        work = _System(number, settings)
        made.append(questions.prompt(work.begin()))
        made += [questions.prompt(ask, usual) for ask in work.all()]
    return made


class _System:
    """One system's share of `gather`."""

    def __init__(self, number: int, settings: Settings) -> None:
        self.made = Gathered()
        self._number = number
        self._settings = settings
        self._again: list[Ask] = []
        self._numbers: Counter[str] = Counter()  # prompts made, by kind
        self._asked: Counter[str] = Counter()  # lines, this round
        self._had: Counter[str] = Counter()  # distinct ones, before this round
        self._dry: Counter[str] = Counter()  # rounds running
        self._evened = 0  # rounds
        self._open = [kind for kind in KINDS if settings.wanted[kind]]
        self.made.ended = {kind: "none wanted" for kind in KINDS if kind not in self._open}

    def begin(self) -> Ask:
        """Return the ask for the plan."""
        return Ask(self._number, "plan", COMPONENTS)

    def all(self) -> list[Ask]:
        """Return the asks of all rounds, if every line that comes is a new one."""
        asks: list[Ask] = []
        have: Counter[str] = Counter()
        for turn in range(self._settings.rounds):
            known = ["x" * _USUAL] * (LATEST if turn else 0)
            more = [ask for kind in KINDS for ask in self._more(kind, have[kind], known)]
            have.update({kind: sum(a.count for a in more if a.kind == kind) for kind in KINDS})
            asks += more
        return asks

    def take(self, ask: Ask, prompt: Prompt, outcome: Outcome) -> None:
        """Note what was said, and what to ask again."""
        made = self.made
        made.counts["prompts"] += 1
        if isinstance(outcome, Failure):
            made.counts["failures"] += 1
            self._repeat(ask, ask.count, hopeless=not outcome.retryable)
            return
        made.input_tokens += outcome.input_tokens
        made.output_tokens += outcome.output_tokens
        made.simulated |= outcome.model.startswith("simulated")
        found = read(ask.kind, outcome.text, outcome.finish_reason, prompt.messages[-1].text)
        made.counts.update(found.counts)
        if ask.kind == "plan":
            names = {row.other.lower(): Component(row.other, row.line) for row in found.rows}
            made.plan = list(names.values())[:COMPONENTS]
            if not made.plan:
                self._repeat(ask, ask.count)
            return
        made.counts["rows"] += len(found.rows)
        made.units += [_unit(ask.kind, row) for row in found.rows]
        cut = found.counts["cut"] or found.counts["garbage"]
        broken = ask.count - len(found.rows) if cut else found.broken
        if broken > 0:
            self._repeat(ask, min(broken, ask.count))

    def _repeat(self, ask: Ask, count: int, *, hopeless: bool = False) -> None:
        if hopeless or ask.attempt == ATTEMPTS:
            self.made.counts["gave up"] += count
            self.made.counts["no plan"] += ask.kind == "plan"
            return
        self._again.append(replace(ask, count=count, attempt=ask.attempt + 1))

    def following(self) -> list[Ask]:
        """Return the asks of the next round; none when it has ended."""
        again, self._again = self._again, []
        if any(ask.kind == "plan" for ask in again):
            return self._counted(again)
        kept, _ = distinct(self.made.units)
        have = Counter(unit.kind for unit in kept)
        latest: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for unit in kept:
            latest[unit.kind].append(unit.lines[-1].text)
        asks: list[Ask] = []
        for kind in list(self._open):
            ended = self._ended(kind, have[kind])
            if ended:
                self.made.ended[kind] = ended
                self._open.remove(kind)
                continue
            mine = [ask for ask in again if ask.kind == kind]
            asks += self._counted(mine)
            asks += self._more(kind, have[kind] + sum(ask.count for ask in mine), latest[kind])
        if not asks and not self._open:
            asks = self._even(kept)
        self._asked = Counter()
        for ask in asks:
            self._asked[ask.kind] += ask.count
        self._had = have
        self.made.rounds += bool(asks)
        return asks

    def _counted(self, again: list[Ask]) -> list[Ask]:
        if again:
            self.made.counts["asked again"] += sum(ask.count for ask in again)
        return again

    def _even(self, kept: Sequence[Unit]) -> list[Ask]:
        """Ask the class that lacks short or long lines for those."""
        lines = [line for unit in kept for line in unit.lines]
        lengths, labels = [len(line.text) for line in lines], [line.label for line in lines]
        if self._evened == _EVEN_ROUNDS or near_lengths(distance(lengths, labels), labels):
            return []
        self._evened += 1
        place, many = gap(lengths, labels)
        asks = []
        for label, kind in enumerate(("normal", "anomalous")):
            if self._settings.wanted[kind]:
                # Whose lines are too short is asked for long ones, the other class for short ones.
                bounds = (place + 1, 0) if label == many else (0, place)
                number = self._numbers[kind]
                self._numbers[kind] += 1
                count = self._settings.lines_per_prompt
                asks.append(Ask(self._number, kind, count, number, lengths=bounds))
        return asks

    def _ended(self, kind: str, have: int) -> str:
        if have >= self._target(kind):
            return "enough"
        if self._asked[kind]:
            dry = have - self._had[kind] < DRY * self._asked[kind]
            self._dry[kind] = self._dry[kind] + 1 if dry else 0
        if self._dry[kind] == _DRY_ROUNDS:
            return "dry"
        return "rounds" if self.made.rounds == self._settings.rounds else ""

    def _target(self, kind: str) -> int:
        return math.ceil(self._settings.wanted[kind] * SPARE)

    def _more(self, kind: str, have: int, latest: Sequence[str]) -> list[Ask]:
        missing = self._target(kind) - have
        if missing <= 0:
            return []
        size = self._settings.lines_per_prompt
        if kind == "pairs":
            size = max(1, size // _PAIR_LINES)
        prompts = min(_MOST_PROMPTS, math.ceil(missing / size))
        count = min(size, max(_FEWEST, math.ceil(missing / prompts)))
        start = self._numbers[kind]
        self._numbers[kind] += prompts
        return [
            Ask(self._number, kind, count, number, known=tuple(latest))
            for number in range(start, start + prompts)
        ]


def _unit(kind: str, row: Row) -> Unit:
    if kind == "pairs":
        return Unit(kind, (Line(row.line, 0, 0), Line(row.other, 1, row.severity)))
    if kind == "anomalous":
        return Unit(kind, (Line(row.line, 1, row.severity),), row.category)
    # A line that sounds worse than it is has severity 1 in the project's corpora.
    return Unit(kind, (Line(row.line, 0, int(kind == "hard")),))
