"""Sessions of HDFS from raw lines to a verdict: train on a part, scan the rest with the agent.

    python bench/sequences_hdfs.py --data ../shared/data/sequences --work bench/work/hdfs

Makes of `hdfs_lines_2pct.tsv.gz` a log of the training sessions, a log of the others (lines of all
sessions interleaved, in their order in time), and labels of the sessions; then
`logagent-build sequences`, then `logagent scan --sequences` on the others, and compares what it
reports with their labels. Which sessions are trained on is drawn at random, by `--seed`.

`--rare SHARE` trains without labels. `--halves SEED…` cuts the test log in two and scans each half,
as a log that stops in the middle and one that is begun there, with the bundle and with one from
which the silences of sessions were taken out: what the agent did before it knew of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

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


def scan(log: Path, bundle: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Scan a log; return the records of anomalous sequences, and the counters."""
    done = run(
        "logagent",
        *("scan", log, "--sequences", "--bundle", bundle),
        *("--max-sessions", 20_000, "--format", "jsonl", "--stats", "json"),
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    found = [record for record in records if record.get("kind") == "sequence"]
    return found, json.loads(done.stderr.splitlines()[-1])


def without_silences(bundle: Path, out: Path) -> Path:
    """Write a bundle whose part for sequences is one of before silences were stored."""
    import msgpack
    from logagent.bundle import Bundle
    from logagent_build.sequences.building import add_part

    loaded = Bundle.load(bundle)
    part = msgpack.unpackb(loaded.part("sequences"), max_array_len=1 << 20)
    del part["silences"]
    add_part(loaded, msgpack.packb(part), out)
    return out


def troubled(
    records: list[dict[str, Any]], bad: set[str], first: Counter[str], second: Counter[str]
) -> list[set[str]]:
    """Return the anomalous sessions whose trouble lies in the first half, and in the second.

    These are those that lie there as a whole, and those of which the scan of the whole log said
    that the event that carried most of the verdict lies there. What is missing lies nowhere.

    Args:
        records: of the scan of the whole log.
        bad: sessions that the labels call anomalous.
        first: how many of its lines each session has in the first half.
        second: likewise in the second.
    """
    found = {record["session"]: record for record in records}
    halves: list[set[str]] = [set(), set()]
    for session in bad:
        if not first[session] or not second[session]:
            halves[not first[session]].add(session)
        elif carried := found.get(session, {}).get("carried"):
            for at in carried[0].get("positions", []):
                halves[at >= first[session]].add(session)
    return halves


def halves(work: Path, bundle: Path, labels: dict[str, int]) -> dict[str, Any]:
    """Scan the test log and each of its halves, with silences and without."""
    lines = (work / "test.log").read_bytes().splitlines(keepends=True)
    key = re.compile(KEY.encode())
    middle = len(lines) // 2
    parts = {"whole": lines, "first half": lines[:middle], "second half": lines[middle:]}
    held: dict[str, Counter[str]] = {}
    for name, part in parts.items():
        found = (key.search(line) for line in part)
        held[name] = Counter(each["session"].decode() for each in found if each)
        (work / f"{name.replace(' ', '_')}.log").write_bytes(b"".join(part))
    before = without_silences(bundle, work / "before.bundle")
    bad = {block for block, label in labels.items() if label}
    whole, _ = scan(work / "whole.log", before)
    split = troubled(whole, bad, held["first half"], held["second half"])
    trouble = dict(zip(("first half", "second half"), split, strict=True))
    figures: dict[str, Any] = {}
    for name, sessions in held.items():
        here = bad & set(sessions)
        read = trouble.get(name, here)
        figures[name] = {
            "sessions": len(sessions),
            "anomalous": len(here),
            "trouble_read": len(read),
        }
        for what, model in (("before", before), ("after", bundle)):
            records, stats = scan(work / f"{name.replace(' ', '_')}.log", model)
            found = {record["session"] for record in records}
            counts = stats["sequences"]
            figures[name][what] = {
                "reported": len(found),
                "precision": round(len(found & here) / len(found), 4),
                "recall": round(len(found & here) / len(here), 4),
                "recall_of_trouble_read": round(len(found & read) / len(read), 4),
                **{each: counts[each] for each in ("cut", "unfinished", "spared")},
            }
    return figures


def train(
    options: argparse.Namespace, bundle: Path, seed: int
) -> tuple[dict[str, dict[str, int]], float]:
    """Make the logs and the bundle; return the labels, and how long training took [s]."""
    split = make_logs(options.data, options.work, options.share, seed)
    started = time.perf_counter()
    run(
        "logagent_build",
        *("sequences", options.work / "train.log", "--session-key", KEY),
        *(("--rare", options.rare) if options.rare else ("--labels", options.work / "labels.tsv")),
        *("-o", bundle, "--base", BASE, "--order", options.order),
    )
    return split, time.perf_counter() - started


def kinds(records: list[dict[str, Any]], bad: set[str]) -> dict[str, int]:
    """Return how many kinds were reported, and what it takes to teach away the false alarms."""
    wrong = {each.get("group", "") for each in records if each["session"] not in bad}
    hidden = sum(each.get("group", "") in wrong and each["session"] in bad for each in records)
    return {
        "kinds": len({each.get("group", "") for each in records}),
        "kinds_with_false_alarms": len(wrong),
        "true_anomalies_of_these_kinds": hidden,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sequences")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "work" / "hdfs")
    parser.add_argument("--share", type=float, default=0.5, help="of the sessions for training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--order", default="auto", help="as of `logagent-build sequences`")
    parser.add_argument("--rare", type=float, help="train without labels: as of the command")
    parser.add_argument("--halves", type=int, nargs="+", metavar="SEED", help="the halves instead")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    bundle = options.work / "hdfs.bundle"
    if options.halves:
        figures: dict[str, Any] = {
            "what": "HDFS test log and its halves, with silences of sessions and without",
            "share_trained": options.share,
        }
        for seed in options.halves:
            split, _ = train(options, bundle, seed)
            figures[f"seed {seed}"] = halves(options.work, bundle, split["test"])
        finish(figures, options.json)
        return
    split, trained = train(options, bundle, options.seed)
    records, stats = scan(options.work / "test.log", bundle)
    found = {record["session"] for record in records}
    bad = {block for block, label in split["test"].items() if label}
    hits = len(found & bad)
    precision = hits / len(found) if found else 0.0
    recall = hits / len(bad)
    figures = {
        "what": "sessions of HDFS from raw lines, logagent scan --sequences",
        "share_trained": options.share,
        "seed": options.seed,
        "order": options.order,
        "rare": options.rare,
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
    figures |= kinds(records, bad)
    figures["order_why"] = SequenceModel.of(loaded).record.get("order_why")
    figures["by_order_alone"] = sum(
        record["carried"][:1] != [] and record["carried"][0]["what"] == "out of order"
        for record in records
    )
    finish(figures, options.json)


def finish(figures: dict[str, Any], file: Path | None) -> None:
    """Print the figures, and write them."""
    print(json.dumps(figures, indent=1))
    if file:
        file.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
