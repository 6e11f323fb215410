"""What `logagent-build build` costs on very many lines, and what is left of a build that is killed.

    python bench/build_scale.py all   [--lines 10000000] [--jobs 2]    folder → bundle, everything
    python bench/build_scale.py read  [--lines 10000000]               the first stage alone
    python bench/build_scale.py kills [--lines 2000000] [--kills 6]    kill -9 at random moments

The folder is made by `build_corpus.py`; a simulation answers in the place of a model: 5 % of
normal and 10 % of anomalous lines wrong. Time is that of the whole command; memory is the largest
sum of resident sizes of its processes, sampled five times a second. `kills` ends the command with
its children in every stage, lets it go on, and compares every file that counts with those of a
build that was never disturbed; it keeps a hundred templates of each system, and trains quickly and
without the shipped corpora.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import build_corpus
from logagent_build.folder.reading import Settings, read
from logagent_build.folder.stages import RunFolder, file_digest
from logagent_build.folder.systems import find_systems
from measure import ROOT, WORK, BenchError, machine_facts, main, print_table, public_command

ANNOTATOR = "simulated:{labels},normal=0.05,anomalous=0.1"
RESULT = ROOT / "bench" / "results" / "build_scale.json"
STAGES = ("read", "label", "train")


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def resident(pid: int) -> int:
    """Return the resident size of a process and all below it [bytes]."""
    total = 0
    for each in tree(pid):
        try:
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return total * os.sysconf("SC_PAGE_SIZE")


def start(folder: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a build of a made folder."""
    command = [sys.executable, "-m", "logagent_build", "build", str(folder / "logs")]
    command += [
        "-o",
        str(out),
        "--annotator",
        ANNOTATOR.format(labels=folder / "labels.tsv"),
        *more,
    ]
    log = out.with_suffix(".log").open("ab")
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def everything(folder: Path, work: Path, jobs: int) -> dict[str, Any]:
    """Build from nothing; return time, memory and the stages."""
    out = work / "scale.bundle"
    shutil.rmtree(f"{out}.run", ignore_errors=True)
    began = time.monotonic()
    process = start(folder, out, "--jobs", str(jobs))
    peak, peaks = 0, dict.fromkeys((*STAGES, "after"), 0)
    while process.poll() is None:
        size = resident(process.pid)
        peak = max(peak, size)
        stage = stage_of(Path(f"{out}.run"))
        peaks[stage] = max(peaks[stage], size)
        time.sleep(0.2)
    seconds = time.monotonic() - began
    if process.returncode:
        raise BenchError(f"the build ended with {process.returncode}; see {out.stem}.log")
    record = json.loads(Path(f"{out}.run", "record.json").read_bytes())
    return {
        "lines": record["read"]["lines"],
        "seconds": round(seconds, 1),
        "peak_rss_mib": round(peak / 2**20),
        "peak_rss_mib_by_stage": {name: round(size / 2**20) for name, size in peaks.items()},
        "stages_seconds": record["this_run"]["seconds"],
        "jobs": jobs,
        "labels": {
            key: record["label"][key] for key in ("annotator", "strategy", "calls", "templates")
        },
        "held_out_auroc": record["train"]["held_out"]["auroc_mean"],
        "own_auroc": {
            name: area
            for name, area in record["train"]["held_out"]["auroc"].items()
            if name in record["train"]["systems"]
        },
        "reduction": reduction(record["read"]),
    }


def stage_of(run: Path) -> str:
    """Return the stage that a build is in."""
    return next((name for name in STAGES if not (run / f"{name}.json").exists()), "after")


def reduction(read: dict[str, Any]) -> dict[str, Any]:
    """Return lines, new keys and templates of each system."""
    return {
        row["name"]: [row["lines"], row["new_keys"], row["templates"], row["let_go_templates"]]
        for row in read["systems"]
    }


def read_alone(folder: Path, work: Path) -> dict[str, Any]:
    """Read in this process; return speed and memory."""
    run = work / "read.run"
    shutil.rmtree(run, ignore_errors=True)
    began = time.monotonic()
    with RunFolder.opened(run) as opened:
        facts = read(opened, find_systems(folder / "logs"), Settings()).facts
    seconds = time.monotonic() - began
    status = Path("/proc/self/status").read_text()
    peak = next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM"))
    return {
        "lines": facts["lines"],
        "seconds": round(seconds, 1),
        "lines_per_second": round(facts["lines"] / seconds),
        "peak_rss_mib": round(peak / 1024),
        "templates": sum(row["templates"] for row in facts["systems"]),
        "reduction": reduction(facts),
    }


def kills(folder: Path, work: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill a build at random moments, in each stage; compare with one left alone."""
    options = ("--quick", "--base", "none", "--jobs", "1", "--most-templates", "100")
    calm, shaken = work / "calm" / "x.bundle", work / "shaken" / "x.bundle"
    for out in (calm, shaken):
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir(parents=True)
    began = time.monotonic()
    process, reached = start(folder, calm, *options), {}
    while process.poll() is None:
        reached.setdefault(stage_of(Path(f"{calm}.run")), time.monotonic() - began)
        time.sleep(0.05)
    whole = time.monotonic() - began
    if process.returncode:
        raise BenchError(f"the build ended with {process.returncode}")
    times = [reached[name] for name in STAGES] + [reached.get("after", whole)]
    lasting = {name: times[at + 1] - times[at] for at, name in enumerate(STAGES)}
    rng = random.Random(seed)
    killed: list[dict[str, Any]] = []
    places = (*STAGES, "after")
    for number in range(count):
        wanted = STAGES[number * len(STAGES) // count]
        process = start(folder, shaken, *options)
        run = Path(f"{shaken}.run")
        while process.poll() is None and places.index(stage_of(run)) < places.index(wanted):
            time.sleep(0.02)
        time.sleep(rng.uniform(0.05, 0.35) * lasting[wanted])
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        killed.append({"stage": stage_of(run), "too_late": ended})
    process = start(folder, shaken, *options)
    if process.wait():
        raise BenchError(f"the last build ended with {process.returncode}")
    files = ["labels.npz", "labels.tsv", "trained.bundle"]
    files += [path.name for path in sorted(Path(f"{calm}.run").glob("read-*.msgpack"))]
    different = [
        name
        for name in files
        if file_digest(Path(f"{calm}.run", name)) != file_digest(Path(f"{shaken}.run", name))
    ]
    return {
        "kills": killed,
        "files_compared": len(files),
        "different": different,
        "undisturbed_seconds": round(whole, 1),
        "stages_seconds": {name: round(value, 1) for name, value in lasting.items()},
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=("all", "read", "kills"))
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--corpus", type=Path, help="made before; by default below --work")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    corpus = options.corpus or options.work / f"build-{options.lines}"
    build_corpus.make(corpus, options.lines, options.data, options.seed)
    work = options.work / "build_scale"
    work.mkdir(parents=True, exist_ok=True)
    if options.what == "all":
        found = everything(corpus, work, options.jobs)
    elif options.what == "read":
        found = read_alone(corpus, work)
    else:
        found = kills(corpus, work, options.kills, options.seed)
    results = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    results[options.what] = {"command": public_command(), "machine": machine_facts(), **found}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_table(("", ""), [(key, str(value)) for key, value in found.items() if key != "reduction"])
    if "reduction" in found:
        rows = [(name, *map(str, row)) for name, row in found["reduction"].items()]
        print_table(("system", "lines", "new keys", "templates", "let go"), rows)


if __name__ == "__main__":
    main(_main)
