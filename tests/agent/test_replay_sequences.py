"""`logagent replay --sequences`: what the agent would have told, by the times in the logs."""

from __future__ import annotations

import gzip
import json
import os
import random
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from logagent import replay_sequences as module
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.cli import app
from logagent.config import Config
from logagent.config_sections import Sequences
from logagent.inputs import Batch
from logagent.paths import STDIN, SourceProblem
from logagent.replay import Told
from logagent.replay_sequences import ReplaySequences, in_order
from logagent.sequences.rules import Rule
from logagent.service.sequencing import make_sequences
from typer.testing import CliRunner

from .other_bundle import write_other
from .sequences.fakes import JOB, block, bundle, line

HOUR, DAY = 3600, 86400
BEGAN = datetime(2026, 1, 10, 12).timestamp()
TIMEOUT = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return bundle(folder / "jobs.bundle", Rule(key=JOB, timeout_seconds=float(TIMEOUT)))


def at(session: int, what: str, second: int) -> bytes:
    """Return a line of a job some seconds after `BEGAN`, on whatever day that is."""
    when = datetime.fromtimestamp(BEGAN + second)
    return f"{when:%Y-%m-%d %H:%M:%S} ".encode() + line(session, what)


def made(model: Path, **settings: Any) -> ReplaySequences:
    config = Config(sequences=Sequences(enabled=True, **settings))
    return ReplaySequences(config, Bundle.load(model), "box")


def add(replay: ReplaySequences, *lines: bytes, log: str = "a.log", fallback: float = 0.0) -> None:
    replay.add(log, b"finger-8", block(*lines), fallback)


def said(told: list[Told]) -> list[tuple[float, str, int]]:
    """Return when, of which session, how many since told; seconds after `BEGAN`."""
    records = [(each.at, json.loads(each.alert.record)) for each in told]
    return [
        (round(when - BEGAN), each["session"], each.get("since_told", 1)) for when, each in records
    ]


def test_a_session_is_told_when_its_time_out_has_passed(model: Path) -> None:
    replay = made(model)
    add(replay, at(1, "begin", 0), at(2, "begin", 10), at(2, "end", 20), at(3, "work", 500))
    (told,) = replay.run(BEGAN, BEGAN + 500)

    assert [(TIMEOUT, "j1", 1)] == said([told])
    assert ("sequence", "box") == (told.kind, json.loads(told.alert.record)["host"])


def test_a_session_that_was_not_over_with_its_log_is_counted_and_not_told(model: Path) -> None:
    replay = made(model)
    add(replay, at(1, "begin", 0))
    assert [] == list(replay.run(BEGAN, BEGAN + TIMEOUT - 1))
    assert (1, 0) == (replay.counts()["not_over"], replay.counts()["told"])

    replay = made(model)
    add(replay, at(1, "begin", 0))
    add(replay, at(2, "end", 900), log="b.log")
    assert [(TIMEOUT, "j1", 1)] == said(list(replay.run(BEGAN, BEGAN + 900)))
    assert 0 == replay.counts()["not_over"]


def test_a_kind_is_told_once_and_again_when_it_may_be_with_how_many_there_were(
    model: Path,
) -> None:
    replay = made(model, repeat_seconds=float(HOUR))
    add(replay, *(at(number, "begin", 610 * number) for number in range(10)))
    told = said(list(replay.run(BEGAN, BEGAN + 2 * DAY)))

    assert [(60, "j0", 1), (3660, "j5", 5), (7260, "j9", 4)] == told


def test_what_the_budget_holds_back_comes_when_there_is_room(model: Path) -> None:
    replay = made(model, alerts_per_day=1)
    add(replay, at(1, "begin", 0), at(2, "begin", 1000), at(2, "begin", 1000), at(3, "work", 2000))
    told = said(list(replay.run(BEGAN, BEGAN + 3 * DAY)))

    assert [(60, "j1")] == [each[:2] for each in told[:1]]
    assert all(later[0] - before[0] >= DAY for before, later in pairwise(told))
    replay = made(model, alerts_per_day=1)
    add(replay, at(1, "begin", 0), at(2, "begin", 1000))
    assert 1 == len(list(replay.run(BEGAN, BEGAN + 2000)))
    assert 1 == replay.counts()["kinds_held_back"]


