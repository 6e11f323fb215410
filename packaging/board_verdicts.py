"""Are two machines' verdicts equal? Compares the records of scans and of following agents.

Guarantees: what a person or a program acts on (which lines, which verdicts, in which groups, why)
must be equal; scores may differ by `SCORE_TOLERANCE`, and so may what is ordered by them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["SCORE_TOLERANCE", "compare_alerts", "compare_scans", "records"]

SCORE_TOLERANCE = 2e-4  # 1e-4 of the backends' promise; scores are printed with four decimals
_EQUAL = ("source", "line", "offset", "verdict", "count", "last_line", "template", "text")
_EQUAL_ALERT = ("line", "verdict", "template", "text", "category")
Record = dict[str, Any]


def records(text: str) -> list[Record]:
    """Return the records of JSON Lines."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def compare_scans(ours: list[Record], theirs: list[Record]) -> tuple[float, list[str]]:
    """Compare two scans of the same logs.

    Returns:
        The largest difference of a score, and what is not equal, in words.
    """
    left, right = ({record["id"]: record for record in side} for side in (ours, theirs))
    wrong = [
        f"only one found {left.get(key, right.get(key))}" for key in left.keys() ^ right.keys()
    ]
    largest = 0.0
    for key in left.keys() & right.keys():
        wrong += _unequal(left[key], right[key], _EQUAL)
        largest = max(largest, abs(left[key]["score"] - right[key]["score"]))
    if largest > SCORE_TOLERANCE:
        wrong.append(f"a score differs by {largest:.1e}")
    return largest, wrong


def compare_alerts(ours: list[Record], theirs: list[Record]) -> tuple[float, list[str]]:
    """Compare what two agents told while they followed equal logs; repeats have equal ids."""
    left, right = (_once(side) for side in (ours, theirs))
    if len(left) != len(right):
        return 0.0, [f"{len(left)} alerts and {len(right)}"]
    wrong, largest = [], 0.0
    for one, other in zip(left, right, strict=True):
        wrong += _unequal(one, other, _EQUAL_ALERT)
        largest = max(largest, abs(one["score"] - other["score"]))
    if largest > SCORE_TOLERANCE:
        wrong.append(f"a score differs by {largest:.1e}")
    return largest, wrong


def _once(alerts: Iterable[Record]) -> list[Record]:
    unique = {alert["id"]: alert for alert in alerts}
    return sorted(unique.values(), key=lambda one: (one["text"], one.get("line") or 0))


def _unequal(one: Record, other: Record, names: Iterable[str]) -> list[str]:
    return [
        f"{name}: {one.get(name)!r} and {other.get(name)!r} of {one.get('text', '')[:80]!r}"
        for name in names
        if one.get(name) != other.get(name)
    ]
