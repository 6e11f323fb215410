"""`logagent run` and `logagent status`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from logagent.cli.base import app, guarded
from logagent.cli.options import (
    BackendChoice,
    BundleOption,
    ConfigOption,
    Format,
    Sensitivity,
    StateDirOption,
)

__all__ = ["run", "status"]

_ARGUMENT_CHARS = 30_000  # of ASCII, well below the kernel's limit for one argument


@app.command(
    epilog="Signals: SIGTERM and SIGINT save and stop, SIGHUP reads configuration and model again. "
    "Exit codes: 0 stopped, 2 usage, 3 bundle, 5 backend, 7 configuration, 8 state folder."
)
def run(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Files, folders, globs to follow, or - for standard input.  [default: /var/log]",
        ),
    ] = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="At the first start, read what is there already, too."),
    ] = False,
    no_group: Annotated[
        bool, typer.Option("--no-group", help="One alert per anomalous line, not per group.")
    ] = False,
    output: Annotated[
        Format | None,
        typer.Option("--format", help="human on a terminal or in the journal, else JSON Lines."),
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append alerts to this file, too; it is rotated."),
    ] = None,
    syslog: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE", help="Send alerts to syslog, too: local, udp://HOST:PORT, tcp://…"
        ),
    ] = None,
    no_stdout: Annotated[bool, typer.Option("--no-stdout", help="Print no alerts.")] = False,
    sensitivity: Annotated[
        Sensitivity | None,
        typer.Option(help="low: only the clearest; high: also the doubtful.  [default: normal]"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, metavar="SCORE", help="Alert from here on, not by --sensitivity."
        ),
    ] = None,
    backend: Annotated[
        BackendChoice | None,
        typer.Option(help="auto: onnxruntime where it is installed, else numpy.  [default: auto]"),
    ] = None,
    bundle: BundleOption = None,
    learn: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Learn for so long, 24h or 3d, what is routine here and which threshold fits.",
        ),
    ] = None,
    poll_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="Look at files so often without inotify.  [default: 1]"),
    ] = None,
    trace_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="Wait so long for a stack trace to end.  [default: 0.5]"),
    ] = None,
    save_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="Save positions so often after an alert.  [default: 10]"),
    ] = None,
) -> None:
    """Follow logs and tell what is wrong in them, for as long as the machine runs.

    Needs no configuration: without arguments it follows /var/log. Positions survive restarts,
    rotation, crashes and power cuts: no line is missed, and after a crash an alert may come twice
    with the same id. `logagent status` shows what it does; docs/operations.md has the systemd unit.
    """
    overrides = {
        "watch.paths": paths or None,
        "watch.from_start": from_start or None,
        "watch.poll_seconds": poll_seconds,
        "watch.trace_seconds": trace_seconds,
        "state.dir": None if state_dir is None else str(state_dir),
        "state.save_seconds": save_seconds,
        "adapt.learn_seconds": _learn_seconds(learn),
        "alerts.group": False if no_group else None,
        "sinks.format": output and output.value,
        "sinks.jsonl": None if jsonl is None else str(jsonl),
        "sinks.syslog": syslog,
        "sinks.stdout": False if no_stdout else None,
        "model.sensitivity": sensitivity and sensitivity.value,
        "model.threshold": threshold,
        "model.backend": backend and backend.value,
        "model.bundle": None if bundle is None else str(bundle),
    }
    guarded(lambda: _become_agent(config, overrides))


def _learn_seconds(text: str | None) -> float | None:
    from logagent.teach_command import lasting_seconds

    if text is None:
        return None
    try:
        return lasting_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--learn") from None


def _become_agent(config: Path | None, overrides: dict[str, Any]) -> int:
    """Check the configuration, then go on as `logagent.service`, which has no use for typer."""
    from logagent.config import load

    load(config, overrides)
    given = {key: value for key, value in overrides.items() if value is not None}
    asked = json.dumps({"config": config and str(config), "overrides": given})
    # The kernel takes 128 KiB in one argument.
    parts = [asked[at : at + _ARGUMENT_CHARS] for at in range(0, len(asked), _ARGUMENT_CHARS)]
    # A reload before the agent listens has nothing to do; what is ignored stays so in the new one.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # -P: nothing is imported from the folder that the agent is started in.
    command = [sys.executable, "-P", "-m", "logagent.service", *parts]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted


@app.command()
def status(
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")] = False,
) -> None:
    """Show what the running agent does: files and their lag, alerts, sinks, memory, problems."""

    def show() -> int:
        from logagent.status_command import status_command

        return status_command(config, state_dir, as_json=as_json)

    guarded(show)
