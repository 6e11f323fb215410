"""Lines per second: logagent beside grep, wc, Drain3 and aminer, on the same files.

    python bench/speed.py                        mixed, openstack, proxifier, random, linux
    python bench/speed.py mixed --rounds 3       one workload
    python bench/speed.py --from-corpora         without loghub: this repository's own logs

Every round runs every tool once, so a slow minute of the machine hits all of them; figures are
medians. All run on one core, from a warm page cache, with output that is only counted.
logagent is timed as a user meets it, from starting the command to its end; the time within the
process is shown beside it. Drain3 and aminer are slow, so they read a prefix, and their
start-up is left out, which favours them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aminer_run import PREFIXES, Aminer, prepare, slope, time_prefix
from measure import (
    BenchError,
    Run,
    common_arguments,
    interleave,
    main,
    median,
    print_table,
    run,
    scan_command,
    write_result,
)
from workloads import Workload, make, parse_bytes, source_arguments

PATTERN = "error|fail|panic|fatal|denied|timeout|refused|corrupt"
WORKLOADS = ("mixed", "openstack", "proxifier", "random", "linux")
DRAIN_CLUSTERS = 1024
FIGURES = ("lines_per_second", "lines_per_cpu_second", "bytes_per_second", "rss_anon_bytes")
LONG_ENOUGH_SECONDS = 0.1  # below it, starting a process weighs more than sharing a core
BUSY_SHARE = 0.95  # of the wall clock that a lone process gets; below it the core was shared
Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: logagent is at least this many times as fast as another tool."""

    workload: str
    versus: str
    at_least: float


TARGETS = (
    Target("mixed", "grep", 0.35),
    Target("mixed", "drain3", 40),
    Target("openstack", "drain3", 10),
    Target("proxifier", "drain3", 10),
    Target("random", "drain3", 5),
)


class Bench:
    """One benchmark session: the tools and how to time each on a workload."""

    def __init__(self, options: argparse.Namespace, aminer: Aminer | None) -> None:
        self.options = options
        self.core: int = options.core
        self.logagent = scan_command(options, options.backend, "--quiet", "--stats", "json")
        self.aminer = aminer

    def cases(self, load: Workload) -> dict[str, Callable[[], Sample]]:
        """What runs in each round, in this order."""
        cases: dict[str, Callable[[], Sample]] = {
            "wc": lambda: self._command(load, ["wc", "-l", str(load.path)]),
            "grep": lambda: self._grep(load, {}),
            "grep_c": lambda: self._grep(load, {"LC_ALL": "C"}),
            "logagent": lambda: self._logagent(load),
            "drain3": lambda: self._drain3(load),
        }
        if self.aminer is not None and load.name == "linux":
            aminer = self.aminer
            cases["aminer"] = lambda: self._aminer(load, aminer)
        return cases

    def _command(self, load: Workload, argv: list[str], **env: str) -> Sample:
        done = run(argv, core=self.core, env=env, accept=(0, 1))  # 1 is grep's "none found"
        return {
            **_speed(done, load),
            "output": done.stdout.decode("ascii", "replace").split()[:1],
        }

    def _grep(self, load: Workload, env: dict[str, str]) -> Sample:
        return self._command(load, ["grep", "-ciE", PATTERN, str(load.path)], **env)

    def _logagent(self, load: Workload) -> Sample:
        done = run([*self.logagent, str(load.path)], core=self.core)
        stats = done.stats
        if stats.get("lines", load.lines) != load.lines:
            raise BenchError(f"logagent read {stats['lines']} of the {load.lines} lines")
        inside = stats.get("seconds")
        return {
            **_speed(done, load),
            "inside_lines_per_second": load.lines / inside if inside else None,
            "inside_bytes_per_second": load.bytes / inside if inside else None,
            "rss_anon_bytes": stats.get("rss_anon_bytes"),
            "stats": stats,
        }

    def _drain3(self, load: Workload) -> Sample:
        script = Path(__file__).with_name("drain3_run.py")
        words = [
            "--lines", str(self.options.drain_lines),
            "--seconds", str(self.options.drain_seconds),
            "--max-clusters", str(DRAIN_CLUSTERS),
        ]  # fmt: skip
        if self.options.drain_config:
            words += ["--config", str(self.options.drain_config)]
        done = run([sys.executable, str(script), str(load.path), *words], core=self.core)
        found: Sample = json.loads(done.stdout)
        found["bytes_per_second"] = found["lines_per_second"] * load.bytes / load.lines
        return found

    def _aminer(self, load: Workload, aminer: Aminer) -> Sample:
        samples = [time_prefix(aminer, load.path, lines, self.core) for lines in PREFIXES]
        speed = slope(samples)
        return {
            "lines_per_second": speed,
            "lines_per_cpu_second": slope(samples, "cpu_seconds"),
            "wall_seconds": sum(sample["wall_seconds"] for sample in samples),
            "cpu_seconds": sum(sample["cpu_seconds"] for sample in samples),
            "bytes_per_second": speed * load.bytes / load.lines,
            "prefixes": samples,
        }


