"""`logagent model`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from logagent.cli.base import app, guarded
from logagent.cli.options import ConfigOption, Format, StateDirOption

__all__ = ["model_app"]

model_app = typer.Typer(
    help="The model bundle: what is in force, check one, take a new one, go back.",
    no_args_is_help=True,
)
app.add_typer(model_app, name="model")

_BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle", metavar="FILE", help="Bundle to look at.  [default: the one in force]"
    ),
]
_KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Ed25519 public key (PEM) that the signature, FILE.sig, must be by.  "
        "[default: model.public_key of the configuration]",
    ),
]


@model_app.command("info")
def model_info(
    bundle: _BundleOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Print which bundle is in force and why, and what it is, as JSON.

    In force is the one that the configuration names (why: configured), else the one that `logagent
    model update` has taken (updated), else the one that came with the program (shipped).
    """

    def show() -> int:
        from logagent.model_command import info

        return info(bundle, config, state_dir)

    guarded(show)


@model_app.command("verify")
def model_verify(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Bundle to check.  [default: the one in force]"),
    ] = None,
    bundle: _BundleOption = None,
    key: _KeyOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Check a bundle's checksums and signature, and that its model loads; exit with 3 if not.

    The signature is checked if there is a key: of a FILE always, of what is in force only with
    --key, since an update has checked it and keeps none.
    """
    if file is not None and bundle is not None:
        raise typer.BadParameter("give FILE or --bundle, not both", param_hint="--bundle")

    def check() -> int:
        from logagent.model_command import verify

        return verify(file or bundle, key, config, state_dir)

    guarded(check)


@model_app.command(
    "update",
    epilog="Exit codes: 0 taken, or nothing to do; 2 usage; 3 not taken, the message says why; "
    "5 backend; 7 configuration; 8 state folder. Unless it is 0, everything is as it was.",
)
def model_update(
    place: Annotated[
        str,
        typer.Argument(metavar="FILE|URL", help="A bundle: a file, or an https:// address."),
    ],
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256", metavar="HEX", help="Take it only if `sha256sum` of the file is this."
        ),
    ] = None,
    key: _KeyOption = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Do not ask; what would alert far more, or judge sequences no more, is refused.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Do not ask, and take such a one, too."),
    ] = False,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            "--shadow",
            metavar="PATH",
            help="Compare the models on these files; may be given again.  "
            "[default: what is watched]",
        ),
    ] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Allow an address that begins with http://.")
    ] = False,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Take a new model bundle, safely: fetch, check, compare, swap, tell the running agent.

    It is checked in full (checksums, format, signature if there is a key), its model is loaded and
    run, and both models judge the recent lines of the watched files, so that you see what would
    change before you say yes. Then it takes the place of the old one in one step, and the running
    agent is asked to use it. If anything fails, or the agent does not take it within a minute, all
    is as it was. No line of a log is missed; `logagent model rollback` goes back.
    """
    if sha256 is not None and not _is_sha256(sha256):
        raise typer.BadParameter("must be 64 hexadecimal digits", param_hint="--sha256")

    def take() -> int:
        from logagent.model_update import Update, update

        asked = Update(sha256, key, insecure_http, yes, force, tuple(shadow or ()))
        return update(place, asked, config, state_dir)

    guarded(take)


@model_app.command("rollback")
def model_rollback(config: ConfigOption = None, state_dir: StateDirOption = None) -> None:
    """Go back to the bundle before the last update, in one step, and tell the running agent.

    Where the shipped one was in force before, back to that. Going back twice goes forward again.
    """

    def back() -> int:
        from logagent.model_update import rollback

        return rollback(config, state_dir)

    guarded(back)


@model_app.command("shadow")
def model_shadow(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Bundle to compare with.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Files, folders, globs to compare on.  [default: what is watched]",
        ),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines", min=1, metavar="N", help="Only the last N lines of each.  [default: 2 MiB]"
        ),
    ] = None,
    output: Annotated[
        Format,
        typer.Option("--format", help="human on a terminal, JSON Lines otherwise, unless given."),
    ] = Format.auto,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Show what another bundle would alert that the one in force does not, and the reverse.

    Both judge the last 2 MiB of every file (200 files and 50 MiB at most, those changed last come
    first), the way the agent does. Nothing is alerted and nothing changes.
    """

    def compare() -> int:
        from logagent.model_command import shadow

        human = sys.stdout.isatty() if output is Format.auto else output is Format.human
        return shadow(file, tuple(paths or ()), lines, config, state_dir, human=human)

    guarded(compare)


def _is_sha256(text: str) -> bool:
    text = text.strip().lower()
    return len(text) == 64 and all(each in "0123456789abcdef" for each in text)
