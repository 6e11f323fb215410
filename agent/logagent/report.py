"""What a person sees of a scan: ranked groups, then one line of totals.

Guarantees: log text is shown through `sanitise.printable` only; colours only where asked for;
no line of a group is wider than the terminal.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import datetime, tzinfo

from logagent.explain import Word
from logagent.groups import Group
from logagent.kinds import Kind
from logagent.records import stamp_text
from logagent.sanitise import printable
from logagent.scan import Totals
from logagent.times import Stamp, TimeParser

__all__ = ["Style", "group_lines", "size_text", "totals_line"]

_INDENT = 6
SAMPLE_LINES = 2  # lines of the terminal that a sample may take: the header alone can fill one


@dataclass(frozen=True, slots=True)
class Style:
    """How to print."""

    width: int = 100
    """Columns of the terminal."""
    colour: bool = False
    """Use ANSI colours."""
    tz: tzinfo | None = None
    """Time zone of the times shown; None for the machine's."""

    def paint(self, text: str, code: str) -> str:
        """Return `text` in an ANSI style, if colours are on."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def group_lines(
    number: int,
    group: Group,
    words: list[Word],
    kind: Kind,
    times: TimeParser,
    style: Style,
) -> list[str]:
    """Return the lines that show one group.

    ::

         1  0.97  ×12  syslog:120 … 310  2024-03-04 06:12:01 … 07:02:11
              kernel: EXT4-fs error (device sda1): reading directory lblock 0
              +31 lines of trace: java.io.IOException: No space left on device
              storage; because of: error, reading; like kernel_fs, nas_kernel

    The sample line takes `SAMPLE_LINES` at most; times are in `style.tz`.
    """
    fields = [
        (f"{number:>3}", ""),
        (f"{group.score:.2f}", "31;1" if group.score >= 0.9 else "33;1"),
        (f"×{group.count:,}", "1"),
        (_where(group), ""),
        (_when(group, times, style.tz), "2"),
    ]
    head = []
    left = style.width
    for text, code in fields:
        if text and left > 2:
            cut = printable(text, left)
            head.append(style.paint(cut, code) if code else cut)
            left -= len(cut) + 2
    room = max(style.width - _INDENT, 20)
    sample = printable(group.first.text.strip(), room * (SAMPLE_LINES + 1))
    wrapped = textwrap.wrap(sample, room, max_lines=SAMPLE_LINES, placeholder=" …")
    lines = ["  ".join(head), *(" " * _INDENT + line for line in wrapped or [""])]
    if group.trace.lines:
        below = f"+{group.trace.lines} line{_s(group.trace.lines)} of trace"
        if cause := printable(group.trace.cause.strip(), room):
            below += f": {cause}"
        lines.append(" " * _INDENT + printable(below, room))
    if reason := _reason(words, kind):
        lines.append(" " * _INDENT + style.paint(printable(reason, room), "36"))
    return lines


def _reason(words: list[Word], kind: Kind) -> str:
    """Return what the score is for, on one line: category, words, systems."""
    parts = [kind.category] if kind.category else []
    if words:
        parts.append("because of: " + ", ".join(printable(word.text, 40) for word in words))
    if kind.systems:
        parts.append(f"like {', '.join(kind.systems)}")
    return "; ".join(parts)


def _where(group: Group) -> str:
    first, last = group.first, group.last
    where = f"{printable(first.source, 60)}:{first.line}"
    if last.source != first.source:
        return f"{where} … {printable(last.source, 60)}:{last.line}"
    return f"{where} … {last.line}" if last.line != first.line else where


def _when(group: Group, times: TimeParser, tz: tzinfo | None) -> str:
    stamps = [times.parse(sighting.text) for sighting in (group.first, group.last)]
    texts = dict.fromkeys(_local(stamp, tz) for stamp in stamps if stamp is not None)
    first, *rest = texts or [""]
    if not rest:
        return first
    day, _, clock = rest[0].partition(" ")
    return f"{first} … {clock if first.startswith(day) and clock else rest[0]}"


def _local(stamp: Stamp, tz: tzinfo | None) -> str:
    if stamp.kind != "epoch":
        return stamp_text(stamp)
    return datetime.fromtimestamp(stamp.seconds, tz).strftime("%Y-%m-%d %H:%M:%S")


def totals_line(totals: Totals, groups: int, anomalous_lines: int, dropped: int) -> str:
    """Return the last line of a report."""
    seconds = max(totals.seconds, 1e-6)
    parts = [
        f"{totals.lines:,} line{_s(totals.lines)}, {size_text(totals.bytes)} in {seconds:.2f} s "
        f"({totals.lines / seconds:,.0f} lines/s)",
        f"{groups:,} anomaly group{_s(groups)}, {anomalous_lines:,} line{_s(anomalous_lines)}",
    ]
    if dropped:
        parts.append(f"{dropped:,} lowest-ranked groups not kept")
    if totals.skipped_lines:
        parts.append(f"{totals.skipped_lines:,} older lines left out")
    if totals.cut_lines:
        parts.append(f"{totals.cut_lines:,} over-long lines cut")
    if totals.problem_count:
        parts.append(f"{totals.problem_count:,} problem{_s(totals.problem_count)} with sources")
    return "; ".join(parts)


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def size_text(size: float) -> str:
    """Return a number of bytes for people: ``12.3 MB`` (powers of ten, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
