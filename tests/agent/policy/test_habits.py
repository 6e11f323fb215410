"""What this host says, and how often; and that a failure that repeats is never learnt away."""

from __future__ import annotations

import math
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.override_entries import group_text
from logagent.policy.facts import EXPIRE_SECONDS, Facts, Routine
from logagent.policy.habits import (
    FIRST_EVER,
    ROUTINE,
    Habits,
    ask_to_forget,
    asked_to_forget,
    shift,
)
from logagent.policy.hours import HourSketch

HOUR, DAY = 3600.0, 86_400.0
BEGAN = 1_773_472_561.0
CLEAR = 0.959
LOG = "/var/log/syslog"
KEYS = [f"group {number}".encode() for number in range(6)]


def facts_of(*groups: bytes, at: float = BEGAN, per_day: float = 100.0) -> Facts:
    routine = tuple(Routine(group_text(each), LOG, per_day, 20, 0.9) for each in groups)
    return Facts("host", at, at + EXPIRE_SECONDS, DAY, 9999, None, 0.895, routine)


def habits_after(hours: int, group: bytes = b"noise") -> tuple[Habits, float]:
    """Return habits of a host that said one thing every hour, and the time it is."""
    habits = Habits()
    for hour in range(hours):
        habits.see(LOG, group, BEGAN + hour * HOUR)
    return habits, BEGAN + (hours - 1) * HOUR


SIGHTS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from([0, 1, 59, 600, 3600, 7200, 90_000, 700_000])),
    max_size=40,
)


