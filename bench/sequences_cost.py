"""What sequences cost: a verdict of the model, and `logagent scan --sequences` beside plain `scan`.

    python bench/sequences_cost.py

The bundle and the log are those that bench/sequences_hdfs.py leaves in bench/work/hdfs. A verdict
is timed on sequences of 500 events drawn at random from the vocabulary, on one thread, without the
cache of verdicts. Scans are processes of their own, plain and with sequences in turn; what is
compared is the median of their processor time, less that of a scan of nothing (start, model).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
    """Return what one verdict takes [ms of processor time]."""
    rng = np.random.default_rng(1)
    taken = []
    anomalous = 0
    for _ in range(rounds):
        events = rng.integers(0, model.ensemble.events, length, dtype=np.int32)
        started = time.process_time()
        anomalous += model.ensemble.judge(events).anomalous
        taken.append(1000 * (time.process_time() - started))
    return {
        "events": length,
        "rounds": rounds,
        "median_ms": round(statistics.median(taken), 3),
        "p95_ms": round(float(np.percentile(taken, 95)), 3),
        "anomalous": anomalous,
    }


def scan(log: Path, bundle: Path, *more: str) -> tuple[float, dict[str, object]]:
    """Scan a log; return the processor time [s] and the counters."""
    command = [sys.executable, "-m", "logagent", "scan", str(log), "--bundle", str(bundle)]
    command += ["--format", "jsonl", "--quiet", "--stats", "json", *more]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    counters: dict[str, object] = json.loads(done.stderr.splitlines()[-1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, counters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    work = ROOT / "bench" / "work" / "hdfs"
    parser.add_argument("--bundle", type=Path, default=work / "hdfs.bundle")
    parser.add_argument("--log", type=Path, default=work / "test.log")
    parser.add_argument("--rounds", type=int, default=5, help="scans of either kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    model = SequenceModel.of(Bundle.load(options.bundle))
    watch = ("--sequences", "--max-sessions", "20000")
    cpu: dict[str, list[float]] = {"plain": [], "plain_start": [], "watched": [], "start": []}
    counters: dict[str, dict[str, object]] = {}
    nothing = Path(os.devnull)
    for _ in range(options.rounds):
        for name, log, more in (
            ("plain", options.log, ()),
            ("plain_start", nothing, ()),
            ("watched", options.log, watch),
            ("start", nothing, watch),
        ):
            seconds, counters[name] = scan(log, options.bundle, *more)
            cpu[name].append(seconds)
    middle = {name: statistics.median(each) for name, each in cpu.items()}
    plain, watched = middle["plain"] - middle["plain_start"], middle["watched"] - middle["start"]
    figures = {
        "what": "cost of sequences",
        "verdict": verdict_milliseconds(model, 500, 300),
        "lines": counters["plain"]["lines"],
        "plain_cpu_seconds": round(plain, 3),
        "sequences_cpu_seconds": round(watched, 3),
        "ratio": round(watched / plain, 2),
        "start_cpu_seconds": round(middle["start"] - middle["plain_start"], 3),
        "plain_rss_anon_mib": round(int(str(counters["plain"]["rss_anon_bytes"])) / 2**20, 1),
        "sequences_rss_anon_mib": round(int(str(counters["watched"]["rss_anon_bytes"])) / 2**20, 1),
        "sequences": counters["watched"]["sequences"],
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
