"""What sequences cost: a verdict of the model, and `logagent scan --sequences` beside plain `scan`.

    python bench/sequences_cost.py

The bundle and the log are those that bench/sequences_hdfs.py leaves in bench/work/hdfs. A verdict
is timed on sequences of 500 events drawn at random from the vocabulary, on one thread, without the
cache of verdicts; on numpy, and on onnxruntime with the graph that `--onnx` would have added. What
the graph takes in memory is that of a scan with `--backend onnxruntime` of a bundle with it, less
that of one without it. Scans are processes of their own, plain and with sequences in turn; what is
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

import msgpack
import numpy as np
from logagent.bundle import Bundle
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.onnx_voters import on_onnxruntime
from logagent.sequences.part import SequenceModel
from logagent_build.sequences.building import add_part
from logagent_build.sequences.onnx_graph import graph

ROOT = Path(__file__).resolve().parents[1]


def verdict_milliseconds(ensemble: Ensemble, length: int, rounds: int) -> dict[str, float]:
    """Return what one verdict takes [ms of processor time]."""
    rng = np.random.default_rng(1)
    taken = []
    anomalous = 0
    for _ in range(rounds):
        events = rng.integers(0, ensemble.events, length, dtype=np.int32)
        started = time.process_time()
        anomalous += ensemble.judge(events).anomalous
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


def on_graph(bundle: Bundle, ensemble: Ensemble, out: Path) -> tuple[Ensemble, int]:
    """Return the ensemble on its graph, and the graph's size; write a bundle with it."""
    part = msgpack.unpackb(bundle.part("sequences"))
    made = graph(part["ensemble"])
    add_part(bundle, bytes(bundle.part("sequences")), out, made)
    return on_onnxruntime(ensemble, made, str(out)), len(made)


def graph_memory(log: Path, plain: Path, with_graph: Path, rounds: int) -> dict[str, float]:
    """Return the private memory of scans without the graph and with it [MiB]."""
    held: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(rounds):
        for name, bundle in (("without", plain), ("with", with_graph)):
            _, counters = scan(log, bundle, "--sequences", "--backend", "onnxruntime")
            held[name].append(int(str(counters["rss_anon_bytes"])) / 2**20)
    return {name: round(statistics.median(each), 2) for name, each in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    work = ROOT / "bench" / "work" / "hdfs"
    parser.add_argument("--bundle", type=Path, default=work / "hdfs.bundle")
    parser.add_argument("--log", type=Path, default=work / "test.log")
    parser.add_argument("--rounds", type=int, default=5, help="scans of either kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    model = SequenceModel.of(bundle)
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
    with_graph = options.bundle.with_suffix(".onnx.bundle")
    elsewhere, size = on_graph(bundle, model.ensemble, with_graph)
    figures = {
        "what": "cost of sequences",
        "verdict": verdict_milliseconds(model.ensemble, 500, 300),
        "verdict_onnxruntime": verdict_milliseconds(elsewhere, 500, 300),
        "graph_bytes": size,
        "graph_rss_anon_mib": graph_memory(options.log, options.bundle, with_graph, options.rounds),
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
