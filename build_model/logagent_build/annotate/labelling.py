r"""Lines in, labels out, through any annotator.

Each distinct line is asked once, many to a prompt (`fence`); replies are read strictly
(`replies`). What has no clear answer is asked again at temperatures 0.2, 0.4, … 1.0, and is then
normal, and counted (FlexLog §4.3.2).

A line must not change the label of another. Three ways to see to that:

* ``alone``: one line a prompt. Holds whatever lines say; costs a request a line.
* ``checked``, the default: every line is asked twice, and no two lines share a prompt both
  times; where the two answers differ, or one is lacking, what counts is what the model says of
  the line alone. So no single line, whatever it says, changes the label of another. Against many
  that conspire: lines that look like instructions are asked alone (`guard.talks`); two lines of
  known label stand in each prompt, and a reply that gets one wrong is not believed; a prompt
  found wrong about three lines is not believed about any. What is not believed is asked alone.
  Lines of unknown wording that spare the known lines, and are many enough to stand in most
  prompts, get through: for logs an enemy may flood, use ``alone``.
* ``trusted``: none of this; for lines of one's own.

Guarantees: labels depend on the lines, options and replies only, and the same prompts are made
in the same order, so that a labelling stopped anywhere goes on from a store of replies. Prompts
are asked in waves as large as can be: one wave is one exchange of batch files. Memory: O(lines).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from logagent.errors import ConfigError
from logagent.sanitise import printable

from logagent_build.annotate import replies
from logagent_build.annotate.composing import (
    ISOLATIONS,
    RETRY_TEMPERATURES,
    Ask,
    Asked,
    Composer,
    Example,
    Options,
    together,
)
from logagent_build.annotate.guard import talks
from logagent_build.annotate.prompt_files import PromptFile
from logagent_build.annotate.protocol import Annotator, Failure, Outcome, Prompt

__all__ = ["ISOLATIONS", "Example", "Label", "Options", "first_prompts", "label"]

_ROUNDS_CHECKED = 2  # different neighbours, at least
_LIES = 3  # lines a prompt must be wrong about to be wrong about all; fewer are honest doubts
_FEWEST = 3  # lines that share a prompt and are asked twice, or it were cheaper to ask each alone
Progress = Callable[[int, int], None]
"""Told how many prompts are answered, and how many there are so far."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a model makes of a line."""

    anomalous: bool | None
    """None if the endpoint refuses to answer for it."""
    votes: int
    """Answers that counted."""
    votes_anomalous: int
    """How many of them said anomalous."""
    how: str
    """``agreed``; ``majority``; ``alone``: by what was said of it alone; ``gave up``: no clear
    answer in any try, so normal; ``refused``."""
    reason: str = ""
    """In the model's words, if the prompt asks for one."""


