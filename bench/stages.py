"""Where the time of a scan goes, stage by stage. (Not profile.py: that would hide Python's own.)

    python bench/stages.py                    mixed, 50 MB
    python bench/stages.py openstack          another workload
    python bench/stages.py --cprofile         by function as well, by cProfile

Runs the scan within this process and wraps the function of each stage, which happens once per
block or per batch, never once per line, so the wrapping itself costs next to nothing. A stage's
time is its own: that of the stages it calls is left out. `rest` is the loop around them.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import importlib
import os
import pstats
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import BenchError, common_arguments, main, print_table, write_result
from workloads import MB, Workload, make, parse_bytes, source_arguments

# (stage, where it is called from: module, then attributes). Functions are wrapped where they
# are used, as `from x import f` copies the name.
STAGES = (
    ("read blocks", "logagent.sources", "Source.blocks"),
    ("look up verdicts", "logagent.judge", "Judge.judge"),
    ("fast keys", "logagent.judge", "fast_keys"),
    ("loose keys", "logagent.judge", "loose_keys"),
    ("normalise misses", "logagent.judge", "templates"),
    ("look up templates", "logagent.judge", "Judge.judge_templates"),
    ("embed", "logagent.embedding", "Embedding.embed"),
    ("detector, onnxruntime", "logagent.model", "OnnxBackend.run"),
    ("detector, numpy", "logagent.model", "NumpyBackend.run"),
    ("group", "logagent.groups", "GroupTable.add"),
)
TOP = 25  # functions that --cprofile prints
_END = object()


@dataclass(slots=True)
class Stage:
    """What was measured of one stage."""

    name: str
    calls: int = 0
    seconds: float = 0.0


class Stopwatch:
    """Own times of nested stages."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self._inner = [0.0]  # seconds within inner stages, per stage that is open; last is inmost

    def stage(self, name: str) -> Stage:
        """The record of a stage."""
        return self.stages.setdefault(name, Stage(name))

    def timed(self, stage: Stage, call: Callable[[], Any]) -> Any:
        """Call, and book the time on the stage."""
        self._inner.append(0.0)
        start = time.perf_counter()
        try:
            return call()
        finally:
            whole = time.perf_counter() - start
            stage.seconds += whole - self._inner.pop()
            stage.calls += 1
            self._inner[-1] += whole

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed; of a generator, each step is a call."""
        stage = self.stage(name)

        @functools.wraps(function)
        def wrapped(*words: Any, **named: Any) -> Any:
            found = self.timed(stage, functools.partial(function, *words, **named))
            return self._steps(stage, found) if isinstance(found, Iterator) else found

        return wrapped

    def _steps(self, stage: Stage, steps: Iterator[Any]) -> Iterator[Any]:
        while True:
            step = self.timed(stage, functools.partial(next, steps, _END))
            if step is _END:
                return
            yield step


def install(watch: Stopwatch) -> None:
    """Wrap the function of every stage."""
    for name, module, path in STAGES:
        owner: Any = importlib.import_module(module)
        *outer, attribute = path.split(".")
        try:
            for step in outer:
                owner = getattr(owner, step)
            function = getattr(owner, attribute)
        except AttributeError:
            raise BenchError(
                f"{module}.{path} is gone; correct STAGES of bench/stages.py"
            ) from None
        setattr(owner, attribute, watch.wrap(name, function))


def scan(path: Path, bundle_path: Path | None, backend: str) -> tuple[str, int, float]:
    """Scan a file in this process: the backend used, lines, seconds without loading the model."""
    from logagent.bundle import DEFAULT_BUNDLE, Bundle
    from logagent.scan import Scan
    from logagent.scorer import Scorer

    bundle = Bundle.load(bundle_path or DEFAULT_BUNDLE)
    scorer = Scorer(bundle, backend)
    one = Scan(scorer, threshold=float(bundle.manifest.thresholds["normal"]))
    start = time.perf_counter()
    for _ in one.steps([str(path)]):
        pass
    return scorer.backend.name, one.totals.lines, time.perf_counter() - start


def measured(load: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """The stages of one scan, longest first."""
    watch = Stopwatch()
    install(watch)
    name, lines, seconds = scan(load.path, options.bundle, options.backend)
    if lines != load.lines:
        raise BenchError(f"logagent read {lines} of the {load.lines} lines")
    stages = [stage for stage in watch.stages.values() if stage.calls]
    rest = Stage("rest", 1, seconds - sum(stage.seconds for stage in stages))
    ordered = [*sorted(stages, key=lambda stage: -stage.seconds), rest]
    return {
        "workload": load.name,
        "lines": load.lines,
        "bytes": load.bytes,
        "backend": name,
        "seconds": seconds,
        "stages": [
            {
                "stage": stage.name,
                "calls": stage.calls,
                "seconds": stage.seconds,
                "share": stage.seconds / seconds,
            }
            for stage in ordered
        ],
    }


def _run() -> None:
    parser = argparse.ArgumentParser(description="Where the time of a scan goes.")
    parser.add_argument("name", nargs="?", metavar="WORKLOAD", help="default: mixed")
    parser.add_argument("--bytes", type=parse_bytes, default=50 * MB, help="size of the log")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--cprofile", action="store_true", help="functions as well")
    source_arguments(parser)
    common_arguments(parser, rounds=1)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    load = make(
        options.name or ("corpora" if options.from_corpora else "mixed"),
        work=options.work,
        seed=options.seed,
        loghub=options.loghub,
        bytes_limit=options.bytes,
    )
    if options.cprofile:
        profile = cProfile.Profile()
        profile.runcall(scan, load.path, options.bundle, options.backend)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(TOP)
    result = measured(load, options)
    print_table(
        ("stage", "calls", "s", "share"),
        [
            [one["stage"], str(one["calls"]), f"{one['seconds']:.3f}", f"{one['share']:.1%}"]
            for one in result["stages"]
        ],
    )
    write_result("stages", result, options.results)


if __name__ == "__main__":
    main(_run)
