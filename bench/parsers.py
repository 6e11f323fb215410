"""How the agent groups lines into events, and how Drain3 does, beside the EventIds of loghub.

    python bench/parsers.py --loghub ../shared/data/loghub

Both get the message of each line (the column Content), 2,000 lines a system. The agent's events
depend on the line alone; Drain3 (central, no masking, its defaults) sees all lines of the system in
order and is asked for each line's final cluster. Told: grouping accuracy (share of lines whose
group has exactly the lines that their EventId has), adjusted Rand index, and numbers of groups.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

from drain3 import TemplateMiner  # type: ignore[import-untyped]  # ships no types
from drain3.template_miner_config import (  # type: ignore[import-untyped]  # likewise
    TemplateMinerConfig,
)
from drain3_run import configured
from logagent.normalise import templates
from logagent.sequences.vocabulary import event_keys
from sklearn.metrics import adjusted_rand_score

ROOT = Path(__file__).resolve().parents[1]


def accuracy(found: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """Return the grouping accuracy, in [0, 1]."""
    groups: dict[Hashable, set[int]] = defaultdict(set)
    truth: dict[Hashable, set[int]] = defaultdict(set)
    for at, (one, other) in enumerate(zip(found, true, strict=True)):
        groups[one].add(at)
        truth[other].add(at)
    right = sum(len(lines) for lines in groups.values() if lines in truth.values())
    return right / len(true)


def drain(lines: Sequence[str], *, masked: bool) -> list[int]:
    """Return the cluster that each line was put into; `masked`: as in bench/drain3_run.py."""
    if masked:
        config = configured(None)
    else:
        config = TemplateMinerConfig()
        config.profiling_enabled = False
    miner = TemplateMiner(config=config)
    return [int(miner.add_log_message(line)["cluster_id"]) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loghub", type=Path, default=ROOT.parent / "shared" / "data" / "loghub")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    rows = []
    for path in sorted(options.loghub.glob("*/*structured.csv")):
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            read = list(csv.DictReader(file))
        texts = [row["Content"] for row in read]
        true = [row["EventId"] for row in read]
        raw = [text.encode() for text in texts]
        seconds, found = {}, {}
        for name, groups in (
            ("agent", lambda raw=raw: event_keys(raw)[0]),
            ("agent_templates", lambda raw=raw: templates(raw).templates),
            ("drain3", lambda texts=texts: drain(texts, masked=False)),
            ("drain3_masked", lambda texts=texts: drain(texts, masked=True)),
        ):
            started = time.process_time()
            groups_of_lines = groups()
            seconds[name] = time.process_time() - started
            numbers = {group: at for at, group in enumerate(dict.fromkeys(groups_of_lines))}
            found[name] = [numbers[group] for group in groups_of_lines]
        row = {"system": path.parent.name, "lines": len(true), "event_ids": len(set(true))}
        for name, groups in found.items():
            row[name] = {
                "groups": len(set(groups)),
                "grouping_accuracy": round(accuracy(groups, true), 3),
                "adjusted_rand": round(float(adjusted_rand_score(true, groups)), 3),
                "cpu_ms": round(1000 * seconds[name], 1),
            }
        row["agent_with_drain3"] = round(
            float(adjusted_rand_score(found["drain3_masked"], found["agent"])), 3
        )
        rows.append(row)
        print(json.dumps(row))
    names = ("agent", "agent_templates", "drain3", "drain3_masked")
    if not rows:
        parser.error(f"{options.loghub}: no */*structured.csv")
    mean = {
        name: {
            what: round(sum(row[name][what] for row in rows) / len(rows), 3)
            for what in ("grouping_accuracy", "adjusted_rand", "cpu_ms")
        }
        for name in names
    }
    figures = {"what": "events of the agent, templates of Drain3, EventIds of loghub",
               "systems": rows, "mean": mean}  # fmt: skip
    print(json.dumps(mean, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
