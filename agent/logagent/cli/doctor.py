"""`logagent doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from logagent.cli.base import app, guarded
from logagent.cli.options import ConfigOption, StateDirOption

__all__ = ["doctor"]


@app.command(epilog="Exit codes: 0 no problem (warnings or not), 9 a problem, 7 no such user.")
def doctor(
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Look with the rights of this user; logagent: those of the systemd unit.  "
            "[default: who runs this]",
        ),
    ] = None,
    network: Annotated[
        bool,
        typer.Option("--network", help="Also look up and connect to where alerts are sent."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of findings.")] = False,
) -> None:
    """Look at this machine as `logagent run` would find it; say what is wrong and how to mend it.

    Changes nothing, and uses no network unless it is asked to.
    """

    def look() -> int:
        from logagent.doctor_command import doctor_command

        return doctor_command(config, state_dir, user, as_json=as_json, network=network)

    guarded(look)
