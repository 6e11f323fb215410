"""Rows of figures as the paper's tables: Markdown for a terminal, JSON to keep, HTML to show."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from logagent_build.sequences.bench import BASELINES, OURS, Row
from logagent_build.sequences.measures import SIGNIFICANT, above, paired

__all__ = [
    "Table",
    "curves",
    "curves_significance",
    "effectiveness",
    "markdown",
    "on_the_edge",
    "page",
    "significance",
    "times",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table with a title."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def effectiveness(rows: Sequence[Row], title: str) -> Table:
    """F1 by configuration, in percent, mean and deviation over the seeds; the best method first."""
    names = list(dict.fromkeys(row.configuration for row in rows))
    lines = []
    for method in _by_mean(rows):
        mine = [row for row in rows if row.method == method]
        cells = [_mean([row.f1 for row in mine if row.configuration == name]) for name in names]
        labels = sorted({row.labels for row in mine})
        lines.append(
            (
                method,
                f"{labels[0]:,}" if len(labels) == 1 else f"{labels[0]:,} to {labels[-1]:,}",
                *cells,
                f"{100 * np.mean([row.f1 for row in mine]):.1f}",
                f"{100 * np.mean([row.precision for row in mine]):.1f}",
                f"{100 * np.mean([row.recall for row in mine]):.1f}",
                f"{100 * np.mean([row.f1_duplicates for row in mine]):.1f}",
            )
        )
    header = ("method", "labels", *names, "mean F1", "precision", "recall", "F1 with duplicates")
    return Table(title, header, lines)


def significance(rows: Sequence[Row]) -> Table:
    """Ours against each method trained on all: F1 and p of Mann-Whitney's U, and run by run."""
    ours = {(row.configuration, row.seed): row.f1 for row in rows if row.method == OURS}
    mine = list(ours.values())
    lines = []
    for method in _by_mean(rows):
        if method not in BASELINES:
            continue
        found = {(row.configuration, row.seed): row.f1 for row in rows if row.method == method}
        theirs = [found[run] for run in ours]
        p = above(mine, theirs)
        won = sum(one > other for one, other in zip(mine, theirs, strict=True))
        lines.append(
            (
                method,
                f"{100 * (np.mean(mine) - np.mean(theirs)):+.1f}",
                f"{p:.2g}",
                "yes" if p < SIGNIFICANT and np.mean(mine) > np.mean(theirs) else "no",
                f"{paired(mine, theirs):.2g}",
                f"{won} of {len(mine)}",
            )
        )
    header = ("baseline", "F1", "p", "better", "p, paired", "runs won")
    return Table(f"{OURS} against each baseline", header, lines)


def times(rows: Sequence[Row]) -> Table:
    """Seconds of training, and milliseconds for one sequence."""
    lines = [
        (
            method,
            f"{np.mean([row.train_seconds for row in rows if row.method == method]):.2f}",
            f"{1e3 * np.mean([row.test_seconds for row in rows if row.method == method]):.3f}",
        )
        for method in _by_mean(rows)
    ]
    return Table("Time", ("method", "training, s", "one sequence, ms"), lines)


def on_the_edge(agent: dict[str, Any]) -> Table:
    """What the agent makes of ours on the first test: `edge.measured`."""
    times = [
        (f"ms for a sequence: {name}", f"{ms:.2f}") for name, ms in agent["milliseconds"].items()
    ]
    lines = [
        ("parameters", f"{agent['parameters']:,}"),
        ("bytes of the part", f"{agent['bytes']:,}"),
        (f"votes of {agent['sequences']:,} sequences unlike scikit-learn's", str(agent["differ"])),
        *times,
    ]
    return Table("On the edge, numpy, one thread", ("", "forest, asked"), lines)


def curves(rows: Sequence[Row]) -> Table:
    """F1 over the number of labels, each method trained on as many (RQ2)."""
    sizes = sorted({row.labels for row in rows})
    methods = list(dict.fromkeys(row.method for row in rows))
    lines = [
        (
            method,
            *(
                _mean([row.f1 for row in rows if row.method == method and row.labels == size])
                for size in sizes
            ),
        )
        for method in methods
    ]
    return Table("F1 over labels", ("method", *(f"{size:,}" for size in sizes)), lines)


def curves_significance(rows: Sequence[Row]) -> Table:
    """Ours against each other method at each number of labels: F1 and p of Mann-Whitney's U."""
    sizes = sorted({row.labels for row in rows})
    lines = []
    for method in dict.fromkeys(row.method for row in rows if row.method != OURS):
        cells = []
        for size in sizes:
            mine, theirs = (
                [row.f1 for row in rows if row.method == name and row.labels == size]
                for name in (OURS, method)
            )
            if not mine or not theirs:
                cells.append("–")
                continue
            ahead = 100 * (np.mean(mine) - np.mean(theirs))
            cells.append(f"{ahead:+.1f} ({above(mine, theirs):.2g})")
        lines.append((method, *cells))
    title = f"{OURS} against each, as many labels: F1 (p of Mann-Whitney)"
    return Table(title, ("method", *(f"{size:,}" for size in sizes)), lines)


def markdown(table: Table) -> str:
    """Return a table for a terminal or a page of Markdown."""
    lines = [table.header, ("---",) * len(table.header), *table.rows]
    return f"**{table.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(title: str, tables: Sequence[Table], facts: dict[str, Any]) -> str:
    """Return one HTML page without scripts, nothing loaded from elsewhere."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{html.escape(title)}</title><style>"
        "body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem }"
        "table { border-collapse: collapse } th, td { padding: .2rem .7rem; text-align: left }"
        "th { border-bottom: 2px solid #999 } td { border-bottom: 1px solid #ddd }</style>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    for table in tables:
        parts.append(f"<h2>{html.escape(table.title)}</h2><table>")
        for tag, lines in (("th", [table.header]), ("td", table.rows)):
            for line in lines:
                cells = "".join(f"<{tag}>{html.escape(cell)}" for cell in line)
                parts.append(f"<tr>{cells}")
        parts.append("</table>")
    told = "".join(
        f"<li>{html.escape(name)}: {html.escape(str(value))}" for name, value in facts.items()
    )
    return "\n".join([*parts, f"<ul>{told}</ul></html>", ""])


def _by_mean(rows: Sequence[Row]) -> list[str]:
    methods = dict.fromkeys(row.method for row in rows)
    return sorted(methods, key=lambda name: -np.mean([r.f1 for r in rows if r.method == name]))


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values):.1f}"
