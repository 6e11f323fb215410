"""`logagent learned`: what is shown, what moves between hosts, and who is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from logagent import learned_command as module
from logagent.errors import ConfigError, OutputError, StateError
from logagent.learned_command import export_facts, import_facts, list_facts, reset_facts
from logagent.policy.facts import EXPIRE_SECONDS, Facts, Routine, load, save
from logagent.policy.habits import asked_to_forget

EVIL = '\x1b]0;x\x07\n"\\\u202e'


def facts(**changes: Any) -> Facts:
    now = float(int(time.time()))
    routine = (Routine("dnsmasq * query", "/var/log/syslog", 240.5, 20, 0.9, "a line"),)
    host = os.uname().nodename
    made = Facts(host, now, now + EXPIRE_SECONDS, 86_400.0, 5000, 0.91, 0.895, routine)
    return replace(made, **changes)


class Agent:
    """Stands in for the running agent."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        self.signals: list[tuple[int, int]] = []

    def ask(self, folder: Path) -> dict[str, Any]:
        if self.answer is None:
            raise StateError(f"no logagent runs with state folder {folder}")
        return self.answer

    def kill(self, pid: int, number: int) -> None:
        self.signals.append((pid, number))


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    made = Agent()
    monkeypatch.setattr(module, "ask", made.ask)
    monkeypatch.setattr(module.os, "kill", made.kill)
    monkeypatch.setattr(module, "_is_logagent", lambda pid: pid == 4321)
    return made


@pytest.fixture
def path(tmp_path: Path, agent: Agent) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "learned.toml"


