"""The loop of the agent: when it has something to do, and that it stops where nothing goes out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.inputs import Batch
from logagent.judge import Judge
from logagent.policy.adaptation import HostAdaptation
from logagent.policy.facts import load
from logagent.policy.learning import Learner
from logagent.policy.policy import Policy, Settings
from logagent.policy.telling import Teller
from logagent.scorer import Scorer
from logagent.service.agent import Agent
from logagent.service.alerts import GroupAlerts
from logagent.service.own_lines import OwnLines
from logagent.sinks.delivery import Channel, Delivery

from ..fakes import KeywordScorer
from ..sinks.fakes import Clock, FakeSink

NOON = 1_800_000_000.0


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(None, {"state.dir": str(tmp_path), "state.save_seconds": 10.0})


def test_positions_that_have_not_moved_are_never_due(agent: Agent) -> None:
    agent._next_save = 100.0
    assert math.inf == agent._save_due()


def test_positions_behind_an_alert_are_due_after_the_interval(agent: Agent) -> None:
    agent._next_save = 100.0
    agent.changed = agent._alerted = True
    assert 100.0 == agent._save_due()


def test_positions_without_an_alert_are_due_later_and_wake_nobody_before(agent: Agent) -> None:
    """The loop waits for this very moment: a time in the past would keep it awake until then."""
    agent._next_save = 100.0
    agent.changed = True
    assert 150.0 == agent._save_due()


def test_lines_that_are_not_told_yet_are_no_reason_to_save_sooner(agent: Agent) -> None:
    """A log that goes on saying the same would wear out flash memory otherwise."""
    standing = Standing(agent)
    standing.turn(b"disk failed")
    assert agent.changed
    assert not agent._alerted
    standing.turn()
    assert ["disk failed"] == standing.told(0)
    assert agent._alerted


# ---- a sink that refuses ----


class Lines:
    """An input of one line at a time."""

    name = "lines"
    wants_save = False

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.read = 0

    def poll(self, _now: float) -> Iterator[Batch]:
        while self.waiting:
            block = Block(self.waiting[0], self.read + 1, 100 * self.read)
            yield Batch("/var/log/a", b"finger-8", block)

    def accepted(self, _batch: Batch) -> None:
        self.read += 1
        del self.waiting[0]


class Standing:
    """An agent whose parts are fakes, but for judge, policy and delivery."""

    def __init__(self, agent: Agent, **settings: Any) -> None:
        self.agent, self.clock, self.wall = agent, Clock(), NOON
        self.sinks = [FakeSink("one"), FakeSink("two")]
        self.lines = Lines()
        agent.metrics = None
        agent.inputs = [self.lines]  # type: ignore[list-item]  # what the loop needs of it
        agent.overrides_file = SimpleNamespace(poll=lambda _now: None)  # type: ignore[assignment]
        agent.model = SimpleNamespace(judge=Judge(KeywordScorer(), 0.5))  # type: ignore[assignment]
        teller = Teller(Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy"), "box")
        policy = Policy(Settings(**settings), 0.5, self.wall)
        agent.alerts = GroupAlerts(teller, OwnLines([1]), policy, wall=lambda: self.wall)
        channels = [Channel(sink, None) for sink in self.sinks]
        self.reports: list[tuple[str, str]] = []
        agent.delivery = Delivery(
            channels,
            lambda *report: self.reports.append(report),
            SimpleNamespace(random=lambda: 0.5),  # type: ignore[arg-type]  # no jitter
            clock=self.clock,
            wall=lambda: self.wall,
        )

    def turn(self, *lines: bytes, seconds: float = 10.0) -> None:
        """Let time pass, append lines, and let the agent take its turn."""
        self.wall += seconds
        self.clock.now += seconds
        self.lines.waiting += lines
        self.agent.blocked_until = -math.inf
        self.agent._turn(self.clock.now)

    def told(self, sink: int) -> list[str]:
        records = [json.loads(alert.record) for alert in self.sinks[sink].taken]
        return [
            text
            for record in records
            for text in (record["text"], *(each["text"] for each in record.get("related", ())))
        ]


def test_what_no_sink_takes_stays_due_and_nothing_is_read_meanwhile(agent: Agent) -> None:
    standing = Standing(agent)
    standing.sinks[0].down = standing.sinks[1].down = True
    standing.turn(b"disk failed")
    assert 1 == standing.lines.read
    for number in range(5):
        standing.turn(b"fan %d failed badly" % number)
        assert 1 == standing.lines.read
        assert agent.blocked_until > 0
    assert (0, 5) == (agent.alerts_sent, len(standing.lines.waiting))

    standing.sinks[0].down = standing.sinks[1].down = False
    standing.turn()
    standing.turn()
    for sink in (0, 1):
        assert ["disk failed", "fan # failed badly"] == [
            text.replace("0", "#") for text in standing.told(sink)
        ]
    assert (6, 2) == (standing.lines.read, agent.alerts_sent)


def test_a_sink_that_took_an_alert_does_not_get_it_twice_while_another_refuses(
    agent: Agent,
) -> None:
    standing = Standing(agent)
    standing.sinks[1].down = True
    standing.turn(b"disk failed")
    for _ in range(3):
        standing.turn()
    assert (["disk failed"], []) == (standing.told(0), standing.told(1))
    standing.sinks[1].down = False
    standing.turn()

    assert (["disk failed"], ["disk failed"]) == (standing.told(0), standing.told(1))
    assert 1 == agent.alerts_sent


def test_a_turn_without_lines_tells_what_waited(agent: Agent) -> None:
    standing = Standing(agent)
    standing.turn(b"disk failed")
    standing.turn(seconds=1.0)
    assert [] == standing.told(0)
    standing.turn(seconds=1.0)
    assert ["disk failed"] == standing.told(0)


def test_what_waits_is_told_when_the_agent_stops(agent: Agent) -> None:
    standing = Standing(agent, wait_seconds=300.0)
    standing.turn(b"disk failed")
    assert agent._tell(ending=True)

    assert ["disk failed"] == standing.told(0)


# ---- the end of learning ----


def test_what_was_learnt_is_told_once_and_saved_as_soon_as_there_is_room(
    agent: Agent, tmp_path: Path
) -> None:
    standing = Standing(agent)
    began = time.time() - 100.0
    learner = Learner(began, 60.0, 20, {"low": 0.96, "normal": 0.9, "high": 0.7})
    adaptation = HostAdaptation(0.96, None, learner)
    assert isinstance(agent.alerts, GroupAlerts)
    agent.alerts.adaptation = adaptation
    agent.model.scorer = SimpleNamespace(bundle=SimpleNamespace(sha256="00" * 32))  # type: ignore[misc, assignment]
    agent.folder = SimpleNamespace(folder=tmp_path)  # type: ignore[assignment]
    (tmp_path / "learned.toml").mkdir()  # stands for a full disk, for root as well
    for _ in range(3):
        agent._end_learning()

    assert ["learned"] == [json.loads(each.record)["alert"] for each in standing.sinks[0].taken]
    assert adaptation.learner is learner
    assert 1 == agent.reporter.counts["facts"]
    (tmp_path / "learned.toml").rmdir()
    agent._end_learning()
    assert (None, True) == (adaptation.learner, agent._reload)
    assert 1 == len(standing.sinks[0].taken)
    assert load(tmp_path / "learned.toml", time.time()) is not None
