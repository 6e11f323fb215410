"""Sequences in the running agent that operators call normal: not told, and told again in time."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from logagent.bundle import Bundle
from logagent.cli import app
from logagent.config import Config
from logagent.config_sections import Sequences
from logagent.override_entries import Override, entries_of
from logagent.overrides import Overrides, OverridesFile
from logagent.overrides_file import add
from logagent.sequences.rules import Rule
from logagent.service.agent import Agent
from typer.testing import CliRunner

from ..sequences.fakes import JOB, MissingEnd, bundle, line
from .running import Running, until
from .test_agent import Standing
from .test_sequencing import DAY, NOON, Told

NAMELESS = "0" * 16


def normal(kind: str, id_: str = "a", expires: float = NOON + 90 * DAY) -> Override:
    return Override(id_, "normal", group="the end", source=f"sequence:{kind}", expires=expires)


def overrides(*entries: Override, now: float = NOON) -> Overrides:
    return Overrides(entries, now)


def told(**settings: Any) -> Told:
    """Return one whose model names unknown events, too: kinds of more than one event."""
    made = Told(**settings)
    made.alerts.watch._ask = MissingEnd().judge
    return made


def kind_of(made: Told) -> str:
    """Return the kind of sessions without an end, which is told once by this."""
    made.see(line(0, "begin"))
    (record,) = made.idle()
    return str(record["group"])


def test_a_kind_that_is_taught_is_told_no_more_and_counted() -> None:
    made = told(repeat_seconds=0.0)
    kind = kind_of(made)
    made.alerts.teach(overrides(normal(kind)))
    for number in (1, 2):
        made.see(line(number, "begin"))
    made.see(line(3, "begin"), line(3, "fresh news"))
    assert [["j3"], []] == [[each["session"] for each in made.idle()] for _ in range(2)]
    counts = made.alerts.counts()
    assert (2, 2) == (counts["anomalous"], counts["taught"])


def test_what_is_taught_disappears_from_what_is_held_back() -> None:
    made = Told()
    kind = kind_of(made)
    made.see(line(1, "begin"))
    assert [] == made.idle()
    assert 1 == made.alerts.counts()["kinds_held_back"]
    made.alerts.teach(overrides(normal(kind)))
    assert 0 == made.alerts.counts()["kinds_held_back"]
    made.now += 2 * DAY
    made.alerts.tick()
    assert [] == made.taken()


def test_what_waits_for_a_sink_is_let_go_if_it_is_taught_and_the_rest_is_not() -> None:
    made = told()
    for number, more in ((1, b"work"), (2, b"fresh news")):
        made.see(line(number, "begin"), line(number, more.decode()))
    made.now += 61
    made.alerts.tick()
    first, second = (json.loads(each.record) for each in made.alerts._waiting)
    assert first["group"] != second["group"]
    made.alerts.teach(overrides(normal(first["group"])))
    assert [second] == made.taken()


def test_expiry_brings_a_kind_back_with_those_since_then(tmp_path: Path) -> None:
    made = Told()
    kind = kind_of(made)
    made.see(line(9, "begin"))
    assert [] == made.idle()  # held back
    add(tmp_path / "f", normal(kind, expires=made.now + 3 * DAY))
    file = OverridesFile(tmp_path / "f")

    def look() -> None:
        if (said := file.poll(made.now)) is not None:
            made.alerts.teach(said)

    look()
    made.see(line(1, "begin"))
    assert [] == made.idle()
    made.now += 3 * DAY
    look()
    made.see(line(2, "begin"))
    (record,) = made.idle()
    assert ("j2", 3, 1) == (record["session"], record["count"], record["since_told"])


def test_sessions_are_left_out_by_their_key_from_then_on() -> None:
    made = Told(repeat_seconds=0.0)
    said = Override("a", "normal", regex="^j1", source="session:a.*")
    made.alerts.teach(overrides(said))
    made.see(line(1, "begin"), line(2, "begin"))
    made.see(line(1, "begin"), source="b.log")
    assert ["j2", "b.log"] == [
        each["session"] if each["source"] == "a.log" else each["source"] for each in made.idle()
    ]
    assert 1 == made.alerts.counts()["taught"]


def test_kinds_are_known_by_their_names_and_by_their_latest_alerts() -> None:
    made = Told(repeat_seconds=0.0)
    ids = []
    for number in range(10):
        made.see(line(number, "begin"))
        ids += [each["id"] for each in made.idle()]
    (known,) = made.alerts.known()
    assert (ids[-8:], "told", 10) == (known["alert_ids"], known["state"], known["count"])
    assert known["about"].startswith("missing: job j")
    again = Told()
    again.alerts.load(msgpack.unpackb(msgpack.packb(made.alerts.state())))
    assert [known] == again.alerts.known()
    again.alerts.teach(overrides(normal(known["id"])))
    assert ["taught"] == [each["state"] for each in again.alerts.known()]


def test_a_kind_that_was_told_is_no_news_to_another_model() -> None:
    made = Told()
    kind = kind_of(made)
    other = made.made("another")
    other.load(made.alerts.state())
    assert [kind] == [each["id"] for each in other.known()]


def test_a_state_of_an_agent_from_before_is_read_and_one_of_today_by_it() -> None:
    """That one had numbers of events for names, and reads only the keys that it knows."""
    made = Told()
    kind_of(made)
    made.see(line(1, "begin"))
    made.idle()
    state = made.alerts.state()
    (row,) = state["kinds"]
    assert 5 == len(row)
    del state["told_kinds"]
    state["kinds"] = [
        ["missing:2", *row[1:]],
        ["missing:1", 1, 1, NOON, None],
        ["", 1, 1, 1.0, None],
    ]
    again = Told()
    assert [] == again.alerts.load(state)
    assert ["missing:2", ""] == list(again.alerts._kinds)
    again.now = made.now + DAY
    again.alerts.tick()
    assert ["j1"] == [each["session"] for each in again.taken()]


# ---- in the loop ----


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(None, {"state.dir": str(tmp_path), "state.save_seconds": 10.0})


def test_what_is_written_is_heard_at_the_next_turn(agent: Agent, tmp_path: Path) -> None:
    standing, made = Standing(agent), Told()
    kind = kind_of(made)
    agent.sequences = made.alerts
    agent.overrides_file = OverridesFile(tmp_path / "overrides.toml")
    add(tmp_path / "overrides.toml", Override("a", "normal", group="x", source=f"sequence:{kind}"))
    standing.turn(line(1, "begin"))
    made.now += 61 + DAY
    made.alerts.tick()
    assert (1, 1) == (made.alerts.counts()["taught"], made.alerts.watch.taught)
    (tmp_path / "overrides.toml").unlink()
    standing.turn(line(2, "begin"))
    made.idle()
    assert 1 == made.alerts.watch.anomalous - 1


def test_a_new_model_goes_by_what_was_said_of_sequences(agent: Agent, tmp_path: Path) -> None:

    agent.overrides, agent.pids = overrides(normal(NAMELESS)), [77]
    model: Any = SimpleNamespace(scorer=SimpleNamespace(bundle=Bundle.load(bundle(tmp_path / "b"))))
    wanted = Config(sequences=Sequences(enabled=True))
    made = agent._sequences(wanted, model, None)
    assert made is not None
    assert made._taught is not None
    assert made._taught.about(NAMELESS) is not None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


def logagent(running: Running, *words: str) -> str:
    config = ["--config", str(running.folder / "logagent.toml")]
    done = CliRunner().invoke(app, [*words, "--state-dir", str(running.state), *config])
    assert 0 == done.exit_code, done.output
    return str(done.output)


@pytest.mark.slow
def test_an_alert_is_taught_by_its_id_while_the_agent_runs_and_after_a_kill(
    running: Running,
) -> None:
    made = bundle(running.folder / "jobs.bundle", Rule(key=JOB, timeout_seconds=60.0))
    (running.folder / "logagent.toml").write_text(
        f"[sequences]\nenabled = true\nrepeat_seconds = 0\n"
        f"[model]\nbundle = '{made}'\nbackend = 'numpy'\n"
    )

    def bad(session: int) -> None:
        """A job without an end, and another an hour later, so that it is over."""
        for number, second in ((session, 0), (session + 1, 3600)):
            running.append(f"{line(number, 'begin', 7200 * session + second).decode()}\n")

    def ids() -> list[str]:
        return [each["id"] for each in running.printed() if each.get("kind") == "sequence"]

    def taught() -> bool:
        return bool(running.status()["sequences"]["taught"])

    running.start("--from-start")
    bad(1)
    (first,) = until(ids, "an alert")
    logagent(running, "feedback", first, "normal", "--reason", "a test")
    (entry,) = entries_of(running.state / "overrides.toml")
    until(lambda: running.status()["overrides"] == 1, "heard")
    bad(2)
    until(taught, "taught")
    running.saved()
    running.stop(signal.SIGKILL)
    running.start()
    bad(3)
    until(taught, "taught after the kill")
    assert [first] == ids()
    kind = str(entry.source).removeprefix("sequence:")
    assert f"sequence {kind}: missing: " in logagent(running, "ignore", "list")
    assert f"removed: {entry.id}" in logagent(running, "feedback", kind, "anomalous")
    until(lambda: running.status()["overrides"] == 0, "taken back")
    bad(4)
    until(lambda: set(ids()) - {first}, "told again")
