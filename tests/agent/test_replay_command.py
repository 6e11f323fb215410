"""`logagent replay`: what is printed, and that configuration and overrides are honoured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from logagent.errors import EXIT_INPUT_PROBLEM, EXIT_OK, ConfigError
from logagent.replay_command import Options, replay_command

NOON = 1_773_489_600.0  # 2026-03-14 12:00 UTC
HOUR, DAY = 3600.0, 86_400.0
OOM = "kernel: Out of memory: Killed process 14388 (adblock.sh)"
DISK = "kernel: EXT4-fs error (device sda1): I/O error, aborting journal"
FINE = "crond[1702]: USER root pid 100 cmd /usr/bin/true"


def line(at: float, text: str) -> str:
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{when} router {text}\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the configuration and the state of the machine the tests run on."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "nothing"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "router.log"
    lines = [line(NOON + n * 60, FINE) for n in range(60)]
    lines[30:30] = [line(NOON + 1800, OOM)] * 3
    lines += [line(NOON + 3 * HOUR, DISK), line(NOON + 2 * DAY, OOM), line(NOON + 3 * DAY, FINE)]
    path.write_text("".join(lines))
    return path


def replay(*paths: Path, **options: Any) -> int:
    given = {"model.backend": "numpy"} | options.pop("overrides", {})
    plain = {"since": None, "human": False, "config": None, "progress": False, "width": 100}
    return replay_command(
        [str(path) for path in paths], Options(overrides=given, **plain | options)
    )


def records(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the alerts and the summary."""
    out, err = capsys.readouterr()
    assert "" == err
    found = [json.loads(each) for each in out.splitlines()]
    assert [each.get("summary", False) for each in found] == [False] * (len(found) - 1) + [True]
    return found[:-1], found[-1]


