"""What ALPHA asks of whoever labels: lines and examples in, one answer a line out.

The package knows no language model. A `LabelLines` is a function; what stands behind it (an
endpoint, a file of replies, a simulation) is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Answer", "Counted", "Example", "LabelLines"]

Example = tuple[str, bool]
"""A line for a few-shot prompt, and whether it is anomalous."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one line."""

    anomalous: bool | None
    """None: no answer could be had; it does not vote."""
    reason: str = ""
    """In the labeller's words, if it gives any."""


class LabelLines(Protocol):
    """Whoever labels lines."""

    def __call__(self, lines: Sequence[str], examples: Sequence[Example], /) -> Sequence[Answer]:
        """Return an answer for each line, in order; `examples` are for the prompt."""


class Counted:
    """A labeller whose calls are counted: one call is one line asked."""

    def __init__(self, labeller: LabelLines) -> None:
        self._labeller = labeller
        self.calls = 0
        """Lines asked so far."""

    def __call__(self, lines: Sequence[str], examples: Sequence[Example], /) -> Sequence[Answer]:
        """Ask, and count the lines.

        Raises:
            ValueError: there is not one answer for each line.
        """
        answers = self._labeller(lines, examples)
        if len(answers) != len(lines):
            raise ValueError(f"{len(lines)} lines were asked, {len(answers)} answers came")
        self.calls += len(lines)
        return answers
