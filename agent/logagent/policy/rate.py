"""How often a group comes, and whether that is far more than it used to.

Two decaying counts per group: one that forgets in minutes, one that forgets in a day. Memory: four
numbers a group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["BURST_LINES", "BURST_TIMES", "Rate"]

_FAST_SECONDS = 300.0  # [s] time constant of what is "now"
_SLOW_SECONDS = 86_400.0  # [s] time constant of what is "usual"
_YOUNG_SECONDS = 3600.0  # [s] a group has no past before that
BURST_LINES = 50.0
"""Lines of about five minutes below which nothing is a burst."""
BURST_TIMES = 10.0
"""Times the usual rate from which on it is one."""


@dataclass(slots=True)
class Rate:
    """The rate of one group."""

    began: float
    """[s since 1970] When the group was first seen."""
    at: float
    """[s since 1970] When it was last counted."""
    fast: float = 0.0
    """Lines, decayed within minutes."""
    slow: float = 0.0
    """Lines, decayed within a day."""

    def count(self, lines: int, now: float) -> None:
        """Count lines; a clock that was set back only stops the decay."""
        passed = max(now - self.at, 0.0)
        if passed:
            self.fast *= math.exp(-passed / _FAST_SECONDS)
            self.slow *= math.exp(-passed / _SLOW_SECONDS)
        self.at = now
        self.began = min(self.began, now)  # else it would be young until the clock catches up
        self.fast += lines
        self.slow += lines

    def times_usual(self, now: float) -> float:
        """Return how many times more often it comes than it used to; 0 if that means nothing.

        The usual rate is that of the slow count less the fast one: what came before these minutes.
        """
        age = now - self.began
        fast = self.fast * math.exp(-max(now - self.at, 0.0) / _FAST_SECONDS)
        if age < _YOUNG_SECONDS or fast < BURST_LINES:
            return 0.0
        # A slow count that has run for `age` holds rate × τ × (1 − e^(−age/τ)).
        span = _SLOW_SECONDS * -math.expm1(-age / _SLOW_SECONDS)
        usual = max(self.slow - self.fast, 0.0) / span * _FAST_SECONDS
        return fast / max(usual, 1.0)

    def is_burst(self, now: float) -> bool:
        """Tell whether it comes far more often than it used to."""
        return self.times_usual(now) >= BURST_TIMES
