"""What rotated copies of a log are called, and which is older.

Names only make candidates: whether a file really is a piece of a log is decided by its content
(`logagent.inputs.census`).
"""

from __future__ import annotations

import re

__all__ = ["age", "base_of", "packed", "rotated_of"]

_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)$")
# logrotate: .1, -20261122, -2026-11-22, -20261122-1795000000, .2026112210; others: .old, .bak
_STAMP = r"\d[\dT:_.-]*"
_SUFFIX = re.compile(rf"[._-](?:{_STAMP}|old|bak|prev|save)(?:\.(?:\d+|old))?$")
# Before the extension: app-20261122.log, app.1.log
_INNER = re.compile(rf"^(?P<stem>.+?)[._-]{_STAMP}(?P<extension>\.[A-Za-z]\w{{0,9}})$")
_NUMBER = re.compile(r"(?<![\d-])[._-](\d{1,3})$")
_DATE = re.compile(r"[._-](?P<date>\d{4}-?\d\d-?\d\d[\dT:_.-]*)(?:\.[A-Za-z]\w{0,9})?$")


def packed(name: str) -> bool:
    """Tell whether a file of this name is compressed."""
    return _PACKED.search(name) is not None


def base_of(name: str) -> list[str]:
    """Return the names of the logs that a file of this name may be a rotated copy of.

    The likeliest first: app.log, then app.log.1, for app.log.1.gz.
    """
    plain = _PACKED.sub("", name)
    bases = []
    if match := _SUFFIX.search(plain):
        bases.append(plain[: match.start()])
    if match := _INNER.match(plain):
        bases.append(match["stem"] + match["extension"])
    if plain != name:
        bases.append(plain)
    return [base for base in bases if base]


def rotated_of(name: str, base: str) -> bool:
    """Tell whether `name` is what a rotated copy of `base` may be called."""
    return base in base_of(name)


def age(name: str, modified_ns: int) -> tuple[int, int, str, int]:
    """Return a key that sorts the rotated copies of a log, the oldest first.

    Numbered copies are sorted by number and dated ones by date, which no clock can confuse; others
    by the time of their last change [ns].
    """
    plain = _PACKED.sub("", name)
    if match := _DATE.search(plain):
        return 1, 0, re.sub(r"\D", "", match["date"]), modified_ns
    if match := _NUMBER.search(plain):
        return 0, -int(match[1]), "", modified_ns
    return 2, 0, "", modified_ns
