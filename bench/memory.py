"""Private memory of `logagent scan` while its input grows: is it bounded, and is it flat?

    python bench/memory.py                       10 MB, 100 MB, 1 GB; 10 k, 100 k, 1 M lines
    python bench/memory.py --sizes 10MB 100MB    smaller
    python bench/memory.py --stdin               feed the logs on standard input

Two series per backend: `mixed`, the same log growing, and `random`, lines of which no two are
equal, which is the hard case for anything that remembers lines. RssAnon and VmRSS of the
process are read from /proc 200 times a second for two seconds, for the sake of short scans,
then 20 times a second. RssAnon is what the machine loses; VmRSS counts
mapped files as well, which other processes share. Growth is the peak RssAnon at the largest
input less that at the smallest.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure import (
    MIB,
    SAMPLE_HZ,
    BenchError,
    Run,
    common_arguments,
    main,
    median,
    print_table,
    run,
    scan_command,
    write_result,
)
from workloads import MB, Workload, make, parse_bytes, source_arguments

SIZES = [10 * MB, 100 * MB, 1000 * MB]
LINES = [10_000, 100_000, 1_000_000]
PEAK_TARGETS_BYTES = {"onnxruntime": 40 * MIB, "numpy": 24 * MIB}
GROWTH_TARGET_BYTES = 2 * MIB
PLOT_POINTS = 400  # of a curve in the result file; the raw samples of a long scan are thousands
Point = dict[str, Any]


def scan(options: argparse.Namespace, backend: str, load: Workload) -> Point:
    """The memory of some scans of a file; peaks are the median of the rounds."""
    path = "-" if options.stdin else str(load.path)
    argv = scan_command(options, backend, "--quiet", "--stats", "json", path)
    rounds = []
    for _ in range(options.rounds):
        done = run(
            argv, core=options.core, stdin=load.path if options.stdin else None, sample_memory=True
        )
        rounds.append(_round(done, load))
    return {
        "workload": load.name,
        "lines": load.lines,
        "bytes": load.bytes,
        "sha256": load.sha256,
        "peak_rss_anon_bytes": median(one["peak_rss_anon_bytes"] for one in rounds),
        "final_rss_anon_bytes": median(one["final_rss_anon_bytes"] for one in rounds),
        "peak_vm_rss_bytes": median(one["peak_vm_rss_bytes"] for one in rounds),
        "rounds": rounds,
    }


def _round(done: Run, load: Workload) -> Point:
    if not done.memory:
        raise BenchError(f"{load.path.name} was scanned before memory could be sampled once")
    if done.stats.get("lines", load.lines) != load.lines:
        raise BenchError(f"logagent read {done.stats['lines']} of the {load.lines} lines")
    # What the process itself saw as its peak counts too: a spike may fall between samples.
    own = done.stats.get("rss_anon_bytes") or 0
    return {
        "peak_rss_anon_bytes": max(own, *(one.rss_anon_bytes for one in done.memory)),
        # Of the last three, as the very last may see a process that is already giving back.
        "final_rss_anon_bytes": int(median(one.rss_anon_bytes for one in done.memory[-3:])),
        "peak_vm_rss_bytes": max(one.vm_rss_bytes for one in done.memory),
        "wall_seconds": done.wall_seconds,
        "samples": len(done.memory),
        "backend": done.stats.get("backend"),
        "curve": _curve(done),
    }


def _curve(done: Run) -> list[tuple[float, int, int]]:
    """(seconds, RssAnon, VmRSS), thinned so that no peak is lost."""
    step = max(1, -(-len(done.memory) // PLOT_POINTS))
    groups = [done.memory[start : start + step] for start in range(0, len(done.memory), step)]
    highest = [max(group, key=lambda one: one.rss_anon_bytes) for group in groups]
    return [(round(one.seconds, 3), one.rss_anon_bytes, one.vm_rss_bytes) for one in highest]


def judge(series: dict[str, dict[str, list[Point]]]) -> list[dict[str, Any]]:
    """Peak and growth of each series against its target."""
    verdicts = []
    for backend, workloads in series.items():
        for name, points in workloads.items():
            peaks = [point["peak_rss_anon_bytes"] for point in points]
            for what, value, target in (
                ("peak", max(peaks), PEAK_TARGETS_BYTES[backend]),
                ("growth", peaks[-1] - peaks[0], GROWTH_TARGET_BYTES),
            ):
                verdicts.append({
                    "backend": backend, "workload": name, "what": what, "bytes": value,
                    "at_most_bytes": target, "met": value <= target,
                })  # fmt: skip
    return verdicts


def plot(series: dict[str, dict[str, list[Point]]], target: Path) -> bool:
    """Peak RssAnon over input size as a picture; false when matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    panels = (("bytes", "size of the log [MB]", 1e6), ("lines", "distinct lines [thousands]", 1e3))
    for axis, (key, label, unit) in zip(axes, panels, strict=True):
        for backend, workloads in series.items():
            for name, points in workloads.items():
                if (name == "random") == (key == "lines"):
                    sizes = [point[key] / unit for point in points]
                    peaks = [point["peak_rss_anon_bytes"] / MIB for point in points]
                    axis.plot(sizes, peaks, marker="o", label=f"{backend}, {name}")
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(visible=True, alpha=0.3)
        if axis.lines:
            axis.legend()
    axes[0].set_ylabel("peak private memory [MiB]")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return True