@settings(deadline=None)
@given(SIGHTS, st.sampled_from([HOUR, 7 * DAY]), st.sampled_from([(1, 2), (4, 1024)]))
def test_hours_are_never_below_an_exact_count(
    sights: list[tuple[bytes, int]], half_life: float, size: tuple[int, int]
) -> None:
    habits = Habits(half_life)
    habits._by_source = HourSketch(*size, half_life / HOUR)
    exact: dict[bytes, set[int]] = {}
    passed = 0
    for number, (key, wait) in enumerate(sights):
        passed += wait if number else 0  # hours are counted from the first sight
        exact.setdefault(key, set()).add(passed // 3600)
        habits.see(LOG, key, BEGAN + passed)
    now = BEGAN + passed
    for key in KEYS:
        seen = exact.get(key, set())
        expected = sum(2.0 ** -((passed // 3600 - hour) * HOUR / half_life) for hour in seen)
        assert habits.hours(LOG, key, now) >= expected * (1 - 1e-9) - 2.0**-100
        if size == (4, 1024):  # six keys share no four cells
            assert habits.hours(LOG, key, now) == pytest.approx(expected, rel=1e-5)
            assert habits.hours("/other", key, now) == 0


def test_a_storm_in_one_hour_counts_one_hour() -> None:
    habits = Habits()
    for second in range(3000):
        habits.see(LOG, b"storm", BEGAN + second)

    assert 1 == pytest.approx(habits.hours(LOG, b"storm", BEGAN + 3000), rel=1e-6)


def test_more_groups_than_are_remembered_by_name_count_an_hour_once() -> None:
    habits = Habits()
    for _ in range(2):
        for number in range(1500):
            habits.see(LOG, b"%d" % number, BEGAN)

    counts = [habits.hours(LOG, b"%d" % number, BEGAN) for number in range(1500)]
    assert [1] * 1500 == pytest.approx(counts, rel=1e-6)


def test_five_hundred_groups_hardly_disturb_each_other() -> None:
    habits = Habits()
    for number in range(500):
        habits.see(LOG, b"%d" % number, BEGAN)
    habits.see(LOG, b"rare", BEGAN + HOUR)
    for hour in range(2, 5):
        for number in range(500):
            habits.see(LOG, b"%d" % number, BEGAN + hour * HOUR)
    now = BEGAN + 5 * HOUR
    unseen = [habits.hours(LOG, b"unseen %d" % number, now) for number in range(500)]

    assert habits.hours(LOG, b"rare", now) < 1.01
    assert sum(count > 0 for count in unseen) < 10


def test_an_hour_counts_half_after_the_half_life() -> None:
    habits, now = habits_after(1)

    assert 0.5 == pytest.approx(habits.hours(LOG, b"noise", now + 7 * DAY), rel=1e-6)
    assert 0.25 == pytest.approx(habits.hours_anywhere(b"noise", now + 14 * DAY), rel=1e-6)


def test_counts_decay_on_when_the_cells_are_scaled_down() -> None:
    habits = Habits(HOUR)
    for hour in (*range(12, 16), 17):
        habits.see(LOG, b"noise", BEGAN + (hour - 12) * HOUR)
    for hour in (15, 18, 40):
        habits.see(LOG, b"other", BEGAN + (hour - 12) * HOUR)
    now = BEGAN + 28 * HOUR
    expected = sum(2.0 ** (hour - 40) for hour in (*range(12, 16), 17))

    assert expected == pytest.approx(habits.hours(LOG, b"noise", now), rel=1e-5)


def test_years_of_hours_stay_finite() -> None:
    habits = Habits(HOUR)
    now = BEGAN
    for _ in range(200):
        now += 29 * DAY
        habits.see(LOG, b"noise", now)

    assert 1 == pytest.approx(habits.hours(LOG, b"noise", now), rel=1e-5)
    Habits(HOUR).load(habits.state())


@pytest.mark.parametrize("first", [0.0, 1e6])
def test_a_clock_that_is_set_after_the_boot_makes_no_old_acquaintance(first: float) -> None:
    habits = Habits()
    habits.see(LOG, b"boot", first)
    habits.see(LOG, b"boot", BEGAN)

    assert first == habits.began
    assert 0 == habits.known_seconds(BEGAN)
    assert 1 == pytest.approx(habits.hours(LOG, b"boot", BEGAN), rel=1e-6)
    assert 0 == shift(habits, None, LOG, b"new", 0.9, BEGAN + HOUR, CLEAR).logits


@pytest.mark.parametrize("back", [1.0, HOUR, 300 * DAY, BEGAN])
def test_a_clock_that_goes_back_breaks_nothing(back: float) -> None:
    habits, now = habits_after(30)
    before = habits.hours(LOG, b"noise", now)
    habits.see(LOG, b"noise", now - back)
    assert before == habits.hours(LOG, b"noise", now - back)
    assert 29 * HOUR == habits.known_seconds(now - back)

    for hour in range(1, 60):
        habits.see(LOG, b"noise", now - back + hour * HOUR)
    assert habits.hours(LOG, b"noise", now - back + 59 * HOUR) > before


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_no_time_at_all_breaks_nothing(now: float) -> None:
    habits = Habits()
    habits.see(LOG, b"x", now)
    assert habits.began is None
    habits.see(LOG, b"x", BEGAN)
    habits.see(LOG, b"x", now)

    assert 1 == pytest.approx(habits.hours(LOG, b"x", now), rel=1e-6)
    Habits().load(habits.state())


# -- the saved state


@settings(deadline=None, max_examples=30)
@given(SIGHTS)
def test_habits_survive_a_restart(sights: list[tuple[bytes, int]]) -> None:
    facts = facts_of(*KEYS[:2])
    habits, now = Habits(), BEGAN
    habits.follow(facts)
    for key, wait in sights:
        now += wait
        habits.see(LOG, key, now, 7)
    other = Habits()
    other.load(msgpack.unpackb(msgpack.packb(habits.state())))
    other.follow(facts)

    assert habits.state() == other.state()
    for each in (habits, other):
        each.see(LOG, KEYS[0], now + 1800, 7)
    for key in KEYS:
        assert habits.hours(LOG, key, now) == other.hours(LOG, key, now)
    for each in facts.routine:
        assert habits.day_lines(each, now) == other.day_lines(each, now)
    assert habits.known_seconds(now) == other.known_seconds(now)
    assert habits.began == other.began


def test_an_untouched_state_is_small_and_the_fullest_within_its_limit() -> None:
    habits = Habits()
    assert len(msgpack.packb(habits.state())) < 2000

    noise = np.random.default_rng(1)
    for sketch in (habits._by_source, habits._anywhere):
        sketch._cells[:] = noise.random(sketch._cells.shape)
        sketch._touched[:] = noise.random(sketch._cells.shape) < 0.5
    for number in range(200):
        habits._lines[b"%08d" % number] = [2**40] * 3
    assert len(msgpack.packb(habits.state())) <= 80 * 1024


def test_habits_take_64_kib() -> None:
    habits = Habits()
    sketches = (habits._by_source, habits._anywhere)

    assert sum(each._cells.nbytes + each._touched.nbytes for each in sketches) <= 64 * 1024


NONSENSE: dict[str, Any] = {
    "nothing": None,
    "other": {"a": 1},
    "short": [168.0],
    "half-life": (0, 24.0),
    "began": (1, math.nan),
    "age": (2, [0.0, -1.0]),
    "age-text": (2, "x"),
    "hour": (3, 0, -1),
    "far-hour": (3, 0, 2**62),
    "base": (3, 1, 1e9),
    "base-nan": (3, 1, math.nan),
    "bomb": (3, 2, zlib.compress(bytes(10**7))),
    "cells": (3, 2, zlib.compress(np.full((4, 2048), -1, "<f4").tobytes())),
    "infinite": (3, 2, zlib.compress(np.full((4, 2048), np.inf, "<f4").tobytes())),
    "torn": (3, 2, b"\x78\x01\xff\xff"),
    "empty": (3, 2, b""),
    "bits": (3, 3, b"\0"),
    "count": (5, [[b"12345678", 1, -1, 0]]),
    "count-key": (5, [[b"1", 1, 1, 0]]),
    "counts": (5, [[b"12345678", 1, 1, 0]] * 201),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_state_that_makes_no_sense_is_refused_and_changes_nothing(name: str) -> None:
    saved: Any = habits_after(5)[0].state()
    match NONSENSE[name]:
        case (int(at), value):
            saved[at] = value
        case (int(at), int(below), value):
            saved[at][below] = value
        case other:
            saved = other
    habits, _ = habits_after(3)
    before = habits.state()

    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        habits.load(saved)
    assert before == habits.state()


def test_a_state_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(32)) + packer.flush()
    saved = Habits().state()
    saved[3][2] = bomb
    habits = Habits()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="another size"):
            habits.load(saved)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# -- how far a rank is moved


@pytest.mark.parametrize(
    ("known", "logits"),
    [(DAY - 1, 0.0), (DAY, FIRST_EVER / 2), (4 * DAY, FIRST_EVER * 0.75), (7 * DAY, FIRST_EVER),
     (29 * DAY, FIRST_EVER)],
)  # fmt: skip
def test_what_was_never_seen_counts_more_the_longer_a_host_is_known(
    known: float, logits: float
) -> None:
    habits, began = habits_after(1)
    moved = shift(habits, None, LOG, b"never", 0.7, began + known, CLEAR)

    assert logits == pytest.approx(moved.logits)
    assert bool(moved.reason) == (logits > 0)


def test_what_was_seen_in_another_source_is_not_new() -> None:
    habits, now = habits_after(30)

    assert (0.0, "") == shift(habits, None, "/other", b"noise", 0.7, now, CLEAR)
    moved = shift(habits, None, "/other", b"never", 0.7, now, CLEAR)
    assert "first time on this host, known for 1 day" == moved.reason


def test_a_group_with_a_date_in_it_is_no_news_in_the_next_month() -> None:
    habits, now = habits_after(60, b"Sat Nov # *:*:* # router dhcp: no free leases")
    december = b"Tue Dec # *:*:* # router dhcp: no free leases"
    moved = shift(habits, None, LOG, december, 0.9, now, CLEAR)
    assert 0 == moved.logits

    facts = facts_of(b"Sat Nov # *:*:* # router dhcp: no free leases")
    assert shift(habits, facts, LOG, december, 0.9, now, CLEAR).logits < 0


def test_frequency_alone_never_lowers() -> None:
    habits, now = habits_after(24 * 60)

    assert 0 == shift(habits, None, LOG, b"noise", 0.7, now, CLEAR).logits
    assert 0 == shift(habits, facts_of(b"other"), LOG, b"noise", 0.7, now, CLEAR).logits


def test_a_routine_group_is_lowered_the_more_the_longer_it_goes_on() -> None:
    facts = facts_of(b"noise")
    moved = []
    for hours in (1, 12, 24, 24 * 3):
        habits, now = habits_after(hours)
        moved.append(shift(habits, facts, LOG, b"noise", 0.9, now, CLEAR).logits)

    assert sorted(moved, reverse=True) == moved
    assert -0.1 < moved[0] < 0
    assert -ROUTINE == moved[-1]


def test_it_is_lowered_in_its_own_source_only() -> None:
    habits, now = habits_after(72)

    assert 0 == shift(habits, facts_of(b"noise"), "/other", b"noise", 0.9, now, CLEAR).logits


def test_a_clear_failure_is_never_lowered() -> None:
    habits, now = habits_after(72)
    facts = facts_of(b"noise")

    assert shift(habits, facts, LOG, b"noise", CLEAR - 1e-9, now, CLEAR).logits < 0
    for score in (CLEAR, 1.0, math.nan):
        moved = shift(habits, facts, LOG, b"noise", score, now, CLEAR)
        assert 0 == moved.logits
        assert "too clear" in moved.reason


def test_a_routine_group_that_comes_ten_times_as_often_is_not_lowered_until_a_day_was_calm() -> (
    None
):
    habits, now = habits_after(72)
    facts = facts_of(b"noise", per_day=100)

    def logits() -> float:
        return shift(habits, facts, LOG, b"noise", 0.9, now, CLEAR).logits

    assert logits() < 0
    habits.see(LOG, b"noise", now, 999)
    assert logits() < 0
    habits.see(LOG, b"noise", now, 1)
    assert 0 == logits()
    now += DAY
    assert 0 == logits()
    now += DAY
    assert logits() < 0


def test_expired_facts_lower_nothing() -> None:
    habits, now = habits_after(72)
    facts = facts_of(b"noise", at=now - EXPIRE_SECONDS)

    assert shift(habits, facts, LOG, b"noise", 0.9, now - 1, CLEAR).logits < 0
    assert 0 == shift(habits, facts, LOG, b"noise", 0.9, now, CLEAR).logits


@settings(deadline=None)
@given(
    SIGHTS,
    st.sampled_from([None, facts_of(*KEYS[:3]), facts_of(*KEYS[:3], per_day=0.0)]),
    st.sampled_from([*KEYS, b"never"]),
    st.floats(0, 1),
    st.floats(-DAY, 100 * DAY),
)
def test_a_shift_keeps_its_bounds_and_lowers_only_what_was_listed(
    sights: list[tuple[bytes, int]], facts: Facts | None, group: bytes, score: float, wait: float
) -> None:
    habits, now = Habits(), BEGAN
    for key, passed in sights:
        now += passed
        habits.see(LOG, key, now, 10)
    logits, reason = shift(habits, facts, LOG, group, score, now + wait, CLEAR)

    assert -ROUTINE <= logits <= FIRST_EVER
    assert reason or not logits
    if score >= CLEAR or facts is None or group not in KEYS[:3]:
        assert logits >= 0


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 2000), st.integers(1, 48), st.floats(0, 1))
def test_what_begins_after_learning_is_never_lowered_however_often_it_comes(
    times: int, apart_hours: int, score: float
) -> None:
    habits, now = habits_after(24)
    facts = facts_of(b"noise", at=now)
    habits.follow(facts)
    for _ in range(min(times, 24 * 90 // apart_hours)):
        now += apart_hours * HOUR
        habits.see(LOG, b"late", now, times)
        assert shift(habits, facts, LOG, b"late", score, now, CLEAR).logits >= 0


# -- forgetting on demand


def test_a_note_to_forget_is_read_once(tmp_path: Path) -> None:
    assert not asked_to_forget(tmp_path)
    ask_to_forget(tmp_path)
    ask_to_forget(tmp_path)
    assert asked_to_forget(tmp_path)
    assert not asked_to_forget(tmp_path)
    assert [] == list(tmp_path.iterdir())
