"""What an alert says: to machines a record, to people a line, printable whatever logs hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.groups import Sighting
from logagent.policy.budget import logit
from logagent.policy.facts import Facts, Routine
from logagent.policy.known import Context, Known, alert_id
from logagent.policy.policy import Digest, Telling
from logagent.policy.rate import Rate
from logagent.policy.telling import Teller, severity_of
from logagent.sanitise import printable
from logagent.scorer import Scorer
from logagent.sinks import Alert
from logagent.traces import Trace

from .driven import NOON, SEVERE, WARNING

HOUR, DAY = 3600.0, 86_400.0
OOM = b"kernel: Out of memory: Killed process 7 (mysqld)"


@pytest.fixture(scope="module")
def teller() -> Teller:
    return Teller(Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy"), "box")


def group(line: bytes = OOM, score: float = SEVERE, **fields: Any) -> Known:
    first = Sighting("/var/log/a", 7, 700, line)
    last = Sighting("/var/log/a", 9, 900, line)
    fields = {"count": 3} | fields
    return Known(
        line, "0123456789abcdef", line, score, first, last, Trace(0, b""), NOON, NOON,
        Rate(NOON, NOON), **fields,
    )  # fmt: skip


def record_of(alert: Alert | None) -> dict[str, Any]:
    """Return the record of an alert, after a look at what holds for every one."""
    assert alert is not None
    assert alert.record.isascii()
    assert b"\n" not in alert.record
    record: dict[str, Any] = json.loads(alert.record)
    assert alert.id == record["id"]
    assert {3: "error", 4: "warning", 5: "notice"}[alert.severity] == record["severity"]
    assert "box" == record["host"]
    assert is_printable(alert.text)
    assert len(alert.text) < 1500
    assert [] == [text for text in texts(record) if not is_printable(text)]
    return record


def is_printable(text: str) -> bool:
    """Tell whether a terminal takes a text; wide spaces of other scripts are fine."""
    return text == printable(text, len(text) + 1)


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in texts(each)]


def test_a_new_group_is_told_with_all_that_is_known(teller: Teller) -> None:
    lead = group(variants=2, shift=0.7, shift_reason="first time on this host")
    lead.context = Context([b"before 1", b"before 2"], [b"after"])
    alert = teller.alert(Telling("new", [lead, group(b"other failure", WARNING)], NOON))
    record = record_of(alert)

    assert ("new", "error", 3, 2) == tuple(
        record[name] for name in ("alert", "severity", "count", "variants")
    )
    assert lead.id == record["id"] == record["group"]
    assert (7, 9, 700) == (record["line"], record["last_line"], record["offset"])
    assert {"before": ["before 1", "before 2"], "after": ["after"]} == record["context"]
    assert [0.7, "first time on this host"] == record["shift"]
    assert "memory" == record["category"]
    assert record["why"]
    assert ["other failure"] == [each["text"] for each in record["related"]]
    assert {"group", "source", "score", "count", "text"} <= record["related"][0].keys()
    assert not {"since_told", "times_usual", "forced"} & record.keys()
    assert alert is not None
    assert alert.text.startswith(f"/var/log/a ×3 [memory]: {OOM.decode()}")
    assert alert.text.endswith("(with 1 more: other failure ×3)")


def test_keys_that_say_nothing_are_left_out(teller: Teller) -> None:
    record = record_of(teller.alert(Telling("new", [group()], NOON)))

    assert not {"context", "related", "variants", "shift", "forced"} & record.keys()


@pytest.mark.parametrize(
    ("kind", "said", "severity"),
    [
        ("again", "still: ", "error"),
        ("burst", "more and more: ", "error"),
        ("over", "over: ", "notice"),
    ],
)
def test_a_later_alert_says_how_many_lines_came_since(
    teller: Teller, kind: str, said: str, severity: str
) -> None:
    lead = group(count=250, told=1, told_at=NOON, told_count=50)
    lead.rate = Rate(NOON - DAY, NOON, fast=200.0, slow=250.0)
    alert = teller.alert(Telling(kind, [lead], NOON))
    record = record_of(alert)

    assert alert is not None
    assert alert.text.startswith(said)
    assert (kind, severity, 200) == (record["alert"], record["severity"], record["since_told"])
    assert (kind == "burst") == ("times_usual" in record)
    assert lead.id == record["group"] != record["id"]
    assert alert_id(lead, kind) == record["id"]


def test_what_an_operator_called_anomalous_says_so(teller: Teller) -> None:
    assert True is record_of(teller.alert(Telling("new", [group(forced=True)], NOON)))["forced"]


def test_an_alert_is_as_severe_as_its_gravest_group(teller: Teller) -> None:
    mild, grave = group(score=0.95), group(b"other failure", 0.975)

    assert "warning" == record_of(teller.alert(Telling("new", [mild], NOON)))["severity"]
    assert "error" == record_of(teller.alert(Telling("new", [mild, grave], NOON)))["severity"]
    assert (3, 4) == (severity_of(0.97), severity_of(0.9699))


def test_what_is_held_back_is_no_alert(teller: Teller) -> None:
    assert teller.alert(Telling("held", [group()], NOON)) is None


def digest_of(teller: Teller, groups: list[Known], forgotten: int = 0) -> Alert | None:
    told = Digest(NOON - DAY, NOON, 1_000_000, 500, 3, forgotten)
    return teller.alert(Telling("digest", groups, NOON, told))


def test_a_digest_lists_what_was_held_back_and_what_goes_on(teller: Teller) -> None:
    held, ongoing = group(b"held failure", held=True), group(count=50, told=1, told_count=20)
    alert = digest_of(teller, [held, ongoing], 2)
    record = record_of(alert)

    assert ("digest", "notice", 1_000_000, 500, 3, 2) == tuple(
        record[name] for name in ("alert", "severity", "lines", "anomalous", "alerts", "forgotten")
    )
    assert [("held failure", 3)] == [(each["text"], each["since_told"]) for each in record["held"]]
    assert [(OOM.decode(), 30)] == [
        (each["text"], each["since_told"]) for each in record["ongoing"]
    ]
    assert (1, 1) == (record["held_count"], record["ongoing_count"])
    assert ["2027-01-14T08:00:00+00:00", "2027-01-15T08:00:00+00:00"] == [
        record["since"], record["until"]
    ]  # fmt: skip
    assert alert is not None
    assert alert.text.startswith("digest of 24 h: 1,000,000 lines, 500 anomalous, 3 alerts; 1 held")
    assert "2 forgotten untold for want of room" in alert.text


def test_a_digest_without_anything_to_tell_is_none(teller: Teller) -> None:
    assert digest_of(teller, []) is None
    assert digest_of(teller, [], forgotten=1) is not None


def test_a_digest_of_many_groups_shows_fifty_and_counts_all(teller: Teller) -> None:
    record = record_of(digest_of(teller, [group(held=True)] * 70))

    assert (50, 70) == (len(record["held"]), record["held_count"])


def test_the_notice_of_the_budget_says_what_is_asked_for(teller: Teller) -> None:
    alert = teller.alert(Telling("budget", [group()] * 60, NOON, bar=logit(0.95)))
    record = record_of(alert)

    assert ("budget", 0.95, 50, 60) == (
        record["alert"], record["bar"], len(record["held"]), record["held_count"]
    )  # fmt: skip
    assert alert is not None
    assert "what scores below 0.95 is held back" in alert.text


def test_what_was_learnt_is_told_in_short_to_people_and_whole_to_machines(teller: Teller) -> None:
    routine = tuple(
        Routine(f"group {n}", "/var/log/a", 10.0, 20, 0.9, f"sample \x1b[2J {n}") for n in range(20)
    )
    alert = teller.learned(Facts("box", NOON, NOON + DAY, DAY, 9999, 0.93, 0.9, routine))
    record = record_of(alert)

    assert ("learned", "notice", 23) == (record["alert"], record["severity"], len(record["facts"]))
    assert "… 17 more" in alert.text
    assert "logagent learned list" in alert.text


# ---- the status ----


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"pending_at": NOON}, "pending"),
        ({"held": True}, "held"),
        ({"told_at": NOON, "told_count": 3}, "for the digest"),
        ({"told": 1, "told_at": NOON, "told_count": 3}, "told"),
    ],
)
def test_the_status_says_what_became_of_a_group(
    teller: Teller, fields: dict[str, Any], state: str
) -> None:
    assert state == teller.known(group(**fields))["state"]


def test_the_status_knows_a_group_by_the_ids_of_all_its_recent_alerts(teller: Teller) -> None:
    lead = group()
    ids = [alert_id(lead, "new")]
    for told in range(1, 15):
        lead.told = told
        ids += [alert_id(lead, kind) for kind in ("again", "burst")]
    ids.append(alert_id(lead, "over"))
    known = teller.known(lead)

    assert set(ids) <= set(known["alert_ids"])
    assert len(known["alert_ids"]) < 50
    json.dumps(known)


# ---- hostile text ----

HOSTILE = b"\x1b]0;owned\x07 <b>\xff\xe2\x80\xae error \n\r\x00"


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300) | st.just(HOSTILE * 50), st.text(max_size=100))
def test_whatever_a_log_holds_an_alert_is_printable_and_bounded(
    teller: Teller, line: bytes, source: str
) -> None:
    lead = group(line, shift=0.5, shift_reason=source)
    lead.first = lead.last = Sighting("/" + source, 7, 700, line)
    lead.trace = Trace(2, line)
    lead.context = Context([line[:300]] * 3, [line[:300]] * 3)
    for kind in ("new", "again", "burst", "over"):
        alert = teller.alert(Telling(kind, [lead] * 11, NOON))
        record_of(alert)
        assert alert is not None
        assert len(alert.record) < 64_000
    record_of(digest_of(teller, [lead, group(line, held=True)]))
    record_of(teller.alert(Telling("budget", [lead], NOON)))
    assert [] == [text for text in texts(teller.known(lead)) if not is_printable(text)]
