"""Text of any origin for a page: safe, marked, counted.

Guarantees: what `text_of`, `marked`, `source_of` and `where` return went through
`sanitise.printable` and is escaped, in HTML and in quoted attributes; it is bounded.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from logagent.explain import Word
from logagent.groups import Sighting
from logagent.records import stamp_text
from logagent.sanitise import printable
from logagent.times import TimeParser

__all__ = [
    "CHEVRON",
    "NAME_CHARS",
    "clock_of",
    "duration",
    "marked",
    "plural",
    "source_of",
    "text_of",
    "were",
    "where",
]

NAME_CHARS = 300  # characters of a file's name
CHEVRON: Final = (
    '<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">'
    '<path d="M3.5 6l4.5 4.5L12.5 6" fill="none" stroke="currentColor" stroke-width="1.8" '
    'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
"""Of a button that unfolds."""


def text_of(text: bytes | str, limit: int) -> str:
    """Return text of any origin, safe in HTML and in quoted attributes."""
    return html.escape(printable(text, limit))


def source_of(name: str) -> str:
    """Return the name of a source."""
    return "standard input" if name == "-" else text_of(name, NAME_CHARS)


def where(sighting: Sighting) -> str:
    """Return file and line."""
    return f"{source_of(sighting.source)}:{sighting.line}"


def clock_of(times: TimeParser, line: bytes, tz: tzinfo | None) -> str:
    """Return the time that a line bears, in a zone (None: the machine's); empty if it has none."""
    stamp = times.parse(line)
    if stamp is None:
        return ""
    if stamp.kind != "epoch":
        return stamp_text(stamp)
    when = datetime.fromtimestamp(stamp.seconds, tz).astimezone(tz)
    return f"{when:%Y-%m-%d %H:%M:%S}"


def marked(line: bytes, words: Sequence[Word], limit: int) -> str:
    """Return a line, cut to `limit` characters, with the words that carried the decision marked."""
    text = printable(line.rstrip(), limit)
    forms = [form for word in words if (form := _form(word.text))]
    if not forms:
        return html.escape(text)
    parts, start = [], 0
    for match in re.finditer("|".join(forms), text):
        parts += [html.escape(text[start : match.start()])]
        parts += [f"<mark>{html.escape(match.group())}</mark>"]
        start = match.end()
    return "".join([*parts, html.escape(text[start:])])


def _form(word: str) -> str:
    """Return the expression of a template's word in a line: there digits may stand in it."""
    word = printable(word, 60)
    if re.fullmatch(r"\d+|\dxx", word):  # a number that is kept, or the class of an HTTP status
        return rf"(?<!\w){word.replace('xx', '[0-9][0-9]')}(?!\w)"
    return rf"(?<![^\W\d]){r'[0-9]*'.join(map(re.escape, word))}[0-9]*(?![^\W\d])"


def plural(count: int, noun: str) -> str:
    """Return a number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def were(count: int) -> str:
    """Return the verb of so many things."""
    return "was" if count == 1 else "were"


def duration(seconds: int) -> str:
    """Return a time of so many seconds for people: `1 h 42 min`."""
    for size, name, below, part in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size:,} {name}" + (f" {rest} {part}" if rest else "")
    return f"{seconds} s"
