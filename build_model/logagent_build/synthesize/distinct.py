"""Which lines are another message than all others, and which contradict each other.

Lines are compared without their headers, as templates of the agent's own normaliser and as sets of
words. Guarantees: of what `distinct` keeps no two have the same template, none is as good as equal
to another (`NEAR`), and no template has both labels; order decides who stays, pairs first; the
members of a pair are never compared with each other. Memory and time: O(n²) of a system's few
hundred lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from logagent.normalise import templates

from logagent_build.synthesize.anatomy import split

__all__ = ["NEAR", "Line", "Unit", "distinct"]

NEAR = 0.9  # Jaccard similarity of the words of two templates; "up" for "down" in ten words is 0.82
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A labelled line."""

    text: str
    label: int
    severity: int


@dataclass(frozen=True, slots=True)
class Unit:
    """What stays or goes together: a line, or a pair."""

    kind: str
    """One of `replies.KINDS`."""
    lines: tuple[Line, ...]
    """One; of a pair the normal one, then the anomalous one."""
    category: str = field(default="", compare=False)


def distinct(units: Sequence[Unit]) -> tuple[list[Unit], Counter[str]]:
    """Return the units that stay, in order, and how many went for which reason.

    Reasons: ``duplicates`` (the same line), ``same template``, ``near duplicates``, and
    ``contradicted`` (the same template, or as good as, with the other label: both go).
    """
    said = [split(line.text).said.encode() for unit in units for line in unit.lines]
    masked = iter(templates(said).templates)
    keys = [[next(masked) for _ in unit.lines] for unit in units]
    labels: dict[bytes, set[int]] = {}
    for unit, names in zip(units, keys, strict=True):
        for line, key in zip(unit.lines, names, strict=True):
            labels.setdefault(key, set()).add(line.label)
    counts: Counter[str] = Counter()
    texts: set[str] = set()
    taken: set[bytes] = set()
    kept: list[tuple[int, list[frozenset[str]]]] = []
    doomed: set[int] = set()
    order = sorted(range(len(units)), key=lambda number: len(units[number].lines) == 1)
    for number in order:
        unit, names = units[number], keys[number]
        if any(line.text in texts for line in unit.lines):
            counts["duplicates"] += 1
            continue
        texts.update(line.text for line in unit.lines)
        if any(len(labels[key]) > 1 for key in names):
            counts["contradicted"] += 1
            continue
        if any(key in taken for key in names):
            counts["same template"] += 1
            continue
        words = [frozenset(_WORD.findall(key.decode(errors="replace").lower())) for key in names]
        close = {
            (earlier, mine.label != theirs.label)
            for earlier, others in kept
            for mine, these in zip(unit.lines, words, strict=True)
            for theirs, those in zip(units[earlier].lines, others, strict=True)
            if _near(these, those)
        }
        against = {earlier for earlier, contradicts in close if contradicts}
        if against:
            counts["contradicted"] += 1 + len(against - doomed)
            doomed |= against
            continue
        if close:
            counts["near duplicates"] += 1
            continue
        taken.update(names)
        kept.append((number, words))
    stay = sorted(number for number, _ in kept if number not in doomed)
    return [units[number] for number in stay], counts


def _near(one: frozenset[str], two: frozenset[str]) -> bool:
    small, large = sorted((len(one), len(two)))
    if not large or small < NEAR * large:
        return False
    common = len(one & two)
    return common >= NEAR * (small + large - common)
