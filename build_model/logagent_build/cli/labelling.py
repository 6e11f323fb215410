"""Commands that ask a language model for labels, or to detect."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer
from logagent.bundle import DEFAULT_BUNDLE

from logagent_build.cli.base import LABELS, app, exit_codes, need, say, spending
from logagent_build.cli.options import (
    BudgetOption,
    KeyEnvOption,
    KeyFileOption,
    LabelsOption,
    ModelOption,
    PricesOption,
    ResponsesOption,
)


@app.command(name="label")
def label_lines(
    path: Annotated[Path, typer.Argument(help="Log file, or folder of logs.")],
    *,
    annotator: Annotated[
        str,
        typer.Option(
            help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, or "
            "simulated:LABELLED.tsv[,normal=RATE,anomalous=RATE,template=SHARE,ask=SHARE,seed=N]."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table of labels to write.")],
    model: Annotated[str, typer.Option(help="Model to ask for, as the endpoint names it.")] = "",
    prompt: Annotated[
        str, typer.Option(help="Name of a prompt, or a .toml of yours.")
    ] = "logprompt",
    examples: Annotated[
        Path | None, typer.Option(help="Labelled lines for the prompt: 0 or 1, a tab, the line.")
    ] = None,
    votes: Annotated[int, typer.Option(min=1, help="Answers for each line.")] = 1,
    lines_per_prompt: Annotated[int, typer.Option(min=1, help="Lines asked together.")] = 20,
    thinking_tokens: Annotated[
        int, typer.Option(min=0, help="Longer replies, for models that think before they answer.")
    ] = 0,
    isolation: Annotated[
        str, typer.Option(help="Keeping lines from each other: alone, checked or trusted.")
    ] = "checked",
    seed: Annotated[int, typer.Option(help="Of which lines are asked together.")] = 0,
    budget: Annotated[
        float | None, typer.Option(min=0, help="US dollars that may be spent on this output.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Prices of models (TOML), before the shipped ones.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell what it would cost, and ask nothing.")
    ] = False,
    responses: Annotated[
        list[Path] | None, typer.Option(help="Responses to a batch file. Repeat for several.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Replies paid for; by default OUT.replies.sqlite.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the key.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="File that holds the key.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 8,
    requests_per_minute: Annotated[float, typer.Option(min=0, help="0 is no limit.")] = 0,
    tokens_per_minute: Annotated[float, typer.Option(min=0, help="0 is no limit.")] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one reply.")] = 300,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for an endpoint that is down.")
    ] = 900,
    stream: Annotated[bool, typer.Option("--stream", help="Ask for replies in pieces.")] = False,
    review: Annotated[
        Path | None,
        typer.Option(
            help="Corrections exported from the review page: they win, and are not asked."
        ),
    ] = None,
) -> None:
    """Label log lines with a language model; stopped anywhere, the same command goes on.

    Exit codes: 10 the budget is reached, 69 the annotator cannot be reached or refuses, 75 requests
    were written to a file and wait for --responses.
    """
    need(("openai",) if annotator.startswith("http") else ())
    command = importlib.import_module("logagent_build.annotate.label_command")
    choices = importlib.import_module("logagent_build.annotate.choice")
    labelling = importlib.import_module("logagent_build.annotate.labelling")
    with exit_codes(), spending() as shown:
        choice = choices.Choice(
            annotator,
            str(out.absolute()),
            store or out.with_name(f"{out.name}.replies.sqlite"),
            model,
            budget,
            prices,
            responses or (),
            key_env,
            key_file,
            {
                "concurrency": concurrency,
                "requests_per_minute": requests_per_minute,
                "tokens_per_minute": tokens_per_minute,
                "timeout_seconds": timeout,
                "patience_seconds": patience,
                "stream": stream,
            },
        )
        options = labelling.Options(
            lines_per_prompt, isolation, thinking_tokens=thinking_tokens, seed=seed
        )
        request = command.Request(path, out, choice, prompt, examples, votes, options, review)
        record = command.run(request, shown, say, only_estimate=estimate)
    typer.echo(json.dumps(record, indent=1))


@app.command()
def detect(
    labelled: Annotated[
        list[Path] | None,
        typer.Argument(help="Labelled lines: 0 or 1, a tab, perhaps a severity and a tab, line."),
    ] = None,
    *,
    annotator: Annotated[
        str,
        typer.Option(
            help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, or "
            "simulated:LABELLED.tsv[,normal=RATE,anomalous=RATE,template=SHARE,ask=SHARE,seed=N]."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Record to write (JSON).")],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Name of a prompt, or a .toml of yours. Repeat; by default logprompt."),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Labelled lines for the prompt: 0 or 1, a tab, the line.")
    ] = None,
    loghub: Annotated[
        Path | None, typer.Option(help="Folder of loghub, whose samples are looked at, too.")
    ] = None,
    labels: LabelsOption = LABELS,
    system: Annotated[
        list[str] | None, typer.Option(help="Of --loghub; by default all. Repeat for several.")
    ] = None,
    each: Annotated[
        str, typer.Option(help="What is asked once: every template, or every distinct line.")
    ] = "template",
    lines: Annotated[
        int | None, typer.Option(min=1, help="Most lines of each data set, drawn by --seed.")
    ] = None,
    bundle: Annotated[Path, typer.Option(help="Detector to compare with.")] = DEFAULT_BUNDLE,
    model: ModelOption = "",
    lines_per_prompt: Annotated[int, typer.Option(min=1, help="Lines asked together.")] = 20,
    thinking_tokens: Annotated[
        int, typer.Option(min=0, help="Longer replies, for models that think before they answer.")
    ] = 0,
    isolation: Annotated[
        str, typer.Option(help="Keeping lines from each other: alone, checked or trusted.")
    ] = "trusted",
    seed: Annotated[int, typer.Option(help="Of which lines are drawn and asked together.")] = 0,
    budget: BudgetOption = None,
    prices: PricesOption = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell what it would cost, and ask nothing.")
    ] = False,
    responses: ResponsesOption = None,
    store: Annotated[
        Path | None, typer.Option(help="Replies paid for; by default OUT.replies.sqlite.")
    ] = None,
    key_env: KeyEnvOption = None,
    key_file: KeyFileOption = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 8,
) -> None:
    """Ask a language model about every line of labelled data: how good it is, and what it costs.

    Beside the shipped detector on the same lines. Stopped anywhere, the same command goes on.
    """
    need(("openai",) if annotator.startswith("http") else ())
    command = importlib.import_module("logagent_build.direct.command")
    choices = importlib.import_module("logagent_build.annotate.choice")
    labelling = importlib.import_module("logagent_build.annotate.labelling")
    with exit_codes(), spending() as shown:
        choice = choices.Choice(
            annotator,
            str(out.absolute()),
            store or out.with_name(f"{out.name}.replies.sqlite"),
            model,
            budget,
            prices,
            responses or (),
            key_env,
            key_file,
            {"concurrency": concurrency},
        )
        request = command.Request(
            labelled or (),
            out,
            choice,
            prompt or ("logprompt",),
            examples,
            loghub,
            labels,
            system or (),
            each,
            lines,
            bundle,
            labelling.Options(
                lines_per_prompt, isolation, thinking_tokens=thinking_tokens, seed=seed
            ),
        )
        text = command.run(request, shown, say, only_estimate=estimate)
    typer.echo(text, nl=False)
