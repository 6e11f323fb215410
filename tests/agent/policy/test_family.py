"""Groups that differ in a name only are one; those that say something else are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.judge import group_key
from logagent.normalise import templates
from logagent.policy.family import LIKENESS, likeness, nearest, words_of

from .driven import SEVERE, WARNING, Driven

POD = (
    b"May  7 12:00:00 node kubelet[812]: E0507 12:00:00.1 812 pod_workers.go:951] "
    b'"Error syncing pod, skipping" err="failed to \\"StartContainer\\" for \\"%b\\" with '
    b'CrashLoopBackOff: \\"back-off 5m0s restarting failed container=%b pod=%b-6f9c_monitoring\\"" '
    b'pod="monitoring/%b-6f9c"'
)
PODS = [POD % (name, name, name, name) for name in (b"grafana", b"ksm", b"prometheus")]
UNITS = [
    b"May  7 12:00:00 node systemd[1]: Failed to start %b.service - %b." % pair
    for pair in (
        (b"nginx", b"A high performance web server"),
        (b"mysql", b"MySQL Community Server"),
        (b"smartd", b"Self Monitoring"),
    )
]
SHORT = [b"Failed to start %b.service" % name for name in (b"nginx", b"mysql", b"cron")]


def keys(lines: list[bytes]) -> list[bytes]:
    return [group_key(template) for template in templates(lines).templates]


def test_pods_that_differ_in_their_names_are_one_alert() -> None:
    driven = Driven()
    for key in keys(PODS):
        driven.take(key)
    driven.wait(60)

    assert [[keys(PODS)[0]]] == [said.keys for said in driven.said]
    (group,) = driven.policy
    assert (3, 2) == (group.count, group.variants)


@pytest.mark.parametrize("lines", [UNITS, SHORT])
def test_units_that_fail_are_groups_of_their_own(lines: list[bytes]) -> None:
    driven = Driven()
    for key in keys(lines):
        driven.take(key)
    driven.wait(60)

    (said,) = driven.said  # one alert that shows all three
    assert 3 == len(said.keys)


def test_a_member_that_comes_after_its_family_was_told_is_counted_not_told() -> None:
    driven = Driven()
    first, *others = keys(PODS)
    driven.take(first)
    driven.wait(60)
    for other in others:
        driven.take(other)
    driven.wait(3600)

    assert 1 == len(driven.alerts())
    assert driven.policy.lead(others[0]) is driven.policy.lead(first)


def test_a_member_that_is_far_graver_is_told_by_itself() -> None:
    driven = Driven()
    first, graver, _ = keys(PODS)
    driven.take(first, WARNING)
    driven.wait(60)
    driven.take(graver, SEVERE)
    driven.wait(60)

    assert [[first], [graver]] == [said.keys for said in driven.alerts()]


def test_a_severe_member_is_told_within_a_day_though_its_family_is_told_once_a_week() -> None:
    driven = Driven(digest_seconds=0.0)
    first, other, _ = keys(PODS)
    for _ in range(4 * 17):
        driven.take(first, SEVERE)
        driven.wait(6 * 3600, every=3600)
    assert driven.alerts()[-1].at < driven.now - 86_400  # the next one is days away
    before = len(driven.alerts())
    driven.take(other, SEVERE)
    driven.wait(60)

    assert before + 1 == len(driven.alerts())


def test_a_member_that_an_operator_calls_anomalous_is_told_by_itself() -> None:
    driven = Driven()
    first, forced, _ = keys(PODS)
    driven.take(first)
    driven.take(forced, 0.2, forced=True)

    assert 2 == len(driven.policy)


def test_a_family_survives_a_restart() -> None:
    driven = Driven()
    for key in keys(PODS):
        driven.take(key)
    driven.restart()

    assert driven.policy.lead(keys(PODS)[2]) is driven.policy.lead(keys(PODS)[0])
    driven.take(keys(PODS)[2])
    assert 1 == len(driven.policy)


def test_a_member_whose_lead_was_forgotten_is_told() -> None:
    driven = Driven(max_groups=1)
    driven.take(keys(PODS)[0])
    driven.take(keys(PODS)[1])
    driven.take(b"another failure")
    driven.take(keys(PODS)[1])

    assert [keys(PODS)[1]] == [group.key for group in driven.policy]


def test_words_are_compared_without_case_digits_and_order() -> None:
    assert words_of(b"disk ERROR 17 on sda1") == words_of(b"on sda2, error, Disk")
    assert 0 == words_of(b"17: 0x 4,5 a b")


def test_the_likest_is_chosen_the_first_of_equals() -> None:
    known = [(name, words_of(name)) for name in (b"a aa bb cc dd ee ff", b"b aa bb cc dd ee ff gg")]

    assert b"b aa bb cc dd ee ff gg" == nearest(words_of(b"aa bb cc dd ee ff gg"), known)
    assert b"a aa bb cc dd ee ff" == nearest(words_of(b"aa bb cc dd ee ff"), known)


def test_a_message_of_few_words_is_like_those_of_the_same_words_only() -> None:
    known = [(b"x", words_of(b"aa bb cc")), (b"y", words_of(b"17: 4"))]

    assert b"x" == nearest(words_of(b"cc 17 bb aa"), known)
    assert nearest(words_of(b"aa bb"), known) is None
    assert nearest(words_of(b"18"), known) is None


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_likeness_is_a_share_symmetric_and_one_only_for_equal_words(
    one: bytes, other: bytes
) -> None:
    first, second = words_of(one), words_of(other)
    share = likeness(first, second)

    assert share == likeness(second, first)
    assert 0 <= share <= 1
    assert (share == 1) == (first == second != 0)
    assert (nearest(first, [(b"k", second)]) is not None) <= (share >= LIKENESS)
