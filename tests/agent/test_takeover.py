"""Telling the running agent of another bundle, and what it may answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from logagent import takeover as module
from logagent.errors import BundleError, StateError
from logagent.takeover import RunningAgent, running_agent

STATE = Path("/state")
OLD, NEW = "0" * 64, "1" * 64


def answer(sha256: str, failed: int = 0, pid: object = 1) -> dict[str, Any]:
    return {
        "pid": pid,
        "model": {"sha256": sha256, "path": "/x/models/current.bundle"},
        "problems": {"reload-failed": failed} if failed else {},
        "recent_problems": [
            {"kind": "reload-failed", "message": "nothing was changed: no \x1b[2J"},
            {"kind": "other", "message": "else"},
        ],
    }


class Agent:
    """Gives its answers one after the other, the last one again and again."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | Exception
    ) -> None:
        self.answers = list(answers)
        self.signals: list[tuple[int, int]] = []
        self.now = 0.0
        monkeypatch.setattr(module, "ask", self.ask)
        monkeypatch.setattr(module.os, "kill", lambda *sent: self.signals.append(sent))
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.time, "sleep", self.sleep)

    def ask(self, state: Path) -> dict[str, Any]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    def sleep(self, seconds: float) -> None:
        self.now += seconds


AGENT = RunningAgent(STATE, 77, OLD, "/x/models/current.bundle", 0)


def test_it_is_waited_for_until_it_uses_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(monkeypatch, answer(OLD), StateError("busy"), answer(OLD), answer(NEW))
    AGENT.take(NEW)

    assert [(77, signal.SIGHUP)] == agent.signals
    assert 0 < agent.now < 1


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([answer(OLD), answer(OLD, failed=1)], r"does not take it: nothing was changed: no \\x1b"),
        ([answer("2" * 64)], "it went to 22222222222…"),
        ([answer(OLD)], "still uses 000000000000"),
        ([StateError("busy")], "busy"),
        ([{"problems": 1, "model": 2}], "still uses"),
    ],
)
def test_one_that_does_not_take_it_is_an_error_within_a_minute(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any] | Exception], said: str
) -> None:
    agent = Agent(monkeypatch, *answers)
    with pytest.raises(BundleError, match=said):
        AGENT.take(NEW)
    assert agent.now < module.TAKEOVER_SECONDS + 1


def test_one_that_has_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Agent(monkeypatch, answer(OLD))

    def gone(*_: int) -> None:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(module.os, "kill", gone)
    with pytest.raises(BundleError, match="process 77: No such process"):
        AGENT.take(NEW)


def test_without_an_agent_there_is_none(tmp_path: Path) -> None:
    assert running_agent(tmp_path) is None


def test_one_that_does_not_answer_is_no_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Agent(monkeypatch, StateError("timed out"))

    with pytest.raises(StateError, match="timed out"):
        running_agent(STATE)


@pytest.mark.parametrize("pid", [-1, 0, True, "1", None, "our own"])
def test_no_signal_goes_to_what_is_no_process_of_an_agent(
    monkeypatch: pytest.MonkeyPatch, pid: object
) -> None:
    agent = Agent(monkeypatch, answer(OLD, pid=os.getpid() if pid == "our own" else pid))

    with pytest.raises(StateError, match="not with its process"):
        running_agent(STATE)
    assert [] == agent.signals


def test_a_process_that_is_another_program_here_gets_no_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = Agent(monkeypatch, answer(OLD, pid=2**22 + 1))  # above the largest there can be
    with pytest.raises(StateError, match="cannot be told: No such file"):
        running_agent(STATE)

    agent.answers = [answer(OLD, pid=os.getppid())]
    read = open

    def opened(path: object, *arguments: Any) -> Any:
        return read(os.devnull if str(path).startswith("/proc/") else path, *arguments)  # type: ignore[call-overload]  # passed on

    monkeypatch.setattr(module, "open", opened, raising=False)
    with pytest.raises(StateError, match="no logagent here"):
        running_agent(STATE)
    assert signal.SIGHUP not in [number for _, number in agent.signals]
