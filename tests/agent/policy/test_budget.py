"""A noisy morning must not hide a dying disk in the evening."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.policy.budget import SEVERE, Budget, expit, logit

DAY = 86_400.0
NOON = 1_800_000_000.0
LOW = 0.9


def spent(alerts: int, per_day: int = 20) -> Budget:
    budget = Budget(per_day)
    for number in range(alerts):
        budget.spend(NOON + number)
    return budget


@pytest.mark.parametrize("alerts", [0, 1, 10])
def test_half_of_the_budget_is_spent_freely(alerts: int) -> None:
    assert logit(LOW) == spent(alerts).bar(LOW, NOON + 60)


def test_from_there_on_the_bar_rises_until_only_severe_failures_pass() -> None:
    bars = [spent(alerts).bar(LOW, NOON + 60) for alerts in range(10, 21)]

    assert bars == sorted(set(bars))
    assert logit(SEVERE) == pytest.approx(bars[-1])
    assert logit(SEVERE) == pytest.approx(spent(39).bar(LOW, NOON + 60))


def test_at_twice_the_budget_nothing_passes() -> None:
    assert math.inf == spent(40).bar(LOW, NOON + 60)
    assert math.inf == spent(100).bar(LOW, NOON + 200)


def test_alerts_that_are_coming_count() -> None:
    assert spent(20).bar(LOW, NOON + 60) == spent(15).bar(LOW, NOON + 60, 5)
    assert math.inf == spent(30).bar(LOW, NOON + 60, 10)


def test_what_was_spent_a_day_ago_is_there_again() -> None:
    budget = spent(20)

    assert 20 == budget.spent(NOON + DAY - 1)
    assert 19 == budget.spent(NOON + DAY)
    assert 0 == budget.spent(NOON + DAY + 20)


def test_a_clock_that_was_set_back_gives_the_budget_back() -> None:
    assert 0 == spent(20).spent(NOON - 60)


def test_without_a_limit_the_bar_is_the_threshold() -> None:
    assert logit(LOW) == spent(1000, per_day=0).bar(LOW, NOON)
    assert [] == spent(1000, per_day=0).state()


def test_a_threshold_above_severe_is_never_lowered() -> None:
    assert logit(0.99) == spent(20).bar(0.99, NOON + 60)


def test_no_more_times_are_kept_than_matter() -> None:
    assert 40 == len(spent(1000).state())


@given(st.floats(0, 1), st.integers(0, 50), st.integers(1, 20))
def test_the_bar_is_never_below_the_threshold_nor_above_what_is_severe(
    threshold: float, alerts: int, per_day: int
) -> None:
    bar = spent(alerts, per_day).bar(threshold, NOON + 60)

    assert bar >= logit(threshold)
    assert alerts >= 2 * per_day or bar <= max(logit(SEVERE), logit(threshold))


@given(st.floats(0, 1))
def test_logits_lead_back_to_the_score(score: float) -> None:
    assert score == pytest.approx(expit(logit(score)), abs=2e-6)
    assert math.isfinite(logit(score))


@given(st.floats(-1e6, 1e6))
def test_a_score_is_in_its_range_whatever_the_logit(log_odds: float) -> None:
    assert 0 <= expit(log_odds) <= 1


def test_what_was_saved_is_loaded() -> None:
    budget = Budget(20)
    budget.load(spent(15).state())

    assert spent(15).state() == budget.state()


@pytest.mark.parametrize("saved", [None, {}, "text", 7, [None], [1], ["1"], [math.nan], [math.inf]])
def test_what_is_no_list_of_times_is_refused(saved: Any) -> None:
    with pytest.raises(ValueError, match="budget"):
        Budget(20).load(saved)
