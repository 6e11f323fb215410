"""`logagent scan`."""

from __future__ import annotations

import math
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logagent.bundle import DEFAULT_BUNDLE
from logagent.cli.base import app, guarded
from logagent.cli.options import (
    BackendChoice,
    BundleOption,
    Format,
    MaxSessionsOption,
    Sensitivity,
    SequencesOption,
    SessionAcrossOption,
    SessionKeyOption,
    SessionTimeoutOption,
    StatsFormat,
    WindowOption,
    WindowSecondsOption,
    since_time,
)

if TYPE_CHECKING:
    from logagent.sequences.scanning import SequenceOptions

__all__ = ["scan", "sequence_options"]


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
    sequences: SequencesOption = False,
    session_key: SessionKeyOption = None,
    session_timeout: SessionTimeoutOption = None,
    session_across: SessionAcrossOption = False,
    max_sessions: MaxSessionsOption = None,
    window: WindowOption = None,
    window_seconds: WindowSecondsOption = None,
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
        sequences=sequence_options(
            asked=sequences,
            key=session_key,
            timeout=session_timeout,
            across=session_across,
            max_sessions=max_sessions,
            window=window,
            window_seconds=window_seconds,
        ),
    )
    guarded(lambda: scan_command(paths, options))


def sequence_options(
    *,
    asked: bool,
    key: str | None,
    timeout: float | None,
    across: bool,
    max_sessions: int | None,
    window: str | None,
    window_seconds: str | None,
) -> SequenceOptions | None:
    """Return how lines make sequences; None if they are not to be judged."""
    given = {
        "--session-key": key,
        "--session-timeout": timeout,
        "--session-across": across or None,
        "--max-sessions": max_sessions,
        "--window": window,
        "--window-seconds": window_seconds,
    }
    named = [name for name, value in given.items() if value is not None]
    if not asked:
        if named:
            raise typer.BadParameter("goes with --sequences, and only so", param_hint=named[0])
        return None
    ways = [name for name in ("--session-key", "--window", "--window-seconds") if name in named]
    if len(ways) > 1:
        raise typer.BadParameter("only one of them can be given", param_hint=" ".join(ways))
    if ways and ways[0] != "--session-key" and (timeout is not None or across):
        raise typer.BadParameter("sessions have no windows", param_hint=ways[0])
    from logagent.sequences.scanning import SequenceOptions

    lines, seconds, steps = 0.0, 0.0, 1
    if window is not None:
        lines, steps = _window(window, "--window", whole=True)
    if window_seconds is not None:
        seconds, steps = _window(window_seconds, "--window-seconds", whole=False)
    options = SequenceOptions(
        key=key,
        window_lines=int(lines),
        window_seconds=seconds,
        steps=steps,
        timeout_seconds=timeout,
        across=across or None,
    )
    return options if max_sessions is None else replace(options, max_sessions=max_sessions)


def _window(text: str, option: str, *, whole: bool) -> tuple[float, int]:
    """Return a window's length, and in how many steps it moves on by that."""
    from logagent.sequences.rules import window_length

    try:
        return window_length(text, whole=whole)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
