"""What verification found, as tables that the report and the model card of a build both have.

Heads and rows are the same in both; each has its own markup, which escapes them: a cell may be a
name that somebody made up, and is no markup yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["SENSITIVITIES", "Cells", "checks", "on_own_logs"]

SENSITIVITIES = ("low", "normal", "high")
Cells = tuple[Sequence[str], Sequence[Sequence[object]]]
"""Head and rows of a table, as long as each other; whole numbers are to be set as numbers."""


def on_own_logs(verify: dict[str, Any]) -> Cells:
    """Return what the agent would report of the logs that a bundle was made of, by system.

    Args:
        verify: `Verified.as_dict`.
    """
    groups = [f"groups at {name}" for name in SENSITIVITIES]
    return ("system", "lines", *groups, "flagged lines at normal"), [
        (
            name,
            row["lines"],
            *(row[each]["groups"] for each in SENSITIVITIES),
            row["normal"]["flagged_lines"],
        )
        for name, row in verify["systems"].items()
    ]


def checks(verify: dict[str, Any]) -> Cells:
    """Return what must hold, what was found, and whether it holds.

    Args:
        verify: `Verified.as_dict`.
    """
    return ("check", "found", "limit", "holds"), [
        (
            each["name"],
            "not measured" if each["value"] is None else f"{each['value']:.2g}",
            f"{each['limit']:g}",
            "yes" if each["holds"] else "no",
        )
        for each in verify["checks"]
    ]
