"""The groups on a page: controls, a row for each, and what unfolds below it.

Guarantees: as `html_text`: nothing of a log gets on the page unescaped or without a bound.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from logagent.explain import Word
from logagent.groups import Group, Sighting
from logagent.html_text import CHEVRON, clock_of, marked, plural, text_of, where
from logagent.html_timeline import Axis, lane, on_axis
from logagent.kinds import Kind
from logagent.occurrences import Chronicle, Context
from logagent.sanitise import printable
from logagent.times import TimeParser

__all__ = ["Finding", "Groups"]

_LINE_CHARS = 1000  # characters of a group's first line among its neighbours …
_HEAD_CHARS = 500  # … and at the head of the group, where two lines of the screen are shown
_CONTEXT_CHARS = 240
_COLOURS = 10  # c0 … c9 in the style sheet; c0 is for no category

_THIN_SPACE = "\u202f"


@dataclass(frozen=True, slots=True)
class Finding:
    """A group, explained."""

    group: Group
    words: list[Word]
    kind: Kind
    rank: float
    """Score × novelty."""


class Groups:
    """The part of a page that has the groups."""

    def __init__(
        self,
        findings: Sequence[Finding],
        chronicle: Chronicle,
        axes: Sequence[Axis],
        tz: tzinfo | None,
    ) -> None:
        """Give every category a colour; `axes` are those of the drawing, `tz` is for times."""
        self._shown = findings
        self._chronicle = chronicle
        self._axes = axes
        self._tz = tz
        self._times = TimeParser(tz=tz)
        counted = Counter(finding.kind.category for finding in findings)
        named = sorted((name for name in counted if name), key=lambda name: (-counted[name], name))
        self._categories = {name: counted[name] for name in [*named, ""] if name in counted}
        self._colours = {
            name: f"c{number % (_COLOURS - 1) + 1}" for number, name in enumerate(named)
        } | {"": "c0"}

    def stacks(self, axis: Axis) -> tuple[list[tuple[str, str, list[int]]], int]:
        """Return (category, colour, lines per column) and the highest column."""
        sums = {name: [0] * axis.columns for name in self._categories}
        for finding in self._shown:
            counts = self._columns(axis, finding)
            total = sums[finding.kind.category]
            for column, count in enumerate(counts):
                total[column] += count
        highest = max((sum(column) for column in zip(*sums.values(), strict=True)), default=0)
        stacks = [
            (printable(name or "other", 40), self._colours[name], counts)
            for name, counts in sums.items()
        ]
        return stacks, highest

    def _columns(self, axis: Axis, finding: Finding) -> list[int]:
        story = self._chronicle.story(finding.group)
        return on_axis(axis, story.places if axis.kind == "line" else story.times)

    def section(self) -> str:
        """Return the controls and all groups."""
        lines = [self._controls(), '<ol class="groups" id="groups">']
        lines += [self._group(number, each) for number, each in enumerate(self._shown, 1)]
        lines.append('</ol><p class="none" id="none" hidden>No group matches the filters.</p>')
        return "\n".join([*lines, "</section>"])

    def _controls(self) -> str:
        chips = "".join(
            f'<button type="button" class="chip {self._colours[name]}" aria-pressed="false" '
            f'data-category="{text_of(name, 40)}"><i></i>{text_of(name or "other", 40)} '
            f"<span>{count:,}</span></button>"
            for name, count in self._categories.items()
        )
        scores = [finding.group.score for finding in self._shown]
        low, high = int(min(scores) * 100), int(max(scores) * 100)
        slider = ""
        if high > low:
            slider = (
                f'<label class="slider">Score from <output id="least">{low / 100:.2f}</output>'
                f'<input type="range" id="score" min="{low}" max="{high}" value="{low}" step="1">'
                "</label>"
            )
        options = "".join(
            f'<option value="{value}">{text}</option>'
            for value, text in (
                ("place", "Rank"),
                ("score", "Score"),
                ("count", "Count"),
                ("first", "First seen"),
                ("last", "Last seen"),
            )
        )
        total = len(self._shown)
        return (
            '<section aria-labelledby="what"><div class="controls"><div class="bar">'
            f'<h2 id="what">Groups</h2><p class="shown" id="shown" role="status">'
            f"{plural(total, 'group')}</p></div>"
            '<div class="tools needs-script">'
            '<label class="search"><span class="hidden">Filter</span><input type="search" '
            'id="filter" placeholder="Filter: words in lines, files, categories" '
            'autocomplete="off" spellcheck="false"></label>'
            f'<label class="sort">Sort by <select id="sort">{options}</select></label>{slider}'
            '<button type="button" id="all" aria-pressed="false">Expand all</button>'
            '<button type="button" id="span" class="chip" hidden></button></div>'
            '<div class="chips needs-script" role="group" aria-label="Categories">'
            f"{chips}</div></div>"
        )

    def _group(self, number: int, finding: Finding) -> str:
        group, kind = finding.group, finding.kind
        story = self._chronicle.story(group)
        colour = self._colours[kind.category]
        lanes, data = "", ""
        for axis in self._axes:
            counts = self._columns(axis, finding)
            name = "line" if axis.kind == "line" else "time"
            lanes += lane(counts, colour, name)
            held = " ".join(str(column) for column, count in enumerate(counts) if count)
            data += f' data-{name}="{held}"'
        places = list(story.places.buckets())
        first, last = (places[0][0], places[-1][1]) if places else (number, number)
        id_ = html.escape(group.id)
        category = text_of(kind.category or "other", 40)
        when = self._when(group)
        like = f"like {text_of(', '.join(kind.systems), 120)}" if kind.systems else ""
        trace = f"+{group.trace.lines:,} trace lines" if group.trace.lines else ""
        line = marked(group.first.text.strip(), finding.words, _HEAD_CHARS)
        meta = "".join(
            f"<span{kinds}>{text}</span>"
            for kinds, text in (
                ("", where(group.first)),
                ("", when),
                ("", trace),
                (' class="like"', like),
            )
            if text
        )
        return (
            f'<li class="group" id="g-{id_}" data-place="{number}" '
            f'data-score="{group.score:.4f}" data-count="{group.count}" data-first="{first}" '
            f'data-last="{last}" data-category="{text_of(kind.category, 40)}"{data}>'
            f'<div class="head"><span class="place">{number}</span>'
            f'<div class="what"><p class="line">{line}</p>'
            f'<p class="meta"><span class="kind {colour}"><i></i>{category}</span>{meta}</p></div>'
            f'<div class="figures"><b>{_THIN_SPACE.join(("×", f"{group.count:,}"))}</b>'
            f"<span>score {group.score:.2f}</span></div>"
            f'<div class="lanes">{lanes}</div>'
            f'<button type="button" class="toggle quiet needs-script" aria-expanded="true" '
            f'aria-controls="d-{id_}" aria-label="Details of group {number}">{CHEVRON}</button>'
            f'</div><div class="detail" id="d-{id_}">{_context(finding, story.context)}'
            f"{self._facts_of(finding)}</div></li>"
        )

    def _facts_of(self, finding: Finding) -> str:
        group, kind = finding.group, finding.kind
        rows: list[tuple[str, str]] = []
        if finding.words:
            rows.append(
                (
                    "Because of",
                    " ".join(
                        f'<span class="word"><mark>{text_of(word.text, 60)}</mark> '
                        f"{word.drop:.1f}</span>"
                        for word in finding.words
                    ),
                )
            )
        if kind.systems:
            rows.append(("Lines like it in", text_of(", ".join(kind.systems), 200)))
        if group.trace.cause:
            rows.append(("Cause", f"<code>{text_of(group.trace.cause.strip(), 500)}</code>"))
        rows.append(("First line", self._sighting(group.first)))
        if group.last.line != group.first.line or group.last.source != group.first.source:
            rows.append(("Last line", self._sighting(group.last)))
        rows.append(
            (
                "Rank",
                f"{finding.rank:.2f} = score {group.score:.2f} × novelty "
                f"{finding.rank / max(group.score, 1e-9):.2f}",
            )
        )
        rows.append(("Template", f"<code>{text_of(group.template, 600)}</code>"))
        id_ = html.escape(group.id)
        rows.append(
            (
                "Id",
                f'<code>{id_}</code> <button type="button" class="copy quiet needs-script" '
                f'data-copy="{id_}">Copy</button>',
            )
        )
        items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
        return f'<dl class="facts">{items}</dl>'

    def _sighting(self, sighting: Sighting) -> str:
        stamp = self._clock(sighting)
        return f"{where(sighting)}{f', {stamp}' if stamp else ''}"

    def _clock(self, sighting: Sighting) -> str:
        return clock_of(self._times, sighting.text, self._tz)

    def _when(self, group: Group) -> str:
        first, last = self._clock(group.first), self._clock(group.last)
        if not last or first == last:
            return first
        day, _, clock = last.partition(" ")
        return f"{first} … {clock if clock and first.startswith(day) else last}"


def _context(finding: Finding, context: Context | None) -> str:
    """Return the lines around the first one of a group."""
    group = finding.group
    above = context.above if context else []
    below = context.below if context else []
    first = group.first.line - len(above)
    rows = []
    for number, line in enumerate([*above, group.first.text, *below], first):
        here = number == group.first.line
        shown = marked(line, finding.words, _LINE_CHARS) if here else text_of(line, _CONTEXT_CHARS)
        kind = ' class="here"' if here else ""
        rows.append(f"<li{kind}><span>{number}</span><code>{shown}</code></li>")
    if group.trace.lines > len(below):
        more = group.trace.lines - len(below)
        rows.append(f"<li><span></span><em>{plural(more, 'more line')} of trace</em></li>")
    return f'<ol class="context" aria-label="The line among its neighbours">{"".join(rows)}</ol>'
