"""What a follower sees of a log that is rotated, restarted, reloaded: logagent beside aminer.

    python bench/rotation.py                  all scenarios; with aminer about 7 minutes
    python bench/rotation.py --only T1 T5
    python bench/rotation.py --without-aminer

Every line is one that the tool reports: an anomalous one for logagent, one that no parser element
matches for aminer, whose unparsed lines are events. aminer runs as shipped, so that it saves its
position every 600 s, and once more with a period of 2 s. It has to be fetched and needs root and
Debian: see `aminer_run.py`. Seen and repeated lines are counted by their numbers.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aminer_run
from following import Follower, run_command
from measure import (
    MIB,
    WORK,
    BenchError,
    main,
    print_table,
    write_result,
)
from scenarios import SCENARIOS, Stage, Tool

SAVE_SECONDS = 1  # of logagent, and long done when T6 kills
_NUMBER = re.compile(rb" seq=(\d{9})")
_AMINER_CONFIG = """\
LearnMode: False
AminerUser: '{user}'
AminerGroup: '{group}'
Core.PersistenceDir: '{folder}/state'
Core.LogDir: '{folder}/log'
{period}LogResourceList: ['file://{log}']
Parser:
  - {{id: START, start: True, type: FixedDataModelElement, name: model, args: 'matches no line'}}
Input: {{timestamp_paths: '/model'}}
Analysis: [{{id: unparsed, type: SimpleUnparsedAtomHandler}}]
EventHandlers: [{{id: stpe, type: StreamPrinterEventHandler}}]
"""


@dataclass(frozen=True, slots=True)
class Logagent:
    """`logagent run`, one record per anomalous line."""

    options: argparse.Namespace
    folder: Path
    log: Path

    def start(self) -> Follower:
        argv = run_command(
            self.options, self.folder / "state", str(self.log), "--from-start", "--no-group",
            "--jsonl", str(self.folder / "alerts.jsonl"), "--no-stdout",
            "--save-seconds", str(SAVE_SECONDS),
        )  # fmt: skip
        return Follower(argv, errors=self.folder / "errors.log")

    def reports(self) -> Counter[int]:
        return _numbers(self.folder / "alerts.jsonl")


@dataclass(frozen=True, slots=True)
class Aminer:
    """aminer, one event per line."""

    aminer: aminer_run.Aminer
    period_seconds: int | None
    """Between two savings of its position; as shipped if None."""
    folder: Path
    log: Path

    def start(self) -> Follower:
        period = self.period_seconds
        config = aminer_run.configure(
            _AMINER_CONFIG, self.folder, self.log,
            period=f"Core.PersistencePeriod: {period}\n" if period else "",
        )  # fmt: skip
        return Follower(
            self.aminer.command(config),
            errors=self.folder / "errors.log",
            output=self.folder / "events.log",
        )

    def reports(self) -> Counter[int]:
        return _numbers(self.folder / "events.log")


def _numbers(path: Path) -> Counter[int]:
    """Lines by number; each report has its line once."""
    if not path.exists():
        return Counter()
    return Counter(int(number) for number in _NUMBER.findall(path.read_bytes()))


@contextmanager
def _aminer(options: argparse.Namespace) -> Iterator[tuple[aminer_run.Aminer | None, str]]:
    """aminer, if it can be had, and its version or why not."""
    with ExitStack() as stack:
        aminer, version = None, "left out"
        if not options.without_aminer:
            try:
                aminer = stack.enter_context(aminer_run.prepare(options.work))
                version = aminer.version
            except BenchError as reason:
                version = str(reason)
                print(reason, file=sys.stderr)
        yield aminer, version


def play(tool_of: Callable[[Path, Path], Tool], scene: Callable[[Stage], None]) -> dict[str, Any]:
    """One scenario with one tool, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-rotation-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # aminer reads as another user
        (folder / "logs").mkdir()
        log = folder / "logs" / "app.log"
        stage = Stage(tool_of(folder, log), log)
        try:
            scene(stage)
            return stage.end()
        finally:
            stage.follower.kill()


def _run() -> None:
    parser = argparse.ArgumentParser(description="Lines seen of a log that is rotated.")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="these scenarios")
    parser.add_argument("--without-aminer", action="store_true")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for aminer's packages")
    parser.add_argument("--logagent", help="command under test, instead of the installed one")
    parser.add_argument("--bundle", type=Path, help="model bundle, instead of the shipped one")
    parser.add_argument("--results", type=Path, help="folder for the result, for a trial run")
    options = parser.parse_args()
    with _aminer(options) as (aminer, version):
        tools: dict[str, Callable[[Path, Path], Tool]] = {
            "logagent": lambda folder, log: Logagent(options, folder, log)
        }
        if aminer is not None:
            fetched = aminer
            tools["aminer"] = lambda folder, log: Aminer(fetched, None, folder, log)
            tools["aminer, 2 s"] = lambda folder, log: Aminer(fetched, 2, folder, log)
        scenarios = []
        for name in options.only or SCENARIOS:
            about, scene = SCENARIOS[name]
            row: dict[str, Any] = {"name": name, "about": about, "tools": {}}
            for tool, tool_of in tools.items():
                print(f"  {name}: {tool}", file=sys.stderr, flush=True)
                try:
                    row["tools"][tool] = play(tool_of, scene)
                except BenchError as error:
                    if tool == "logagent":
                        raise
                    print(f"  {name}: {tool}: {error}", file=sys.stderr)
                    row["tools"][tool] = {
                        "expected": row["tools"]["logagent"]["expected"],
                        "seen": 0,
                        "repeated": 0,
                        "rss_anon_bytes": None,
                        "notes": ["cannot open it"],
                    }
            scenarios.append(row)
    show(scenarios)
    write_result("rotation", {"aminer": version, "scenarios": scenarios}, options.results)
    ours = [row["tools"]["logagent"] for row in scenarios]
    if any(one["seen"] < one["expected"] or one["repeated"] or one["notes"] for one in ours):
        raise BenchError("logagent lost or repeated lines")


def show(scenarios: list[dict[str, Any]]) -> None:
    """Print one row per scenario."""
    tools = list(scenarios[0]["tools"])
    rows = [
        [f"{row['name']} {row['about']}", *(_cell(row["tools"][tool]) for tool in tools)]
        for row in scenarios
    ]
    print_table(("scenario", *tools), rows)
    for row in scenarios:
        for tool, one in row["tools"].items():
            for note in one["notes"]:
                print(f"{row['name']} {tool}: {note}")


def _cell(one: dict[str, Any]) -> str:
    memory = one["rss_anon_bytes"]
    shown = f"{memory / MIB:.0f} MiB" if memory else "ended"
    repeats = f", {one['repeated']} repeated" if one["repeated"] else ""
    return f"{one['seen']} of {one['expected']}{repeats}, {shown}"


if __name__ == "__main__":
    main(_run)
