"""From judged lines to alerts: a group is told once, now and then again, and never in a flood."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.inputs import Batch
from logagent.judge import NORMAL, TEMPLATE_BYTES, Verdict
from logagent.scorer import Scorer
from logagent.service.alerts import GroupAlerts, LineAlerts, Plan
from logagent.service.own_lines import OwnLines

HOUR, DAY = 3600.0, 86_400.0
WAITS = (HOUR, 4 * HOUR, DAY)
NOON = 1_800_000_000.0
OOM = b"kernel: Out of memory: Killed process 7 (mysqld)"
DISK = b"kernel: EXT4-fs error (device sda1): reading directory"
FINE = b"systemd[1]: Started Session 1 of user root."

VERDICTS = {
    OOM: Verdict(0.99, True, b"kernel: Out of memory: Killed process # (mysqld)"),
    DISK: Verdict(0.93, True, b"kernel: EXT4-fs error (device sda1): reading directory"),
}


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy")


class Told:
    """Group alerts with a clock on the wall and an endless log."""

    def __init__(self, scorer: Scorer, **options: Any) -> None:
        self.wall = NOON
        self.offset = 0
        self.line = 1
        self.scorer = scorer
        self.options = {"repeat_seconds": WAITS, "max_groups": 100} | options
        self.alerts = self.made()

    def made(self) -> GroupAlerts:
        own = OwnLines([4242])
        return GroupAlerts(self.scorer, "box", own, wall=lambda: self.wall, **self.options)

    def batch(self, *lines: bytes) -> Batch:
        """Return the next lines of the log."""
        data = b"\n".join(lines)
        batch = Batch("/var/log/a", b"finger-8", Block(data, self.line, self.offset))
        self.offset += len(data) + 1
        self.line += len(lines) if self.line else 0
        return batch

    def plan(self, *lines: bytes) -> Plan:
        return self.plan_of(self.batch(*lines))

    def plan_of(self, batch: Batch) -> Plan:
        return self.alerts.plan(batch, [verdict_of(line) for line in batch.block.lines()], 0)

    def take(self, *lines: bytes) -> list[dict[str, Any]]:
        """Plan and commit; return the records."""
        plan = self.plan(*lines)
        self.alerts.commit(plan)
        return records(plan)

    def due(self) -> list[dict[str, Any]]:
        plan = self.alerts.due()
        self.alerts.commit(plan)
        return records(plan)

    def restart(self) -> None:
        saved = msgpack.unpackb(msgpack.packb(self.alerts.state()))
        self.alerts = self.made()
        self.alerts.load(saved)


def verdict_of(line: bytes) -> Verdict:
    if line == FINE:
        return NORMAL
    if line not in VERDICTS:
        VERDICTS[line] = Verdict(0.95, True, line[:TEMPLATE_BYTES])
    return VERDICTS[line]


def records(plan: Plan) -> list[dict[str, Any]]:
    for alert in plan.alerts:
        record = json.loads(alert.record)
        assert alert.id == record["id"]
        assert alert.text.isprintable()
        assert b"\n" not in alert.record
    return [json.loads(alert.record) for alert in plan.alerts]


@pytest.fixture
def told(scorer: Scorer) -> Told:
    return Told(scorer)


# ---- planning ----


def test_a_plan_made_twice_has_the_same_ids_and_counts_nothing(told: Told) -> None:
    batch = told.batch(FINE, OOM, DISK, OOM)
    before = told.alerts.state()
    first, second = told.plan_of(batch), told.plan_of(batch)

    assert first.alerts == second.alerts
    assert 2 == len({alert.id for alert in first.alerts})
    assert (3, 0) == (first.anomalous, first.own)
    assert before == told.alerts.state()
    assert 0 == len(told.alerts)

    told.alerts.commit(second)
    assert 2 == len(told.alerts)
    assert [2, 1] == [values[7][0] for values in told.alerts.state()]


def test_normal_lines_tell_nothing(told: Told) -> None:
    assert Plan([]) == told.plan(FINE, FINE)


def test_lines_of_a_trace_are_counted_though_they_tell_nothing(told: Told) -> None:
    batch = told.batch(FINE, FINE)

    assert 2 == told.alerts.plan(batch, [NORMAL, NORMAL], 2).anomalous


def test_a_group_is_told_with_its_first_line_its_last_and_their_number(told: Told) -> None:
    (record,) = told.take(FINE, OOM, FINE, OOM, OOM)

    assert "new" == record["alert"]
    assert "box" == record["host"]
    assert record["id"] == record["group"]
    assert (2, 5, 3) == (record["line"], record["last_line"], record["count"])
    assert len(FINE) + 1 == record["offset"]
    assert OOM.decode() == record["text"]
    assert "since_told" not in record


def test_the_trace_below_the_first_line_is_told(told: Told) -> None:
    trace = [b"\tat a.b.C(D.java:7)", b"Caused by: java.io.IOException: no route", b"\tat e.f(G)"]
    batch = told.batch(b"java.lang.IllegalStateException: lost", *trace, FINE)
    verdicts = [verdict_of(batch.block.line(0)), *[NORMAL] * 4]
    plan = told.alerts.plan(batch, verdicts, 3)
    told.alerts.commit(plan)

    (record,) = records(plan)
    assert 3 == record["trace_lines"]
    assert "Caused by: java.io.IOException: no route" == record["cause"]
    assert 4 == plan.anomalous

    told.restart()
    told.wall += 2 * HOUR
    (record,) = told.take(b"java.lang.IllegalStateException: lost")
    assert 3 == record["trace_lines"]
    assert "Caused by: java.io.IOException: no route" == record["cause"]


def test_severity_follows_the_score(told: Told) -> None:
    assert [3, 4] == [alert.severity for alert in told.plan(OOM, DISK).alerts]


def test_what_a_hostile_line_says_is_printable(told: Told) -> None:
    batch = Batch(
        "/var/log/\x1b[31m\udcff\n", b"finger-8", Block(b"\x1b]0;owned\x07 <b>\xff", 1, 0)
    )
    plan = told.plan_of(batch)

    (record,) = records(plan)
    assert "\\x1b]0;owned\\x07 <b>" in record["text"]
    assert all(text.isprintable() for text in record.values() if isinstance(text, str))


# ---- telling again ----


def test_a_group_is_told_once(told: Told) -> None:
    assert 1 == len(told.take(OOM))
    for _ in range(59):
        told.wall += 60
        assert [] == told.take(OOM, OOM)
        assert [] == told.due()


def test_a_group_that_goes_on_is_told_again_after_each_wait(told: Told) -> None:
    times = []
    for minute in range(0, 4 * 24 * 60, 10):
        told.wall = NOON + minute * 60
        if told.take(OOM):
            times.append(minute / 60)

    assert [0, 1, 5, 29, 53, 77] == times


def test_telling_again_says_how_many_lines_came_since(told: Told) -> None:
    (new,) = told.take(OOM)
    told.take(OOM, OOM)
    told.wall += HOUR
    plan = told.plan(DISK, OOM)
    told.alerts.commit(plan)

    again = next(record for record in records(plan) if record["alert"] == "again")
    assert (4, 3) == (again["count"], again["since_told"])
    assert new["id"] == again["group"]
    assert new["id"] != again["id"]
    assert any(alert.text.startswith("still: /var/log/a ×4") for alert in plan.alerts)


def test_the_id_of_a_later_alert_does_not_depend_on_how_the_lines_are_cut(told: Told) -> None:
    """After a crash, lines are read again in other batches."""
    told.take(OOM)
    saved = told.alerts.state()
    told.take(OOM)
    told.wall += HOUR
    (before,) = told.take(OOM)
    told.alerts = told.made()
    told.alerts.load(msgpack.unpackb(msgpack.packb(saved)))
    (after,) = told.take(OOM, OOM)

    assert before["id"] == after["id"]


def test_a_group_that_fell_silent_is_told_when_its_wait_is_over(told: Told) -> None:
    told.take(OOM)
    told.take(OOM, OOM)
    told.wall += HOUR - 1
    assert [] == told.due()

    told.wall += 1
    (record,) = told.due()
    assert ("again", 3, 2) == (record["alert"], record["count"], record["since_told"])
    told.wall += 100 * DAY
    assert [] == told.due()


def test_a_due_alert_that_was_not_taken_comes_again_with_its_id(told: Told) -> None:
    told.take(OOM)
    told.take(OOM)
    told.wall += HOUR
    first, second = told.alerts.due(), told.alerts.due()

    assert first.alerts == second.alerts
    assert 1 == len(first.alerts)


def test_what_is_due_is_told_in_bounded_pieces(scorer: Scorer) -> None:
    told = Told(scorer, max_groups=1000)
    lines = [b"failure of unit %s" % name.encode() for name in names(250)]
    told.take(*lines)
    told.take(*lines)
    told.wall += HOUR

    assert [100, 100, 50, 0] == [len(told.due()) for _ in range(4)]


def test_without_waits_a_group_is_told_once_for_ever(scorer: Scorer) -> None:
    told = Told(scorer, repeat_seconds=())
    assert 1 == len(told.take(OOM))
    told.wall += 1000 * DAY

    assert [] == told.take(OOM)
    assert [] == told.due()


# ---- clocks that jump ----


@pytest.mark.parametrize("jump", [-DAY, -1.0, DAY, 40 * 365 * DAY, -NOON])
def test_a_clock_that_jumps_tells_a_group_once_more_at_most(told: Told, jump: float) -> None:
    told.take(OOM)
    told.wall += 60 + jump
    said = [record for _ in range(59) for record in (told.take(OOM), told.due()) if record]

    assert len(said) <= 1


def test_a_clock_set_back_a_day_does_not_silence_a_group(told: Told) -> None:
    told.take(OOM)
    told.wall -= DAY
    told.take(OOM)
    said = 0
    for _ in range(6):
        told.wall += HOUR
        said += len(told.take(OOM))

    assert 1 == said  # four hours after the clock was set


def test_a_clock_set_forward_a_day_does_not_silence_a_group_when_set_right(told: Told) -> None:
    told.take(OOM)
    told.wall += DAY
    assert 1 == len(told.take(OOM))
    told.wall -= DAY
    assert 1 == len(told.take(OOM))
    assert [] == told.take(OOM)


@settings(max_examples=20)
@given(st.lists(st.floats(-2 * DAY, 2 * DAY), min_size=1, max_size=20))
def test_however_the_clock_jumps_no_line_tells_twice(scorer: Scorer, jumps: list[float]) -> None:
    told = Told(scorer)
    ids = []
    for jump in jumps:
        told.wall += jump
        said = told.take(OOM)
        assert len(said) <= 1
        ids += [record["id"] for record in said]
        assert [] == told.due()  # nothing came since, or its wait has only begun
    assert len(ids) == len(set(ids))


# ---- bounds ----


def names(number: int) -> list[str]:
    letters = "abcdefghijklmnopqrst"
    return [letters[n // 400] + letters[n // 20 % 20] + letters[n % 20] for n in range(number)]


def test_no_more_groups_are_known_than_allowed(scorer: Scorer) -> None:
    told = Told(scorer, max_groups=10)
    for name in names(30):
        told.take(b"failure of unit " + name.encode())

    assert 10 == len(told.alerts)
    assert 20 == told.alerts.counts()["forgotten"]
    assert 10 == len(told.alerts.state())


def test_the_group_seen_least_recently_is_forgotten_and_told_as_new(scorer: Scorer) -> None:
    told = Told(scorer, max_groups=2)
    told.take(OOM)
    told.take(DISK)
    told.take(OOM)
    told.take(b"another failure")

    assert [] == told.take(OOM)
    (record,) = told.take(DISK)
    assert "new" == record["alert"]


def test_one_batch_of_more_groups_than_allowed_is_told_whole(scorer: Scorer) -> None:
    told = Told(scorer, max_groups=2)

    assert 30 == len(told.take(*(b"failure of unit " + name.encode() for name in names(30))))
    assert 2 == len(told.alerts)


# ---- what is saved ----


def test_a_restart_forgets_nothing(told: Told) -> None:
    told.take(OOM, DISK)
    told.take(OOM)
    before = told.alerts.state()
    told.restart()

    assert before == told.alerts.state()
    assert [] == told.take(OOM, DISK)
    told.wall += HOUR
    assert [(5, 4), (4, 3)] == [
        (record["count"], record["since_told"]) for record in told.take(OOM, OOM, DISK, DISK)
    ]


def test_long_lines_are_saved_short(told: Told) -> None:
    told.take(b"failure " + b"x" * 60_000)

    assert len(msgpack.packb(told.alerts.state())) < 3000


def test_fewer_groups_are_loaded_where_fewer_are_allowed(scorer: Scorer) -> None:
    told = Told(scorer)
    told.take(*(b"failure of unit " + name.encode() for name in names(30)))
    told.options["max_groups"] = 5
    told.restart()

    assert 5 == len(told.alerts)


def good_group(told: Told) -> list[Any]:
    told.take(OOM)
    (values,) = msgpack.unpackb(msgpack.packb(told.alerts.state()))
    return list(values)


WRONG = [
    (0, "text"), (0, None), (0, []),
    (1, b"0123456789abcdef"), (1, "x" * 100_000), (1, "../../../../etc/pa"), (1, ""), (1, 7),
    (2, "text"), (2, None),
    (3, 1), (3, math.nan), (3, math.inf), (3, -0.5), (3, 1.5), (3, "0.5"),
    (4, []), (4, ["a", 1, 2]), (4, ["a", 1, 2, "text"]), (4, [b"a", 1, 2, b""]), (4, "abcd"),
    (4, [None, None, None, None]), (4, ["a", 1.5, 2, b""]),
    (5, {}), (5, None), (5, [[], [], [], []]),
    (6, [1]), (6, ["1", b""]), (6, [-1, b""]), (6, [1, "text"]),
    (7, [1, 1]), (7, [1, 1, -1]), (7, [-5, 1, 1]), (7, [1, 1, 2**63]), (7, [1.0, 1, 1]),
    (7, [1, 1, "1"]), (7, None),
    (8, 5), (8, math.nan), (8, math.inf), (8, "now"), (8, None),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_saved_group_with_a_field_that_is_wrong_is_refused(
    told: Told, field: int, value: Any
) -> None:
    values = good_group(told)
    values[field] = value
    with pytest.raises(ValueError, match="a group"):
        told.made().load([values])


@pytest.mark.parametrize(
    "saved", [None, {}, "text", 7, [None], [[]], [{}], ["x"], [[1] * 9], [[None] * 9]]
)
def test_what_is_no_list_of_groups_is_refused(told: Told, saved: Any) -> None:
    with pytest.raises(ValueError, match="group"):
        told.alerts.load(saved)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda each: st.lists(each, max_size=5),
    max_leaves=10,
)


@settings(max_examples=60)
@given(st.data())
def test_whatever_was_saved_is_refused_or_can_be_lived_with(
    scorer: Scorer, data: st.DataObject
) -> None:
    told = Told(scorer)
    values = good_group(told)
    for field in data.draw(st.sets(st.integers(0, 8), min_size=1)):
        old = values[field]
        if isinstance(old, list):
            at = data.draw(st.integers(0, len(old) - 1))
            values[field] = [*old[:at], data.draw(JUNK), *old[at + 1 :]]
        else:
            values[field] = data.draw(JUNK)
    told.alerts = told.made()
    try:
        told.alerts.load([values])
    except ValueError:
        return
    told.wall += 10 * DAY
    told.due()
    told.take(OOM)
    told.restart()


# ---- the agent's own lines ----

OWN = [
    b"logagent[4242]: still: /var/log/a: out of memory",
    b"<27>logagent[4242]: out of memory",
    b"Mar 14 07:16:01 box logagent[4242]: out of memory",
    b"2026-03-14T07:16:01.123456+01:00 box.example logagent[4242]: out of memory",
    b"<27>Mar 14 07:16:01 box logagent[4242]: out of memory",
]
OTHERS = [
    b"Mar 14 07:16:01 box logagent[1]: out of memory",
    b"Mar 14 07:16:01 box logagent[42420]: out of memory",
    b"Mar 14 07:16:01 box logagent[04242a]: out of memory",
    b"Mar 14 07:16:01 box app: logagent[4242]: out of memory",
    b"Mar 14 07:16:01 box app[7]: logagent[4242]: out of memory",
    b"out of memory logagent[4242]",
    b"GET /logagent[4242]: HTTP/1.1",
    b"x" * 200 + b" logagent[4242]: out of memory",
    b"mylogagent[4242]: out of memory",
    b"logagent[99999999999999999999]: out of memory",
    b"logagent[4242] out of memory",
]


@pytest.mark.parametrize("line", OWN)
def test_what_the_agent_wrote_is_no_news(told: Told, line: bytes) -> None:
    plan = told.plan(line, line)

    assert ([], 0, 2) == (plan.alerts, plan.anomalous, plan.own)


@pytest.mark.parametrize("line", OTHERS)
def test_what_somebody_else_wrote_is_news_whatever_it_claims(told: Told, line: bytes) -> None:
    plan = told.plan(line)

    assert (1, 1, 0) == (len(plan.alerts), plan.anomalous, plan.own)


# ---- one alert per line ----


def line_plan(block: Block, own: OwnLines | None = None) -> Plan:
    alerts = LineAlerts("box", own or OwnLines([4242]))
    verdicts = [verdict_of(line) for line in block.data.split(b"\n")]
    plan = alerts.plan(Batch("/var/log/a", b"finger-8", block), verdicts, 0)
    alerts.commit(plan)
    assert not alerts.state()
    assert not alerts.due().alerts
    return plan


def test_every_anomalous_line_is_an_alert(scorer: Scorer) -> None:
    plan = line_plan(Block(b"\n".join([OOM, FINE, OOM, DISK, OWN[0]]), 7, 1000))

    said = records(plan)
    assert [7, 9, 10] == [record["line"] for record in said]
    assert 1000 == said[0]["offset"]
    assert 1000 + len(OOM) + len(FINE) + 2 == said[1]["offset"]
    assert 3 == len({record["id"] for record in said})
    assert {"box"} == {record["host"] for record in said}
    assert (3, 1) == (plan.anomalous, plan.own)


def test_an_unknown_line_number_is_left_out(told: Told) -> None:
    (record,) = records(line_plan(Block(FINE + b"\n" + OOM, 0, 1 << 40)))
    assert "line" not in record
    assert (1 << 40) + len(FINE) + 1 == record["offset"]

    told.line = 0
    (record,) = told.take(FINE, OOM)
    assert "line" not in record
    assert "last_line" not in record


def test_a_line_has_the_same_id_alone_in_a_group_and_after_a_restart(told: Told) -> None:
    (alone,) = line_plan(Block(OOM, 1, 0)).alerts
    (group,) = told.plan(OOM).alerts
    (other,) = line_plan(Block(b"\n".join([OOM, OOM]), 1, 0)).alerts[:1]

    assert alone.id == group.id == other.id
