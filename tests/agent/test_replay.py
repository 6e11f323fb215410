"""A replay tells what the agent would have told, when it would have told it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from logagent import replay as replay_module
from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.inputs import Batch
from logagent.judge import Judge
from logagent.overrides import Override, Overrides
from logagent.policy.policy import Policy, Settings
from logagent.policy.telling import Teller
from logagent.replay import Events, Replay, Told
from logagent.scorer import Scorer
from logagent.service.alerts import GroupAlerts
from logagent.service.own_lines import OwnLines

HOUR, DAY = 3600.0, 86_400.0
NOON = 1_800_000_000.0
LOG = "/var/log/a"


class Words:
    """Scores 0.98 for a panic, 0.95 for a failure, else 0.1."""

    def scores(self, templates: Sequence[bytes]) -> np.ndarray[Any, Any]:
        found = [0.98 if b"panic" in t else 0.95 if b"failed" in t else 0.1 for t in templates]
        return np.array(found, np.float32)


@dataclass(frozen=True, slots=True)
class Line:
    at: float
    text: bytes

    @property
    def stamped(self) -> bytes:
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return b"%b host %b" % (when.replace("+00:00", "Z").encode(), self.text)


@pytest.fixture(scope="module")
def teller() -> Teller:
    return Teller(Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy"), "box")


def add(events: Events, lines: Sequence[bytes], source: str = LOG, **options: Any) -> None:
    """Add lines as one block, judged."""
    block = Block(b"\n".join(lines), 1, 0)
    events.add(source, b"finger-8", block, Judge(Words(), 0.9).judge(block), **options)


def events_of(lines: Sequence[Line], source: str = LOG) -> Events:
    events = Events()
    add(events, [line.stamped for line in lines], source)
    return events


def replayed(events: Events, teller: Teller, **options: Any) -> list[Told]:
    replay = Replay(teller, Settings(**options), 0.9, events.began)
    return list(replay.run(events.sorted(), events.last_at, events.boots))


def live(lines: Sequence[Line], teller: Teller, **options: Any) -> list[tuple[float, str]]:
    """Return time and id of what `GroupAlerts` tells, looked at as the agent does."""
    now = began = lines[0].at
    policy = Policy(Settings(**options), 0.9, now)
    alerts = GroupAlerts(teller, OwnLines([1]), policy, wall=lambda: now)
    judge, offset, looks, said = Judge(Words(), 0.9), 0, 0, []

    def tell(*, ending: bool = False) -> None:
        plan = alerts.due(ending=ending)
        alerts.commit(plan)
        said.extend((now, alert.id) for alert in plan.alerts)

    for number, line in enumerate(lines, 1):
        while (at := min(now + alerts.wait_seconds(), began + 10 * looks)) < line.at:
            now = max(at, now)
            looks += now >= began + 10 * looks
            tell()
        now = line.at
        block = Block(line.stamped, number, offset)
        alerts.commit(alerts.plan(Batch(LOG, b"finger-8", block), judge.judge(block), 0))
        offset += len(line.stamped) + 1
    tell(ending=True)
    return said


TEXTS = st.sampled_from(
    [b"disk failed", b"fan failed", b"kernel panic", b"door failed to open", b"all is well",
     b"kernel: Linux version 6.1.0", b"power failed", b"clock failed"]
)  # fmt: skip
GAPS = st.sampled_from([0.0, 0.37, 1.13, 3.17, 21.09, 307.03, 4001.01, 20_021.07])  # no ties


@example(  # a boot after the last event
    [(0.0, b"disk failed"), (0.37, b"kernel: Linux version 6.1.0"), (21.09, b"all is well")], {}
)
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(GAPS, TEXTS), min_size=1, max_size=40),
    st.sampled_from([{}, {"wait_seconds": 30.0}, {"budget_per_day": 2}, {"clear_seconds": HOUR}]),
)
def test_it_tells_what_the_agent_tells_within_ten_seconds_of_it(
    teller: Teller, steps: list[tuple[float, bytes]], options: dict[str, Any]
) -> None:
    lines, now = [], NOON
    for gap, text in steps:
        now += gap
        lines.append(Line(now, text))
    # Ids of digests and of notices hold their time, which differs by seconds.
    dated = {"digest", "budget"}
    told = replayed(events_of(lines), teller, **options)
    ours = [(each.at, each.alert.id) for each in told if each.kind not in dated]
    theirs = live(lines, teller, **options)
    named = {id_ for _, id_ in ours}

    assert len(told) == len(theirs)
    assert sorted(named) == sorted(id_ for _, id_ in theirs if id_ in named)
    times = {id_: at for at, id_ in theirs}
    for at, id_ in ours:
        assert abs(at - times[id_]) <= 10.1


# ---- times ----


def test_logs_that_are_read_out_of_order_are_told_in_order(teller: Teller) -> None:
    events = Events()
    add(events, [Line(NOON + HOUR, b"fan failed").stamped], "/var/log/new")
    add(events, [Line(NOON, b"disk failed").stamped], "/var/log/old")
    told = replayed(events, teller)

    assert ["/var/log/old", "/var/log/new"] == [
        json.loads(each.alert.record)["source"] for each in told
    ]
    assert [NOON + 2, NOON + HOUR] == [each.at for each in told]
    assert (NOON, NOON + HOUR) == (events.first_at, events.last_at)
    assert [NOON, NOON + HOUR] == [each.onset for each in told]


def test_a_line_without_a_time_stamp_has_that_of_the_last_one_before_it() -> None:
    events = Events()
    lines = [b"disk failed", Line(NOON, b"well").stamped, b"fan failed", b"well", b"door failed"]
    add(events, lines, fallback=NOON + 7)

    assert [(NOON, b"fan failed"), (NOON, b"door failed"), (NOON + 7, b"disk failed")] == [
        (event.at, event.sighting.text) for event in events.sorted()
    ]
    assert {} == events.unstamped


def test_a_stamp_is_looked_for_over_borders_of_blocks_and_not_over_those_of_logs() -> None:
    events = Events()
    add(events, [Line(NOON, b"well").stamped])
    add(events, [b"fan failed"], fallback=NOON + 7)
    add(events, [b"door failed"], "/var/log/b", fallback=NOON + 9)

    assert [NOON, NOON + 9] == [event.at for event in events.sorted()]
    assert {"/var/log/b": 1} == events.unstamped


def test_a_log_without_stamps_is_counted_as_such() -> None:
    events = Events()
    add(events, [b"well", b"fan failed", b"[   12.3] disk failed"], fallback=NOON)

    assert {LOG: 3} == events.unstamped
    assert {NOON} == {event.at for event in events.sorted()}
    assert (NOON, NOON) == (events.first_at, events.last_at)


def test_no_lines_are_no_trouble(teller: Teller) -> None:
    events = Events()
    events.add(LOG, b"finger-8", Block(b"", 1, 0), [])

    assert 0 == events.began
    assert [] == replayed(events, teller)


def test_digests_come_in_days_without_lines(teller: Teller) -> None:
    lines = [Line(NOON, b"disk failed"), Line(NOON + HOUR, b"disk failed"),
             Line(NOON + 5 * DAY, b"all is well")]  # fmt: skip
    told = replayed(events_of(lines), teller)

    assert [("new", 2.0)] == [(each.kind, each.at - NOON) for each in told if each.kind != "digest"]
    assert [DAY] == [each.at - NOON for each in told if each.kind == "digest"]


def test_what_waits_at_the_end_is_told(teller: Teller) -> None:
    assert ["new"] == [
        each.kind for each in replayed(events_of([Line(NOON, b"fan failed")]), teller)
    ]


def test_a_boot_makes_what_follows_wait(teller: Teller) -> None:
    boot = Line(NOON, b"kernel: Linux version 6.1.0 (gcc)")
    later = Line(NOON + 3 * HOUR, b"all is well")
    lines = [boot, Line(NOON + 5, b"fan failed"), Line(NOON + 20, b"disk failed"), later]
    (told,) = replayed(events_of(lines), teller)

    assert NOON + 60 == told.at
    assert 2 == len(told.keys)


def test_lines_before_an_event_are_counted_for_the_digest(teller: Teller) -> None:
    lines = [Line(NOON + n, b"all is well") for n in range(50)] + [Line(NOON + 50, b"fan failed")]
    lines += [Line(NOON + 51 + n, b"fan failed") for n in range(19)]
    lines.append(Line(NOON + 2 * DAY, b"all is well"))
    events = events_of(lines)
    (digest,) = [each for each in replayed(events, teller) if each.kind == "digest"]
    record = json.loads(digest.alert.record)

    assert (71, 20) == (events.lines, events.anomalous)
    assert (70, 20) == (record["lines"], record["anomalous"])


# ---- what is known of a group ----


def test_three_lines_around_the_first_one_are_shown(teller: Teller) -> None:
    lines = [Line(NOON + n, b"well %d" % n) for n in range(5)]
    lines[2:2] = [Line(NOON + 2, b"fan failed"), Line(NOON + 2, b"fan failed")]
    (told,) = replayed(events_of(lines), teller)
    record = json.loads(told.alert.record)

    assert 2 == record["count"]
    assert 3 == record["line"]
    assert ["well 0", "well 1"] == [each[30:] for each in record["context"]["before"]]
    assert ["fan failed", "well 2", "well 3"] == [each[30:] for each in record["context"]["after"]]


def test_the_budget_holds_back_and_it_is_known_what(teller: Teller) -> None:
    lines = [Line(NOON + n * HOUR, word + b" failed") for n, word in
             enumerate((b"fan", b"disk", b"door", b"clock"))]  # fmt: skip
    events = events_of(lines)
    replay = Replay(teller, Settings(budget_per_day=1), 0.9, events.began)
    told = list(replay.run(events.sorted(), events.last_at))

    assert ["new", "budget"] == [each.kind for each in told]
    assert 3 == len(replay.held)


def test_what_looks_like_an_ignored_group_is_left_out(teller: Teller) -> None:
    group = "# #:# host backup of the pictures failed for this night"
    said = Overrides([Override("e1", "normal", group=group, created=1.0)], NOON)
    events = events_of([Line(NOON, b"backup of the pictures failed for this week")])
    told = []
    for overrides in (None, said):
        replay = Replay(teller, Settings(), 0.9, events.began, overrides=overrides)
        told.append(len(list(replay.run(events.sorted(), events.last_at))))

    assert [1, 0] == told


# ---- memory ----


def test_too_many_events_are_merged_and_no_first_line_moves(
    teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (b"fan", b"disk", b"door", b"clock", b"power")
    lines = [Line(NOON + 10 * n, words[n * n % 5] + b" failed") for n in range(3000)]
    whole = events_of(lines)
    monkeypatch.setattr(replay_module, "MOST_EVENTS", 60)
    merged = Events()
    for start in range(0, 3000, 100):
        add(merged, [line.stamped for line in lines[start : start + 100]], fallback=0)

    def firsts(events: Events) -> dict[bytes, tuple[float, bytes]]:
        found: dict[bytes, tuple[float, bytes]] = {}
        for event in events.sorted():
            found.setdefault(event.verdict.group, (event.at, event.sighting.text))
        return found

    assert len(merged.sorted()) <= 60
    assert firsts(whole) == firsts(merged)
    assert 3000 == sum(event.count for event in merged.sorted())
    assert 3000 == sum(event.lines_before for event in merged.sorted())
    assert 0 == merged.left_out
    one, other = replayed(whole, teller)[0], replayed(merged, teller)[0]
    assert (NOON + 2, one.keys) == (one.at, other.keys)
    assert one.at == other.at


def test_of_too_many_groups_the_gravest_are_kept_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_module, "MOST_EVENTS", 60)
    letters = "ghijklmnopqrstuvwxyz"
    names = [(a + b + c).encode() for a in letters[:3] for b in letters for c in letters]
    lines = [Line(NOON + n, name + b" failed") for n, name in enumerate(names)]
    lines.append(Line(NOON + 9000, b"kernel panic"))
    lines += [Line(NOON + 9001 + n, b"x" + name + b" failed") for n, name in enumerate(names)]
    events = events_of(lines)
    kept = events.sorted()

    assert len(kept) <= 60
    assert len(lines) == events.left_out + sum(event.count for event in kept)
    assert any(b"panic" in event.sighting.text for event in kept)