def test_logs_are_told_of_in_the_order_of_their_times(model: Path) -> None:
    replay = made(model, repeat_seconds=0.0)
    add(replay, at(1, "begin", 5000))
    add(replay, at(2, "begin", 0), log="b.log")
    told = said(list(replay.run(BEGAN, BEGAN + 9000)))

    assert [(60, "j2"), (5060, "j1")] == [each[:2] for each in told]


def test_lines_without_a_time_have_that_of_their_file(model: Path) -> None:
    replay = made(model)
    add(replay, line(1, "begin"), fallback=BEGAN + 7)
    assert [(70, "j1", 1)] == said(list(replay.run(BEGAN, BEGAN + 900)))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(key=JOB, longest_seconds=30.0, timeout_seconds=60.0), [(30, "j1")]),
        (Rule(window_lines=2), [(100, None)]),  # the rest of a log that goes on is no window
        (Rule(window_seconds=60.0), [(60, None)]),  # the minute of the log's first line, too
        (Rule(key=JOB), [(DAY, "j1")]),  # trained without a time-out: a day, as in the service
    ],
)
def test_every_way_to_end_has_its_time(
    tmp_path: Path, rule: Rule, expected: list[tuple[int, str | None]]
) -> None:
    replay = made(bundle(tmp_path / "b", rule))
    add(replay, at(1, "begin", 0), at(2, "begin", 100), at(2, "end", 110))
    told = list(replay.run(BEGAN, BEGAN + 2 * DAY))
    records = [(each.at, json.loads(each.alert.record)) for each in told]

    assert expected == [(round(when - BEGAN), each.get("session")) for when, each in records]


def test_of_too_many_anomalous_sequences_some_are_left_out_and_counted(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FOUND", 3)
    replay = made(model, repeat_seconds=0.0)
    add(replay, *(at(number, "begin", 600 * number) for number in range(5)), at(9, "end", 9000))
    assert 3 == len(list(replay.run(BEGAN, BEGAN + 9000)))
    assert (2, 5) == tuple(replay.counts()[name] for name in ("left_out", "anomalous"))


@pytest.mark.parametrize(("seed", "lines_at_once"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 100)])
def test_it_tells_what_the_running_agent_tells(model: Path, seed: int, lines_at_once: int) -> None:
    chance = random.Random(seed)
    lines, second = [], 0
    for _ in range(300):
        # Never near the time-out: within a block, stamps are read to an eighth of it only.
        second += chance.choice((1, 2, 300, 4000))
        what = chance.choice(("begin", "begin", "work", "end", "end", "what is this"))
        lines.append((second, at(chance.randrange(6), what, second)))
    settings = {"repeat_seconds": 4.0 * HOUR, "alerts_per_day": 4}
    replay = made(model, **settings)
    for number in range(0, len(lines), lines_at_once):
        add(replay, *(text for _, text in lines[number : number + lines_at_once]))
    replayed = list(replay.run(BEGAN, BEGAN + second))

    now = [BEGAN]
    config = Config(sequences=Sequences(enabled=True, **settings))
    live = make_sequences(
        config, Bundle.load(model), "box", print, None, wall=lambda: now[0], steady=lambda: now[0]
    )
    told: list[Told] = []

    def take() -> None:
        while (alert := live.next_alert()) is not None:
            told.append(Told(now[0], "sequence", alert))
            live.delivered()

    for when, text in lines:
        while now[0] + 10 <= BEGAN + when:  # the agent looks every ten seconds
            now[0] += 10
            live.tick()
            take()
        live.see(Batch("a.log", b"finger-8", block(text)))
        take()
    counts = replay.counts()
    assert abs(live.watch.anomalous + counts["not_over"] - counts["anomalous"]) <= 1
    assert abs(len(told) - len(replayed)) <= 1
    assert len(told) > 10
    if lines_at_once == 1:
        sessions = [[each[1] for each in said(some)] for some in (told, replayed)]
        assert sessions[0] == sessions[1][: len(sessions[0])]
    for one, other in zip(told, replayed, strict=False):
        assert abs(one.at - other.at) <= (20 if lines_at_once == 1 else 100)


