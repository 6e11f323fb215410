"""How many alerts, and are they the right ones? The alert policy as it is by default.

    python bench/policy.py healthy|planted|week|storm|cost|all [--out FILE]

| part    | answers                                                                        |
|---------|--------------------------------------------------------------------------------|
| healthy | alerts of a day per healthy log, before and after those that are right         |
| planted | which failures are alerted within five lines of their onset, in how many alerts |
| week    | a failure that comes every hour for a week: alerts a day, digests, status      |
| storm   | 700 equal anomalous lines: how many alerts, with which count                   |
| cost    | processor time of the policy beside that of the judge, same blocks             |

Healthy logs, failures and how they are brought together: `planting`. One part leaves the others in
the result file as they are.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.policy.telling import Teller
from logagent.replay import Told
from logagent.scorer import Scorer
from measure import (
    RESULTS,
    ROOT,
    BenchError,
    machine_facts,
    main,
    print_table,
    public_command,
    write_result,
)
from planting import FAILURES, START, Healthy, Planted, day, healthy_logs, read_kinds
from policy_cost import cost
from policy_planted import planted, week
from replaying import Agent, Figures, Setting
from workloads import find_loghub, source_arguments

MOST_ALERTS, MOST_UNDESERVED = 20, 5  # a day, of a healthy log
STORM_LINES = 700
STORM_SECONDS = (0.0, 1.0, 5.0, 60.0, 3600.0)  # that the storm lasts


def healthy(setting: Setting) -> Figures:
    """Alerts of every healthy log as one day."""
    deserved = tomllib.loads(FAILURES.read_text("utf-8"))["deserved"]
    teller = Teller(setting.scorer, "edge-7")
    rows: list[Figures] = []
    for log in setting.logs:
        found = setting.agent.replay(day(log), teller)
        alerts = [_alert(log, told, deserved) for told in found.alerts()]
        wrong = sum(not alert["deserved"] for alert in alerts)
        rows.append(
            {"log": log.name, "lines": len(log.lines), "anomalous": found.anomalous}
            | {"alerts": len(alerts), "undeserved": wrong}
            | {"kinds": dict(Counter(told.kind for told in found.told)), "told": alerts}
        )
    header = ("log", "lines", "anomalous", "alerts", "undeserved")
    print_table(header, [[str(row[name]) for name in header] for row in rows])
    for row in rows:
        for alert in row["told"]:
            mark = f"right ({alert['deserved']})" if alert["deserved"] else "UNDESERVED"
            print(f"  {row['log']} {alert['hour']:5.2f} h {mark}: {alert['text'][:200]}")
    met = all(row["alerts"] <= MOST_ALERTS and row["undeserved"] <= MOST_UNDESERVED for row in rows)
    return {"met": met, "most": [MOST_ALERTS, MOST_UNDESERVED], "rows": rows}


def _alert(log: Healthy, told: Told, deserved: list[dict[str, str]]) -> Figures:
    """One alert, and why it is right; empty if it is not."""
    record = json.loads(told.alert.record)
    texts = [record.get("text", "")] + [each["text"] for each in record.get("related", ())]
    why = next(
        (
            entry["why"]
            for entry in deserved
            if entry["log"] == log.name and any(entry["text"] in text for text in texts)
        ),
        "",
    )
    hour = round((told.at - START) / 3600, 2)
    return {"hour": hour, "kind": told.kind, "deserved": why, "text": told.alert.text}


def storm(setting: Setting) -> Figures:
    """The same anomalous line again and again, fast and slowly, in a log that is well."""
    log = next(one for one in setting.logs if one.name == "k8s_node/kafka")
    rows: list[Figures] = []
    for lasts in STORM_SECONDS:
        for what, number in (("equal", False), ("equal but for a number", True)):
            found = setting.agent.replay(
                _storm(log, lasts, numbered=number), Teller(setting.scorer, "edge-7")
            )
            records = [json.loads(told.alert.record) for told in found.alerts()]
            rows.append(
                {"lines": what, "seconds": lasts, "alerts": len(records)}
                | {"counts": [record.get("count") for record in records]}
                | {"status": [group.count for group in found.policy]}
                | {"digests": sum(told.kind == "digest" for told in found.told)}
            )
    header = ("lines", "seconds", "alerts", "counts", "status", "digests")
    print_table(header, [[str(row[name]) for name in header] for row in rows])
    met = all(row["alerts"] == 1 and row["status"] == [STORM_LINES] for row in rows)
    at_once = [row for row in rows if row["seconds"] <= 1]
    met = met and all(row["counts"] == [STORM_LINES] for row in at_once)
    return {"met": met, "line_count": STORM_LINES, "rows": rows}


def _storm(log: Healthy, lasts: float, *, numbered: bool) -> list[Planted]:
    text = "May  7 12:00:00 edge-7 kernel: blk_update_request: I/O error, dev sda, sector {}"
    rows = [
        Planted(
            START + 43_200 + lasts * at / STORM_LINES,
            log.name,
            text.format(171008936 + 8 * at * numbered).encode(),
            0,
        )
        for at in range(STORM_LINES)
    ]
    return sorted([*day(log), *rows], key=lambda row: row.seconds)


PARTS: dict[str, Callable[[Setting], Figures]] = {
    "healthy": healthy,
    "planted": planted,
    "week": week,
    "storm": storm,
    "cost": cost,
}


def run() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=(*PARTS, "all"))
    parser.add_argument("--out", type=Path, default=RESULTS / "policy.json", help="result file")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--edge", type=Path, default=ROOT.parent / "shared" / "data" / "edge")
    parser.add_argument("--rounds", type=int, default=7, help="of cost")
    source_arguments(parser)
    options = parser.parse_args()
    if not options.edge.is_dir():
        raise BenchError("name the folder of the healthy boards' logs by --edge DIR")
    scorer = Scorer(Bundle.load(options.bundle))
    failures, harmless = read_kinds()
    setting = Setting(
        Agent(scorer, scorer.bundle.manifest.thresholds["normal"]),
        scorer,
        healthy_logs(options.edge, find_loghub(options.loghub)),
        failures,
        harmless,
        options.rounds,
        options.seed,
    )
    parts = PARTS if options.part == "all" else {options.part: PARTS[options.part]}
    out: Path = options.out
    found = json.loads(out.read_text("utf-8"))["parts"] if out.exists() else {}
    for name, part in parts.items():
        print(f"== {name}")
        figures = part(setting)
        origin = {"command": public_command(), "machine": machine_facts()}
        found[name] = {"origin": origin} | figures
        ordered = {each: found[each] for each in PARTS if each in found}
        write_result(out.stem, {"parts": ordered}, None if out.parent == RESULTS else out.parent)


if __name__ == "__main__":
    main(run)
