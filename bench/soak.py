"""Is any line lost or invented while logs are rotated and the agent is killed? The proof.

    python bench/soak.py                             300 kills, 2,000,000 lines, about 12 minutes
    python bench/soak.py --kills 10 --lines 50000    half a minute
    python bench/soak.py --every 1                   every line is anomalous and so is checked

Writers append numbered lines to several logs and rotate them in every way (`writers.py`), while
`logagent run` follows them and is killed by SIGKILL at random moments, now and then stopped by
SIGTERM or told to reload by SIGHUP. Logs are rotated while it is down as well. One line in
`--every`, and the first and last of every file, is anomalous: it must be reported, whole and
unchanged; nothing else may be. What may be repeated, and how, is in `ledger.py`.

Exit code 1 when a promise is broken. The seed decides what is written, how logs are rotated and
when the agent is killed; what that meets in the agent is a matter of its timing.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from following import AlertsTail, Follower, following, lag_bytes, run_command, status
from ledger import Audit, Ledger
from measure import WORK, BenchError, main, print_table, write_result
from writers import HABITS, Writer

LIFE_SECONDS = (0.3, 3.0)  # of a run until it is stopped; it takes some 0.5 s to start
DOWN_SECONDS = 0.5  # at most, between two runs
DOWN_SHARE = 0.6  # of the stops after which logs are rotated before the next start
TERM_SHARE = 0.1  # of the stops that are SIGTERM
RELOAD_SHARE = 0.1  # of the runs that get a SIGHUP
SAVED_MARGIN_SECONDS = 0.5  # from a report to a saved state that is sure to know of it
FIRST_SAVE_SECONDS = 15.0  # for the first state to be saved, though nothing happens
QUIET_SECONDS = 5.0  # without a report, and nothing missing or no lag: the end
END_SECONDS = 120.0  # for the agent to catch up when all is written
ENOUGH = 10  # runs that end by themselves, after which there is no use in going on
_POLL_SECONDS = 0.02


class Soak:
    """The agent, its alerts, and what the writers are told of both."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.ledger = Ledger()
        self.audit = Audit(self.ledger, save_seconds=options.save_seconds)
        self.stops: Counter[str] = Counter()
        self.complaints: list[str] = []
        """What the agent did that it should not, in words."""
        self._random = random.Random(f"{options.seed} kills")
        self._folder = folder
        self._state = folder / "state"
        self._logs = folder / "logs"
        self._logs.mkdir()
        self._tail = AlertsTail(folder / "alerts.jsonl", self._take)
        self._down = True
        self._allowed = 0
        self._events = (folder / "events.log").open("w", buffering=1, encoding="ascii")
        self._begin = time.monotonic()
        self.writers = [
            Writer(
                self._logs, f"{habit.name}{number // len(HABITS) or ''}", habit, self.ledger, self,
                every=options.every, seed=f"{options.seed} {number}", note=self.note,
            )
            for number in range(options.files)
            for habit in [HABITS[number % len(HABITS)]]
        ]  # fmt: skip

    # --- what writers ask

    def allowed(self) -> int:
        return self._allowed

    def down(self) -> bool:
        return self._down

    def reported(self, numbers: Iterable[int]) -> bool:
        return all(number in self.audit.seen for number in numbers)

    def saved(self, numbers: Iterable[int]) -> bool:
        saved = _saved(self._state)
        for number in numbers:
            report = self.audit.seen.get(number)
            if report is None:
                return False
            clean = any(stop.clean for stop in self.audit.stops[report.run :])
            if not clean and saved < report.seconds + SAVED_MARGIN_SECONDS:
                return False
        return True

    def note(self, text: str) -> None:
        """Write down what happened and when, for whoever looks for the cause of a loss."""
        self._events.write(f"{time.time():.3f} {text}\n")

    def _take(self, record: bytes) -> None:
        self.audit.add(record, run=len(self.audit.stops), seconds=time.time())

    # --- the run

    def run(self) -> None:
        """Write, rotate and kill until all kills are done or the time is over."""
        self._first_start()
        for writer in self.writers:
            writer.start()
        limit = self._begin + self.options.seconds
        while self.stops["SIGKILL"] < self.options.kills and time.monotonic() < limit:
            done = self.stops["SIGKILL"] / self.options.kills
            life = self._random.uniform(*LIFE_SECONDS)
            with self._start() as follower:
                self._live(follower, life, done)
                self._stop(follower)
            self._stay_down()
            print(
                f"\r{self.stops['SIGKILL']}/{self.options.kills} kills, {self.ledger.lines:,} "
                f"lines, {len(self.audit.seen)}/{len(self.ledger.marks)} seen",
                end="", file=sys.stderr, flush=True,
            )  # fmt: skip
        print(file=sys.stderr)
        self._end()

    def _first_start(self) -> None:
        """Run until a state is saved, before anything is written.

        An agent that knows of no earlier run has no reason to read rotated files.
        """
        limit = time.monotonic() + FIRST_SAVE_SECONDS
        with self._start() as follower:
            while not _saved(self._state) and time.monotonic() < limit and follower.alive:
                time.sleep(_POLL_SECONDS)
            if not _saved(self._state):
                self.complaints.append("nothing was saved after the first start")
            self._end_run(follower)

    def _start(self) -> Any:
        argv = run_command(
            self.options, self._state, str(self._logs / "*.log"), "--from-start", "--no-group",
            "--no-stdout", "--jsonl", str(self._folder / "alerts.jsonl"),
            "--save-seconds", str(self.options.save_seconds),
        )  # fmt: skip
        argv += ["--backend", self.options.backend] if self.options.backend else []
        self._down = False
        follower = Follower(argv, errors=self._folder / "errors.log")
        self.note(f"start run {len(self.audit.stops)}")
        return following(follower)

    def _live(self, follower: Follower, seconds: float, done: float) -> None:
        """Let it run; the writers may write what falls to this run."""
        share = 1 / self.options.kills
        reload_after = self._random.uniform(0, seconds)
        reload = self._random.random() < RELOAD_SHARE
        before = self.audit.reports
        begin = time.monotonic()
        while (age := time.monotonic() - begin) < seconds and follower.alive:
            self._allowed = int(self.options.lines * (done + share * age / seconds))
            self._tail.poll()
            # Not before it reports, as a SIGHUP kills a process that is still starting.
            if reload and age > reload_after and self.audit.reports > before:
                reload = False
                self.stops["SIGHUP, went on"] += 1
                self.note("reload")
                follower.reload()
            time.sleep(_POLL_SECONDS)

    def _stop(self, follower: Follower) -> None:
        run = len(self.audit.stops)
        clean = False
        if not follower.alive:
            self.stops["ended by itself"] += 1
            self.complaints.append(f"run {run} ended by itself, exit code {follower.exit_code}")
            if len(self.complaints) > ENOUGH:
                raise BenchError(f"{self.complaints[-1]}, as others before: see errors.log")
        elif self._random.random() < TERM_SHARE:
            clean = self._terminate(follower, run)
        else:
            follower.kill()
            self.stops["SIGKILL"] += 1
        seconds = time.time()
        self._down = True
        self.note(f"stop run {run}{', clean' if clean else ''}")
        self._tail.poll()
        self.audit.stopped(clean=clean, seconds=seconds)

    def _terminate(self, follower: Follower, run: int) -> bool:
        """SIGTERM; whether it ended as it should."""
        code = follower.stop()
        self.stops["SIGTERM"] += 1
        if code is None:
            self.complaints.append(f"run {run} did not end after SIGTERM")
        elif code > 0:
            self.complaints.append(f"run {run} ended with exit code {code} after SIGTERM")
        return code == 0  # below 0: it was still starting, and the signal killed it

    def _stay_down(self) -> None:
        if self._random.random() < DOWN_SHARE:
            for writer in self._random.sample(self.writers, self._random.randint(1, 4)):
                writer.rotate_now()
            time.sleep(self._random.uniform(0, DOWN_SECONDS))

    # --- the end

    def _end(self) -> None:
        """Write the rest, let the agent catch up, stop it; a last run must repeat nothing."""
        with self._start() as follower:
            self._allowed = self.options.lines
            limit = time.monotonic() + END_SECONDS
            while self.ledger.lines < self.options.lines and time.monotonic() < limit:
                self._check_writers()
                self._tail.poll()
                time.sleep(_POLL_SECONDS)
            for writer in self.writers:
                writer.finish()
            for writer in self.writers:
                writer.join()
            self._check_writers()
            self._catch_up(follower)
            self._end_run(follower)
        with self._start() as follower:
            self._catch_up(follower)
            self._end_run(follower)
        self._tail.close()
        self._events.close()

    def _end_run(self, follower: Follower) -> None:
        clean = self._terminate(follower, len(self.audit.stops))
        self._down = True
        self._tail.poll()
        self.audit.stopped(clean=clean, seconds=time.time())

    def _catch_up(self, follower: Follower) -> None:
        limit = time.monotonic() + END_SECONDS
        quiet, before = time.monotonic(), -1
        while time.monotonic() < limit:
            self._tail.poll()
            if not follower.alive:
                self.complaints.append(f"the last run ended by itself, {follower.exit_code}")
                return
            if self.audit.reports != before:
                quiet, before = time.monotonic(), self.audit.reports
            elif time.monotonic() - quiet > QUIET_SECONDS:
                lag = lag_bytes(status(self.options, self._state))
                if not lag or not self.audit.lost():
                    self.lag_at_the_end = lag
                    return
                quiet = time.monotonic()
            time.sleep(_POLL_SECONDS)
        self.complaints.append(f"the agent did not catch up within {END_SECONDS:.0f} s")

    lag_at_the_end: int | None = None

    def _check_writers(self) -> None:
        for writer in self.writers:
            if writer.failure is not None:
                raise BenchError(f"the writer of {writer.name} failed: {writer.failure!r}")

    def result(self) -> dict[str, Any]:
        """What is stored."""
        kinds: dict[str, dict[str, int]] = {}
        for writer in self.writers:
            for (kind, down), count in writer.rotations.items():
                row = kinds.setdefault(kind, {"running": 0, "down": 0})
                row["down" if down else "running"] += count
        errors = self._folder / "errors.log"
        text = errors.read_text("utf-8", "replace") if errors.exists() else ""
        findings = self.audit.findings()
        broken = findings["broken"] + (["the agent misbehaved"] if self.complaints else [])
        return {
            "options": {
                name: getattr(self.options, name)
                for name in ("kills", "lines", "files", "every", "seed", "save_seconds", "backend")
            },
            "seconds": round(time.monotonic() - self._begin, 1),
            "stops": dict(self.stops),
            "rotations": dict(sorted(kinds.items())),
            "rotations_total": sum(sum(row.values()) for row in kinds.values()),
            "inodes_reused": sum(writer.inodes_reused for writer in self.writers),
            "lag_bytes_at_the_end": self.lag_at_the_end,
            "complaints": self.complaints,
            "errors_tail": text[-2000:].splitlines() if broken else [],
            **findings,
            "broken": broken,
        }


