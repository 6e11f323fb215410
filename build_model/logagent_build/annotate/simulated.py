"""An annotator that errs in a stated way over lines of known label: for honest measurement.

No model is asked. Each reply is the truth, wrong with a stated probability:

* per class: `wrong_normal` of the normal lines, `wrong_anomalous` of the anomalous ones;
* correlated: for a share `by_template` of the lines it is the template that is misread, all its
  lines with it; for a share `by_ask` each prompt draws anew, so that votes help; the others are
  misread always or never;
* by evidence, in the prompts of calibration: e in [-1, 1] is what their examples say of the line,
  the mean of their labels (±1), each weighed by the square of the words it shares with the line
  (Jaccard); neighbours in time say the truth, e = ±½. With probability `evidence` |e|, drawn anew
  for each prompt, the reply is what the evidence says, whatever it was;
* near the boundary: with margins given (0 on the boundary, 1 far from it) the probability falls
  with the margin, the mean over the class staying as stated.

Guarantees: seeded, the same prompts give the same replies in any order; replies name a model that
begins with ``simulated``. It reads the lines from the prompts themselves (`fence`), so all that
lies between is exercised. Tokens are estimates, seconds are 0.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from logagent.normalise import templates
from logagent.sanitise import printable

from logagent_build.annotate.fence import (
    LONGEST_LINE,
    read_block,
    read_examples,
    read_sequence,
)
from logagent_build.annotate.guard import canary_label
from logagent_build.annotate.protocol import Arrived, Failure, Outcome, Prompt, Reply
from logagent_build.annotate.wire import tokens_about

__all__ = ["ErrorModel", "Simulated"]

_STEEPNESS = 3.0  # of the fall with the margin: e^-3, a twentieth, far from the boundary
_WORDS = re.compile(r"[A-Za-z]{2,}")
_MOST = 0.95  # highest probability of an error


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """How a simulated annotator errs; all in [0, 1]."""

    wrong_normal: float = 0.0
    wrong_anomalous: float = 0.0
    by_template: float = 0.5
    by_ask: float = 0.0
    evidence: float = 0.0

    def __post_init__(self) -> None:
        shares = (
            self.wrong_normal,
            self.wrong_anomalous,
            self.by_template,
            self.by_ask,
            self.evidence,
        )
        if not all(0 <= share <= 1 for share in shares) or self.by_template + self.by_ask > 1:
            raise ValueError("rates and shares of a simulation are in [0, 1], their sum too")


class Simulated:
    """An `Annotator` without a model."""

    def __init__(
        self,
        truth: Mapping[str | bytes, bool],
        errors: ErrorModel,
        seed: int = 0,
        margins: Mapping[str | bytes, float] | None = None,
        longest: int = LONGEST_LINE,
    ) -> None:
        """Prepare it.

        Args:
            truth: label of each line. Lines of known label among them (`guard.CANARIES`) are never
                misread; prompts with any other line are refused.
            errors: see there.
            seed: of the errors.
            margins: of lines, in [0, 1]; None makes errors as likely anywhere in a class.
            longest: [characters] to which prompts cut lines.
        """
        self._errors = errors
        self._seed = seed
        lines = list(truth)
        shown = [printable(line, longest) for line in lines]
        self._truth = {name: truth[line] for name, line in zip(shown, lines, strict=True)}
        raw = [line.encode() if isinstance(line, str) else line for line in lines]
        masked = templates(raw)
        self._template = dict(zip(shown, masked.templates, strict=True))
        self._rate = self._rates(lines, shown, margins)

    @property
    def model(self) -> str:
        """Says that it is a simulation, and of what."""
        errors = self._errors
        return (
            f"simulated: {errors.wrong_normal:g} of normal and {errors.wrong_anomalous:g} of "
            f"anomalous lines wrong, {errors.by_template:g} by template, {errors.by_ask:g} by ask, "
            + (f"evidence {errors.evidence:g}, " if errors.evidence else "")
            + f"seed {self._seed}"
        )

    def _rates(
        self,
        lines: Sequence[str | bytes],
        shown: Sequence[str],
        margins: Mapping[str | bytes, float] | None,
    ) -> dict[str, float]:
        base = {False: self._errors.wrong_normal, True: self._errors.wrong_anomalous}
        if margins is None:
            return {name: base[label] for name, label in self._truth.items()}
        rates: dict[str, float] = {}
        for label in (False, True):
            of_class = [n for n, name in enumerate(shown) if self._truth[name] is label]
            margin = np.array([margins[lines[number]] for number in of_class], dtype=np.float64)
            weight = np.exp(-_STEEPNESS * np.clip(margin, 0, 1))
            rate = _with_mean(weight, base[label])
            rates |= {shown[n]: float(each) for n, each in zip(of_class, rate, strict=True)}
        return rates

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
        text = prompt.messages[-1].text
        lines = read_block(text)
        key = prompt.key(self.model)
        labels = {name: self._label(line, key) for name, line in lines.items()}
        if self._errors.evidence:
            labels = {
                name: self._persuaded(label, lines[name], text, key)
                for name, label in labels.items()
            }
        if not lines or None in labels.values():
            return Failure("the simulation knows no label of a line", retryable=False)
        rows = [{"id": name, "anomalous": label} for name, label in labels.items()]
        said = json.dumps({"labels": rows})
        asked = sum(tokens_about(message.text) for message in prompt.messages)
        return Reply(said, self.model, asked, tokens_about(said), "stop", 0.0)

    def _label(self, line: str, key: str) -> bool | None:
        truth = self._truth.get(line)
        if truth is None:
            return canary_label(line)
        errors = self._errors
        kind = self._uniform("kind", line)
        if kind < errors.by_template:
            drawn = self._uniform("template", self._template[line])
        elif kind < errors.by_template + errors.by_ask:
            drawn = self._uniform("ask", (key, line))
        else:
            drawn = self._uniform("line", line)
        return truth is not (drawn < self._rate[line])

    def _persuaded(self, label: bool | None, line: str, text: str, key: str) -> bool | None:
        """Return the label that the evidence in a prompt leaves of one."""
        if label is None or line not in self._truth:
            return label
        said = _said(line, read_examples(text))
        if read_sequence(text):
            said = 0.5 if self._truth[line] else -0.5
        if self._uniform("evidence", (key, line)) < self._errors.evidence * abs(said):
            return said > 0
        return label

    def _uniform(self, kind: str, what: object) -> float:
        """Return a number in [0, 1) that is the same for the same arguments and seed."""
        digest = hashlib.blake2b(repr((self._seed, kind, what)).encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64


def _said(line: str, examples: Sequence[tuple[str, bool]]) -> float:
    """Return what examples say of a line, in [-1, 1]: see the module."""
    words = set(_WORDS.findall(line))
    total = weight = 0.0
    for other, anomalous in examples:
        theirs = set(_WORDS.findall(other))
        near = (len(words & theirs) / max(1, len(words | theirs))) ** 2
        weight += near
        total += near if anomalous else -near
    return total / weight if weight else 0.0


def _with_mean(weight: npt.NDArray[np.float64], mean: float) -> npt.NDArray[np.float64]:
    """Scale weights to a mean, none above `_MOST`."""
    rate = np.zeros_like(weight)
    if not len(weight) or not mean:
        return rate
    low, high = 0.0, 1.0
    while np.minimum(high * weight, _MOST).mean() < min(mean, _MOST * 0.999):
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        rate = np.minimum(middle * weight, _MOST)
        low, high = (middle, high) if rate.mean() < mean else (low, middle)
    return rate
