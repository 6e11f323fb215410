"""A sink whose receiver acknowledges: what is on its way waits in the spool, and nobody waits."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from logagent.sinks import Alert, Pending, SinkError
from logagent.sinks.delivery import Blocked, Channel, Delivery
from logagent.sinks.spool import Spool

from .fakes import Clock, alert


class Slow:
    """Takes an alert at the third offer."""

    name = "slow"
    rejected = 0

    def __init__(self) -> None:
        self.pause = 0.5
        self.taken: list[Alert] = []
        self.offers: list[str] = []
        self.error: SinkError | None = None
        self.sync_error: SinkError | None = None
        self.idled: list[float] = []

    def write(self, alert: Alert) -> None:
        self.offers.append(alert.id)
        if self.error is not None:
            raise self.error
        if self.offers.count(alert.id) < 3:
            raise Pending("on its way", self.pause)
        self.taken.append(alert)

    def sync(self) -> None:
        if self.sync_error is not None:
            raise self.sync_error

    def idle(self, now: float) -> None:
        self.idled.append(now)

    def close(self) -> None:
        pass


class Half:
    def random(self) -> float:
        return 0.5


class Agent:
    def __init__(self, folder: Path | None, clock: Any = None) -> None:
        self.sink, self.clock = Slow(), clock or Clock()
        self.said: list[tuple[str, str]] = []
        spool = None if folder is None else Spool(folder / "slow")
        self.delivery = Delivery(
            [Channel(self.sink, spool)],
            lambda kind, message: self.said.append((kind, message)),
            Half(),
            clock=self.clock,
        )

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.delivery.tick(self.clock.now)

    @property
    def status(self) -> dict[str, object]:
        return self.delivery.status()[0]


def test_an_alert_on_its_way_waits_in_the_spool_and_the_sink_is_not_down(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.delivery.deliver(alert(1))
        agent.delivery.deliver(alert(2))

        assert ("up", 2) == (agent.status["state"], agent.status["spooled"])
        assert agent.clock.now + 0.5 == agent.delivery.deadline(agent.clock.now)
        for _ in range(4):
            agent.later(0.5)
        assert [alert(1), alert(2)] == agent.sink.taken
        assert 0 == agent.status["spooled"]
        assert [] == agent.said


def test_it_is_not_offered_before_its_time(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.delivery.deliver(alert(1))
        agent.later(0.25)

        assert 1 == len(agent.sink.offers)


def test_positions_may_be_saved_while_an_alert_is_on_its_way(tmp_path: Path) -> None:
    """It is in the spool, which was synced."""
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.delivery.deliver(alert(1))
        agent.sink.sync_error = Pending("mail on its way", 0.5)
        agent.delivery.sync()
    again = Spool(tmp_path / "slow")
    with closing(again):
        assert alert(1) == again.peek()


def test_without_a_spool_the_agent_waits_for_it() -> None:
    agent = Agent(None)
    with closing(agent.delivery):
        for _ in range(2):
            with pytest.raises(Blocked, match="is at work"):
                agent.delivery.deliver(alert(1))
        agent.delivery.deliver(alert(1))
        agent.sink.sync_error = Pending("mail on its way", 0.5)
        with pytest.raises(Blocked, match="mail on its way"):
            agent.delivery.sync()
        agent.sink.sync_error = None
        agent.delivery.sync()

        assert [alert(1)] == agent.sink.taken


def test_a_sync_that_is_pending_offers_the_alerts_again(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.delivery.deliver(alert(1))
        agent.sink.sync_error = Pending("mail on its way", 0.5)
        for _ in range(3):
            agent.later(0.5)
        assert (0, 1) == (agent.status["delivered"], agent.status["spooled"])
        agent.sink.sync_error = None
        agent.later(0.5)

        assert (1, 0) == (agent.status["delivered"], agent.status["spooled"])
        assert [] == agent.said


def test_a_receiver_that_asks_to_wait_is_left_alone_for_so_long(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.sink.error = SinkError("busy", 90.0)
        agent.delivery.deliver(alert(1))

        assert agent.clock.now + 90 == agent.delivery.deadline(agent.clock.now)
        agent.sink.error = SinkError("busy", 1e9)
        agent.later(90)
        assert agent.clock.now + 3600 == agent.delivery.deadline(agent.clock.now)


def test_settling_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    agent = Agent(tmp_path, time.monotonic)
    agent.sink.pause = 0.001
    with closing(agent.delivery):
        agent.delivery.deliver(alert(1))
        agent.delivery.settle(5.0)

        assert [alert(1)] == agent.sink.taken


def test_settling_does_not_wait_for_what_comes_later_or_is_down(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.sink.error = Pending("gathering", 1e12)
        agent.delivery.deliver(alert(1))
        agent.delivery.settle(1e9)
        agent.sink.error = SinkError("down")
        agent.clock.now += 1e12
        agent.delivery.settle(1e9)

        assert [] == agent.sink.taken


def test_a_sink_may_look_after_its_connection_at_every_tick(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    with closing(agent.delivery):
        agent.later(1)

        assert [agent.clock.now] == agent.sink.idled
