"""Language models as answerers of queries: one query is one line is one prompt.

One door to `logagent_build.annotate`. Line, examples and neighbours stand in fenced blocks, so
that whatever they say they are data (`annotate.fence`). A reply without a clear answer is asked
again at higher temperatures, as labelling does; we differ in that a line nobody has a clear
answer for keeps its label, instead of being called normal.

Guarantees: the same queries give the same prompts, so that a store of replies in front answers
what was asked before; all queries of one call are one call of the annotator, one exchange of
batch files, and those asked again are the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from logagent_build.annotate import budget as money
from logagent_build.annotate import fence, prompt_files, replies
from logagent_build.annotate.choice import Choice, opened
from logagent_build.annotate.composing import RETRY_TEMPERATURES, RULES
from logagent_build.annotate.prompt_files import PromptFile
from logagent_build.annotate.protocol import Annotator, Message, Outcome, Prompt, Reply
from logagent_build.calibrate.queries import Answer, Query

__all__ = ["Asking", "Prompts", "asking"]

_WORDS = ("normal", "anomalous")
Progress = Callable[[int, int, money.Account], None]
"""Told prompts answered and asked for in the call, and what all cost so far."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """A prompt file for each kind of query."""

    of: Mapping[str, PromptFile]

    @classmethod
    def load(cls, plain: str = "logprompt") -> Prompts:
        """Read the shipped ones.

        Args:
            plain: name or file of the prompt for lines by themselves.

        Raises:
            ConfigError: there is no such prompt, or it cannot be used.
        """
        kinds = {kind: prompt_files.load(kind, "calibrate") for kind in _EVIDENCE}
        return cls({"plain": prompt_files.load(plain), **kinds})

    def record(self) -> dict[str, dict[str, object]]:
        """Return names, versions and hashes."""
        return {
            kind: {"name": each.name, "version": each.version, "sha256": each.digest}
            for kind, each in self.of.items()
        }


_EVIDENCE = ("induce", "filter", "refine")


class Asking:
    """An `AskQueries` with a language model behind it."""

    def __init__(
        self,
        annotator: Annotator,
        prompts: Prompts,
        thinking_tokens: int = 0,
        arrived: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        """Take whom to ask.

        Args:
            annotator: with store and budget in front of it.
            prompts: see there.
            thinking_tokens: a reply may be longer by, for models that think aloud.
            arrived: told how many prompts of a call are answered, and how many there are.
        """
        self._annotator = annotator
        self._prompts = prompts
        self._thinking = thinking_tokens
        self._arrived = arrived
        self.counts: Counter[str] = Counter()
        """What happened: ``prompts``, ``failures``, ``asked again``, ``gave up``, ``refused``, and
        what `replies` counts."""

    def __call__(self, queries: Sequence[Query], /) -> list[Answer]:
        """Ask, and ask again what has no clear answer.

        Raises:
            AnnotatorError, BudgetReached, WaitForResponses: see `Annotator.ask`; nothing is lost.
        """
        answers = [Answer(None)] * len(queries)
        waiting = list(range(len(queries)))
        for attempt in range(1 + len(RETRY_TEMPERATURES)):
            if not waiting:
                break
            made = [self._composed(queries[number], attempt) for number in waiting]
            outcomes = self._asked([prompt for prompt, _ in made])
            self.counts["prompts"] += len(made)
            again = []
            for number, (_, name), outcome in zip(waiting, made, outcomes, strict=True):
                found = self._read(outcome, name, self._prompts.of[queries[number].kind].marker)
                if isinstance(found, Answer):
                    answers[number] = found
                elif found:
                    again.append(number)
            waiting = again
            self.counts["asked again"] += len(again)
        self.counts["asked again"] -= len(waiting)  # those were not
        self.counts["gave up"] += len(waiting)
        return answers

    def prompt(self, query: Query) -> Prompt:
        """Return what is asked first about a query: for an estimate of the cost."""
        return self._composed(query, 0)[0]

    def _asked(self, prompts: list[Prompt]) -> list[Outcome]:
        done = 0

        def arrived(_index: int, _outcome: Outcome) -> None:
            nonlocal done
            done += 1
            self._arrived(done, len(prompts))

        self._arrived(0, len(prompts))
        return self._annotator.ask(prompts, arrived)

    def _composed(self, query: Query, attempt: int) -> tuple[Prompt, str]:
        """Return a prompt, and the id of the line in it."""
        file = self._prompts.of[query.kind]
        block = fence.block([query.line], f"{query.kind} {query.sample} {attempt}")
        examples = [(line, _WORDS[anomalous], "") for line, anomalous in query.examples]
        places = {
            "lines": block.text,
            "examples": fence.examples(examples),
            "sequence": fence.sequence(query.sequence),
        }
        made = Prompt(
            (
                Message("system", f"{file.system.strip()}\n{RULES.rstrip()}"),
                Message("user", file.fill(places)),
            ),
            RETRY_TEMPERATURES[attempt - 1] if attempt else file.temperature,
            file.tokens_fixed + file.tokens_per_line + self._thinking,
            file.schema,
            f"calibrate {file.name} {file.version}",
            query.sample,
        )
        return made, block.ids[0]

    def _read(self, outcome: Outcome, name: str, marker: str) -> Answer | bool:
        """Return the answer, or whether to ask again."""
        if not isinstance(outcome, Reply):
            self.counts["failures"] += 1
            self.counts["refused"] += not outcome.retryable
            return outcome.retryable
        said = replies.read(outcome.text, outcome.finish_reason, [name], marker)
        self.counts.update(said.counts)
        if name not in said.labels:
            return True
        return Answer(said.labels[name], said.reasons.get(name, ""))


@contextmanager
def asking(
    choice: Choice,
    prompts: Prompts,
    *,
    thinking_tokens: int = 0,
    shown: Progress = lambda _done, _all, _account: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Iterator[tuple[Asking, str, money.Account]]:
    """Open a model, or a simulation of one; yields it with its name and what it has cost.

    Raises:
        LogagentError, OSError, ValueError: see `annotate.choice.opened`.
    """
    with opened(choice, say) as found:

        def arrived(done: int, every: int) -> None:
            shown(done, every, found.account)

        made = Asking(found.annotator, prompts, thinking_tokens, arrived)
        yield made, found.annotator.model, found.account
