r"""Entries of ``overrides.toml``: what an operator has said of a group of lines, or of a regex.

Some are about sequences, which their source tells (`logagent.sequence_overrides`).

Guarantees: an entry that was read holds allowed values only, in printable characters and bounded;
every problem of a file is told, not only the first; at most `MAX_FILE_BYTES` are read, of a regular
file only; what `to_toml` writes is read as an equal entry.

A group's key is bytes that an attacker may have chosen. Entries hold, and are compared by, its text
(`group_text`): UTF-8, with what is no UTF-8 and what is not printable as escapes (``\xff``,
``\u202e``); and the month and weekday of a time stamp as ``#``, or what was said in November would
not hold in December. Otherwise two keys have one text only if one holds the other's escape as plain
characters.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Literal

from logagent.errors import ConfigError
from logagent.sanitise import printable
from logagent.sequence_overrides import problems_of_form

__all__ = [
    "MAX_ENTRIES",
    "MAX_FILE_BYTES",
    "MAX_REGEXES",
    "MAX_TEXT_CHARS",
    "Override",
    "OverridesError",
    "canonical_group",
    "entries_of",
    "group_text",
    "parse",
    "problems_of",
    "read_bytes",
]

MAX_FILE_BYTES: Final = 1024 * 1024
"""[bytes] of ``overrides.toml``."""
MAX_ENTRIES: Final = 10_000
MAX_REGEXES: Final = 200
"""Entries with a regex: each is searched in every anomalous line."""
MAX_TEXT_CHARS: Final = 500
"""[characters] of a reason."""

_GROUP_CHARS = 4096  # [characters] 512 bytes, each shown as an escape of four, are half of it
_SOURCE_CHARS = 1000
_AUTHOR_CHARS = 100
_MOST_PROBLEMS = 50  # lines of a message
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# Before the number of the day, of which a small one may have a space more; after it; in between.
_DATE = re.compile(
    rf"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?{_MONTH} +#"
    rf"|(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?# {_MONTH}(?= )"
    rf"|(?<=[/-]){_MONTH}(?=[/-])"
)
_KEYS = ("id", "verdict", "group", "regex", "source", "created", "expires", "author", "reason")
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class OverridesError(ConfigError):
    """The overrides cannot be read or written; the message has one line per problem."""


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator said, once."""

    id: str
    """Of the entry, unique in the file: what `logagent ignore remove` takes."""
    verdict: Literal["normal", "anomalous"]
    group: str | None = None
    """The group it is about, as `group_text` writes it; None with a regex."""
    regex: str | None = None
    """Searched in raw lines (`logagent.bounded_regex`); only with verdict normal."""
    source: str | None = None
    """Glob on the source's name; None for all. Only with verdict normal. Or what tells that the
    entry is about sequences (`logagent.sequence_overrides`)."""
    created: float = 0.0
    """[s since 1970] Of two that contradict each other the later one wins."""
    expires: float = math.inf
    """[s since 1970] From here on it says nothing."""
    author: str = ""
    reason: str = ""

    def to_toml(self) -> str:
        """Return the entry as TOML, ending with a newline."""
        lines = ["[[override]]", f"id = {_quoted(self.id)}", f"verdict = {_quoted(self.verdict)}"]
        lines += [
            f"{key} = {_quoted(text)}"
            for key in ("group", "regex", "source")
            if (text := getattr(self, key)) is not None
        ]
        if self.created:
            lines.append(f"created = {_time_text(self.created)}")
        if self.expires < math.inf:
            lines.append(f"expires = {_time_text(self.expires)}")
        lines += [
            f"{key} = {_quoted(text)}"
            for key in ("author", "reason")
            if (text := getattr(self, key))
        ]
        return "\n".join(lines) + "\n"


def group_text(key: bytes) -> str:
    """Return what lines are grouped by (`Verdict.group`, else its template) as text."""
    return canonical_group(key.decode("utf-8", "backslashreplace"))


def canonical_group(text: str) -> str:
    """Return the text of a group, written by hand or by us, in the one form that is compared."""
    shown = printable(text, len(text) * 10)  # an escape has ten characters at most: nothing is cut
    dated = ""
    while dated != shown:  # what was masked may be the number after another month
        dated, shown = shown, _DATE.sub(_date_masked, shown)
    return shown


def _date_masked(found: re.Match[str]) -> str:
    return "# #" if "#" in found[0] else "#"


def parse(data: bytes, name: str) -> tuple[Override, ...]:
    """Return the entries of a file, in its order.

    Args:
        data: what the file holds.
        name: of the file, for messages.

    Raises:
        OverridesError: it holds anything else; one line per problem.
    """
    name = printable(name, 1000)
    if len(data) > MAX_FILE_BYTES:
        raise OverridesError(
            f"{name}: larger than {MAX_FILE_BYTES} bytes; remove what has expired "
            "(`logagent ignore remove --expired`)"
        )
    try:
        values = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OverridesError(f"{name}:{line}: not UTF-8: byte 0x{data[error.start]:02x}") from None
    except RecursionError:
        raise OverridesError(f"{name}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and numbers of thousands of digits
        raise OverridesError(f"{name}: not TOML: {printable(str(error), 300)}") from None
    problems: list[str] = []
    entries = tuple(_entries(values, problems))
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"… and {more} more problems"] if more > 0 else [])
        raise OverridesError("\n".join(f"{name}: {each}" for each in shown))
    return entries


