"""Commands of sequences: `bench`, FlexLog's tables."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from logagent_build.cli.base import EXTRA, app, exit_codes, need, say

bench = typer.Typer(no_args_is_help=True, help="FlexLog's tables on sequences: docs/sequences.md.")
app.add_typer(bench, name="bench")

_Data = Annotated[Path, typer.Option(help="Folder with the data set's files.")]
_Json = Annotated[Path | None, typer.Option(help="File to write all figures to.")]
_Html = Annotated[Path | None, typer.Option(help="Page to write the tables to.")]
_Seeds = Annotated[int, typer.Option(min=1, help="Repetitions: seeds 0, 1, …")]
_Labels = Annotated[int, typer.Option(min=10, help="Labelled sequences ours is trained with.")]
_Quick = Annotated[bool, typer.Option("--quick", help="One seed, no deep networks.")]
_Curve = Annotated[bool, typer.Option("--curve", help="F1 over the number of labels instead.")]


@bench.command("adfa-u")
def adfa_u(
    *,
    data: _Data,
    json: _Json = None,
    html: _Html = None,
    seeds: _Seeds = 5,
    labels: _Labels = 1000,
    quick: _Quick = False,
    curve: _Curve = False,
) -> None:
    """System calls; a kind of attack that was never trained on. Needs ADFA-LD.zip."""
    _run("adfa-u", data, json, html, seeds, labels, quick, curve)


@bench.command("synhdfs-u")
def synhdfs_u(
    *,
    data: _Data,
    json: _Json = None,
    html: _Html = None,
    seeds: _Seeds = 5,
    labels: _Labels = 1000,
    quick: _Quick = False,
    curve: _Curve = False,
) -> None:
    """Sessions of HDFS with injected changes. Needs the hdfs_* files."""
    _run("synhdfs-u", data, json, html, seeds, labels, quick, curve)


@bench.command("evol")
def evol(
    *,
    data: _Data,
    json: _Json = None,
    html: _Html = None,
    seeds: _Seeds = 5,
    labels: _Labels = 1000,
    quick: _Quick = False,
    curve: _Curve = False,
) -> None:
    """LOGEVOL and SYNEVOL, for who has them: JSON Lines, see docs/sequences.md."""
    _run("evol", data, json, html, seeds, labels, quick, curve)


def _run(
    which: str,
    data: Path,
    json: Path | None,
    html: Path | None,
    seeds: int,
    labels: int,
    quick: bool,
    curve: bool,
) -> None:
    need(EXTRA)
    command = importlib.import_module("logagent_build.sequences.command")
    request = command.Request(which, data, json, html, seeds, labels, quick, curve)
    with exit_codes():
        typer.echo(command.run(request, say))
