"""What a learning period told of this host: `learned.toml`, which people can read and move.

    version = 1
    host = "router-7"
    learned_at = 2026-03-14T07:16:01Z
    …
    [[routine]]
    group = "dnsmasq * * query failed"
    …

Guarantees: what is loaded was checked and is bounded; what is written is ASCII and loads to an
equal `Facts`, whatever a log put into it; a file is replaced atomically. Facts expire: what is no
longer used is still there to be read. Memory: at most `MAX_ROUTINE` entries.

Left to others: what is done with them (`logagent.policy.habits`).
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from logagent import files
from logagent.errors import StateError
from logagent.override_entries import canonical_group, group_text
from logagent.sanitise import printable

__all__ = [
    "EXPIRE_SECONDS",
    "FILE_NAME",
    "MAX_FILE_BYTES",
    "MAX_ROUTINE",
    "VERSION",
    "Facts",
    "Routine",
    "load",
    "read_bytes",
    "save",
    "source_text",
    "told",
]

FILE_NAME: Final = "learned.toml"
"""In the state folder."""
VERSION: Final = 1
EXPIRE_SECONDS: Final = 90 * 86_400.0
"""[s] A host changes: what was routine a season ago need not be so any more."""
MAX_ROUTINE: Final = 200
MAX_FILE_BYTES: Final = 2 * 1024 * 1024
"""[bytes] 200 entries of the longest texts are 1.5 MB; ordinary files have 20 kB."""
_MAX_TEXT = 4096  # characters; a group of 512 bytes is 2,048 at most, escaped
_MAX_LINE_BYTES = 48 * 1024  # [bytes] a text of ten bytes a character; dotted keys cost squares
_MAX_STAMP = 253_402_300_799.0  # [s since 1970] the last second that a time stamp can name
_MAX_COUNT = 2.0**53


@dataclass(frozen=True, slots=True)
class Routine:
    """A group that was there all along while this host was learnt."""

    group: str
    """What its lines have in common, as text: `logagent.override_entries.group_text`."""
    source: str
    """Name of the log, as text: `source_text`."""
    per_day: float
    """Lines a day."""
    hours: int
    """Distinct hours in which it was seen."""
    score: float
    """The highest of its lines, in [0, 1]."""
    sample: str = ""
    """One of its lines."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was learnt of a host."""

    host: str
    learned_at: float
    """[s since 1970], whole seconds."""
    expires: float
    """[s since 1970], whole seconds: from then on the facts are not used."""
    watched_seconds: float
    """[s] How long lines were watched."""
    lines: int
    """Lines judged meanwhile."""
    threshold: float | None
    """Score from which lines are told on this host; None: as configured."""
    old_threshold: float
    """What was in force before."""
    routine: tuple[Routine, ...] = ()
    note: str = ""
    """What people should know of how it was learnt."""
    model: str = ""
    """SHA-256 of the bundle whose scores these are; empty if not known."""
    version: int = VERSION
    _places: dict[tuple[str, str], Routine] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Index the routine groups."""
        self._places.update(
            {(each.source, canonical_group(each.group)): each for each in self.routine}
        )

    def routine_of(self, source: str, group: bytes) -> Routine | None:
        """Return the entry of a group in a source; None if it is not routine."""
        return self._places.get((source_text(source), group_text(group))) if self._places else None

    def for_model(self, sha256: str) -> Facts:
        """Return the facts that hold with another model: its scores need another threshold."""
        if self.threshold is None or self.model in ("", sha256):
            return self
        return replace(self, threshold=None)

    def to_toml(self) -> str:
        """Return the facts as TOML, in ASCII."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        del values["routine"], values["_places"]
        values = {"version": values.pop("version"), **values}
        for key in ("learned_at", "expires"):
            values[key] = datetime.fromtimestamp(values[key], UTC)
        lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
        for each in self.routine:
            lines += ["", "[[routine]]"]
            lines += [f"{key.name} = {_toml(getattr(each, key.name))}" for key in fields(each)]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, data: bytes) -> Facts:
        """Return the facts that a file holds.

        Raises:
            ValueError: it holds none, or those of a newer version; says what is wrong.
        """
        if any(len(line) > _MAX_LINE_BYTES for line in data.split(b"\n")):
            raise ValueError("no file of learned facts: it has a line that is too long")
        try:
            values = tomllib.loads(data.decode())
        except UnicodeDecodeError:
            raise ValueError("not UTF-8") from None
        except RecursionError:
            raise ValueError("nested too deeply") from None
        version = values.get("version")
        if type(version) is not int or version < 1:
            raise ValueError("no file of learned facts: it has no version")
        if version > VERSION:
            raise ValueError(
                f"version {version}, this logagent reads version {VERSION}; upgrade logagent"
            )
        routine = values.get("routine", [])
        if not isinstance(routine, list) or len(routine) > MAX_ROUTINE:
            raise ValueError(f"routine must be a list of at most {MAX_ROUTINE} entries")
        facts = cls(
            host=_text(values, "host"),
            learned_at=_stamp(values, "learned_at"),
            expires=_stamp(values, "expires"),
            watched_seconds=_number(values, "watched_seconds"),
            lines=_whole(values, "lines"),
            threshold=_number(values, "threshold", 1.0) if "threshold" in values else None,
            old_threshold=_number(values, "old_threshold", 1.0),
            routine=tuple(_routine(each) for each in routine),
            note=_text(values, "note", ""),
            model=_text(values, "model", ""),
        )
        if facts.expires > facts.learned_at + EXPIRE_SECONDS:
            raise ValueError(f"expires is over {EXPIRE_SECONDS / 86_400:.0f} days after learned_at")
        return facts


