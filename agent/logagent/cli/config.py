"""`logagent config`."""

from __future__ import annotations

import typer

from logagent.cli.base import app, guarded
from logagent.cli.options import ConfigOption

__all__ = ["config_app"]

config_app = typer.Typer(help="Look at the configuration of `logagent run`.", no_args_is_help=True)
app.add_typer(config_app, name="config")


@config_app.command("check")
def config_check(config: ConfigOption = None) -> None:
    """Check the configuration file; exit with 7 if it cannot be used."""

    def check() -> int:
        from logagent.config_command import check as check_config

        return check_config(config)

    guarded(check)


@config_app.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the configuration in force, every key with its value and where that comes from."""

    def show() -> int:
        from logagent.config_command import show as show_config

        return show_config(config)

    guarded(show)
