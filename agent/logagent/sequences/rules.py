"""Which lines make a sequence: those of a session, or those of a window.

Guarantees: a rule's expression cannot be kept busy by a line (`logagent.bounded_regex`); a rule
that was made holds allowed values only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from logagent.bounded_regex import BoundedRegex
from logagent.sanitise import printable

__all__ = [
    "MAX_EVENTS",
    "MAX_KEY_BYTES",
    "SESSION",
    "Rule",
    "configured",
    "rule_of",
    "session_key",
    "window_length",
]

SESSION: Final = "session"
"""Name of the group of an expression that holds what the lines of a session have in common."""
MAX_KEY_BYTES: Final = 128
"""[bytes] of a session's key: identifiers are shorter (a UUID has 36); what is longer is text that
the expression took by mistake, and is counted."""
MAX_EVENTS: Final = 4096
"""Most events kept of a sequence, and most lines of a window."""
_LONGEST_SECONDS: Final = 366 * 86400.0
_NUMBER: Final = ((int, float), "a number")
_WHOLE: Final = (int, "a whole number")
_KINDS: Final[dict[str, tuple[Any, str]]] = {
    "sources": (list, "a list of patterns"),
    "key": (str, f"a regular expression with a group {SESSION}"),
    "across": (bool, "true or false"),
    "timeout_seconds": _NUMBER,
    "longest_seconds": _NUMBER,
    "max_events": _WHOLE,
    "window_lines": _WHOLE,
    "window_seconds": _NUMBER,
    "steps": _WHOLE,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """How the lines of some sources make sequences.

    By session (`key`), by lines (`window_lines`) or by time (`window_seconds`); exactly one.
    """

    name: str = "default"
    sources: tuple[str, ...] = ("*",)
    """Patterns of the sources it is for, as the shell's; ``*`` matches slashes too."""
    key: BoundedRegex | None = None
    """Finds what the lines of a session have in common, in its group ``session``."""
    across: bool = False
    """Whether equal keys of several sources are one session."""
    timeout_seconds: float = 0.0
    """A session ends when nothing came for so long [s]; 0: never."""
    longest_seconds: float = 0.0
    """A session ends when it is so old [s]; 0: never."""
    max_events: int = 512
    """Events kept of a sequence, at least 2; of a longer one its beginning and its end."""
    window_lines: int = 0
    """Lines of a window; 0: no such windows."""
    window_seconds: float = 0.0
    """Length of a window [s]; 0: no such windows."""
    steps: int = 1
    """In how many steps a window moves on by its whole length; 1: windows do not overlap."""

    def __post_init__(self) -> None:
        """Check what it is made of.

        Raises:
            ValueError: no such rule.
        """
        ways = (self.key is not None) + (self.window_lines > 0) + (self.window_seconds > 0)
        if ways != 1:
            raise ValueError("give one of a session's key, a window in lines, a window in seconds")
        if not 2 <= self.max_events <= MAX_EVENTS or not 0 <= self.window_lines <= MAX_EVENTS:
            raise ValueError(f"a sequence has 2 to {MAX_EVENTS} events")
        for seconds in (self.timeout_seconds, self.longest_seconds, self.window_seconds):
            if not 0 <= seconds <= _LONGEST_SECONDS:
                raise ValueError("times are from 0 seconds to a year")
        if not 1 <= self.steps <= 64 or self.window_lines % self.steps:
            raise ValueError("a window must be 1 to 64 times its step, without a rest")

    def fits(self, source: str) -> bool:
        """Tell whether it is for a source."""
        return any(fnmatchcase(source, pattern) for pattern in self.sources)

    @property
    def tick_seconds(self) -> float:
        """How exactly times are needed [s]; infinite: not at all."""
        if self.window_seconds:
            return self.window_seconds / self.steps
        limits = [each for each in (self.timeout_seconds, self.longest_seconds) if each]
        return min(limits) / 8 if limits else math.inf

    def part(self) -> dict[str, Any]:
        """Return what `rule_of` takes: msgpack types; names and sources are a machine's own."""
        return {
            "key": "" if self.key is None else self.key.pattern.pattern.decode(),
            "across": self.across,
            "timeout_seconds": float(self.timeout_seconds),
            "longest_seconds": float(self.longest_seconds),
            "max_events": self.max_events,
            "window_lines": self.window_lines,
            "window_seconds": float(self.window_seconds),
            "steps": self.steps,
        }


