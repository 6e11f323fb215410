"""Commands that train and evaluate."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from logagent.bundle import DEFAULT_BUNDLE
from rich.console import Console
from rich.table import Table

from logagent_build.cli.base import (
    CACHE,
    CORPORA,
    DATA,
    EXIT_INPUT,
    JOBS,
    LABELS,
    LEXICON,
    app,
    bars,
    reported,
    stages,
)
from logagent_build.cli.options import (
    CacheOption,
    CorporaOption,
    DataOption,
    JobsOption,
    LabelsOption,
    LexiconOption,
    LoghubOption,
)


@app.command()
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write.")],
    *,
    corpora: CorporaOption = CORPORA,
    lexicon: LexiconOption = LEXICON,
    labels: LabelsOption = LABELS,
    loghub: LoghubOption = None,
    no_loghub: Annotated[
        bool, typer.Option("--no-loghub", help="Do without loghub entirely.")
    ] = False,
    train_on_loghub: Annotated[
        bool,
        typer.Option("--train-on-loghub", help="Train on loghub's labels, not only predict them."),
    ] = False,
    data: DataOption = DATA,
    cache: CacheOption = CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    folds: Annotated[int, typer.Option(help="Folds over domains; 0 is one per domain.")] = 10,
    jobs: JobsOption = JOBS,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few epochs, three folds: to try the pipeline.")
    ] = False,
) -> None:
    """Train, calibrate, quantise, compare and write one bundle."""
    build = stages()
    began = time.monotonic()
    folder = None if no_loghub else loghub or data / "loghub"
    paths = build.Paths(corpora, lexicon, labels, folder, data, cache)
    with reported(), bars() as progress:
        record = build.build(
            output,
            paths,
            progress,
            seed=seed,
            folds=folds,
            jobs=jobs,
            with_loghub=train_on_loghub,
            quick=quick,
        )
    took = {"seconds": round(time.monotonic() - began), "bytes": output.stat().st_size}
    typer.echo(json.dumps(record | took, indent=1))


@app.command()
def evaluate(
    *,
    bundle: Annotated[Path, typer.Option(help="Bundle to look at.")] = DEFAULT_BUNDLE,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="What to score: a known name (see below) or a labelled or plain file. "
            "Repeat for several; by default every known target that is there."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page with plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    lodo: Annotated[
        bool, typer.Option("--lodo", help="Also train anew with domains left out.")
    ] = False,
    folds: Annotated[int, typer.Option(help="Of --lodo; 0 is one per domain.")] = 0,
    kin: Annotated[
        bool,
        typer.Option("--kin", help="Of --lodo: leave out systems with the same software, too."),
    ] = False,
    jobs: JobsOption = JOBS,
    corpora: CorporaOption = CORPORA,
    lexicon: LexiconOption = LEXICON,
    labels: LabelsOption = LABELS,
    loghub: LoghubOption = None,
    data: DataOption = DATA,
    cache: CacheOption = CACHE,
) -> None:
    """Score a bundle on targets from raw lines, and its configuration by leave-one-domain-out.

    Known targets: bgl, thunderbird, fail2ban, edge_judged, hdfs, rpi3, k8s_node. Files may be
    JSON Lines with a label and a text, tab-separated rows with a label, lines whose first word is
    an alert tag or "-" (CFDR), or plain lines without labels.
    """
    build = stages()
    with reported():
        figures: dict[str, Any] = {"targets": build.look(bundle, data, target, report)}
    if lodo:
        paths = build.Paths(corpora, lexicon, labels, loghub or data / "loghub", data, cache)
        with reported(), bars() as progress:
            figures["held_out"] = build.leave_out_again(
                bundle, paths, progress, folds=folds, jobs=jobs, kin=kin
            )
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    _show(figures["targets"])
    if report is not None:
        typer.echo(f"report: {report}", err=True)
    if lodo:
        typer.echo(json.dumps(figures["held_out"], indent=1))


_COLUMNS = ("auroc", "average_precision", "brier")
_POINT = ("precision", "recall", "f1", "false_alarm_share", "groups_per_10000_lines")


def _show(targets: dict[str, dict[str, Any]]) -> None:
    """Print one row per target and sensitivity."""
    table = Table("target", "lines", *_COLUMNS, "sensitivity", "flagged", *_POINT, box=None)
    for name, row in targets.items():
        first = [name, str(row["lines"]), *(_cell(row.get(column)) for column in _COLUMNS)]
        for sensitivity in ("low", "normal", "high"):
            point = row[sensitivity]
            shown = (point["flagged_share"], *(point.get(column) for column in _POINT))
            table.add_row(*first, sensitivity, *map(_cell, shown))
            first = [""] * len(first)
    wide = None if sys.stdout.isatty() else 160
    Console(width=wide).print(table)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


@app.command()
def maidlog(
    *,
    data: DataOption = DATA,
    labels: LabelsOption = LABELS,
    seeds: Annotated[int, typer.Option(help="Trainings of what is random: 0, 1, ….")] = 5,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Also write every figure to this file.")
    ] = None,
) -> None:
    """Run MaidLog's evaluation protocol and print its table as Markdown; see docs/maidlog.md.

    The paper's detector and its rivals are trained on twelve loghub systems and score BGL.
    Nothing of it goes into a bundle.
    """
    stages()
    protocol = importlib.import_module("logagent_build.maidlog")  # torch: only when it runs
    try:
        with bars() as progress:
            table = protocol.run(data, labels, seeds=seeds, progress=progress)
        typer.echo(protocol.markdown(table), nl=False)
        if as_json is not None:
            as_json.write_text(json.dumps(table.as_dict(), indent=1) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(EXIT_INPUT) from None
