"""How many alerts a day people are asked to read, and the bar that rises as the day fills up.

Half of the budget is spent freely: whatever is over the threshold is told. From there on the bar
rises, until after the last alert of the budget only what scores `SEVERE` passes; of that, as much
again is kept for such failures, so that a noisy morning cannot hide a dying disk in the evening.
What does not pass is held back, not dropped: the policy lists it in the digest and the status.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

__all__ = ["SEVERE", "Budget", "expit", "logit"]

SEVERE = 0.97
"""Score from which an alert is called an error."""
DAY_SECONDS = 86_400.0
_FREE = 0.5  # share of the budget that is spent before the bar rises
_EDGE = 1e-6  # keeps a logit finite


def logit(score: float) -> float:
    """Return the log-odds of a score in [0, 1], finite."""
    share = min(max(score, _EDGE), 1 - _EDGE)
    return math.log(share / (1 - share))


def expit(log_odds: float) -> float:
    """Return the score of log-odds, in [0, 1]: the inverse of `logit`."""
    if log_odds < 0:
        return 1 - expit(-log_odds)
    return 1 / (1 + math.exp(-log_odds))


class Budget:
    """Alerts of the last 24 hours."""

    def __init__(self, per_day: int) -> None:
        """Start with nothing spent.

        Args:
            per_day: alerts a day; 0: no limit.
        """
        self.per_day = per_day
        self._spent: deque[float] = deque(maxlen=2 * per_day or 1)

    def spend(self, now: float) -> None:
        """Note an alert [s since 1970]."""
        if self.per_day:
            self._spent.append(now)

    def spent(self, now: float) -> int:
        """Return the alerts of the last 24 hours."""
        while self._spent and not 0 <= now - self._spent[0] < DAY_SECONDS:
            self._spent.popleft()  # old, or from a clock that was ahead
        return len(self._spent)

    def bar(self, threshold: float, now: float, coming: int = 0) -> float:
        """Return the logit that an alert needs now, at least that of the threshold, or infinity.

        Args:
            threshold: score from which on a line is anomalous.
            now: [s since 1970].
            coming: alerts that are about to be sent, and not yet spent.
        """
        low = logit(threshold)
        if not self.per_day:
            return low
        share = (self.spent(now) + coming) / self.per_day
        high = max(logit(SEVERE), low)
        if share >= 2:
            return math.inf
        rise = (high - low) * min(max((share - _FREE) / (1 - _FREE), 0.0), 1.0)
        return min(low + rise, high)  # rounding must not shut out what is just severe

    def state(self) -> list[float]:
        """Return what `load` needs."""
        return list(self._spent)

    def load(self, saved: Any) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it did not.
        """
        if not isinstance(saved, list) or not all(
            isinstance(at, float) and math.isfinite(at) for at in saved
        ):
            raise ValueError("the budget is no list of times")
        self._spent.extend(saved)
