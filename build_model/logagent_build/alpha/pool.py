"""The lines of a log as distinct templates: the pool that samples are drawn from (§IV-A).

De-duplication comes first, by the agent's own template keys (`logagent.normalise`): lines that
differ in masked variables only are one entry, which is embedded, clustered and weighed once with
the number of its lines. The paper clusters lines; with the weights the centroids are the same.

Guarantees: order of first appearance, so a run repeats. Memory: the lines, and a key per template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from logagent.normalise import templates
from logagent.sanitise import printable

__all__ = ["Pool", "shown"]

_BLOCK = 20_000  # lines masked at a time: bounds the working memory of the normaliser
LONGEST = 600  # [characters] of a line that a labeller sees


@dataclass(frozen=True, slots=True)
class Pool:
    """Lines, and the distinct templates among them, called entries."""

    lines: list[bytes]
    """Raw lines without newline."""
    entry: npt.NDArray[np.int64]
    """Which entry a line belongs to: int64 (lines,)."""
    templates: list[bytes]
    """Template of each entry."""
    count: npt.NDArray[np.int64]
    """Lines of each entry: int64 (entries,), at least 1."""
    first: npt.NDArray[np.int64]
    """Index of each entry's first line: int64 (entries,)."""

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> Pool:
        """Group lines by template.

        Raises:
            ValueError: there are no lines.
        """
        if not lines:
            raise ValueError("no lines to label")
        number: dict[bytes, int] = {}
        entry = np.empty(len(lines), np.int64)
        for start in range(0, len(lines), _BLOCK):
            masked = templates(lines[start : start + _BLOCK]).templates
            for at, key in enumerate(masked, start):
                entry[at] = number.setdefault(key, len(number))
        _, first = np.unique(entry, return_index=True)
        return cls(list(lines), entry, list(number), np.bincount(entry), first)

    @property
    def reduction(self) -> float:
        """Share of lines that de-duplication spares, in [0, 1)."""
        return 1 - len(self.templates) / len(self.lines)

    def members(self, entry: int, most: int) -> list[int]:
        """Return up to `most` lines of an entry with different texts, spread over the log."""
        found = np.flatnonzero(self.entry == entry)
        spread = np.unique(np.linspace(0, len(found) - 1, num=min(len(found), 16 * most)).round())
        distinct: dict[bytes, int] = {}
        for at in found[spread.astype(np.int64)].tolist():
            distinct.setdefault(self.lines[at], at)
        kept = list(distinct.values())
        if len(kept) <= most:
            return kept
        return [kept[round(at)] for at in np.linspace(0, len(kept) - 1, num=most)]

    def of_entries(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Give every line the value of its entry."""
        return values[self.entry]


def shown(line: bytes) -> str:
    """Return a line as a labeller sees it: printable characters only, bounded."""
    return printable(line, LONGEST)
