"""What a failure goes on to say in the minutes after its alert is no news.

A disk that dies, a password that is guessed, a link that flaps say several different things, some
of them a minute later. So a group that begins within `AFTERMATH_SECONDS` after an alert, in the
same log, about the same, and not much graver, gets no alert of its own: it is in the digest, the
status and the reminders. About the same is what has the same category or comes from the same
program. Of what is severe more is asked, since it may be a failure of its own: that it begins
within `SEVERE_SECONDS`, and has the category of a group of the alert that was severe itself.

Memory: the groups of the last 64 alerts' leads and companions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from logagent.policy.budget import SEVERE, logit
from logagent.policy.family import program_of
from logagent.policy.known import Known

__all__ = ["AFTERMATH_SECONDS", "SEVERE_SECONDS", "Aftermath"]

AFTERMATH_SECONDS = 300.0
"""[s]"""
SEVERE_SECONDS = 60.0
"""[s] A minute later a failure that is as grave may well be another one."""
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
    """The highest of the alert's groups [logits]; the operator's word makes none graver."""


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
        rank = max(logit(group.score) + group.shift for group in groups)
        for group in groups:
            program, category = program_of(group.template), self._categorise(group.template)
            severe = group.score >= SEVERE
            self._told.append(_Told(now, group.first.source, program, category, severe, rank))

    def holds(self, group: Known) -> bool:
        """Tell whether a new group belongs to what was told."""
        severe = group.score >= SEVERE
        lasts = SEVERE_SECONDS if severe else AFTERMATH_SECONDS
        latest = [
            told
            for told in self._told
            if 0 <= group.first_at - told.at < lasts
            and told.source == group.first.source
            and group.rank <= told.rank + _GRAVER
        ]
        if not latest or group.forced:
            return False
        program = program_of(group.template)
        if not severe and program and any(told.program == program for told in latest):
            return True
        category = self._categorise(group.template)
        return bool(category) and any(
            told.category == category and (told.severe or not severe) for told in latest
        )
