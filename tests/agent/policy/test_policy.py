"""When a group is told: few alerts, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.overrides import Override, Overrides
from logagent.policy.policy import Policy, Settings

from .driven import (
    ALERTS,
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SEVERE,
    THRESHOLD,
    WARNING,
    YEAR,
    Driven,
    Said,
    key,
    kinds,
)

# ---- one alert for one failure ----


def test_what_comes_within_the_wait_is_one_alert_led_by_what_came_first() -> None:
    driven = Driven()
    for number in range(4):
        driven.take(key(number))
        driven.now += 1.5
        assert [] == driven.tell()
    (said,) = driven.wait(MINUTE)

    assert ("new", [key(0), key(1), key(2), key(3)]) == (said.kind, said.keys)
    assert NOON + 4.5 + 2 == said.at


def test_the_lead_is_the_first_of_those_nearly_as_grave_as_the_gravest() -> None:
    driven = Driven()
    for number, score in enumerate((0.91, 0.98, 0.99)):
        driven.take(key(number), score)
        driven.now += 0.1
    (said,) = driven.wait(MINUTE)

    assert [key(1), key(2), key(0)] == said.keys


@pytest.mark.parametrize("score", [WARNING, SEVERE])
def test_nothing_waits_longer_than_five_waits_while_lines_keep_coming(score: float) -> None:
    driven = Driven()
    while not driven.wait(0):
        driven.take(key(0), score)
        driven.now += 0.5

    assert 5 * 2.0 == driven.said[0].at - NOON


def test_without_a_wait_a_group_is_told_at_once() -> None:
    driven = Driven(wait_seconds=0.0)
    driven.take(key(0))

    assert 0 == driven.policy.pending_seconds(driven.now)
    assert ["new"] == kinds(driven.tell())


def test_what_waits_is_told_when_nothing_will_come_any_more() -> None:
    driven = Driven()
    driven.policy.booted(driven.now)
    driven.take(key(0))

    assert [] == driven.tell()
    assert ["new"] == kinds(driven.tell(ending=True))
    assert [] == driven.tell(ending=True)


def test_seven_hundred_equal_lines_are_one_alert_that_counts_them() -> None:
    driven = Driven()
    for _ in range(7):
        driven.take(key(0), count=100)
    said = driven.wait(12 * HOUR)

    assert [("new", [700])] == [(each.kind, each.counts) for each in said]


def test_more_groups_than_an_alert_can_show_make_another_one() -> None:
    driven = Driven()
    for number in range(25):
        driven.take(key(number))
    said = driven.wait(MINUTE)

    assert [11, 11, 3] == [len(each.keys) for each in said]
    assert 3 == len({each.id for each in said})


# ---- due changes nothing ----


def test_what_is_due_stays_due_until_it_was_told() -> None:
    driven = Driven()
    driven.take(key(0))
    driven.take(key(1), SEVERE)
    driven.now += 3
    before = driven.policy.state()
    first, second = driven.policy.due(driven.now), driven.policy.due(driven.now)

    assert before == driven.policy.state()
    assert [first[0].groups] == [each.groups for each in second]
    driven.policy.told(first[0])
    assert [] == driven.policy.due(driven.now)


# ---- storms ----


def storm() -> Driven:
    """A new group every twelve seconds, for an hour."""
    driven = Driven()
    for number in range(300):
        driven.take(key(number), 0.92 if number % 3 else 0.96)
        driven.wait(12)
    driven.wait(10 * MINUTE)
    return driven


def test_while_new_groups_keep_coming_alerts_grow_rare() -> None:
    times = [said.at for said in storm().alerts()]
    gaps = [late - early for early, late in pairwise(times) if late > early]

    assert gaps[0] <= 12 + 2
    assert gaps[:7] == sorted(gaps[:7])
    assert min(gaps[7:]) >= 280  # the storm of an hour has reached five minutes


def test_of_a_storm_every_group_is_told_or_held_and_then_listed() -> None:
    driven = storm()
    told = {key for said in driven.said if said.kind == "new" for key in said.keys}
    held = {key for said in driven.said if said.kind == "held" for key in said.keys}

    assert {key(number) for number in range(300)} == told | held
    assert held - told
    assert len(driven.alerts()) <= 40
    assert 1 == kinds(driven.said).count("budget")

    left = {group.key for group in driven.policy if group.held}
    assert left <= held
    driven.wait(DAY, every=600)
    digests = [said for said in driven.said if said.kind == "digest"]
    told |= {key for said in driven.said if said.kind == "new" for key in said.keys}
    assert left <= {key for said in digests for key in said.keys} | told
    assert not any(group.held for group in driven.policy)


def test_in_a_storm_what_is_severe_waits_for_thirty_seconds_at_most() -> None:
    driven = Driven()
    for number in range(100):
        driven.take(key(number))
        driven.wait(12)
    while not driven.wait(0):  # until just after an alert, five minutes before the next one
        driven.take(key(len(driven.entered)))
        driven.now += 12
    driven.take(key(500), SEVERE)
    began = driven.now
    said = driven.wait(5 * MINUTE)

    assert key(500) in said[0].keys
    assert said[0].at - began <= 30


def test_a_storm_that_is_over_makes_alerts_quick_again() -> None:
    driven = storm()
    driven.wait(2 * DAY, every=600)
    driven.take(key(600))

    assert 2 == driven.wait(MINUTE)[0].at - (driven.now - MINUTE)


def test_so_many_groups_at_once_that_room_runs_out_do_not_wait() -> None:
    driven = Driven(max_groups=20)
    driven.policy.booted(driven.now)
    for number in range(10):
        driven.take(key(number))
    assert [] == driven.tell()
    assert driven.policy.pending_seconds(driven.now) > 0

    driven.take(key(10))
    assert 0 == driven.policy.pending_seconds(driven.now)
    assert {"new"} == set(kinds(driven.tell()))


# ---- again, burst, over ----


def test_a_failure_every_ten_minutes_is_at_most_one_alert_a_day_and_in_every_digest() -> None:
    driven = Driven()
    for _ in range(7 * 24 * 6):
        driven.take(key(0))
        driven.wait(10 * MINUTE, every=300)
    days = [int((said.at - NOON) // DAY) for said in driven.alerts()]
    digests = [said for said in driven.said if said.kind == "digest"]

    assert len(days) == len(set(days))
    assert [0, 1, 3] == days  # then after four more days
    assert [[key(0)]] * 6 == [said.keys for said in digests[:6]]
    assert {"new", "again", "digest"} == set(kinds(driven.said))
    (known,) = driven.policy
    assert 7 * 24 * 6 == known.count


def test_a_group_that_goes_on_is_told_again_after_waits_that_grow() -> None:
    driven = Driven(repeat_seconds=(HOUR, 4 * HOUR, 10 * HOUR))
    for _ in range(6 * 40):
        driven.take(key(0))
        driven.wait(10 * MINUTE, every=60)
    hours = [int((said.at - NOON) / HOUR) for said in driven.alerts()]

    assert [0, 1, 5, 15, 25, 35] == hours
    assert 6 == len({said.id for said in driven.alerts()})


def test_a_group_without_new_lines_is_not_told_again() -> None:
    driven = Driven()
    driven.take(key(0))
    driven.wait(30 * DAY, every=HOUR)

    assert ["new"] == kinds(driven.alerts())


def test_without_waits_a_group_is_told_once_for_ever() -> None:
    driven = Driven(repeat_seconds=())
    for _ in range(40):
        driven.take(key(0))
        driven.wait(12 * HOUR, every=HOUR)

    assert ["new"] == kinds(driven.alerts())


def test_silence_of_a_day_begins_the_waits_anew() -> None:
    driven = Driven()
    for _ in range(4 * 24):
        driven.take(key(0))
        driven.wait(HOUR, every=600)
    assert 2 == next(iter(driven.policy)).level
    driven.wait(DAY + HOUR, every=HOUR)
    driven.take(key(0))

    assert 0 == next(iter(driven.policy)).level
    assert ["again"] == [kind for kind in kinds(driven.tell()) if kind in ALERTS]


def test_a_group_that_comes_far_more_often_is_told_as_a_burst_within_its_waits() -> None:
    driven = Driven()
    for _ in range(12 * 6):  # six an hour, twelve hours
        driven.take(key(0))
        driven.wait(10 * MINUTE, every=120)
    assert ["new"] == kinds(driven.said)
    driven.take(key(0), count=200)
    (said,) = driven.wait(10)
    assert ("burst", [273 - 1]) == (said.kind, said.counts)

    for _ in range(5):  # told, and no news for six hours
        driven.take(key(0), count=400)
        driven.wait(10 * MINUTE, every=60)
    assert ["new", "burst"] == kinds(driven.said)


def test_a_burst_just_after_an_alert_is_no_news() -> None:
    driven = Driven(repeat_seconds=(12 * HOUR,))
    while kinds(driven.said) != ["new", "again"]:
        driven.take(key(0))
        driven.wait(10 * MINUTE, every=120)
    driven.take(key(0), count=5000)
    driven.wait(20 * MINUTE, every=60)
    assert ["new", "again"] == kinds(driven.said)

    driven.wait(HOUR, every=60)
    driven.take(key(0), count=5000)
    driven.wait(MINUTE)
    assert ["new", "again", "burst"] == kinds(driven.said)


def test_the_end_of_a_group_is_told_once_and_only_if_asked_for() -> None:
    for seconds, expected in ((0.0, ["new"]), (HOUR, ["new", "over"])):
        driven = Driven(clear_seconds=seconds)
        driven.take(key(0))
        driven.wait(20 * HOUR, every=600)
        assert expected == kinds(driven.said)


# ---- after a boot ----


def test_after_a_boot_warnings_wait_and_are_told_as_one() -> None:
    driven = Driven()
    driven.policy.booted(driven.now)
    for number in range(5):
        driven.take(key(number))
        driven.wait(5)
    assert [] == driven.said

    driven.wait(MINUTE)
    assert [5] == [len(said.keys) for said in driven.said]
    assert NOON + 60 == driven.said[0].at


def test_after_a_boot_what_is_severe_is_told_all_the_same() -> None:
    driven = Driven()
    driven.policy.booted(driven.now)
    driven.take(key(0))
    driven.take(key(1), SEVERE)

    (said,) = driven.wait(10)
    assert (NOON + 2, [key(1), key(0)]) == (said.at, said.keys)


# ---- the budget ----


def test_a_severe_failure_is_told_at_once_after_twenty_warnings_of_the_day() -> None:
    driven = Driven()
    for number in range(20):
        driven.take(key(number))
        driven.wait(HOUR, every=120)
    assert {"new", "held", "budget"} == set(kinds(driven.said))
    driven.take(key(100), SEVERE)
    began = driven.now

    (said,) = [said for said in driven.wait(MINUTE) if said.kind in ALERTS]
    assert (key(100), 2.0) == (said.keys[0], said.at - began)


def test_a_severe_failure_is_told_though_a_warning_of_the_same_minute_leads() -> None:
    driven = Driven(budget_per_day=2)
    for number in range(2):
        driven.take(key(number), SEVERE)
        driven.wait(HOUR, every=120)
    driven.take(key(7), 0.96)  # nearly as grave, and first
    driven.now += 1
    driven.take(key(8), 0.975)
    said = driven.wait(MINUTE)

    assert [("new", [key(7), key(8)])] == [(each.kind, each.keys) for each in said]


def test_what_is_held_back_is_in_the_digest_and_its_notice_comes_once_a_day() -> None:
    driven = Driven(budget_per_day=1)
    driven.take(key(0), SEVERE)
    driven.wait(HOUR, every=120)
    for number in range(1, 5):
        driven.take(key(number))
        driven.wait(HOUR, every=120)
    assert ["new"] == kinds(driven.alerts())
    assert 4 == driven.policy.counts()["held"]
    assert 1 == kinds(driven.said).count("budget")

    driven.wait(20 * HOUR, every=600)
    (digest,) = [said for said in driven.said if said.kind == "digest"]
    assert {key(number) for number in range(1, 5)} == set(digest.keys)
    assert 0 == driven.policy.counts()["held"]


def test_that_severe_failures_are_held_back_is_told_once_though_a_notice_was_given() -> None:
    driven = Driven(budget_per_day=4)
    for number in range(4):
        driven.take(key(number))
        driven.wait(10 * MINUTE)
    assert "budget" in kinds(driven.said)  # for the warning
    for number in range(10, 20):
        driven.take(key(number), SEVERE)
        driven.wait(10 * MINUTE)
    first, second = [said for said in driven.said if said.kind == "budget"]

    assert 8 == len(driven.alerts())
    assert [key(3)] == first.keys
    assert [key(15)] == second.keys
    assert driven.alerts()[-1].at < second.at


def test_what_is_held_back_and_goes_on_is_told_when_there_is_room_again() -> None:
    driven = Driven(budget_per_day=1, digest_seconds=0.0)
    driven.take(key(0), SEVERE)
    driven.wait(HOUR, every=120)
    for _ in range(24):
        driven.take(key(1))
        driven.wait(HOUR, every=600)

    assert [[key(0)], [key(1)]] == [said.keys for said in driven.alerts()]
    assert NOON + DAY + 2 <= driven.alerts()[1].at <= NOON + DAY + 700


@pytest.mark.parametrize("budget", [1, 5, 20])
def test_of_a_thousand_severe_groups_at_once_twice_the_budget_is_told(budget: int) -> None:
    driven = Driven(budget_per_day=budget, max_groups=2000)
    for number in range(1000):
        driven.take(key(number), SEVERE)
    driven.wait(HOUR, every=600)

    assert 2 * budget == len(driven.alerts())
    assert 1000 == len({key for said in driven.said if said.kind != "budget" for key in said.keys})
    assert driven.policy.counts()["held"] == 1000 - 2 * budget * 11


def test_what_an_operator_calls_anomalous_is_told_whatever_was_spent() -> None:
    driven = Driven(budget_per_day=1)
    for number in range(2):
        driven.take(key(number), SEVERE)
        driven.wait(HOUR, every=600)
    driven.take(key(7), 0.1, forced=True)

    assert ["new"] == kinds(driven.wait(MINUTE))


# ---- what is ignored ----


def ignoring(group: bytes, verdict: Any = "normal") -> Overrides:
    return Overrides([Override("abc", verdict, group=group.decode(), created=1.0)], NOON)


FULL = b"kernel: EXT4-fs error on device sda while reading directory"
ALIKE = b"kernel: EXT4-fs error on device sda while writing directory"


def test_an_ignored_group_is_forgotten_and_so_is_that_it_waits() -> None:
    driven = Driven()
    driven.take(FULL)
    driven.take(key(1))
    driven.policy.heed(ignoring(FULL))
    said = driven.wait(DAY, every=600)

    assert {key(1)} == {each for telling in said for each in telling.keys}
    assert {"known": 1, "pending": 0} == {
        name: driven.policy.counts()[name] for name in ("known", "pending")
    }


def test_what_looks_like_an_ignored_group_is_not_told_unless_it_is_severe() -> None:
    driven = Driven()
    driven.policy.heed(ignoring(FULL))

    assert driven.take(ALIKE) is None
    assert driven.take(key(1)) is not None
    driven.policy.heed(ignoring(FULL))  # forgets the doubt, too
    assert driven.take(ALIKE, SEVERE) is not None


def test_what_looks_like_a_group_that_is_ignored_no_more_is_told() -> None:
    driven = Driven()
    driven.policy.heed(ignoring(FULL))
    assert driven.take(ALIKE) is None
    driven.policy.heed(Overrides())

    assert driven.take(ALIKE) is not None


def test_a_known_group_that_an_operator_calls_anomalous_counts_as_such_from_then_on() -> None:
    """It was held back for want of a budget; the operator's word goes before that."""
    driven = Driven(budget_per_day=1)
    driven.take(key(0), SEVERE)
    driven.take(FULL)
    driven.wait(MINUTE)
    driven.now += DAY / 2
    driven.take(key(1))
    driven.wait(MINUTE)
    (group,) = [each for each in driven.policy if each.key == key(1)]
    assert group.held
    driven.policy.heed(ignoring(key(1), "anomalous"))

    assert group.forced
    assert [key(1)] in [said.keys for said in driven.wait(MINUTE) if said.kind == "new"]
    driven.policy.heed(Overrides())
    assert not group.forced


