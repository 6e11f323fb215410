"""Sessions of HDFS without labels: a language model's votes on a few of them, in a simulation.

    python bench/sequences_voted.py --data ../shared/data/sequences --work bench/work/voted

Makes the logs of `bench/sequences_hdfs.py`, then `logagent-build sessions`, `vote` (a simulated
annotator of stated errors, no model is asked), `sequences --votes`, and `logagent scan --sequences`
on the other sessions. Votes are on sessions drawn at random (`--most`), and beside on as many that
look most anomalous so far (`--in-rounds`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from sequences_hdfs import BASE, KEY, ROOT, make_logs, run

ERRORS = {
    "none": "normal=0,anomalous=0",
    "5 and 20 %": "normal=0.05,anomalous=0.2,alike=0.5",
    "10 and 30 %": "normal=0.1,anomalous=0.3,alike=0.5",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sequences")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "work" / "voted")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sizes", type=int, nargs="+", default=[300])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        split = make_logs(options.data, options.work, 0.5, seed)
        for name, errors in ERRORS.items():
            for size in options.sizes:
                for how in ("chosen", "drawn"):
                    row = one(options.work, split["test"], seed, errors, size, how)
                    row = {"seed": seed, "errors": name, "asked": size, "how": how} | row
                    rows.append(row)
                    print(json.dumps(row), flush=True)
    if options.json:
        facts = {"what": "F1 of sessions of HDFS; votes are SIMULATED, no model was asked"}
        options.json.write_text(json.dumps(facts | {"rows": rows}, indent=1) + "\n")


def one(
    work: Path, truth: dict[str, int], seed: int, errors: str, size: int, how: str
) -> dict[str, Any]:
    sessions, votes, bundle = work / "sessions.jsonl", work / "votes.jsonl", work / "x.bundle"
    key = ("--session-key", KEY)
    run(
        "logagent_build",
        *("sessions", work / "train.log", *key, "-o", sessions),
        *("--labels", work / "labels.tsv"),
    )
    lines = [each for each in sessions.read_text().splitlines() if '"torn"' not in each]
    sessions.write_text("\n".join(lines) + "\n")
    few = ("--most", size, *(["--in-rounds"] if how == "chosen" else []))
    run(
        "logagent_build",
        *("vote", sessions, "--annotator", f"simulated:{errors},seed={seed}", "--seed", seed),
        *(*few, "--meanings", "none", "-o", votes),
    )
    record = json.loads(votes.with_name(votes.name + ".json").read_text())
    anomalous = record["votes"].get("anomalous", 0)
    if not 0 < anomalous < sum(record["votes"].values()):
        return {"voted anomalous": anomalous, "f1": None}
    run(
        "logagent_build",
        *("sequences", work / "train.log", *key, "--votes", votes, "-o", bundle, "--base", BASE),
    )
    scanned = run(
        "logagent",
        *("scan", work / "test.log", "--sequences", "--bundle", bundle),
        *("--max-sessions", 20_000, "--format", "jsonl"),
    )
    records = [json.loads(line) for line in scanned.stdout.splitlines()]
    found = {each["session"] for each in records if each.get("kind") == "sequence"}
    bad = {block for block, label in truth.items() if label}
    hits = len(found & bad)
    return {
        "distinct sessions": len(lines),
        "voted anomalous": anomalous,
        "precision": round(hits / len(found), 4) if found else 0.0,
        "recall": round(hits / len(bad), 4),
        "f1": round(2 * hits / (len(found) + len(bad)), 4),
    }


if __name__ == "__main__":
    main()
