"""What sequences cost: a verdict of the model, and `logagent scan --sequences` beside plain `scan`.

    python bench/sequences_cost.py --ssh ../shared/data/loghub/OpenSSH/OpenSSH_2k.log

The bundle and the log are those that bench/sequences_hdfs.py leaves in bench/work/hdfs; two more
logs are those of bench/sequence_logs.py, of 100,000 lines each, with a model trained on them (only
the cost is of interest there). A verdict is timed on sequences of 500 events drawn at random from
the vocabulary, on one thread, without the cache of verdicts; on numpy, and on onnxruntime with the
graph that `--onnx` would have added. What the graph takes in memory is that of a scan with
`--backend onnxruntime` of a bundle with it, less that of one without it. Scans are processes of
their own, plain and with sequences in turn; what is compared is the median of their processor time,
less that of a scan of nothing (start, model).
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
import sequence_logs
from logagent.bundle import Bundle
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.onnx_voters import on_onnxruntime
from logagent.sequences.part import SequenceModel
from logagent_build.sequences.building import add_part
from logagent_build.sequences.onnx_graph import graph

ROOT = Path(__file__).resolve().parents[1]
_LINES = 100_000  # of a log that is made


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
    bundle = Bundle.load(options.bundle)
    model = SequenceModel.of(bundle)
    with_graph = options.bundle.with_suffix(".onnx.bundle")
    elsewhere, size = on_graph(bundle, model.ensemble, with_graph)
    figures: dict[str, object] = {
        "what": "cost of sequences",
        "verdict": verdict_milliseconds(model.ensemble, 500, 300),
        "verdict_onnxruntime": verdict_milliseconds(elsewhere, 500, 300),
        "graph_bytes": size,
        "graph_rss_anon_mib": graph_memory(options.log, options.bundle, with_graph, options.rounds),
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
