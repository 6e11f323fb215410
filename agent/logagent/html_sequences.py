"""The anomalous sequences on a page: a row for each kind, its events drawn, what carried it.

A kind is what sequences have in common that the same events carried; the one with the highest score
is shown.

Guarantees: as `html_text`: nothing of a log, a bundle or a rule gets on the page unescaped or
without a bound. Size: at most `MAX_KINDS` kinds, each with a lane for what carried it and for
`_LANES` other events. What carried a verdict is told in the words of the record, whatever they are.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from logagent.groups import Sighting
from logagent.html_flow import Flow
from logagent.html_text import CHEVRON, clock_of, plural, source_of, text_of, were, where
from logagent.sequences.ensemble import Carried
from logagent.sequences.events import EventReader
from logagent.sequences.finding_records import UNKNOWN, finding_record
from logagent.sequences.watch import Finding
from logagent.times import TimeParser

__all__ = ["MAX_KINDS", "Found", "Sequences"]

MAX_KINDS: Final = 100
"""Kinds on a page, those of the highest scores: 0.6 MB usually, 7 at the worst."""
_FIRST: Final = 10  # kinds that are there without a click
_LANES: Final = 8  # lanes of events that carried nothing, beside those that did
_TEXT_CHARS: Final = 200  # of a template, a line, a session's key
_KNOWN: Final = ("what", "template", "weight", "unknown", "positions")
_ORDER: Final = ("before", "normally_after", "normal_sequences")  # told in one sentence
_COLOURS: Final[Mapping[str, str]] = {
    "missing": "c2",
    "unexpected": "c1",
    "repeated": "c4",
    "out of order": "c3",
}
_OTHER_COLOUR: Final = "c5"
_NEW: Final = "<em>a new line, such as</em> "
"""Before an event that training did not have: its text is of any line of the same bucket."""
_WHEREVER: Final = ("unexpected", "repeated")  # all places of such an event carried the verdict
_ENDED: Final[Mapping[str, str]] = {
    "end": "its log or its window was over",
    "idle": "nothing came for the time-out",
    "long": "it was as old as one may be",
    "evicted": "there was no room for more; judged by what had come until then",
}
_Said = Mapping[str, Any]  # of an event, in a record


@dataclass(frozen=True, slots=True)
class Found:
    """What a scan found of sequences."""

    kinds: Sequence[tuple[Finding, int]]
    """Of each kind the one with the highest score, and how many there were; by score."""
    let_go: int
    """Kinds that found no room."""
    counts: Mapping[str, Any]
    """As `logagent.sequences.watch.Watch.counts`."""
    reader: EventReader


class Sequences:
    """The part of a page that has the sequences."""

    def __init__(self, found: Found, tz: tzinfo | None = None) -> None:
        """Take what was found; `tz` is for times, None for the machine's."""
        self._found = found
        self._shown = found.kinds[:MAX_KINDS]
        self._tz = tz
        self._times = TimeParser(tz=tz)

    @property
    def heading(self) -> str:
        """What was found, in a few words; empty if nothing was."""
        count = len(self._found.kinds)
        return f"{plural(count, 'kind')} of anomalous sequences" if count else ""

    def tile(self) -> tuple[str, str, str]:
        """Return name, value and remark for the head of the page."""
        counts = self._found.counts
        remark = f"of {plural(counts['judged'], 'sequence')} judged"
        return "Anomalous sequences", f"{counts['anomalous']:,}", remark

    def section(self) -> str:
        """Return all of it."""
        shown, kinds = self._shown, self._found.kinds
        head = f'<h2 id="flows">Sequences</h2><p class="key">{self._totals()}</p>'
        if not shown:
            return (
                '<section class="card sequences" aria-labelledby="flows">'
                f'<div class="bar">{head}</div><p>{self._nothing()}</p></section>'
            )
        notes = []
        if len(kinds) > len(shown):
            notes.append(f"The {len(shown)} with the highest scores of {len(kinds):,} are shown.")
        if self._found.let_go:
            let_go = plural(self._found.let_go, "low-scored kind")
            notes.append(f"{let_go} found no room and {were(self._found.let_go)} let go.")
        rows = "\n".join(self._kind(number, *each) for number, each in enumerate(shown, 1))
        more = ""
        if len(shown) > _FIRST:
            more = (
                f'<button type="button" id="more" class="needs-script" data-first="{_FIRST}">'
                f"Show all {len(shown)} kinds</button>"
            )
        return (
            f'<section class="sequences" aria-labelledby="flows"><div class="bar">{head}</div>'
            + "".join(f'<p class="notice">{each}</p>' for each in notes)
            + f'<ol class="groups" id="sequences">{rows}</ol>{more}</section>'
        )

    def _totals(self) -> str:
        counts = self._found.counts
        parts = [f"{plural(counts['judged'], 'sequence')} of {plural(counts['lines'], 'line')}"]
        for key, noun, text in (
            ("no_key", "line", "in no session"),
            ("malformed_keys", "line", "with a session’s key that is none"),
            ("unknown_lines", "line", "unlike any of the training"),
            ("truncated", "sequence", "too long to be kept whole"),
            ("evicted", "sequence", "ended early for want of room (--max-sessions)"),
            ("cut", "sequence", "perhaps begun before what was read"),
            ("unfinished", "sequence", "perhaps not over"),
            ("taught", "sequence", "more taught to be normal"),
            ("open", "sequence", "not over and not judged"),
        ):
            if counts.get(key):
                parts.append(f"{plural(counts[key], noun)} {text}")
        return f"{'; '.join(parts)}."

    def _nothing(self) -> str:
        counts = self._found.counts
        if counts["judged"]:
            judged = plural(counts["judged"], "sequence")
            return f"{judged} {were(counts['judged'])} judged, and none is anomalous."
        if counts["lines"] and counts["no_key"] == counts["lines"]:
            return (
                "No sequence was judged: no line has what the lines of a session have in common. "
                "<code>--session-key</code> says what that is."
            )
        return "No sequence was judged."

    def _kind(self, number: int, finding: Finding, count: int) -> str:
        episode = finding.episode
        record = finding_record(finding, self._found.reader, self._times)
        carried = list(zip(finding.judged.carried, record["carried"], strict=False))
        if carried:
            line = _said(carried[0][0], carried[0][1])
        else:
            line = f"<em>no event by itself</em> {text_of(episode.last.text.strip(), _TEXT_CHARS)}"
        what = "a window"
        if episode.session:
            what = f"session <code>{text_of(episode.session, _TEXT_CHARS)}</code>"
        meta = "".join(
            f"<span>{text}</span>"
            for text in (
                f"and {plural(len(carried) - 1, 'more event')}" if len(carried) > 1 else "",
                what,
                _places(episode.first, episode.last),
                plural(episode.count, "line"),
                clock_of(self._times, episode.first.text, self._tz),
            )
            if text
        )
        flow = Flow(episode.events, folded=episode.count > len(episode.events))
        lanes, marks = "", dict[int, str]()
        for each, said in carried:
            places = flow.places([each.event])
            marked = places if each.kind in _WHEREVER else each.positions
            marks |= dict.fromkeys(marked, _colour(each))
            lane = flow.lane(marked, _colour(each)) if marked else flow.lane(places)
            lanes += f"<li><p>{_said(each, said)}</p>{lane}</li>"
        others = flow.others({each.event for each, _ in carried})
        for event in others[:_LANES]:
            text = text_of(self._found.reader.text(event), _TEXT_CHARS)
            new = _NEW if text and event >= self._found.reader.vocabulary.known else ""
            text = text or html.escape(UNKNOWN)
            lanes += f"<li><p>{new}<code>{text}</code></p>{flow.lane(flow.places([event]))}</li>"
        if left := others[_LANES:]:
            text = plural(len(left), "other event")
            lanes += f"<li><p><em>{text}</em></p>{flow.lane(flow.places(left))}</li>"
        id_ = html.escape(f"{number}-{episode.id}")
        return (
            f'<li class="group sequence" id="s-{id_}"><div class="head">'
            f'<span class="place">{number}</span><div class="what"><p class="line">{line}</p>'
            f'<p class="meta">{meta}</p></div><div class="figures"><b>×\u202f{count:,}</b>'
            f'<span>score {finding.judged.score:.2f}</span></div><div class="lanes">'
            f'{flow.whole(marks)}</div><button type="button" class="toggle quiet needs-script" '
            f'aria-expanded="true" aria-controls="e-{id_}" aria-label="Details of kind {number} '
            f'of sequences">{CHEVRON}</button></div><div class="detail" id="e-{id_}">'
            f'<ol class="flow" aria-label="Its events, from the first line to the last">{lanes}'
            f"</ol>{self._facts(finding, record)}</div></li>"
        )

    def _facts(self, finding: Finding, record: _Said) -> str:
        episode = finding.episode
        rows = [("First line", self._line(episode.first))]
        if episode.count > 1:
            rows.append(("Last line", self._line(episode.last)))
        lines = plural(episode.count, "line")
        if episode.count > len(episode.events):
            lines += (
                f", of which {len(episode.events):,} were kept to be judged: the beginning and "
                "the end. The dashed line is where others were between"
            )
        rows.append(("Length", lines))
        ended = text_of(_ENDED.get(episode.ended, episode.ended), _TEXT_CHARS)
        if record.get("unfinished"):
            ended += "; perhaps it was not"
        if record.get("cut"):
            rows.append(("Begun", "perhaps before what was read"))
        rows.append(("Ended", ended))
        if episode.rule != "default":
            rows.append(("Rule", text_of(episode.rule, 100)))
        votes = {True: list[str](), False: list[str]()}
        for name, vote in record["votes"].items():
            votes[vote].append(text_of(name, 40))
        said = [
            f"{', '.join(names)}: {'anomalous' if vote else 'normal'}"
            for vote, names in votes.items()
            if names
        ]
        if said:
            rows.append(("Votes", "; ".join(said)))
        id_ = html.escape(episode.id)
        rows.append(("Id", _copied(id_)))
        if "group" in record:
            rows.append(("Group", _copied(text_of(str(record["group"]), 40))))
        items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
        return f'<dl class="facts">{items}</dl>'

    def _line(self, sighting: Sighting) -> str:
        stamp = clock_of(self._times, sighting.text, self._tz)
        place = f"{where(sighting)}{f', {stamp}' if stamp else ''}"
        return f"{place}<p><code>{text_of(sighting.text.strip(), _TEXT_CHARS)}</code></p>"


