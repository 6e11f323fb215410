"""The command line: parse, call, print, exit code. Nothing else in the agent knows typer.

Results go to standard output only; every command is a function of its own module, and what it
does is in a module that knows nothing of command lines.
"""

from logagent.cli import config, doctor, learned, model, replay, run, scan, teach  # noqa: F401 - their commands are there once they are imported
from logagent.cli.base import app, main

__all__ = ["app", "main"]