def _speed(done: Run, load: Workload) -> Sample:
    cpu = done.user_seconds + done.system_seconds
    return {
        "wall_seconds": done.wall_seconds,
        "cpu_seconds": cpu,
        "lines_per_second": load.lines / done.wall_seconds,
        "lines_per_cpu_second": load.lines / max(cpu, 1e-3),  # the kernel's counts have gaps
        "bytes_per_second": load.bytes / done.wall_seconds,
    }


def _core_share(sample: Sample) -> float:
    """The share of the wall clock that a run had the core; 1 when too short to tell."""
    wall = sample.get("wall_seconds") or sample.get("seconds") or 0.0
    if wall < LONG_ENOUGH_SECONDS:
        return 1.0
    return float(sample["cpu_seconds"] / wall)


def summarise(load: Workload, samples: dict[str, list[Sample]]) -> Sample:
    """Medians of each tool and logagent's ratio to it."""
    tools: dict[str, Sample] = {}
    for tool, rounds in samples.items():
        tools[tool] = {
            key: median(sample[key] for sample in rounds)
            for key in FIGURES
            if all(sample.get(key) for sample in rounds)
        }
        tools[tool]["core_share"] = median(_core_share(sample) for sample in rounds)
    inside = [sample["inside_lines_per_second"] for sample in samples["logagent"]]
    if all(inside):
        tools["logagent"]["inside_lines_per_second"] = median(inside)
        tools["logagent"]["inside_bytes_per_second"] = median(
            sample["inside_bytes_per_second"] for sample in samples["logagent"]
        )
    ours = tools["logagent"]
    for figures in tools.values():
        figures["logagent_is_times"] = ours["lines_per_second"] / figures["lines_per_second"]
        figures["logagent_is_times_by_cpu"] = (
            ours["lines_per_cpu_second"] / figures["lines_per_cpu_second"]
        )
    return {
        "lines": load.lines,
        "bytes": load.bytes,
        "sha256": load.sha256,
        "tools": tools,
        "rounds": samples,
    }


def judge(found: dict[str, Sample]) -> list[dict[str, Any]]:
    """Each target that was measured, with the ratio reached."""
    verdicts = []
    for target in TARGETS:
        if target.workload in found:
            figures = found[target.workload]["tools"][target.versus]
            ratio = figures["logagent_is_times"]
            verdicts.append({
                "workload": target.workload, "versus": target.versus,
                "at_least": target.at_least, "ratio": ratio, "met": ratio >= target.at_least,
                "ratio_by_cpu": figures["logagent_is_times_by_cpu"],
            })  # fmt: skip
    return verdicts


