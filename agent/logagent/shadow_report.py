"""What a comparison of two models looks like: for people, or as JSON Lines.

Guarantees: log text is shown through `sanitise.printable` only; of each list at most `SHOWN` groups
are printed for people.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from logagent.report import size_text
from logagent.sanitise import printable
from logagent.shadow import Comparison, Group, Side

__all__ = ["SHOWN", "Progress", "records", "text_lines"]

SHOWN: Final = 10
"""Groups of each list; JSON Lines have all."""

_PER = 10_000  # lines that counts are told for
_DIGITS = 4  # decimals of a score, as in the records of `scan`


def text_lines(result: Comparison, *, width: int = 100) -> Iterator[str]:
    """Yield what a person reads of a comparison, a line each."""
    old, new = result.old, result.new
    if not result.lines:
        yield "no recent lines to compare the models on"
        return
    yield (
        f"{result.lines:,} recent lines of {result.files:,} file{'s' * (result.files != 1)} "
        f"({size_text(result.size)}), judged by both models"
    )
    yield f"{'':20}{'in force':>20}{'this one':>20}"
    yield f"{'model':20}{_model(old):>20}{_model(new):>20}"
    yield f"{'threshold':20}{old.threshold:>20.3f}{new.threshold:>20.3f}"
    yield f"{'anomalous lines':20}{old.lines:>20,}{new.lines:>20,}"
    yield f"{'alerts (groups)':20}{old.groups:>20,}{new.groups:>20,}"
    rates = (_rate(side.groups, result) for side in (old, new))
    yield f"{f'alerts per {_PER:,}':20}" + "".join(f"{rate:>20.1f}" for rate in rates)
    both, only_old, only_new = result.both(), result.only_old(), result.only_new()
    yield (
        f"{len(both):,} alerted by both, {len(only_old):,} only by the one in force, "
        f"{len(only_new):,} only by this one"
    )
    if result.uncounted:
        yield f"{result.uncounted:,} anomalous lines are of further groups, not told apart"
    for title, groups in (
        ("only by the one in force:", only_old),
        ("only by this one:", only_new),
    ):
        if groups:
            yield title
        for group in groups[:SHOWN]:
            yield (
                f"  {group.old_score:.2f} → {group.new_score:.2f}  "
                f"×{max(group.old, group.new):,}  {printable(group.source, 60)}"
            )
            yield f"      {printable(group.text.strip(), max(width - 6, 20))}"
        if len(groups) > SHOWN:
            yield f"  … and {len(groups) - SHOWN:,} more (--format jsonl)"


def records(result: Comparison) -> Iterator[str]:
    """Yield the same as JSON: first the counts, then every group, a line each."""
    yield _json(
        {
            "kind": "comparison",
            "files": result.files,
            "lines": result.lines,
            "bytes": result.size,
            "old": _side(result.old, result),
            "new": _side(result.new, result),
            "both": len(result.both()),
            "only_old": len(result.only_old()),
            "only_new": len(result.only_new()),
            "uncounted_lines": result.uncounted,
        }
    )
    for by, groups in (
        ("new", result.only_new()),
        ("old", result.only_old()),
        ("both", result.both()),
    ):
        for group in groups:
            yield _json({"kind": "group", "alerted_by": by} | _group(group))


class Progress:
    """Counts lines on a terminal's standard error, five times a second at most."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 0.5  # [s] what is quick needs no line
        self._drawn = False

    def seen(self, so_far: Comparison) -> None:
        """Show how far it is, if it is time to."""
        now = time.monotonic()
        if now < self._next or sys.stderr is None or not sys.stderr.isatty():
            return
        self._next = now + 0.2
        sys.stderr.write(f"\r\x1b[K{so_far.lines:,} lines judged by both models")
        sys.stderr.flush()
        self._drawn = True

    def wipe(self) -> None:
        """Remove the line."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _model(side: Side) -> str:
    return f"{printable(side.name, 10)} {side.sha256[:8]}"


def _rate(count: int, result: Comparison) -> float:
    return count * _PER / max(result.lines, 1)


def _side(side: Side, result: Comparison) -> dict[str, Any]:
    return {
        "name": printable(side.name, 100),
        "sha256": side.sha256,
        "threshold": side.threshold,
        "anomalous_lines": side.lines,
        "alerts": side.groups,
        "alerts_per_10000_lines": round(_rate(side.groups, result), 2),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "source": printable(group.source, 500),
        "text": printable(group.text),
        "old_lines": group.old,
        "new_lines": group.new,
        "old_score": round(group.old_score, _DIGITS),
        "new_score": round(group.new_score, _DIGITS),
    }


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
