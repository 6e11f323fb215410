"""When and among what each group occurred: what a page shows and a list of groups does not.

`Spread` counts along a line of integers (seconds, line numbers) in a bounded number of buckets.
`Chronicle` watches a scan and keeps for every group two spreads and the lines around its first
one, for the whole scan the volume of all lines, and a line per source.

Guarantees: nothing is collected unless a `Chronicle` is made and shown the steps. Memory: O(groups
held) of at most 14 kB each (two spreads of 3 kB, 13 lines of context), so 14 MB for 1,000 of the
busiest groups, and about 1 kB for one seen once; O(1) beside it. Left to others: what is drawn.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from logagent.blocks import Block
from logagent.groups import Group, GroupTable
from logagent.judge import NORMAL, Verdict
from logagent.scan import Step
from logagent.times import TimeParser

__all__ = ["BUCKETS", "UPTIME_ORIGIN", "Chronicle", "Context", "SourceRead", "Spread", "Story"]

BUCKETS = 200  # of a group: more than a plot has columns, so nothing is lost to it
_VOLUME_BUCKETS = 800  # of all lines: held once
UPTIME_ORIGIN = -(1 << 40)  # [s] seconds since boot are counted from here, far from any date
AROUND = 3  # lines of context above and below
_TRACE_LINES = 9  # of a stack trace that are shown below its head
CONTEXT_BYTES = 240  # [bytes] of a line of context
SOURCES = 200  # named in the list of what was read; the others are counted
_EXACT_LINES = 20_000  # so many lines have their stamps read one by one: 60 ms
_SAMPLES = 32  # stamps read per block from then on
_EXACT_FLAGGED = 32  # flagged lines of a block whose own stamps are read


class Spread:
    """How often something happened, along a line of integers.

    Only buckets that hold something take room, so one stray date far away costs one bucket and no
    precision. When they would be more than `capacity`, all become twice as wide.
    """

    __slots__ = ("_at", "_capacity", "_counts", "_shift")

    def __init__(self, capacity: int = BUCKETS) -> None:
        """Start with buckets of width 1; `capacity` is at least 2: -1 and 0 never merge."""
        if capacity < 2:
            raise ValueError("capacity must be at least 2")
        self._capacity = capacity
        self._shift = 0
        self._at = array("q")
        self._counts = array("q")

    def __len__(self) -> int:
        return len(self._at)

    def add(self, place: int, count: int = 1) -> None:
        """Count what happened at `place`, in [-2^62, 2^62)."""
        at, places = place >> self._shift, self._at
        index = bisect_left(places, at)
        if index < len(places) and places[index] == at:
            self._counts[index] += count
            return
        places.insert(index, at)
        self._counts.insert(index, count)
        while len(self._at) > self._capacity:
            self._widen()

    def _widen(self) -> None:
        self._shift += 1
        places, counts = array("q"), array("q")
        for place, count in zip(self._at, self._counts, strict=True):
            if places and places[-1] == place >> 1:
                counts[-1] += count
            else:
                places.append(place >> 1)
                counts.append(count)
        self._at, self._counts = places, counts

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first place, place after the last, count), ascending."""
        width = 1 << self._shift
        for at, count in zip(self._at, self._counts, strict=True):
            start = at << self._shift
            yield start, start + width, count


@dataclass(slots=True)
class Context:
    """Lines around a group's first line, cut to `CONTEXT_BYTES`; not sanitised."""

    line: int
    """Number of the first line of the group."""
    above: list[bytes]
    below: list[bytes]
    wanted: int = 0
    """Lines that are still missing below: the block ended."""


@dataclass(slots=True)
class Story:
    """What happened to one group."""

    times: Spread = field(default_factory=Spread)
    """By time [s since 1970], or by uptime [s since boot] from `UPTIME_ORIGIN`."""
    places: Spread = field(default_factory=Spread)
    """By line, counted from 0 over all that was read."""
    context: Context | None = None


@dataclass(slots=True)
class SourceRead:
    """One file as it was read."""

    name: str
    """Not sanitised."""
    start: int
    """Lines of all sources read before it."""
    lines: int = 0
    flagged: int = 0
    """Lines that belong to a group, without those joined to a trace."""