def test_a_member_of_a_family_that_an_operator_calls_anomalous_is_a_group_of_its_own() -> None:
    driven = Driven()
    driven.take(FULL)
    driven.take(ALIKE)
    assert driven.policy.lead(FULL) is driven.policy.lead(ALIKE)
    driven.policy.heed(ignoring(ALIKE, "anomalous"))

    assert driven.policy.lead(ALIKE) is None


# ---- memory ----


def test_the_group_that_is_forgotten_is_the_one_seen_longest_ago_of_those_that_were_told() -> None:
    driven = Driven(max_groups=3)
    for number in range(3):
        driven.take(key(number))
    driven.wait(MINUTE)
    driven.take(key(0))
    driven.take(key(3))

    assert [key(2), key(0), key(3)] == [group.key for group in driven.policy]
    assert 1 == driven.policy.forgotten


@pytest.mark.parametrize("first", [True, False])
def test_of_more_groups_at_once_than_there_is_room_for_the_severe_one_is_told(first: bool) -> None:
    driven = Driven(max_groups=5)
    if first:
        driven.take(b"disk", SEVERE)
    for number in range(20):
        driven.take(key(number))
    if not first:
        driven.take(b"disk", SEVERE)
    driven.wait(MINUTE)

    assert b"disk" in driven.alerts()[0].keys
    assert 16 == driven.policy.forgotten


