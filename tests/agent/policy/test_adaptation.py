"""The habits of a host, where they meet the policy."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.override_entries import group_text
from logagent.policy.adaptation import HostAdaptation, lowest_score
from logagent.policy.budget import logit
from logagent.policy.facts import Facts, Routine
from logagent.policy.habits import FIRST_EVER, ROUTINE
from logagent.policy.learning import Learner

from .driven import DAY, HOUR, NOON, SEVERE, THRESHOLD, WARNING, Driven, key

CLEAR = 0.96
LOG = "/var/log/a"
THRESHOLDS = {"low": CLEAR, "normal": 0.9, "high": 0.8}


def learner(seconds: float = DAY) -> Learner:
    return Learner(NOON, seconds, 20, THRESHOLDS, old_threshold=0.9)


def see(adaptation: HostAdaptation, key: bytes, now: float, score: float = WARNING) -> None:
    adaptation.see(LOG, key, key, key, score, 1, now)


def long_known(days: int = 8) -> HostAdaptation:
    """A host that said one thing every hour."""
    adaptation = HostAdaptation(CLEAR)
    for hour in range(24 * days):
        see(adaptation, key(0), NOON - days * DAY + hour * HOUR)
    return adaptation


def facts_of(*keys: bytes) -> Facts:
    routine = tuple(Routine(group_text(each), LOG, 24.0, 24, 0.93) for each in keys)
    return Facts("box", NOON - 8 * DAY, NOON + 90 * DAY, 7 * DAY, 9999, None, 0.9, routine)


def test_what_this_host_never_said_before_is_ranked_higher() -> None:
    driven = Driven(adaptation=long_known())
    new, known = driven.take(key(1)), driven.take(key(0))
    assert new is not None
    assert known is not None

    assert logit(WARNING) + FIRST_EVER == pytest.approx(new.rank)
    assert "first time on this host" in new.shift_reason
    assert (0.0, "") == (known.shift, known.shift_reason)


def test_what_is_just_below_the_threshold_is_told_if_it_was_never_said_before() -> None:
    driven = Driven(adaptation=long_known())
    score = lowest_score(THRESHOLD) + 0.001

    assert driven.take(key(1), score) is not None
    assert driven.take(key(0), score) is None
    assert driven.take(key(2), lowest_score(THRESHOLD) - 0.001) is None
    assert logit(lowest_score(THRESHOLD)) == pytest.approx(logit(THRESHOLD) - FIRST_EVER)


def test_what_is_routine_by_the_operators_wish_is_not_told_unless_it_is_clear() -> None:
    adaptation = long_known()
    adaptation.facts = facts_of(key(0))
    driven = Driven(adaptation=adaptation)

    assert driven.take(key(0), WARNING) is None
    group = driven.take(key(0), SEVERE)
    if group is None:  # it was found doubtful within this hour
        driven.now += HOUR
        group = driven.take(key(0), SEVERE)
    assert group is not None
    assert 0 == group.shift


def test_without_facts_nothing_is_ever_ranked_lower() -> None:
    adaptation = long_known(60)

    assert adaptation.shift(LOG, key(0), 0.91, NOON) == (0.0, "")


def test_the_clear_score_bounds_what_is_lowered() -> None:
    adaptation = long_known()
    adaptation.facts = facts_of(key(0))

    assert -ROUTINE == pytest.approx(adaptation.shift(LOG, key(0), CLEAR - 0.001, NOON)[0], abs=0.3)
    assert 0 == adaptation.shift(LOG, key(0), CLEAR, NOON)[0]


# ---- learning ----


def test_learning_is_over_when_its_time_is_and_lines_count_once() -> None:
    adaptation = HostAdaptation(CLEAR, learner=learner())
    for tick in range(24 * 6 + 2):
        see(adaptation, key(0), NOON + tick * 600)
        adaptation.passed(10)
        over = adaptation.tick(NOON + tick * 600)
    assert over
    assert adaptation.learner is not None
    facts = adaptation.learner.finish(NOON + DAY + HOUR, "box", "")

    assert 10 * (24 * 6 + 2) == facts.lines
    assert [group_text(key(0))] == [each.group for each in facts.routine]


def test_where_nobody_learns_learning_is_never_over() -> None:
    assert not HostAdaptation(CLEAR).tick(NOON + 1000 * DAY)


# ---- what is saved ----


def test_habits_and_the_learner_go_on_after_a_restart() -> None:
    adaptation = HostAdaptation(CLEAR, learner=learner())
    for hour in range(12):
        see(adaptation, key(0), NOON + hour * HOUR)
        adaptation.tick(NOON + hour * HOUR)
    saved = msgpack.unpackb(msgpack.packb(adaptation.state()))
    other = HostAdaptation(CLEAR, learner=learner())
    other.load(saved)

    assert saved == other.state()


def test_a_learner_that_nobody_asks_for_any_more_is_dropped() -> None:
    adaptation = HostAdaptation(CLEAR, learner=learner())
    other = HostAdaptation(CLEAR)
    other.load(adaptation.state())

    assert other.state()["learner"] is None


def test_a_learner_begins_where_none_was_saved() -> None:
    other = HostAdaptation(CLEAR, learner=learner())
    other.load(HostAdaptation(CLEAR).state())

    assert other.learner is not None
    assert not other.tick(NOON)


def test_habits_that_are_to_be_forgotten_leave_the_facts() -> None:
    adaptation = long_known()
    adaptation.facts = facts_of(key(0))
    adaptation.forget()

    assert 0 == adaptation.habits.known_seconds(NOON)
    assert adaptation.facts is not None


JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda each: st.lists(each, max_size=6),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["habits", "learner"]), st.integers(-1, 5), JUNK)
def test_a_state_that_was_tampered_with_is_refused_or_can_be_lived_with(
    part: str, place: int, junk: Any
) -> None:
    adaptation = HostAdaptation(CLEAR, learner=learner())
    see(adaptation, key(0), NOON)
    state = adaptation.state()
    if place < 0:
        state[part] = junk
    else:
        state[part] = list(state[part])
        state[part][min(place, len(state[part]) - 1)] = junk
    other = HostAdaptation(CLEAR, learner=learner())
    try:
        other.load(state)
    except ValueError:
        return
    see(other, key(1), NOON + HOUR)
    other.shift(LOG, key(1), WARNING, NOON)
    other.tick(NOON + HOUR)
    msgpack.packb(other.state())


@pytest.mark.parametrize("saved", [None, [], {}, {"habits": []}, "text"])
def test_what_is_no_state_is_refused(saved: Any) -> None:
    with pytest.raises(ValueError, match="fields"):
        HostAdaptation(CLEAR).load(saved)
