"""Windows of lines with labels, from raw logs to verdicts: trained on the first half, tested later.

    python bench/sequences_windows.py

The first half of a log's lines, in order of time, is trained on with `logagent-build sequences
--window`, the second half is scanned with `logagent scan --sequences`, nothing else given: windows
are made as they were in training. A window is anomalous if one of its lines is. Beside it stand two
that need no training: "any line" flags a window if the shipped detector flags a line of it, at
normal sensitivity; "all" flags all windows (the majority, where most are anomalous; the other
majority flags none and has no F1). "lines" are the anomalous lines of the second half, "new" those
whose event the first half has not.

Logs: BGL (2,000 lines, experts' alert tags), HDFS (222,579 lines of 2 % of the blocks; a line is
anomalous if its block is, which a line alone seldom shows). The defaults of the command for windows
were chosen with `--chosen-on`: five systems of loghub with a language model's labels, and the first
half of HDFS alone.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.normalise import templates
from logagent.scorer import Scorer
from logagent.sequences.part import SequenceModel
from logagent.sequences.vocabulary import event_keys
from logagent_build.sequences.line_labels import LineLabels
from logagent_build.sequences.lines import gather

ROOT = Path(__file__).resolve().parents[1]
CHOSEN_ON = {
    "HPC": "operator",
    "Windows": "explicit",
    "Linux": "operator",
    "Proxifier": "explicit",
    "Mac": "operator",
}  # whose labels are of both kinds in both halves, and the annotation of which that is so
SIZES = {"BGL": ("20", "20/5", "10"), "HDFS": ("20", "50"), "": ("20", "10/5", "10")}

Lines = tuple[list[bytes], list[bool]]


def bgl(data: Path) -> Lines:
    """Return lines without the tag, and whether there was one."""
    text = (data / "loghub" / "BGL" / "BGL_2k.log").read_bytes().replace(b"\r\n", b"\n")
    rows = [row.partition(b" ") for row in text.split(b"\n") if row]
    return [line for _, _, line in rows], [tag != b"-" for tag, _, _ in rows]


def hdfs(data: Path) -> Lines:
    """Return lines in order of time, and whether their block is anomalous."""
    rows = []
    path = data / "sequences" / "hdfs_lines_2pct.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for number, row in enumerate(file):
            label, _, stamp, rest = row.rstrip("\n").split("\t", 3)
            text = f"{stamp} {rest}".replace("\t", " ")
            rows.append((stamp, number, text.encode(), label == "1"))
    rows.sort()
    return [row[2] for row in rows], [row[3] for row in rows]


def loghub(data: Path, system: str, annotation: str) -> Lines:
    """Return lines, and what a language model says of their event."""
    votes: dict[str, list[int]] = {}
    with open(data / "labels" / "loghub_llm.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["domain"] == system:
                votes.setdefault(row["event_id"], []).append(int(row[f"label_{annotation}"]))
    folder = data / "loghub" / system
    with open(folder / f"{system}_2k.log_structured.csv", encoding="utf-8") as file:
        events = [row["EventId"] for row in csv.DictReader(file)]
    text = (folder / f"{system}_2k.log").read_bytes().replace(b"\r\n", b"\n")
    lines = [line for line in text.split(b"\n") if line][: len(events)]
    return lines, [2 * sum(votes.get(each, [0])) >= len(votes.get(each, [0])) for each in events]


def run(module: str, *arguments: object) -> str:
    """Run a command of ours with this Python; return what it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return done.stdout.decode()


def measures(flagged: np.ndarray, truth: np.ndarray) -> dict[str, float | int]:
    hits = int((flagged & truth).sum())
    return {
        "flagged": int(flagged.sum()),
        "precision": round(hits / max(int(flagged.sum()), 1), 3),
        "recall": round(hits / max(int(truth.sum()), 1), 3),
        "f1": round(2 * hits / max(int(flagged.sum() + truth.sum()), 1), 3),
    }


