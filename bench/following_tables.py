"""The sections of docs/benchmarks.md on `logagent run`, from the results of its benchmarks."""

from __future__ import annotations

from statistics import median

from measure import MIB
from pages import Result, origin, table


def rotation(result: Result) -> str:
    """What each tool saw of a rotated log."""
    tools = list(result["scenarios"][0]["tools"])
    rows = [
        [f"{row['name']}: {row['about']}", *(_seen(row["tools"][tool]) for tool in tools)]
        for row in result["scenarios"]
    ]
    rows.append(["private MiB, median", *(_median_private(result, tool) for tool in tools)])
    return (
        "Lines seen of those written after the first fifty, and repeats of any. Every line is one "
        f"that the tool reports. aminer {result['aminer']}: as shipped, and with "
        "`PersistencePeriod: 2`; the private memory of its two processes is added up.\n\n"
        + table(("", *tools), rows)
    )


def _seen(one: Result) -> str:
    seen = f"{one['seen']} of {one['expected']}"
    parts = [seen if one["seen"] == one["expected"] else f"**{seen}**"]
    parts += [f"**{one['repeated']} repeated**"] if one["repeated"] else []
    return ", ".join(parts + [f"**{note}**" for note in one["notes"]])


def _median_private(result: Result, tool: str) -> str:
    found = [row["tools"][tool]["rss_anon_bytes"] for row in result["scenarios"]]
    known = [one for one in found if one]
    return f"{median(known) / MIB:.1f}" if known else ""


def soak(result: Result) -> str:
    """What was lost, invented and repeated under kills and rotations."""
    names = {
        "written": "lines written",
        "anomalous": "of them anomalous: to be reported",
        "seen": "reported",
        "lost": "lost",
        "invented": "invented",
        "repeated": "repeated after a kill, with the same id",
        "repeated_with_other_id": "repeated with another id",
        "repeated_without_kill": "repeated without a kill",
        "shared_ids": "ids that two lines share",
        "torn_records": "torn records",
        "false_alarms": "normal lines reported",
    }
    counts = dict(result)
    counts["repeated"] -= result["repeated_with_other_id"] + result["repeated_without_kill"]
    rows = [[shown, f"{counts[name]:,}"] for name, shown in names.items()]
    rows += [[f"stops: {name}", f"{count:,}"] for name, count in result["stops"].items()]
    rotations = [
        [kind, str(row["running"]), str(row["down"])] for kind, row in result["rotations"].items()
    ]
    options = result["options"]
    return (
        f"{options['files']} logs, one line in {options['every']:,} anomalous, and the first and "
        f"last of every file; {result['seconds']:,.0f} s. The position is saved every "
        f"{options['save_seconds']:g} s; the oldest line that a kill made be repeated was reported "
        f"{result['oldest_repeat_seconds']:.2f} s before it. Deleted and created again, a log had "
        f"its old inode {result['inodes_reused']} times.\n\n"
        + table(("", "number"), rows)
        + "\n"
        + table(("rotations", "agent running", "agent down"), rotations)
    )


def follow(result: Result) -> str:
    """The figures of following, part by part, each with its own origin."""
    shown = {
        "latency": ("Latency of an alert", _latency),
        "idle": ("Idle", _idle),
        "sustained": ("Sustained", _sustained),
        "memory": ("Memory of following", _following_memory),
        "files": ("Many files", _files),
    }
    parts = []
    for name, figures in result["parts"].items():
        title, section = shown[name]
        parts += [f"### {title}\n", origin(figures["origin"]), section(figures)]
    return "\n".join(parts)


def _latency(figures: Result) -> str:
    rows = [[mode, *_latency_cells(one)] for mode, one in figures["modes"].items()]
    return (
        f"From writing a line to its record on standard output, {figures['lines']} lines at random "
        "intervals.\n\n" + table(("woken by", "median ms", "p95 ms", "max ms"), rows)
    )


def _latency_cells(one: Result) -> list[str]:
    return [f"{one[name]:,.1f}" for name in ("median_ms", "p95_ms", "max_ms")]


_REST_HEADER = ("", "share of a core", "wake-ups a minute", "bytes written", "private MiB")


def _rest_cells(one: Result) -> list[str]:
    return [
        f"{one['cpu_share']:.3%}",
        f"{one['wakeups_per_minute']:.0f}",
        f"{one['written_bytes']:,}",
        f"{one['rss_anon_bytes'] / MIB:.1f}",
    ]


def _idle(figures: Result) -> str:
    rows = [[mode, *_rest_cells(one)] for mode, one in figures["modes"].items()]
    seconds = next(iter(figures["modes"].values()))["seconds"]
    return f"{figures['files']} files to which nothing is written, {seconds:.0f} s.\n\n" + table(
        _REST_HEADER, rows
    )


def _sustained(figures: Result) -> str:
    rows = [
        [
            "`logagent scan --quiet`" if way == "scan" else f"`logagent run`, {way}",
            f"{one['lines_per_second']:,.0f}",
            f"{one['bytes_per_second'] / 1e6:,.1f}",
            f"{one['ratio_to_scan']:.2f}",
            f"{one['ratio_to_scan_by_cpu']:.2f}",
        ]
        for way, one in figures["ways"].items()
    ]
    size = f"{figures['lines']:,} lines, {figures['bytes'] / 1e6:,.0f} MB"
    return (
        f"{figures['workload']} ({size}), on one core; from starting the command, where `cat` "
        "writes from starting that.\n\n"
        + table(("", "lines/s", "MB/s", "× scan", "× scan by processor time"), rows)
    )


def _following_memory(figures: Result) -> str:
    rows = [
        [
            backend,
            f"{one['start_rss_anon_bytes'] / MIB:.1f}",
            f"{one['final_rss_anon_bytes'] / MIB:.1f}",
            f"{one['growth_bytes'] / MIB:+.2f}",
            f"{one['peak_rss_anon_bytes'] / MIB:.1f}",
        ]
        for backend, one in figures["backends"].items()
    ]
    header = (
        "RssAnon in MiB",
        "at the start",
        "after them",
        "as many more, four times, at most",
        "peak",
    )
    return (
        f"{figures['lines']:,} lines, {figures['distinct']:,} of them distinct and without "
        "digits, so that none looks like another.\n\n" + table(header, rows)
    )


def _files(figures: Result) -> str:
    latency = ", ".join(
        f"{name} {cell} ms"
        for name, cell in zip(
            ("median", "p95", "max"), _latency_cells(figures["latency"]), strict=True
        )
    )
    return (
        f"{figures['files']:,} small files: started and all read in "
        f"{figures['start_seconds']:.1f} s ({figures['start_cpu_seconds']:.1f} s of processor "
        f"time). Latency: {latency}.\n\n"
        + table(_REST_HEADER, [["idle", *_rest_cells(figures["idle"])]])
    )
