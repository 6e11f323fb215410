"""`logagent scan`."""

from __future__ import annotations

import math
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from logagent.bundle import DEFAULT_BUNDLE
from logagent.cli.base import app, guarded
from logagent.cli.options import (
    BackendChoice,
    BundleOption,
    Format,
    Sensitivity,
    StatsFormat,
    since_time,
)

__all__ = ["scan"]


@app.command(
    epilog="Exit codes: 0 done, 1 anomalies found (with --exit-code), 2 usage, 3 bundle, "
    "4 something could not be read (the rest was scanned), 5 backend, 6 output, 7 overrides, "
    "130 interrupted."
)
def scan(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, globs, archives (gz, bz2, xz, zst), or - for standard input.",
        ),
    ],
    output: Annotated[
        Format,
        typer.Option("--format", help="human on a terminal, JSON Lines otherwise, unless given."),
    ] = Format.auto,
    every_line: Annotated[
        bool, typer.Option("--all", help="Print every line with its score, not groups.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a page to look at: one file, no network."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Show at most N groups.  [default: 20, all with jsonl]"
        ),
    ] = None,
    sensitivity: Annotated[
        Sensitivity, typer.Option(help="low: only the clearest; high: also the doubtful.")
    ] = Sensitivity.normal,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, metavar="SCORE", help="Report scores from here on, not --sensitivity."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Leave out older lines: 2h, 3d, today, 2026-01-31, ISO 8601."
        ),
    ] = None,
    overrides: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Heed what was taught with feedback and ignore: overrides.toml of a state folder.",
        ),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if anomalies were found.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no results.")] = False,
    stats: Annotated[
        StatsFormat | None,
        typer.Option(help="Print counters as JSON, the last line on standard error."),
    ] = None,
    backend: Annotated[
        BackendChoice, typer.Option(help="auto: onnxruntime where it is installed, else numpy.")
    ] = BackendChoice.auto,
    bundle: BundleOption = None,
    binary: Annotated[
        bool, typer.Option("--binary", help="Read files that do not look like text, too.")
    ] = False,
    max_expand: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="RATIO",
            help="Stop an archive that expands more than RATIO times (0: never).  [default: 200]",
        ),
    ] = None,
) -> None:
    """Find what is wrong in logs: anomalous lines, grouped and ranked.

    Scans /var/log/syslog, whole folders, archives or a pipe with the shipped model. Groups are
    ranked by score x novelty: what is severe and rare comes first.
    """
    from logagent.scan_command import Options, scan_command

    if threshold is not None and math.isnan(threshold):
        raise typer.BadParameter("not a number", param_hint="--threshold")
    human = sys.stdout.isatty() if output is Format.auto else output is Format.human
    options = Options(
        human=human,
        every_line=every_line,
        top=top if top is not None else (20 if human else None),
        sensitivity=sensitivity.value,
        threshold=threshold,
        since=since_time(since),
        exit_code=exit_code,
        quiet=quiet,
        stats=stats is not None,
        backend=backend.value,
        bundle=bundle or DEFAULT_BUNDLE,
        binary=binary,
        max_ratio=max_expand,
        width=shutil.get_terminal_size((100, 24)).columns,
        colour=human and sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        progress=sys.stderr.isatty() and not quiet,
        html=html,
        overrides=overrides,
    )
    guarded(lambda: scan_command(paths, options))
