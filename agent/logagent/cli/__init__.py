"""The command line: parse, call, print, exit code. Nothing else in the agent knows typer.

Results go to standard output only; every command is a function of its own module, and what it
does is in a module that knows nothing of command lines.
"""

from logagent.cli import config, doctor, learned, model, replay, run, scan, teach  # noqa: F401 - their commands are there once they are imported
from logagent.cli.base import app, main

__all__ = ["app", "main"]

# As a newcomer needs them; `--help` lists them in this order, groups of commands last.
_ORDER = ("scan", "run", "status", "replay", "doctor", "feedback")

app.registered_commands.sort(
    key=lambda command: _ORDER.index(command.callback.__name__) if command.callback else -1
)