def entries_of(path: Path) -> tuple[Override, ...]:
    """Return all entries of a file, expired ones too; none if it is not there.

    Raises:
        OverridesError: it cannot be read or used; one line per problem.
    """
    try:
        data, _ = read_bytes(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise OverridesError(f"{printable(str(path), 1000)}: {error.strerror or error}") from None
    return parse(data, str(path))


def problems_of(entry: Override) -> Iterator[str]:
    """Yield what is wrong with an entry."""
    if not _ID.fullmatch(entry.id):
        yield "id: must be 1 to 32 letters, digits, - or _"
    if entry.verdict not in ("normal", "anomalous"):
        yield "verdict: must be normal or anomalous"
    if (entry.group is None) == (entry.regex is None):
        yield "needs either a group or a regex"
    if entry.group is not None and not 0 < len(entry.group) <= _GROUP_CHARS:
        yield f"group: must have 1 to {_GROUP_CHARS} characters"
    if entry.verdict == "anomalous" and (entry.regex, entry.source) != (None, None):
        yield "regex and source go with verdict normal only"
    yield from problems_of_form(entry)
    if entry.source is not None and not 0 < len(entry.source) <= _SOURCE_CHARS:
        yield f"source: must have 1 to {_SOURCE_CHARS} characters"
    for key, limit in (("author", _AUTHOR_CHARS), ("reason", MAX_TEXT_CHARS)):
        if len(getattr(entry, key)) > limit:
            yield f"{key}: longer than {limit} characters"
    if any("\ud800" <= char <= "\udfff" for char in f"{entry.source or ''}{entry.regex or ''}"):
        yield "source and regex must be UTF-8; write * or \\xff for other bytes"
    elif entry.regex is not None:
        from logagent.bounded_regex import BoundedRegex  # noqa: PLC0415 - few have a regex

        try:
            BoundedRegex.of(entry.regex)
        except ValueError as error:
            yield f"regex: {error}"


def read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what a file holds, at most one byte more than is allowed, and its facts.

    Raises:
        OSError: it cannot be read, or is no regular file; a pipe is not waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(0, "not a regular file")
        return stream.read(MAX_FILE_BYTES + 1), facts


def _entries(values: dict[str, Any], problems: list[str]) -> Iterator[Override]:
    problems += [
        f"{printable(key, 100)}: no such key; entries are [[override]]"
        for key in values
        if key != "override"
    ]
    tables = values.get("override", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append("override: must be written [[override]], in two pairs of brackets")
        return
    if len(tables) > MAX_ENTRIES:
        problems.append(f"has {len(tables)} entries, at most {MAX_ENTRIES} are read")
        return
    if sum("regex" in table for table in tables) > MAX_REGEXES:
        problems.append(f"has more than {MAX_REGEXES} entries with a regex")
        return
    ids: set[str] = set()
    for number, table in enumerate(tables, 1):
        id_ = table.get("id")
        name = f"entry {number}"
        name += f" ({printable(id_, 40)})" if isinstance(id_, str) and id_ else ""
        entry, found = _entry(table)
        if entry is not None:
            found += problems_of(entry)
            if entry.id in ids:
                found.append("id: an entry above has the same")
            ids.add(entry.id)
            if not found:
                yield entry
        problems += [f"{name}: {each}" for each in found]


def _entry(table: dict[str, Any]) -> tuple[Override | None, list[str]]:
    """Return an entry and what is wrong with it; None if too much is."""
    found = [
        f"{printable(key, 100)}: no such key; there are {', '.join(_KEYS)}"
        for key in table
        if key not in _KEYS
    ]
    found += [f"{key}: is missing" for key in ("id", "verdict") if key not in table]
    taken: dict[str, Any] = {}
    for key, value in table.items():
        if key in ("created", "expires"):
            try:
                taken[key] = _seconds(value)
            except ValueError as error:
                found.append(f"{key}: {error}")
        elif key in _KEYS and not isinstance(value, str):
            found.append(f"{key}: must be text in quotes")
        elif key == "group":
            taken[key] = canonical_group(value)
        elif key in ("author", "reason"):
            taken[key] = printable(value, len(value) * 10)
        elif key in _KEYS:
            taken[key] = value
    return (None, found) if found else (Override(**taken), found)


def _seconds(value: object) -> float:
    """Return a time of TOML in seconds since 1970; without a zone it is UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ValueError("must be a time such as 2026-11-22T10:00:00Z, without quotes")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _quoted(text: str) -> str:
    """Write a text as TOML's basic string."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
