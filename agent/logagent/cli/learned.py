"""`logagent learned`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logagent.cli.base import app, guarded
from logagent.cli.options import ConfigOption, StateDirOption

__all__ = ["learned_app"]

learned_app = typer.Typer(
    help="Look at what was learnt of this host, move it, drop it.", no_args_is_help=True
)
app.add_typer(learned_app, name="learned")


@learned_app.command("list")
def learned_list(
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")] = False,
) -> None:
    """Print what was learnt: the threshold of this host and its routine groups."""

    def show() -> int:
        from logagent.learned_command import list_facts

        return list_facts(config, state_dir, as_json=as_json)

    guarded(show)


@learned_app.command("export")
def learned_export(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="File to write, or - for standard output.")
    ],
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Write what was learnt to a file, for another host of the same kind."""

    def export() -> int:
        from logagent.learned_command import export_facts

        return export_facts(config, state_dir, file)

    guarded(export)


@learned_app.command("import")
def learned_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What another host exported.")],
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Use what was learnt elsewhere; the running agent is told."""

    def take() -> int:
        from logagent.learned_command import import_facts

        return import_facts(config, state_dir, file)

    guarded(take)


@learned_app.command("reset")
def learned_reset(
    habits: Annotated[
        bool, typer.Option("--habits", help="Also forget how often this host says what.")
    ] = False,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Drop what was learnt; the running agent is told."""

    def reset() -> int:
        from logagent.learned_command import reset_facts

        return reset_facts(config, state_dir, habits=habits)

    guarded(reset)
