"""A folder of logs with the agent on it, for the figures of `follow.py`.

Guarantees: the agent is pinned to the core under test, all files are gone afterwards.
Leaves to others: what to write to the logs, and what to measure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from following import Follower, lag_bytes, run_command, status, without_inotify
from measure import BenchError
from numbered import line, number_of

RECORD_SECONDS = 30.0  # for a record to come, before the agent counts as broken
GAP_SECONDS = (0.01, 0.2)  # between two lines whose latency is measured
STATUS_SECONDS = 30.0  # for the status to say that all is read; it may be as old as a saved state


class Case:
    """Logs, the state and the alerts of one agent."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self._alerts = folder / "alerts.jsonl"
        self._options = options
        self._state = folder / "state"
        self._errors = folder / "errors.log"

    def follow(self, *words: str, pipe: bool = False, inotify: bool = True) -> Follower:
        """Start the agent on all logs of the folder, each from its start.

        Args:
            words: more of the command line.
            pipe: records go to `Follower.stdout`, else to a file.
            inotify: whether the kernel may tell it of changes; otherwise it has to poll.
        """
        where = [] if pipe else ["--no-stdout", "--jsonl", str(self._alerts)]
        logs = str(self.logs / "*.log")
        argv = run_command(self._options, self._state, logs, "--from-start", *where, *words)
        argv = argv if inotify else without_inotify(argv)
        return Follower(argv, errors=self._errors, core=self._options.core, pipe=pipe)

    def check_all_read(self) -> None:
        """Ask the agent itself whether anything is left to read.

        Raises:
            BenchError: it says so for long, though it was idle.
        """
        limit = time.monotonic() + STATUS_SECONDS
        while lag := lag_bytes(status(self._options, self._state, spare_core())):
            if time.monotonic() > limit:
                raise BenchError(f"the agent was idle with {lag} bytes unread")
            time.sleep(1)

    def write_logs(self, files: int, *, lines: int) -> int:
        """Make logs of normal lines with an anomalous one at the end; the first free number."""
        number = 0
        for index in range(files):
            rows = [line(number + row, anomalous=row == lines - 1) for row in range(lines)]
            number += lines
            (self.logs / f"log-{index:05d}.log").write_bytes(b"\n".join(rows) + b"\n")
        return number


@contextmanager
def case(options: argparse.Namespace) -> Iterator[Case]:
    """A case in a temporary folder beside the workloads: on a disk, not in memory."""
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="follow-", dir=options.work) as folder:
        yield Case(options, Path(folder))


def spare_core() -> int:
    """A core for whoever is not measured: the lowest, `measure.last_core` being the highest."""
    return min(os.sched_getaffinity(0))


class Records:
    """The records that an agent prints to a pipe, and when each came."""

    def __init__(self, follower: Follower) -> None:
        if follower.stdout is None:
            raise BenchError("the agent was started without a pipe")
        self.came: dict[int, float] = {}
        """By number of the line [s, `time.perf_counter`]."""
        self._pipe = follower.stdout
        self._rest = b""

    def read(self, seconds: float = 0.0) -> None:
        """Read what comes within a time; return as soon as something came."""
        if not select.select([self._pipe], [], [], seconds)[0]:
            return
        block = self._pipe.read(1 << 16)
        now = time.perf_counter()
        if not block:
            raise BenchError("the agent closed its standard output")
        *rows, self._rest = (self._rest + block).split(b"\n")
        for row in rows:
            found: Any = json.loads(row)
            number = number_of(found["text"])
            if number is not None:
                self.came.setdefault(number, now)

    def wait(self, number: int) -> float:
        """Read until the record of a line has come; when that was."""
        limit = time.perf_counter() + RECORD_SECONDS
        while number not in self.came:
            if time.perf_counter() > limit:
                raise BenchError(f"no record came within {RECORD_SECONDS:.0f} s")
            self.read(0.1)
        return self.came[number]


def latencies(
    records: Records, logs: Iterable[tuple[int, Path]], rng: random.Random
) -> list[float]:
    """Write numbered lines to logs at random intervals; the seconds until each record came.

    The clock starts before the write. One thread writes and reads: it reads while it waits for
    the time of the next line, so that a record is noticed at once.
    """
    wrote: dict[int, float] = {}
    for number, path in logs:
        due = time.perf_counter() + rng.uniform(*GAP_SECONDS)
        while (left := due - time.perf_counter()) > 0:
            records.read(left)
        with path.open("ab", buffering=0) as log:
            wrote[number] = time.perf_counter()
            log.write(line(number, anomalous=True) + b"\n")
    return [records.wait(number) - then for number, then in wrote.items()]