def load(path: Path, now: float) -> Facts | None:
    """Return the facts that are in force; None if there are none, or they have expired.

    Raises:
        StateError: the file cannot be read or used.
    """
    try:
        facts = Facts.from_toml(read_bytes(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise StateError(
            f"{path}: {printable(str(error), 300)}; `logagent learned reset` removes it"
        ) from None
    return facts if now < facts.expires else None


def save(path: Path, facts: Facts) -> None:
    """Replace the file.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    # For everybody: the folder is private, and root may import what a user's agent is to read.
    files.replace(path, facts.to_toml().encode("ascii"), mode=0o644)


def read_bytes(path: Path) -> bytes:
    """Return what a regular file of at most `MAX_FILE_BYTES` holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, or no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = b""
        while len(data) <= MAX_FILE_BYTES and (more := file.read(MAX_FILE_BYTES + 1 - len(data))):
            data += more
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    return data


def source_text(source: str) -> str:
    r"""Return a source's name as text: bytes of a file's name that are no UTF-8 become ``\xff``."""
    if source.isascii():
        return source
    try:
        name = source.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which no file's name has
        name = source.encode("utf-8", "surrogatepass")
    return name.decode("utf-8", "backslashreplace")


def told(facts: Facts) -> Iterator[str]:
    """Yield what was learnt, in lines for people; printable, at most `MAX_ROUTINE` + 4."""
    yield (
        f"learnt on {printable(facts.host, 100)} at {_day(facts.learned_at)}, used until "
        f"{_day(facts.expires)}: {facts.lines:,} lines in {facts.watched_seconds / 3600:.1f} hours"
    )
    if facts.threshold is None:
        yield f"threshold: {facts.old_threshold:.3f}, as before"
    else:
        yield f"threshold: {facts.threshold:.3f} (was {facts.old_threshold:.3f})"
    if facts.note:
        yield f"note: {printable(facts.note, 300)}"
    yield f"routine groups, which are ranked lower: {len(facts.routine)}"
    for each in facts.routine:
        yield (
            f"  {each.score:.2f}  {each.per_day:,.0f} lines a day, in {each.hours} hours  "
            f"{printable(each.source, 100)}: {printable(each.sample or each.group, 160)}"
        )


def _day(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).isoformat(" ", "minutes").removesuffix("+00:00")


def _toml(value: object) -> str:
    if isinstance(value, str):
        return '"' + re.sub(r"[^ !#-\[\]-~]", _escaped, value) + '"'
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return repr(value)


def _escaped(match: re.Match[str]) -> str:
    """Return one character as TOML knows it: everything but plain ASCII is escaped."""
    character = match.group()
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:  # half a character; TOML has no way to say it
        code = 0xFFFD
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _routine(values: object) -> Routine:
    if not isinstance(values, dict):
        raise ValueError("routine must be a list of tables")
    return Routine(
        group=_text(values, "group"),
        source=_text(values, "source"),
        per_day=_number(values, "per_day"),
        hours=_whole(values, "hours"),
        score=_number(values, "score", 1.0),
        sample=_text(values, "sample", ""),
    )


def _text(values: dict[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError(f"{key} must be a text of at most {_MAX_TEXT} characters")
    return value


def _number(values: dict[str, Any], key: str, most: float = _MAX_COUNT) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{key} must be a number from 0 to {most:.0f}")
    return float(value)


def _whole(values: dict[str, Any], key: str) -> int:
    value = _number(values, key)
    if not value.is_integer():
        raise ValueError(f"{key} must be a whole number")
    return int(value)


def _stamp(values: dict[str, Any], key: str) -> float:
    value = values.get(key)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{key} must be a time with its zone, such as 2026-03-14T07:16:01Z")
    stamp = math.floor(value.timestamp())
    if not 0 <= stamp <= _MAX_STAMP:
        raise ValueError(f"{key} is before 1970")
    return float(stamp)
