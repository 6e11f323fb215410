"""Alerts to all sinks: order, outages, full disks, nothing twice and nothing lost."""

from __future__ import annotations

import json
import math
import os
import random
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sinks import Alert
from logagent.sinks.delivery import Blocked, Channel, Delivery
from logagent.sinks.jsonl import JsonlSink
from logagent.sinks.spool import Spool
from logagent.sinks.stream import StreamSink

from .fakes import Clock, FakeSink, FullDisk, alert


class Agent:
    """A delivery to fake sinks, its clock, and what it reported."""

    def __init__(self, folder: Path, *names: str, max_bytes: int = 1 << 20) -> None:
        self.folder = folder
        self.clock = Clock()
        self.told: list[tuple[str, str]] = []
        self.sinks = [FakeSink(name) for name in names or ("fake",)]
        self.sink = self.sinks[0]
        self.spools = [Spool(folder / each.name, max_bytes) for each in self.sinks]
        self.spool = self.spools[0]
        channels = [Channel(*pair) for pair in zip(self.sinks, self.spools, strict=True)]
        self.delivery = self.deliver_to(channels)

    def deliver_to(self, channels: list[Channel]) -> Delivery:
        return Delivery(
            channels,
            lambda kind, message: self.told.append((kind, message)),
            random.Random(7),
            clock=self.clock,
            wall=lambda: 1e9,
        )

    def close(self) -> None:
        self.delivery.close()

    def deliver(self, *numbers: int) -> None:
        for number in numbers:
            self.delivery.deliver(alert(number))
        self.delivery.accepted()

    def tick(self, seconds: float = 301) -> None:
        self.clock.now += seconds
        self.delivery.tick(self.clock.now)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]

    def status(self, name: str = "fake") -> dict[str, Any]:
        return next(each for each in self.delivery.status() if each["name"] == name)


def ids(sink: FakeSink) -> list[int]:
    return [int(each.id, 16) for each in sink.taken]


def full(agent: Agent, patch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(patch, agent.folder, room=0)


def test_every_sink_gets_every_alert_and_no_spool_is_made(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "a", "b")
    agent.deliver(1, 2)
    agent.delivery.sync()

    assert [[1, 2], [1, 2]] == [ids(each) for each in agent.sinks]
    assert [] == list(tmp_path.iterdir())
    assert math.inf == agent.delivery.deadline(agent.clock.now)
    assert [] == agent.told


def test_order_is_kept_when_a_sink_goes_down_and_comes_back(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.deliver(1)
        agent.sink.down = True
        agent.deliver(2, 3)
        agent.sink.down = False
        agent.deliver(4)  # the sink would take it, but 2 and 3 come first
        assert [1] == ids(agent.sink)
        agent.tick()
        agent.deliver(5)

        assert [1, 2, 3, 4, 5] == ids(agent.sink)
        assert ["sink-down", "sink-up"] == agent.kinds()
        assert "told to be down" in agent.told[0][1]
        assert "3 alerts that waited are delivered" in agent.told[1][1]
        assert [] == list((tmp_path / "fake").iterdir())


def test_a_sink_that_is_down_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path, "a", "b")):
        agent.sinks[0].down = True
        agent.deliver(1, 2, 3)

        assert [1, 2, 3] == ids(agent.sinks[1])
        assert 1 == agent.sinks[0].tries, "one wait per pause, not one per alert"


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.sink.down = True
        agent.deliver(1, 2)
    with closing(agent := Agent(tmp_path)):
        agent.deliver(3)
        assert [] == ids(agent.sink)
        assert agent.delivery.deadline(agent.clock.now) <= agent.clock.now
        agent.tick(0)

        assert [1, 2, 3] == ids(agent.sink)


