"""Options that several commands share, and the words they take."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BackendChoice",
    "BundleOption",
    "ConfigOption",
    "Format",
    "MaxSessionsOption",
    "Sensitivity",
    "SequencesOption",
    "SessionAcrossOption",
    "SessionKeyOption",
    "SessionTimeoutOption",
    "StateDirOption",
    "StatsFormat",
    "WindowOption",
    "WindowSecondsOption",
    "since_time",
]


class Format(enum.StrEnum):
    """How results are printed."""

    auto = "auto"
    human = "human"
    jsonl = "jsonl"


class Sensitivity(enum.StrEnum):
    """Named points on the curve of false alarms against findings, stored in the bundle."""

    low = "low"
    normal = "normal"
    high = "high"


class BackendChoice(enum.StrEnum):
    """What runs the detector."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    numpy = "numpy"


class StatsFormat(enum.StrEnum):
    """How ``--stats`` prints."""

    json = "json"


BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle", metavar="FILE", help="Model bundle to use instead of the shipped one."
    ),
]


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file.  [default: /etc/logagent/logagent.toml, if it exists]",
    ),
]
StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        help="Where positions, groups and the spool are kept.  [default: /var/lib/logagent]",
    ),
]

SequencesOption = Annotated[
    bool,
    typer.Option(
        "--sequences",
        help="Also judge sessions or windows of lines; needs a bundle that was trained for it.",
    ),
]
SessionKeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Lines with the same (?P<session>…) are a session.  [default: as trained]",
    ),
]
SessionTimeoutOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="A session ends when nothing came for so long, 0 never.  [default: as trained]",
    ),
]
SessionAcrossOption = Annotated[
    bool,
    typer.Option("--session-across", help="Equal keys of several files are one session."),
]
MaxSessionsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1_000_000,
        metavar="N",
        help="Sessions held open; of more, the oldest ends early.  [default: 2000]",
    ),
]
WindowOption = Annotated[
    str | None,
    typer.Option(
        metavar="N[/STEP]", help="So many lines are a sequence, begun anew every STEP lines."
    ),
]
WindowSecondsOption = Annotated[
    str | None,
    typer.Option(metavar="S[/STEP]", help="The same, in seconds of the log's own time."),
]


def since_time(text: str | None) -> float | None:
    """Return what ``--since`` means [s since 1970]."""
    from logagent.times import parse_since

    if text is None:
        return None
    try:
        return parse_since(text, time.time())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
