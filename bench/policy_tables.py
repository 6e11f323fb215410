"""The section of docs/benchmarks.md on the alert policy, from the results of `policy.py`."""

from __future__ import annotations

from collections.abc import Callable

from pages import Result, origin, table


def policy(result: Result) -> str:
    """The figures of the alert policy, part by part, each with its own origin."""
    parts = []
    for name, figures in result["parts"].items():
        title, section = _SHOWN[name]
        parts += [f"### {title}\n", origin(figures["origin"]), section(figures)]
    return "\n".join(parts)


def _healthy(figures: Result) -> str:
    rows = [
        [
            row["log"],
            f"{row['lines']:,}",
            str(row["anomalous"]),
            str(row["alerts"]),
            str(row["undeserved"]),
        ]
        for row in figures["rows"]
    ]
    header = ("log, as one day", "lines", "anomalous", "alerts", "of these undeserved")
    note = "\nWhat an alert is deserved by is listed in `bench/failures.toml`, with reasons.\n"
    return table(header, rows) + note


def _planted(figures: Result) -> str:
    cases, seen = figures["cases"], figures["in_time"]
    rows = [
        [f"{figures['kinds']} failures, each in every log: cases", f"{cases:,}"],
        ["alerted within five lines of their onset", f"{seen:,} ({seen / cases:.1%})"],
        [
            "of these with just one alert",
            f"{figures['one_alert']} ({figures['one_alert'] / seen:.1%})",
        ],
        ["most alerts of one failure", str(figures["most_alerts"])],
        ["seconds from the line to the alert, median", f"{figures['delay_seconds']['median']:.1f}"],
        [
            "harmless look-alikes alerted",
            f"{figures['harmless_alerted']} of {figures['harmless_cases']}",
        ],
    ]
    return table(("", ""), rows)


def _week(figures: Result) -> str:
    rows = [
        [
            "failures that come every hour for a week",
            f"{figures['alerted']} alerted of {figures['failures']}",
        ],
        ["alerts in the week, median", f"{figures['alerts_median']:g}"],
        ["most alerts on the first day", str(figures["most_a_day"])],
        ["with more than one on a later day", str(figures["over_one_after_the_first_day"])],
        ["days without alert or digest", str(figures["silent_days"])],
        ["in `logagent status` at the end", str(figures["in_status"])],
    ]
    return table(("", ""), rows)


def _storm(figures: Result) -> str:
    rows = [
        [
            row["lines"],
            f"{row['seconds']:g}",
            str(row["alerts"]),
            ", ".join(map(str, row["counts"])),
            ", ".join(map(str, row["status"])),
        ]
        for row in figures["rows"]
    ]
    header = (
        f"{figures['line_count']} lines",
        "within s",
        "alerts",
        "their count",
        "in the status",
    )
    return table(header, rows)


def _cost(figures: Result) -> str:
    rows = [
        [
            name,
            f"{mix['lines_per_second']['judge']:,}",
            f"{mix['over_judge']:+.1%}",
            f"{mix['over_scan']:+.1%}",
        ]
        for name, mix in figures["mixes"].items()
    ]
    header = (
        "blocks of",
        "judge alone, lines/s",
        "policy over that",
        "over judge and scan's groups",
    )
    return table(header, rows)


_SHOWN: dict[str, tuple[str, Callable[[Result], str]]] = {
    "healthy": ("Healthy logs", _healthy),
    "planted": ("Failures planted in them", _planted),
    "week": ("A failure that nobody repairs", _week),
    "storm": ("A storm of equal lines", _storm),
    "cost": ("What the policy costs", _cost),
}