def test_what_was_learnt_is_listed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(path, facts(note=EVIL, routine=(Routine(EVIL, EVIL, 1.0, 3, 0.9, EVIL),)))
    assert 0 == list_facts(None, path.parent, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert "threshold: 0.910 (was 0.895)" in lines
    assert 5 == len(lines)
    assert all(line.isprintable() for line in lines)


def test_as_json_it_is_ascii_and_whole(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(path, facts(note=EVIL))
    assert 0 == list_facts(None, path.parent, as_json=True)

    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    answer = json.loads(out)
    assert [str(path), False] == [answer["file"], answer["expired"]]
    assert EVIL == answer["facts"]["note"]
    assert "dnsmasq * query" == answer["facts"]["routine"][0]["group"]


def test_nothing_learnt_is_no_error(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == list_facts(None, path.parent, as_json=False)
    assert f"{path}: not there; nothing was learnt\n" == capsys.readouterr().out
    assert 0 == list_facts(None, path.parent, as_json=True)
    assert json.loads(capsys.readouterr().out)["facts"] is None


def test_what_has_expired_is_shown_as_that(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(path, facts(learned_at=0.0, expires=EXPIRE_SECONDS))
    assert 0 == list_facts(None, path.parent, as_json=False)

    assert "this has expired and is not used any more" in capsys.readouterr().out


def test_a_damaged_file_is_an_error_and_can_be_reset(path: Path) -> None:
    path.write_text("\x1b")
    with pytest.raises(StateError, match="learned reset"):
        list_facts(None, path.parent, as_json=False)
    assert 0 == reset_facts(None, path.parent, habits=False)
    assert not path.exists()


def test_what_is_exported_can_be_imported_elsewhere(path: Path, tmp_path: Path) -> None:
    made = facts()
    save(path, made)
    assert 0 == export_facts(None, path.parent, str(tmp_path / "out.toml"))
    (tmp_path / "other").mkdir()
    assert 0 == import_facts(None, tmp_path / "other", tmp_path / "out.toml")

    assert made == load(tmp_path / "other" / "learned.toml", time.time())


def test_it_is_exported_to_standard_output(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(path, facts())
    assert 0 == export_facts(None, path.parent, "-")

    assert path.read_text() == capsys.readouterr().out


@pytest.mark.parametrize("target", ["none/out.toml", "nul\0"])
def test_an_export_that_cannot_be_written_is_an_error(
    path: Path, tmp_path: Path, target: str
) -> None:
    save(path, facts())
    with pytest.raises(OutputError):
        export_facts(None, path.parent, str(tmp_path / target))


def test_there_is_nothing_to_export_before_learning(path: Path) -> None:
    with pytest.raises(StateError, match="nothing was learnt"):
        export_facts(None, path.parent, "-")


def test_facts_of_another_host_are_taken_with_a_note(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.toml").write_text(facts(host="router-7").to_toml())
    assert 0 == import_facts(None, path.parent, tmp_path / "in.toml")

    assert "note: learnt on router-7, this host is" in capsys.readouterr().err
    assert path.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "Expected"),
        (facts().to_toml().replace("version = 1", "version = 9"), "upgrade logagent"),
        (facts(learned_at=0.0, expires=1.0).to_toml(), "expired"),
        ("#" * 3_000_000, "larger than"),
        ("#" * 50_000, "too long"),
    ],
)
def test_what_cannot_be_used_is_not_imported(
    path: Path, tmp_path: Path, text: str, said: str
) -> None:
    save(path, facts())
    before = path.read_bytes()
    (tmp_path / "in.toml").write_text(text)

    with pytest.raises(ConfigError, match=said):
        import_facts(None, path.parent, tmp_path / "in.toml")
    assert before == path.read_bytes()


def test_a_file_that_is_not_there_is_not_imported(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        import_facts(None, path.parent, tmp_path / "none.toml")


def test_without_a_state_folder_nothing_is_imported(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "in.toml").write_text(facts().to_toml())
    with pytest.raises(StateError, match="No such file"):
        import_facts(None, tmp_path / "none", tmp_path / "in.toml")


def test_reset_removes_what_was_learnt_and_keeps_habits(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(path, facts())
    assert 0 == reset_facts(None, path.parent, habits=False)
    assert f"{path}: removed; no running agent answered\n" == capsys.readouterr().out
    assert not asked_to_forget(path.parent)

    assert 0 == reset_facts(None, path.parent, habits=False)
    assert "not there" in capsys.readouterr().out


def test_reset_of_habits_leaves_a_note_for_the_agent(path: Path) -> None:
    assert 0 == reset_facts(None, path.parent, habits=True)
    assert asked_to_forget(path.parent)

    with pytest.raises(StateError):
        reset_facts(None, path.parent / "none", habits=True)


@pytest.mark.parametrize("command", ["import", "reset"])
def test_a_running_agent_is_told(
    path: Path,
    tmp_path: Path,
    agent: Agent,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent.answer = {"pid": 4321}
    if command == "import":
        (tmp_path / "in.toml").write_text(facts().to_toml())
        import_facts(None, path.parent, tmp_path / "in.toml")
    else:
        reset_facts(None, path.parent, habits=False)

    assert [(4321, signal.SIGHUP)] == agent.signals
    assert "the running agent, process 4321, was told" in capsys.readouterr().out


@pytest.mark.parametrize("pid", [None, True, -1, 0, 1, "4321", 4.0, 99])
def test_nothing_but_an_agent_is_sent_a_signal(
    path: Path, agent: Agent, pid: object, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.answer = {"pid": pid}
    reset_facts(None, path.parent, habits=False)

    assert [] == agent.signals
    assert "could not be told" in capsys.readouterr().out


def test_an_agent_of_somebody_else_is_left_to_its_owner(
    path: Path,
    agent: Agent,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def kill(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "kill", kill)
    agent.answer = {"pid": 4321}
    reset_facts(None, path.parent, habits=False)

    assert "(Operation not permitted): reload process 4321" in capsys.readouterr().out


def test_an_agent_is_known_by_its_command_line() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    for name, expected in (("logagent.service", True), ("other", False)):
        command = [sys.executable, "-c", code, name]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert expected == module._is_logagent(process.pid)
    assert not module._is_logagent(process.pid)


def test_the_commands_are_there(path: Path) -> None:
    save(path, facts())
    command = [sys.executable, "-m", "logagent", "learned", "list", "--state-dir", path.parent]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (0, "") == (done.returncode, done.stderr)
    assert "routine groups, which are ranked lower: 1" in done.stdout