def test_pauses_double_up_to_five_minutes_with_jitter(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.sink.down = True
        agent.deliver(1)
        pauses = []
        for _ in range(12):
            due = agent.delivery.deadline(agent.clock.now)
            pauses.append(due - agent.clock.now)
            agent.tick(pauses[-1] - 0.001)
            tries = agent.sink.tries
            agent.tick(0.001)
            assert tries + 1 == agent.sink.tries
        for number, pause in enumerate(pauses):
            longest = min(2**number, 300)
            assert longest / 2 <= pause <= longest
        assert len(set(pauses)) == len(pauses)
        assert ["sink-down"] == agent.kinds()


def test_a_tick_does_a_bounded_part_and_is_due_again_at_once(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.sink.down = True
        agent.deliver(*range(450))
        agent.sink.down = False
        agent.tick()
        assert list(range(200)) == ids(agent.sink)
        assert agent.delivery.deadline(agent.clock.now) <= agent.clock.now
        assert ["sink-down"] == agent.kinds(), "it is back when all that waited is delivered"
        agent.tick(0)
        agent.tick(0)

        assert list(range(450)) == ids(agent.sink)
        assert "450 alerts that waited" in agent.told[-1][1]
        assert math.inf == agent.delivery.deadline(agent.clock.now)


def test_a_slow_sink_ends_a_tick(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path, "a", "b")):
        for sink in agent.sinks:
            sink.down = True
        agent.deliver(*range(100))
        slow, other = agent.sinks
        slow.down = other.down = False
        write = slow.write

        def slowly(each: Alert) -> None:
            agent.clock.now += 0.1
            write(each)

        slow.write = slowly  # type: ignore[method-assign]  # a fake's one way out
        agent.tick()
        assert 3 == len(slow.taken)
        other_at_first = len(other.taken)
        agent.tick(0)

        assert 1 == other_at_first
        assert 100 == len(other.taken), "the next tick begins with the other sink"


def test_a_sink_that_takes_a_few_alerts_at_a_time_is_reported_once(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.sink.takes = 0
        agent.deliver(*range(10))
        for _ in range(4):
            agent.sink.takes = 2
            agent.tick(1)
        assert list(range(8)) == ids(agent.sink)
        assert ["sink-down"] == agent.kinds()


def test_a_full_spool_drops_the_oldest_and_says_so_once(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path, max_bytes=4096)):
        for outage in range(2):
            before = agent.spool.dropped
            agent.sink.taken.clear()
            agent.sink.down = True
            first = outage * 1000
            agent.deliver(*range(first, first + 200))
            agent.sink.down = False
            agent.tick()
            dropped = agent.spool.dropped - before
            assert dropped > 0
            assert list(range(first + dropped, first + 200)) == ids(agent.sink)
            assert f"{dropped} were dropped" in agent.told[-1][1]

        assert 2 * ["sink-down", "alerts-dropped", "sink-up"] == agent.kinds()
        assert agent.spool.dropped == agent.status()["dropped"]


def test_a_batch_delivered_again_after_blocked_comes_once_to_each_sink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(agent := Agent(tmp_path, "a", "b", "c")):
        agent.sinks[1].down = True
        agent.deliver(0)
        with monkeypatch.context() as patch:
            disk = full(agent, patch)
            disk.room = 150  # for one alert more
            for _ in range(3):
                agent.delivery.deliver(alert(1))
                with pytest.raises(Blocked, match=r"sink b has to wait, and spool .*No space left"):
                    agent.delivery.deliver(alert(2))
        for number in (1, 2, 3):
            agent.delivery.deliver(alert(number))
        agent.delivery.accepted()
        agent.sinks[1].down = False
        agent.tick()

        assert [[0, 1, 2, 3]] * 3 == [ids(each) for each in agent.sinks]


def test_after_accepted_the_same_id_is_delivered_again(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.deliver(1)
    agent.deliver(1)

    assert [1, 1] == ids(agent.sink)


def test_a_sink_without_a_spool_blocks_and_is_tried_again_soon(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    other = FakeSink("other")
    delivery = agent.deliver_to([Channel(agent.sink, None), Channel(other, None)])
    agent.sink.down = True
    for _ in range(10):
        with pytest.raises(Blocked, match="sink fake is down and has no spool: fake: told"):
            delivery.deliver(alert(1))
        due = delivery.deadline(agent.clock.now)
        tries = agent.sink.tries
        with pytest.raises(Blocked):
            delivery.deliver(alert(1))
        assert tries == agent.sink.tries, "not before its time"
        assert 0 < due - agent.clock.now <= 5
        agent.clock.now = due
        assert math.inf == delivery.deadline(agent.clock.now)
        delivery.tick(agent.clock.now)
    agent.sink.down = False
    delivery.deliver(alert(1))

    assert [[1], [1]] == [ids(agent.sink), ids(other)]
    assert ["sink-down", "sink-up"] == agent.kinds()


def test_a_spool_lets_go_only_after_the_sink_has_synced(tmp_path: Path) -> None:
    """Killed between the writing and the syncing of the sink, both could lose it."""
    with closing(agent := Agent(tmp_path)):
        agent.sink.down = True
        agent.deliver(1, 2)
        agent.sink.down = False
        on_disk: list[int] = []

        def look() -> None:
            with closing(Spool(tmp_path / "fake")) as copy:
                on_disk.append(len(copy))

        agent.sink.on_sync = look
        agent.tick()

        assert [2] == on_disk
        assert 0 == len(agent.spool)


def test_alerts_a_sink_took_and_could_not_sync_are_given_again(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.sink.down = True
        agent.deliver(1, 2)
        agent.sink.down = False
        agent.sink.sync_fails = True
        agent.tick()
        assert (0, 2) == (agent.status()["delivered"], agent.status()["spooled"])
        agent.sink.sync_fails = False
        agent.tick()

        assert [1, 2, 1, 2] == ids(agent.sink)
        assert (2, 0) == (agent.status()["delivered"], agent.status()["spooled"])


@pytest.mark.parametrize("culprit", ["sink", "spool"])
def test_sync_is_blocked_by_what_cannot_be_made_durable_and_syncs_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: str
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    synced: list[str] = []
    with closing(agent := Agent(tmp_path, "a", "b")):
        agent.sinks[1].on_sync = lambda: synced.append("b")
        agent.sink.down = True
        agent.deliver(1)
        with monkeypatch.context() as patch:
            if culprit == "sink":
                agent.sink.sync_fails = True
            else:
                patch.setattr(os, "fsync", broken)
            with pytest.raises(Blocked, match=r"sink a: .*(told to fail|Input/output error)"):
                agent.delivery.sync()
        assert ["b"] == synced
        agent.sink.sync_fails = False
        agent.delivery.sync()


def test_a_damaged_spool_is_reported(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path)):
        agent.sink.down = True
        agent.deliver(1, 2)
    segment = next((tmp_path / "fake").iterdir())
    data = bytearray(segment.read_bytes())
    data[30] ^= 255
    segment.write_bytes(data)
    with closing(agent := Agent(tmp_path)):
        assert ["spool-damaged"] == agent.kinds()
        assert 1 == agent.status()["damaged"]


def test_the_status_is_json_and_tells_what_an_operator_asks(tmp_path: Path) -> None:
    with closing(agent := Agent(tmp_path, "a", "b")):
        agent.deliver(1)
        agent.sink.down = True
        agent.deliver(2)
        down, up = json.loads(json.dumps(agent.delivery.status()))

        assert 0 < down.pop("spooled_bytes")
        assert {
            "name": "a",
            "state": "down",
            "since": 1e9,
            "delivered": 1,
            "spooled": 1,
            "dropped": 0,
            "damaged": 0,
            "rejected": 0,
            "last_error": "a: told to be down",
        } == down
        assert ("b", "up", 2, None) == (up["name"], up["state"], up["delivered"], up["last_error"])


def test_a_hung_reader_of_a_pipe_gets_everything_once_it_reads(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        agent = Agent(tmp_path)
        sink = StreamSink("stdout", writer, human=False, wait_seconds=0.001)
        spool = Spool(tmp_path / "stdout")
        with closing(agent.deliver_to([Channel(sink, spool)])) as delivery:
            sent = [alert(number, size=6000) for number in range(60)]
            for each in sent:
                delivery.deliver(each)
            assert len(spool) > 10
            os.set_blocking(reader, False)
            data = b""
            while len(spool):
                data += os.read(reader, 1 << 20)
                agent.clock.now += 301
                delivery.tick(agent.clock.now)
            data += os.read(reader, 1 << 20)
    finally:
        os.close(reader)
        os.close(writer)

    assert [each.record for each in sent] == data.splitlines()
    assert ["sink-down", "sink-up"] == agent.kinds()


def test_a_full_disk_under_the_file_and_its_spool_blocks_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(tmp_path)
    path = tmp_path / "alerts.jsonl"
    channel = Channel(JsonlSink(str(path)), Spool(tmp_path / "file"))
    with closing(agent.deliver_to([channel])) as delivery:
        with monkeypatch.context() as patch:
            disk = full(agent, patch)
            disk.room = 100
            delivery.deliver(alert(1))
            delivery.deliver(alert(2))
            for _ in range(3):
                with pytest.raises(Blocked):
                    delivery.deliver(alert(3))
        delivery.deliver(alert(3))
        agent.clock.now += 301
        delivery.tick(agent.clock.now)
        delivery.sync()

    assert [alert(number).record for number in (1, 2, 3)] == path.read_bytes().splitlines()


class Life:
    """A service that saves its position, and is killed: sinks keep what they were given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved = self.at = self.furthest = 0
        self.received: list[list[int]] = [[], []]
        self.agent = Agent(folder, "a", "b")

    def batch(self) -> None:
        self.furthest = max(self.furthest, self.at + 3)
        with suppress(Blocked):
            self.agent.deliver(self.at, self.at + 1, self.at + 2)
            self.at += 3

    def save(self) -> None:
        with suppress(Blocked):
            self.agent.delivery.sync()
            self.saved = self.at

    def kill(self) -> None:
        self.collect()
        self.agent.close()
        self.agent = Agent(self.folder, "a", "b")
        self.at = self.saved

    def switch(self, number: int) -> None:
        self.agent.sinks[number].down = not self.agent.sinks[number].down

    def end_well(self) -> None:
        """Everything works again."""
        for sink in self.agent.sinks:
            sink.down = False
        while self.at < self.furthest:
            self.batch()
        self.agent.tick()
        self.agent.deliver(self.at)
        self.collect()
        self.agent.close()

    def collect(self) -> None:
        for number, sink in enumerate(self.agent.sinks):
            self.received[number] += ids(sink)
            sink.taken.clear()


STEPS = ["batch", "batch", "tick", "soon", "save", "kill", "a", "b", "full", "nearly", "room"]


@given(steps=st.lists(st.sampled_from(STEPS)))
def test_whatever_fails_each_sink_gets_every_alert_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Sinks go up and down, the disk fills, batches are tried again, the process is killed."""
    life = Life(tmp_path_factory.mktemp("delivery"))
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(patch, life.folder, room=1 << 30)
        actions = {
            "batch": life.batch,
            "tick": lambda: life.agent.tick(301),
            "soon": lambda: life.agent.tick(1),
            "save": life.save,
            "kill": life.kill,
            "a": lambda: life.switch(0),
            "b": lambda: life.switch(1),
            "full": lambda: setattr(disk, "room", 0),
            "nearly": lambda: setattr(disk, "room", 100),
            "room": lambda: setattr(disk, "room", 1 << 30),
        }
        for step in [*steps, "room"]:
            actions[step]()
        life.end_well()

    for received in life.received:
        once = list(dict.fromkeys(received))
        assert list(range(life.at + 1)) == once
        if "kill" not in steps:
            assert once == received
