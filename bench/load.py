"""`logagent run` under load: sustained speed beside `logagent scan`, and memory. See `follow.py`.

When a follower is done is seen from outside, by its processor time, and then checked by
`logagent status`: so nothing of what is measured depends on alerts.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from case import case, spare_core
from following import Follower, following
from measure import BenchError, interleave, median, pinned, run, scan_command
from workloads import Workload, make

BUSY_SECONDS = 3600.0  # at most, for what a follower is given to read
START_SECONDS = 60.0
SAVE_SECONDS = "1"  # so that the status is not old
SAMPLE_SECONDS = 0.1  # between two looks at memory
MORE_ROUNDS = 4  # of ordinary lines after the first: what grows without a bound shows
Figures = dict[str, Any]


def sustained(options: argparse.Namespace) -> Figures:
    """Lines per second of scanning a file, of following it, and of following it while it grows."""
    name = "corpora" if options.from_corpora else "mixed"
    load = make(
        name, work=options.work, seed=options.seed, loghub=options.loghub,
        lines_limit=options.lines,
    )  # fmt: skip
    samples = interleave(
        options.rounds,
        {
            "scan": lambda: _scan(options, load),
            "a file that is there": lambda: _follow_file(options, load),
            "a file that cat writes": lambda: _follow_cat(options, load),
        },
    )
    return {
        "workload": load.name,
        "lines": load.lines,
        "bytes": load.bytes,
        "ways": {way: _speed(load, some, samples["scan"]) for way, some in samples.items()},
    }


def _scan(options: argparse.Namespace, load: Workload) -> Figures:
    argv = scan_command(options, options.backend, "--quiet", str(load.path))
    done = run(argv, core=options.core)
    return {"seconds": done.wall_seconds, "cpu_seconds": done.user_seconds + done.system_seconds}


def _follow_file(options: argparse.Namespace, load: Workload) -> Figures:
    """From starting the agent until it has read a file that was there."""
    with case(options) as one:
        (one.logs / "app.log").symlink_to(load.path.resolve())
        with following(one.follow(*_words(options.backend))) as follower:
            done, cpu = follower.wait_until_idle(BUSY_SECONDS)
            one.check_all_read()
            return {"seconds": done - follower.started, "cpu_seconds": cpu}


def _follow_cat(options: argparse.Namespace, load: Workload) -> Figures:
    """From the start of `cat` into a followed file until all of it is read."""
    with case(options) as one:
        log = one.logs / "app.log"
        log.touch()
        with following(one.follow(*_words(options.backend))) as follower:
            _, before = follower.wait_until_idle(START_SECONDS)
            begin = time.monotonic()
            with _cat([load.path], log) as cat:
                done, cpu = follower.wait_until_idle(BUSY_SECONDS)
                cat.wait()
            one.check_all_read()
            return {"seconds": done - begin, "cpu_seconds": cpu - before}


def _words(backend: str | None) -> list[str]:
    return ["--save-seconds", SAVE_SECONDS, *(["--backend", backend] if backend else [])]


def _cat(files: list[Path], log: Path) -> subprocess.Popen[bytes]:
    """`cat` into a log at full speed, on the spare core."""
    with log.open("ab") as target, pinned(spare_core()):
        return subprocess.Popen(["cat", *map(str, files)], stdout=target)


def _speed(load: Workload, some: list[Figures], scans: list[Figures]) -> Figures:
    """Medians, and ratios to the scan by both clocks."""
    seconds, cpu = (median(one[clock] for one in some) for clock in ("seconds", "cpu_seconds"))
    own, own_cpu = (median(one[clock] for one in scans) for clock in ("seconds", "cpu_seconds"))
    return {
        "lines_per_second": load.lines / seconds,
        "bytes_per_second": load.bytes / seconds,
        "ratio_to_scan": own / seconds,
        "ratio_to_scan_by_cpu": own_cpu / cpu,
        "samples": some,
    }


def memory(options: argparse.Namespace) -> Figures:
    """Private memory after many lines, some all different, and after ordinary ones more."""
    distinct = make("random", work=options.work, seed=options.seed, lines_limit=options.distinct)
    name = "corpora" if options.from_corpora else "mixed"
    usual = make(name, work=options.work, seed=options.seed, loghub=options.loghub)
    copies = max(math.ceil((options.memory_lines - distinct.lines) / usual.lines), 1)
    first = [distinct.path] + [usual.path] * copies
    more = [usual.path] * math.ceil(options.memory_lines / usual.lines)
    backends = {backend: _memory(options, backend, first, more) for backend in options.backends}
    lines = distinct.lines + copies * usual.lines
    return {"distinct": distinct.lines, "lines": lines, "backends": backends}


def _memory(
    options: argparse.Namespace, backend: str, first_files: list[Path], more: list[Path]
) -> Mapping[str, Any]:
    with case(options) as one:
        log = one.logs / "app.log"
        log.touch()
        with following(one.follow(*_words(backend))) as follower:
            follower.wait_until_idle(START_SECONDS)
            start = follower.memory().rss_anon_bytes
            rounds = []
            for files in (first_files, *[more] * MORE_ROUNDS):
                rounds.append(_feed(follower, files, log))
                one.check_all_read()
    first, *later = (one["final_rss_anon_bytes"] for one in rounds)
    return {
        "start_rss_anon_bytes": start,
        "rounds": rounds,
        "final_rss_anon_bytes": first,
        "growth_bytes": max(later) - first,
        "peak_rss_anon_bytes": max(one["peak_rss_anon_bytes"] for one in rounds),
    }


def _feed(follower: Follower, files: list[Path], log: Path) -> Figures:
    """Write files to the log; memory until the follower has read them."""
    samples: list[int] = []
    due = 0.0

    def watch() -> None:
        nonlocal due
        if time.monotonic() > due:
            due = time.monotonic() + SAMPLE_SECONDS
            samples.append(follower.memory().rss_anon_bytes)

    begin = time.monotonic()
    with _cat(files, log) as cat:
        done, _ = follower.wait_until_idle(BUSY_SECONDS, watch)
        if cat.wait():
            raise BenchError("cat failed: is the disk full?")
    return {
        "final_rss_anon_bytes": follower.memory().rss_anon_bytes,
        "peak_rss_anon_bytes": max(samples),
        "seconds": round(done - begin, 2),
    }