def test_where_everything_known_is_severe_a_warning_finds_no_room_and_is_counted() -> None:
    driven = Driven(max_groups=3)
    for number in range(3):
        driven.take(key(number), SEVERE)

    assert driven.take(key(3)) is None
    assert [key(0), key(1), key(2)] == [group.key for group in driven.policy]
    assert 1 == driven.policy.forgotten
    assert driven.take(key(4), SEVERE) is not None


def test_the_digest_counts_what_was_forgotten_untold() -> None:
    driven = Driven(max_groups=4)
    for number in range(10):
        driven.take(key(number))
    (digest,) = [each for each in driven.policy.due(NOON + DAY) if each.kind == "digest"]

    assert digest.digest is not None
    assert 6 == digest.digest.forgotten == driven.policy.forgotten


def test_doubtful_groups_are_remembered_in_bounded_memory() -> None:
    driven = Driven()
    for number in range(5000):
        assert driven.take(key(number), 0.1) is None

    assert 2000 == len(driven.policy._dismissed)
    assert 0 == len(driven.policy)


def test_context_is_let_go_once_it_was_told() -> None:
    driven = Driven()
    group = driven.take(key(0))
    assert group is not None
    group.context.before = [b"x" * 300] * 3
    driven.wait(MINUTE)

    assert ([], []) == (group.context.before, group.context.after)


