"""The habits of this host, put to use: how they move a group's rank, and what is learnt of them.

`habits` counts, `learning` watches for a time that the operator asked for, `facts` is what came of
that. Here they meet the policy. Without an operator's wish nothing is ever ranked lower; see
docs/adaptation.md for the rule.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from logagent.policy.budget import expit, logit
from logagent.policy.facts import Facts
from logagent.policy.habits import FIRST_EVER, Habits, shift
from logagent.policy.hours import HOUR_SECONDS
from logagent.policy.learning import Learner

__all__ = ["HostAdaptation", "lowest_score"]

_NOTED = 4096  # groups of which it is known that the habits know them

_log = logging.getLogger("logagent")


class HostAdaptation:
    """What is known of this host, as `logagent.policy.policy.Adaptation` asks for it."""

    def __init__(
        self, clear_score: float, facts: Facts | None = None, learner: Learner | None = None
    ) -> None:
        """Know nothing yet but the facts.

        Args:
            clear_score: score from which nothing is ranked lower: the bundle's ``low``.
            facts: what was learnt; None if nothing was.
            learner: watches; None if nobody asked for that.
        """
        self.habits = Habits()
        self.facts = facts
        self.learner = learner
        self._clear_score = clear_score
        self._lines = 0  # since the last tick
        self._hour = -math.inf
        self._noted: set[tuple[str, bytes]] = set()  # in this hour

    def shift(self, source: str, key: bytes, score: float, now: float) -> tuple[float, str]:
        """See `Adaptation.shift`."""
        return shift(self.habits, self.facts, source, key, score, now, self._clear_score)

    def see(
        self,
        source: str,
        key: bytes,
        template: bytes,
        text: bytes,
        score: float,
        count: int,
        now: float,
    ) -> None:
        """See `Adaptation.see`."""
        if self.learner is None and self.facts is None:
            # Only the hour counts, and this is asked for every group of every batch.
            hour = now // HOUR_SECONDS
            if hour != self._hour or len(self._noted) >= _NOTED:
                self._hour = hour
                self._noted.clear()
            elif (source, key) in self._noted:
                return
            self._noted.add((source, key))
        self.habits.see(source, key, now, count)
        if self.learner is not None:
            self.learner.see(source, key, template, text, score, count, now)

    def passed(self, lines: int) -> None:
        """Count lines, whatever their score."""
        self._lines += lines

    def tick(self, now: float) -> bool:
        """Hear that the agent is there; tell whether learning is over.

        To be called every ten minutes or more often.
        """
        if self.learner is None:
            return False
        self.learner.tick(now, self._lines)
        self._lines = 0
        return self.learner.done(now)

    def forget(self) -> None:
        """Know nothing again but the facts."""
        self.habits = Habits()
        self._noted.clear()

    def state(self) -> dict[str, Any]:
        """Return what `load` needs, msgpack types only."""
        learner = None if self.learner is None else self.learner.state()
        return {"habits": self.habits.state(), "learner": learner}

    def load(self, saved: object) -> None:
        """Take over what `state` returned; a learner goes on if there is one here.

        What cannot be used is learnt anew, and the agent's log says so: it is not worth the
        positions that are saved beside it.

        Raises:
            ValueError: `saved` is not even of that form.
        """
        match saved:
            case {"habits": habits, "learner": learner}:
                pass
            case _:
                raise ValueError("the habits have other fields")
        try:
            self.habits.load(habits)
        except ValueError as error:
            _log.warning("the habits of this host are learnt anew: %s", error)
            self.forget()
        if self.learner is not None and learner is not None:
            try:
                self.learner.load(learner)
            except ValueError as error:
                _log.warning("learning begins anew: %s", error)


def lowest_score(threshold: float) -> float:
    """Return the score below which habits cannot lift a line over the threshold."""
    return expit(logit(threshold) - FIRST_EVER)
