"""What the expression of a rule finds in the lines of a block: the session of each.

All lines are searched in one pass where the expression allows that (`logagent.linewise`), line by
line otherwise; what is found is the same.

Guarantees: of no line more than the expression's reach is looked at. Memory: O(bytes of the call).
"""

from __future__ import annotations

import re
from functools import lru_cache

from logagent.blocks import Block
from logagent.bounded_regex import BoundedRegex
from logagent.linewise import linewise
from logagent.sequences.rules import SESSION

__all__ = ["LineKeys"]

_linewise = lru_cache(maxsize=16)(linewise)  # a rule has a table for each log


class LineKeys:
    """Finds the sessions of lines."""

    def __init__(self, key: BoundedRegex) -> None:
        """Take an expression with a group ``session``."""
        self._key = key
        self._groups = key.pattern.groups
        self._group = key.pattern.groupindex[SESSION]
        self._linewise = _linewise(key.pattern)
        self._every = True  # whether every line of the latest block had one

    def of(self, block: Block) -> list[bytes | None]:
        """Return the session of every line: None if the expression is not found in it.

        Empty if it is found, but its group is not, or has no byte.
        """
        if self._linewise is None:
            search, reach, group = self._key.pattern.search, self._key.reach, self._group
            found = [search(line, 0, reach) for line in block.lines()]
            return [None if each is None else each[group] or b"" for each in found]
        if _within(block.data, self._key.reach):
            return self._in_one_pass(block, self._linewise)
        cut = b"\n".join([line[: self._key.reach] for line in block.lines()])
        return self._in_one_pass(Block(cut, 1, 0), self._linewise)

    def _in_one_pass(self, block: Block, linewise: re.Pattern[bytes]) -> list[bytes | None]:
        """Find the sessions of lines that are within reach."""
        ends = block.line_ends()
        group = self._group
        if self._every:  # then which line one is in need not be asked
            found = linewise.findall(block.data)
            if len(found) == len(ends):
                return found if self._groups == 1 else [each[group - 1] for each in found]
        keys: list[bytes | None] = [None] * len(ends)
        matches = list(linewise.finditer(block.data))
        index, find = -1, ends.index
        for match in matches:
            index = find(match.end(), index + 1)  # a match goes to the end of its line
            keys[index] = match[group] or b""
        self._every = len(matches) == len(ends)
        return keys


def _within(data: bytes, reach: int) -> bool:
    """Tell whether no line is longer; looks at few of the newlines."""
    line = 0
    while len(data) - line > reach:
        newline = data.rfind(b"\n", line, line + reach + 1)
        if newline < 0:
            return False
        line = newline + 1
    return True