# ---- clocks that jump ----


@pytest.mark.parametrize("jump", [-YEAR, -DAY, -1.0, 1.0, DAY, YEAR])
@pytest.mark.parametrize("storm", [False, True])
def test_a_clock_that_is_set_delays_what_waits_by_minutes_at_most(jump: float, storm: bool) -> None:
    driven = Driven()
    for number in range(100 if storm else 1):
        driven.take(key(number))
        driven.wait(12)
    driven.policy.booted(driven.now)
    driven.take(key(500))
    driven.now += jump
    driven.take(key(501))
    said = driven.wait(6 * MINUTE)

    assert {key(500), key(501)} <= {each for telling in said for each in telling.keys}


@pytest.mark.parametrize("jump", [-YEAR, -DAY, DAY, YEAR])
def test_a_clock_that_is_set_silences_no_group_that_goes_on(jump: float) -> None:
    driven = Driven()
    driven.take(key(0))
    driven.wait(HOUR, every=600)
    driven.now += jump
    for _ in range(30):
        driven.take(key(0))
        driven.wait(HOUR, every=600)

    assert 2 <= len(driven.alerts()) <= 3


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_a_clock_that_is_set_silences_no_burst_and_no_digest(jump: float) -> None:
    driven = Driven(repeat_seconds=(YEAR,))
    for _ in range(12):
        driven.take(key(0), count=6)
        driven.wait(HOUR, every=600)
    driven.take(key(0), count=2000)
    driven.wait(MINUTE)
    assert "burst" in kinds(driven.said)
    driven.now += jump
    driven.said.clear()
    for _ in range(30):
        driven.take(key(0), count=6)
        driven.wait(HOUR, every=600)
    driven.take(key(0), count=5000)
    driven.wait(MINUTE)

    assert "burst" in kinds(driven.said)
    assert "digest" in kinds(driven.said)


