"""What a failure goes on to say gets no alert; what may be another failure does."""

from __future__ import annotations

from typing import Any

import pytest
from logagent.groups import Sighting
from logagent.policy.aftermath import AFTERMATH_SECONDS, SEVERE_SECONDS, Aftermath
from logagent.policy.known import Known
from logagent.policy.policy import Policy, Settings
from logagent.policy.rate import Rate
from logagent.traces import Trace

from .driven import DAY, NOON, SEVERE, WARNING, Driven, kinds

CATEGORIES = {b"disk": "storage", b"mount": "storage", b"link": "network", b"route": "network"}


def categorise(template: bytes) -> str:
    """Go by the last word."""
    return CATEGORIES.get(template.rpartition(b" ")[2], "")


def group(
    template: bytes,
    score: float = WARNING,
    at: float = NOON,
    source: str = "/var/log/a",
    **more: Any,
) -> Known:
    line = Sighting(source, 1, 0, template)
    trace, rate = Trace(0, b""), Rate(at, at)
    return Known(
        template, "0" * 16, template, score, line, line, trace, at, at, rate, count=1, **more
    )


@pytest.fixture
def aftermath() -> Aftermath:
    return Aftermath(categorise)


def test_before_the_first_alert_nothing_is_an_aftermath(aftermath: Aftermath) -> None:
    assert not aftermath.holds(group(b"kernel: bad disk"))


@pytest.mark.parametrize(
    ("told", "later"),
    [
        (b"kernel: bad disk", b"systemd: no mount"),
        (b"kernel: bad disk", b"kernel: something else"),
    ],
    ids=["category", "program"],
)
def test_what_is_about_the_same_or_of_the_same_program_is_no_news(
    aftermath: Aftermath, told: bytes, later: bytes
) -> None:
    aftermath.told([group(told)], NOON)
    assert aftermath.holds(group(later, at=NOON + AFTERMATH_SECONDS - 1))
    assert not aftermath.holds(group(later, at=NOON + AFTERMATH_SECONDS))


@pytest.mark.parametrize(
    "later",
    [b"sshd: cannot bind", b"no program and no category", b"netifd: lost link"],
)
def test_what_is_about_something_else_is_news(aftermath: Aftermath, later: bytes) -> None:
    aftermath.told([group(b"kernel: bad disk")], NOON)
    assert not aftermath.holds(group(later, at=NOON + 1))


def test_what_another_log_says_is_news(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk")], NOON)
    assert not aftermath.holds(group(b"kernel: bad disk", at=NOON + 1, source="/var/log/b"))


def test_what_is_much_graver_is_news(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk", 0.9)], NOON)
    assert aftermath.holds(group(b"kernel: no mount", 0.96, NOON + 1))
    assert not aftermath.holds(group(b"kernel: no mount", 0.9699, NOON + 1))


def test_what_is_severe_is_news_after_a_warning(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk", 0.96)], NOON)
    assert not aftermath.holds(group(b"kernel: no mount", 0.975, NOON + 1))


def test_what_is_severe_is_news_unless_it_has_the_category(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk", SEVERE)], NOON)
    assert aftermath.holds(group(b"kernel: no mount", SEVERE, NOON + 1))
    assert not aftermath.holds(group(b"kernel: something else", SEVERE, NOON + 1))


def test_what_is_severe_is_news_a_minute_later(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk", SEVERE)], NOON)
    assert aftermath.holds(group(b"kernel: no mount", SEVERE, NOON + SEVERE_SECONDS - 1))
    assert not aftermath.holds(group(b"kernel: no mount", SEVERE, NOON + SEVERE_SECONDS))


def test_what_is_severe_is_news_where_only_a_warning_of_the_alert_was_about_it(
    aftermath: Aftermath,
) -> None:
    """A disk dies, and its alert shows a lost packet: a dead link is no aftermath of that."""
    aftermath.told([group(b"kernel: bad disk", SEVERE), group(b"netifd: slow link")], NOON)
    assert not aftermath.holds(group(b"netifd: no route", SEVERE, NOON + 1))
    assert aftermath.holds(group(b"netifd: no route", WARNING, NOON + 1))


def test_what_an_operator_calls_anomalous_is_news(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk")], NOON)
    assert not aftermath.holds(group(b"kernel: no mount", at=NOON + 1, forced=True))


def test_what_an_operator_calls_anomalous_makes_nothing_else_less_grave(
    aftermath: Aftermath,
) -> None:
    aftermath.told([group(b"kernel: bad disk", 0.5, forced=True)], NOON)
    assert not aftermath.holds(group(b"kernel: no mount", WARNING, NOON + 1))


def test_after_the_clock_was_set_back_everything_is_news(aftermath: Aftermath) -> None:
    aftermath.told([group(b"kernel: bad disk")], NOON)
    assert not aftermath.holds(group(b"kernel: no mount", at=NOON - 1))


def test_only_so_many_groups_are_remembered(aftermath: Aftermath) -> None:
    for number in range(1000):
        aftermath.told([group(b"p%d: bad disk" % number)], NOON)
    assert 64 == len(aftermath._told)


# ---- what the policy makes of it ----


def driven() -> Driven:
    made = Driven()
    made.policy = Policy(Settings(), 0.9, NOON, None, categorise)
    return made


def test_an_aftermath_is_in_the_digest_and_told_again_if_it_goes_on() -> None:
    made = driven()
    made.take(b"kernel: bad disk")
    assert ["new"] == kinds(made.wait(60))
    made.take(b"kernel: read-only mount")
    assert ["aftermath"] == kinds(made.wait(60))
    digests = [said for said in made.wait(DAY) if said.kind == "digest"]
    assert [[b"kernel: read-only mount"]] == [said.keys for said in digests]
    made.take(b"kernel: read-only mount")
    assert ["again"] == kinds(made.wait(60))


def test_an_aftermath_does_not_prolong_itself() -> None:
    made = driven()
    made.take(b"kernel: bad disk")
    made.wait(60)
    for name in b"abcdefgh":
        made.take(b"kernel: %ca mount" % name)
        made.wait(60)
    first, second = made.alerts()
    assert 300 <= second.at - first.at < 370


def test_news_take_what_is_none_along() -> None:
    made = driven()
    made.take(b"kernel: bad disk")
    made.wait(60)
    made.take(b"kernel: read-only mount")
    made.take(b"netifd: lost link", SEVERE)
    said = made.wait(60)
    assert ["new"] == kinds(said)
    assert {b"kernel: read-only mount", b"netifd: lost link"} == set(said[0].keys)
