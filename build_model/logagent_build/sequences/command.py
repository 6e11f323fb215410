"""`logagent-build bench`: the tables of FlexLog on ADFA-U, SynHDFS-U and data of one's own.

    configurations × seeds → rows (bench) → tables, JSON, HTML

Guarantees: no figure without the seeds and counts it is of; files are replaced whole, after each
configuration, so that a run that is stopped leaves those that were done.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent import files

from logagent_build.sequences import adfa, bench, duplicates, edge, evol, hdfs, injection, tables
from logagent_build.sequences.bench import Plan, Row, Task
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.training import Settings

__all__ = ["SETS", "Request", "run"]

SETS = ("adfa-u", "synhdfs-u", "evol")
_MEASURED = ("train", "test", "duplicates", "left", "left_anomalous", "cache_bytes")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    which: str
    data: Path
    json: Path | None = None
    html: Path | None = None
    seeds: int = 5
    labels: int = 1000
    quick: bool = False
    """One seed, no deep networks."""
    curve: bool = False
    """Figures over the number of labels instead (RQ2)."""


def run(request: Request, say: Callable[[str], None]) -> str:
    """Run, write what was asked for, and return the tables as Markdown.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the data are malformed.
    """
    began = time.time()
    settings = Settings(neighbours=2 if request.which == "adfa-u" else 1)
    plan = Plan(request.labels, settings, networks=not request.quick)
    rows: list[Row] = []
    sets: list[dict[str, Any]] = []
    made: list[tables.Table] = []
    agent: dict[str, Any] = {}
    for at, task in enumerate(_tasks(request)):
        sets += [_set(name, test, task) for name, test in task.tests.items()]
        rows += bench.curve(task, plan, say) if request.curve else bench.rows(task, plan, say)
        if at == 0 and not request.curve:
            stable = next(iter(task.tests.values()))
            agent = edge.measured(task.train, stable, plan.labels, settings)
        made = _tables(request, rows, sets, agent)
        _write(request, made, rows, sets, agent, time.time() - began)
    return "\n".join(tables.markdown(table) for table in made)


def _tables(
    request: Request, rows: list[Row], sets: list[dict[str, Any]], agent: dict[str, Any]
) -> list[tables.Table]:
    if request.curve:
        return [tables.curves(rows), tables.curves_significance(rows), _sizes(sets)]
    return [
        tables.effectiveness(rows, "F1 on tests de-duplicated against training, percent"),
        tables.significance(rows),
        tables.times(rows),
        tables.on_the_edge(agent),
        _sizes(sets),
    ]


def _write(
    request: Request,
    made: list[tables.Table],
    rows: list[Row],
    sets: list[dict[str, Any]],
    agent: dict[str, Any],
    seconds: float,
) -> None:
    facts = {
        "command": f"logagent-build bench {request.which} --data DIR"
        + " --curve" * request.curve
        + " --quick" * request.quick,
        "seeds": len({row.seed for row in rows}),
        "labels of ours": request.labels,
        "seconds": round(seconds),
    }
    if request.json is not None:
        record = facts | {
            "tables": [dataclasses.asdict(table) for table in made],
            "agent": agent,
            "sets": sets,
            "rows": [_rounded(row) for row in rows],
        }
        files.replace(request.json, (json.dumps(record, indent=1) + "\n").encode())
    if request.html is not None:
        files.replace(request.html, tables.page(f"Bench {request.which}", made, facts).encode())


def _set(name: str, test: Sequences, task: Task) -> dict[str, Any]:
    new = duplicates.unseen(test, task.train)
    return {
        "configuration": name,
        "seed": task.seed,
        "train": len(task.train),
        "test": len(test),
        "duplicates": round(duplicates.ratio(test, task.train), 4),
        "left": len(new),
        "left_anomalous": int(new.anomalous.sum()),
        "cache_bytes": bench.cache_bytes(test),
    }


def _tasks(request: Request) -> Iterator[Task]:
    seeds = range(1 if request.quick else request.seeds)
    match request.which:
        case "adfa-u":
            data = adfa.read(request.data / "ADFA-LD.zip")
            for seed in seeds:
                for one in adfa.configurations(data, seed):
                    yield Task(seed, one.train, {one.name: one.test})
        case "synhdfs-u":
            data = hdfs.read(request.data)
            for seed in seeds:
                stable = hdfs.configuration(data, seed)
                fixed = injection.important(stable.train)
                tests = {
                    f"{ratio:.0%}": injection.changed(stable.test, ratio, fixed, seed)[0]
                    for ratio in hdfs.RATIOS
                }
                tests |= {
                    f"{ratio:.0%} reworded": injection.reworded(stable.test, ratio, seed)
                    for ratio in hdfs.RATIOS[1:]
                }
                yield Task(seed, stable.train, tests)
        case _:
            for seed in seeds:
                for pair in evol.configurations(request.data):
                    yield Task(seed, pair.train, {pair.name: pair.test})


def _sizes(sets: list[dict[str, Any]]) -> tables.Table:
    names = list(dict.fromkeys(each["configuration"] for each in sets))
    lines = []
    for name in names:
        mine = [each for each in sets if each["configuration"] == name]
        mean = {key: sum(each[key] for each in mine) / len(mine) for key in _MEASURED}
        lines.append(
            (
                name,
                f"{mean['train']:,.0f}",
                f"{mean['test']:,.0f}",
                f"{mean['duplicates']:.2f}",
                f"{mean['left']:,.0f}",
                f"{mean['left_anomalous']:,.0f}",
                f"{mean['cache_bytes'] / 1024:,.0f}",
            )
        )
    header = ("configuration", "train", "test", "duplicates", "left", "anomalous", "cache, KiB")
    return tables.Table("Sequences", header, lines)


def _rounded(row: Row) -> dict[str, Any]:
    return {
        name: round(value, 5) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(row).items()
    }