def test_a_doubtful_group_is_looked_at_again_as_soon_as_its_lines_are_clearer() -> None:
    """One key stands for many templates, of which one may be over the threshold."""
    driven = Driven()
    assert driven.take(key(0), 0.89) is None
    assert driven.take(key(0), 0.88) is None

    assert driven.take(key(0), 0.91) is not None


def test_a_doubtful_group_is_looked_at_again_after_an_hour_and_when_the_clock_was_set_back() -> (
    None
):
    class Lowering:
        asked = 0

        def shift(self, *_: Any) -> tuple[float, str]:
            self.asked += 1
            return -1.0, "routine"

        def see(self, *_: Any) -> None:
            pass

    lowering = Lowering()
    driven = Driven(adaptation=lowering)
    for jump, asked in ((0.0, 1), (60.0, 1), (HOUR, 2), (-YEAR, 3), (60.0, 3)):
        driven.now += jump
        assert driven.take(key(0)) is None
        assert asked == lowering.asked


# ---- whatever happens ----

LINE = st.tuples(
    st.just("line"),
    st.integers(0, 30),
    st.sampled_from([0.5, 0.91, 0.95, 0.98]),
    st.integers(1, 99),
)
WAIT = st.tuples(
    st.just("wait"), st.sampled_from([0.3, 1.0, 7.0, 61.0, 1801.0, 40_007.0, 90_011.0])
)
JUMP = st.tuples(st.just("jump"), st.sampled_from([-YEAR, -DAY, -5.0, 5.0, DAY, YEAR]))
OTHER = st.sampled_from([("restart",), ("boot",), ("blocked",)])
ACTIONS = st.lists(LINE | LINE | LINE | WAIT | JUMP | OTHER, max_size=60)
CALM = st.lists(LINE | LINE | WAIT | OTHER, max_size=60)
SETTINGS = st.fixed_dictionaries(
    {
        "wait_seconds": st.sampled_from([0.0, 2.0, 30.0]),
        "budget_per_day": st.sampled_from([0, 1, 3, 20]),
        "digest_seconds": st.sampled_from([0.0, HOUR, DAY]),
        "clear_seconds": st.sampled_from([0.0, HOUR]),
        "max_groups": st.sampled_from([1, 3, 8, 500]),
        "repeat_seconds": st.sampled_from([(), (HOUR,), (DAY, 2 * DAY)]),
    }
)


