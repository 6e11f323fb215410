"""A labeller that asks nobody and errs in a stated way: for tests and measurement only.

The truth is known; each answer is wrong with probability `ErrorModel.rate` (of its class). For a
share `by_template` of the lines the error is that of the template: whoever misreads one line of a
template misreads them all, and votes do not help. Examples have no effect: what few-shot prompts
do for a model is not simulated. Everything made with it says that it is a simulation.

Guarantees: seeded; the same line gets the same answer whenever it is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logagent.normalise import templates

from logagent_build.alpha.labeller import Answer, Example

__all__ = ["ErrorModel", "Simulated"]


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """How answers are wrong; all in [0, 1]."""

    wrong_normal: float = 0.0
    """Share of normal lines called anomalous."""
    wrong_anomalous: float = 0.0
    """Share of anomalous lines called normal."""
    by_template: float = 0.5
    """Share of lines whose error is their template's."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not all(
            0 <= x <= 1 for x in (self.wrong_normal, self.wrong_anomalous, self.by_template)
        ):
            raise ValueError("rates and shares of a simulation are in [0, 1]")


class Simulated:
    """A `labeller.LabelLines` without a model."""

    def __init__(self, truth: Mapping[str, bool], errors: ErrorModel, seed: int = 0) -> None:
        """Prepare it with the label of every line, as `pool.shown` shows it."""
        self._truth = truth
        self._errors = errors
        self._seed = seed

    @property
    def name(self) -> str:
        """Says that it is a simulation, and of what."""
        errors = self._errors
        return (
            f"simulated: {errors.wrong_normal:g} of normal and {errors.wrong_anomalous:g} of "
            f"anomalous lines wrong, {errors.by_template:g} by template, seed {self._seed}"
        )

    def __call__(self, lines: Sequence[str], _examples: Sequence[Example], /) -> list[Answer]:
        """Answer each line; no answer for one whose label is not known."""
        masked = templates([line.encode() for line in lines]).templates
        return [
            Answer(self._truth[line] is not self._wrong(line, key), "simulated")
            if line in self._truth
            else Answer(None)  # of unknown label
            for line, key in zip(lines, masked, strict=True)
        ]

    def _wrong(self, line: str, template: bytes) -> bool:
        errors = self._errors
        rate = errors.wrong_anomalous if self._truth[line] else errors.wrong_normal
        shared = self._uniform("kind", line.encode()) < errors.by_template
        drawn = (
            self._uniform("template", template) if shared else self._uniform("line", line.encode())
        )
        return drawn < rate

    def _uniform(self, kind: str, what: bytes) -> float:
        key = f"{self._seed}:{kind}:".encode()
        return int.from_bytes(hashlib.blake2b(key + what, digest_size=8).digest()) / 2**64
