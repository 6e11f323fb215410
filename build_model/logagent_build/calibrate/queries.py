"""What calibration asks about a line, with what evidence, and whoever answers.

The package knows no language model: an `AskQueries` is a function; what stands behind it (an
endpoint, files of replies, a simulation) is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from logagent_build.alpha.labeller import Answer, Example

__all__ = ["Answer", "AskQueries", "Kind", "Query"]

Kind = Literal["plain", "induce", "filter", "refine"]


@dataclass(frozen=True, slots=True)
class Query:
    """One line to be judged, and the evidence that goes with it (MaidLog §III-B2)."""

    line: str
    """As shown in prompts (`alpha.pool.shown`)."""
    kind: Kind = "plain"
    examples: tuple[Example, ...] = ()
    """``induce``: lines with likely labels; ``filter``: lines that are likely normal; ``plain``:
    few-shot examples, if any."""
    sequence: tuple[str, ...] = ()
    """``refine``: consecutive lines of the log, the one to be judged among them."""
    sample: int = 0
    """Tells several independent answers to the same question apart."""


class AskQueries(Protocol):
    """Whoever answers queries; the same query has the same answer."""

    def __call__(self, queries: Sequence[Query], /) -> Sequence[Answer]:
        """Return an answer for each query, in order. One call is one exchange of batch files."""
