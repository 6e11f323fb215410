"""FlexLog's language model as a voter: fit, predict, through any annotator.

Each distinct sequence is asked once (`samples` times, if more votes are wanted), one to a prompt;
all of a `predict` are one exchange of batch files. Replies that are not the one word are asked
again at temperatures 0.2, 0.4, … 1.0; what then has no clear reply is normal, and counted
(§4.3.2). A tie of samples is normal (§3.4).

Guarantees: votes depend on the sequence, the examples, the options and the replies only, so that
with a store in front a run stopped anywhere goes on. A sequence the endpoint refuses is counted,
and predicted normal. Memory: O(sequences).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
from logagent.errors import ConfigError

from logagent_build.annotate.composing import RETRY_TEMPERATURES
from logagent_build.annotate.prompt_files import PromptFile, load
from logagent_build.annotate.protocol import Annotator, Failure, Outcome, Prompt, Reply
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.label_word import read_word
from logagent_build.sequences.llm.prompt import SequencePrompts
from logagent_build.sequences.llm.retrieval import Rarity, Retrieval
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.shots import SELECTIONS, Shots, named
from logagent_build.sequences.llm.shown import Showing
from logagent_build.sequences.llm.votes import Vote

__all__ = ["LLMVoter", "Options"]

_SHOTS = 8  # examples: four of either class
_SHOT_ENTRIES = 100  # [entries] of an example: eight of them cost as much as the sequence itself
Progress = Callable[[int, int], None]
"""Told how many prompts are answered, and how many there are so far."""


@dataclass(frozen=True, slots=True)
class Options:
    """How sequences are put to the model."""

    showing: Showing = field(default_factory=Showing)
    shots: int = _SHOTS
    """Examples in a prompt; 0 is zero-shot, as is a voter that was not fitted."""
    shot_entries: int = _SHOT_ENTRIES
    """[entries] of an example's sequence."""
    selection: str = "balanced"
    """One of `shots.SELECTIONS`."""
    meanings: int = 20
    """Meanings of events in a prompt, at most; 0 is without retrieval (§5.4.2)."""
    samples: int = 1
    """Independent replies for each sequence; the majority decides."""
    thinking_tokens: int = 0
    """[tokens] A reply may be longer by: for models that think aloud."""
    seed: int = 0
    """Of the examples."""

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise ConfigError(f"examples {self.selection!r} are none of {', '.join(SELECTIONS)}")
        if self.samples < 1 or min(self.shots, self.meanings, self.thinking_tokens) < 0:
            raise ConfigError(
                "samples: at least 1; examples, meanings, thinking tokens: at least 0"
            )


@dataclass(frozen=True, slots=True)
class _Ask:
    sequence: int
    sample: int
    attempt: int = 0


class LLMVoter:
    """A voter with the interface of scikit-learn.

    Attributes:
        name: in records.
        counts: what happened: ``prompts``, ``failures``, ``unclear`` (replies), ``asked again``,
            ``gave up``, ``refused`` and ``answered before`` (sequences; all replies to these came
            from a store).
    """

    def __init__(
        self,
        annotator: Annotator,
        options: Options | None = None,
        meanings: Mapping[str, str] | None = None,
        file: PromptFile | None = None,
    ) -> None:
        """Take whom to ask, how, what events mean, and the prompt (by default ``flexlog``)."""
        self._annotator = annotator
        self._options = options or Options()
        self._meanings = meanings or {}
        self._file = file or load("flexlog", "sequence")
        self._shots: Shots | None = None
        self._rarity = Rarity()
        self.name = "language model"
        self.counts: Counter[str] = Counter()

    @property
    def asked(self) -> int:
        """Prompts asked so far, those answered from a store included."""
        return self.counts["prompts"]

    def fit(self, train: Sequences, rarity: Rarity | None = None) -> Self:
        """Take labelled sequences to choose examples from, and to learn which events are rare.

        Args:
            train: labelled; may be empty for a voter without examples.
            rarity: learnt from other sequences, too; by default from `train` alone.
        """
        self._rarity = rarity or Rarity(train)
        options = self._options
        self._shots = Shots(train, options.shots, options.selection, options.seed)
        return self

    def prompts(self, data: Sequences) -> list[Prompt]:
        """Return the prompts `votes` begins with: for an estimate of its cost."""
        work = _Voting(self, data)
        return [work.prompt(ask) for ask in work.begin()]

    def texts(self, data: Sequences) -> list[str]:
        """Return each sequence as prompts show it."""
        make = self.maker()
        return [make.text(named(data, at)) for at in range(len(data))]

    def votes(self, data: Sequences, progress: Progress = lambda _done, _all: None) -> list[Vote]:
        """Ask about sequences; equal ones once.

        Returns:
            A vote for each sequence, in order.

        Raises:
            ConfigError: the prompt needs examples, and there are none.
            AnnotatorError, BudgetReached, WaitForResponses: see `Annotator.ask`; nothing is lost,
                call again with a store in front.
        """
        return _Voting(self, data).run(self._annotator, progress)

    def predict(self, test: Sequences) -> npt.NDArray[np.bool_]:
        """Return whether each sequence is anomalous: bool (n,)."""
        return np.array([bool(vote.anomalous) for vote in self.votes(test)], dtype=np.bool_)

    def score(self, test: Sequences) -> npt.NDArray[np.float64]:
        """Return the share of each one's replies that said anomalous: float64 (n,), in [0, 1]."""
        return np.array([vote.share for vote in self.votes(test)], dtype=np.float64)

    def maker(self) -> SequencePrompts:
        """Return what makes the prompts."""
        options = self._options
        shots = Showing(
            max(2, options.shot_entries),
            options.showing.keep,
            options.showing.fold,
            options.showing.longest_name,
        )
        retrieval = None
        if options.meanings and self._meanings:
            retrieval = Retrieval(self._meanings, self._rarity, options.meanings)
        return SequencePrompts(
            self._file, options.showing, shots, retrieval, self._rarity, options.thinking_tokens
        )

    def prompt(self, make: SequencePrompts, names: Sequence[str], ask: _Ask) -> Prompt:
        """Return one prompt."""
        shots = self._shots(names) if self._shots is not None else ()
        return make.prompt(names, shots, ask.attempt, ask.sample)

    @property
    def samples(self) -> int:
        """Independent replies for each sequence."""
        return self._options.samples


