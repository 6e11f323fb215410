"""Entries of ``overrides.toml`` that are about sequences: a kind of them, or sessions by name.

An entry says so in its source, ``sequence:`` with a kind, or ``session:`` with a glob on the log:
a source that no line has. So an agent from before reads the same file, and such an entry says
nothing to it; a key that it does not know would have made it refuse all that was said.

Guarantees: no entry is about lines and about sequences. Left to others: what a kind is
(`logagent.sequences.kind_names`) and which sequences an entry hides (`logagent.sequences.taught`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from logagent.sanitise import printable

if TYPE_CHECKING:
    from logagent.override_entries import Override

__all__ = [
    "SEQUENCE",
    "SESSION",
    "is_about_sequences",
    "kind_of",
    "problems_of_form",
    "session_logs",
    "shown",
]

SEQUENCE: Final = "sequence:"
"""Before the name of a kind; the entry's group says for people what that is."""
SESSION: Final = "session:"
"""Before the glob on the log that a session began in; the entry's regex is searched in its key."""

_KIND = re.compile("[0-9a-f]{16}")
_SHOWN_CHARS: Final = 200


def is_about_sequences(entry: Override) -> bool:
    """Tell whether an entry is about sequences and so not about lines."""
    return entry.source is not None and entry.source.startswith((SEQUENCE, SESSION))


def kind_of(entry: Override) -> str | None:
    """Return the kind of sequences that an entry is about; None if it is about none."""
    source = entry.source or ""
    return source[len(SEQUENCE) :] if source.startswith(SEQUENCE) else None


def session_logs(entry: Override) -> str | None:
    """Return the glob on the logs whose sessions an entry is about; None if it is about none."""
    source = entry.source or ""
    return source[len(SESSION) :] if source.startswith(SESSION) else None


def problems_of_form(entry: Override) -> Iterator[str]:
    """Yield what is wrong with an entry in so far as it is about sequences."""
    kind, logs = kind_of(entry), session_logs(entry)
    if kind is not None and _KIND.fullmatch(kind) is None:
        yield f"source: after {SEQUENCE} must stand a kind, 16 hexadecimal digits"
    if kind is not None and entry.regex is not None:
        yield f"source: {SEQUENCE} goes with a group, which says what the kind is"
    if logs is not None and entry.regex is None:
        yield f"source: {SESSION} goes with a regex, which is searched in keys of sessions"
    if logs == "":
        yield f"source: after {SESSION} must stand a glob on the name of the log, * for all"


def shown(entry: Override) -> str | None:
    """Return what an entry about sequences is about, for people; None for one about lines."""
    if (kind := kind_of(entry)) is not None:
        return f"sequence {printable(kind, 40)}: {printable(entry.group or '', _SHOWN_CHARS)}"
    if (logs := session_logs(entry)) is not None:
        where = "" if logs == "*" else f" in {printable(logs, _SHOWN_CHARS)}"
        return f"sessions /{printable(entry.regex or '', _SHOWN_CHARS)}/{where}"
    return None