def rule_of(
    values: Mapping[str, Any], name: str = "default", sources: Sequence[str] = ("*",)
) -> Rule:
    """Return a rule from the values that `Rule.part` gives.

    Raises:
        ValueError: they make none.
    """
    match values:
        case {
            "key": str(key),
            "across": bool(across),
            "timeout_seconds": float(timeout_seconds),
            "longest_seconds": float(longest_seconds),
            "max_events": int(max_events),
            "window_lines": int(window_lines),
            "window_seconds": float(window_seconds),
            "steps": int(steps),
        }:
            return Rule(
                name=name,
                sources=tuple(sources),
                key=session_key(key) if key else None,
                across=across,
                timeout_seconds=timeout_seconds,
                longest_seconds=longest_seconds,
                max_events=max_events,
                window_lines=window_lines,
                window_seconds=window_seconds,
                steps=steps,
            )
    raise ValueError("its rule of sequences is corrupt")


def configured(table: Mapping[str, object], number: int, trained: Rule | None) -> Rule:
    """Return the rule of a table ``[[sequences.rules]]`` of the configuration.

    Args:
        table: as it stands in the file; what it leaves out is as in `trained`.
        number: which table it is, from 1: its name.
        trained: the rule that the model was trained with; None: not known yet.

    Raises:
        ValueError: it makes no rule.
    """
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _KINDS:
            raise ValueError(f"no key {printable(str(name), 60)}; there are {', '.join(_KINDS)}")
        kind, said = _KINDS[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name}: must be {said}")
        values[name] = float(value) if kind == (int, float) else value
    sources = values.pop("sources", ["*"])
    if not sources or not all(isinstance(each, str) and each for each in sources):
        raise ValueError("sources: must be a list of patterns")
    base = trained or Rule(key=session_key("(?P<session>x)"))
    if values.keys() & {"key", "window_lines", "window_seconds"}:  # another way than in training
        values = {
            "across": base.across,
            "timeout_seconds": base.timeout_seconds,
            "longest_seconds": base.longest_seconds,
            "max_events": base.max_events,
        } | values
        values["key"] = session_key(values["key"]) if "key" in values else None
        return Rule(name=f"rule {number}", sources=tuple(sources), **values)
    return replace(base, name=f"rule {number}", sources=tuple(sources), **values)


def session_key(text: str) -> BoundedRegex:
    """Return the expression that finds the session of a line.

    Raises:
        ValueError: it is none, could take too long on some line, or has no group ``session``.
    """
    key = BoundedRegex.of(text)
    if SESSION not in key.pattern.groupindex:
        raise ValueError(
            f"has no group {SESSION}: write (?P<{SESSION}>…) around what the lines of a session "
            f"have in common, as in (?P<{SESSION}>blk_-?\\d+)"
        )
    return key


def window_length(text: str, *, whole: bool) -> tuple[float, int]:
    """Return a window's length, and in how many steps it moves on by that, of ``200/50``.

    Args:
        text: a length, or a length, a slash, and the step after which a window begins anew.
        whole: whether both must be whole numbers: lines, not seconds.

    Raises:
        ValueError: it is neither, or the length is no multiple of the step.
    """
    length, slash, step = text.partition("/")
    try:
        sizes = [float(each) for each in ([length, step] if slash else [length])]
        good = all(0 < size < 1e9 and (not whole or size == int(size)) for size in sizes)
    except ValueError:
        good = False
    if not good:
        raise ValueError("write a length, or length/step: 200 or 200/50")
    steps = round(sizes[0] / sizes[-1])
    if steps < 1 or abs(steps * sizes[-1] - sizes[0]) > 1e-6 * sizes[0]:
        raise ValueError("the length must be a multiple of the step")
    return sizes[0], steps