def _saved(folder: Path) -> float:
    """When the state in a folder was saved; 0 for never."""
    saved = 0.0
    for file in folder.glob("state*"):
        with suppress(FileNotFoundError):  # renamed just now
            saved = max(saved, file.stat().st_mtime)
    return saved


def show(result: dict[str, Any]) -> None:
    """Print the result for people."""
    rows = [[kind, str(row["running"]), str(row["down"])] for kind, row in
            result["rotations"].items()]  # fmt: skip
    print_table(("rotations", "agent running", "agent down"), rows)
    print(f"delete and create gave the same inode again: {result['inodes_reused']}\n")
    names = (
        "written", "anomalous", "reports", "seen", "lost", "invented", "torn_records", "repeated",
        "repeated_with_other_id", "repeated_without_kill", "repeated_too_old", "shared_ids",
        "false_alarms",
    )  # fmt: skip
    counts = [[name.replace("_", " "), f"{result[name]:,}"] for name in names]
    counts += [[name, f"{count:,}"] for name, count in result["stops"].items()]
    counts += [["oldest repeat, s before the kill", f"{result['oldest_repeat_seconds']:.2f}"]]
    print_table(("", f"in {result['seconds']:.0f} s"), counts)
    for name, cases in result["examples"].items():
        print(f"\n{name}:", *cases, sep="\n  ")
    if result["lost_by_place"]:
        print("\nlost by place:", result["lost_by_place"])
    for complaint in result["complaints"]:
        print(complaint)
    if result["broken"]:
        print("\nBROKEN:", ", ".join(result["broken"]))
        print(*result["errors_tail"][-10:], sep="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Lines lost or invented by logagent run.")
    parser.add_argument("--kills", type=int, default=300, help="by SIGKILL")
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--files", type=int, default=len(HABITS), help="logs, one writer each")
    parser.add_argument("--every", type=int, default=1000, help="one line in N is anomalous")
    parser.add_argument("--seconds", type=float, default=900.0, help="no kill later than this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-seconds", type=float, default=1.0, help="as of logagent run")
    parser.add_argument("--backend", help="as of logagent run")
    parser.add_argument("--work", type=Path, default=WORK, help="where logs and state lie")
    parser.add_argument("--keep", action="store_true", help="leave logs, state and alerts there")
    parser.add_argument("--logagent", help="command under test, instead of the installed one")
    parser.add_argument("--results", type=Path, help="folder for the result, for a trial run")
    options = parser.parse_args()
    if min(options.kills, options.lines, options.files, options.every) < 1:
        raise BenchError("--kills, --lines, --files and --every must be at least 1")
    return options


def _run() -> None:
    options = _arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=options.work))
    broken = True
    try:
        soak = Soak(options, folder)
        soak.run()
        result = soak.result()
        broken = bool(result["broken"])
        show(result)
        write_result("soak", result, options.results)
    finally:
        if broken or options.keep:
            print(f"logs, state and alerts: {os.path.relpath(folder)}")
        else:
            shutil.rmtree(folder)
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main(_run)
