"""Figures of `logagent run`: latency, idle cost, sustained speed, memory, many files.

    python bench/follow.py                        all parts; memory takes most of the time
    python bench/follow.py latency idle           some; the others stay in the result file
    python bench/follow.py memory --memory-lines 1000000 --distinct 100000

| part      | answers                                                                       |
|-----------|-------------------------------------------------------------------------------|
| latency   | from writing a line to its record on standard output, by inotify and by poll  |
| idle      | processor time, wake-ups, disk writes while nothing is written to 20 files    |
| sustained | lines per second beside `logagent scan`: a file that is there, one that grows |
| memory    | private memory after 10 M lines, 1 M of them distinct, and 10 M more four times |
| files     | start, memory, idle cost and latency with 10,000 small files                  |

Alerts are per line (`--no-group`): a group waits to be told, `alerts.wait_seconds`. The agent is
pinned to one core; whoever writes runs on another where there is one.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from case import Records, case, latencies
from following import Follower, Usage, following
from load import memory, sustained
from measure import (
    MIB,
    RESULTS,
    BenchError,
    common_arguments,
    machine_facts,
    main,
    percentile,
    print_table,
    public_command,
    write_result,
)
from workloads import source_arguments

MODES = {"inotify": True, "poll every second": False}
"""How the agent notices new lines: whether it has inotify. The interval is its default."""
LATENCY_LINES = 200
IDLE_FILES = 20
IDLE_SECONDS = 60.0
LINES_PER_FILE = 5  # of many: a few hundred bytes, as most of 10,000 logs are
PROBES = 20
START_SECONDS = 300.0  # at most, to start with many files
SETTLE_SECONDS = 15.0  # after a start, for what is done once: the first save, late looks at files
Figures = dict[str, Any]


def latency(options: argparse.Namespace) -> Figures:
    """Milliseconds from a written line to its record."""
    figures: Figures = {"lines": options.latency_lines, "modes": {}}
    for mode, inotify in MODES.items():
        with case(options) as one:
            log = one.logs / "app.log"
            log.touch()
            with following(one.follow("--no-group", pipe=True, inotify=inotify)) as follower:
                records, rng = Records(follower), random.Random(options.seed)
                latencies(records, ((number, log) for number in range(5)), rng)  # it is warm now
                lines = range(5, 5 + options.latency_lines)
                samples = latencies(records, ((number, log) for number in lines), rng)
        figures["modes"][mode] = _milliseconds(samples)
    return figures


def _milliseconds(samples: Sequence[float]) -> Figures:
    shown = [round(sample * 1000, 2) for sample in samples]
    return {
        "median_ms": statistics.median(shown),
        "p95_ms": percentile(shown, 0.95),
        "max_ms": max(shown),
        "samples_ms": shown,
    }


def idle(options: argparse.Namespace) -> Figures:
    """What the agent uses while nothing happens."""
    figures: Figures = {"files": IDLE_FILES, "modes": {}}
    for mode, inotify in MODES.items():
        with case(options) as one:
            one.write_logs(IDLE_FILES, lines=100)
            with following(one.follow(inotify=inotify)) as follower:
                follower.wait_until_idle(START_SECONDS)
                time.sleep(SETTLE_SECONDS)
                figures["modes"][mode] = _rest(follower, options.idle_seconds)
    return figures


def _rest(follower: Follower, seconds: float) -> Figures:
    """What a follower uses in a time in which nothing happens."""
    before, begin = follower.usage(), time.monotonic()
    time.sleep(seconds)
    after, passed = follower.usage(), time.monotonic() - begin
    used = _used(before, after, passed)
    return {"seconds": passed, **used, "rss_anon_bytes": follower.memory().rss_anon_bytes}


def _used(before: Usage, after: Usage, seconds: float) -> Figures:
    cpu = after.cpu_seconds - before.cpu_seconds
    return {
        "cpu_seconds": round(cpu, 3),
        "cpu_share": cpu / seconds,
        "written_bytes": after.written_bytes - before.written_bytes,
        "wakeups_per_minute": (after.wakeups - before.wakeups) * 60 / seconds,
    }


def files(options: argparse.Namespace) -> Figures:
    """Many small files: start, memory, idle cost, latency."""
    with case(options) as one:
        free = one.write_logs(options.files, lines=LINES_PER_FILE)
        logs = sorted(one.logs.iterdir())
        with following(one.follow("--no-group", pipe=True)) as follower:
            records = Records(follower)
            done, cpu = follower.wait_until_idle(START_SECONDS, records.read)
            if len(records.came) < len(logs):
                raise BenchError(f"{len(records.came)} of {len(logs)} files were reported")
            time.sleep(SETTLE_SECONDS)
            rest = _rest(follower, options.idle_seconds / 2)
            rng = random.Random(options.seed)
            chosen = zip(count(free), rng.sample(logs, min(PROBES, len(logs))), strict=False)
            samples = latencies(records, chosen, rng)
            return {
                "files": len(logs),
                "start_seconds": done - follower.started,
                "start_cpu_seconds": cpu,
                "idle": rest,
                "latency": _milliseconds(samples),
                "rss_anon_bytes": follower.memory().rss_anon_bytes,
            }


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "latency": latency,
    "idle": idle,
    "sustained": sustained,
    "memory": memory,
    "files": files,
}


def show(part: str, figures: Figures) -> None:
    """Print the figures of one part."""
    print(f"\n{part}")
    if part == "latency":
        for mode, one in figures["modes"].items():
            print(f"  {mode}: {_shown_latency(one)}")
    elif part == "idle":
        for mode, one in figures["modes"].items():
            print(f"  {mode}: {_shown_rest(one)}")
    elif part == "sustained":
        header = (figures["workload"], "lines/s", "MB/s", "of scan", "of scan by CPU")
        rows = [
            [
                way,
                f"{one['lines_per_second']:,.0f}",
                f"{one['bytes_per_second'] / 1e6:,.1f}",
                f"{one['ratio_to_scan']:.2f}",
                f"{one['ratio_to_scan_by_cpu']:.2f}",
            ]
            for way, one in figures["ways"].items()
        ]
        print_table(header, rows)
    elif part == "memory":
        for backend, one in figures["backends"].items():
            print(
                f"  {backend}: RssAnon {one['final_rss_anon_bytes'] / MIB:.1f} MiB after "
                f"{figures['lines']:,} lines, at most {one['growth_bytes'] / MIB:+.2f} MiB in as "
                f"many more, four times over, peak {one['peak_rss_anon_bytes'] / MIB:.1f} MiB"
            )
    else:
        print(
            f"  {figures['files']:,} files: all read in {figures['start_seconds']:.1f} s, "
            f"RssAnon {figures['rss_anon_bytes'] / MIB:.1f} MiB\n"
            f"  idle: {_shown_rest(figures['idle'])}\n"
            f"  latency: {_shown_latency(figures['latency'])}"
        )


def _shown_latency(one: Figures) -> str:
    return f"median {one['median_ms']} ms, p95 {one['p95_ms']} ms, max {one['max_ms']} ms"


def _shown_rest(one: Figures) -> str:
    return (
        f"{one['cpu_share']:.3%} of a core, {one['wakeups_per_minute']:.0f} wake-ups a minute, "
        f"{one['written_bytes']:,} bytes written in {one['seconds']:.0f} s, "
        f"RssAnon {one['rss_anon_bytes'] / MIB:.1f} MiB"
    )


def _run() -> None:
    parser = argparse.ArgumentParser(description="Figures of logagent run.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--latency-lines", type=int, default=LATENCY_LINES)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    parser.add_argument("--lines", type=int, default=0, help="of sustained, if not all")
    parser.add_argument("--backend", help="of sustained")
    parser.add_argument("--memory-lines", type=int, default=10_000_000)
    parser.add_argument("--distinct", type=int, default=1_000_000, help="lines, of memory")
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "numpy"], help="of memory")
    parser.add_argument("--files", type=int, default=10_000)
    source_arguments(parser)
    common_arguments(parser, rounds=3)
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if unknown := set(parts) - PARTS.keys():
        raise BenchError(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    before = (options.results or RESULTS) / "follow.json"
    found = json.loads(before.read_text("utf-8"))["parts"] if before.exists() else {}
    for part in parts:
        print(f"  {part} …", flush=True)
        figures = PARTS[part](options)
        show(part, figures)
        origin = {"command": public_command(), "machine": machine_facts()}
        found[part] = {"origin": origin, **figures}
        ordered = {name: found[name] for name in PARTS if name in found}
        write_result("follow", {"parts": ordered}, options.results)


if __name__ == "__main__":
    main(_run)
