"""Commands that ask a language model about sequences, or fine-tune one for them (FlexLog)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer

from logagent_build.cli.asking import Asking, client, replies_beside, with_asking
from logagent_build.cli.base import app, bars, exit_codes, need, say, spending
from logagent_build.cli.options import (
    EstimateOption,
    StoreOption,
    ThinkingOption,
)

FINETUNE = ("torch", "transformers", "peft")

LongestOption = Annotated[
    int, typer.Option(min=2, help="Entries of a sequence that are shown; a run of one is one.")
]
KeepOption = Annotated[
    str, typer.Option(help="What stays of longer ones: ends, head, tail or informative.")
]
MeaningsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What events mean: system-calls, ask (the model, once), none, or a table (event, "
        "tab, meaning). Repeat; by default system-calls."
    ),
]
MostMeaningsOption = Annotated[int, typer.Option(min=0, help="Meanings in a prompt, at most.")]


@app.command()
@with_asking
def vote(
    sequences: Annotated[
        Path, typer.Argument(help='JSON Lines: {"events": ["open", …], "label": 0 or 1 if known}.')
    ],
    *,
    annotator: Annotated[
        str,
        typer.Option(
            help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, local:MODEL, or "
            "simulated:normal=RATE,anomalous=RATE,alike=SHARE,unclear=RATE,seed=N over the labels."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Votes to write (JSON Lines).")],
    most: Annotated[
        int | None,
        typer.Option(min=2, help="Ask about so many distinct ones only, drawn by --seed."),
    ] = None,
    in_rounds: Annotated[
        bool,
        typer.Option("--in-rounds", help="Of --most: those that look most anomalous so far."),
    ] = False,
    prompt: Annotated[str, typer.Option(help="Name of a prompt, or a .toml of yours.")] = "flexlog",
    examples: Annotated[
        Path | None, typer.Option(help="Labelled sequences to choose examples from.")
    ] = None,
    shots: Annotated[int, typer.Option(min=0, help="Examples in a prompt.")] = 8,
    shot_entries: Annotated[int, typer.Option(min=2, help="Entries of an example shown.")] = 100,
    selection: Annotated[
        str, typer.Option(help="Which examples: balanced (the same in all) or similar.")
    ] = "balanced",
    meanings: MeaningsOption = None,
    most_meanings: MostMeaningsOption = 20,
    longest: LongestOption = 500,
    keep: KeepOption = "ends",
    samples: Annotated[int, typer.Option(min=1, help="Replies for each sequence.")] = 1,
    adapter: Annotated[
        Path | None, typer.Option(help="Fine-tuned adapter of local:MODEL (finetune).")
    ] = None,
    thinking_tokens: ThinkingOption = 0,
    seed: Annotated[int, typer.Option(help="Of which examples are drawn.")] = 0,
    review: Annotated[
        Path | None,
        typer.Option(help="Sequences labelled by people: they win, and are not asked."),
    ] = None,
    estimate: EstimateOption = False,
    store: StoreOption = None,
    asking: Asking,
) -> None:
    """Have a language model vote on sequences; stopped anywhere, the same command goes on.

    Exit codes: 10 the budget is reached, 69 the annotator cannot be reached or refuses, 75 requests
    were written to a file and wait for --responses.
    """
    if in_rounds and most is None:
        raise typer.BadParameter("--in-rounds goes with --most")
    need(("sklearn", *client(annotator)))
    if annotator.startswith("local:"):
        need(FINETUNE, "finetune")
    command = importlib.import_module("logagent_build.sequences.llm.vote_command")
    voting = importlib.import_module("logagent_build.sequences.llm.voter")
    showing = importlib.import_module("logagent_build.sequences.llm.shown")
    with exit_codes(), spending("voting") as shown:
        choice = asking.choice(annotator, str(out.absolute()), store or replies_beside(out))
        options = voting.Options(
            showing.Showing(longest, keep),
            shots,
            shot_entries,
            selection,
            most_meanings,
            samples,
            thinking_tokens,
            seed,
        )
        request = command.Request(
            sequences,
            out,
            choice,
            prompt,
            examples,
            meanings or ("system-calls",),
            options,
            adapter,
            review,
            most,
            in_rounds,
        )
        record = command.run(request, shown, say, only_estimate=estimate)
    typer.echo(json.dumps(record, indent=1))


@app.command()
def finetune_data(
    sequences: Annotated[
        Path, typer.Argument(help='JSON Lines: {"events": ["open", …], "label": 0 or 1}.')
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Examples to write (JSON Lines).")],
    prompt: Annotated[str, typer.Option(help="Name of a prompt, or a .toml of yours.")] = "flexlog",
    votes: Annotated[
        Path | None, typer.Option(help="Votes of `vote`, for sequences without a label.")
    ] = None,
    meanings: Annotated[
        list[str] | None,
        typer.Option(
            help="What events mean: system-calls, none, or a table (event, tab, meaning). Repeat; "
            "by default system-calls."
        ),
    ] = None,
    most_meanings: MostMeaningsOption = 20,
    longest: LongestOption = 500,
    keep: KeepOption = "ends",
    most: Annotated[int | None, typer.Option(min=1, help="Examples, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn, and of the order.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes, for the estimate.")] = 3,
    price: Annotated[
        float | None, typer.Option(min=0, help="US dollars for a million tokens trained on.")
    ] = None,
) -> None:
    """Write labelled sequences as examples to fine-tune a model on, in OpenAI's chat format."""
    need(("sklearn",))
    command = importlib.import_module("logagent_build.sequences.llm.finetune_command")
    showing = importlib.import_module("logagent_build.sequences.llm.shown")
    with exit_codes():
        request = command.Request(
            sequences,
            out,
            prompt,
            votes,
            meanings or ("system-calls",),
            most_meanings,
            showing.Showing(longest, keep),
            most,
            seed,
            epochs,
            price,
        )
        record = command.export(request)
    typer.echo(json.dumps(record, indent=1))


@app.command()
def finetune(
    data: Annotated[Path, typer.Argument(help="Examples of `finetune-data`.")],
    *,
    model: Annotated[Path, typer.Option(help="Folder of a causal language model (transformers).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the adapter to write.")],
    steps: Annotated[int, typer.Option(min=1, help="Of the optimiser.")] = 1000,
    rank: Annotated[int, typer.Option(min=1, help="Of the adapter's matrices.")] = 16,
    alpha: Annotated[int, typer.Option(min=1, help="Scale of the adapter; divided by rank.")] = 16,
    batch: Annotated[int, typer.Option(min=1, help="Examples of a step.")] = 1,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the first step.")] = 2e-4,
    longest_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an example.")] = 4096,
    seed: Annotated[int, typer.Option(help="Of the adapter and of the order.")] = 0,
) -> None:
    """Fine-tune a model on this machine by low-rank adapters (extra finetune)."""
    need(FINETUNE, "finetune")
    lora = importlib.import_module("logagent_build.sequences.llm.lora")
    with exit_codes(), bars() as told:
        settings = lora.Settings(steps, rank, alpha, batch, learning_rate, longest_tokens, seed)
        record = lora.fit(
            data, model, out, settings, lambda step, _loss: told("fine-tuning", step / steps)
        )
    typer.echo(json.dumps(record, indent=1))
