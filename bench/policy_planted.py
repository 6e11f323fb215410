"""Failures planted into healthy logs, once or every hour for a week: what is told of them?

Two parts of `policy.py`. Leaves to others: how lines are planted (`planting`) and replayed.
"""

from __future__ import annotations

from collections import Counter

from measure import median, percentile, print_table
from planting import DAY_SECONDS, START, Healthy, Kind, days, one_start, plant, planted_day
from replaying import ALERTS, Figures, Setting

WITHIN_LINES = 5  # of the onset, itself the first
LEAST_SHARE = 0.9  # of the failures to be alerted in time
WEEK_DAYS = 7
WEEK_SECONDS = 3600.0  # between two occurrences of a failure that nobody repairs
WEEK_LOGS = ("k8s_node/kafka", "rpi3/dmesg", "thunderbird")


def planted(setting: Setting) -> Figures:
    """Every failure, and every harmless look-alike, planted once into every healthy log."""
    kinds = [*setting.failures, *setting.harmless]
    rows: list[Figures] = []
    for kind in kinds:
        outcomes = [_outcome(setting, log, kind) for log in setting.logs]
        rows.append({"kind": kind.name, "harmless": kind.harmless, "outcomes": outcomes})
    failures = [row for row in rows if not row["harmless"]]
    cases = [one for row in failures for one in row["outcomes"]]
    seen = [one for one in cases if one["in_time"]]
    false = [one for row in rows if row["harmless"] for one in row["outcomes"] if one["alerts"]]
    figures = {
        "cases": len(cases),
        "in_time": len(seen),
        "share": round(len(seen) / len(cases), 4),
        "kinds": len(failures),
        "kinds_in_time_everywhere": sum(
            all(one["in_time"] for one in row["outcomes"]) for row in failures
        ),
        "one_alert": sum(one["alerts"] == 1 for one in cases),
        "more_alerts": sum(one["alerts"] > 1 for one in cases),
        "most_alerts": max(one["alerts"] for one in cases),
        "delay_seconds": {
            "median": median(one["delay"] for one in seen),
            "p90": percentile([one["delay"] for one in seen], 0.9),
            "most": max(one["delay"] for one in seen),
        },
        "harmless_cases": sum(len(row["outcomes"]) for row in rows if row["harmless"]),
        "harmless_alerted": len(false),
    }
    print_table(("kind", "in time", "alerts", "missed in"), [_planted_cells(row) for row in rows])
    for name, value in figures.items():
        print(f"{name}: {value}")
    figures["met"] = figures["share"] >= LEAST_SHARE and not false
    return figures | {"rows": rows}


def _outcome(setting: Setting, log: Healthy, kind: Kind) -> Figures:
    """What became of one kind in one log.

    It is alerted in time if an alert tells a group that began with one of its lines, in the first
    `WITHIN_LINES` from its onset (or before it). Alerts about lines that it shares an alert with
    count as its own; being counted in a group of the healthy log is not being alerted.
    """
    start = one_start(log, kind, setting.seed)
    found = setting.agent.replay(planted_day(log, kind, setting.seed))
    first: dict[bytes, int] = {}
    for index, keys in sorted(found.keys.items()):
        for key in keys:
            first.setdefault(found.lead(key), index)
    about = [told for told in found.alerts() if told.at >= start and first.keys() & set(told.keys)]
    lines = [min(first[key] for key in told.keys if key in first) for told in about]
    line = min(lines, default=None)
    in_time = line is not None and line < kind.onset + WITHIN_LINES
    delay = 0.0
    if line is not None:
        told = about[lines.index(line)]
        delay = max(told.at - start - kind.lines[max(line, kind.onset)][0], 0.0)
    return {
        "log": log.name,
        "in_time": in_time,
        "line": None if line is None else line - kind.onset,
        "alerts": len(about),
        "delay": round(delay, 1),
        "anomalous": len(found.keys),
    }


def _planted_cells(row: Figures) -> list[str]:
    outcomes = row["outcomes"]
    hits = sum(one["in_time"] for one in outcomes)
    alerts = Counter(one["alerts"] for one in outcomes)
    shown = " ".join(f"{count}×{times}" for count, times in sorted(alerts.items()))
    missed = [one["log"].split("/")[-1] for one in outcomes if not one["in_time"]]
    name = ("harmless: " if row["harmless"] else "") + row["kind"]
    rest = "" if row["harmless"] or len(missed) == len(outcomes) else " ".join(missed)
    return [name, f"{hits}/{len(outcomes)}", shown, rest]


def week(setting: Setting) -> Figures:
    """Each failure every hour for a week, in some of the logs."""
    logs = [log for log in setting.logs if log.name in WEEK_LOGS]
    rows = [_week_of(setting, log, kind) for log in logs for kind in setting.failures]
    seen = [row for row in rows if row["alerts"]]
    figures: Figures = {
        "failures": len(rows),
        "alerted": len(seen),
        "most_a_day": max(max(row["alerts"]) for row in seen),
        "over_one_a_day": sum(max(row["alerts"]) > 1 for row in seen),
        "over_one_after_the_first_day": sum(max(row["alerts"][1:]) > 1 for row in seen),
        "silent_days": sum(row["silent_days"] for row in seen),
        "in_status": sum(row["in_status"] for row in seen),
        "alerts_median": median(sum(row["alerts"]) for row in seen),
    }
    for name, value in figures.items():
        print(f"{name}: {value}")
    for row in seen:
        if max(row["alerts"]) > 1 or row["silent_days"] or not row["in_status"]:
            print("  ", row)
    figures["met"] = (
        figures["most_a_day"] <= 1
        and not figures["silent_days"]
        and figures["in_status"] == len(seen)
    )
    return figures | {"rows": rows}


def _week_of(setting: Setting, log: Healthy, kind: Kind) -> Figures:
    end = WEEK_DAYS * DAY_SECONDS
    step = max(WEEK_SECONDS, kind.lines[-1][0] + 60)
    starts = [START + step * (at + 0.5) for at in range(int(end / step))]
    # The log goes on for a day, in which the digest of the last day comes.
    lines = plant(days(log, WEEK_DAYS + 1), kind, log.style, starts, log.name)
    found = setting.agent.replay(lines)
    keys = {found.lead(key) for each in found.keys.values() for key in each}
    about = [told for told in found.told if keys & set(told.keys)]
    per_day = [0] * (WEEK_DAYS + 1)
    told_of = [False] * (WEEK_DAYS + 1)  # whether an alert or a digest named it that day
    for told in about:
        at = min(int((told.at - START) / DAY_SECONDS), WEEK_DAYS)
        per_day[at] += told.kind in ALERTS
        # A digest at midnight tells of the day before.
        told_of[at - 1 if told.kind == "digest" and at else at] = True
    status = {group.key: group.count for group in found.policy}
    lines_a_time = sum(bool(each) for each in found.keys.values())
    return {
        "log": log.name,
        "kind": kind.name,
        "alerts": per_day[:WEEK_DAYS] if lines_a_time else [],
        "silent_days": told_of[:WEEK_DAYS].count(False) if lines_a_time else WEEK_DAYS,
        "in_status": bool(keys & status.keys()),
    }
