"""The command line: parse, call, print, exit code. Nothing else in the agent knows typer.

Guarantees: one line on standard error per problem; results on standard output only; exit codes as
in `logagent.errors`; a closed pipe ends quietly; Ctrl-C prints what was found so far.
"""

from __future__ import annotations

import enum
import io
import json
import math
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from logagent import __version__
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.errors import EXIT_OK, LogagentError, OutputError
from logagent.report import size_text
from logagent.sanitise import printable

__all__ = ["app", "main"]

app = typer.Typer(
    name="logagent",
    help="Is anything wrong in these logs? Finds the lines an operator would want to see, in logs "
    "of systems it has never seen: no configuration, no training, no network.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # keeps rich, and its 2 MiB, out of the agent
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
config_app = typer.Typer(help="Look at the configuration of `logagent run`.", no_args_is_help=True)
model_app = typer.Typer(help="Look at the model bundle.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(model_app, name="model")

_ARGUMENT_CHARS = 30_000  # of ASCII, well below the kernel's limit for one argument
_EXIT_CLOSED_PIPE = 128 + signal.SIGPIPE  # what a shell reports of grep in `grep … | head`


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


def _show_version(show: bool) -> None:
    if show:
        typer.echo(f"logagent {__version__}")
        raise typer.Exit(EXIT_OK)


@app.callback()
def _main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Exit codes: 0 done, 1 anomalies found (with --exit-code), 2 usage, 3 bundle, "
    "4 something could not be read (the rest was scanned), 5 backend, 6 output, 130 interrupted."
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
        since=None if since is None else _since(since),
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
    )
    _guarded(lambda: scan_command(paths, options))


def _since(text: str) -> float:
    from logagent.times import parse_since

    try:
        return parse_since(text, time.time())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


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
    _guarded(lambda: _become_agent(config, overrides))


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

    _guarded(show)


@config_app.command("check")
def config_check(config: ConfigOption = None) -> None:
    """Check the configuration file; exit with 7 if it cannot be used."""

    def check() -> int:
        from logagent.config_command import check as check_config

        return check_config(config)

    _guarded(check)


@config_app.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the configuration in force, every key with its value and where that comes from."""

    def show() -> int:
        from logagent.config_command import show as show_config

        return show_config(config)

    _guarded(show)


@model_app.command("info")
def model_info(bundle: BundleOption = None) -> None:
    """Print what a bundle is: format, parts, thresholds, and how it was made, as JSON."""

    def show() -> int:
        loaded = Bundle.load(bundle or DEFAULT_BUNDLE)
        manifest = loaded.manifest
        facts: dict[str, Any] = {
            "path": str(loaded.path),
            "name": manifest.name,
            "sha256": loaded.sha256,
            "parts": loaded.sizes(),
            "thresholds": manifest.thresholds,
            "embedding": manifest.embedding,
            "domains": manifest.domains,
            "categories": manifest.categories,
            "systems": manifest.systems,
            "record": manifest.record,
        }
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=True))
        return EXIT_OK

    _guarded(show)


@model_app.command("verify")
def model_verify(bundle: BundleOption = None) -> None:
    """Check a bundle's checksums and that the model loads; exit with 3 if it does not."""

    def verify() -> int:
        from logagent.kinds import Kinds
        from logagent.scorer import Scorer

        loaded = Bundle.load(bundle or DEFAULT_BUNDLE)
        scorer = Scorer(loaded)
        Kinds(loaded).of(scorer.embedding.embed([b"a line"])[0])
        size = size_text(sum(loaded.sizes().values()))
        typer.echo(f"{printable(str(loaded.path))}: good ({size}, backend {scorer.backend.name})")
        return EXIT_OK

    _guarded(verify)


def _guarded(command: Any) -> NoReturn:
    """Run a command; turn what it raises into one line and an exit code."""
    try:
        code = command()
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
    except LogagentError as error:
        for line in str(error).splitlines():
            _complain(line)
        code = error.exit_code
    except BrokenPipeError:
        _give_up_output()
        code = _EXIT_CLOSED_PIPE
    except OSError as error:
        _complain(f"cannot write the results: {error.strerror or error}")
        _give_up_output()
        code = OutputError.exit_code
    raise typer.Exit(code)


def _give_up_output() -> None:
    """Point standard output nowhere: the interpreter flushes it once more at exit."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    typer.echo(f"logagent: {printable(message, 2000)}", err=True)


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no "×" gets an escape
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="logagent")
