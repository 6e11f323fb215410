"""`logagent scan --sequences`, as a user runs it but in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from logagent.cli import app
from logagent.scan import Scan, Step
from typer.testing import CliRunner

from .fakes import bundle, line, lines_of

GOOD, BAD = ["begin", "work", "end"], ["begin", "work"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("model") / "jobs.bundle")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.log"
    path.write_bytes(b"\n".join(lines_of([GOOD, BAD, GOOD, BAD, ["begin"]])) + b"\n")
    return path


def scan(*arguments: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["scan", *map(str, arguments), "--backend", "numpy"])


def sequences(output: str) -> list[dict]:
    return [
        record
        for record in map(json.loads, output.splitlines())
        if record.get("kind") == "sequence"
    ]


def test_anomalous_sessions_are_printed_beside_the_groups(model: Path, log: Path) -> None:
    done = scan(log, "--sequences", "--bundle", model, "--format", "jsonl", "--stats", "json")
    assert 0 == done.exit_code, done.output
    assert ["j1", "j3", "j4"] == sorted(each["session"] for each in sequences(done.stdout))
    stats = json.loads(done.stderr.splitlines()[-1])["sequences"]
    assert (5, 3, 11, 0) == tuple(stats[name] for name in ("judged", "anomalous", "lines", "open"))


def test_people_see_one_entry_for_one_kind(model: Path, log: Path) -> None:
    done = scan(log, "--sequences", "--bundle", model, "--format", "human")
    assert "×3  session j1  " in done.stdout.replace("\x1b", "")
    assert "5 sequences, 3 anomalous" in done.stdout


def test_people_are_told_of_sequences_that_room_cut_short(model: Path, log: Path) -> None:
    command = (log, "--sequences", "--bundle", model, "--format", "human")
    assert "for want of room" not in scan(*command).stdout
    said = scan(*command, "--max-sessions", "1").stdout
    assert "5 sequences, 3 anomalous; 4 ended early for want of room (--max-sessions)" in said


def test_what_is_open_when_a_scan_is_interrupted_is_not_judged(
    model: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(made: Scan, paths: list[str]) -> Iterator[Step]:
        yield from whole(made, paths)
        raise KeyboardInterrupt

    whole = Scan.steps
    monkeypatch.setattr(Scan, "steps", steps)
    done = scan(log, "--sequences", "--bundle", model, "--format", "human")
    assert (130, True) == (done.exit_code, "0 sequences, 0 anomalous; 5 not over" in done.stdout)


def test_every_line_can_be_asked_for_too(model: Path, log: Path) -> None:
    command = (log, "--sequences", "--bundle", model, "--all", "--format")
    assert 11 + 3 == len(scan(*command, "jsonl").stdout.splitlines())
    assert "5 sequences, 3 anomalous" in scan(*command, "human").stdout
    assert "" == scan(*command, "human", "--quiet").stdout


def test_an_anomalous_sequence_counts_for_the_exit_code(model: Path, log: Path) -> None:
    command = (log, "--bundle", model, "--exit-code", "--format", "jsonl")
    assert [1, 0] == [scan(*command, *more).exit_code for more in (["--sequences", "-q"], [])]


def test_without_the_option_nothing_is_said_of_sequences(model: Path, log: Path) -> None:
    assert [] == sequences(scan(log, "--bundle", model, "--format", "jsonl").stdout)


def test_a_bundle_without_the_part_is_told_and_what_to_do(log: Path) -> None:
    done = scan(log, "--sequences")
    assert (3, 1) == (done.exit_code, len(done.stderr.splitlines()))
    assert "logagent-build sequences" in done.stderr


def test_windows_can_be_asked_for(model: Path, log: Path) -> None:
    command = (log, "--sequences", "--bundle", model, "--format", "jsonl", "--stats", "json")
    done = scan(*command, "--window", "4/2")
    assert 5 == json.loads(done.stderr.splitlines()[-1])["sequences"]["judged"]
    done = scan(*command, "--window-seconds", "60")
    assert 0 == done.exit_code


def test_each_file_has_sessions_of_its_own_unless_asked_otherwise(
    model: Path, tmp_path: Path
) -> None:
    for number, what in enumerate(["begin", "end"]):
        (tmp_path / f"{number}.log").write_bytes(line(1, what) + b"\n")
    command = (tmp_path, "--sequences", "--bundle", model, "--format", "jsonl")
    assert ["0.log"] == [Path(each["source"]).name for each in sequences(scan(*command).stdout)]
    assert [] == sequences(scan(*command, "--session-across").stdout)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--session-key", "x"], "goes with --sequences"),
        (["--sequences", "--window", "5", "--window-seconds", "5"], "only one of them"),
        (["--sequences", "--window", "5/2"], "multiple"),
        (["--sequences", "--window", "1.5"], "write a length"),
        (["--sequences", "--window", "x"], "write a length"),
        (["--sequences", "--window", "99999"], "2 to 4096"),
        (["--sequences", "--window", "5", "--session-timeout", "5"], "no windows"),
        (["--sequences", "--session-key", "(?P<session>(a+)+)x"], "repeats something"),
        (["--sequences", "--session-key", "blk"], "no group session"),
    ],
)
def test_what_makes_no_sense_is_refused(
    model: Path, log: Path, given: list[str], said: str
) -> None:
    done = scan(log, "--bundle", model, *given)
    assert 2 == done.exit_code
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_nobody_who_does_not_ask_for_sequences_pays_for_them() -> None:
    code = (
        "import sys, logagent.scan_command, logagent.service.agent, logagent.cli.scan\n"
        "print([name for name in sys.modules if name.startswith('logagent.sequences')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "[]\n" == done.stdout
