"""Commands of ALPHA: label by clusters, review, explain."""

from __future__ import annotations

import importlib
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from logagent import files

from logagent_build.cli.base import ALPHA_EXTRA, CACHE, app, bars, exit_codes, need, reported, say
from logagent_build.cli.options import (
    BudgetOption,
    CacheOption,
    KeyEnvOption,
    KeyFileOption,
    ModelOption,
    PricesOption,
    ResponsesOption,
)


@app.command()
def alpha(
    path: Annotated[Path, typer.Argument(help="Log file, or folder of logs.")],
    *,
    annotator: Annotated[
        str,
        typer.Option(
            help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, labels:FILE "
            "(known labels), or simulated:FILE[,normal=RATE,anomalous=RATE,template=SHARE,seed=N]."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")],
    calls: Annotated[
        int | None, typer.Option(min=4, help="Most lines asked; by default 5 %, at most 1,000.")
    ] = None,
    representatives: Annotated[
        int, typer.Option("--representatives", "-m", min=1, help="Lines asked of each cluster.")
    ] = 5,
    clusters: Annotated[
        int | None,
        typer.Option("--clusters", "-k", min=1, help="By default by elbow and silhouette."),
    ] = None,
    propagation: Annotated[
        str, typer.Option(help="paper: majority of each cluster. belief: ask on where in doubt.")
    ] = "belief",
    turn: Annotated[
        int | None,
        typer.Option(min=1, help="Lines asked together; by default a twentieth, at least 25."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Lines labelled by people (0 or 1, a tab, the line): refines examples."),
    ] = None,
    review: Annotated[
        Path | None, typer.Option(help="Corrections exported from the review page.")
    ] = None,
    cache: CacheOption = CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    prompt: Annotated[
        str, typer.Option(help="Name of a prompt, or a .toml of yours.")
    ] = "logprompt",
    model: ModelOption = "",
    budget: BudgetOption = None,
    prices: PricesOption = None,
    responses: ResponsesOption = None,
    key_env: KeyEnvOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Label logs by ALPHA: cluster, ask about a few lines, propagate; see docs/alpha.md.

    Stopped anywhere, the same command goes on.
    """
    need(ALPHA_EXTRA)
    command = importlib.import_module("logagent_build.alpha.command")
    asking = importlib.import_module("logagent_build.alpha.asking")
    request = command.Request(
        path,
        out,
        calls,
        representatives,
        clusters,
        propagation,
        validation,
        turn,
        review,
        cache,
        seed,
    )
    who = asking.Who(
        annotator,
        Path(f"{os.path.abspath(out)}.replies.sqlite"),  # beside it, even if it is "."
        model,
        prompt,
        budget,
        prices,
        responses or (),
        key_env,
        key_file,
    )
    with exit_codes(), bars() as progress, asking.labeller(who, say) as (labeller, name):
        record = command.label_logs(request, labeller, name, progress=progress, say=say)
    for long in ("choice", "epsilon", "refinement"):
        del record[long]
    typer.echo(json.dumps(record, indent=1))


@app.command()
def review(
    folder: Annotated[Path, typer.Argument(help="Folder that `alpha` wrote.")],
) -> None:
    """Write the review page of a run of `alpha` again; its corrections go into --review."""
    need(ALPHA_EXTRA)
    command = importlib.import_module("logagent_build.alpha.command")
    with reported():
        typer.echo(str(command.review_again(folder)))


@app.command()
def explain(
    alerts: Annotated[Path, typer.Argument(help="Alert file of an agent, JSON Lines.")],
    *,
    annotator: Annotated[
        str | None,
        typer.Option(help="http(s)://HOST/v1, batch:REQUESTS.jsonl or recorded:STORE.sqlite."),
    ] = None,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Write the prompts as JSON Lines, and ask nobody.")
    ] = False,
    replies: Annotated[
        Path | None,
        typer.Option(help="Replies to --prompts: JSON Lines with group and reply."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="markdown, json or html.")] = "markdown",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Groups explained, gravest first.")] = 100,
    name: Annotated[str, typer.Option(help="Who replied, for the report.")] = "replies of a file",
    store: Annotated[
        Path | None, typer.Option(help="Replies paid for; by default ALERTS.replies.sqlite.")
    ] = None,
    model: ModelOption = "",
    budget: BudgetOption = None,
    prices: PricesOption = None,
    responses: ResponsesOption = None,
    key_env: KeyEnvOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Explain an agent's alerts: root causes and recommendations for each group of them."""
    command = importlib.import_module("logagent_build.alpha.command")
    with exit_codes(), ExitStack() as stack:
        if sum((prompts, replies is not None, annotator is not None)) != 1:
            raise ValueError("explain: give one of --annotator, --prompts and --replies FILE")
        ask = None if replies is None else command.replies_of(replies)
        if annotator is not None:
            asking = importlib.import_module("logagent_build.alpha.asking")
            who = asking.Who(
                annotator,
                store or alerts.with_name(alerts.name + ".replies.sqlite"),
                model,
                budget=budget,
                prices=prices,
                responses=responses or (),
                key_env=key_env,
                key_file=key_file,
            )
            ask, name = stack.enter_context(asking.explainer(who, say))
        text = command.explain_alerts(alerts, ask, name, form, most=most, say=say)
        if output is None:
            typer.echo(text, nl=False)
        else:
            # It holds log lines: for its owner alone, as the tables of labels are.
            files.replace(output, text.encode(), 0o600)