def show(series: dict[str, dict[str, list[Point]]]) -> None:
    """Print one row per scan."""
    measures = ("peak_rss_anon_bytes", "final_rss_anon_bytes", "peak_vm_rss_bytes")
    rows = [
        [
            f"{backend} {point['workload']}",
            f"{point['bytes'] / MB:,.1f}",
            f"{point['lines']:,}",
            *(f"{point[measure] / MIB:.1f}" for measure in measures),
        ]
        for backend, workloads in series.items()
        for points in workloads.values()
        for point in points
    ]
    print_table(
        ("series", "MB", "lines", "peak RssAnon MiB", "final RssAnon MiB", "peak VmRSS MiB"), rows
    )


def _run() -> None:
    parser = argparse.ArgumentParser(description="Private memory while the input grows.")
    parser.add_argument("--sizes", type=parse_bytes, nargs="*", default=SIZES)
    parser.add_argument("--lines", type=int, nargs="*", default=LINES, help="distinct lines")
    parser.add_argument("--backends", nargs="+", default=list(PEAK_TARGETS_BYTES))
    parser.add_argument("--stdin", action="store_true", help="feed logs on standard input")
    source_arguments(parser)
    common_arguments(parser, rounds=1)
    options = parser.parse_args()
    for sizes in (options.sizes, options.lines):
        if any(before >= after for before, after in pairwise(sizes)):
            raise BenchError("sizes must grow")
    growing = "corpora" if options.from_corpora else "mixed"
    where = {"work": options.work, "seed": options.seed, "loghub": options.loghub}
    loads = {
        growing: [make(growing, bytes_limit=size, **where) for size in options.sizes],
        "random": [make("random", lines_limit=lines, **where) for lines in options.lines],
    }
    series: dict[str, dict[str, list[Point]]] = {}
    for backend in options.backends:
        series[backend] = {
            name: [scan(options, backend, load) for load in some]
            for name, some in loads.items()
            if some
        }
    show(series)
    verdicts = judge(series)
    for verdict in verdicts:
        mark = "met" if verdict["met"] else "MISSED"
        print(
            f"target: {verdict['backend']} {verdict['workload']} {verdict['what']} <= "
            f"{verdict['at_most_bytes'] / MIB:g} MiB: {verdict['bytes'] / MIB:.1f} {mark}"
        )
    result = {
        "input": "stdin" if options.stdin else "file",
        "sample_hz": SAMPLE_HZ,
        "targets": verdicts,
        "series": series,
    }
    written = write_result("memory", result, options.results)
    if not plot(series, written.with_suffix(".png")):
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main(_run)
