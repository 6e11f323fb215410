"""From judged lines to alerts: a group is told once, with what is around it; nothing is lost."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.inputs import Batch
from logagent.judge import NORMAL, TEMPLATE_BYTES, Judge, Verdict
from logagent.overrides import Override, Overrides
from logagent.policy.adaptation import HostAdaptation
from logagent.policy.policy import Policy, Settings
from logagent.policy.telling import Teller
from logagent.scorer import Scorer
from logagent.service.alerts import GroupAlerts, LineAlerts, Plan
from logagent.service.own_lines import OwnLines
from logagent.sinks import Alert

from ..fakes import KeywordScorer

HOUR, DAY = 3600.0, 86_400.0
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

    def __init__(
        self,
        scorer: Scorer,
        overrides: Overrides | None = None,
        *,
        habits: bool = False,
        **options: Any,
    ) -> None:
        self.wall = NOON
        self.offset = 0
        self.line = 1
        self.teller = Teller(scorer, "box")
        self.overrides = overrides
        self.habits = habits
        self.settings = Settings(**options)
        self.alerts = self.made()

    def made(self) -> GroupAlerts:
        adaptation = HostAdaptation(0.96) if self.habits else None
        return GroupAlerts(
            self.teller,
            OwnLines([4242]),
            Policy(self.settings, 0.9, self.wall, adaptation),
            overrides=self.overrides,
            adaptation=adaptation,
            wall=lambda: self.wall,
        )

    def batch(self, *lines: bytes, source: str = "/var/log/a") -> Batch:
        """Return the next lines of the log."""
        data = b"\n".join(lines)
        batch = Batch(source, b"finger-8", Block(data, self.line, self.offset))
        self.offset += len(data) + 1
        self.line += len(lines) if self.line else 0
        return batch

    def plan(self, *lines: bytes) -> Plan:
        return self.plan_of(self.batch(*lines))

    def plan_of(self, batch: Batch) -> Plan:
        return self.alerts.plan(batch, [verdict_of(line) for line in batch.block.lines()], 0)

    def take(self, *lines: bytes, source: str = "/var/log/a") -> None:
        """Plan and commit."""
        plan = self.plan_of(self.batch(*lines, source=source))
        assert [] == plan.alerts
        self.alerts.commit(plan)

    def due(self) -> Plan:
        plan = self.alerts.due()
        self.alerts.commit(plan)
        return plan

    def after(self, seconds: float) -> list[dict[str, Any]]:
        """Let time pass; return the records of what is due then."""
        self.wall += seconds
        return records(self.due())

    def told_of(self, *lines: bytes) -> list[dict[str, Any]]:
        """Take lines and wait for what is told of them."""
        self.take(*lines)
        return self.after(3)

    def restart(self) -> None:
        saved = msgpack.unpackb(msgpack.packb(self.alerts.state()))
        self.alerts = self.made()
        self.alerts.load(saved)


def verdict_of(line: bytes) -> Verdict:
    if line == FINE or line.startswith(b"fine"):
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


def test_a_batch_planned_twice_counts_nothing(told: Told) -> None:
    batch = told.batch(FINE, OOM, DISK, OOM)
    before = told.alerts.state()
    first, second = told.plan_of(batch), told.plan_of(batch)

    assert ([], 3, 0, 4) == (first.alerts, first.anomalous, first.own, first.lines)
    assert first == second
    assert before == told.alerts.state()
    assert 0 == len(told.alerts)

    told.alerts.commit(second)
    assert [2, 1] == [group.count for group in told.alerts.policy]


def test_what_is_due_stays_due_with_its_ids_until_it_was_taken(told: Told) -> None:
    told.take(OOM, DISK)
    told.wall += 3
    before = told.alerts.state()
    first, second = told.alerts.due(), told.alerts.due()

    assert first.alerts == second.alerts
    assert 1 == len(first.alerts)
    assert before == told.alerts.state()
    told.alerts.commit(second)
    assert Plan([]) == told.alerts.due()


def test_what_is_due_has_the_same_id_after_a_restart(told: Told) -> None:
    told.take(OOM)
    told.wall += 3
    before = told.alerts.due()
    told.restart()

    assert [alert.id for alert in before.alerts] == [alert.id for alert in told.alerts.due().alerts]


def test_normal_lines_tell_nothing(told: Told) -> None:
    assert [] == told.told_of(FINE, FINE)
    assert math.inf == told.alerts.wait_seconds()


def test_how_long_a_group_waits_is_known(told: Told) -> None:
    told.take(OOM)
    assert 2 == told.alerts.wait_seconds()
    told.wall += 5
    assert 0 == told.alerts.wait_seconds()
    told.due()
    assert math.inf == told.alerts.wait_seconds()


def test_lines_of_a_trace_are_counted_though_they_tell_nothing(told: Told) -> None:
    batch = told.batch(FINE, FINE)

    assert 2 == told.alerts.plan(batch, [NORMAL, NORMAL], 2).anomalous


def test_lines_and_anomalous_ones_are_counted_for_the_digest(told: Told) -> None:
    told.take(FINE, OOM, FINE, OOM)
    told.take(FINE)
    assert [] != told.after(3)
    told.take(OOM)
    (record,) = (each for each in told.after(DAY) if each["alert"] == "digest")

    assert (6, 3) == (record["lines"], record["anomalous"])


# ---- what an alert says ----


def test_a_group_is_told_with_its_first_line_its_last_and_their_number(told: Told) -> None:
    (record,) = told.told_of(FINE, OOM, FINE, OOM, OOM)

    assert ("new", "box", 3) == (record["alert"], record["host"], record["count"])
    assert record["id"] == record["group"]
    assert (2, 5) == (record["line"], record["last_line"])
    assert len(FINE) + 1 == record["offset"]
    assert OOM.decode() == record["text"]


def test_seven_hundred_equal_lines_at_once_are_one_alert_that_counts_them(told: Told) -> None:
    for _ in range(7):
        told.take(*[OOM] * 100)
    said = [record for _ in range(100) for record in told.after(60)]

    assert [("new", 700)] == [(record["alert"], record["count"]) for record in said]


def test_the_lines_of_one_failure_are_one_alert_even_over_several_sources(told: Told) -> None:
    told.take(DISK)
    told.wall += 1
    told.take(b"app: cannot write", source="/var/log/b")
    told.wall += 1
    told.take(b"cron: job ended badly", source="/var/log/c")
    (record,) = told.after(3)

    assert DISK.decode() == record["text"]
    assert ["app: cannot write", "cron: job ended badly"] == sorted(
        each["text"] for each in record["related"]
    )


def test_the_trace_below_the_first_line_is_told(told: Told) -> None:
    trace = [b"\tat a.b.C(D.java:7)", b"Caused by: java.io.IOException: no route", b"\tat e.f(G)"]
    batch = told.batch(b"java.lang.IllegalStateException: lost", *trace, FINE)
    verdicts = [verdict_of(batch.block.line(0)), *[NORMAL] * 4]
    plan = told.alerts.plan(batch, verdicts, 3)
    told.alerts.commit(plan)
    told.restart()

    (record,) = told.after(3)
    assert 3 == record["trace_lines"]
    assert "Caused by: java.io.IOException: no route" == record["cause"]
    assert 4 == plan.anomalous


def test_what_a_hostile_line_says_is_printable(told: Told) -> None:
    block = Block(b"\x1b[2J\x07\n\x1b]0;owned\x07 <b>\xff", 1, 0)
    plan = told.plan_of(Batch("/var/log/\x1b[31m\udcff\n", b"finger-8", block))
    told.alerts.commit(plan)

    (record,) = told.after(3)
    said = json.dumps(record)
    assert "\\\\x1b]0;owned\\\\x07 <b>" in said
    assert "\\u001b" not in said


# ---- lines around ----


def context(record: dict[str, Any]) -> tuple[list[str], list[str]]:
    found = record.get("context", {})
    return found.get("before", []), found.get("after", [])


def test_three_lines_on_each_side_are_shown(told: Told) -> None:
    lines = [b"fine %d" % number for number in range(5)]
    (record,) = told.told_of(*lines, OOM, *lines)

    assert (["fine 2", "fine 3", "fine 4"], ["fine 0", "fine 1", "fine 2"]) == context(record)


FINES = [f"fine {number}" for number in range(3)]


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 10)))
def test_however_the_log_is_cut_into_blocks_the_lines_around_are_the_same(
    scorer: Scorer, cuts: set[int]
) -> None:
    told = Told(scorer)
    lines = [
        b"fine 9",
        *map(str.encode, FINES),
        OOM,
        *map(str.encode, FINES),
        b"fine 8",
        FINE,
        FINE,
    ]
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(lines)], strict=True):
        told.take(*lines[start:end])
        told.take(b"fine other", source="/var/log/b")
    (record,) = told.after(3)

    assert (FINES, FINES) == context(record)


def test_lines_of_another_source_are_not_around(told: Told) -> None:
    told.take(b"fine other", source="/var/log/b")
    told.take(OOM)
    told.take(b"fine other", source="/var/log/b")
    (record,) = told.after(3)

    assert ([], []) == context(record)


def test_lines_that_come_after_it_was_told_are_not_around(told: Told) -> None:
    (record,) = told.told_of(OOM)
    told.take(b"fine 1", OOM)
    (again,) = (each for each in told.after(DAY) if each["alert"] == "again")

    assert ([], []) == context(record) == context(again)


def test_long_lines_around_are_cut(told: Told) -> None:
    (record,) = told.told_of(b"fine " + b"x" * 9000, OOM, b"fine " + b"x" * 9000)

    before, after = context(record)
    assert [300, 300] == [len(each) for each in before + after]


def test_what_is_kept_of_sources_is_bounded(told: Told) -> None:
    for number in range(1000):
        told.take(b"fine " + b"x" * 5000, OOM, source=f"/var/log/pods/{number}")
    for number in range(1000):  # a group of its own in each: the rest of its lines never comes
        told.take(b"failure of " + name(number), source=f"/var/log/pods/{number}")

    assert len(told.alerts._tails) <= 256
    assert len(told.alerts._wanting) <= 256
    assert max(map(len, told.alerts._tails.values())) <= 1024


def name(number: int) -> bytes:
    letters = b"abcdefghijklmnopqrst"
    return bytes(letters[number // power % 20] for power in (400, 20, 1))


# ---- telling again ----


def test_a_failure_every_ten_minutes_for_a_week_stays_visible(told: Told) -> None:
    said = []
    for _ in range(7 * 24 * 6):
        told.take(OOM)
        said += told.after(600)
    alerts = [record for record in said if record["alert"] != "digest"]
    digests = [record for record in said if record["alert"] == "digest"]

    assert ["new", "again", "again"] == [record["alert"] for record in alerts]
    assert len(digests) >= 6
    assert all(OOM.decode() == digest["ongoing"][0]["text"] for digest in digests)
    (known,) = told.alerts.known_groups()
    assert (7 * 24 * 6, "told") == (known["count"], known["state"])
    assert set(known["alert_ids"]) >= {record["id"] for record in alerts}


def test_telling_again_says_how_many_lines_came_since(told: Told) -> None:
    (new,) = told.told_of(OOM)
    told.take(OOM, OOM)
    told.take(OOM)
    (again,) = (each for each in told.after(DAY) if each["alert"] == "again")

    assert (4, 3) == (again["count"], again["since_told"])
    assert new["id"] == again["group"] != again["id"]


def test_the_id_of_a_later_alert_does_not_depend_on_how_the_lines_are_cut(told: Told) -> None:
    """After a crash, lines are read again in other batches."""
    told.told_of(OOM)
    saved = told.alerts.state()
    told.take(OOM)
    told.wall += HOUR
    told.take(OOM)
    before = told.after(DAY)
    told.alerts = told.made()
    told.alerts.load(msgpack.unpackb(msgpack.packb(saved)))
    told.take(OOM, OOM)
    after = told.after(60)

    assert ["again"] == [each["alert"] for each in before if each["alert"] != "digest"]
    assert [each["id"] for each in before if each["alert"] == "again"] == [
        each["id"] for each in after if each["alert"] == "again"
    ]


def test_a_boot_makes_warnings_wait_and_severe_failures_none(told: Told) -> None:
    boot = b"fine kernel: Linux version 6.1.0 (gcc)"
    told.take(boot)
    told.take(DISK)
    assert [] == told.after(30)
    assert [DISK.decode()] == [record["text"] for record in told.after(30)]

    told.take(boot)
    told.take(b"another failure")
    told.take(OOM)
    assert [OOM.decode()] == [record["text"] for record in told.after(6)]


@pytest.mark.parametrize(
    "line",
    [b"fine Linux version 6.1.0", b"fine kernel: some Linux version 6", b"fine kernel: Linux"],
)
def test_what_only_looks_like_a_boot_makes_nothing_wait(told: Told, line: bytes) -> None:
    told.take(line)

    assert 1 == len(told.told_of(DISK))


# ---- what the operator says ----


def overrides_of(*said: tuple[str, str]) -> Overrides:
    entries = [
        Override(f"e{number}", verdict, group=group, created=1.0)  # type: ignore[arg-type]  # literal
        for number, (group, verdict) in enumerate(said)
    ]
    return Overrides(entries, NOON)


def test_a_group_that_is_ignored_is_forgotten_and_hidden_from_the_next_line_on(
    told: Told,
) -> None:
    judge = Judge(KeywordScorer(), 0.5)
    told.alerts.policy.threshold = 0.5

    def take(line: bytes) -> Plan:
        batch = told.batch(line)
        plan = told.alerts.plan(batch, judge.judge(batch.block), 0)
        told.alerts.commit(plan)
        return plan

    line = b"backup of the pictures failed for this night"
    assert 1 == take(line).anomalous
    said = overrides_of((line.decode(), "normal"))
    judge.teach(said)
    told.alerts.teach(said)
    plan = take(line)
    assert (0, 1) == (plan.anomalous, plan.hidden)
    assert [] == told.after(DAY)
    assert [] == told.alerts.known_groups()

    assert 1 == take(b"backup of the pictures failed for this week").anomalous
    assert [] == told.after(10)  # it looks like the other
    take(b"disk failed")
    assert ["disk failed"] == [record["text"] for record in told.after(10)]


def test_a_normal_line_that_an_operator_calls_anomalous_alerts(told: Told) -> None:
    judge = Judge(KeywordScorer(), 0.5, overrides=overrides_of(("door opened", "anomalous")))
    told.alerts.policy.threshold = 0.5
    batch = told.batch(b"door opened")
    told.alerts.commit(told.alerts.plan(batch, judge.judge(batch.block), 0))

    (record,) = told.after(3)
    assert (True, 0.1) == (record["forced"], round(record["score"], 3))


def test_what_was_ignored_while_the_agent_was_stopped_is_forgotten(told: Told) -> None:
    told.told_of(DISK)
    told.take(DISK)
    told.overrides = overrides_of((DISK.decode(), "normal"))
    told.restart()

    assert [] == told.alerts.known_groups()
    assert [] == [each for each in told.after(DAY) if each["alert"] != "digest"]


def test_lines_that_a_regex_hides_are_counted_apart(scorer: Scorer) -> None:
    entry = Override("e1", "normal", regex="mysqld", source="/var/log/*", created=1.0)
    told = Told(scorer, Overrides([entry], NOON))
    plan = told.plan(OOM, DISK, OOM)
    told.alerts.commit(plan)

    assert (1, 2) == (plan.anomalous, plan.hidden)
    assert [DISK.decode()] == [record["text"] for record in told.after(3)]


# ---- habits ----


def test_habits_hear_of_lines_and_are_saved_with_the_groups(scorer: Scorer) -> None:
    told = Told(scorer, habits=True)
    told.take(OOM)
    before = told.alerts.state()
    told.restart()

    assert before == told.alerts.state()
    assert told.alerts.adaptation is not None
    assert 1 <= told.alerts.adaptation.habits.hours_anywhere(VERDICTS[OOM].template, told.wall)


def test_habits_that_nobody_wants_any_more_are_dropped(scorer: Scorer) -> None:
    told = Told(scorer, habits=True)
    told.take(OOM)
    told.habits = False
    told.restart()

    assert told.alerts.state()["adaptation"] is None
    assert 1 == len(told.alerts)


# ---- what is saved ----


def test_a_restart_forgets_nothing(told: Told) -> None:
    told.told_of(OOM, DISK)
    told.take(OOM)
    before = told.alerts.state()
    told.restart()

    assert before == told.alerts.state()
    assert [] == told.told_of(OOM, DISK)
    said = [each for each in told.after(DAY) if each["alert"] == "again"]
    assert [(OOM.decode(), 2)] == [(each["text"], each["since_told"]) for each in said]
    assert 1 == len(said[0]["related"])


def test_a_group_that_waited_when_the_agent_was_killed_is_told_after_its_start(told: Told) -> None:
    told.take(OOM)
    told.restart()

    assert ["new"] == [record["alert"] for record in told.after(3)]


def test_groups_of_an_agent_without_a_policy_are_no_reason_to_forget_positions(told: Told) -> None:
    told.alerts.load([[b"group", "0" * 16, b"template", 0.9, [], [], [], [1, 1, 1], 5.0]])

    assert 0 == len(told.alerts)


@pytest.mark.parametrize(
    "saved",
    [None, {}, "text", 7, [None], [{}], ["x"], {"policy": None, "adaptation": None},
     {"policy": {}, "adaptation": None}, {"policy": []}],
)  # fmt: skip
def test_what_is_no_state_is_refused(told: Told, saved: Any) -> None:
    with pytest.raises(ValueError, match="other fields"):
        told.alerts.load(saved)


def test_habits_that_are_garbage_cost_no_groups(scorer: Scorer) -> None:
    told = Told(scorer, habits=True)
    told.take(OOM)
    state = told.alerts.state()
    other = told.made()
    other.load(state | {"adaptation": {"habits": [1], "learner": None}})

    assert 1 == len(other)
    with pytest.raises(ValueError, match="fields"):
        told.made().load(state | {"adaptation": [1]})


LINES = st.lists(
    st.sampled_from([OOM, DISK, FINE, b"app: cannot write", b"fine 1", b"\xff\x1b failure"]),
    min_size=1,
    max_size=9,
)
STEPS = st.lists(
    LINES
    | st.sampled_from([0.5, 3.0, 700.0, HOUR, DAY, -60.0, -DAY])
    | st.sampled_from(["restart", "refused"]),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
@example([[OOM], 3.0, [DISK]])
@example([[OOM], 3.0, [DISK], 700.0, DAY])
@example([[OOM], DAY, [OOM], DAY, -DAY, [OOM], DAY])
def test_whatever_happens_every_group_is_told_and_ids_differ(
    scorer: Scorer, steps: list[Any]
) -> None:
    told = Told(scorer)
    seen: set[bytes] = set()
    said: list[Alert] = []
    for step in steps:
        if isinstance(step, list):
            told.take(*step)
            seen.update(line for line in step if verdict_of(line).anomalous)
        elif step == "restart":
            told.restart()
        elif step == "refused":
            told.alerts.due()  # and not committed
        else:
            told.wall += step
            said += told.due().alerts
    for _ in range(60):
        told.wall += 10
        said += told.due().alerts
    groups = [json.loads(alert.record) for alert in said]
    new = {text for each in groups if each["alert"] in ("new", "again") for text in
           [each["text"], *(other["text"] for other in each.get("related", ()))]}  # fmt: skip
    # Their ids hold their time, which a clock that is set back to the second gives twice.
    dated = [each["alert"] in ("digest", "budget") for each in groups]
    ids = [alert.id for alert, is_dated in zip(said, dated, strict=True) if not is_dated]

    # What a failure goes on to say is in the digest, and told again when it comes up.
    later = {each["text"] for each in told.alerts.known_groups() if not each["told"]}
    assert len(seen) == len(new | later)
    assert len(ids) == len(set(ids))
    assert 0 == told.alerts.counts()["pending"]


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
    told.alerts.commit(plan)

    assert (0, 2) == (plan.anomalous, plan.own)
    assert [] == told.after(3)


@pytest.mark.parametrize("line", OTHERS)
def test_what_somebody_else_wrote_is_news_whatever_it_claims(told: Told, line: bytes) -> None:
    plan = told.plan(line)
    told.alerts.commit(plan)

    assert (1, 0) == (plan.anomalous, plan.own)
    assert 1 == len(told.after(3))


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


def test_without_groups_an_ignored_line_is_counted_as_hidden() -> None:
    said = overrides_of(("disk failed", "normal"))
    block = Block(b"disk failed\ndoor opened\ndisk failed", 1, 0)
    verdicts = Judge(KeywordScorer(), 0.5, overrides=said).judge(block)
    plan = LineAlerts("box", OwnLines([1]), said).plan(
        Batch("/var/log/a", b"finger-8", block), verdicts, 0
    )

    assert ([], 0, 2) == (plan.alerts, plan.anomalous, plan.hidden)


def test_an_unknown_line_number_is_left_out(told: Told) -> None:
    (record,) = records(line_plan(Block(FINE + b"\n" + OOM, 0, 1 << 40)))
    assert "line" not in record
    assert (1 << 40) + len(FINE) + 1 == record["offset"]

    told.line = 0
    told.take(FINE, OOM)
    (record,) = told.after(3)
    assert "line" not in record
    assert "last_line" not in record


def test_a_line_has_the_same_id_alone_in_a_group_and_after_a_restart(scorer: Scorer) -> None:
    told = Told(scorer, wait_seconds=0.0)
    (alone,) = line_plan(Block(OOM, 1, 0)).alerts
    told.take(OOM)
    (group,) = told.due().alerts
    (other,) = line_plan(Block(b"\n".join([OOM, OOM]), 1, 0)).alerts[:1]

    assert alone.id == group.id == other.id