class Chronicle:
    """Watches a scan; see the module."""

    def __init__(self, times: TimeParser | None = None) -> None:
        """Know nothing yet; `times` reads the stamps."""
        self.volume = Spread(_VOLUME_BUCKETS)
        """All lines that have a time, or stand below one that has."""
        self.lines = 0
        self.timed_lines = 0
        self.sources: list[SourceRead] = []
        """At most `SOURCES`; `more_sources` counts the others."""
        self.more_sources = 0
        self._times = times or TimeParser()
        self._stories: dict[Group, Story] = {}
        self._dropped = 0
        self._source: object = None
        self._read = SourceRead("", 0)
        self._now: int | None = None  # the last time read in this source
        self._tail: list[bytes] = []  # last lines of the block before
        self._waiting: list[Context] = []

    def story(self, group: Group) -> Story:
        """Return what is known of a group; nothing, for one that was not seen."""
        return self._stories.get(group) or Story()

    def see(self, step: Step, groups: GroupTable) -> None:
        """Take in one judged block; the table has counted it already."""
        if step.source is not self._source:
            self._open(step)
        block, verdicts = step.block, step.grouped
        self._finish_contexts(block)
        anchors = self._anchors(block, len(verdicts))
        if verdicts.count(NORMAL) < len(verdicts):
            self._flagged(step, groups, anchors)
        if anchors:
            self._now = anchors[-1][1]
        self._read.lines += len(verdicts)
        self.lines += len(verdicts)
        last = range(max(len(verdicts) - AROUND, 0), len(verdicts))
        self._tail = (self._tail + [block.line(index)[:CONTEXT_BYTES] for index in last])[-AROUND:]
        if groups.dropped_groups != self._dropped:
            self._dropped = groups.dropped_groups
            held = set(groups)
            self._stories = {
                group: story for group, story in self._stories.items() if group in held
            }

    def _open(self, step: Step) -> None:
        self._source, self._now, self._tail, self._waiting = step.source, None, [], []
        self._read = SourceRead(step.source.name, self.lines)
        if len(self.sources) < SOURCES:
            self.sources.append(self._read)
        else:
            self.more_sources += 1

    def _anchors(self, block: Block, lines: int) -> list[tuple[int, int]]:
        """Read stamps of a block; count the volume; return (index, time) of lines with a stamp."""
        stride = 1 if self.lines < _EXACT_LINES else max(lines // _SAMPLES, 1)
        anchors = []
        held, now = 0, self._now
        for index in range(0, lines, stride):
            when = self._when(block.line(index))
            if when is None or when == now:
                continue
            if now is not None and index > held:
                self.volume.add(now, index - held)
                self.timed_lines += index - held
            anchors.append((index, when))
            held, now = index, when
        if now is not None:
            self.volume.add(now, lines - held)
            self.timed_lines += lines - held
        return anchors

    def _flagged(self, step: Step, groups: GroupTable, anchors: list[tuple[int, int]]) -> None:
        """Count the lines of groups in a block; gather the context of new ones."""
        block = step.block
        new = {group.first.line: group for group in step.new_groups}
        first = block.first_line
        known: dict[Verdict, Story | None] = {}
        exact = _EXACT_FLAGGED
        before = self._now
        at = 0
        for index, verdict in enumerate(step.grouped):
            if verdict is NORMAL or not verdict.anomalous:
                continue
            if verdict not in known:
                group = groups.get(verdict.group or verdict.template)
                known[verdict] = None if group is None else self._stories.setdefault(group, Story())
            self._read.flagged += 1
            story = known[verdict]
            if story is None:
                continue
            story.places.add(self.lines + index)
            while at < len(anchors) and anchors[at][0] <= index:
                before = anchors[at][1]
                at += 1
            when = None
            if exact:
                exact -= 1
                when = self._when(block.line(index))
            if (when := before if when is None else when) is not None:
                story.times.add(when)
            if (group_here := new.get(first + index)) is not None and story.context is None:
                story.context = self._context(group_here, block, index, len(step.grouped))

    def _when(self, line: bytes) -> int | None:
        stamp = self._times.parse(line)
        if stamp is None:
            return None
        return int(stamp.seconds) + (UPTIME_ORIGIN if stamp.kind == "uptime" else 0)

    def _context(self, group: Group, block: Block, index: int, lines: int) -> Context:
        above = [block.line(each)[:CONTEXT_BYTES] for each in range(max(index - AROUND, 0), index)]
        if missing := AROUND - len(above):
            above = self._tail[-missing:] + above
        wanted = max(AROUND, min(group.trace.lines, _TRACE_LINES))
        last = min(index + 1 + wanted, lines)
        below = [block.line(each)[:CONTEXT_BYTES] for each in range(index + 1, last)]
        context = Context(block.first_line + index, above, below, wanted - len(below))
        if context.wanted:
            self._waiting.append(context)
        return context

    def _finish_contexts(self, block: Block) -> None:
        """Give the block's first lines to the contexts that the block before cut short."""
        for context in self._waiting:
            for index in range(min(context.wanted, block.line_count)):
                context.below.append(block.line(index)[:CONTEXT_BYTES])
                context.wanted -= 1
        self._waiting = [context for context in self._waiting if context.wanted]
