"""The command that has a language model write labelled lines."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer
from logagent import files
from logagent.errors import ConfigError

from logagent_build.annotate.outputs import writable
from logagent_build.cli.asking import Asking, client, with_asking
from logagent_build.cli.base import app, exit_codes, need, say, spending
from logagent_build.cli.options import (
    EstimateOption,
    ThinkingOption,
)


@app.command()
@with_asking
def synthesize(
    systems: Annotated[
        str, typer.Argument(help='"openwrt, pg=PostgreSQL 16 with pgbouncer, …"')
    ] = "",
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of corpora; with --check a JSON file."),
    ] = None,
    annotator: Annotated[
        str, typer.Option(help="http(s)://HOST/v1, batch:REQUESTS.jsonl or recorded:STORE.sqlite.")
    ] = "",
    check: Annotated[
        Path | None,
        typer.Option(help="Ask nothing: tell how much the corpora of a folder give away."),
    ] = None,
    normal: Annotated[int, typer.Option(min=0, help="Routine lines of each system.")] = 60,
    hard: Annotated[int, typer.Option(min=0, help="Routine lines that sound bad.")] = 25,
    anomalous: Annotated[int, typer.Option(min=0, help="Anomalous lines.")] = 40,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs that differ in little.")] = 15,
    lines_per_prompt: Annotated[int, typer.Option(min=1, help="Lines asked for together.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Exchanges at most, after the plan.")] = 10,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="KIND=FILE.toml, a prompt of yours: plan, normal, hard, …"),
    ] = None,
    thinking_tokens: ThinkingOption = 0,
    seed: Annotated[int, typer.Option(help="Of components, situations, headers.")] = 0,
    estimate: EstimateOption = False,
    store: Annotated[
        Path | None, typer.Option(help="Replies paid for; by default in the folder.")
    ] = None,
    asking: Asking,
) -> None:
    """Have a language model write labelled lines of systems; see docs/synthesize.md.

    Stopped anywhere, the same command goes on. Exit codes: 10 the budget is reached, 69 the
    annotator cannot be reached or refuses, 75 requests wait for --responses.
    """
    need(("sklearn", *client(annotator)))
    if check is not None:
        _check(check, out, seed)
        return
    command = importlib.import_module("logagent_build.synthesize.command")
    gathering = importlib.import_module("logagent_build.synthesize.gathering")
    with exit_codes(), spending("synthesizing") as shown:
        if out is None or not annotator:
            raise ConfigError("synthesize: give systems, --annotator and --out, or --check FOLDER")
        those = command.named(systems)
        run = f"{out.absolute()} {' '.join(sorted(each.name for each in those))}"
        choice = asking.choice(annotator, run, store or out / command.STORE)
        wanted = {"normal": normal, "hard": hard, "anomalous": anomalous, "pairs": pairs}
        request = command.Request(
            those,
            out,
            choice,
            gathering.Settings(wanted, lines_per_prompt, rounds),
            command.prompts_named(prompt or ()),
            seed,
            thinking_tokens,
        )
        records = command.run(request, shown, say, only_estimate=estimate)
    typer.echo(json.dumps(records, indent=1))


def _check(folder: Path, out: Path | None, seed: int) -> None:
    """Print the table of a folder's corpora."""
    checking = importlib.import_module("logagent_build.synthesize.checking")
    with exit_codes():
        if out is not None:
            writable(out, folder.iterdir() if folder.is_dir() else ())
        found = list(checking.check(folder, seed))
        typer.echo(checking.markdown(found), nl=False)
        if out is not None:
            files.replace(out, checking.as_json(found, seed))
