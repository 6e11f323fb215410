"""One HTML page of what a scan found: the drawing, the groups, what was read and what was not.

Guarantees: the page is one file that loads nothing: no font, no image, no address but those in its
own text. Everything that came from a log, a file name or a bundle goes through
`sanitise.printable` and is escaped; the page's policy (Content-Security-Policy) allows its own two
blocks of style and script, by their hashes, and nothing else: no attribute with style or script,
no connection, no form. Size: at most `MAX_GROUPS` groups, each of bounded text. Without script
everything is there to read, unfolded; the script folds, filters and sorts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from logagent.groups import GroupTable
from logagent.html_groups import Finding, Groups
from logagent.html_text import NAME_CHARS, duration, plural, source_of, text_of, were
from logagent.html_timeline import (
    Axis,
    line_axis,
    on_axis,
    plot,
    time_axis,
    zone_of,
)
from logagent.occurrences import Chronicle
from logagent.report import size_text
from logagent.sanitise import printable
from logagent.scan import Totals

if TYPE_CHECKING:
    from logagent.html_sequences import Sequences

__all__ = ["MAX_GROUPS", "Facts", "page"]

MAX_GROUPS = 500  # on a page: more than anybody reads; 1.5 MB usually, 14 MB at the worst
_MAX_PROBLEMS = 200  # listed; the others are counted
_FILE_MARKS = 30  # files whose beginning is drawn on the line axis
_TALLER = 12  # times as many lines as anomalous ones in a column: then each has its own scale
_MANY_COLUMNS = 48  # so many, with so few filled, tell less than the order of lines:
_EMPTY_SHARE = 0.05
_FOLDER = Path(__file__).parent / "page"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a page tells of the run that made it."""

    paths: Sequence[str]
    """As they were given."""
    host: str
    made: float
    """[s since 1970]"""
    threshold: float
    sensitivity: str | None
    """None if the threshold was given."""
    model: str
    """Name and identity of the bundle."""
    version: str
    interrupted: bool = False
    tz: tzinfo | None = None
    """Time zone of what is shown; None for the machine's."""


def page(
    findings: Sequence[Finding],
    groups: int,
    table: GroupTable,
    totals: Totals,
    chronicle: Chronicle,
    facts: Facts,
    sequences: Sequences | None = None,
) -> str:
    """Return the page.

    Args:
        findings: the groups to show, best rank first; at most `MAX_GROUPS` are.
        groups: how many there are.
        table: counts all anomalous lines.
        totals: what was read.
        chronicle: when the groups occurred.
        facts: what to say of the run.
        sequences: what was found of them; None: they were not looked for.
    """
    return _Page(findings, groups, table, totals, chronicle, facts, sequences).text()


