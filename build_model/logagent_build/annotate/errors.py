"""What stops a labelling; in each case what was paid for is stored, and the same command goes on.

LogagentError
├── AnnotatorError     69   the annotator cannot be reached, or refuses to work
├── BudgetReached      10   the next requests might exceed the budget
└── WaitForResponses   75   requests were written to a file; their responses are awaited
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from logagent.errors import LogagentError

__all__ = ["AnnotatorError", "BudgetReached", "WaitForResponses"]


class AnnotatorError(LogagentError):
    """The annotator cannot be reached, refuses the key, or lacks a reply it should have."""

    exit_code = 69  # sysexits.h EX_UNAVAILABLE


class BudgetReached(LogagentError):  # noqa: N818  # a limit kept, not a fault
    """The next requests might cost more than the budget leaves."""

    exit_code = 10


class WaitForResponses(LogagentError):  # noqa: N818  # a stop on the way, not a fault
    """Requests were written to files and wait for somebody to have them answered."""

    exit_code = 75  # sysexits.h EX_TEMPFAIL: try again later

    def __init__(self, requests: int, paths: Sequence[Path]) -> None:
        self.requests = requests
        self.paths = tuple(paths)
        names = ", ".join(map(str, paths))
        super().__init__(
            f"{requests:,} requests written to {names}; "
            "have them answered and continue with --responses FILE"
        )
