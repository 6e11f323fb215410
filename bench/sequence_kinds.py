"""Kinds of anomalous sequences: how many there are, and whether they outlive another training.

    python bench/sequences_hdfs.py --data ../shared/data/sequences --work bench/work/hdfs
    python bench/sequence_kinds.py --work bench/work/hdfs

Scans the test's log with the bundle that `sequences_hdfs.py` has left, and with others that were
trained on the same sessions with another seed, and on halves of them. Says of each how many of the
sequences that both find have the same kind (`group`), and of the first what teaching costs: which
true anomalies have the kind of a false alarm, so that they would be hidden with it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter
from pathlib import Path

from sequences_hdfs import BASE, KEY, ROOT, run


def kinds(work: Path, bundle: Path) -> dict[str, str]:
    """Return the kind of each session that a scan of the test's log reports."""
    done = run(
        "logagent",
        *("scan", work / "test.log", "--sequences", "--bundle", bundle),
        *("--max-sessions", 20_000, "--format", "jsonl"),
    )
    records = map(json.loads, done.stdout.splitlines())
    return {
        each["session"]: each.get("group", "") for each in records if each.get("kind") == "sequence"
    }


def trained(work: Path, name: str, labels: Path, seed: int) -> Path:
    """Train one more bundle and return its path."""
    bundle = work / f"{name}.bundle"
    run(
        "logagent_build",
        *("sequences", work / "train.log", "--session-key", KEY, "--seed", seed),
        *("--labels", labels, "-o", bundle, "--base", BASE),
    )
    return bundle


def half_of(work: Path, seed: int) -> Path:
    """Write the labels of a random half of the training sessions."""
    lines = (work / "labels.tsv").read_text().splitlines(keepends=True)
    random.Random(seed).shuffle(lines)
    path = work / f"labels.half{seed}.tsv"
    path.write_text("".join(lines[: len(lines) // 2]))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "sequences")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "work" / "hdfs")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    work = options.work
    with gzip.open(options.data / "hdfs_lines_2pct.tsv.gz", "rt", errors="replace") as file:
        labels = {row[1]: row[0] == "1" for row in (line.split("\t", 2) for line in file)}

    first = kinds(work, work / "hdfs.bundle")
    sizes = Counter(first.values())
    false = {first[each] for each in first if not labels[each]} - {""}
    figures: dict[str, object] = {
        "what": "kinds of anomalous sessions of HDFS, logagent scan --sequences",
        "reported": len(first),
        "without_a_kind": sizes.pop("", 0),
        "kinds": len(sizes),
        "largest": [count for _, count in sizes.most_common(5)],
        "false_alarms": sum(not labels[each] for each in first),
        "kinds_with_false_alarms": len(false),
        "true_anomalies_of_these_kinds": sum(
            labels[each] for each, kind in first.items() if kind in false
        ),
    }
    others = {
        "same sessions, seed 1": trained(work, "seed1", work / "labels.tsv", 1),
        "same sessions, seed 2": trained(work, "seed2", work / "labels.tsv", 2),
        "a half of them": trained(work, "half1", half_of(work, 1), 0),
        "another half": trained(work, "half2", half_of(work, 2), 0),
    }
    compared = {}
    for name, bundle in others.items():
        other = kinds(work, bundle)
        both = [each for each in first if each in other]
        known = set(first.values()) - {""}
        compared[name] = {
            "reported": len(other),
            "by_both": len(both),
            "of_the_same_kind": sum(first[each] == other[each] != "" for each in both),
            "of_a_kind_the_first_has": sum(kind in known for kind in other.values()),
        }
    figures["trained_anew"] = compared
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
