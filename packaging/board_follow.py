"""An hour of an agent's life in a minute: it follows a log that grows, is rotated, and is killed.

Guarantees: the same lines are written in the same order to files of the same names whoever the
agent is, so what two agents tell can be compared. The log is renamed and created anew twice: while
the agent runs, and while it is dead after SIGKILL. Every wait ends.
Leaves to others: how the agent is started, and what its alerts should have been.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from board_root import BoardError

__all__ = ["Followed", "follow"]

START_SECONDS = 120  # an emulated interpreter with numpy takes ten
END_SECONDS = 120
QUIET_SECONDS = 3  # no new alert for so long: all that was written has been judged
NAME = "app.log"


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of it."""

    alerts: str
    """JSON Lines, repeats after the kill included."""
    ready_seconds: tuple[float, float]
    """From the start to its word that it watches: the first time, and after the kill."""
    rss_anon_bytes: int
    """Private memory before the end; an emulator's own is in it."""
    exit_code: int
    """Of the end by SIGTERM; 0 is right."""


class _Agent:
    """One run of the agent; its own log goes to a file."""

    def __init__(self, command: Sequence[str], folder: Path, number: int) -> None:
        self._told = folder / f"agent-{number}.log"
        began = time.monotonic()
        with self._told.open("wb") as told:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=told, stderr=told
            )
        self.wait(lambda: "watching" in self._told.read_text("utf-8", "replace"), START_SECONDS)
        self.ready_seconds = time.monotonic() - began

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Wait for something that the agent does."""
        end = time.monotonic() + seconds
        while not until():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                told = self._told.read_text("utf-8", "replace")[-1000:]
                raise BoardError(f"the agent ended or did not get on: {told}")
            time.sleep(0.1)

    def end(self, how: signal.Signals) -> int:
        self._process.send_signal(how)
        return self._process.wait(END_SECONDS)

    def rss_anon_bytes(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        found = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
        return int(found.split()[1]) * 1024


def follow(
    command: Sequence[str], folder: Path, lines: Sequence[bytes], seconds: float
) -> Followed:
    """Let an agent follow `folder`/app.log while `lines` are written into it.

    Args:
        command: starts the agent; it appends its alerts to `folder`/alerts.jsonl, and follows
            app.log from its start.
        folder: an empty one.
        lines: what is written, each with its end.
        seconds: how long the writing takes.

    Raises:
        BoardError: the agent did not start or did not get on.
    """
    alerts = folder / "alerts.jsonl"
    half = len(lines) // 2
    third, dead = half * 2 // 3, half + len(lines) // 10  # `dead` are written while it is dead
    pause = seconds / len(lines)
    (folder / NAME).touch()

    agent = _Agent(command, folder, 1)
    first = agent.ready_seconds
    _write(folder / NAME, lines[:third], pause)
    _rotate(folder, 1)
    _write(folder / NAME, lines[third:half], pause)
    agent.end(signal.SIGKILL)

    _write(folder / NAME, lines[half : (half + dead) // 2], 0)
    _rotate(folder, 2)
    _write(folder / NAME, lines[(half + dead) // 2 : dead], 0)
    agent = _Agent(command, folder, 2)
    _write(folder / NAME, lines[dead:], pause)

    quiet = [time.monotonic(), -1.0]

    def settled() -> bool:
        size = alerts.stat().st_size if alerts.exists() else 0
        if size != quiet[1]:
            quiet[:] = [time.monotonic(), size]
        return time.monotonic() - quiet[0] > QUIET_SECONDS

    agent.wait(settled, END_SECONDS)
    memory = agent.rss_anon_bytes()
    code = agent.end(signal.SIGTERM)
    return Followed(alerts.read_text("utf-8"), (first, agent.ready_seconds), memory, code)


def _rotate(folder: Path, number: int) -> None:
    log = folder / NAME
    log.rename(folder / f"{NAME}.{number}")
    log.touch()


def _write(log: Path, lines: Sequence[bytes], pause: float) -> None:
    with log.open("ab", buffering=0) as file:
        for line in lines:
            file.write(line)
            time.sleep(pause)
