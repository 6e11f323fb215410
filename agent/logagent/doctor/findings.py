"""What a check found.

Guarantees: the texts of a `Finding` are printable and bounded, whatever they were made of.
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass
from typing import Any

from logagent.sanitise import printable

__all__ = ["Finding", "Status", "counted", "found_ok", "note", "problem", "quoted", "warning"]

_FOUND_CHARS = 600
_FIX_CHARS = 600
_QUOTED_CHARS = 300  # [characters] a longer path would be cut in the middle of a command


class Status(enum.StrEnum):
    """How bad it is."""

    ok = "ok"
    note = "note"
    """Worth knowing; nothing has to be done."""
    warning = "warning"
    """It works, but not as well or not for as long as it should."""
    problem = "problem"
    """`logagent run` would not start, would read nothing, or could tell nobody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of one check."""

    check: str
    """The check's name, one word; set by `examine`."""
    status: Status
    found: str
    """What is the case, a sentence."""
    fix: str = ""
    """What to do, a command where there is one; empty where nothing has to be done."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", printable(self.found, _FOUND_CHARS))
        object.__setattr__(self, "fix", printable(self.fix, _FIX_CHARS))

    def record(self) -> dict[str, Any]:
        """Return it as `logagent doctor --json` prints it."""
        return {
            "check": self.check,
            "status": self.status.value,
            "found": self.found,
            "fix": self.fix or None,
        }


def found_ok(found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("", Status.ok, found)


def note(found: str, fix: str = "") -> Finding:
    """Return something worth knowing."""
    return Finding("", Status.note, found, fix)


def warning(found: str, fix: str) -> Finding:
    """Return something that should be mended."""
    return Finding("", Status.warning, found, fix)


def problem(found: str, fix: str) -> Finding:
    """Return something that must be mended."""
    return Finding("", Status.problem, found, fix)


def counted(number: int, noun: str) -> str:
    """Return a number and what is counted, in the plural where it is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quoted(text: str) -> str:
    """Return a path as a shell takes it; a stand-in where it cannot be shown as it is."""
    shown = printable(text, _QUOTED_CHARS)
    return shlex.quote(text) if shown == text else "PATH"