def act(driven: Driven, action: Any) -> None:
    match action:
        case ("line", number, score, count):
            driven.take(key(number), score, count)
            driven.tell()
        case ("wait", seconds):
            driven.wait(seconds, every=max(seconds / 20, 10.0))
        case ("jump", seconds):
            driven.now += seconds
        case ("restart",):
            before = driven.policy.state()
            driven.restart()
            assert before == driven.policy.state()
        case ("boot",):
            driven.policy.booted(driven.now)
        case ("blocked",):
            driven.policy.due(driven.now)


@settings(max_examples=80, deadline=None)
@given(SETTINGS, ACTIONS)
def test_whatever_happens_every_group_is_told_held_listed_or_counted_as_forgotten(
    options: dict[str, Any], actions: list[Any]
) -> None:
    driven = Driven(**options)
    forgotten = 0
    for action in actions:
        if action == ("restart",):
            forgotten, driven.policy.forgotten = forgotten + driven.policy.forgotten, 0
        act(driven, action)
        assert len(driven.policy) <= options["max_groups"]
        assert len(driven.policy._family) <= 2 * options["max_groups"]
    driven.wait(10 * MINUTE)
    forgotten += driven.policy.forgotten
    told = {id_ for said in driven.said for id_ in said.ids}
    lost = set(driven.entered) - told

    assert 0 == driven.policy.counts()["pending"]
    assert len(lost) <= forgotten
    known = {group.id for group in driven.policy}
    assert not lost & known
    for group in driven.policy:
        assert group.told or group.held or group.told_at


@settings(max_examples=50, deadline=None)
@given(SETTINGS, CALM)
def test_the_alerts_of_a_day_are_never_more_than_twice_the_budget(
    options: dict[str, Any], actions: list[Any]
) -> None:
    driven = Driven(**options)
    for action in actions:
        act(driven, action)
    driven.wait(10 * MINUTE)
    times = [said.at for said in driven.alerts()]

    most = 2 * options["budget_per_day"]
    if most:
        for at in times:
            assert sum(at <= other < at + DAY for other in times) <= most
    ids = [(said.kind, said.id) for said in driven.alerts()]
    assert len(ids) == len(set(ids))


