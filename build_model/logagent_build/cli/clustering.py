"""Commands of ALPHA: label by clusters, review, explain."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from logagent import files

from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.outputs import writable
from logagent_build.cli.asking import Asking, client, replies_beside, with_asking
from logagent_build.cli.base import (
    ALPHA_EXTRA,
    CACHE,
    app,
    bars_and_spending,
    exit_codes,
    need,
    paid,
    reported,
    say,
    spending,
)
from logagent_build.cli.options import (
    AnnotatorOption,
    CacheOption,
    PathArgument,
    PromptOption,
    SeedOption,
    ThinkingOption,
)


@app.command()
@with_asking
def alpha(
    path: PathArgument,
    *,
    annotator: AnnotatorOption,
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
    refinement_calls: Annotated[
        int,
        typer.Option(min=0, help="Most lines asked for that, besides --calls; 0: none are."),
    ] = 600,
    review: Annotated[
        Path | None, typer.Option(help="Corrections exported from the review page.")
    ] = None,
    cache: CacheOption = CACHE,
    seed: SeedOption = 0,
    prompt: PromptOption = "logprompt",
    thinking_tokens: ThinkingOption = 0,
    asking: Asking,
) -> None:
    """Label logs by ALPHA: cluster, ask about a few lines, propagate; see docs/alpha.md.

    Stopped anywhere, the same command goes on. Exit codes: as of `label`.
    """
    need((*ALPHA_EXTRA, *client(annotator)))
    command = importlib.import_module("logagent_build.alpha.command")
    whom = importlib.import_module("logagent_build.alpha.asking")
    choices = importlib.import_module("logagent_build.annotate.choice")
    store = Path(f"{os.path.abspath(out)}.replies.sqlite")  # beside it, even if it is "."
    with exit_codes():
        choice = asking.choice(annotator, str(store), store)
    request = command.Request(
        path,
        out,
        calls,
        representatives,
        clusters,
        propagation,
        validation,
        refinement_calls,
        turn,
        review,
        cache,
        seed,
        choices.own_files(choice, (), (validation, review)),
    )
    with (
        exit_codes(),
        bars_and_spending() as (progress, shown),
        whom.labeller(choice, prompt, thinking_tokens, say, shown) as (labeller, name, bill),
    ):
        record = command.label_logs(request, labeller, name, bill=bill, progress=progress, say=say)
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
@with_asking
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
    prompt: PromptOption = "root-cause",
    store: Annotated[
        Path | None, typer.Option(help="Replies paid for; by default ALERTS.replies.sqlite.")
    ] = None,
    thinking_tokens: ThinkingOption = 0,
    asking: Asking,
) -> None:
    """Explain an agent's alerts: root causes and recommendations for each group of them.

    Exit codes: as of `label`; 69 also if no group had a reply, with the report written.
    """
    need(client(annotator))
    command = importlib.import_module("logagent_build.alpha.explain_command")
    whom = importlib.import_module("logagent_build.alpha.asking")
    with exit_codes(), ExitStack() as stack:
        if sum((prompts, replies is not None, annotator is not None)) != 1:
            raise ValueError("explain: give one of --annotator, --prompts and --replies FILE")
        if output is not None:
            writable(output, (alerts, replies, store, *(asking.responses or ())))
        ask = None if replies is None else command.replies_of(replies)
        bill: Callable[[], dict[str, Any]] = dict
        if annotator is not None:
            kept = store or replies_beside(alerts)
            choice = asking.choice(annotator, str(kept.absolute()), kept)
            shown = stack.enter_context(spending("explaining"))
            ask, name, bill = stack.enter_context(
                whom.explainer(choice, prompt, thinking_tokens, say, shown)
            )
        report = command.explain_alerts(
            alerts, ask, name, form, file=prompt, most=most, bill=bill, say=say
        )
        if output is None:
            typer.echo(report.text, nl=False)
        else:
            # It holds log lines: for its owner alone, as the tables of labels are.
            files.replace(output, report.text.encode(), 0o600)
        if annotator is not None:
            say(paid(bill()["paid"]))
        if report.asked and not report.answered:
            raise AnnotatorError(
                f"none of {report.asked:,} groups had a reply: the report has no causes"
            )
