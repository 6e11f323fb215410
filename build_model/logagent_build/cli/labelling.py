"""Commands that ask a language model for labels, or to detect."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer
from logagent.bundle import DEFAULT_BUNDLE

from logagent_build.cli.asking import Asking, client, replies_beside, with_asking
from logagent_build.cli.base import LABELS, app, exit_codes, need, say, spending
from logagent_build.cli.options import (
    EstimateOption,
    ExamplesOption,
    IsolationOption,
    LabellerOption,
    LabelsOption,
    LinesPerPromptOption,
    PathArgument,
    PromptOption,
    StoreOption,
    ThinkingOption,
    VotesOption,
)


@app.command(name="label")
@with_asking
def label_lines(
    path: PathArgument,
    *,
    annotator: LabellerOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table of labels to write.")],
    prompt: PromptOption = "logprompt",
    examples: ExamplesOption = None,
    votes: VotesOption = 1,
    lines_per_prompt: LinesPerPromptOption = 20,
    thinking_tokens: ThinkingOption = 0,
    isolation: IsolationOption = "checked",
    seed: Annotated[int, typer.Option(help="Of which lines are asked together.")] = 0,
    estimate: EstimateOption = False,
    store: StoreOption = None,
    asking: Asking,
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
    need(client(annotator))
    command = importlib.import_module("logagent_build.annotate.label_command")
    labelling = importlib.import_module("logagent_build.annotate.labelling")
    with exit_codes(), spending() as shown:
        choice = asking.choice(annotator, str(out.absolute()), store or replies_beside(out))
        options = labelling.Options(
            lines_per_prompt, isolation, thinking_tokens=thinking_tokens, seed=seed
        )
        request = command.Request(path, out, choice, prompt, examples, votes, options, review)
        record = command.run(request, shown, say, only_estimate=estimate)
    typer.echo(json.dumps(record, indent=1))


@app.command()
@with_asking
def detect(
    labelled: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Labelled lines: 0 or 1, a tab, perhaps a severity and a tab, line; or another "
            "format that `evaluate` reads."
        ),
    ] = None,
    *,
    annotator: LabellerOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Record to write (JSON).")],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Name of a prompt, or a .toml of yours. Repeat; by default logprompt."),
    ] = None,
    examples: ExamplesOption = None,
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
    votes: VotesOption = 1,
    lines_per_prompt: LinesPerPromptOption = 20,
    thinking_tokens: ThinkingOption = 0,
    isolation: IsolationOption = "trusted",
    seed: Annotated[int, typer.Option(help="Of which lines are drawn and asked together.")] = 0,
    estimate: EstimateOption = False,
    store: StoreOption = None,
    asking: Asking,
) -> None:
    """Ask a language model about every line of labelled data: how good it is, and what it costs.

    Beside the shipped detector on the same lines. Stopped anywhere, the same command goes on.
    """
    need(client(annotator))
    command = importlib.import_module("logagent_build.direct.command")
    labelling = importlib.import_module("logagent_build.annotate.labelling")
    with exit_codes(), spending() as shown:
        choice = asking.choice(annotator, str(out.absolute()), store or replies_beside(out))
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
            votes,
        )
        text = command.run(request, shown, say, only_estimate=estimate)
    typer.echo(text, nl=False)
