"""Options that several commands have, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
