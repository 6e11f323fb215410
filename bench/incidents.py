"""Are the parts of an incident among the first groups of a report?

    python bench/incidents.py [--top 12]

Each incident of `incidents.txt` is written by hand; none of its lines is in the training corpora.
Its parts are spread over the 2,000 lines of a healthy loghub sample (or of `--background FILE`),
and `logagent scan`'s own code ranks the groups. A part counts as found when one of its lines is the
first line of a group among the first `--top`, or stands in such a group's trace.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.scan import Scan
from logagent.scorer import Scorer
from measure import machine_facts, main, print_table, public_command, write_result
from workloads import find_loghub, source_arguments

BACKGROUNDS = ("HDFS", "HealthApp", "Spark")  # of loghub: those with hardly an anomaly
INCIDENTS = Path(__file__).with_suffix(".txt")


def read_incidents(path: Path = INCIDENTS) -> dict[str, list[list[str]]]:
    """Return the parts of every incident, each a list of lines."""
    incidents: dict[str, list[list[str]]] = {}
    parts: list[list[str]] = []
    fresh = True
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("== "):
            parts = incidents.setdefault(line[3:], [])
            fresh = True
        elif not line:
            fresh = True
        elif not line.startswith("# "):
            if fresh:
                parts.append([])
                fresh = False
            parts[-1].append(line.replace("{h}", "srv1"))
    return incidents


def report(scorer: Scorer, lines: list[str], top: int, threshold: float) -> tuple[set[str], int]:
    """Return the lines of the first `top` groups and their traces, and the number of groups."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "incident.log"
        log.write_text("\n".join(lines) + "\n", encoding="utf-8")
        scan = Scan(scorer, threshold=threshold)
        for _ in scan.steps([str(log)]):
            pass
    shown: set[str] = set()
    ranked = scan.groups.ranked()
    for group in ranked[:top]:
        at = group.first.line - 1
        shown.update(lines[at : at + 1 + group.trace.lines])
    return shown, len(ranked)


def spread(background: list[str], parts: list[list[str]]) -> list[str]:
    """Put the parts into the background at equal distances."""
    step = len(background) // (len(parts) + 1)
    out: list[str] = []
    for number, part in enumerate(parts):
        out += background[number * step : (number + 1) * step] + part
    return out + background[len(parts) * step :]


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--top", type=int, default=12, help="groups that are looked at")
    parser.add_argument("--background", type=Path, help="a healthy log instead of the samples")
    parser.add_argument("--sensitivity", choices=("low", "normal", "high"), default="normal")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--results", type=Path, help="write the result elsewhere")
    source_arguments(parser)
    options = parser.parse_args()
    if options.background:
        logs = [options.background]
    else:
        loghub = find_loghub(options.loghub)
        logs = [loghub / name / f"{name}_2k.log" for name in BACKGROUNDS]
    scorer = Scorer(Bundle.load(options.bundle))
    threshold = scorer.bundle.manifest.thresholds[options.sensitivity]
    rows: list[dict[str, Any]] = []
    for log in logs:
        background = log.read_text("utf-8", "replace").splitlines()
        for name, parts in read_incidents().items():
            shown, groups = report(scorer, spread(background, parts), options.top, threshold)
            missed = [part[0] for part in parts if not any(line in shown for line in part)]
            found = len(parts) - len(missed)
            rows.append(
                {"log": log.stem, "incident": name, "found": found, "parts": len(parts)}
                | {"groups": groups, "missed": missed}
            )
    header = ("background", "incident", "parts found", "groups", "first missed")
    print_table(header, [_cells(row) for row in rows])
    found, parts_ = (sum(row[key] for row in rows) for key in ("found", "parts"))
    print(f"{found} of {parts_} parts among the first {options.top} groups")
    facts = {"command": public_command(), "machine": machine_facts(), "top": options.top}
    facts["sensitivity"] = options.sensitivity
    facts |= {"found": found, "parts": parts_, "rows": rows}
    write_result("incidents", facts, options.results)


def _cells(row: dict[str, Any]) -> list[str]:
    missed = row["missed"][0][:60] if row["missed"] else ""
    parts = f"{row['found']} of {row['parts']}"
    return [row["log"], row["incident"], parts, str(row["groups"]), missed]


if __name__ == "__main__":
    main(run)
