"""One line of ``journalctl -o json`` to one entry, as text.

The text has the form of ``journalctl -o short-iso``, in UTC so that it does not depend on the
settings of the machine: ``2026-11-22T10:00:00+0000 host ident[pid]: message``. Further lines of a
message follow as they are, without a header, so that a stack trace stays one
(`logagent.traces`); a program can thus write lines that look like those of another, as it can in
a log file.

The format is that of https://systemd.io/JOURNAL_EXPORT_FORMATS: a value is a string, an array of
byte values if it is not printable UTF-8, an array of these if the field occurs more than once, or
null if it was too large; fields come in any order.

Guarantees: no input raises; the same line gives the same text. Of an entry that was cut off, what
can be read is used.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["FIELDS", "Entry", "EntryReader"]

FIELDS: Final = ("MESSAGE", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_COMM", "_PID", "_HOSTNAME")
"""What is asked of an entry, beside its address fields, which always come."""

CURSOR_BYTES = 512
"""[bytes] Longest cursor that is believed; they have about 150."""

_decode = json.JSONDecoder(strict=False).decode

_STRING: Final = re.compile(
    rb'"(__CURSOR|__REALTIME_TIMESTAMP|MESSAGE|SYSLOG_IDENTIFIER|SYSLOG_PID|_COMM|_PID|_HOSTNAME)"'
    rb'\s*+:\s*+"((?:[^"\\]|\\.)*+)',
    re.DOTALL,
)
_BYTES: Final = re.compile(rb'"MESSAGE"\s*+:\s*+\[((?:\d{1,3}\s*+,\s*+)*+)')


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the journal."""

    cursor: str
    """Where it is; empty if that was cut off."""
    seconds: float
    """[s] When the journal took it, since 1970; 0 if unknown."""
    identifier: bytes
    """The name the program gave itself."""
    pid: int
    """The process, as the journal saw it; 0 if unknown."""
    text: bytes | None
    """Header and message, without the last newline; None without a message."""


class EntryReader:
    """Reads entries; remembers the last second, whose text most entries share."""

    def __init__(self) -> None:
        self._second = -1
        self._stamp = b""

    def entry(self, line: bytes) -> Entry | None:
        """Return the entry of a line; None if it is none."""
        try:
            fields = _decode(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            fields = _salvaged(line)
        if not isinstance(fields, dict):
            return None
        cursor = fields.get("__CURSOR", "")
        if not isinstance(cursor, str) or not cursor.isprintable() or len(cursor) > CURSOR_BYTES:
            return None
        if not cursor and "MESSAGE" not in fields:
            return None
        seconds = _number(fields.get("__REALTIME_TIMESTAMP")) / 1e6
        identifier = _word(fields.get("SYSLOG_IDENTIFIER")) or _word(fields.get("_COMM"))
        pid = _word(fields.get("_PID")) or _word(fields.get("SYSLOG_PID"))
        text = None
        if "MESSAGE" in fields:
            message = _text(fields["MESSAGE"]).rstrip(b"\n")
            head = self._head(seconds, _word(fields.get("_HOSTNAME")))
            process = b"%b[%b]" % (identifier or b"unknown", pid) if pid else identifier
            text = b"%b%b: %b" % (head, process or b"unknown", message)
        return Entry(cursor, seconds, identifier, _number(fields.get("_PID")), text)

    def _head(self, seconds: float, host: bytes) -> bytes:
        second = int(seconds)
        if second != self._second:
            try:
                form = "%Y-%m-%dT%H:%M:%S+0000 "
                self._stamp = time.strftime(form, time.gmtime(second)).encode() if second else b""
            except (ValueError, OverflowError, OSError):  # no year that a clock can show
                self._stamp = b""
            self._second = second
        return self._stamp + host + b" " if host else self._stamp


def _number(value: Any) -> int:
    """Return a number that was written as text; 0 for anything else."""
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    return 0


def _word(value: Any) -> bytes:
    """Return a value for the header: on one line, so that it cannot begin another."""
    text = value.encode(errors="replace") if isinstance(value, str) else _text(value)
    return text.replace(b"\n", b" ") if b"\n" in text else text


def _text(value: Any) -> bytes:
    """Return a value of any form the journal gives, several on lines of their own."""
    if isinstance(value, str):
        return value.encode(errors="replace")  # a lone surrogate has no UTF-8
    if not isinstance(value, list):
        return b""
    try:
        return bytes(value)
    except (TypeError, ValueError):  # not all of them byte values: several values
        return b"\n".join([_one(each) for each in value])


def _one(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="replace")
    try:
        return bytes(value) if isinstance(value, list) else b""
    except (TypeError, ValueError):
        return b""


def _salvaged(line: bytes) -> dict[str, Any] | None:
    """Return what can be read of an entry that was cut off."""
    if not line.startswith(b"{"):
        return None
    fields: dict[str, Any] = {}
    for match in _STRING.finditer(line):
        fields.setdefault(match[1].decode(), _unescaped(match[2]))
    if "MESSAGE" not in fields and (found := _BYTES.search(line)):
        numbers = [int(number) for number in found[1].split(b",")[:-1]]
        fields["MESSAGE"] = [number for number in numbers if number < 256]
    return fields


def _unescaped(raw: bytes) -> str:
    """Return the text of a JSON string, or of the start of one."""
    for text in (raw, raw[: raw.rfind(b"\\")]):  # the last escape may have been cut off
        try:
            return str(_decode(f'"{text.decode(errors="replace")}"'))
        except ValueError:
            continue
    return ""
