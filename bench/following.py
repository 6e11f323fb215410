"""A `logagent run` of the benchmarks: started, stopped in every way, and looked at from outside.

Guarantees: a child that is left behind by an error is killed; what it prints goes to files or to
a pipe that is read; figures come from /proc, none from the agent itself, but for `status`, which
asks `logagent status`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import BenchError, MemorySample, logagent_words, pinned, read_memory

CONFIG = """\
[journal]
enabled = false
[sinks]
jsonl_max_bytes = 1099511627776
"""
"""Nothing but the logs of the bench, and one alerts file that is never renamed."""
STOP_SECONDS = 30.0  # to drain and save after SIGTERM, on a busy machine
QUIET_SECONDS = 1.5  # without work, after which a follower counts as done
QUIET_SHARE = 0.05  # of a core, that counts as no work: timers, and looks at many files
_QUIET_TICKS = 3  # likewise, at once: 30 ms, also the error of the end that is found
_SAMPLE_SECONDS = 0.02
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used since it started."""

    cpu_seconds: float
    written_bytes: int
    """Handed to the disk, not to the page cache's reader."""
    wakeups: int
    """Times it slept and was woken."""


def run_command(options: argparse.Namespace, state: Path, *words: str) -> list[str]:
    """`logagent run` with a state folder and these words, and no configuration of the machine."""
    config = state.with_suffix(".toml")
    config.write_text(CONFIG, encoding="ascii")
    argv = [*logagent_words(options.logagent), "run", "--state-dir", str(state)]
    argv += ["--config", str(config)]
    argv += ["--bundle", str(options.bundle)] if getattr(options, "bundle", None) else []
    return [*argv, *words]


def without_inotify(argv: Sequence[str]) -> list[str]:
    """The same command where the kernel gives it no inotify, so that it has to poll.

    In a user namespace of its own, which changes nothing for others.

    Raises:
        BenchError: this machine has no such namespaces.
    """
    words = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    forbid = "echo 0 > /proc/sys/user/max_inotify_instances"
    try:
        subprocess.run([*words, forbid], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise BenchError("this machine has no user namespaces: polling cannot be forced") from None
    return [*words, f'{forbid} && exec "$@"', "sh", *argv]


class Follower:
    """A running `logagent run`, or another command that follows logs."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        errors: Path,
        output: Path | None = None,
        core: int | None = None,
        pipe: bool = False,
    ) -> None:
        """Start it, in a session of its own, as aminer kills its whole process group.

        Args:
            argv: the command.
            errors: file that its standard error is appended to.
            output: file that its standard output is appended to; nowhere if None.
            core: core to pin it to.
            pipe: give its standard output to `stdout` instead.
        """
        self.started = time.monotonic()
        target = output or Path(os.devnull)
        with errors.open("ab") as stderr, target.open("ab") as stdout, pinned(core):
            self._child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
                stdout=subprocess.PIPE if pipe else stdout, bufsize=0,
            )  # fmt: skip
        self.pid = self._child.pid
        self.stdout = self._child.stdout

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._child.poll()

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        if self.alive:
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        self._close()

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """SIGTERM; the exit code, or nothing if it had to be killed after all."""
        if self.alive:
            self._child.terminate()
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        finally:
            self._close()

    def reload(self) -> None:
        """SIGHUP."""
        self._child.send_signal(signal.SIGHUP)

    def _close(self) -> None:
        if self.stdout is not None:
            self.stdout.close()

    def usage(self) -> Usage:
        """What it has used so far, without its children."""
        if not self.alive:
            raise BenchError(f"the agent ended by itself, exit code {self.exit_code}")
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            io = _fields(Path(f"/proc/{self.pid}/io"))
            status = _fields(Path(f"/proc/{self.pid}/status"))
        except (FileNotFoundError, ProcessLookupError):
            raise BenchError(f"the agent ended by itself, exit code {self.exit_code}") from None
        ticks = int(fields[11]) + int(fields[12])
        return Usage(
            ticks * _TICK_SECONDS,
            int(io["write_bytes"]),
            int(status["voluntary_ctxt_switches"]),
        )

    def memory(self) -> MemorySample:
        """Its memory now."""
        sample = read_memory(self.pid, time.monotonic() - self.started)
        if sample is None:
            raise BenchError(f"the agent ended by itself, exit code {self.exit_code}")
        return sample

    def wait_until_idle(
        self, limit_seconds: float, watch: Callable[[], None] | None = None
    ) -> tuple[float, float]:
        """Wait until it has had nothing to do for `QUIET_SECONDS`.

        `watch` is called all along, fifty times a second.

        Returns:
            When it had last had something to do, by `time.monotonic`, and the processor time it
            had used by then [s].
        """
        limit = time.monotonic() + limit_seconds
        done, used = time.monotonic(), self.usage().cpu_seconds
        while time.monotonic() < limit:
            time.sleep(_SAMPLE_SECONDS)
            if watch is not None:
                watch()
            now, cpu = time.monotonic(), self.usage().cpu_seconds
            if cpu - used >= max(_QUIET_TICKS * _TICK_SECONDS, QUIET_SHARE * (now - done)):
                done, used = now, cpu
            elif now - done > QUIET_SECONDS:
                return done, used
        raise BenchError(f"the agent was still busy after {limit_seconds:.0f} s")


@contextmanager
def following(follower: Follower) -> Iterator[Follower]:
    """Kill it at the end, if it is still there."""
    try:
        yield follower
    finally:
        follower.kill()


def status(options: argparse.Namespace, state: Path, core: int | None = None) -> dict[str, Any]:
    """What `logagent status --json` says; empty while it has nothing to say."""
    argv = [*logagent_words(options.logagent), "status", "--state-dir", str(state), "--json"]
    with pinned(core):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def lag_bytes(found: dict[str, Any]) -> int | None:
    """How much of all sources is unread; nothing if the status does not say."""
    lag = found.get("lag_bytes")
    return lag if isinstance(lag, int) else None


class AlertsTail:
    """Reads an alerts file while it grows, whole lines only.

    Memory: a read block.
    """

    def __init__(self, path: Path, take: Callable[[bytes], None]) -> None:
        self.bytes = 0
        """Taken so far."""
        self._path = path
        self._take = take
        self._file: int | None = None
        self._offset = 0

    def poll(self) -> None:
        """Hand out the whole lines that have come."""
        while self._read():
            pass

    def _read(self) -> bool:
        """Read on; whether another file is to be read now."""
        if self._file is None:
            try:
                self._file = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return False
            self._offset = 0
        while block := os.pread(self._file, 1 << 20, self._offset):
            end = block.rfind(b"\n") + 1
            if not end:
                break
            for record in block[: end - 1].split(b"\n"):
                self._take(record)
            self._offset += end
            self.bytes += end
        here = os.fstat(self._file)
        if here.st_size < self._offset:
            raise BenchError("the alerts file lost records that stood in it already")
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return False
        if block:
            self._take(block)  # the torn end of a file that nobody will complete
        self.close()
        return True

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _fields(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (row.partition(":") for row in lines)}
