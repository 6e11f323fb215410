"""The running agent takes another bundle: told by a signal, asked whether it has.

Guarantees: only a process that answers on the state folder's socket and that is a logagent is sent
a signal; waiting ends after `TAKEOVER_SECONDS`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from logagent.errors import BundleError, StateError
from logagent.sanitise import printable
from logagent.service.status import ask

__all__ = ["TAKEOVER_SECONDS", "RunningAgent", "running_agent"]

TAKEOVER_SECONDS: Final = 60.0
"""[s] Loading takes 0.3 s of processor time, or 5 on the smallest board, of which the unit grants a
quarter."""

_LOOK_SECONDS = 0.1  # [s] between two questions


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """An agent that uses the state folder, and may be sent signals."""

    state: Path
    pid: int
    sha256: str
    """Of the bundle that it had when it was found."""
    bundle: str
    """Path of that bundle, as the agent names it."""
    failures: int
    """Reloads that had failed by then."""

    def reload(self) -> None:
        """Tell it to read its configuration and its bundle again.

        Raises:
            BundleError: it has gone.
        """
        try:
            os.kill(self.pid, signal.SIGHUP)
        except OSError as error:
            raise BundleError(f"the running agent, process {self.pid}: {error.strerror}") from None

    def take(self, sha256: str, seconds: float = TAKEOVER_SECONDS) -> None:
        """Tell it to reload, and wait until it uses the bundle of this SHA-256.

        Raises:
            BundleError: it does not, or does not answer in time.
        """
        self.reload()
        until = time.monotonic() + seconds
        while True:
            try:
                answer = ask(self.state)
            except StateError as error:
                answer, said = {}, str(error)
            else:
                said = f"still uses {self.sha256[:12]}"
            now = _model(answer).get("sha256", self.sha256)
            if now == sha256:
                return
            if (why := self._refused(answer)) is not None:
                raise BundleError(f"the running agent does not take it: {why}")
            if now != self.sha256:
                raise BundleError(
                    f"the running agent does not take it: it went to {printable(str(now), 12)}; "
                    "its own log says why"
                )
            if time.monotonic() >= until:
                raise BundleError(f"the running agent does not take it: {printable(said, 300)}")
            time.sleep(_LOOK_SECONDS)

    def _refused(self, answer: dict[str, Any]) -> str | None:
        if _failures(answer) <= self.failures:
            return None
        recent = answer.get("recent_problems")
        for problem in reversed(recent if isinstance(recent, list) else []):
            if isinstance(problem, dict) and problem.get("kind") == "reload-failed":
                return printable(str(problem.get("message")), 500)
        return "its reload failed"


def running_agent(state: Path) -> RunningAgent | None:
    """Return the agent that uses this state folder; None if there is none.

    Raises:
        StateError: there is one, but it does not answer, or may not be sent a signal.
    """
    try:
        answer = ask(state)
    except StateError as error:
        # Nobody listens: what `ask` makes its message of.
        if isinstance(error.__context__, FileNotFoundError | ConnectionRefusedError):
            return None
        raise
    model, pid = _model(answer), answer.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1 or pid == os.getpid():
        raise StateError(f"{state}: an agent answers, but not with its process")
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read(4096)
        os.kill(pid, 0)
    except OSError as error:
        raise StateError(
            f"the running agent, process {pid}, cannot be told: {error.strerror}; run this as root "
            "or as its user, in its container if it has one"
        ) from None
    if b"logagent" not in command:
        raise StateError(
            f"process {pid} is no logagent here: the agent runs in another container; run this "
            "command there"
        )
    return RunningAgent(
        state,
        pid,
        str(model.get("sha256", "")),
        str(model.get("path", "")),
        _failures(answer),
    )


def _model(answer: dict[str, Any]) -> dict[str, Any]:
    model = answer.get("model")
    return model if isinstance(model, dict) else {}


def _failures(answer: dict[str, Any]) -> int:
    problems = answer.get("problems")
    count = problems.get("reload-failed", 0) if isinstance(problems, dict) else 0
    return count if isinstance(count, int) else 0
