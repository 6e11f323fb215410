"""`logagent scan`: from paths to ranked groups, block by block.

    sources → blocks → judge → traces → groups

Guarantees: every line of every readable source is judged exactly once (with ``since``: every line
not older); trouble with a source is passed to `on_problem` and the next source is read; memory
does not grow with the input. Left to others: what is printed (`report`, `records`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from logagent.blocks import Block
from logagent.groups import Group, GroupTable
from logagent.judge import NORMAL, Judge, TemplateScorer, Verdict
from logagent.paths import followed_name
from logagent.sources import Limits, Source, SourceProblem, open_all
from logagent.times import TimeParser
from logagent.traces import Joiner

if TYPE_CHECKING:
    from logagent.overrides import Overrides

__all__ = ["Scan", "Step", "Totals"]

_HEAD_BYTES = 1024  # [bytes] of a source's first line that identify it


@dataclass(slots=True)
class Totals:
    """What a scan has done so far."""

    sources: int = 0
    lines: int = 0
    bytes: int = 0
    """Of log text, after decompression."""
    cut_lines: int = 0
    """Lines longer than the limit, judged by their first part."""
    skipped_lines: int = 0
    """Lines older than ``since``."""
    problems: list[SourceProblem] = field(default_factory=list)
    """At most `MAX_PROBLEMS`; `problem_count` has them all."""
    problem_count: int = 0
    seconds: float = 0.0


MAX_PROBLEMS = 1000  # kept for the report; a folder with more unreadable files is counted on


@dataclass(frozen=True, slots=True)
class Step:
    """One block, judged."""

    source: Source
    fingerprint: bytes
    """BLAKE2b of the source's first line: part of every record id."""
    block: Block
    verdicts: list[Verdict]
    """One per line of the block."""
    new_groups: list[Group]
    """Groups first seen in this block."""
    grouped: list[Verdict] = field(default_factory=list)
    """What the groups were made of: `verdicts`, with lines joined to a trace as normal."""
    joined: int = 0
    """How many were joined."""


class Scan:
    """One run over some paths. Iterate `steps`, then read `groups` and `totals`."""

    def __init__(
        self,
        scorer: TemplateScorer,
        *,
        threshold: float,
        since: float | None = None,
        keep_normal: bool = False,
        limits: Limits | None = None,
        leave_out: str | None = None,
        overrides: Overrides | None = None,
        floor: float | None = None,
        on_problem: Callable[[SourceProblem], None] = lambda _problem: None,
    ) -> None:
        """Set up caches and counters.

        Args:
            scorer: the model.
            threshold: score at or above which a line is anomalous.
            since: leave out lines older than this [epoch seconds]; lines without a time stamp
                belong to the last stamped line before them.
            keep_normal: see `Judge`.
            limits: see `logagent.sources.Limits`.
            leave_out: real path of a file that is passed over: our own report of last time.
            overrides: what an operator has said; lines that they hide count as normal.
            floor: see `Judge`.
            on_problem: told about sources that cannot be read, or not wholly.
        """
        self.judge = Judge(
            scorer, threshold, keep_normal=keep_normal, overrides=overrides, floor=floor
        )
        self.groups = GroupTable()
        self.totals = Totals()
        self._since = since
        self._limits = limits or Limits()
        self._leave_out = leave_out
        self._overrides = overrides
        self._keep_normal = keep_normal
        self._on_problem = on_problem

    def steps(self, paths: Sequence[str]) -> Iterator[Step]:
        """Judge all lines of `paths`, a block at a time."""
        started = time.perf_counter()
        try:
            for source in open_all(paths, self._limits, self._note):
                if self._leave_out and os.path.realpath(source.name) == self._leave_out:
                    continue
                self.totals.sources += 1
                before = self.totals.bytes
                for step in self._source(source):
                    self.totals.bytes = before + source.text_bytes
                    self.totals.seconds = time.perf_counter() - started
                    yield step
                self.totals.bytes = before + source.text_bytes
                self.totals.cut_lines += source.cut_lines
        finally:
            self.totals.seconds = time.perf_counter() - started

    def _source(self, source: Source) -> Iterator[Step]:
        fingerprint = b""
        since = None if self._since is None else _Since(self._since)
        joiner = Joiner()
        hider = None
        if self._overrides is not None and self._overrides.looks_at_lines:
            hider = _Hider(
                self._overrides, followed_name(source.name), keep_normal=self._keep_normal
            )
        for whole in source.blocks():
            fingerprint = fingerprint or _fingerprint(whole)
            block: Block | None = whole
            if since is not None:
                block, skipped = since.newer(whole)
                self.totals.skipped_lines += skipped
            if block is None:
                continue
            verdicts = self.judge.judge(block)
            block.counted(len(verdicts))
            self.totals.lines += len(verdicts)
            grouped, joined = joiner.join(block, verdicts)
            if hider is not None:
                verdicts, grouped, joined = hider.hide(block, verdicts, grouped, joined)
            new = self.groups.add(source.name, fingerprint, block, grouped, joined)
            yield Step(source, fingerprint, block, verdicts, new, grouped, joined)

    def _note(self, problem: SourceProblem) -> None:
        self.totals.problem_count += 1
        if len(self.totals.problems) < MAX_PROBLEMS:
            self.totals.problems.append(problem)
        self._on_problem(problem)


