"""What is usual for a group, and what is a burst of it."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.policy.rate import BURST_LINES, BURST_TIMES, Rate

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
NOON = 1_800_000_000.0


def after(hours: int, per_hour: int) -> tuple[Rate, float]:
    """Return the rate of a group that came regularly, and the time it is."""
    rate, now = Rate(NOON, NOON), NOON
    for _ in range(hours * per_hour):
        now += HOUR / per_hour
        rate.count(1, now)
    return rate, now


def test_what_comes_as_often_as_ever_is_no_burst() -> None:
    for per_hour in (1, 60, 3600):
        for hours in (2, 12, 72):
            rate, now = after(hours, per_hour)
            assert not rate.is_burst(now)
            assert rate.times_usual(now) == 0 or 0.8 < rate.times_usual(now) < 1.3


def test_twenty_times_the_usual_is_a_burst_and_says_so() -> None:
    rate, now = after(24, 60)  # five lines in five minutes
    for _ in range(300):
        now += 1
        rate.count(1, now)
    # Of 300 seconds the fast count has kept 1 - 1/e.
    assert 30 < rate.times_usual(now) < 60
    assert rate.is_burst(now)


def test_a_burst_is_over_some_minutes_later() -> None:
    rate, now = after(24, 6)
    rate.count(200, now)

    assert rate.is_burst(now)
    assert not rate.is_burst(now + 0.5 * HOUR)


def test_a_group_without_a_past_has_no_bursts() -> None:
    rate = Rate(NOON, NOON)
    rate.count(100_000, NOON + HOUR - 1)

    assert 0 == rate.times_usual(NOON + HOUR - 1)
    assert rate.times_usual(NOON + HOUR) > BURST_TIMES


def test_a_few_lines_are_no_burst_however_rare_the_group_was() -> None:
    rate, now = after(24, 1)
    rate.count(int(BURST_LINES) - 2, now)
    assert 0 == rate.times_usual(now)

    rate.count(2, now)
    assert rate.is_burst(now)


def test_a_clock_that_was_set_back_leaves_the_group_a_past_an_hour_later() -> None:
    rate, now = after(24, 6)
    now -= YEAR
    rate.count(1, now)
    assert 0 == rate.times_usual(now)

    rate.count(500, now + HOUR)
    assert rate.is_burst(now + HOUR)


TIMES = st.lists(
    st.tuples(st.integers(0, 10**6), st.floats(-YEAR, YEAR) | st.floats(0, HOUR)), max_size=40
)


@settings(max_examples=100, deadline=None)
@given(TIMES)
def test_however_the_clock_jumps_the_numbers_stay_sensible(steps: list[tuple[int, float]]) -> None:
    rate, now, lines = Rate(NOON, NOON), NOON, 0
    for count, seconds in steps:
        now, lines = now + seconds, lines + count
        rate.count(count, now)
        assert 0 <= rate.fast <= rate.slow * (1 + 1e-9) + 1e-9
        assert rate.slow <= lines * (1 + 1e-9)
        assert 0 <= rate.times_usual(now) < math.inf
        assert rate.began <= now