def test_one_odd_stamp_is_no_silence(model: Path) -> None:
    replay = made(model)
    odd = at(2, "end", 40 * DAY)
    for each in (at(1, "begin", 0), odd, at(1, "end", 40), at(3, "end", 90)):
        add(replay, each)
    list(replay.run(BEGAN, BEGAN + 9000))
    assert (3, 0) == tuple(replay.counts()[name] for name in ("judged", "anomalous"))


def test_a_session_after_a_night_without_lines_is_whole(model: Path) -> None:
    replay = made(model)
    for second in (0, DAY):
        add(replay, at(1, "begin", second))
        add(replay, at(1, "end", second + 30))
    list(replay.run(BEGAN, BEGAN + 2 * DAY))
    assert (2, 0) == tuple(replay.counts()[name] for name in ("judged", "anomalous"))


# ---- files ----


def test_rotated_copies_come_before_their_log_the_oldest_first(tmp_path: Path) -> None:
    names = ["app.log", "app.log.1", "app.log.2.gz", "app.log.10.gz", "b.log", "c.log-20260102.gz",
             "c.log-20260101.gz", "node.1", "node.2"]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    problems: list[SourceProblem] = []
    files, logs = in_order([str(tmp_path), str(tmp_path / "none"), STDIN], problems.append)
    base = [os.path.basename(each) for each in files]

    assert ["app.log.10.gz", "app.log.2.gz", "app.log.1", "app.log", "b.log"] == base[:5]
    assert ["c.log-20260101.gz", "c.log-20260102.gz", "node.1", "node.2", STDIN] == base[5:]
    assert str(tmp_path / "app.log") == logs[str(tmp_path / "app.log.2.gz")]
    assert str(tmp_path / "c.log") == logs[str(tmp_path / "c.log-20260102.gz")]
    assert str(tmp_path / "node.1") == logs[str(tmp_path / "node.1")]
    assert [str(tmp_path / "none")] == [each.source for each in problems]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the configuration and the state of the machine the tests run on."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "nothing"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["replay", *map(str, arguments), "--backend", "numpy"])


