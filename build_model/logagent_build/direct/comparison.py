"""Who finds how much of the anomalies, at what cost: language models beside the shipped detector.

A model is asked about each template by its first line, as `logagent-build label` asks, or about
each distinct line. Figures are of all lines. A line that a model refuses to answer for, or has no
clear answer for in any try, is not flagged, and counted.

Guarantees: the cost of a row is that of all its replies, also of those that were paid in an
earlier run; nothing is paid for again if there is a store in front of the annotator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from logagent.blocks import Block
from logagent.bundle import Bundle
from logagent.errors import ConfigError
from logagent.judge import Judge
from logagent.normalise import templates
from logagent.scorer import Scorer

from logagent_build.annotate.budget import Price
from logagent_build.annotate.labelling import Example, Options, Progress, first_prompts, label
from logagent_build.annotate.prompt_files import PromptFile
from logagent_build.annotate.protocol import Annotator, Arrived, Outcome, Prompt, Reply
from logagent_build.corpora import MORE_PAIRS, PAIRS
from logagent_build.direct.data import DataSet

__all__ = ["EACH", "Cost", "Questions", "Row", "ask", "pooled", "shipped"]

EACH = ("template", "line")
_BLOCK_LINES = 500  # about 64 kB, as the agent reads
_ANYTHING = 2.0  # no score reaches it: every verdict comes with its score
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the replies behind a row."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    """Of all requests, one after the other."""

    def __add__(self, other: Cost) -> Cost:
        """Add up."""
        return Cost(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """What one detector found in one data set."""

    data: str
    truth: str
    """Who labelled the data set."""
    detector: str
    """Name of a prompt, or of the shipped detector."""
    lines: int
    true: int
    """Anomalous lines flagged."""
    false: int
    """Normal lines flagged."""
    missed: int
    """Anomalous lines not flagged."""
    asked: int = 0
    """Templates, or lines, that were asked about."""
    ambiguous: int = 0
    """Times one of them had no clear answer and was asked again."""
    unanswered: int = 0
    """Of those asked, without a clear answer in any try, or refused."""
    cost: Cost | None = None
    """None for a detector that asks nobody."""
    trained: bool = False
    """Whether it was trained on a corpus of this name."""

    @property
    def precision(self) -> float | None:
        """In [0, 1]; None if nothing is flagged."""
        return _share(self.true, self.true + self.false)

    @property
    def recall(self) -> float | None:
        """In [0, 1]; None if nothing is anomalous."""
        return _share(self.true, self.true + self.missed)

    @property
    def f1(self) -> float | None:
        """In [0, 1]; None if nothing is anomalous or flagged."""
        return _share(2 * self.true, 2 * self.true + self.false + self.missed)

    def dollars(self, price: Price | None) -> float | None:
        """Return what it cost; None if the price is not known."""
        if self.cost is None:
            return 0.0
        return None if price is None else price.of(self.cost.input_tokens, self.cost.output_tokens)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


class Questions:
    """What is asked of a data set, and which lines each answer is for."""

    def __init__(self, data: DataSet, each: str) -> None:
        """Take distinct templates (by their first line), or distinct lines.

        Raises:
            ConfigError: `each` is neither of `EACH`.
        """
        if each not in EACH:
            raise ConfigError(f"--each: {each!r} is neither of {', '.join(EACH)}")
        lines = data.labelled.lines
        keys = templates(lines).templates if each == "template" else lines
        number: dict[bytes, int] = {}
        self.lines: list[bytes] = []
        of = []
        for key, line in zip(keys, lines, strict=True):
            if key not in number:
                number[key] = len(number)
                self.lines.append(line)
            of.append(number[key])
        self.of = np.array(of, np.int64)
        """Question of each line, int64 (lines,)."""

    def prompts(
        self, prompt: PromptFile, few_shot: Sequence[Example], options: Options, votes: int = 1
    ) -> list[Prompt]:
        """Return what is asked first: for estimates."""
        return first_prompts(self.lines, prompt, few_shot, votes, options=options)


class _Metered:
    """An `Annotator` that adds up the replies of another."""

    def __init__(self, inner: Annotator) -> None:
        self._inner = inner
        self.cost = Cost()

    @property
    def model(self) -> str:
        return self._inner.model

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        outcomes = self._inner.ask(prompts, arrived)
        for outcome in outcomes:
            if isinstance(outcome, Reply):
                self.cost += Cost(1, outcome.input_tokens, outcome.output_tokens, outcome.seconds)
        return outcomes


def ask(
    data: DataSet,
    questions: Questions,
    annotator: Annotator,
    prompt: PromptFile,
    few_shot: Sequence[Example],
    options: Options,
    votes: int,
    progress: Progress,
) -> Row:
    """Have a model judge a data set, with `votes` answers for each question.

    Raises:
        LogagentError: see `annotate.labelling.label`.
    """
    metered = _Metered(annotator)
    counts: Counter[str] = Counter()
    labels = label(
        questions.lines,
        metered,
        prompt,
        few_shot,
        votes,
        options=options,
        counts=counts,
        progress=progress,
    )
    flagged = np.array([each.anomalous is True for each in labels], np.bool_)[questions.of]
    return Row(
        data.name,
        data.truth,
        prompt.name,
        *_confusion(flagged, data.labelled.truth),
        asked=len(questions.lines),
        ambiguous=counts["asked again"],
        unanswered=counts["gave up"] + counts["refused"],
        cost=metered.cost,
    )


def shipped(data: DataSet, bundle: Bundle, sensitivity: str = "normal") -> Row:
    """Have the agent's own code judge it.

    Raises:
        LogagentError: the bundle cannot be used.
    """
    judge = Judge(Scorer(bundle), _ANYTHING, keep_normal=True)
    lines = data.labelled.lines
    scores = [verdict.score for block in _blocks(lines) for verdict in judge.judge(block)]
    flagged = np.array(scores) >= float(bundle.manifest.thresholds[sensitivity])
    return Row(
        data.name,
        data.truth,
        f"shipped detector ({sensitivity})",
        *_confusion(flagged, data.labelled.truth),
        trained=_trained_on(data.name, bundle),
    )


def _trained_on(name: str, bundle: Bundle) -> bool:
    """Tell by the name of the corpus; a bundle's domains are groups of them."""
    corpora = {each for group in bundle.manifest.domains for each in group.split("+")}
    return name in corpora | {PAIRS, MORE_PAIRS}


