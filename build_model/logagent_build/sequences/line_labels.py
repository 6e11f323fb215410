"""Which windows are anomalous: by labels of their lines, or by times of incidents.

Labels of lines are those of the formats that `targets.read_file` tells apart, and are found again
by the whole text of a line. Lines of a log with alert tags (BGL, Thunderbird) are read without the
tag, as no agent will ever see one.

Guarantees: a window's label depends on its own lines only. Memory: O(lines of one log) and
O(labels).
"""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from logagent.blocks import Block
from logagent.sanitise import printable
from logagent.sequences.clock import Clock
from logagent.sequences.episode import Episode
from logagent.sequences.rules import Rule
from logagent.times import TimeParser

from logagent_build.targets import read_file, tagged, without_tag

__all__ = ["Incident", "Incidents", "LineLabels", "WindowLabels", "read_incidents"]

_REACH_SECONDS = 3600.0
"""[s] Least that one stamp alone may move a clock, as in `logagent.sequences.sequencer`."""


class WindowLabels(Protocol):
    """What labels the windows of logs that are read one after the other."""

    def read(self, source: str, block: Block) -> Block:
        """Take in the next lines of a log; return what of them is to be read."""
        ...

    def of(self, window: Episode) -> bool | None:
        """Return whether a window of the log that is being read is anomalous; None: not known."""
        ...

    def counts(self) -> dict[str, int]:
        """Return what was left over, for the record."""
        ...

    def trouble(self) -> str:
        """Say why no label is of any window; empty if one is."""
        ...


class LineLabels:
    """Labels of lines: a window is anomalous if at least one of its lines is.

    A window without any labelled line has no label, unless the labels are of anomalous lines only:
    then these are taken to be all of them.
    """

    def __init__(self, path: Path) -> None:
        """Read the labels.

        Raises:
            OSError: the file cannot be read.
            ValueError: it has none, or one that is neither 0 nor 1.
        """
        found = read_file(path)
        if found.labels is None:
            raise ValueError(
                f"{path}: has no labels of lines; give 0 or 1, a tab and the line, one to a line"
            )
        self._path = path
        self._labels: dict[bytes, bool] = {}
        self._both: set[bytes] = set()
        for line, label in zip(found.lines, (found.labels > 0).tolist(), strict=True):
            if self._labels.setdefault(line, label) != label:
                self._both.add(line)
                self._labels[line] = True
        self._rest = False if all(self._labels.values()) else None
        self._unseen = set(self._labels)
        self._tags = tagged(path)
        self._source = ""
        self._lines = bytearray()  # of the log that is read: 0 no label, 1 normal, 2 anomalous
        self._first = b""

    def read(self, source: str, block: Block) -> Block:
        """See `WindowLabels.read`."""
        if source != self._source or block.first_line == 1:
            self._source, self._lines = source, bytearray()
        lines = block.lines()
        bare = [without_tag(line) for line in lines] if self._tags else lines
        self._first = self._first or lines[0]
        for line, own in zip(bare, lines, strict=True):
            text = line.removesuffix(b"\r")
            label = self._labels.get(text)
            if line is not own and label is not None:  # the line's own tag is to be believed
                label = not own.startswith(b"- ")
            self._lines.append(0 if label is None else 1 + label)
            if label is not None:
                self._unseen.discard(text)
        if self._tags:
            block = Block(b"\n".join(bare), block.first_line, block.offset)
        return block

    def of(self, window: Episode) -> bool | None:
        """See `WindowLabels.of`."""
        held = self._lines[window.first.line - 1 : window.last.line]
        return True if 2 in held else False if 1 in held else self._rest

    def counts(self) -> dict[str, int]:
        """See `WindowLabels.counts`."""
        return {"labels_without_line": len(self._unseen), "lines_with_both_labels": len(self._both)}

    def trouble(self) -> str:
        """See `WindowLabels.trouble`."""
        if len(self._unseen) < len(self._labels):
            return ""
        label = printable(next(iter(self._labels)), 60)
        line = printable(self._first, 60)
        return (
            f"{self._path}: no label is of a line of these logs; the first label is of {label!r}, "
            f"the first line is {line!r}"
        )


