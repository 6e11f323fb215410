"""`logagent replay`."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logagent.cli.base import app, guarded
from logagent.cli.options import (
    BackendChoice,
    BundleOption,
    ConfigOption,
    Format,
    Sensitivity,
    SequencesOption,
    SessionAcrossOption,
    SessionKeyOption,
    SessionTimeoutOption,
    StateDirOption,
    WindowOption,
    WindowSecondsOption,
    since_time,
)
from logagent.cli.scan import sequence_options

if TYPE_CHECKING:
    from logagent.sequences.scanning import SequenceOptions

__all__ = ["replay"]


@app.command(
    epilog="Exit codes: 0 done, 2 usage, 3 bundle, 4 something could not be read (the rest was "
    "replayed), 5 backend, 7 configuration."
)
def replay(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Files, folders, globs, archives, or - for standard input."
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Leave out older lines: 2h, 7d, today, 2026-01-31, ISO 8601."
        ),
    ] = None,
    output: Annotated[
        Format,
        typer.Option("--format", help="human on a terminal, JSON Lines otherwise, unless given."),
    ] = Format.auto,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    sensitivity: Annotated[
        Sensitivity | None,
        typer.Option(help="low: only the clearest; high: also the doubtful.  [default: normal]"),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Alerts a day, 0: no limit.  [default: 20]"),
    ] = None,
    backend: Annotated[
        BackendChoice | None,
        typer.Option(help="auto: onnxruntime where it is installed, else numpy.  [default: auto]"),
    ] = None,
    bundle: BundleOption = None,
    sequences: SequencesOption = False,
    session_key: SessionKeyOption = None,
    session_timeout: SessionTimeoutOption = None,
    session_across: SessionAcrossOption = False,
    max_sessions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=50_000,  # as `sequences.max_sessions`
            metavar="N",
            help="Sessions held open; of more, the oldest ends early.  [default: 2000]",
        ),
    ] = None,
    window: WindowOption = None,
    window_seconds: WindowSecondsOption = None,
) -> None:
    """Say what the agent would have alerted, had it followed these logs: before you trust it.

    Reads logs, rotated and compressed ones too, in the order of the times in their lines, and
    applies the whole alert policy of `logagent run` with its configuration: one alert per group,
    waits, budget, digests, and what you told it to ignore. Nothing is sent and nothing is saved.
    """
    from logagent.replay_command import Options, replay_command

    chosen = sequence_options(
        asked=sequences,
        key=session_key,
        timeout=session_timeout,
        across=session_across,
        max_sessions=max_sessions,
        window=window,
        window_seconds=window_seconds,
    )
    human = sys.stdout.isatty() if output is Format.auto else output is Format.human
    options = Options(
        since=since_time(since),
        human=human,
        config=config,
        overrides={
            "state.dir": None if state_dir is None else str(state_dir),
            "alerts.budget_per_day": budget,
            "model.sensitivity": sensitivity and sensitivity.value,
            "model.backend": backend and backend.value,
            "model.bundle": None if bundle is None else str(bundle),
            "sequences.max_sessions": max_sessions,
            **({} if chosen is None else _enabled(chosen)),
        },
        progress=sys.stderr.isatty(),
        width=shutil.get_terminal_size((100, 24)).columns,
    )
    guarded(lambda: replay_command(paths, options))


def _enabled(options: SequenceOptions) -> dict[str, Any]:
    """Return what the configuration would say: one rule for all logs, if one was given."""
    given = {
        "key": options.key,
        "window_lines": options.window_lines or None,
        "window_seconds": options.window_seconds or None,
        "steps": options.steps if options.window_lines or options.window_seconds else None,
        "timeout_seconds": options.timeout_seconds,
        "across": options.across,
    }
    table = {name: value for name, value in given.items() if value is not None}
    return {"sequences.enabled": True, "sequences.rules": [table] if table else None}
