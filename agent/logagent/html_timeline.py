"""Where on a time line, or on the line of all lines read, things happened: axes and SVG.

Guarantees: an axis has at most `MAX_COLUMNS` columns and a drawing O(columns × categories) bytes,
whatever the log; nothing but numbers and text that was escaped gets into a drawing; no style
attribute, so that a page may forbid them. A date far from nearly all others (a board that booted
without a clock) does not squeeze the rest into one column: it is left out, and counted.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Final, Literal

from logagent.occurrences import UPTIME_ORIGIN, Chronicle, Spread

__all__ = [
    "MAX_COLUMNS",
    "Axis",
    "Bucket",
    "lane",
    "line_axis",
    "on_axis",
    "plot",
    "time_axis",
    "zone_of",
]

MAX_COLUMNS = 120  # of a plot: 9 pixels each on a wide screen, 3 on a phone
_LEAST_COLUMNS = 24  # a plot of one second still looks like a plot
_TICKS = 6  # labels under a plot: what a phone has room for, twice
_STRAY_SHARE = 0.1  # at most so many lines may be left out as strays …
_STRAY_GAP = 0.8  # … and the gap before them must be so much of the whole span
_LEAST_TIMED = 0.2  # share of lines with a time, from which a time line is worth drawing
_HOUR, _DAY = 3600, 86400
_SECONDS: Final[tuple[int, ...]] = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14, 28, 91, 182, 364, 1820, 5460, 18200)),
)
_HEIGHT = 132  # of the bars of a plot [units of its view box, pixels on the screen]
_LANE_HEIGHT = 20
_LEAST_BAR = 3  # a single line among thousands is still seen

Bucket = tuple[int, int, int]
"""First place, place after the last, count."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Columns of equal width over what is drawn."""

    kind: Literal["time", "uptime", "line"]
    start: int
    """Where the first column begins: [s] since 1970, [s] since boot, or lines read before."""
    width: int
    """Of a column [s or lines]."""
    columns: int
    tz: tzinfo = UTC
    first: int = 0
    """The first place with anything in it."""
    last: int = 0
    """The last one."""
    strays: int = 0
    """Lines dated far from all others, or by the other kind of clock; they are not drawn."""

    @property
    def end(self) -> int:
        """Where the last column ends."""
        return self.start + self.width * self.columns

    def counts(self, buckets: Iterable[Bucket]) -> list[int]:
        """Return the count of every column; a bucket counts where its middle is."""
        counts = [0] * self.columns
        for start, stop, count in buckets:
            column = ((start + stop - 1) // 2 - self.start) // self.width
            if 0 <= column < self.columns:
                counts[column] += count
        return counts

    def label(self, column: int) -> str:
        """Say what a column stands for."""
        start = self.start + column * self.width
        stop = start + self.width
        if self.kind == "line":
            return f"lines {start + 1:,} to {stop:,}"
        if self.kind == "uptime":
            return f"{start:,} to {stop:,} s after boot"
        begin, end = self.clock(start), self.clock(stop)
        if self.width >= _DAY:
            return f"{begin:%Y-%m-%d} to {self.clock(stop - 1):%Y-%m-%d}"
        form = "%H:%M:%S" if self.width < 60 else "%H:%M"
        return f"{begin:%Y-%m-%d} {begin.strftime(form)} to {end.strftime(form)}"

    def clock(self, seconds: int) -> datetime:
        """Return a place on a time axis as a date and clock."""
        return datetime.fromtimestamp(seconds, self.tz)

    def unit(self) -> str:
        """Say how wide a column is."""
        if self.kind == "line":
            return "1 line" if self.width == 1 else f"{self.width:,} lines"
        for size, name in ((_DAY, "day"), (_HOUR, "hour"), (60, "minute"), (1, "second")):
            if self.width % size == 0:
                count = self.width // size
                return f"1 {name}" if count == 1 else f"{count:,} {name}s"
        raise AssertionError(self.width)

    def span(self) -> tuple[str, str]:
        """Return the first and the last place, for people."""
        if self.kind == "line":
            return f"{self.first + 1:,}", f"{self.last + 1:,}"
        if self.kind == "uptime":
            return f"{self.first:,} s", f"{self.last:,} s"
        form = "%Y-%m-%d %H:%M:%S" if self.last - self.first < _HOUR else "%Y-%m-%d %H:%M"
        return self.clock(self.first).strftime(form), self.clock(self.last).strftime(form)

    def ticks(self) -> list[tuple[float, str]]:
        """Return (share of the width in [0, 1], label), at most `_TICKS` + 1."""
        span = self.width * self.columns
        if self.kind == "time":
            step = next((each for each in _SECONDS if each * _TICKS >= span), _SECONDS[-1])
            offset = _offset(self.tz, self.start)
        else:
            step, offset = _round_up(span / _TICKS), 0
        first = -(-(self.start + offset) // step) * step - offset
        places = range(first, self.end + 1, step)
        texts = self._tick_texts(places, step)
        return [
            ((place - self.start) / span, text) for place, text in zip(places, texts, strict=True)
        ]

    def _tick_texts(self, places: Sequence[int], step: int) -> list[str]:
        if self.kind != "time":
            return [f"{place:,}" + (" s" if self.kind == "uptime" else "") for place in places]
        texts, day = [], ""
        for place in places:
            when = self.clock(place)
            date = f"{when.day} {when:%b}"
            if step >= 28 * _DAY:
                texts.append(f"{when:%b %Y}")
            elif step >= _DAY:
                texts.append(date)
            else:
                clock = f"{when:%H:%M:%S}" if step < 60 else f"{when:%H:%M}"
                texts.append(clock if date == day else f"{date}, {clock}")
            day = date
        return texts


def zone_of(seconds: float, tz: tzinfo | None = None) -> tzinfo:
    """Return the zone in force at a time, as a fixed offset; None for the machine's."""
    offset = datetime.fromtimestamp(seconds, tz).astimezone(tz).utcoffset() or timedelta()
    return timezone(offset)


def _offset(tz: tzinfo, seconds: int) -> int:
    offset = datetime.fromtimestamp(seconds, tz).utcoffset() or timedelta()
    return int(offset.total_seconds())


def time_axis(chronicle: Chronicle, tz: tzinfo | None = None) -> Axis | None:
    """Return the axis of the logs' own stamps; None if too few lines have one."""
    buckets = list(chronicle.volume.buckets())
    dated = [each for each in buckets if each[0] > UPTIME_ORIGIN // 2]
    booted = [each for each in buckets if each[0] <= UPTIME_ORIGIN // 2]
    by_date = _total(dated) >= _total(booted)
    chosen, other = (dated, booted) if by_date else (booted, dated)
    if not chosen or chronicle.timed_lines < chronicle.lines * _LEAST_TIMED:
        return None
    near, strays = _without_strays(chosen)
    strays += _total(other)
    first, last = near[0][0], near[-1][1] - 1
    if by_date:
        first = max(first, 0)
        return _axis("time", first, last, _SECONDS, zone_of(last, tz), strays)
    first, last = first - UPTIME_ORIGIN, last - UPTIME_ORIGIN
    return _axis("uptime", max(first, 0), last, _decimals(), UTC, strays)


def line_axis(lines: int) -> Axis:
    """Return the axis of all lines in the order they were read."""
    return _axis("line", 0, max(lines - 1, 0), _decimals(), UTC, 0)


def _axis(
    kind: Literal["time", "uptime", "line"],
    first: int,
    last: int,
    widths: Iterable[int],
    tz: tzinfo,
    strays: int,
) -> Axis:
    offset = _offset(tz, first) if kind == "time" else 0
    width, start, columns = 1, first, 1
    for width in widths:
        start = (first + offset) // width * width - offset
        columns = (last - start) // width + 1
        if columns <= MAX_COLUMNS:
            break
    columns = min(columns, MAX_COLUMNS)
    if columns < _LEAST_COLUMNS and kind != "line":
        start -= (_LEAST_COLUMNS - columns) // 2 * width
        if kind == "uptime":
            start = max(start, 0)
        columns = _LEAST_COLUMNS
    return Axis(kind, start, width, columns, tz, first, last, strays)


def _decimals() -> Iterable[int]:
    for power in range(18):
        for first in (1, 2, 5):
            yield first * 10**power


def _round_up(least: float) -> int:
    return next(each for each in _decimals() if each >= least)


def _total(buckets: Sequence[Bucket]) -> int:
    return sum(count for _, _, count in buckets)


def _without_strays(buckets: list[Bucket]) -> tuple[list[Bucket], int]:
    """Drop the few dates that lie far from all others; return the rest and how many lines."""
    total, strays = _total(buckets), 0
    while len(buckets) > 1:
        gaps = [after[0] - before[1] for before, after in pairwise(buckets)]
        widest = max(range(len(gaps)), key=gaps.__getitem__)
        if gaps[widest] < _STRAY_GAP * (buckets[-1][1] - buckets[0][0]):
            break
        left, right = buckets[: widest + 1], buckets[widest + 1 :]
        kept, away = (left, right) if _total(left) > _total(right) else (right, left)
        if strays + _total(away) > _STRAY_SHARE * total or gaps[widest] < _DAY:
            break
        buckets, strays = kept, strays + _total(away)
    return buckets, strays


def on_axis(axis: Axis, spread: Spread) -> list[int]:
    """Return how often each column of the axis holds something of a spread."""
    if axis.kind != "uptime":
        return axis.counts(spread.buckets())
    shifted = ((a - UPTIME_ORIGIN, b - UPTIME_ORIGIN, n) for a, b, n in spread.buckets())
    return axis.counts(shifted)


def lane(counts: Sequence[int], colour: str, name: str) -> str:
    """Return a small drawing of when one group occurred.

    Heights grow with the logarithm of the count: one line is seen beside a thousand.

    Args:
        counts: per column.
        colour: class of the drawing that gives it its colour.
        name: `time` or `line`: the axis it belongs to.
    """
    top = math.log2(max(max(counts, default=0), 3) + 1)
    path = []
    for column, count in enumerate(counts):
        if count:
            height = max(round(_LANE_HEIGHT * math.log2(count + 1) / top), 6)
            path.append(f"M{column - 0.5} {_LANE_HEIGHT - height}h2v{height}h-2z")
    return (
        f'<svg class="lane on-{name} {colour}" viewBox="0 0 {len(counts)} {_LANE_HEIGHT}" '
        f'preserveAspectRatio="none" aria-hidden="true"><path d="{"".join(path)}"/></svg>'
    )


def plot(
    axis: Axis,
    volume: Sequence[int],
    stacks: Sequence[tuple[str, str, Sequence[int]]],
    scale: int,
    marks: Sequence[tuple[int, str]] = (),
) -> str:
    """Return the drawing of all lines behind the anomalous ones, stacked by category.

    The highest column of all lines fills the height.

    Args:
        axis: the columns.
        volume: all lines per column; empty for none.
        stacks: (category, class that colours it, lines per column), the lowest first.
        scale: anomalous lines that fill the height.
        marks: (place, what begins there): where another file starts, on a line axis.
    """
    sums = [sum(column) for column in zip(*(counts for _, _, counts in stacks), strict=True)]
    sums = sums or [0] * axis.columns
    parts = [
        f'<svg class="plot on-{"line" if axis.kind == "line" else "time"}" role="img" '
        f'aria-label="{html.escape(_summary(axis, sums))}" height="{_HEIGHT + 26}" width="100%">',
        f'<svg viewBox="0 0 {axis.columns} {_HEIGHT}" preserveAspectRatio="none" '
        f'width="100%" height="{_HEIGHT}" overflow="visible">',
    ]
    if any(volume):
        parts.append(f'<path class="volume" d="{_bars(volume, _HEIGHT)}"/>')
    base = [0.0] * axis.columns
    for _, colour, counts in stacks:
        path = []
        for column, count in enumerate(counts):
            if count:
                height = max(count / max(scale, 1) * _HEIGHT, _LEAST_BAR)
                height = min(height, _HEIGHT - base[column])
                y = _HEIGHT - base[column] - height
                path.append(f"M{column + 0.08:.2f} {y:.1f}h.84v{height:.1f}h-.84z")
                base[column] += height
        parts.append(f'<path class="{colour}" d="{"".join(path)}"/>')
    parts.append(f'<rect class="selection" y="-4" height="{_HEIGHT + 4}" width="0" x="0"/>')
    for column, total in enumerate(sums):
        text = axis.label(column)
        beside = f" of {volume[column]:,}" if volume and volume[column] >= total else ""
        kinds = ", ".join(f"{name} {each[column]:,}" for name, _, each in stacks if each[column])
        detail = f": {kinds}" if kinds else ""
        title = html.escape(f"{text}. {total:,}{beside} lines anomalous{detail}")
        parts.append(
            f'<rect class="column" x="{column}" width="1" height="{_HEIGHT}">'
            f"<title>{title}</title></rect>"
        )
    parts.append(f'</svg><line class="base" x2="100%" y1="{_HEIGHT}" y2="{_HEIGHT}"/>')
    for number, (share, text) in enumerate(axis.ticks()):
        anchor = "start" if share < 0.04 else "end" if share > 0.96 else "middle"
        x = f"{share * 100:.2f}%"
        minor = " minor" if number % 2 else ""
        parts.append(
            f'<line class="tick" x1="{x}" x2="{x}" y1="{_HEIGHT}" y2="{_HEIGHT + 5}"/>'
            f'<text class="label{minor}" x="{x}" y="{_HEIGHT + 20}" text-anchor="{anchor}">'
            f"{html.escape(text)}</text>"
        )
    for place, name in marks:
        x = f"{(place - axis.start) / (axis.width * axis.columns) * 100:.2f}%"
        parts.append(
            f'<line class="file" x1="{x}" x2="{x}" y1="0" y2="{_HEIGHT}">'
            f"<title>{html.escape(name)}</title></line>"
        )
    parts.append("</svg>")
    return "".join(parts)


def _summary(axis: Axis, sums: Sequence[int]) -> str:
    busiest = max(range(len(sums)), key=sums.__getitem__)
    first, last = axis.span()
    return (
        f"{sum(sums):,} anomalous lines from {first} to {last}; most in {axis.label(busiest)}: "
        f"{sums[busiest]:,}"
    )


def _bars(counts: Sequence[int], height: int) -> str:
    highest = max(counts)
    return "".join(
        f"M{column} {height}v-{count / highest * height:.1f}h1V{height}z"
        for column, count in enumerate(counts)
        if count
    )