@settings(max_examples=50, deadline=None)
@given(SETTINGS, ACTIONS)
def test_a_policy_that_was_restarted_tells_the_same_as_one_that_was_not(
    options: dict[str, Any], actions: list[Any]
) -> None:
    driven = Driven(**options)
    for action in actions:
        if action != ("boot",):  # a boot is forgotten; that what follows it waits is a courtesy
            act(driven, action)
    other = Driven(**options)
    other.now, other.lines = driven.now, driven.lines
    other.policy.load(msgpack.unpackb(msgpack.packb(driven.policy.state())))

    def heard(one: Driven) -> list[Said]:
        said = one.wait(10 * MINUTE)
        one.take(key(1), 0.98)
        return said + one.wait(DAY, every=HOUR)

    assert heard(driven) == heard(other)


def test_that_nothing_at_all_is_told_any_more_is_said_once_over_a_restart() -> None:
    driven = Driven(budget_per_day=1, max_groups=1, clear_seconds=0.0)
    for number, score in ((0, 0.91), (1, 0.98), (0, 0.91)):
        act(driven, ("line", number, score, 1))
    saved = driven.policy.state()
    other = Driven(budget_per_day=1, max_groups=1, clear_seconds=0.0)
    other.now, other.lines = driven.now, driven.lines
    other.policy.load(msgpack.unpackb(msgpack.packb(saved)))
    said = []
    for one in (driven, other):
        before = [each.kind for each in one.wait(10 * MINUTE)]
        one.take(key(1), 0.98)
        said.append(before + [each.kind for each in one.wait(DAY, every=HOUR)])
    assert said[0] == said[1]
    other.policy.load({name: value for name, value in saved.items() if name != "spent_told"})


# ---- what is saved ----


def full() -> Driven:
    """A policy with everything in its state."""
    driven = Driven(budget_per_day=2)
    for number in range(4):
        driven.take(key(number), SEVERE if number < 2 else WARNING)
        driven.wait(HOUR, every=600)
    driven.take(FULL)
    driven.take(ALIKE)
    return driven


def test_the_state_is_msgpack_and_holds_everything() -> None:
    driven = full()
    state = driven.policy.state()
    other = Policy(driven.settings, THRESHOLD, driven.now)
    other.load(msgpack.unpackb(msgpack.packb(state)))

    assert state == other.state()
    assert driven.policy.counts() == other.counts()
    assert 1 <= other.counts()["held"]
    assert 1 == other.counts()["pending"] == other.counts()["variants"]
    assert other.lead(ALIKE) is other.lead(FULL)


def test_fewer_groups_are_loaded_where_fewer_are_allowed() -> None:
    driven = full()
    other = Policy(Settings(max_groups=2), THRESHOLD, driven.now)
    other.load(driven.policy.state())

    assert 2 == len(other)
    assert FULL in {group.key for group in other}


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where all values below one are."""
    found = [at] if at else []
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, each in inner:
        found += paths(each, (*at, name))
    return found


def put(value: Any, at: tuple[Any, ...], other: Any) -> Any:
    """Return a value with another one put in at a place."""
    if not at:
        return other
    inner = dict(value) if isinstance(value, dict) else list(value)
    inner[at[0]] = put(inner[at[0]], at[1:], other)
    return inner


STATE = msgpack.unpackb(msgpack.packb(full().policy.state()))
NUMBERS = st.sampled_from(
    [0, -1, 2**63, 2**64 - 1, 1e300, -1e300, float("nan"), float("inf"), 3e11]
)
JUNK: Callable[..., Any] = st.recursive(
    NUMBERS | st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=20) | st.binary(max_size=20),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=9), each),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(paths(STATE)), JUNK), min_size=1, max_size=3))
def test_a_state_that_was_tampered_with_is_refused_or_can_be_lived_with(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    state = STATE
    for at, junk in changes:
        try:
            state = put(state, at, junk)
        except (LookupError, TypeError, ValueError):
            continue  # an earlier change has taken the place away
    driven = Driven(budget_per_day=2)
    driven.now = NOON + 5 * HOUR
    try:
        driven.policy.load(state)
    except ValueError:
        return
    for group in driven.policy:
        assert 0 <= group.first_at < 2.6e11
    driven.take(FULL, count=100)
    driven.take(key(9), SEVERE)
    driven.wait(DAY, every=6 * HOUR)
    msgpack.packb(driven.policy.state())


@pytest.mark.parametrize("saved", [None, [], {}, "text", 7, [None], {"groups": []}])
def test_what_is_no_state_is_refused(saved: Any) -> None:
    with pytest.raises(ValueError, match="other fields"):
        Driven().policy.load(saved)
