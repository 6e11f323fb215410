"""Commands that repair labels: MaidLog's calibration."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer

from logagent_build.cli.asking import Asking, client, with_asking
from logagent_build.cli.base import ALPHA_EXTRA, app, exit_codes, need, say, spending
from logagent_build.cli.options import (
    SeedOption,
    ThinkingOption,
)


@app.command()
@with_asking
def calibrate(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Systems: a log file, a folder of logs, or labelled lines (.tsv) each. "
            "None: go on with what --out holds."
        ),
    ] = None,
    *,
    annotator: Annotated[
        str,
        typer.Option(
            help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, or simulated:"
            "LABELLED.tsv[,normal=RATE,anomalous=RATE,template=SHARE,ask=SHARE,evidence=SHARE,"
            "seed=N]."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the calibration.")],
    initial: Annotated[
        Path | None,
        typer.Option(
            help="Labels to begin with, of `label` or labelled lines; else they are asked."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=0, help="Most rounds.")] = 42,
    calls: Annotated[
        int | None, typer.Option(min=0, help="Most queries of all rounds; may be raised later.")
    ] = None,
    every_round: Annotated[
        bool, typer.Option("--every-round", help="No stopping rule: take the last round's labels.")
    ] = False,
    carry_on: Annotated[
        bool, typer.Option("--carry-on", help="Train the verifier on instead of anew each round.")
    ] = False,
    seed: SeedOption = 0,
    prompt: Annotated[
        str, typer.Option(help="Prompt of the initial labels, or a .toml of yours.")
    ] = "logprompt",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell what the initial labels cost; ask nothing.")
    ] = False,
    thinking_tokens: ThinkingOption = 0,
    asking: Asking,
) -> None:
    """Repair labels by MaidLog's calibration; see docs/calibration.md.

    Stopped anywhere, the same command goes on. Exit codes: 10 the budget is reached, 69 the
    annotator cannot be reached or refuses, 75 requests of a round wait for --responses.
    """
    need((*ALPHA_EXTRA, "torch", *client(annotator)))
    command = importlib.import_module("logagent_build.calibrate.command")
    calibration = importlib.import_module("logagent_build.calibrate.calibration")
    settings = calibration.Settings(rounds, calls, carry_on=carry_on, seed=seed)
    if every_round:
        settings = calibration.Settings(rounds, calls, carry_on=carry_on, stopping=None, seed=seed)
    with exit_codes(), spending() as shown:
        choice = asking.choice(
            annotator,
            "calibration",  # the store is the folder's own
            out / "replies.sqlite",
        )
        request = command.Request(
            logs or (), out, choice, settings, initial, prompt, thinking_tokens
        )
        record = command.run(request, shown, say, only_estimate=estimate)
    for long in ("rounds", "settings", "prompts"):
        record.pop(long, None)
    typer.echo(json.dumps(record, indent=1))