def _copied(id_: str) -> str:
    return (
        f'<code>{id_}</code> <button type="button" class="copy quiet needs-script" '
        f'data-copy="{id_}">Copy</button>'
    )


def _colour(each: Carried) -> str:
    return _COLOURS.get(each.kind, _OTHER_COLOUR)


def _said(each: Carried, said: _Said) -> str:
    """Return what an event did to carry a verdict, in the words of the record."""
    text = (
        f'<span class="kind {_colour(each)}"><i></i>{text_of(str(said["what"]), 60)}</span> '
        f"{_NEW if said.get('unknown') is True and said['template'] != UNKNOWN else ''}"
        f"<code>{text_of(str(said['template']), _TEXT_CHARS)}</code>"
    )
    ordered = all(each in said for each in _ORDER)
    if ordered:
        before = text_of(str(said["before"]), _TEXT_CHARS)
        held, of = (f"{int(said[each]):,}" for each in _ORDER[1:])
        text += f" <em>before, in {held} of {of} normal ones after</em> <code>{before}</code>"
    for name, value in said.items():
        if name not in _KNOWN and not (ordered and name in _ORDER):
            value_text = text_of(str(value), _TEXT_CHARS)
            text += f" <em>{text_of(name.replace('_', ' '), 40)}</em> <code>{value_text}</code>"
    return text


def _places(first: Sighting, last: Sighting) -> str:
    if last.source != first.source:
        return f"{where(first)} … {source_of(last.source)}:{last.line}"
    return where(first) if last.line == first.line else f"{where(first)} … {last.line}"