def test_alerts_are_json_lines_with_their_time_and_a_summary_at_the_end(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert EXIT_OK == replay(log)
    told, summary = records(capsys)
    kinds = [(each["at"], each["alert"]) for each in told]

    assert ("2026-03-14T12:30:02+00:00", "new") == kinds[0]
    assert ("2026-03-14T15:00:02+00:00", "new") == kinds[1]
    assert ("again", 4) == next(
        (each["alert"], each["count"]) for each in told if each["at"].startswith("2026-03-16T12")
    )
    assert {"category", "why", "context", "severity"} <= told[0].keys()
    assert (66, 5, 2, 0, 0) == tuple(
        summary[name] for name in ("lines", "anomalous", "groups", "held", "unstamped_lines")
    )
    assert ("2026-03-14T12:00:00+00:00", "2026-03-17T12:00:00+00:00") == (
        summary["since"],
        summary["until"],
    )
    assert 2 == summary["alerts"]["new"] == summary["per_day"]["2026-03-14"]["new"]


def test_people_get_days_with_bars_and_a_sum(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay(log, human=True)
    out = capsys.readouterr().out

    assert "2026-03-14  2 alerts  ████" in out
    assert "  12:30:02  error    " in out
    assert "2026-03-16  1 alert  ████" in out
    assert "2026-03-14 12:00:00 to 2026-03-17 12:00:00 (UTC): 66 lines, 5 anomalous." in out
    assert "3 alerts, 1.0 a day, and " in out
    assert "logagent ignore --line '" in out


def test_nothing_is_said_to_be_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.log").touch()

    assert EXIT_OK == replay(tmp_path / "empty.log", human=True)
    assert "No lines.\n" == capsys.readouterr().out
    replay(tmp_path / "empty.log")
    told, summary = records(capsys)
    assert ([], 0, None) == (told, summary["lines"], summary["since"])


def test_files_are_put_in_the_order_of_their_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.log").write_text(line(NOON + HOUR, DISK))
    (tmp_path / "b.log").write_text(line(NOON, OOM))
    replay(tmp_path / "a.log", tmp_path / "b.log")
    told, _ = records(capsys)

    assert ["b.log", "a.log"] == [Path(each["source"]).name for each in told]


def test_lines_before_since_are_left_out(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay(log, since=NOON + DAY)
    told, summary = records(capsys)

    assert ["new"] == [each["alert"] for each in told if each["alert"] != "digest"]
    assert 2 == summary["lines"]


def test_lines_without_a_time_count_as_of_the_last_change_of_their_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plain.log"
    path.write_text(f"{FINE}\n{OOM}\n")
    os.utime(path, (NOON, NOON))
    replay(path)
    told, summary = records(capsys)

    assert ["2026-03-14T12:00:00+00:00"] == [each["at"] for each in told]
    assert 2 == summary["unstamped_lines"]
    replay(path, human=True)
    assert "2 lines of 1 logs bear no time" in capsys.readouterr().out


def test_the_configuration_is_honoured(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("[alerts]\nwait_seconds = 60\nrepeat_seconds = []\ndigest_seconds = 0\n")
    replay(log, config=config)
    told, _ = records(capsys)

    assert [("2026-03-14T12:31:00+00:00", "new"), ("2026-03-14T15:01:00+00:00", "new")] == [
        (each["at"], each["alert"]) for each in told
    ]


def test_the_budget_of_the_command_line_is_honoured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "busy.log"
    smart = "smartd[88]: Device: /dev/sda, FAILED SMART self-check. BACK UP DATA NOW!"
    fault = "kernel: BUG: unable to handle page fault for address: ffffffffc0a01234"
    lines = [line(NOON + n * HOUR, each) for n, each in enumerate((OOM, DISK, smart, fault))]
    path.write_text("".join(lines))
    said = {}
    for budget in (0, 1):
        replay(path, overrides={"alerts.budget_per_day": budget})
        said[budget] = records(capsys)[1]

    assert (0, 4) == (said[0]["held"], said[0]["alerts"]["new"])
    assert (2, 2) == (said[1]["held"], said[1]["alerts"]["new"])
    replay(path, human=True, overrides={"alerts.budget_per_day": 1})
    assert "The budget held back 2 groups." in capsys.readouterr().out


def test_a_configuration_that_cannot_be_used_is_an_error(log: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("[alerts]\nwait = 60\n")
    with pytest.raises(ConfigError):
        replay(log, config=config)


@pytest.mark.parametrize(
    "entry", ["regex = 'Out of memory'", "regex = 'memory'\nsource = '*/router.log'"]
)
def test_what_the_operator_ignores_is_not_told(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "overrides.toml").write_text(
        f"[[override]]\nid = 'abc'\nverdict = 'normal'\n{entry}\ncreated = 2026-01-01T00:00:00Z\n"
    )
    replay(log)
    told, summary = records(capsys)

    assert [DISK] == [each["text"][28:] for each in told]
    assert 1 == summary["anomalous"]


def test_what_an_operator_calls_anomalous_is_told(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from logagent.judge import group_key
    from logagent.normalise import templates
    from logagent.override_entries import Override, group_text
    from logagent.overrides_file import add

    key = group_key(templates([line(NOON, FINE).rstrip().encode()]).templates[0])
    (tmp_path / "state").mkdir()
    entry = Override("abc", "anomalous", group=group_text(key), created=NOON)
    add(tmp_path / "state" / "overrides.toml", entry)
    replay(log)
    told, _ = records(capsys)

    assert "new" == told[0]["alert"]
    assert told[0]["text"].endswith(FINE)
    assert True is told[0]["forced"]


def test_nothing_is_saved(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    replay(log, overrides={"adapt.learn_seconds": 3600.0})
    capsys.readouterr()

    assert before == sorted(tmp_path.rglob("*"))


def test_what_cannot_be_read_is_told_and_passed_over(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert EXIT_INPUT_PROBLEM == replay(tmp_path / "none.log", log)
    out, err = capsys.readouterr()

    assert 1 == len(err.splitlines())
    assert "none.log" in err
    assert 66 == json.loads(out.splitlines()[-1])["lines"]


@pytest.mark.parametrize("human", [False, True])
def test_hostile_text_is_printable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], human: bool
) -> None:
    path = tmp_path / "a\x1b[31m\n'.log"
    hostile = "kernel: EXT4-fs error \x1b[2J\x1b]0;owned\x07 I/O error \u202e 'x"
    path.write_text(line(NOON, hostile) + line(NOON + 60, hostile) + line(NOON + 3 * DAY, hostile))
    replay(path, human=human)
    out, err = capsys.readouterr()

    assert "" == err
    assert all(text.isprintable() for text in out.splitlines())
    assert "\\x1b" in out
    for text in (json.loads(each) for each in out.splitlines() if not human):
        assert all(value.isprintable() for value in text.values() if isinstance(value, str))


def test_the_command_gives_its_options_on(log: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logagent", "replay", str(log), "--since", "2026-03-16",
         "--budget", "1", "--backend", "numpy", "--format", "jsonl"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (0, "") == (done.returncode, done.stderr)
    assert 2 == json.loads(done.stdout.splitlines()[-1])["lines"]
