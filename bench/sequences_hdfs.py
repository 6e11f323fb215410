"""Sessions of HDFS from raw lines to a verdict: train on a part, scan the rest with the agent.

    python bench/sequences_hdfs.py --data ../shared/data/sequences --work bench/work/hdfs

Makes of `hdfs_lines_2pct.tsv.gz` a log of the training sessions, a log of the others (lines of all
sessions interleaved, in their order in time), and labels of the sessions; then
`logagent-build sequences`, then `logagent scan --sequences` on the others, and compares what it
reports with their labels. Which sessions are trained on is drawn at random, by `--seed`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "agent" / "logagent" / "data" / "default.bundle"
KEY = r"(?P<session>blk_-?\d+)"


def make_logs(data: Path, work: Path, share: float, seed: int) -> dict[str, dict[str, int]]:
    """Write train.log, test.log and labels.tsv; return the labels of the test's sessions."""
    rows = []
    labels: dict[str, int] = {}
    with gzip.open(data / "hdfs_lines_2pct.tsv.gz", "rt", encoding="utf-8", errors="replace") as f:
        for number, row in enumerate(f):
            label, block, stamp, level, component, message = row.rstrip("\n").split("\t", 5)
            labels[block] = int(label)
            rows.append((stamp, number, block, f"{stamp} {level} {component} {message}\n"))
    rows.sort()
    blocks = sorted(labels)
    random.Random(seed).shuffle(blocks)
    trained = set(blocks[: int(share * len(blocks))])
    with open(work / "train.log", "w") as train, open(work / "test.log", "w") as test:
        for _, _, block, line in rows:
            (train if block in trained else test).write(line)
    with open(work / "labels.tsv", "w") as file:
        file.writelines(f"{block}\t{labels[block]}\n" for block in sorted(trained))
    return {
        "train": {block: labels[block] for block in trained},
        "test": {block: label for block, label in labels.items() if block not in trained},
    }


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a command of ours with this Python."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sequences")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "work" / "hdfs")
    parser.add_argument("--share", type=float, default=0.5, help="of the sessions for training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--order", default="auto", help="as of `logagent-build sequences`")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    split = make_logs(options.data, options.work, options.share, options.seed)

    bundle = options.work / "hdfs.bundle"
    started = time.perf_counter()
    run(
        "logagent_build",
        *("sequences", options.work / "train.log", "--session-key", KEY),
        *("--labels", options.work / "labels.tsv", "-o", bundle, "--base", BASE),
        *("--order", options.order),
    )
    trained = time.perf_counter() - started
    scanned = run(
        "logagent",
        *("scan", options.work / "test.log", "--sequences", "--bundle", bundle),
        *("--max-sessions", 20_000, "--format", "jsonl", "--stats", "json"),
    )
    records = [json.loads(line) for line in scanned.stdout.splitlines()]
    stats = json.loads(scanned.stderr.splitlines()[-1])
    found = {record["session"] for record in records if record.get("kind") == "sequence"}
    bad = {block for block, label in split["test"].items() if label}
    hits = len(found & bad)
    precision = hits / len(found) if found else 0.0
    recall = hits / len(bad)
    figures = {
        "what": "sessions of HDFS from raw lines, logagent scan --sequences",
        "share_trained": options.share,
        "seed": options.seed,
        "order": options.order,
        "train_sessions": len(split["train"]),
        "train_anomalous": sum(split["train"].values()),
        "test_sessions": len(split["test"]),
        "test_anomalous": len(bad),
        "reported": len(found),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * hits / (len(found) + len(bad)), 4) if found else 0.0,
        "train_seconds": round(trained, 1),
        "scan_seconds": stats["seconds"],
        "lines_per_second": stats["lines_per_second"],
        "part_bytes": None,
        "sequences": stats["sequences"],
    }
    from logagent.bundle import Bundle
    from logagent.sequences.part import SequenceModel

    loaded = Bundle.load(bundle)
    figures["part_bytes"] = loaded.sizes()["sequences"]
    figures["order_why"] = SequenceModel.of(loaded).record.get("order_why")
    figures["by_order_alone"] = sum(
        record["carried"][:1] != [] and record["carried"][0]["what"] == "out of order"
        for record in records
        if record.get("kind") == "sequence"
    )
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
