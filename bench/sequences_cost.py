"""What sequences cost: a verdict of the model, and `logagent scan --sequences` beside plain `scan`.

    python bench/sequences_cost.py

The bundle and the log are those that bench/sequences_hdfs.py leaves in bench/work/hdfs. A verdict
is timed on sequences of 500 events drawn at random from the vocabulary, on one thread, without the
cache of verdicts. Scans are processes of their own, plain and with sequences in turn; the median of
each is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from logagent.bundle import Bundle
from logagent.sequences.part import SequenceModel

ROOT = Path(__file__).resolve().parents[1]


def verdict_milliseconds(model: SequenceModel, length: int, rounds: int) -> dict[str, float]:
    """Return what one verdict takes [ms]."""
    rng = np.random.default_rng(1)
    taken = []
    anomalous = 0
    for _ in range(rounds):
        events = rng.integers(0, model.ensemble.events, length, dtype=np.int32)
        started = time.perf_counter()
        anomalous += model.ensemble.judge(events).anomalous
        taken.append(1000 * (time.perf_counter() - started))
    return {
        "events": length,
        "rounds": rounds,
        "median_ms": round(statistics.median(taken), 3),
        "p95_ms": round(float(np.percentile(taken, 95)), 3),
        "anomalous": anomalous,
    }


def scan(log: Path, bundle: Path, *more: str) -> dict[str, object]:
    """Scan a log; return the counters."""
    command = [sys.executable, "-m", "logagent", "scan", str(log), "--bundle", str(bundle)]
    command += ["--format", "jsonl", "--quiet", "--stats", "json", *more]
    done = subprocess.run(
        command, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    counters: dict[str, object] = json.loads(done.stderr.splitlines()[-1])
    return counters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    work = ROOT / "bench" / "work" / "hdfs"
    parser.add_argument("--bundle", type=Path, default=work / "hdfs.bundle")
    parser.add_argument("--log", type=Path, default=work / "test.log")
    parser.add_argument("--rounds", type=int, default=5, help="scans of either kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    model = SequenceModel.of(Bundle.load(options.bundle))
    plain, watched = [], []
    for _ in range(options.rounds):
        plain.append(scan(options.log, options.bundle))
        watched.append(scan(options.log, options.bundle, "--sequences", "--max-sessions", "20000"))
    seconds = [statistics.median(float(str(each["seconds"])) for each in runs)
               for runs in (plain, watched)]  # fmt: skip
    figures = {
        "what": "cost of sequences",
        "verdict": verdict_milliseconds(model, 500, 300),
        "lines": plain[0]["lines"],
        "plain_seconds": seconds[0],
        "sequences_seconds": seconds[1],
        "ratio": round(seconds[1] / seconds[0], 2),
        "plain_rss_anon_mib": round(int(str(plain[-1]["rss_anon_bytes"])) / 2**20, 1),
        "sequences_rss_anon_mib": round(int(str(watched[-1]["rss_anon_bytes"])) / 2**20, 1),
        "sequences": watched[-1]["sequences"],
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
