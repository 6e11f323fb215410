"""What sequences cost: a verdict of the model, and `logagent scan --sequences` beside plain `scan`.

    python bench/sequences_cost.py --ssh ../shared/data/loghub/OpenSSH/OpenSSH_2k.log

The bundle and the log are those that bench/sequences_hdfs.py leaves in bench/work/hdfs; two more
logs are those of bench/sequence_logs.py, of 100,000 lines each, with a model trained on them (only
the cost is of interest there). A verdict
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
import sequence_logs
from logagent.bundle import Bundle
from logagent.sequences.part import SequenceModel

ROOT = Path(__file__).resolve().parents[1]
_LINES = 100_000  # of a log that is made


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


def cost(log: Path, bundle: Path, rounds: int) -> dict[str, object]:
    """Return what sequences of a log cost beside a plain scan."""
    watch = ("--sequences", "--max-sessions", "20000")
    cpu: dict[str, list[float]] = {"plain": [], "plain_start": [], "watched": [], "start": []}
    counters: dict[str, dict[str, object]] = {}
    nothing = Path(os.devnull)
    for _ in range(rounds):
        for name, read, more in (
            ("plain", log, ()),
            ("plain_start", nothing, ()),
            ("watched", log, watch),
            ("start", nothing, watch),
        ):
            seconds, counters[name] = scan(read, bundle, *more)
            cpu[name].append(seconds)
    middle = {name: statistics.median(each) for name, each in cpu.items()}
    plain, watched = middle["plain"] - middle["plain_start"], middle["watched"] - middle["start"]
    lines = int(str(counters["plain"]["lines"]))
    return {
        "lines": lines,
        "plain_cpu_seconds": round(plain, 3),
        "sequences_cpu_seconds": round(watched, 3),
        "more_microseconds_per_line": round(1e6 * (watched - plain) / lines, 2),
        "ratio": round(watched / plain, 2),
        "start_cpu_seconds": round(middle["start"] - middle["plain_start"], 3),
        "plain_rss_anon_mib": round(int(str(counters["plain"]["rss_anon_bytes"])) / 2**20, 1),
        "sequences_rss_anon_mib": round(int(str(counters["watched"]["rss_anon_bytes"])) / 2**20, 1),
        "sequences": counters["watched"]["sequences"],
    }


def trained(made: sequence_logs.Made) -> Path:
    """Return a bundle trained on a log."""
    bundle = made.log.with_suffix(".bundle")
    command = [
        sys.executable,
        "-m",
        "logagent_build",
        "sequences",
        str(made.log),
        "-o",
        str(bundle),
    ]
    command += ["--session-key", made.key, "--session-timeout", str(made.timeout_seconds)]
    subprocess.run([*command, "--labels", str(made.labels)], check=True, capture_output=True)
    return bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    work = ROOT / "bench" / "work"
    parser.add_argument("--bundle", type=Path, default=work / "hdfs" / "hdfs.bundle")
    parser.add_argument("--log", type=Path, default=work / "hdfs" / "test.log")
    parser.add_argument("--ssh", type=Path, help="OpenSSH_2k.log of loghub")
    parser.add_argument("--rounds", type=int, default=5, help="scans of either kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    model = SequenceModel.of(Bundle.load(options.bundle))
    figures: dict[str, object] = {
        "what": "cost of sequences",
        "verdict": verdict_milliseconds(model, 500, 300),
        **cost(options.log, options.bundle, options.rounds),
    }
    folder = work / "sequences_cost"
    folder.mkdir(parents=True, exist_ok=True)
    more = {"requests": sequence_logs.requests(folder, _LINES)}
    if options.ssh is not None:
        more["logins"] = sequence_logs.logins(folder, options.ssh, _LINES)
    for name, made in more.items():
        figures[name] = cost(made.log, trained(made), options.rounds)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