class _Voting:
    """One call of `LLMVoter.votes`."""

    def __init__(self, voter: LLMVoter, data: Sequences) -> None:
        self._voter = voter
        self._make = voter.maker()
        self._data = data
        numbers: dict[bytes, int] = {}
        self._of = [numbers.setdefault(key, len(numbers)) for key in keys(data)]
        self._keys = list(numbers)
        first: dict[int, int] = {}
        for at, number in enumerate(self._of):
            first.setdefault(number, at)
        self._first = first
        self._said: list[list[bool]] = [[] for _ in numbers]
        self._asked = [0] * len(numbers)
        self._refused = [False] * len(numbers)
        self._before = [True] * len(numbers)
        self._counts = voter.counts

    def begin(self) -> list[_Ask]:
        """Return the first wave."""
        return [
            _Ask(number, sample)
            for number in range(len(self._keys))
            for sample in range(self._voter.samples)
        ]

    def prompt(self, ask: _Ask) -> Prompt:
        """Return the prompt of an ask."""
        return self._voter.prompt(self._make, named(self._data, self._first[ask.sequence]), ask)

    def run(self, annotator: Annotator, progress: Progress) -> list[Vote]:
        """Ask in waves until every sequence has its vote."""
        asks = self.begin()
        done = total = 0
        while asks:
            total += len(asks)
            before, so_far, answered = done, total, 0
            progress(before, so_far)

            def arrived(_index: int, _outcome: Outcome) -> None:
                nonlocal answered
                answered += 1
                progress(before + answered, so_far)  # noqa: B023  # called within this turn

            outcomes = annotator.ask([self.prompt(ask) for ask in asks], arrived)
            done = total
            self._counts["prompts"] += len(asks)
            asks = [
                again
                for ask, outcome in zip(asks, outcomes, strict=True)
                if (again := self._take(ask, outcome)) is not None
            ]
            self._counts["asked again"] += len(asks)
        decided = [self._decided(number) for number in range(len(self._keys))]
        return [decided[number] for number in self._of]

    def _take(self, ask: _Ask, outcome: Outcome) -> _Ask | None:
        """Note what was said; return what to ask again."""
        self._asked[ask.sequence] += 1
        self._before[ask.sequence] &= isinstance(outcome, Reply) and outcome.recorded
        if isinstance(outcome, Failure):
            self._counts["failures"] += 1
            if outcome.retryable and ask.attempt < len(RETRY_TEMPERATURES):
                return _Ask(ask.sequence, ask.sample, ask.attempt + 1)
            self._refused[ask.sequence] = True
            return None
        said = read_word(outcome.text, outcome.finish_reason)
        if said is not None:
            self._said[ask.sequence].append(said)
            return None
        self._counts["unclear"] += 1
        if ask.attempt < len(RETRY_TEMPERATURES):
            return _Ask(ask.sequence, ask.sample, ask.attempt + 1)
        return None

    def _decided(self, number: int) -> Vote:
        key, said, asked = self._keys[number], self._said[number], self._asked[number]
        if self._before[number]:
            self._counts["answered before"] += 1
        if not said and self._refused[number]:
            self._counts["refused"] += 1
            return Vote(key, None, 0, 0, "refused", asked)
        if not said:
            self._counts["gave up"] += 1
            return Vote(
                key, anomalous=False, votes=0, votes_anomalous=0, how="gave up", asked=asked
            )
        anomalous = sum(said)
        how = "majority" if 0 < anomalous < len(said) else "agreed"
        return Vote(key, 2 * anomalous > len(said), len(said), anomalous, how, asked)
