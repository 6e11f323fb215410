"""One command from a folder of logs to a verified bundle."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn

from logagent_build.cli.asking import Asking, client, with_asking
from logagent_build.cli.base import (
    CACHE,
    CORPORA,
    EXTRA,
    JOBS,
    LABELS,
    LEXICON,
    app,
    exit_codes,
    need,
    say,
)
from logagent_build.cli.options import (
    AnnotatorOption,
    CacheOption,
    CorporaOption,
    JobsOption,
    LexiconOption,
    PromptOption,
    SeedOption,
)


@app.command()
@with_asking
def build(
    folder: Annotated[Path, typer.Argument(help="Folder of logs; each sub-folder is a system.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write.")],
    annotator: AnnotatorOption,
    systems: Annotated[
        Path | None,
        typer.Option(help="Mapping of files to systems (TOML); see docs/build.md."),
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option(help="Where stages leave their files; by default OUTPUT.run.")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="How labels come about: combined, alpha, calibrate or one-shot.")
    ] = "combined",
    calls: Annotated[
        int | None, typer.Option(min=4, help="Most lines asked; see docs/build.md.")
    ] = None,
    review: Annotated[Path | None, typer.Option(help="Corrections by people: they win.")] = None,
    base: Annotated[
        str, typer.Option(help="shipped: trained beside the shipped corpora. none: alone.")
    ] = "shipped",
    folds: Annotated[
        int | None, typer.Option(help="Folds over systems; 0 is one per system; by default 4.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few epochs, three folds: to try the way.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Read, tell what labels may cost, and ask nothing.")
    ] = False,
    most_templates: Annotated[
        int | None, typer.Option(min=4, help="Most templates kept of one system.")
    ] = None,
    seed: SeedOption = 0,
    jobs: JobsOption = JOBS,
    prompt: PromptOption = "logprompt",
    store: Annotated[
        Path | None, typer.Option(help="Replies paid for; by default in the run folder.")
    ] = None,
    asking: Asking,
    corpora: CorporaOption = CORPORA,
    lexicon: LexiconOption = LEXICON,
    cache: CacheOption = CACHE,
) -> None:
    """Build a bundle from a folder of your logs: read, label, train, verify, report.

    Stopped anywhere, the same command goes on. Exit codes: 10 the budget is reached, 69 the
    annotator cannot be reached or refuses, 75 requests were written to a file and wait for
    --responses, 3 the new bundle failed a check.
    """
    need((*EXTRA, *client(annotator)))
    command = importlib.import_module("logagent_build.folder.command")
    reading = importlib.import_module("logagent_build.folder.reading")
    training = importlib.import_module("logagent_build.folder.training")
    pipeline = importlib.import_module("logagent_build.pipeline")
    where = run_folder or output.with_name(f"{output.name}.run")
    with exit_codes(), _stages() as (progress, spending):
        choice = asking.choice(
            annotator,
            "build",  # the run folder has a name for it
            store or where / "replies.sqlite",
        )
        read = reading.Settings()
        if most_templates is not None:
            read = dataclasses.replace(read, most_templates=most_templates)
        train = training.Settings(base, training.FOLDS if folds is None else folds, jobs, quick, seed)  # fmt: skip  # noqa: E501
        request = command.Request(
            folder,
            output,
            choice,
            pipeline.Paths(corpora, lexicon, LABELS, None, Path(), cache),
            where,
            systems,
            strategy,
            calls,
            prompt,
            review,
            read,
            train,
            seed,
            estimate,
        )
        record = command.run(request, progress=progress, spending=spending, say=say)
    typer.echo(json.dumps(record if estimate else _short(record, where), indent=1))


def _short(record: dict[str, Any], where: Path) -> dict[str, Any]:
    """Return what a terminal has room for; the whole is in the run folder."""
    label, train = record["label"], record["train"]
    own = {
        name: area for name, area in train["held_out"]["auroc"].items() if name in train["systems"]
    }
    return {
        "bundle": record["bundle"],
        "simulation": record["simulation"],
        "lines": record["read"]["lines"],
        "templates": label["templates"],
        "calls": label["calls"],
        "paid": label["paid"],
        "anomalous_templates": label["anomalous_templates"],
        "held_out_auroc": {"all": train["held_out"]["auroc_mean"], **dict(list(own.items())[:20])},
        "seconds": record["this_run"]["seconds"]["all"],
        "report": str(where / "report.html"),
        "record": str(where / "record.json"),
        "card": str(where / "model-card.md"),
    }


@contextmanager
def _stages() -> Iterator[tuple[Callable[[str, float], None], Callable[[Any], None]]]:
    """Show a bar for each stage on a terminal, and what was paid so far."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    paid = ""
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:

        def told(name: str, done: float) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=1.0)
            text = f"{name}, {paid}" if name == "labels" and paid else name
            shown.update(tasks[name], completed=done, description=text)

        def spent(account: Any) -> None:
            nonlocal paid
            tokens = account.input_tokens + account.output_tokens
            paid = f"{tokens:,} tokens" if account.dollars is None else f"${account.dollars:.4f}"
            if "labels" not in tasks:
                tasks["labels"] = shown.add_task("labels", total=1.0)
            shown.update(tasks["labels"], description=f"labels, {paid}")

        yield told, spent
