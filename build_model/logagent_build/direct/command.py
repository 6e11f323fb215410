"""`logagent-build detect`: every line of labelled data asked, per prompt, beside the shipped model.

    data sets × prompts → label (annotator ← budget ← store) → table, record

Guarantees: resumable as `logagent-build label` is: what was answered is in the store. All data
sets and prompts share one budget. A batch file has the first requests of all of them.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent import files
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.errors import ConfigError

from logagent_build.annotate import budget as money
from logagent_build.annotate import prompt_files
from logagent_build.annotate.choice import Choice, Opened, opened
from logagent_build.annotate.label_command import Shown
from logagent_build.annotate.labelling import Example, Options
from logagent_build.annotate.log_lines import labelled
from logagent_build.annotate.protocol import Prompt
from logagent_build.direct.comparison import Questions, Row, ask, pooled, shipped
from logagent_build.direct.data import DataSet, read_files, read_loghub, without
from logagent_build.direct.table import as_rows, markdown

__all__ = ["Request", "run"]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    labelled: Sequence[Path]
    out: Path
    """Record to write, JSON."""
    choice: Choice
    prompts: Sequence[str] = ("logprompt",)
    examples: Path | None = None
    loghub: Path | None = None
    labels: Path | None = None
    """Labels of loghub's events."""
    systems: Sequence[str] = ()
    """Of loghub; all if there are none."""
    each: str = "template"
    most: int | None = None
    """Lines of each data set, drawn."""
    bundle: Path = DEFAULT_BUNDLE
    options: Options = dataclasses.field(default_factory=Options)
    votes: int = 1
    """Answers for each question; the majority decides."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One data set asked with one prompt."""

    data: DataSet
    questions: Questions
    prompt: prompt_files.PromptFile


def run(
    request: Request, shown: Shown, say: Callable[[str], None], *, only_estimate: bool = False
) -> str:
    """Compare; return the table as Markdown, or with `only_estimate` the estimate as JSON.

    Raises:
        LogagentError: it cannot be done, or not yet; see `annotate.errors`.
        OSError: a file cannot be read or written.
        ValueError: a file of labelled lines is malformed.
    """
    began = time.time()
    prompts = [prompt_files.load(name) for name in dict.fromkeys(request.prompts)]
    if len({each.name for each in prompts}) < len(prompts):
        raise ConfigError("two prompts have the same name: rows could not be told apart")
    few_shot = [Example(*row) for row in labelled(request.examples)] if request.examples else []
    request.choice.check([request.out], (*request.labelled, request.examples, request.labels))
    data = _data(request, few_shot, say)
    asked = [(each, Questions(each, request.each)) for each in data]
    cells = [_Cell(each, questions, prompt) for each, questions in asked for prompt in prompts]
    bundle = Bundle.load(request.bundle)
    with opened(request.choice, say) as chosen:
        price = chosen.account.price or money.price_of(
            chosen.annotator.model, request.choice.prices
        )
        first = [
            prompt
            for cell in cells
            for prompt in cell.questions.prompts(
                cell.prompt, few_shot, request.options, request.votes
            )
        ]
        estimate = _estimate(first, len(cells), chosen, price, say)
        if only_estimate:
            return json.dumps({"estimate": estimate}, indent=1) + "\n"
        if request.choice.who.startswith("batch:"):
            chosen.annotator.ask(first)  # one exchange of files for all of them
        rows: list[Row] = []
        for each in data:
            rows += [
                ask(
                    each,
                    cell.questions,
                    chosen.annotator,
                    cell.prompt,
                    few_shot,
                    request.options,
                    request.votes,
                    lambda done, known: shown(done, known, chosen.account),
                )
                for cell in cells
                if cell.data is each
            ]
            rows.append(shipped(each, bundle))
        if len(data) > 1:
            rows += pooled(rows)
        chosen.account.refresh()
        account, model = chosen.account, chosen.annotator.model
    options = dataclasses.asdict(request.options)
    del options["canaries"]
    record = {
        "model": model,
        "simulation": model.startswith("simulated"),
        "prompts": [
            {"name": each.name, "version": each.version, "sha256": each.digest} for each in prompts
        ],
        "options": options | {"each": request.each, "most": request.most, "votes": request.votes},
        "examples": str(request.examples) if request.examples else None,
        "bundle": str(request.bundle),
        "price": None if price is None else dataclasses.asdict(price),
        "rows": as_rows(rows, price),
        "paid": {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        },
        "estimate": estimate,
        "seconds": round(time.time() - began, 1),
    }
    files.replace(request.out, (json.dumps(record, indent=1) + "\n").encode())
    return markdown(rows, model, price)


def _data(
    request: Request, few_shot: Sequence[Example], say: Callable[[str], None]
) -> list[DataSet]:
    """Read what detectors are compared on, but for the templates of the examples."""
    data = read_files(request.labelled)
    if request.loghub is not None:
        if request.labels is None:
            raise ConfigError("loghub needs the labels of its events")
        data += read_loghub(request.loghub, request.labels, request.systems)
    if not data:
        raise ConfigError("nothing to look at: give labelled files, or --loghub FOLDER")
    found = []
    for each in data:
        if request.most is not None:
            drawn = each.labelled.sample(request.most, request.options.seed)
            each = DataSet(drawn, each.truth)  # noqa: PLW2901  # the same, smaller
        kept = without(each, [example.line for example in few_shot])
        left_out = len(each.labelled.lines) - len(kept.labelled.lines)
        if left_out:
            say(f"{each.name}: {left_out:,} lines like those of the examples are left out")
        if not kept.labelled.lines:
            raise ConfigError(f"{each.name}: all its lines are like those of the examples")
        found.append(kept)
    return found


def _estimate(
    first: Sequence[Prompt],
    cells: int,
    chosen: Opened,
    price: money.Price | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Tell what it may cost."""
    store, model = chosen.store, chosen.annotator.model
    known = 0 if store is None else sum(store.get(each.key(model)) is not None for each in first)
    expected = money.estimate(first, price)
    say(
        f"{cells} times a prompt and a data set: {expected.requests:,} requests"
        + (f", {known:,} of them answered before" if known else "")
        + f", about {expected.input_tokens:,} tokens asked and up to "
        f"{expected.output_tokens:,} answered, "
        + (
            "price not known"
            if expected.dollars is None
            else f"at most about {money.shown(expected.dollars)}"
        )
        + "; doubts add some"
    )
    return dataclasses.asdict(expected)
