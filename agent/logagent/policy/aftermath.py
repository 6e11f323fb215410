"""What a failure goes on to say in the minutes after its alert is no news.

A disk that dies, a password that is guessed, a link that flaps say several different things, some
of them a minute later. So for `AFTERMATH_SECONDS` after an alert, a new group of the same log that
is about the same, and not much graver, gets no alert of its own: it is in the digest, the status
and the reminders. About the same is what has the same category, or, unless it is severe, comes
from the same program; and what is severe only follows an alert that was severe.

Memory: the groups of the last 64 alerts' leads and companions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from logagent.policy.budget import SEVERE
from logagent.policy.family import program_of
from logagent.policy.known import Known

__all__ = ["AFTERMATH_SECONDS", "Aftermath"]

AFTERMATH_SECONDS = 300.0
"""[s]"""
_GRAVER = 1.0  # [logits] above the alert from which a group is news all the same
_GROUPS = 64


@dataclass(frozen=True, slots=True)
class _Told:
    """A group of an alert."""

    at: float
    source: str
    program: bytes
    category: str
    severe: bool
    rank: float
    """The highest of the alert's groups."""


class Aftermath:
    """The alerts of the last minutes."""

    def __init__(self, categorise: Callable[[bytes], str]) -> None:
        """Know of no alert.

        Args:
            categorise: names what a template is about; empty: nothing stands out.
        """
        self._categorise = categorise
        self._told: deque[_Told] = deque(maxlen=_GROUPS)

    def told(self, groups: Iterable[Known], now: float) -> None:
        """Remember an alert about groups [s since 1970]."""
        groups = list(groups)
        rank = max(group.rank for group in groups)
        severe = any(group.score >= SEVERE for group in groups)
        for group in groups:
            program, category = program_of(group.template), self._categorise(group.template)
            self._told.append(_Told(now, group.first.source, program, category, severe, rank))

    def holds(self, group: Known, now: float) -> bool:
        """Tell whether a new group belongs to what was told [s since 1970]."""
        latest = [
            told
            for told in self._told
            if 0 <= now - told.at < AFTERMATH_SECONDS
            and told.source == group.first.source
            and group.rank <= told.rank + _GRAVER
        ]
        if not latest or group.forced:
            return False
        severe = group.score >= SEVERE
        program = program_of(group.template)
        if not severe and program and any(told.program == program for told in latest):
            return True
        category = self._categorise(group.template)
        return bool(category) and any(
            told.category == category and (told.severe or not severe) for told in latest
        )
