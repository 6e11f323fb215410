"""Anomalous lines, grouped by what they say and ranked by score × novelty.

Guarantees: at most `capacity` groups are held; when more turn up, the lower-ranked half is let go
and counted, never silently. A group knows its first and its last line. Memory: O(capacity) groups
of about 2 kB, and `_RECENT_BLOCKS` blocks.

Finding the *last* line of every group in every block would cost more than judging the block.
So the latest few blocks are kept, and a block is only cut into lines when it leaves and is still
the latest sighting of some group: never, for a group that comes often.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from logagent.blocks import Block
from logagent.judge import NORMAL, Verdict
from logagent.traces import Trace, below

__all__ = ["Group", "GroupTable", "Sighting", "record_id"]

_RECENT_BLOCKS = 16  # 1 MiB at most; more saves little work
SAMPLE_BYTES = 1024  # [bytes] of a line kept as sample: what is printed of it is shorter


@dataclass(frozen=True, slots=True)
class Sighting:
    """One line of a group."""

    source: str
    """Name of the file, as given; not sanitised."""
    line: int
    """Line number, from 1."""
    offset: int
    """Where the block that holds the line begins, plus the line's place in it [bytes]."""
    text: bytes
    """The line, cut to `SAMPLE_BYTES`; not sanitised."""


@dataclass(slots=True, eq=False)
class Group:
    """The anomalous lines that say the same."""

    id: str
    """Stable: of the first line's source and offset (`record_id`)."""
    template: bytes
    """Of the first line."""
    score: float
    """The highest of its lines, in [0, 1], 1 is anomalous."""
    first: Sighting
    last: Sighting
    count: int = 0
    trace: Trace = field(default_factory=Trace)
    """The stack trace below the first line."""
    key: bytes = b""
    """What its lines have in common: the template, with names that hold an identifier masked."""
    latest: _Recent | None = field(default=None, repr=False)
    """The block that holds the last line, while `last` is not written down yet."""
    shown: int = 0
    """Count at which it was last printed; for pipes."""

    def rank(self, lines: int) -> float:
        """Return score × novelty, in [0, 1]; novelty falls from 1 (seen once) to 0 (every line).

        Args:
            lines: lines read in all.
        """
        novelty = 1 - math.log(self.count) / math.log(max(lines, 2)) if self.count > 1 else 1.0
        return self.score * max(novelty, 0.0)


@dataclass(slots=True, eq=False)
class _Recent:
    """A block that may hold the last line of some groups."""

    source: str
    block: Block
    verdicts: list[Verdict]
    groups: list[Group] = field(default_factory=list)


class GroupTable:
    """All groups of a scan."""

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.anomalous_lines = 0
        """Lines over the threshold, whether or not their group was kept."""
        self.lines = 0
        self.dropped_groups = 0
        """Groups let go for want of room; one that comes back counts again."""
        self._groups: dict[bytes, Group] = {}
        self._recent: deque[_Recent] = deque()

    def __len__(self) -> int:
        return len(self._groups)

    def add(
        self,
        source: str,
        fingerprint: bytes,
        block: Block,
        verdicts: list[Verdict],
        joined: int = 0,
    ) -> list[Group]:
        """Count a block's anomalous lines; return the groups seen for the first time.

        Args:
            source: name of the source.
            fingerprint: what identifies the source's content in record ids.
            block: the lines.
            verdicts: one per line.
            joined: anomalous lines that are part of another's trace; `verdicts` has them as normal.
        """
        self.lines += len(verdicts)
        self.anomalous_lines += joined
        if verdicts.count(NORMAL) == len(verdicts):
            return []
        counts = Counter([verdict for verdict in verdicts if verdict is not NORMAL])
        recent = _Recent(source, block, verdicts)
        new = []
        for verdict, count in counts.items():
            if not verdict.anomalous:
                continue
            self.anomalous_lines += count
            key = verdict.group or verdict.template
            group = self._groups.get(key)
            if group is None:
                index = verdicts.index(verdict)
                sighting = _sighting(recent, index)
                group = Group(
                    record_id(fingerprint, sighting.offset, sighting.text),
                    verdict.template,
                    verdict.score,
                    sighting,
                    sighting,
                    trace=_cut(below(block, index)),
                    key=key,
                )
                self._groups[key] = group
                new.append(group)
            group.count += count
            group.score = max(group.score, verdict.score)
            if group.latest is not recent:  # a group may have several verdicts in one block
                group.latest = recent
                recent.groups.append(group)
        if recent.groups:
            self._recent.append(recent)
            if len(self._recent) > _RECENT_BLOCKS:
                self._settle(self._recent.popleft())
            if len(self._groups) > self.capacity:
                self._shrink()
        return [group for group in new if group.key in self._groups]

    def settle(self) -> None:
        """Write down the last line of every group."""
        while self._recent:
            self._settle(self._recent.popleft())

    def _settle(self, recent: _Recent) -> None:
        """Write down the last lines that only this block still holds."""
        waiting = [group for group in recent.groups if group.latest is recent]
        if not waiting:
            return
        last: dict[bytes, int] = {}  # a group may have several verdicts in one block
        for verdict, index in dict(
            zip(recent.verdicts, range(len(recent.verdicts)), strict=True)
        ).items():
            key = verdict.group or verdict.template
            last[key] = max(index, last.get(key, 0))
        for group in waiting:
            group.last = _sighting(recent, last[group.key])
            group.latest = None

    def _shrink(self) -> None:
        kept = self.ranked()[: self.capacity // 2]
        self.dropped_groups += len(self._groups) - len(kept)
        self._groups = {group.key: group for group in kept}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def get(self, key: bytes) -> Group | None:
        """Return the group of a key (`Group.key`), None if it is not held."""
        return self._groups.get(key)

    def ranked(self) -> list[Group]:
        """Return the groups, the most remarkable first; their last lines are settled."""
        self.settle()
        lines = self.lines
        return sorted(self._groups.values(), key=lambda group: (-group.rank(lines), group.id))


def _sighting(recent: _Recent, index: int) -> Sighting:
    block = recent.block
    return Sighting(
        recent.source,
        block.first_line + index,
        block.line_offset(index),
        block.line(index)[:SAMPLE_BYTES],
    )


def _cut(trace: Trace) -> Trace:
    return Trace(trace.lines, trace.cause[:SAMPLE_BYTES])


def record_id(fingerprint: bytes, offset: int, text: bytes) -> str:
    """Return the stable id of a line, 16 hexadecimal digits.

    Args:
        fingerprint: of the source's first line.
        offset: of the line [bytes].
        text: the line; its first `SAMPLE_BYTES` count.
    """
    place = fingerprint + offset.to_bytes(8, "big")
    return hashlib.blake2b(text[:SAMPLE_BYTES], key=place, digest_size=8).hexdigest()