def _fingerprint(block: Block) -> bytes:
    """Identify a source by its first line, whatever a read brought beside it."""
    head = block.data[:_HEAD_BYTES].split(b"\n", 1)[0]
    return blake2b(head, digest_size=8).digest()


class _Hider:
    """Makes those lines of a source normal that an operator hid; with its head a whole trace."""

    def __init__(self, overrides: Overrides, source: str, *, keep_normal: bool) -> None:
        self._overrides = overrides
        self._source = source
        self._keep_normal = keep_normal
        self._hides = False  # whether the last flagged line that is no part of a trace was hidden

    def hide(
        self, block: Block, verdicts: list[Verdict], grouped: list[Verdict], joined: int
    ) -> tuple[list[Verdict], list[Verdict], int]:
        """Return verdicts, grouped ones and the number of joined ones, without what is hidden."""
        judged, left = list(verdicts), list(grouped)
        for index, verdict in enumerate(verdicts):
            if not verdict.anomalous:
                continue
            if grouped[index].anomalous:
                line, group = block.line(index), verdict.group or verdict.template
                self._hides = self._overrides.hides(self._source, line, group) is not None
            if self._hides:
                joined -= not grouped[index].anomalous
                left[index] = NORMAL
                # Its score is still of interest where every line's is.
                calm = replace(verdict, anomalous=False, forced=False)
                judged[index] = calm if self._keep_normal else NORMAL
        return judged, left, joined


class _Since:
    """Leaves out what is older than a point in time.

    Logs are in order at the scale of a block: a block whose first and last stamps are both newer,
    or both older, is taken or left whole; only the block in between is looked at line by line.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._parser = TimeParser()
        self._newer = False  # of the last stamped line; unstamped lines at the start are left out

    def newer(self, block: Block) -> tuple[Block | None, int]:
        """Return the block's newer lines (None if there are none) and how many were left out."""
        first = self._is_newer(block.data[: block.data.find(b"\n")])
        last = self._is_newer(block.data[block.data.rfind(b"\n") + 1 :])
        if first is not None and first == last:
            self._newer = first
            return (block, 0) if first else (None, block.data.count(b"\n") + 1)
        lines = block.data.split(b"\n")
        for index, line in enumerate(lines):
            newer = self._is_newer(line)
            if newer is not None:
                self._newer = newer
            if self._newer:
                offset = block.offset + sum(map(len, lines[:index])) + index
                if last is not None:
                    self._newer = last
                rest = Block(b"\n".join(lines[index:]), block.first_line + index, offset)
                return rest, index
        return None, len(lines)

    def _is_newer(self, line: bytes) -> bool | None:
        stamp = self._parser.parse(line)
        if stamp is None or stamp.kind != "epoch":
            return None
        return stamp.seconds >= self._since