def show(name: str, summary: Sample) -> None:
    """Print the table of one workload."""
    print(f"\n{name}: {summary['lines']} lines, {summary['bytes'] / 1e6:.0f} MB")
    tools = summary["tools"]
    rows = []
    for tool, figures in tools.items():
        cells = [figures["lines_per_second"], figures["bytes_per_second"]]
        rows.append(_row(tool, cells[0], cells[1], tools))
        if "inside_lines_per_second" in figures:
            inside = figures["inside_lines_per_second"], figures["inside_bytes_per_second"]
            rows.append(_row("  within the process", *inside, tools))
    print_table(("tool", "lines/s", "MB/s", "x grep", "x Drain3"), rows)
    shared = [tool for tool, figures in tools.items() if figures["core_share"] < BUSY_SHARE]
    if shared:
        print(
            f"warning: others used the core during {', '.join(shared)}; "
            "compare processor times (logagent_is_times_by_cpu in the result)",
            file=sys.stderr,
        )


def _row(label: str, lines: float, size: float, tools: dict[str, Sample]) -> list[str]:
    ratios = [lines / tools[other]["lines_per_second"] for other in ("grep", "drain3")]
    return [label, f"{lines:,.0f}", f"{size / 1e6:,.1f}", *(f"{ratio:,.2f}" for ratio in ratios)]


def find_aminer(stack: ExitStack, options: argparse.Namespace) -> tuple[Aminer | None, str]:
    """aminer where it can run, unpacked until the stack closes, and else the reason why not."""
    if options.no_aminer:
        return None, "not asked for"
    try:
        return stack.enter_context(prepare(options.work)), ""
    except BenchError as reason:
        print(f"leaving aminer out: {reason}", file=sys.stderr)
        return None, str(reason)


def _run() -> None:
    parser = argparse.ArgumentParser(description="Lines per second beside other tools.")
    parser.add_argument("names", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--bytes", type=parse_bytes, default=0, help="size of repeated logs")
    parser.add_argument("--lines", type=int, default=0, help="number of random lines")
    parser.add_argument("--backend", choices=("auto", "onnxruntime", "numpy"))
    parser.add_argument("--drain-lines", type=int, default=200_000, help="cap for Drain3")
    parser.add_argument("--drain-seconds", type=float, default=10.0, help="cap for Drain3")
    parser.add_argument("--drain-config", type=Path, help="a drain3.ini instead of ours")
    parser.add_argument("--no-aminer", action="store_true")
    source_arguments(parser)
    common_arguments(parser, rounds=5)
    options = parser.parse_args()
    names = options.names or (["corpora", "random"] if options.from_corpora else list(WORKLOADS))
    found: dict[str, Sample] = {}
    with ExitStack() as stack:
        aminer, why_not = find_aminer(stack, options)
        bench = Bench(options, aminer)
        for name in names:
            load = make(
                name, work=options.work, seed=options.seed, loghub=options.loghub,
                bytes_limit=0 if name == "random" else options.bytes,
                lines_limit=options.lines if name == "random" else 0,
            )  # fmt: skip
            print(name, file=sys.stderr)
            run(["wc", "-w", str(load.path)])  # into the page cache
            found[name] = summarise(load, interleave(options.rounds, bench.cases(load)))
            show(name, found[name])
    verdicts = judge(found)
    for verdict in verdicts:
        mark = "met" if verdict["met"] else "MISSED"
        print(
            f"target: {verdict['workload']} >= {verdict['at_least']:g} x {verdict['versus']}: "
            f"{verdict['ratio']:.2f} {mark} (by processor time {verdict['ratio_by_cpu']:.2f})"
        )
    first_line = subprocess.run(["grep", "--version"], capture_output=True, text=True, check=True)
    result = {
        "rounds": options.rounds,
        "core": options.core,
        "backend": options.backend or "auto",
        "grep": first_line.stdout.splitlines()[0],
        "aminer": aminer.version if aminer else f"left out: {why_not}",
        "drain3_max_clusters": DRAIN_CLUSTERS,
        "targets": verdicts,
        "workloads": found,
    }
    suffix = f"_{options.backend}" if options.backend and options.backend != "auto" else ""
    write_result(f"speed{suffix}", result, options.results)


if __name__ == "__main__":
    main(_run)