def label(
    lines: Sequence[str | bytes],
    annotator: Annotator,
    prompt: PromptFile,
    few_shot: Sequence[Example] = (),
    votes: int = 1,
    *,
    options: Options | None = None,
    counts: Counter[str] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> list[Label]:
    """Label lines.

    Args:
        lines: any; equal ones (as shown in the prompt) are asked once.
        annotator: whom to ask.
        prompt: what to ask, with purpose ``label``.
        few_shot: examples for the prompt.
        votes: answers to take for each line, among different neighbours; the majority decides.
        options: see there.
        counts: what happened is added to it: ``prompts``, ``failures``, ``invented``,
            ``contradicted``, ``unclear``, ``cut``, ``garbage``, ``asked again`` (lines),
            ``canary wrong``, ``canary missing`` and ``unmasked`` (prompts), ``talks`` and
            ``alone`` (lines), ``gave up``, ``refused`` (lines).
        progress: see `Progress`.

    Returns:
        A label for each line, in order.

    Raises:
        ConfigError: the prompt needs examples, or the options cannot be.
        AnnotatorError, BudgetReached, WaitForResponses: see `Annotator.ask`; nothing is lost, call
            again with a store in front.
    """
    work = _Labelling(lines, prompt, few_shot, votes, options or Options(), counts)
    return work.run(annotator, progress)


def first_prompts(
    lines: Sequence[str | bytes],
    prompt: PromptFile,
    few_shot: Sequence[Example] = (),
    votes: int = 1,
    *,
    options: Options | None = None,
) -> list[Prompt]:
    """Return the prompts `label` begins with: for an estimate of its cost."""
    work = _Labelling(lines, prompt, few_shot, votes, options or Options(), None)
    return [work.composer.asked(ask).prompt for ask in work.begin()]


class _Labelling:
    """One run of `label`."""

    def __init__(
        self,
        lines: Sequence[str | bytes],
        prompt: PromptFile,
        few_shot: Sequence[Example],
        votes: int,
        options: Options,
        counts: Counter[str] | None,
    ) -> None:
        if votes < 1:
            raise ConfigError("votes: at least 1")
        shown = [printable(line, options.longest_line) for line in lines]
        numbers: dict[str, int] = {}
        self._of = [numbers.setdefault(line, len(numbers)) for line in shown]
        self._lines = list(numbers)
        self.composer = Composer(self._lines, prompt, few_shot, options)
        self._marker = prompt.marker
        self._votes = votes
        self._rounds = max(votes, _ROUNDS_CHECKED) if options.isolation == "checked" else votes
        self._options = options
        self._counts = counts if counts is not None else Counter()
        count = len(self._lines)
        self._said: list[dict[int, bool]] = [{} for _ in range(count)]
        self._reasons = [""] * count
        self._isolated = [False] * count
        self._asked_alone = [False] * count
        self._refused = [False] * count
        self._labels: list[Label | None] = [None] * count
        self._company: list[tuple[int, ...]] = []  # lines that share a prompt
        self._met: list[dict[int, int]] = [{} for _ in range(count)]  # by slot: which of those
        self._lies: Counter[int] = Counter()  # lines each was found wrong about

    def run(self, annotator: Annotator, progress: Progress) -> list[Label]:
        """Ask in waves until every line has its label."""
        asks = self.begin()
        done = total = 0
        while asks:
            total += len(asks)
            progress(done, total)
            made = [self.composer.asked(ask) for ask in asks]
            before, so_far = done, total

            answered = 0

            def arrived(_index: int, _outcome: Outcome) -> None:
                nonlocal answered
                answered += 1
                progress(before + answered, so_far)  # noqa: B023  # called within this turn

            outcomes = annotator.ask([each.prompt for each in made], arrived)
            done = total
            self._counts["prompts"] += len(asks)
            following: list[Ask] = []
            for ask, asked, outcome in zip(asks, made, outcomes, strict=True):
                following += self._take(ask, asked, outcome)
            again = self._pruned(following)
            waiting = {member for ask in again for member in ask.members}
            touched = {member for ask in asks for member in ask.members}
            asks = [*again, *self._settle(sorted(touched - waiting))]
        progress(done, total)
        labels = [label for number in self._of if (label := self._labels[number]) is not None]
        if len(labels) != len(self._of):
            raise AssertionError("a line was left without a label")
        return labels

    def begin(self) -> list[Ask]:
        """Return the first wave."""
        everybody = range(len(self._lines))
        isolation = self._options.isolation
        for number in everybody:
            if isolation == "alone" or self._options.lines_per_prompt == 1:
                self._isolated[number] = True
            elif isolation == "checked" and talks(self._lines[number]):
                self._counts["talks"] += 1
                self._isolated[number] = True
        neighbours = [number for number in everybody if not self._isolated[number]]
        size = self._options.lines_per_prompt
        if isolation == "checked":
            size = min(size, math.isqrt(len(neighbours)))
            if size < _FEWEST:
                for number in neighbours:
                    self._isolated[number] = True
                neighbours = []
        asks = [
            ask
            for slot in range(self._rounds)
            for ask in together(neighbours, slot, size, self._options.seed)
        ]
        for index, ask in enumerate(asks):
            self._company.append(ask.members)
            for member in ask.members:
                self._met[member][ask.slot] = index
        asks += [
            ask for number in everybody if self._isolated[number] for ask in self._alone(number)
        ]
        return asks

    def _alone(self, number: int) -> list[Ask]:
        """Return the prompts that ask a line by itself."""
        self._counts["alone"] += 1
        self._asked_alone[number] = True
        return [Ask((number,), -1 - sample) for sample in range(self._votes | 1)]

    def _take(self, ask: Ask, asked: Asked, outcome: Outcome) -> list[Ask]:
        """Note what was said; return what to ask again."""
        if isinstance(outcome, Failure):
            return self._failed(ask, outcome)
        canaries = asked.canaries
        names = [*asked.members, *canaries]
        said = replies.read(outcome.text, outcome.finish_reason, names, self._marker)
        self._counts.update(said.counts)
        if any(said.labels.get(name, right) is not right for name, right in canaries.items()):
            self._counts["canary wrong"] += 1
            for number in ask.members:
                self._isolated[number] = True
            return []
        if said.labels and not canaries.keys() <= said.labels.keys():
            self._counts["canary missing"] += 1
            said.labels.clear()  # an incomplete reply that cannot be checked
        missing = []
        for name, number in asked.members.items():
            if name in said.labels:
                self._said[number][ask.slot] = said.labels[name]
                self._reasons[number] = said.reasons.get(name, self._reasons[number])
            else:
                missing.append(number)
        cut = bool(said.counts["cut"])
        return self._again(ask, missing, halves=cut) if missing else []

    def _failed(self, ask: Ask, failure: Failure) -> list[Ask]:
        self._counts["failures"] += 1
        if len(ask.members) > 1:  # too long, or one line that is refused
            return list(self._halves(ask.members, ask.slot, ask.attempt))
        if failure.retryable and ask.attempt < len(RETRY_TEMPERATURES):
            return self._again(ask, ask.members)
        self._refused[ask.members[0]] = True
        return []

    def _again(self, ask: Ask, missing: Iterable[int], *, halves: bool = False) -> list[Ask]:
        """Ask once more for those without an answer, at a higher temperature."""
        members = tuple(missing)
        if ask.attempt == len(RETRY_TEMPERATURES):
            return []
        self._counts["asked again"] += len(members)
        if halves and len(members) > 1:
            return list(self._halves(members, ask.slot, ask.attempt + 1))
        return [Ask(members, ask.slot, ask.attempt + 1)]

    @staticmethod
    def _halves(members: tuple[int, ...], slot: int, attempt: int) -> tuple[Ask, Ask]:
        middle = len(members) // 2
        return Ask(members[:middle], slot, attempt), Ask(members[middle:], slot, attempt)

    def _pruned(self, asks: Iterable[Ask]) -> list[Ask]:
        """Leave out lines that are to be asked alone from now on."""
        kept = []
        for ask in asks:
            together = ask.slot >= 0
            members = tuple(n for n in ask.members if not (together and self._isolated[n]))
            if members:
                kept.append(Ask(members, ask.slot, ask.attempt))
        return kept

    def _settle(self, numbers: Iterable[int]) -> list[Ask]:
        """Decide lines whose answers are complete; return prompts for those asked alone now."""
        asks: list[Ask] = []
        for number in numbers:
            said = self._said[number]
            if self._options.isolation == "checked" and (
                len(said) < self._rounds or len(set(said.values())) > 1
            ):
                self._isolated[number] = True
            if self._isolated[number] and not self._asked_alone[number]:
                asks += self._alone(number)
                continue
            self._labels[number] = decided = self._decided(number)
            for slot, value in said.items():
                if decided.how == "alone" and slot >= 0 and value is not decided.anomalous:
                    self._lies[self._met[number][slot]] += 1
        return [*asks, *self._unmasked()]

    def _unmasked(self) -> list[Ask]:
        """Return prompts for the lines of those prompts that were wrong too often."""
        asks: list[Ask] = []
        for index in [index for index, lies in self._lies.items() if lies >= _LIES]:
            self._counts["unmasked"] += 1
            self._lies[index] = -len(self._company[index])  # once
            for number in self._company[index]:
                self._isolated[number] = True
                if not self._asked_alone[number]:
                    asks += self._alone(number)
        return asks

    def _decided(self, number: int) -> Label:
        isolated = self._isolated[number]
        votes = [value for slot, value in self._said[number].items() if (slot < 0) is isolated]
        if not votes and self._refused[number]:
            self._counts["refused"] += 1
            return Label(None, 0, 0, "refused")
        if not votes:
            self._counts["gave up"] += 1
            return Label(anomalous=False, votes=0, votes_anomalous=0, how="gave up")
        anomalous = sum(votes)
        how = "alone" if isolated else "majority" if 0 < anomalous < len(votes) else "agreed"
        return Label(2 * anomalous > len(votes), len(votes), anomalous, how, self._reasons[number])
