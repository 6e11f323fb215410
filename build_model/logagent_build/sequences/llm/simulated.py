"""An annotator that errs in a stated way over sequences of known label: for honest measurement.

No model is asked. A reply is the truth, wrong with a stated probability per class. A share `alike`
of the errors is drawn per *set* of events instead of per sequence: sequences made of the same
events are then misread together, as a model would. Each reply is ambiguous with probability
`unclear`, drawn anew for each prompt, so that asking again helps.

Guarantees: seeded, the same prompts give the same replies in any order; replies name a model that
begins with ``simulated``. It reads the sequence from the prompt itself, so all that lies between
is exercised. Tokens are estimates, seconds are 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logagent.errors import ConfigError

from logagent_build.annotate.protocol import Arrived, Failure, Outcome, Prompt, Reply
from logagent_build.annotate.wire import tokens_about
from logagent_build.sequences.llm.prompt import WORDS, read_sequence

__all__ = ["SequenceErrors", "SimulatedSequences", "read_errors"]

_UNCLEAR = "It depends on what the system was doing."


@dataclass(frozen=True, slots=True)
class SequenceErrors:
    """How a simulated annotator errs; all in [0, 1]."""

    wrong_normal: float = 0.0
    wrong_anomalous: float = 0.0
    alike: float = 0.5
    unclear: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.wrong_normal, self.wrong_anomalous, self.alike, self.unclear)
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError("simulated: rates and shares are in [0, 1]")


def read_errors(text: str) -> SequenceErrors:
    """Read ``normal=0.2,anomalous=0.2,alike=0.5,unclear=0,seed=0``, each of which may be missing.

    Raises:
        ConfigError: a name is unknown, or a value no number in its range.
    """
    fields = {"normal": "wrong_normal", "anomalous": "wrong_anomalous"}
    fields |= {"alike": "alike", "unclear": "unclear"}
    values: dict[str, float] = {}
    seed = 0
    for pair in filter(None, text.split(",")):
        key, _, value = pair.partition("=")
        try:
            if key == "seed":
                seed = int(value)
            else:
                values[fields[key]] = float(value)
        except (KeyError, ValueError):
            raise ConfigError(
                f"simulated: {pair!r} is none of {', '.join(fields)}, seed with a number"
            ) from None
    return SequenceErrors(**values, seed=seed)


class SimulatedSequences:
    """An `Annotator` without a model.

    Attributes:
        torn: sequences that prompts show alike though their labels differ; they count as anomalous.
    """

    def __init__(self, texts: Sequence[str], truth: Sequence[bool], errors: SequenceErrors) -> None:
        """Take sequences as prompts show them (`LLMVoter.texts`), their labels, and the errors."""
        self._errors = errors
        known: dict[str, bool] = {}
        torn: set[str] = set()
        for text, label in zip(texts, truth, strict=True):
            if known.setdefault(text, bool(label)) is not bool(label):
                torn.add(text)
                known[text] = True
        self._truth: Mapping[str, bool] = known
        self.torn = len(torn)

    @property
    def model(self) -> str:
        """Says that it is a simulation, and of what."""
        errors = self._errors
        return (
            f"simulated: {errors.wrong_normal:g} of normal and {errors.wrong_anomalous:g} of "
            f"anomalous sequences wrong, {errors.alike:g} alike, {errors.unclear:g} unclear, "
            f"seed {errors.seed}"
        )

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """See `Annotator.ask`."""
        outcomes: list[Outcome] = []
        for index, prompt in enumerate(prompts):
            outcome = self._answer(prompt)
            outcomes.append(outcome)
            if arrived is not None:
                arrived(index, outcome)
        return outcomes

    def _answer(self, prompt: Prompt) -> Outcome:
        text = read_sequence(prompt.messages[-1].text)
        truth = None if text is None else self._truth.get(text)
        if text is None or truth is None:
            return Failure("the simulation knows no label of a sequence", retryable=False)
        said = WORDS[truth is not self._wrong(text, truth)]
        if self._uniform("unclear", prompt.key(self.model)) < self._errors.unclear:
            said = _UNCLEAR
        asked = sum(tokens_about(message.text) for message in prompt.messages)
        return Reply(said, self.model, asked, tokens_about(said), "stop", 0.0)

    def _wrong(self, text: str, truth: bool) -> bool:
        errors = self._errors
        rate = errors.wrong_anomalous if truth else errors.wrong_normal
        if self._uniform("share", text) >= errors.alike:
            return self._uniform("own", text) < rate
        names = sorted(set(re.sub(r" ×\d+", "", text[1:-1]).split(", ")))
        return self._uniform("set", names) < rate

    def _uniform(self, kind: str, what: object) -> float:
        """Return a number in [0, 1) that is the same for the same arguments and seed."""
        text = repr((self._errors.seed, kind, what)).encode(errors="replace")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
