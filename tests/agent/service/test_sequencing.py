"""Sequences in the running agent: told once, told again, never lost by a kill or a full sink."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from logagent.bundle import DEFAULT_BUNDLE, Bundle, write_bundle
from logagent.config import Config, load
from logagent.config_sections import Sequences
from logagent.errors import BundleError, ConfigError
from logagent.inputs import Batch
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule
from logagent.sequences.silences import Silences
from logagent.service.agent import Agent
from logagent.service.alerts import LineAlerts
from logagent.service.own_lines import OwnLines
from logagent.service.sequencing import IDLE_SECONDS, SequenceAlerts, make_sequences
from logagent.sinks import Alert

from ..sequences.fakes import JOB, block, bundle, line, part
from ..sequences.test_silences import silences
from .running import Running, until
from .test_agent import Standing

NOON = 1_800_000_000.0
DAY = 86400.0


class Told:
    """`SequenceAlerts` with a clock of its own and somebody who takes what it says."""

    def __init__(
        self, rule: Rule | None = None, silences: Silences | None = None, **settings: Any
    ) -> None:
        self.now = NOON
        self.silences = silences
        self.put = 0.0  # how far somebody has put the time of day forward [s]
        self.rule = rule or Rule(key=JOB, timeout_seconds=60.0)
        self.config = Config(sequences=Sequences(enabled=True, **settings))
        self.alerts = self.made()

    def made(self, identity: str = "model") -> SequenceAlerts:
        model = SequenceModel.read(part(silences=self.silences))
        return SequenceAlerts(
            model,
            [self.rule],
            self.config,
            "box",
            identity=identity,
            own=OwnLines([77]),
            wall=lambda: self.now,
            steady=lambda: self.now - self.put,
        )

    def see(self, *lines: bytes, source: str = "a.log") -> None:
        self.alerts.see(Batch(source, b"finger-8", block(*lines)))

    def idle(self) -> list[dict[str, Any]]:
        """Let the time-out pass; return what is told."""
        self.now += 61
        self.alerts.tick()
        return self.taken()

    def taken(self) -> list[dict[str, Any]]:
        told = []
        while (alert := self.alerts.next_alert()) is not None:
            told.append(json.loads(alert.record))
            self.alerts.delivered()
        return told


def test_a_session_without_its_end_is_told_when_it_is_idle() -> None:
    made = Told()
    made.see(line(1, "begin"), line(2, "begin"), line(2, "end"))
    assert [] == made.taken()
    (record,) = made.idle()
    assert ("j1", "box", "sequence", "idle") == tuple(
        record[name] for name in ("session", "host", "alert", "ended")
    )


def test_an_alert_that_comes_back_through_a_log_is_no_line_of_the_session_it_names() -> None:
    made, plain = Told(), Told()
    own = b"Mar 14 07:15:57 box logagent[77]: "
    others = [line(1, "begin"), line(2, "end"), line(1, "work")]
    plain.see(*others)
    made.see(own + line(9, "x"), *others[:2], own + line(1, "x"), others[2], own + line(9, "x"))
    made.see(own + line(9, "begin"))
    for told in (made, plain):
        counts = told.alerts.watch.counts()
        assert (3, 2) == (counts["lines"], counts["open"])
    found, same = made.idle(), plain.idle()
    assert ["j1"] == [each["session"] for each in found] == [each["session"] for each in same]
    begun = len(own + line(9, "x")) + 1
    assert (2, 5, begun) == (found[0]["line"], found[0]["last_line"], found[0]["offset"])


def test_what_an_agent_did_not_see_begin_is_not_told_and_what_it_saw_begin_is() -> None:
    """It begins logs at their end; without stamps their lines are counted."""
    limits = silences((0.0, 1200.0, 1200.0), (1200.0, 1200.0, 0.0), stamped=False)
    made = Told(silences=limits)
    made.see(line(1, "work"), line(1, "work"), line(2, "begin"), *[b"nothing"] * 20)
    made.see(line(3, "work"))
    assert ["j2"] == [each["session"] for each in made.idle()]  # j3 is of its kind
    counts = made.alerts.counts()
    assert (3, 2, 1, 1) == tuple(counts[x] for x in ("judged", "anomalous", "cut", "spared"))


def test_a_restart_is_no_beginning_and_another_model_is_one() -> None:
    limits = silences((0.0, 1200.0, 1200.0), (1200.0, 1200.0, 0.0), stamped=False)
    for identity, cut in (("model", 0), ("another", 1)):
        made = Told(silences=limits)
        made.see(line(1, "begin"), *[b"nothing"] * 30)
        again = made.made(identity)
        again.load(msgpack.unpackb(msgpack.packb(made.alerts.state())))
        made.alerts = again
        made.see(line(2, "work"))
        made.idle()
        assert cut == again.counts()["cut"]


@pytest.mark.parametrize("rule", [Rule(key=JOB, timeout_seconds=60.0), Rule(window_lines=9)])
def test_an_agent_from_before_reads_what_is_open_and_what_it_does_not_know_is_beside(
    rule: Rule,
) -> None:
    """It takes rows with other fields for no state, and lets go of what waits to be told, too."""
    made = Told(rule, silences((0.0, 1200.0, 1200.0), (1200.0, 1200.0, 0.0), stamped=False))
    made.see(line(1, "work"), line(2, "begin"))
    whole = made.alerts.watch.sequencer.state()
    state = msgpack.unpackb(msgpack.packb(made.alerts.state()))
    names, ((_, _, _, table),) = state["open"]
    assert whole[0] == names
    rows = table[0] if rule.window_lines else [opened for _, opened in table]
    assert [7] * len(rows) == [len(each) for each in rows]
    again = made.made()
    assert [] == again.load(state)
    assert whole == again.watch.sequencer.state()
    again = made.made()
    del state["open_beside"]
    assert [] == again.load(state)
    assert again.watch.sequencer.open_sequences


@pytest.mark.parametrize(
    "beside", [None, 5, [5], [[[], 5]], [[[], ["x", 99, -1]]], [[[], []], [[], []]]]
)
def test_what_is_beside_and_does_not_fit_is_left_out(beside: object) -> None:
    made = Told(silences=silences(stamped=False))
    made.see(line(1, "work"))
    state = msgpack.unpackb(msgpack.packb(made.alerts.state()))
    again = made.made()
    assert [] == again.load(state | {"open_beside": beside})
    assert 1 == again.watch.sequencer.open_sequences


def test_sessions_of_one_kind_are_told_once_and_again_after_a_while_with_their_number() -> None:
    made = Told()
    for number in range(5):
        made.see(line(number, "begin"))
    assert ["j0"] == [each["session"] for each in made.idle()]
    assert [] == made.idle()
    made.now += DAY
    made.alerts.tick()
    waits = made.alerts.next_alert()
    assert waits is not None
    assert waits.text.endswith("(×5 of this kind, 4 since told)")  # for syslog, mail and a chat
    (again,) = made.taken()
    assert (5, 4) == (again["count"], again["since_told"])


def test_more_than_a_day_may_bring_waits_for_the_next_and_is_not_lost() -> None:
    made = Told(alerts_per_day=1, repeat_seconds=0.0)
    for number in range(3):
        made.see(line(number, "begin"))
        made.now += 61
        made.alerts.tick()
    assert ["j0"] == [each["session"] for each in made.taken()]
    assert 1 == made.alerts.counts()["kinds_held_back"]
    made.now += DAY
    made.alerts.tick()
    assert ["j2"] == [each["session"] for each in made.taken()]


def test_a_clock_that_is_put_back_silences_nothing() -> None:
    made = Told(alerts_per_day=1)
    made.see(line(1, "begin"))
    assert 1 == len(made.idle())
    made.now -= 400 * DAY
    made.see(line(2, "begin"))
    assert 1 == len(made.idle())


def test_a_clock_that_is_put_right_is_no_silence() -> None:
    made = Told()
    made.see(line(1, "begin", 0))
    made.now, made.put = made.now + 20_000 * DAY, 20_000 * DAY  # a board that boots in 1970
    made.alerts.tick()
    made.see(line(1, "end", 1))
    assert 0 == made.alerts.watch.judged
    made.idle()
    assert {"idle": 1} == made.alerts.watch.counts()["ended"]


def test_the_first_line_after_a_silence_that_was_heard_is_of_its_own_time() -> None:
    made = Told()
    made.see(line(1, "begin", 0), line(1, "end", 1))
    made.now += 7200  # two hours, of which the log says nothing
    made.alerts.tick()
    made.see(line(2, "begin", 7200))
    made.now += 5
    made.see(line(2, "end", 7205))
    made.idle()
    assert (2, 0) == (made.alerts.watch.judged, made.alerts.watch.counts()["clock_jumps"])


def test_what_is_open_and_what_waits_survives_a_restart() -> None:
    made = Told()
    made.see(line(1, "begin"))
    made.now += 61
    made.alerts.tick()
    made.see(line(2, "begin"))
    again = Told()
    again.now = made.now
    saved = msgpack.unpackb(msgpack.packb(made.alerts.state()))
    assert [] == again.alerts.load(saved)
    assert made.taken() == again.taken() != []
    again.see(line(2, "end"))
    assert [] == again.idle()


def test_a_restart_repeats_with_equal_ids() -> None:
    def first() -> dict[str, Any]:
        made = Told()
        made.see(line(1, "begin"))
        return made.idle()[0]

    assert first()["id"] == first()["id"]


def test_open_sessions_of_another_model_are_let_go_and_alerts_are_not() -> None:
    made = Told()
    made.see(line(1, "begin"))
    made.now += 61
    made.alerts.tick()
    made.see(line(2, "begin"))
    other = made.made("another")
    assert ["open sequences were let go: they were of another model"] == other.load(
        made.alerts.state()
    )
    assert other.next_alert() is not None
    assert 0 == other.watch.sequencer.open_sequences


def test_another_model_lets_nothing_go_where_nothing_was_open() -> None:
    assert [] == Told().made("another").load(Told().alerts.state())


def test_a_rule_that_changed_is_told_once_and_not_for_each_of_its_logs() -> None:
    made = Told()
    for source in ("a.log", "b.log", "c.log"):
        made.see(line(1, "begin"), source=source)
    other = Told(Rule(key=JOB, timeout_seconds=61.0))
    assert ["open sequences of default were let go"] == other.alerts.load(made.alerts.state())


def test_kinds_are_bounded_and_what_was_not_told_goes_last() -> None:
    made = Told(alerts_per_day=1).alerts
    made._kinds["untold"] = SimpleNamespace(latest="an alert")  # type: ignore[assignment]
    for number in range(300):
        made._kinds[f"told {number}"] = SimpleNamespace(latest=None)  # type: ignore[assignment]
        if len(made._kinds) > 200:
            made._forget()
    assert (200, 0) == (len(made._kinds), made.counts()["kinds_forgotten"])
    assert "untold" in made._kinds
    for number in range(300):
        made._kinds[f"other {number}"] = SimpleNamespace(latest="an alert")  # type: ignore[assignment]
        if len(made._kinds) > 200:
            made._forget()
    # What had been told went first, then the oldest of the others, and that is counted.
    assert (200, 101) == (len(made._kinds), made.counts()["kinds_forgotten"])
    assert "untold" not in made._kinds


# ---- what the configuration says ----


def config(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "logagent.toml"
    file.write_text(text)
    return load(file)


def test_rules_of_the_configuration_are_those_in_force(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        "[sequences]\nenabled = true\n[[sequences.rules]]\nsources = ['*/a.log']\n"
        "timeout_seconds = 5\n[[sequences.rules]]\nwindow_lines = 100\nsteps = 2\n",
    )
    assert made.sequences.rules == load(tmp_path / "logagent.toml").sequences.rules
    again = tmp_path / "again.toml"
    again.write_text(made.to_toml())
    assert made == load(again)
    alerts = make_sequences(made, Bundle.load(bundle(tmp_path / "b")), "box", print, None)
    first, second = alerts.watch.sequencer._rules
    assert (("*/a.log",), 5.0, JOB) == (first.sources, first.timeout_seconds, first.key)
    assert (100, 2) == (second.window_lines, second.steps)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("rules = 5", "list of at most 50 tables"),
        ("rules = ['x']", "a table"),
        ("[[sequences.rules]]\nkey = '(?P<session>(a+)+)x'", "rule 1: repeats"),
        ("[[sequences.rules]]\n[[sequences.rules]]\nkye = ''", "rule 2: no key kye"),
    ],
)
def test_rules_that_make_no_sense_stop_the_start(tmp_path: Path, rules: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(tmp_path, f"[sequences]\n{rules}\n")


def test_a_session_of_a_followed_log_ends_though_training_knew_no_time_out(
    tmp_path: Path,
) -> None:
    made = Config(sequences=Sequences(enabled=True))
    alerts = make_sequences(made, Bundle.load(bundle(tmp_path / "b")), "box", print, None)
    assert 86400.0 == IDLE_SECONDS
    assert [IDLE_SECONDS] == [each.timeout_seconds for each in alerts.watch.sequencer._rules]


def test_a_session_ends_though_training_was_on_windows(tmp_path: Path) -> None:
    tables = ({"key": JOB.pattern.pattern.decode(), "sources": ["a*"]}, {"window_lines": 5})
    made = Config(sequences=Sequences(enabled=True, rules=tables))
    loaded = Bundle.load(bundle(tmp_path / "b", Rule(window_lines=10)))
    rules = make_sequences(made, loaded, "box", print, None).rules
    assert [IDLE_SECONDS, 0.0] == [each.timeout_seconds for each in rules]


def test_a_bundle_that_cannot_is_told() -> None:
    with pytest.raises(BundleError, match="no part 'sequences'"):
        make_sequences(Config(), Bundle.load(DEFAULT_BUNDLE), "box", print, None)


def test_a_state_that_makes_no_sense_is_let_go_and_said_so(tmp_path: Path) -> None:
    loaded, said = Bundle.load(bundle(tmp_path / "b")), []
    for saved in ({"x": 1}, [], "?"):
        alerts = make_sequences(Config(), loaded, "box", lambda *told: said.append(told), saved)
        assert 0 == alerts.watch.sequencer.open_sequences
    assert ["sequences-let-go"] * 3 == [kind for kind, _ in said]


# ---- in the loop ----


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(None, {"state.dir": str(tmp_path), "state.save_seconds": 10.0})


def test_a_batch_that_no_sink_took_is_not_counted_twice(agent: Agent) -> None:
    standing, made = Standing(agent), Told()
    agent.sequences = made.alerts
    agent.alerts = LineAlerts("box", OwnLines([1]))
    standing.sinks[0].down = standing.sinks[1].down = True
    for lines in ([line(1, "failed")], [], []):
        standing.turn(*lines)
    assert (0, 0) == (standing.lines.read, made.alerts.watch.counts()["lines"])
    standing.sinks[0].down = standing.sinks[1].down = False
    standing.turn()
    assert (1, 1) == (standing.lines.read, made.alerts.watch.counts()["lines"])


def test_an_alert_that_no_sink_takes_waits_and_stops_the_reading(agent: Agent) -> None:
    standing, made = Standing(agent), Told()
    agent.sequences = made.alerts
    standing.turn(line(1, "begin"))
    made.now += 61
    made.alerts.tick()
    standing.sinks[0].down = standing.sinks[1].down = True
    standing.turn(line(2, "begin"))
    assert (1, 1) == (standing.lines.read, len(standing.lines.waiting))
    standing.sinks[0].down = standing.sinks[1].down = False
    standing.turn()
    for sink in standing.sinks:
        assert ["j1"] == [json.loads(each.record)["session"] for each in told(sink.taken)]
    assert 2 == standing.lines.read


def test_what_waits_to_be_told_survives_a_model_that_cannot_judge_sequences(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logagent.service.agent.in_force", lambda _: SimpleNamespace(why="updated"))
    wanted, agent.pids = Config(sequences=Sequences(enabled=True)), [77]
    able, unable = (
        SimpleNamespace(scorer=SimpleNamespace(bundle=Bundle.load(path)), judge=SimpleNamespace())
        for path in (bundle(tmp_path / "b", Rule(key=JOB, timeout_seconds=60.0)), DEFAULT_BUNDLE)
    )
    first: Any = agent._sequences(wanted, able, None)  # type: ignore[arg-type]
    first.see(Batch("a.log", b"finger-8", block(b"box logagent[77]: " + line(9, "begin"))))
    assert 0 == first.watch.sequencer.open_sequences
    for session in (0, 1, 2):
        first.see(Batch("a.log", b"finger-8", block(line(session, "begin", 7200 * session))))
    first.tick()
    waits = first.next_alert()
    assert waits is not None
    assert agent._sequences(wanted, unable, first.state()) is None  # type: ignore[arg-type]
    again: Any = agent._sequences(wanted, able, agent._resting)  # type: ignore[arg-type]
    assert waits == again.next_alert()
    # Of what was open then, lines are missing now.
    assert 0 == again.watch.sequencer.open_sequences < first.watch.sequencer.open_sequences
    agent._sequences(Config(), able, first.state())  # type: ignore[arg-type]
    assert agent._resting is None


def told(alerts: list[Alert]) -> list[Alert]:
    return [each for each in alerts if b'"kind":"sequence"' in each.record]


def test_a_turn_without_lines_tells_what_waits(agent: Agent) -> None:
    standing, made = Standing(agent), Told()
    agent.sequences = made.alerts
    standing.turn(line(1, "begin"))
    assert [] == made.taken()
    made.now += 61
    made.alerts.tick()
    standing.turn()
    assert 1 == len(told(standing.sinks[0].taken)) == agent.alerts_sent


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_session_loses_nothing_of_it(running: Running) -> None:
    made = bundle(running.folder / "jobs.bundle", Rule(key=JOB, timeout_seconds=60.0))
    (running.folder / "logagent.toml").write_text(
        f"[sequences]\nenabled = true\n[model]\nbundle = '{made}'\nbackend = 'numpy'\n"
    )
    # Only the second start sees that session 1 goes on, and only the first saw how it began.
    running.start("--from-start")
    running.append(*(f"{line(each, 'begin', 0).decode()}\n" for each in (1, 2)))
    running.read(2)
    running.saved()
    running.stop(signal.SIGKILL)
    running.append(f"{line(1, 'end', 5).decode()}\n")
    running.append(*(f"{line(3, 'work', 600 + at).decode()}\n" for at in range(3)))
    running.start("--from-start")
    found = until(
        lambda: [each for each in running.printed() if each.get("kind") == "sequence"], "an alert"
    )
    assert [("j2", 1, 2)] == [(each["session"], each["lines"], each["line"]) for each in found]
    assert 1 == running.status()["sequences"]["open"]


@pytest.mark.slow
def test_a_reload_keeps_counters_and_a_bundle_that_cannot_judge_is_not_taken(
    running: Running,
) -> None:
    made = bundle(running.folder / "jobs.bundle", Rule(key=JOB, timeout_seconds=60.0))
    (running.folder / "logagent.toml").write_text(
        f"[sequences]\nenabled = true\n[model]\nbundle = '{made}'\nbackend = 'numpy'\n"
    )
    running.start("--from-start")
    running.append(*(f"{line(each, 'begin', 3600 * each).decode()}\n" for each in range(3)))
    running.read(3)
    before = until(lambda: (found := running.status()["sequences"])["judged"] and found, "judged")
    assert 1 == before["told"]

    other = running.folder / "other.bundle"
    write_bundle(other, (shipped := Bundle.load(DEFAULT_BUNDLE)).manifest, {
        name: bytes(shipped.part(name)) for name in shipped.sizes() if name != "manifest"
    })  # fmt: skip
    kept, sha256 = made.read_bytes(), running.status()["model"]["sha256"]
    other.replace(made)
    running.send(signal.SIGHUP)
    (said,) = until(lambda: running.messages("reload-failed"), "a refusal")
    assert "nothing was changed" in said
    assert "no part 'sequences'" in said
    now = running.status()
    assert (sha256, before) == (now["model"]["sha256"], now["sequences"])

    other.write_bytes(kept)
    other.replace(made)
    running.send(signal.SIGHUP)
    until(lambda: "reloaded" in running.said(), "a reload")
    after = running.status()["sequences"]
    assert before | {"misses": after["misses"]} == after
    assert before["misses"] <= after["misses"]
