"""Writes docs/benchmarks.md from bench/results/*.json: the same results give the same text.

    python bench/table.py            write it
    python bench/table.py --check    exit code 1 when it is not up to date, for CI

No figure is typed by hand: what the page says comes from a result file, and each table states
the command that made it, on which machine, when, and from which commit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from following_tables import follow, rotation, soak
from measure import MIB, RESULTS, ROOT, BenchError, main
from pages import Result, origin, table
from policy_tables import policy

PAGE = ROOT / "docs" / "benchmarks.md"
_INTRODUCTION = """\
# Benchmarks

Written by `python bench/table.py` from `bench/results/`; do not edit by hand. The result files
hold the raw samples as well. How to run the benchmarks yourself: [bench/README.md]\
(../bench/README.md).
"""
_TARGET_HEADER = ("logagent", "target", "by the wall clock", "by processor time", "met")
_TOOLS = {
    "wc": "`wc -l`",
    "grep": "`grep -ciE '…'`",
    "grep_c": "`LC_ALL=C grep -ciE '…'`",
    "logagent": "`logagent scan --quiet`",
    "drain3": "Drain3",
    "aminer": "aminer",
}


def speed(result: Result) -> str:
    """Tables of lines per second, one per workload, and the targets."""
    parts = [
        f"Medians of {result['rounds']} interleaved rounds, all on one core, warm page cache, "
        f"backend {result['backend']}; logagent from starting the command to its end. "
        f"{result['grep']}; Drain3 with {result['drain3_max_clusters']} clusters at most, start-up "
        f"left out; aminer {result['aminer']}.\n"
    ]
    for name, load in result["workloads"].items():
        size = f"{load['lines']:,} lines, {load['bytes'] / 1e6:,.0f} MB"
        parts.append(f"### {name} ({size})\n")
        rows = []
        for tool, figures in load["tools"].items():
            rows.append(_speed_row(_TOOLS[tool], figures, "", load["tools"]))
            if "inside_lines_per_second" in figures:
                rows.append(_speed_row("… within the process", figures, "inside_", load["tools"]))
        header = ("", "lines/s", "MB/s", "× grep", "× Drain3", "private MiB at the end")
        parts.append(table(header, rows))
    verdicts = [
        [
            f"{one['workload']}: × {_TOOLS[one['versus']]}",
            f"≥ {one['at_least']:g}",
            f"{one['ratio']:.2f}",
            f"{one['ratio_by_cpu']:.2f}",
            "yes" if one["met"] else "**no**",
        ]
        for one in result["targets"]
    ]
    if verdicts:
        parts += ["### Targets\n", table(_TARGET_HEADER, verdicts)]
    return "\n".join(parts)


def _speed_row(label: str, figures: Result, prefix: str, tools: Result) -> list[str]:
    lines = figures[f"{prefix}lines_per_second"]
    private = figures.get("rss_anon_bytes")
    ratios = [lines / tools[other]["lines_per_second"] for other in ("grep", "drain3")]
    return [
        label,
        f"{lines:,.0f}",
        f"{figures[f'{prefix}bytes_per_second'] / 1e6:,.1f}",
        *(f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.4f}" for ratio in ratios),
        "" if prefix or not private else f"{private / MIB:.1f}",
    ]


def memory(result: Result) -> str:
    """Tables of private memory over input size, and the targets."""
    rows = [
        [
            f"{backend}, {point['workload']}",
            f"{point['bytes'] / 1e6:,.1f}",
            f"{point['lines']:,}",
            f"{point['peak_rss_anon_bytes'] / MIB:.1f}",
            f"{point['final_rss_anon_bytes'] / MIB:.1f}",
            f"{point['peak_vm_rss_bytes'] / MIB:.1f}",
        ]
        for backend, workloads in result["series"].items()
        for points in workloads.values()
        for point in points
    ]
    header = ("", "MB", "lines", "peak RssAnon MiB", "final RssAnon MiB", "peak VmRSS MiB")
    verdicts = [
        [
            f"{one['backend']}, {one['workload']}: {one['what']}",
            f"≤ {one['at_most_bytes'] / MIB:g} MiB",
            f"{one['bytes'] / MIB:.1f} MiB",
            "yes" if one["met"] else "**no**",
        ]
        for one in result["targets"]
    ]
    picture = ""
    if (RESULTS / "memory.png").exists():
        picture = "\n![Peak private memory](../bench/results/memory.png)\n"
    return (
        f"RssAnon is private memory; VmRSS counts mapped files too. Input by {result['input']}; "
        "no two lines of `random` are equal.\n\n"
        + table(header, rows)
        + picture
        + "\n### Targets of memory\n\n"
        + table(("series", "target", "measured", "met"), verdicts)
    )


def startup(result: Result) -> str:
    """Time to the first result, and what is imported until then."""
    rows = [
        [
            name,
            str(len(one["samples"])),
            f"{one['median_seconds'] * 1000:.0f}",
            f"{one['p90_seconds'] * 1000:.0f}",
            f"{one['median_end_seconds'] * 1000:.0f}",
        ]
        for name, one in result["starts"].items()
    ]
    header = ("", "N", "first byte, median ms", "first byte, p90 ms", "end, median ms")
    text = (
        "From starting `logagent scan --format jsonl FILE` to the first byte of a result; "
        f"a file of {result['file_bytes'] / 1000:,.0f} kB.\n\n" + table(header, rows)
    )
    if "imports" in result:
        found = result["imports"]
        top = [[f"`{name}`", f"{us / 1000:.1f}"] for us, name in found["top_modules_us"]]
        text += (
            f"\n{found['modules']} modules are imported, {found['total_us'] / 1000:.0f} ms under "
            "`python -X importtime`; by themselves these cost most:\n\n"
            + table(("module", "ms"), top)
        )
    return text


def size(result: Result) -> str:
    """Weights of the wheel and of what it needs."""
    wheel = result["wheel"]
    rows = [
        ["wheel, packed", f"{wheel['bytes'] / 1e6:.2f}"],
        ["wheel, unpacked", f"{wheel['unpacked_bytes'] / 1e6:.2f}"],
    ]
    rows += [[f"of it `{name}`", f"{one / 1e6:.2f}"] for name, one in wheel["bundles"].items()]
    rows += [
        [f"installed, {name}", f"{one / 1e6:.1f}"]
        for name, one in result["installed_bytes"].items()
    ]
    packages = sorted(
        next(iter(result["closures"].values())).items(), key=lambda item: -item[1]["bytes"]
    )
    heaviest = [[f"{name} {one['version']}", f"{one['bytes'] / 1e6:.1f}"] for name, one in packages]
    return (
        "Installed sizes hold logagent and all that it needs at run time, without byte code.\n\n"
        + table(("", "MB"), rows)
        + "\nThe ten heaviest packages of an installation:\n\n"
        + table(("package", "MB"), heaviest[:10])
    )


def stages(result: Result) -> str:
    """Where the time of a scan goes."""
    rows = [
        [one["stage"], f"{one['calls']:,}", f"{one['seconds']:.3f}", f"{one['share']:.1%}"]
        for one in result["stages"]
    ]
    return (
        f"In the process, over {result['workload']} ({result['lines']:,} lines, "
        f"{result['bytes'] / 1e6:,.0f} MB), backend {result['backend']}; own time, that of the "
        "stages it calls left out.\n\n" + table(("stage", "calls", "s", "share"), rows)
    )


def incidents(result: Result) -> str:
    """One row per incident: how many of its parts were found on each background."""
    logs = list(dict.fromkeys(row["log"] for row in result["rows"]))
    names = list(dict.fromkeys(row["incident"] for row in result["rows"]))
    cell = {(row["log"], row["incident"]): row for row in result["rows"]}
    rows = [
        [name, *(f"{cell[log, name]['found']} of {cell[log, name]['parts']}" for log in logs)]
        for name in names
    ]
    share = f"{result['found']} of {result['parts']} parts"
    note = f"\n{share} are among the first {result['top']} groups of `logagent scan`.\n"
    return table(("incident", *logs), rows) + note


SECTIONS: tuple[tuple[str, str, Callable[[Result], str]], ...] = (
    ("speed", "Speed", speed),
    ("speed_numpy", "Speed with the numpy backend", speed),
    ("memory", "Memory", memory),
    ("startup", "Start-up", startup),
    ("size", "Size", size),
    ("stages", "Where the time goes", stages),
    ("incidents", "Incidents in healthy logs", incidents),
    ("rotation", "Following a rotated log", rotation),
    ("soak", "Nothing lost, nothing invented", soak),
    ("follow", "Following: cost and speed", follow),
    ("policy", "Few alerts", policy),
)


def page(results: Path) -> str:
    """The whole page; a benchmark without a result has no section."""
    parts = [_INTRODUCTION]
    for name, title, section in SECTIONS:
        file = results / f"{name}.json"
        if file.exists():
            result = json.loads(file.read_text(encoding="utf-8"))
            # Of a result in parts, each part has an origin of its own.
            source = [] if isinstance(result.get("parts"), dict) else [origin(result)]
            parts += [f"## {title}\n", *source, section(result)]
    if len(parts) == 1:
        raise BenchError("no results yet; run the benchmarks of bench/README.md first")
    return "\n".join(parts)


def _run() -> None:
    parser = argparse.ArgumentParser(description="Write docs/benchmarks.md from the results.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    text = page(options.results)
    if options.check:
        if not options.page.exists() or options.page.read_text(encoding="utf-8") != text:
            raise BenchError(f"{options.page.name} is not up to date; run python bench/table.py")
        return
    options.page.write_text(text, encoding="utf-8")
    print(f"wrote {options.page.name}")


if __name__ == "__main__":
    main(_run)
