"""Options that several commands have, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

CorporaOption = Annotated[Path, typer.Option(help="Folder of labelled corpora (*.tsv, *.txt).")]
LexiconOption = Annotated[
    Path, typer.Option(help="Folder of words and phrases with scores (*.tsv).")
]
LabelsOption = Annotated[Path, typer.Option(help="Labels of loghub (loghub_llm.tsv).")]
LoghubOption = Annotated[
    Path | None, typer.Option(help="Folder of loghub; by default ../shared/data/loghub.")
]
DataOption = Annotated[
    Path, typer.Option("--data", help="Folder with loghub/ and targets/ to look at.")
]
CacheOption = Annotated[Path, typer.Option(help="Where the sentence encoder's vectors are kept.")]

JobsOption = Annotated[
    int, typer.Option(help="Folds trained at a time, one process each; about 1 GB of memory each.")
]

PathArgument = Annotated[Path, typer.Argument(help="Log file, or folder of logs.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
AnnotatorOption = Annotated[
    str,
    typer.Option(
        help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, labels:FILE "
        "(known labels), or simulated:FILE[,normal=RATE,anomalous=RATE,template=SHARE,seed=N]."
    ),
]
PromptOption = Annotated[str, typer.Option(help="Name of a prompt, or a .toml of yours.")]
ModelOption = Annotated[str, typer.Option(help="Model to ask for, as the endpoint names it.")]
BudgetOption = Annotated[
    float | None, typer.Option(min=0, help="US dollars that may be spent on this output.")
]
PricesOption = Annotated[
    Path | None, typer.Option(help="Prices of models (TOML), before the shipped ones.")
]
ResponsesOption = Annotated[
    list[Path] | None, typer.Option(help="Responses to a batch file. Repeat for several.")
]
KeyEnvOption = Annotated[str | None, typer.Option(help="Environment variable that holds the key.")]
KeyFileOption = Annotated[Path | None, typer.Option(help="File that holds the key.")]
ConcurrencyOption = Annotated[int, typer.Option(min=1, help="Requests at a time.")]
RequestsOption = Annotated[float, typer.Option(min=0, help="0 is no limit.")]
TokensOption = Annotated[float, typer.Option(min=0, help="0 is no limit.")]
TimeoutOption = Annotated[float, typer.Option(min=1, help="Seconds for one reply.")]
PatienceOption = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for an endpoint that is down.")
]
StreamOption = Annotated[bool, typer.Option("--stream", help="Ask for replies in pieces.")]
ThinkingOption = Annotated[
    int, typer.Option(min=0, help="Longer replies, for models that think before they answer.")
]
VotesOption = Annotated[int, typer.Option(min=1, help="Answers for each line.")]
LinesPerPromptOption = Annotated[int, typer.Option(min=1, help="Lines asked together.")]
IsolationOption = Annotated[
    str, typer.Option(help="Keeping lines from each other: alone, checked or trusted.")
]
EstimateOption = Annotated[
    bool, typer.Option("--estimate", help="Tell what it would cost, and ask nothing.")
]
StoreOption = Annotated[
    Path | None, typer.Option(help="Replies paid for; by default OUT.replies.sqlite.")
]
ExamplesOption = Annotated[
    Path | None, typer.Option(help="Labelled lines for the prompt: 0 or 1, a tab, the line.")
]
LabellerOption = Annotated[
    str,
    typer.Option(
        help="http(s)://HOST/v1, batch:REQUESTS.jsonl, recorded:STORE.sqlite, or "
        "simulated:LABELLED.tsv[,normal=RATE,anomalous=RATE,template=SHARE,ask=SHARE,seed=N]."
    ),
]

CONCURRENCY = 8  # requests at a time
TIMEOUT = 300.0  # [s] a long reply of a slow model of one's own
PATIENCE = 900.0  # [s] a server that is restarted, or loads a model


def endpoint(
    concurrency: int,
    requests_per_minute: float,
    tokens_per_minute: float,
    timeout: float,
    patience: float,
    *,
    stream: bool,
) -> dict[str, Any]:
    """Return how an endpoint is asked: fields of `annotate.endpoint.Settings`."""
    return {
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "timeout_seconds": timeout,
        "patience_seconds": patience,
        "stream": stream,
    }
