"""Ways in which a log is rotated and a follower restarted, played on a `Stage`: T1 to T9.

Guarantees: a scenario begins with fifty lines that the tool has seen, and counts those after them;
what the tool has not reported for long is lost. Folder, tool and lines are the stage's, so a
scenario knows no tool.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import logrotate
from following import Follower
from measure import BenchError, read_memory
from numbered import line

LATE_SECONDS = 3.0  # after a rename, in which a program may not have reopened its log yet
BEFORE_KILL_SECONDS = 4.0  # for a tool that saves every two seconds
RELOAD_SECONDS = 3.0  # to end after SIGHUP, for a tool that does; aminer takes one
QUIET_SECONDS = 2.0  # without a report once all lines are seen: time for repeats to show
LOST_SECONDS = 12.0  # without a report, after which what is missing is lost; aminer starts in 5
_SAME_FIRST_LINE = b"Mar  4 00:00:00 edge-1 rsyslogd: [origin software=rsyslogd] start\n"


class Tool(Protocol):
    """A follower in a folder of its own."""

    def start(self) -> Follower:
        """Start it on the log."""
        ...

    def reports(self) -> Counter[int]:
        """How often each line was reported, over all starts."""
        ...


class Stage:
    """One tool, one log, and the lines that were written to it."""

    def __init__(self, tool: Tool, log: Path) -> None:
        self.tool = tool
        self.log = log
        self.notes: list[str] = []
        self._follower: Follower | None = None
        self._numbers = 0
        self._first = 0  # number of the first line that counts

    def write(self, count: int, path: Path | None = None, *, file: int | None = None) -> None:
        """Append lines to the log, another path, or an open file."""
        numbers = range(self._numbers, self._numbers + count)
        self._numbers += count
        data = b"".join(line(number, anomalous=True) + b"\n" for number in numbers)
        if file is not None:
            os.write(file, data)
            return
        with (path or self.log).open("ab") as log:
            log.write(data)

    def begin(self) -> None:
        """All lines so far were read: those from here on count."""
        self.settle()
        if len(self.tool.reports()) < self._numbers:
            errors = (self.log.parents[1] / "errors.log").read_text("utf-8", "replace")
            raise BenchError(f"the first lines were not all reported: {errors[-1000:]}")
        self._first = self._numbers

    def start(self) -> None:
        self._follower = self.tool.start()

    def stop(self) -> None:
        if self.follower.alive and self.follower.stop() is None:
            self.notes.append("did not end after SIGTERM")

    def kill(self) -> None:
        time.sleep(BEFORE_KILL_SECONDS)
        self.follower.kill()

    def reload(self) -> None:
        self.follower.reload()

    @property
    def follower(self) -> Follower:
        if self._follower is None:
            raise BenchError("the scenario has not started the tool")
        return self._follower

    def settle(self) -> None:
        """Wait until all lines were seen and no more comes, or no more comes for long."""
        before, since = -1, time.monotonic()
        while True:
            reports = self.tool.reports()
            if reports.total() != before:
                before, since = reports.total(), time.monotonic()
            all_seen = len(reports) == self._numbers
            quiet = time.monotonic() - since
            if quiet > (QUIET_SECONDS if all_seen else LOST_SECONDS):
                return
            if not self.follower.alive and quiet > QUIET_SECONDS:
                return
            time.sleep(0.1)

    def end(self) -> dict[str, Any]:
        """Settle, stop, count."""
        self.settle()
        memory = _rss_anon_bytes(self.follower.pid) if self.follower.alive else None
        if memory is None:
            self.notes.append(f"ended by itself, exit code {self.follower.exit_code}")
        self.stop()
        self.follower.kill()
        reports = self.tool.reports()
        wanted = range(self._first, self._numbers)
        return {
            "expected": len(wanted),
            "seen": sum(number in reports for number in wanted),
            "repeated": reports.total() - len(reports),
            "rss_anon_bytes": memory,
            "notes": self.notes,
        }


def _rss_anon_bytes(pid: int) -> int | None:
    """Private memory of a process and its children."""
    sample = read_memory(pid, 0.0)
    if sample is None:
        return None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sample.rss_anon_bytes + sum(_rss_anon_bytes(int(child)) or 0 for child in children)


def _first_lines(stage: Stage) -> None:
    stage.write(50)
    stage.start()
    stage.begin()


def copytruncate(stage: Stage) -> None:
    _first_lines(stage)
    logrotate.copy_truncate(stage.log)
    stage.write(10)
    stage.settle()
    stage.write(60)


def late_lines(stage: Stage) -> None:
    _first_lines(stage)
    old = os.open(stage.log, os.O_WRONLY | os.O_APPEND)
    logrotate.rename(stage.log)
    stage.write(10)
    stage.write(5, file=old)
    time.sleep(LATE_SECONDS)
    stage.write(5, file=old)
    os.close(old)


def restart(stage: Stage) -> None:
    _first_lines(stage)
    stage.stop()
    stage.write(10)
    stage.start()


def reload(stage: Stage) -> None:
    _first_lines(stage)
    stage.reload()
    limit = time.monotonic() + RELOAD_SECONDS
    while stage.follower.alive and time.monotonic() < limit:
        time.sleep(0.1)
    stage.write(10)


def rotated_while_stopped(stage: Stage) -> None:
    _first_lines(stage)
    stage.stop()
    stage.write(20)
    logrotate.rename(stage.log)
    stage.write(10)
    stage.start()


def killed(stage: Stage) -> None:
    _first_lines(stage)
    stage.kill()
    stage.write(30)
    stage.start()


def inode_reused(stage: Stage) -> None:
    stage.log.write_bytes(_SAME_FIRST_LINE)
    _first_lines(stage)
    stage.stop()
    before = stage.log.stat().st_ino
    stage.log.unlink()
    stage.log.write_bytes(_SAME_FIRST_LINE)
    if stage.log.stat().st_ino != before:
        stage.notes.append("this file system gave another inode")
    stage.write(60)
    stage.start()


def compressed_while_stopped(stage: Stage) -> None:
    _first_lines(stage)
    stage.stop()
    stage.write(20)
    logrotate.compress(logrotate.rename(stage.log))
    stage.write(10)
    stage.start()


def link_swapped(stage: Stage) -> None:
    first, second = (stage.log.with_name(f"target-{number}") for number in (1, 2))
    first.touch()
    stage.log.symlink_to(first.name)
    _first_lines(stage)
    stage.write(10, second)
    logrotate.swap_link(stage.log, second)
    stage.write(5, first)


SCENARIOS: dict[str, tuple[str, Callable[[Stage], None]]] = {
    "T1": ("copytruncate, 10 lines, then 60", copytruncate),
    "T2": ("rename and create, late lines to the old file at once and 3 s later", late_lines),
    "T3": ("SIGTERM, 10 lines, start", restart),
    "T4": ("SIGHUP, 10 lines", reload),
    "T5": ("stopped, 20 lines, rotated, 10 lines, start", rotated_while_stopped),
    "T6": ("kill -9, 30 lines, start", killed),
    "T7": ("stopped, deleted, created: same inode, same first line", inode_reused),
    "T8": ("stopped, 20 lines, rotated and compressed, 10 lines, start", compressed_while_stopped),
    "T9": ("symbolic link swapped, late lines to the old target", link_swapped),
}