@dataclass(frozen=True, slots=True, order=True)
class Incident:
    """A time in which something was wrong [s since 1970], both ends included."""

    start: float
    end: float


def read_incidents(path: Path) -> list[Incident]:
    """Return the times of a file in order: start, a tab, end, as ISO 8601, one to a line.

    Times without a zone are in that of this machine, as stamps of logs without one are.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is none of these, or there is none.
    """
    found = []
    try:
        rows = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not UTF-8") from None
    for number, row in enumerate(rows, 1):
        start, tab, end = row.partition("\t")
        if not row.strip() or (number == 1 and row.lower().split("\t")[:2] == ["start", "end"]):
            continue
        try:
            if not tab:
                raise ValueError
            made = Incident(*(_seconds(each) for each in (start, end.split("\t")[0])))
        except (ValueError, OverflowError, OSError):
            raise ValueError(
                f"{path}:{number}: not a start, a tab and an end as 2024-06-14T10:00:00+02:00: "
                f"{printable(row.encode(), 80)}"
            ) from None
        if made.end < made.start:
            raise ValueError(f"{path}:{number}: it ends before it starts")
        found.append(made)
    if not found:
        raise ValueError(f"{path}: has no incidents")
    return sorted(found)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.strip()).timestamp()


class Incidents:
    """Times of incidents: a window is anomalous if its time and that of one overlap.

    A window's time is from its first to its last line; one of a fixed length of time is all of
    that. So a silence is part of a window that lines stand on both sides of.
    """

    def __init__(self, path: Path, rule: Rule) -> None:
        """Read the incidents.

        Raises:
            OSError: the file cannot be read.
            ValueError: it has none, or a line is none.
        """
        self._path = path
        self._incidents = read_incidents(path)
        self._starts = [each.start for each in self._incidents]
        self._rule = rule
        self._unseen = set(self._incidents)
        self._source = ""
        self._seconds = array("d")  # of every line of the log that is read; NaN: not known
        self._span = (math.inf, -math.inf)

    def read(self, source: str, block: Block) -> Block:
        """See `WindowLabels.read`."""
        if source != self._source or block.first_line == 1:
            self._source, self._seconds = source, array("d")
            reach = max(self._rule.window_seconds, _REACH_SECONDS)
            self._clock, self._times = Clock(reach, time.time), TimeParser()
            self._known = False
        for line in block.lines():
            stamp = self._times.parse(line)
            seconds = stamp.seconds if stamp is not None and stamp.kind == "epoch" else None
            self._known |= seconds is not None
            now = self._clock.read(seconds, 1) if self._known else math.nan
            self._seconds.append(now)
        return block

    def of(self, window: Episode) -> bool | None:
        """See `WindowLabels.of`."""
        held = self._seconds[window.first.line - 1 : window.last.line]
        timed = [each for each in held if not math.isnan(each)]
        if not timed:
            return None
        start, end = min(timed), max(timed)
        self._span = min(self._span[0], start), max(self._span[1], end)
        if length := self._rule.window_seconds:
            step = length / self._rule.steps
            end = math.nextafter((end // step + 1) * step, 0)
            start = min(start, end - length)
        over = [
            each
            for each in self._incidents[: bisect_left(self._starts, math.nextafter(end, math.inf))]
            if each.end >= start
        ]
        self._unseen.difference_update(over)
        return bool(over)

    def counts(self) -> dict[str, int]:
        """See `WindowLabels.counts`."""
        return {
            "incidents": len(self._incidents),
            "incidents_without_window": len(self._unseen),
        }

    def trouble(self) -> str:
        """See `WindowLabels.trouble`."""
        if math.isinf(self._span[0]):
            return f"{self._path}: no line of these logs says when it was written"
        if len(self._unseen) < len(self._incidents):
            return ""
        logs = " to ".join(_iso(each) for each in self._span)
        first, last = self._incidents[0].start, max(each.end for each in self._incidents)
        return (
            f"{self._path}: no window overlaps an incident: the logs are of {logs}, "
            f"the incidents of {_iso(first)} to {_iso(last)}"
        )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
