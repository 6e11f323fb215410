"""The command that trains on sessions or windows of log lines."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer
from logagent.bundle import DEFAULT_BUNDLE

from logagent_build.cli.base import app, exit_codes, need, say
from logagent_build.cli.options import SeedOption

LogsArgument = Annotated[
    list[str], typer.Argument(metavar="LOGS...", help="Logs, as `logagent scan` takes them.")
]
KeyOption = Annotated[
    str, typer.Option(metavar="REGEX", help="Lines with the same (?P<session>…) are a session.")
]
LabelsOption = Annotated[
    Path | None, typer.Option(help="A session, a tab, 0 (normal) or 1, one to a line.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        min=0.0, metavar="SECONDS", help="A session ends when nothing came for so long; 0 never."
    ),
]
AcrossOption = Annotated[
    bool, typer.Option("--session-across", help="Equal keys of several files are one session.")
]
MostOption = Annotated[
    int,
    typer.Option(min=2, max=4096, help="Events kept of a session; of a longer one its two ends."),
]


@app.command()
def sessions(
    logs: LogsArgument,
    *,
    session_key: KeyOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Sessions to write (JSON Lines).")],
    labels: LabelsOption = None,
    session_timeout: TimeoutOption = 0.0,
    session_across: AcrossOption = False,
    max_events: MostOption = 512,
) -> None:
    """Write the sessions of log lines, for `vote` or a person to judge.

    See docs/sequences-llm.md.
    """
    need(("sklearn",))
    command = importlib.import_module("logagent_build.sequences.sessions_command")
    options = importlib.import_module("logagent_build.sequences.options")
    with exit_codes():
        rule = options.rule_for(
            session_key,
            timeout_seconds=session_timeout,
            across=session_across,
            max_events=max_events,
        )
        command.write(logs, rule, labels, out, say)


@app.command()
def sequences(
    logs: LogsArgument,
    *,
    session_key: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Lines with the same (?P<session>…) are a session."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="N[/STEP]", help="So many lines are a sequence, begun anew every STEP lines."
        ),
    ] = None,
    window_seconds: Annotated[
        str | None,
        typer.Option(metavar="S[/STEP]", help="The same, in seconds of the log's own time."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="A session, a tab, 0 (normal) or 1, one to a line. For windows: labelled lines."
        ),
    ] = None,
    incidents: Annotated[
        Path | None,
        typer.Option(help="Start, a tab, end (ISO 8601): windows of these times are anomalous."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle to write.")],
    votes: Annotated[
        Path | None,
        typer.Option(help="Votes on sessions (`sessions`, then `vote`), where labels are missing."),
    ] = None,
    rare: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            max=0.1,
            metavar="SHARE",
            help="No labels: sessions are anomalous if fewer than this share have their events. "
            "0.01 is a start.",
        ),
    ] = None,
    base: Annotated[
        Path, typer.Option(help="Bundle whose other parts are taken over.")
    ] = DEFAULT_BUNDLE,
    session_timeout: TimeoutOption = 0.0,
    session_across: AcrossOption = False,
    max_events: MostOption = 512,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.5,
            metavar="SHARE",
            help="Of distinct normal sequences: may be flagged. By default 0.01, of windows 0.05.",
        ),
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            metavar="auto|on|off",
            help="A voter for the order of events, learnt from normal sessions; auto: if it finds "
            "something without false alarms.",
        ),
    ] = "auto",
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Add the same as an ONNX graph, for --backend onnxruntime."),
    ] = False,
    seed: SeedOption = 0,
) -> None:
    """Train on labelled sessions or windows of lines: a bundle for `logagent scan --sequences`.

    Labels are those of people (--labels), of a language model (--votes), or both; or none, and
    what is rare is anomalous (--rare). See
    docs/sequences-agent.md.
    """
    need(("sklearn", "onnx", "onnxruntime") if onnx else ("sklearn",))
    building = importlib.import_module("logagent_build.sequences.building")
    options = importlib.import_module("logagent_build.sequences.options")
    with exit_codes():
        rule = options.rule_for(
            session_key,
            window,
            window_seconds,
            timeout_seconds=session_timeout,
            across=session_across,
            max_events=max_events,
        )
        building.build(
            logs,
            rule,
            labels,
            base,
            out,
            votes=votes,
            rare=rare,
            incidents=incidents,
            onnx=onnx,
            seed=seed,
            false_alarms=false_alarms,
            order=order,
            say=say,
        )
