"""Rates, without waiting for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from logagent_build.annotate.limits import Limiter


@given(st.lists(st.floats(0.1, 30), min_size=1, max_size=60), st.integers(10, 600))
def test_no_minute_holds_more_than_the_limit_and_a_burst(amounts: list[float], limit: int) -> None:
    now = 0.0
    limiter = Limiter(limit, lambda: now)
    sent: list[tuple[float, float]] = []
    for amount in amounts:
        now += limiter.reserve(amount)
        sent.append((now, amount))

    for start, _ in sent:
        within = [amount for when, amount in sent if start <= when < start + 60]
        assert sum(within[:-1]) <= limit * 1.1 + 1e-6  # the last may be larger than any burst


def test_no_limit_never_waits() -> None:
    assert 0 == Limiter(0, lambda: 0.0).reserve(1e9)


def test_idle_time_is_not_saved_up() -> None:
    now = 0.0
    limiter = Limiter(60, lambda: now)
    now = 3600.0
    waits = [limiter.reserve(1) for _ in range(10)]

    assert 3 <= waits[-1] <= 4
