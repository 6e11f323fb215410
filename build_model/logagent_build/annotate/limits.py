"""Requests and tokens per minute: when the next one may be sent.

Guarantees: over any minute no more than the limit plus one burst of a tenth of it is taken;
amounts larger than the burst are let through one at a time and waited for afterwards. Safe to
share between threads. Clock and waiting are given, so that tests need not sleep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Limiter"]

_MINUTE = 60.0  # [s]
_BURST = 0.1  # share of the limit that may be taken at once


class Limiter:
    """Lets `per_minute` units through, evenly; 0 means no limit."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / _MINUTE
        self._burst_seconds = _BURST * _MINUTE if per_minute else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock() - self._burst_seconds

    def reserve(self, amount: float) -> float:
        """Take `amount` units and return how many seconds to wait before using them."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._clock()
            start = max(self._free_at, now - self._burst_seconds)
            self._free_at = start + amount / self._rate
            return max(0.0, start - now)