def records(output: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *told, summary = map(json.loads, output.splitlines())
    return told, summary


def test_a_session_that_its_log_was_rotated_within_is_whole(model: Path, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.log.2.gz", "wb") as file:
        file.write(at(1, "begin", 0) + b"\n" + at(2, "begin", 1) + b"\n")
    (tmp_path / "a.log.1").write_bytes(at(1, "work", 30) + b"\n")
    (tmp_path / "a.log").write_bytes(at(1, "end", 50) + b"\n" + at(3, "end", 900) + b"\n")
    done = run(tmp_path, "--sequences", "--bundle", model, "--format", "jsonl")
    told, summary = records(done.stdout)

    assert ["j2"] == [each["session"] for each in told if each["alert"] == "sequence"]
    assert str(tmp_path / "a.log") == told[0]["source"]
    assert datetime.fromtimestamp(BEGAN + 70, UTC).isoformat() == told[0]["at"]
    assert {"sequence": 1} == summary["alerts"]
    assert [{"sequence": 1}] == list(summary["per_day"].values())
    counts = summary["sequences"]
    names = ("judged", "anomalous", "told", "kinds", "not_over", "left_out")
    assert (3, 1, 1, 1, 0, 0) == tuple(counts[name] for name in names)


def test_people_see_sequences_among_the_alerts_and_a_line_of_sums(
    model: Path, tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\n".join([at(1, "begin", 0), at(3, "end", 900), at(4, "begin", 950)]) + b"\n")
    out = run(log, "--sequences", "--bundle", model, "--format", "human").stdout

    assert "  1 alert  ████" in out
    assert "session j1, 1 line: missing: " in out
    assert "Of these, 1 alert is of sequences: 3 judged, 2 anomalous, 1 kind" in out
    assert "1 anomalous sequence was not over when the logs were" in out
    assert "equence" not in run(log, "--bundle", model, "--format", "human").stdout


def test_the_configuration_says_what_a_session_is_and_options_go_before_it(
    model: Path, tmp_path: Path
) -> None:
    log, config = tmp_path / "a.log", tmp_path / "mine.toml"
    log.write_bytes(b"\n".join([at(1, "begin", 0), at(1, "end", 100), at(3, "end", 900)]) + b"\n")
    config.write_text("[sequences]\nenabled = true\n[[sequences.rules]]\ntimeout_seconds = 600\n")
    common = (log, "--config", config, "--bundle", model, "--format", "jsonl")

    def judged(*more: object) -> int:
        return int(records(run(*common, *more).stdout)[1]["sequences"]["judged"])

    assert 2 == judged() == judged("--sequences")
    assert 3 == judged("--sequences", "--session-timeout", 50)
    assert 1 == judged("--sequences", "--window", 3)
    assert 3 == judged("--sequences", "--max-sessions", 1, "--session-timeout", 50)


def test_a_bundle_that_cannot_judge_is_told_as_the_agent_would(model: Path, tmp_path: Path) -> None:
    log, config = tmp_path / "a.log", tmp_path / "mine.toml"
    log.write_bytes(at(1, "begin", 0) + b"\n")
    config.write_text("[sequences]\nenabled = true\n")

    assert 3 == run(log, "--sequences").exit_code
    assert 3 == run(log, "--config", config, "--bundle", DEFAULT_BUNDLE).exit_code
    models = tmp_path / "state" / "models"
    models.mkdir(parents=True)
    write_other(models / "current.bundle")
    done = run(log, "--config", config, "--format", "jsonl")  # the agent goes on without
    assert 0 == done.exit_code
    assert "sequences are not judged" in done.stderr
    assert "sequences" not in records(done.stdout)[1]
    assert 3 == run(log, "--config", config, "--sequences").exit_code
    assert 2 == run(log, "--session-key", "x").exit_code


def test_it_goes_by_what_operators_have_said_of_sequences(model: Path, tmp_path: Path) -> None:
    log, taught = tmp_path / "a.log", tmp_path / "state"
    taught.mkdir()
    log.write_bytes(b"\n".join(at(each, "begin", 300 * each) for each in range(4)) + b"\n")
    common = (log, "--sequences", "--bundle", model, "--state-dir", taught)
    first = records(run(*common, "--format", "jsonl").stdout)[0][0]

    def said(*arguments: object) -> tuple[list[Any], tuple[int, int]]:
        done = CliRunner().invoke(app, ["ignore", *map(str, arguments), "--state-dir", str(taught)])
        assert 0 == done.exit_code, done.output
        told, summary = records(run(*common, "--format", "jsonl").stdout)
        counts = summary["sequences"]
        return [each["session"] for each in told], (counts["anomalous"], counts["taught"])

    assert (["j1"], (3, 1)) == said("--session", "^j0$")
    assert (["j1"], (3, 1)) == said("--session", "^j1$", "--source", "/other/*")
    assert ([], (0, 4)) == said("--sequence", first["group"])
    out = run(*common, "--format", "human").stdout
    assert "4 anomalous sequences are called normal by entries." in out


def test_it_is_said_how_to_leave_out_the_kind_that_is_told_most_often(
    model: Path, tmp_path: Path
) -> None:
    log, config = tmp_path / "a.log", tmp_path / "mine.toml"
    log.write_bytes(b"\n".join(at(each, "begin", 300 * each) for each in range(4)) + b"\n")
    config.write_text("[sequences]\nenabled = true\nrepeat_seconds = 0\n")
    common = (log, "--bundle", model, "--config", config)
    kind = records(run(*common, "--format", "jsonl").stdout)[0][0]["group"]
    out = run(*common, "--format", "human").stdout

    assert "  3 ×  missing: " in out
    assert f"       logagent ignore --sequence {kind} --for 90d\n" in out


def test_logs_are_called_as_the_agent_calls_them_wherever_it_is_asked(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.log").write_bytes(at(1, "begin", 0) + b"\n" + at(2, "end", 900) + b"\n")
    config = tmp_path / "mine.toml"
    rule = f"[[sequences.rules]]\nsources = ['{tmp_path}/*']\n"
    config.write_text(f"[sequences]\nenabled = true\n{rule}")
    monkeypatch.chdir(tmp_path)
    common = ("a.log", "--bundle", model, "--config", config)
    (told,), _ = records(run(*common, "--format", "jsonl").stdout)
    config.write_text(f"[sequences]\nenabled = true\n{rule.replace('/*', '/b*')}")
    out = run(*common, "--format", "human").stdout

    assert str(tmp_path / "a.log") == told["source"]
    assert "No line is of a source that [[sequences.rules]] are for." in out