def experiment(
    name: str, lines: Sequence[bytes], labels: Sequence[bool], window: str, work: Path, seeds: int
) -> dict[str, object]:
    """Train on the first half and scan the second."""
    half = len(lines) // 2
    train, test, table = work / "train.log", work / "test.log", work / "labels.tsv"
    train.write_bytes(b"\n".join(lines[:half]) + b"\n")
    test.write_bytes(b"\n".join(lines[half:]) + b"\n")
    table.write_bytes(
        b"".join(b"%d\t%s\n" % (bad, line) for bad, line in zip(labels, lines, strict=True))
    )
    runs = []
    for seed in range(seeds):
        bundle = work / "windows.bundle"
        run(
            "logagent_build",
            *("sequences", train, "--window", window, "--labels", table),
            *("-o", bundle, "--seed", seed),
        )
        model = SequenceModel.of(Bundle.load(bundle))
        made = gather([str(test)], model.rule, LineLabels(table))
        spans = [each.rsplit(":", 1)[1].split(" … ") for each in made.sessions]
        places = [(int(first), int(last)) for first, last in spans]
        out = run(
            "logagent",
            *("scan", test, "--sequences", "--bundle", bundle, "--format", "jsonl"),
        )
        records = [json.loads(line) for line in out.splitlines()]
        found = {
            (each["line"], each["last_line"]) for each in records if each.get("kind") == "sequence"
        }
        assert found <= set(places), "both sides make the same windows"
        runs.append(measures(np.array([each in found for each in places]), made.labelled.anomalous))
    scorer = Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy")
    kinds = templates(list(lines[half:])).templates
    distinct = sorted(set(kinds))
    scores = dict(zip(distinct, scorer.scores(distinct).tolist(), strict=True))
    threshold = scorer.bundle.manifest.thresholds["normal"]
    flagged = np.array([scores[each] >= threshold for each in kinds])
    any_line = np.array([flagged[first - 1 : last].any() for first, last in places])
    truth = made.labelled.anomalous
    middle = sorted(runs, key=lambda each: each["f1"])[len(runs) // 2]
    kinds_of = event_keys(list(lines))[0]
    trained_on = set(kinds_of[:half])
    new = [kind not in trained_on for kind, bad in zip(kinds_of, labels, strict=True) if bad]
    return {
        "log": name,
        "window": window,
        "test_anomalous_lines": sum(labels[half:]),
        "of_new_kinds": sum(new),
        "train_windows": model.record["labelled_sequences"],
        "train_anomalous": model.record["anomalous"],
        "test_windows": len(truth),
        "test_anomalous": int(truth.sum()),
        "windows": middle | {"f1_of_seeds": [each["f1"] for each in runs]},
        "any_line": measures(any_line, truth),
        "all": measures(np.ones_like(truth), truth),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "work" / "windows")
    parser.add_argument("--seeds", type=int, default=3, help="of the training")
    parser.add_argument("--chosen-on", action="store_true", help="what defaults were chosen on")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    logs: dict[str, Lines] = {}
    if options.chosen_on:
        for system, annotation in CHOSEN_ON.items():
            logs[system] = loghub(options.data, system, annotation)
        lines, labels = hdfs(options.data)
        logs["HDFS, first half"] = lines[: len(lines) // 2], labels[: len(lines) // 2]
    else:
        logs = {"BGL": bgl(options.data), "HDFS": hdfs(options.data)}
    results = []
    print(f"{'log':17}{'window':>7}{'train':>7}{'bad':>6}{'test':>6}{'bad':>6}", end="")
    print(
        f"{'precision':>11}{'recall':>8}{'F1':>7}{'any line':>10}{'all':>7}{'lines':>8}{'new':>5}"
    )
    for name, (lines, labels) in logs.items():
        for window in SIZES.get(name.partition(",")[0], SIZES[""]):
            each = experiment(name, lines, labels, window, options.work, options.seeds)
            results.append(each)
            held, line, everything = each["windows"], each["any_line"], each["all"]
            print(
                f"{name:17}{window:>7}{each['train_windows']:7}{each['train_anomalous']:6}"
                f"{each['test_windows']:6}{each['test_anomalous']:6}{held['precision']:11}"
                f"{held['recall']:8}{held['f1']:7}{line['f1']:10}{everything['f1']:7}"
                f"{each['test_anomalous_lines']:8}{each['of_new_kinds']:5}",
                flush=True,
            )
    if options.json:
        figures = {"what": "windows with labels of lines, first half to second", "logs": results}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