def _blocks(lines: Sequence[bytes]) -> Iterator[Block]:
    offset = 0
    for at in range(0, len(lines), _BLOCK_LINES):
        joined = b"\n".join(line.replace(b"\n", b" ") for line in lines[at : at + _BLOCK_LINES])
        yield Block(joined, at + 1, offset)
        offset += len(joined) + 1


def _confusion(flagged: Flags, truth: Flags) -> tuple[int, int, int, int]:
    return (
        len(truth),
        int((flagged & truth).sum()),
        int((flagged & ~truth).sum()),
        int((~flagged & truth).sum()),
    )


def pooled(rows: Iterable[Row]) -> list[Row]:
    """Return a row of all data sets together for each detector."""
    sums: dict[str, Row] = {}
    for row in rows:
        past = sums.get(row.detector)
        if past is None:
            sums[row.detector] = past = Row("all", "", row.detector, 0, 0, 0, 0)
        cost = row.cost if past.cost is None or row.cost is None else past.cost + row.cost
        sums[row.detector] = Row(
            "all",
            "",
            row.detector,
            past.lines + row.lines,
            past.true + row.true,
            past.false + row.false,
            past.missed + row.missed,
            past.asked + row.asked,
            past.ambiguous + row.ambiguous,
            past.unanswered + row.unanswered,
            cost,
            past.trained or row.trained,
        )
    return list(sums.values())
