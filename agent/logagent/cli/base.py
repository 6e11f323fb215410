"""The application itself: how a command is run, and what becomes of its errors.

Guarantees: one line on standard error per problem; exit codes as in `logagent.errors`; a closed
pipe ends quietly.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from logagent import __version__
from logagent.errors import EXIT_OK, LogagentError, OutputError
from logagent.sanitise import printable

__all__ = ["app", "guarded", "main"]

_EXIT_CLOSED_PIPE = 128 + signal.SIGPIPE  # what a shell reports of grep in `grep … | head`

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


def guarded(command: Any) -> NoReturn:
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