class _Page:
    def __init__(
        self,
        findings: Sequence[Finding],
        groups: int,
        table: GroupTable,
        totals: Totals,
        chronicle: Chronicle,
        facts: Facts,
        sequences: Sequences | None,
    ) -> None:
        self._shown = findings[:MAX_GROUPS]
        self._all = groups
        self._table = table
        self._totals = totals
        self._chronicle = chronicle
        self._facts = facts
        self._sequences = sequences
        self._partial = any(problem.partial for problem in totals.problems)
        self._time = time_axis(chronicle, facts.tz)
        self._line = line_axis(chronicle.lines)
        self._drawn = "line" if self._time is None or self._is_empty(self._time) else "time"
        self._axes = [axis for axis in (self._time, self._line) if axis is not None]
        self._groups = Groups(self._shown, chronicle, self._axes, facts.tz)

    def _is_empty(self, axis: Axis) -> bool:
        """Tell whether nearly all columns are: two logs of different years, say."""
        filled = sum(map(bool, on_axis(axis, self._chronicle.volume)))
        return axis.columns >= _MANY_COLUMNS and filled <= axis.columns * _EMPTY_SHARE

    def text(self) -> str:
        style = (_FOLDER / "report.css").read_text("utf-8")
        script = (_FOLDER / "report.js").read_text("utf-8")
        policy = (
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
            "trusted-types 'none'"
        )
        body = "\n".join(
            part
            for part in (
                self._header(),
                self._notices(),
                self._tiles(),
                self._timeline(),
                "" if self._sequences is None else self._sequences.section(),
                self._groups.section() if self._shown else self._nothing(),
                self._problems(),
                self._sources(),
                self._footer(),
            )
            if part
        )
        return (
            f'<!DOCTYPE html>\n<html lang="en" data-axis="{self._drawn}">\n<head>\n'
            '<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            '<meta name="referrer" content="no-referrer">\n'
            '<meta name="robots" content="noindex">\n'
            f"<title>{self._title()}</title>\n<style>{style}</style>\n</head>\n<body>\n"
            f"{body}\n<script>{script}</script>\n</body>\n</html>\n"
        )

    def _title(self) -> str:
        paths = text_of(", ".join(self._facts.paths), 80)
        found = self._heading() or plural(0, "anomaly group")
        return f"{found} in {paths} · logagent"

    def _heading(self) -> str:
        groups = plural(self._all, "anomaly group") if self._all else ""
        sequences = "" if self._sequences is None else self._sequences.heading
        return ", ".join(each for each in (groups, sequences) if each)

    def _header(self) -> str:
        facts = self._facts
        paths = "".join(
            f"<li><code>{text_of(path, NAME_CHARS)}</code></li>" for path in facts.paths[:20]
        )
        if len(facts.paths) > 20:
            paths += f"<li>and {len(facts.paths) - 20:,} more</li>"
        host = f"<span>on <b>{text_of(facts.host, 80)}</b></span>" if facts.host else ""
        heading = self._heading() or "Nothing found"
        return (
            '<header class="top"><div class="bar"><p class="brand">logagent '
            "<span>report</span></p>"
            '<button type="button" id="theme" class="quiet needs-script" '
            'aria-label="Switch between light and dark">Dark</button></div>'
            f"<h1>{heading}</h1>"
            f'<div class="subject"><ul class="paths">{paths}</ul>{host}'
            f"<span>scanned {self._stamp(facts.made)}</span></div></header>\n<main>"
        )

    def _stamp(self, seconds: float) -> str:
        zone = zone_of(seconds, self._facts.tz)
        when = datetime.fromtimestamp(seconds, zone)
        return (
            f'<time datetime="{when.isoformat(timespec="seconds")}">{when:%Y-%m-%d %H:%M} '
            f"{text_of(when.tzname() or '', 20)}</time>"
        )

    def _notices(self) -> str:
        notices = []
        totals, table = self._totals, self._table
        if self._facts.interrupted:
            notices.append("The scan was interrupted: this is what was found until then.")
        if self._partial:
            notices.append(
                f'<a href="#problems">{plural(totals.problem_count, "problem")} with what was to '
                "be read</a>: something may be missing here."
            )
        if self._all > len(self._shown):
            notices.append(
                f"The {len(self._shown)} most remarkable of {self._all:,} groups are shown."
            )
        if table.dropped_groups:
            dropped = plural(table.dropped_groups, "low-ranked group")
            notices.append(f"{dropped} found no room and {were(table.dropped_groups)} let go.")
        return "".join(f'<p class="notice">{each}</p>' for each in notices)

    def _tiles(self) -> str:
        totals, table, facts = self._totals, self._table, self._facts
        share = table.anomalous_lines / max(totals.lines, 1)
        percent = f"{share:.1%}" if share >= 0.001 or not share else "under 0.1%"
        read = [plural(totals.sources, "file")]
        if totals.skipped_lines:
            read.append(f"{totals.skipped_lines:,} older lines left out")
        if totals.cut_lines:
            read.append(f"{totals.cut_lines:,} over-long lines cut")
        tiles = [
            ("Anomalous lines", f"{table.anomalous_lines:,}", f"{percent} of all lines"),
            *([] if self._sequences is None else [self._sequences.tile()]),
            ("Lines read", f"{totals.lines:,}", f"{size_text(totals.bytes)} in {', '.join(read)}"),
        ]
        if self._time is not None:
            first, last = self._time.span()
            length = duration(self._time.last - self._time.first)
            if self._time.kind == "time":
                zone = text_of(datetime.fromtimestamp(0, self._time.tz).tzname() or "", 20)
                day, clock = last.split(" ")
                shown = clock if first.startswith(day) else last
                tiles.append(("Time covered", length, f"{first} to {shown} {zone}"))
            else:
                tiles.append(("Time covered", length, f"{first} to {last} after boot"))
        how = f"sensitivity {text_of(facts.sensitivity, 20)}" if facts.sensitivity else "as given"
        tiles.append(("Threshold", f"{facts.threshold:.2f}", f"{how}; 1 is anomalous"))
        items = "".join(
            f"<div><dt>{name}</dt><dd><b>{value}</b><span>{more}</span></dd></div>"
            for name, value, more in tiles
        )
        return f'<dl class="tiles">{items}</dl>'

    def _timeline(self) -> str:
        if not self._shown:
            return ""
        axes = self._axes
        plots, keys = "", ""
        for axis in axes:
            volume = on_axis(axis, self._chronicle.volume) if axis is self._time else []
            stacks, highest = self._groups.stacks(axis)
            scale = max(volume, default=0)
            if highest * _TALLER < scale or scale < highest:
                scale = highest  # else lines of trouble would be too low to see
            marks = [
                (each.start, printable(each.name, 120))
                for each in self._chronicle.sources[1 : _FILE_MARKS + 1]
                if axis is self._line
            ]
            plots += plot(axis, volume, stacks, scale, marks)
            name = "line" if axis.kind == "line" else "time"
            key = f"Columns of {axis.unit()}; the most anomalous lines in one: {highest:,}"
            if any(volume):
                own = "" if scale > highest else ", on a scale of its own"
                key += f"; the most of all lines (grey{own}): {max(volume):,}"
            stray = ""
            if axis.strays:
                stray = (
                    f" {plural(axis.strays, 'line')} dated far from the others "
                    f"{were(axis.strays)} not drawn."
                )
            keys += f'<span class="on-{name}">{key}.{stray}</span>'
        switch = ""
        if len(axes) == 2:
            switch = (
                '<div class="switch needs-script" role="group" aria-label="Draw by">'
                + "".join(
                    f'<button type="button" data-axis="{name.lower()}" '
                    f'aria-pressed="{str(name.lower() == self._drawn).lower()}">{name}</button>'
                    for name in ("Time", "Line")
                )
                + "</div>"
            )
        return (
            '<section class="card timeline" aria-labelledby="when"><div class="bar">'
            f'<h2 id="when">When</h2><p class="key">{keys}</p>{switch}</div>'
            '<div class="chart" id="chart" tabindex="-1">'
            f"{plots}</div>"
            '<p class="caption needs-script" id="caption" aria-live="polite">'
            "Point at a column to read it, drag over some to filter; "
            "with the keyboard: arrows, Shift, Enter.</p></section>"
        )

    def _nothing(self) -> str:
        totals, facts = self._totals, self._facts
        if not totals.lines:
            text = "No line was read, so there was nothing to judge."
        else:
            text = (
                f"{plural(totals.lines, 'line')} {were(totals.lines)} read, and none reached "
                f"the threshold of {facts.threshold:.2f}."
            )
            if facts.sensitivity in ("low", "normal"):
                text += " <code>--sensitivity high</code> also reports the doubtful ones."
        sign = "good" if totals.lines and not self._partial else "unsure"
        return (
            f'<section class="card empty {sign}"><svg viewBox="0 0 48 48" width="48" height="48" '
            'aria-hidden="true"><circle cx="24" cy="24" r="22"/>'
            + (
                '<path d="M14 25l7 7 13-15"/>'
                if sign == "good"
                else '<path d="M24 13v14M24 33v2"/>'
            )
            + f"</svg><div><h2>No anomalous line</h2><p>{text}</p></div></section>"
        )

    def _problems(self) -> str:
        totals = self._totals
        if not totals.problem_count:
            return ""
        shown = totals.problems[:_MAX_PROBLEMS]
        rows = "".join(
            f"<tr><td><code>{text_of(each.source, NAME_CHARS)}</code></td>"
            f"<td>{text_of(each.message, 500)}</td><td>{text_of(each.kind, 40)}</td></tr>"
            for each in shown
        )
        more = totals.problem_count - len(shown)
        rest = f"<p>and {more:,} more</p>" if more else ""
        return (
            '<section class="card" id="problems"><h2>Problems with what was to be read</h2>'
            '<table class="list"><thead><tr><th scope="col">What</th><th scope="col">Why</th>'
            f'<th scope="col">Kind</th></tr></thead><tbody>{rows}</tbody></table>{rest}</section>'
        )

    def _sources(self) -> str:
        sources = self._chronicle.sources
        if not sources:
            return ""
        rows = "".join(
            f"<tr><td><code>{source_of(each.name)}</code></td>"
            f'<td class="n">{each.lines:,}</td><td class="n">{each.flagged:,}</td></tr>'
            for each in sources
        )
        more = self._totals.sources - len(sources)
        rest = f"<p>and {more:,} more files, or files without a line</p>" if more > 0 else ""
        return (
            '<section class="card" id="read"><h2>What was read</h2><table class="list"><thead>'
            '<tr><th scope="col">File</th><th scope="col" class="n">Lines</th>'
            f'<th scope="col" class="n">In groups</th></tr></thead><tbody>{rows}</tbody></table>'
            f"{rest}</section>"
        )

    def _footer(self) -> str:
        facts = self._facts
        sequences = ""
        if self._sequences is not None:
            sequences = (
                "<dt>Sequence</dt><dd>Lines with an identifier in common, or the lines of a "
                "window. A kind of them is what the same events carried. In a drawing the first "
                "line is on the left, and lines that say the same are at one height; what carried "
                "the verdict is coloured.</dd>"
            )
        return (
            '</main>\n<footer><section class="help"><h2>How to read this</h2><dl>'
            "<dt>Group</dt><dd>Lines that say the same but for their numbers and names. The first "
            "of them is shown.</dd>"
            "<dt>Score</dt><dd>How much a line looks like trouble, from 0 to 1: by its words "
            "alone, not by how rare it is.</dd>"
            "<dt>Rank</dt><dd>Score × novelty. Novelty falls from 1, for a line seen once, to 0, "
            "for one that every line is like.</dd>"
            "<dt><mark>Marked</mark></dt><dd>Words without which the score would be lower, each "
            f"with how much (in logits).</dd>{sequences}</dl></section>"
            f"<p>logagent {text_of(facts.version, 40)} · model {text_of(facts.model, 120)} · "
            "the page loads nothing and sends nothing</p></footer>"
        )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
