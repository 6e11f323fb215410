"""A learning period: what becomes routine, how sensitive a host gets, and a month after it."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.policy import learning as module
from logagent.policy.facts import EXPIRE_SECONDS, Facts, told
from logagent.policy.habits import ROUTINE, Habits, shift
from logagent.policy.learning import Learner

THRESHOLDS = {"low": 0.959, "normal": 0.895, "high": 0.688}
HOUR, DAY = 3600.0, 86_400.0
BEGAN = 1_773_472_561.0
LOG = "/var/log/syslog"


def learner(seconds: float = DAY, budget: float = 20) -> Learner:
    return Learner(BEGAN, seconds, budget, THRESHOLDS)


def watch(made: Learner, seconds: float, began: float = BEGAN, lines: int = 100) -> float:
    """Be there for some time; return the time it is then."""
    now = began
    while now < began + seconds:
        now += 300
        made.tick(now, lines)
    return now


def see(made: Learner, group: bytes, score: float, hours: list[int], count: int = 10) -> None:
    """See a group in some hours, at their begin."""
    for hour in hours:
        made.see(LOG, group, group, b"a line of " + group, score, count, BEGAN + hour * HOUR)


def learnt(groups: dict[bytes, tuple[float, list[int]]], **options: Any) -> Facts:
    """Watch a day with some groups: score and hours of each."""
    made = learner(**options)
    for hour in range(24):
        watch(made, HOUR, BEGAN + hour * HOUR)
        for group, (score, hours) in groups.items():
            if hour in hours:
                now = BEGAN + hour * HOUR + 3599
                made.see(LOG, group, group, b"a line of " + group, score, 10, now)
    return made.finish(BEGAN + DAY, host="router-7", model="ab")


# -- the threshold


def test_a_quiet_host_hears_more() -> None:
    facts = learnt({b"one": (0.9, [3]), b"two": (0.7, [5])})

    assert THRESHOLDS["high"] == facts.threshold
    assert THRESHOLDS["normal"] == facts.old_threshold


def test_a_noisy_host_hears_less() -> None:
    groups = {b"%d" % number: (0.9 + number / 1000, [number % 24]) for number in range(20)}
    facts = learnt(groups)

    # Five a day are a quarter of twenty: 0.915 to 0.919.
    assert facts.threshold == pytest.approx(0.914, abs=2e-4)
    assert facts.threshold is not None
    assert 5 == sum(score >= facts.threshold for score, _ in groups.values())


def test_the_clearest_are_told_on_the_noisiest_host() -> None:
    facts = learnt({b"%d" % number: (0.99, [number % 24]) for number in range(500)})

    assert THRESHOLDS["low"] == facts.threshold


def test_groups_of_one_score_stand_or_fall_together() -> None:
    facts = learnt({b"%d" % number: (0.8, [number % 24]) for number in range(6)})

    assert 0.8001 == facts.threshold


def test_a_group_counts_on_every_day_it_comes() -> None:
    made = learner(3 * DAY, budget=4)
    for hour in range(72):
        watch(made, HOUR, BEGAN + hour * HOUR)
        now = BEGAN + hour * HOUR + 3599
        for group in (b"daily 1", b"daily 2"):
            made.see(LOG, group, b"", b"", 0.8, 1, now)
    assert 0.8001 == made.finish(BEGAN + 3 * DAY).threshold


def test_a_short_period_is_not_taken_for_a_noisy_day() -> None:
    made = learner(HOUR, budget=20)
    for number in range(5):
        see(made, b"%d" % number, 0.9, [0])
    facts = made.finish(watch(made, HOUR))

    assert THRESHOLDS["high"] == facts.threshold


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 23)), max_size=60),
    st.floats(0.1, 1000),
)
def test_the_threshold_keeps_to_the_budget_and_between_high_and_low(
    seen: list[tuple[float, int]], budget: float
) -> None:
    made = learner(budget=budget)
    now = watch(made, DAY)
    for number, (score, _) in enumerate(seen):
        made.see(LOG, b"%d" % number, b"", b"", score, 1, now)
    threshold = made.finish(now).threshold

    assert threshold is not None
    assert THRESHOLDS["high"] <= threshold <= THRESHOLDS["low"]
    if threshold < THRESHOLDS["low"]:
        assert sum(score >= threshold for score, _ in seen) <= budget / 4


# -- what is routine


def test_what_came_in_many_hours_is_routine() -> None:
    facts = learnt({
        b"hourly": (0.9, list(range(24))),
        b"thrice": (0.7, [1, 9, 17]),
        b"twice": (0.9, [1, 9]),
        b"clear": (0.96, list(range(24))),
        b"low": (0.5, list(range(24))),
    })  # fmt: skip

    assert [("hourly", 24, 240.0), ("thrice", 3, 30.0)] == [
        (each.group, each.hours, each.per_day) for each in facts.routine
    ]
    hourly = facts.routine[0]
    assert (LOG, 0.9, "a line of hourly") == (hourly.source, hourly.score, hourly.sample)
    assert "" == facts.note
    assert 24 * 12 * 100 == facts.lines
    assert DAY == facts.watched_seconds
    assert EXPIRE_SECONDS == facts.expires - facts.learned_at
    assert ("router-7", "ab") == (facts.host, facts.model)


def test_three_hours_of_a_week_are_not_routine() -> None:
    made = learner(7 * DAY)
    for hour in range(168):
        watch(made, HOUR, BEGAN + hour * HOUR)
        now = BEGAN + hour * HOUR + 3599
        if hour < 16:
            made.see(LOG, b"some", b"", b"", 0.8, 1, now)
        if hour % 9 == 0:
            made.see(LOG, b"often", b"", b"", 0.8, 1, now)

    assert ["often"] == [each.group for each in made.finish(BEGAN + 7 * DAY).routine]


def test_a_group_that_was_ever_clear_is_not_routine() -> None:
    made = learner()
    see(made, b"disk", 0.7, [1, 2, 3, 4, 5])
    see(made, b"disk", 0.97, [6])

    assert () == made.finish(watch(made, DAY)).routine


def test_the_most_frequent_are_listed() -> None:
    groups = {b"%d" % number: (0.8, list(range(3 + (number > 299)))) for number in range(500)}
    facts = learnt(groups)

    assert 200 == len(facts.routine)
    assert {4} == {each.hours for each in facts.routine}


def test_a_hostile_line_is_shown_escaped() -> None:
    made = learner()
    for hour in range(5):
        made.see(LOG, b"\xff\x1b", b"t", b"\x1b[2J\xff", 0.9, 1, BEGAN + hour * HOUR)
    facts = made.finish(BEGAN + 5 * HOUR)

    assert "\\x1b[2J\ufffd" == facts.routine[0].sample
    assert all(line.isprintable() for line in told(facts))
    assert facts.routine[0] == facts.routine_of(LOG, b"\xff\x1b")


def test_a_group_goes_on_in_the_next_month() -> None:
    made = learner()
    for hour, date in enumerate((b"Sun Nov #", b"Sun Nov #", b"Mon Dec #")):
        group = date + b" *:*:* # router dhcp: no free leases"
        made.see(LOG, group, group, group, 0.9, 1, BEGAN + hour * HOUR)

    assert [3] == [each.hours for each in made.finish(BEGAN + 3 * HOUR).routine]


# -- too little


def test_few_lines_move_no_threshold() -> None:
    made = learner()
    see(made, b"x", 0.9, [1], count=3)
    facts = made.finish(watch(made, DAY, lines=1))

    assert facts.threshold is None
    assert "only 288 lines, 1,000 are needed for a threshold" == facts.note


def test_an_agent_that_was_off_learns_no_threshold() -> None:
    made = learner()
    watch(made, 2 * HOUR, lines=1000)
    facts = made.finish(BEGAN + DAY)

    assert facts.threshold is None
    assert "the agent was there for 2.0 of 24.0 hours, too little for a threshold" == facts.note
    assert 2 * HOUR == facts.watched_seconds


def test_without_a_budget_there_is_no_threshold() -> None:
    facts = learnt({}, budget=0)

    assert facts.threshold is None
    assert "no budget" in facts.note


def test_lines_are_counted_of_groups_where_nobody_tells_them_all() -> None:
    made = learner()
    see(made, b"x", 0.9, [1], count=5000)
    assert 5000 == made.finish(watch(made, DAY, lines=0)).lines


# -- bounded, and restarted


def test_a_flood_of_groups_is_bounded_counted_and_costs_no_routine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_GROUPS", 100)
    monkeypatch.setattr(module, "_KEPT", 75)
    made = learner(budget=4)
    see(made, b"routine", 0.7, [0, 1, 2, 3])
    made.see(LOG, b"top", b"", b"", 0.95, 1, BEGAN + 3 * HOUR)
    for number in range(1000):
        made.see(LOG, b"%d" % number, b"", b"", 0.8, 1, BEGAN + 3 * HOUR)
        assert len(made._groups) <= 100
    watch(made, 20 * HOUR, BEGAN + 3 * HOUR)
    facts = made.finish(BEGAN + DAY)

    assert ["routine"] == [each.group for each in facts.routine]
    assert 0.8001 == facts.threshold  # one a day: the top one
    assert made.evicted >= 900
    assert f"{made.evicted:,} groups did not fit and were let go" == facts.note


@pytest.mark.parametrize(
    "sight",
    [(LOG, b"x" * 513, 0.9), ("s" * 257, b"x", 0.9), (LOG, b"x", math.nan), (LOG, b"x", 0.687)],
)
def test_what_is_too_long_or_too_low_is_not_kept(sight: tuple[str, bytes, float]) -> None:
    source, group, score = sight
    made = learner()
    made.see(source, group, b"", b"", score, 1, BEGAN)

    assert {} == made._groups


def test_it_is_done_when_the_time_has_passed() -> None:
    made = learner()

    assert not made.done(BEGAN + DAY - 1)
    assert 1 == made.left_seconds(BEGAN + DAY - 1)
    assert made.done(BEGAN + DAY)
    assert 0 == made.left_seconds(BEGAN + 2 * DAY)


def test_a_clock_that_is_set_does_not_end_learning() -> None:
    made = Learner(100.0, DAY, 20, THRESHOLDS)
    made.tick(200.0)
    made.tick(BEGAN)

    assert not made.done(BEGAN + 60)
    assert made.done(BEGAN + DAY)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b\xff", b""]), st.floats(0, 1), st.integers(0, 7000)),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_a_restart_in_the_middle_changes_nothing(
    sights: list[tuple[bytes, float, int]], middle: int
) -> None:
    whole, half = learner(), learner()
    now = BEGAN
    for number, (group, score, wait) in enumerate(sights):
        if number == middle:
            saved = msgpack.unpackb(msgpack.packb(half.state()))
            half = Learner(now, HOUR, 20, THRESHOLDS)
            half.load(saved)
        now += wait
        for each in (whole, half):
            each.see(LOG, group, group, b"text", score, 200, now)

    assert whole.state() == half.state()
    assert whole.finish(now) == half.finish(now)
    assert DAY == half.seconds


GROUP: list[Any] = [LOG, "g", 0.9, "text", [1, 1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 0.0),
        (0, math.inf),
        (0, "x"),
        (1, [math.nan, 0.0]),
        (1, None),
        (2, math.nan),
        (2, -1.0),
        (3, [0, -1]),
        (3, [2**62, 0]),
        (4, None),
        (4, [GROUP] * 1001),
        (4, [GROUP[:-1]]),
        (4, [[LOG, "g", 1.5, "text", GROUP[4]]]),
        (4, [[LOG, "g", 0.9, "x" * 161, GROUP[4]]]),
        (4, [[LOG, "g" * 2049, 0.9, "x", GROUP[4]]]),
        (4, [[LOG, "g", 0.9, "x", [1, 1, 1, 0, -1]]]),
        (5, 0),
    ],
)
def test_a_state_that_makes_no_sense_is_refused_and_changes_nothing(at: int, value: Any) -> None:
    made = learner()
    see(made, b"x", 0.9, [1, 2])
    before, saved = made.state(), made.state()
    saved[at : at + 1] = [value]

    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        made.load(saved)
    assert before == made.state()


# -- a month


def test_noise_of_the_learning_period_is_lowered_and_a_later_failure_never() -> None:
    """Thirty days: noise every twenty minutes; from day 3 on a failure every ten minutes."""
    habits, made = Habits(), learner()
    facts = None
    noise, failure = b"dhcp * timed out", b"disk * read error"
    noises, failures = [], []
    for minute in range(0, 30 * 24 * 60, 10):
        now = BEGAN + minute * 60
        if facts is None:
            made.tick(now, 1000)
            if made.done(now):
                facts = made.finish(now)
        if minute % 20 == 0:
            noises.append(shift(habits, facts, LOG, noise, 0.92, now, THRESHOLDS["low"]).logits)
            habits.see(LOG, noise, now, 5)
            if facts is None:
                made.see(LOG, noise, noise, noise, 0.92, 5, now)
        if minute >= 3 * 24 * 60:
            failures.append(shift(habits, facts, LOG, failure, 0.92, now, THRESHOLDS["low"]).logits)
            habits.see(LOG, failure, now, 5)

    assert facts is not None
    assert ["dhcp * timed out"] == [each.group for each in facts.routine]
    assert {0.0} == set(noises[:72])
    assert -ROUTINE == noises[-1] == min(noises)
    assert 27 * 144 == len(failures)
    assert failures[0] > 0
    assert {0.0} == set(failures[1:])
