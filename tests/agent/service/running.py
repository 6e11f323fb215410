"""The real agent in a process of its own, for tests of what it promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logagent.errors import StateError
from logagent.service.status import ask

PATIENCE_SECONDS = 30.0  # a loaded machine is slow; nothing here waits that long when all is well


def oom(number: int, program: str = "mysqld") -> str:
    """Return an anomalous line; those of one program are one group."""
    return f"kernel: Out of memory: Killed process {number} ({program})\n"


def fine(number: int) -> str:
    """Return a normal line."""
    return f"systemd[1]: Started Session {number} of user root.\n"


def until(happened: Callable[[], Any], what: str = "") -> Any:
    """Wait until `happened` returns something true, and return that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what or happened}")
        time.sleep(0.01)
    return found


class Running:
    """A folder with a log, a state folder, and an agent that is started and stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.log = self.logs / "app.log"
        self.log.touch()
        self.state = folder / "state"
        self.jsonl = folder / "alerts.jsonl"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.stdout = self.stderr = folder / "none"

    def start(
        self,
        *options: str | Path,
        paths: Sequence[str | Path] | None = None,
        command: Sequence[str] = (),
        wait: bool = True,
        **popen: Any,
    ) -> None:
        """Start `logagent run` on the log, by default, and wait until it reads."""
        self.starts += 1
        self.stdout = self.folder / f"stdout.{self.starts}"
        self.stderr = self.folder / f"stderr.{self.starts}"
        given = [str(option) for option in options]
        if "--save-seconds" not in given:
            given += ["--save-seconds", "0.1"]
        if "--state-dir" not in given:
            given += ["--state-dir", str(self.state)]
        watched = [str(path) for path in ([self.logs] if paths is None else paths)]
        # What the machine that runs the tests has configured is none of our business.
        environment = os.environ | {"CONFIGURATION_DIRECTORY": str(self.folder)}
        with open(self.stdout, "wb") as out, open(self.stderr, "wb") as err:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-m", "logagent", "run", *watched, *given],
                **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "env": environment}
                | popen,
            )
        if wait:
            until(lambda: "watching" in self.said() or self.process.poll() is not None, "ready")
            if self.process.poll() is not None:
                raise AssertionError(self.said())
            self.status()

    def append(self, *lines: str, to: Path | None = None) -> None:
        with open(to or self.log, "a") as file:
            file.write("".join(lines))

    def said(self) -> str:
        """Return the agent's own log of this start."""
        return self.stderr.read_text()

    def messages(self, kind: str) -> list[str]:
        """Return what it said of one kind."""
        events = [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return [event["message"] for event in events if event.get("kind") == kind]

    def printed(self) -> list[dict[str, Any]]:
        """Return the whole records on standard output, of all starts."""
        files = [self.folder / f"stdout.{number}" for number in range(1, self.starts + 1)]
        return [record for file in files for record in whole_records(file)]

    def status(self) -> dict[str, Any]:
        def answer() -> dict[str, Any] | None:
            try:
                return ask(self.state)
            except StateError:
                assert self.process is not None
                assert self.process.poll() is None, self.said()
                return None

        found: dict[str, Any] = until(answer, "an answer")
        return found

    def read(self, lines: int) -> None:
        """Wait until so many lines were read since the start."""
        until(lambda: self.status()["lines"] >= lines, f"{lines} lines read")

    def saved(self) -> None:
        """Wait until all that was read is saved."""
        until(lambda: not self.status()["unsaved"], "saved")

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the agent, if it runs, and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        try:
            code = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.process = None
        return code


def whole_records(file: Path) -> list[dict[str, Any]]:
    """Return the records of a file, but for one that is being written."""
    if not file.exists():
        return []
    lines = file.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]
