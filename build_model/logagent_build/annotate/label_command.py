"""`logagent-build label`: from log files to a table of labels and a record, resumable.

    files → templates → label (annotator ← budget ← store) → labels.tsv, labels.tsv.json

Guarantees: whatever stops it, the same command goes on; what was paid is in the store beside the
output. The output is replaced when all labels are known, never half written. Leaves clustering
and propagation to others: every template is asked.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from logagent import files
from logagent.errors import ConfigError
from logagent.normalise import templates
from logagent.sanitise import printable

from logagent_build.annotate import budget as money
from logagent_build.annotate import prompt_files
from logagent_build.annotate.batch import BatchFiles
from logagent_build.annotate.courier import Courier
from logagent_build.annotate.labelling import (
    Example,
    Label,
    Options,
    first_prompts,
    label,
)
from logagent_build.annotate.log_lines import Place, labelled, places
from logagent_build.annotate.protocol import Annotator
from logagent_build.annotate.recorded import Nothing, Recorded, Store
from logagent_build.annotate.simulated import ErrorModel, Simulated
from logagent_build.annotate.wire import Dialect

__all__ = ["Request", "Shown", "run"]

_LONGEST_TEXT = 2000  # [characters] of a line in the output
_THINKING = re.compile(r"(?:o\d|gpt-5)(?:\b|-)")  # OpenAI's, which refuse a temperature
_OWN_KEY = "LOGAGENT_API_KEY"
_OPENAI = ("api.openai.com", "OPENAI_API_KEY")
Shown = Callable[[int, int, money.Account], None]
"""Told prompts answered, prompts known of, and what they cost."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    path: Path
    annotator: str
    """``http(s)://…/v1``, ``recorded:DB``, ``batch:FILE`` or ``simulated:FILE,…``."""
    out: Path
    model: str = ""
    prompt: str = "logprompt"
    examples: Path | None = None
    """Labelled lines for the prompt: label, tab, line."""
    votes: int = 1
    options: Options = dataclasses.field(default_factory=Options)
    store: Path | None = None
    """By default beside the output."""
    budget: float | None = None
    """[US dollars] of the whole labelling."""
    prices: Path | None = None
    responses: Sequence[Path] = ()
    key_env: str | None = None
    key_file: Path | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Further fields of `endpoint.Settings`."""


def run(
    request: Request,
    shown: Shown,
    say: Callable[[str], None],
    *,
    only_estimate: bool = False,
) -> dict[str, Any]:
    """Label the lines of a file or folder; return the record.

    Raises:
        LogagentError: it cannot be done, or not yet; see `annotate.errors`.
        OSError: a file cannot be read or written.
        ValueError: a file of labelled lines is malformed.
    """
    began = time.time()
    prompt = prompt_files.load(request.prompt)
    few_shot = [Example(*row) for row in labelled(request.examples)] if request.examples else []
    found = list(places(request.path, request.out, say))
    if not found:
        raise ConfigError(f"{request.path}: no lines to label")
    masked = templates([place.line for place in found]).templates
    first: dict[bytes, int] = {}
    for number, template in enumerate(masked):
        first.setdefault(template, number)
    asked = [found[number].line for number in first.values()]
    numbers = {template: number for number, template in enumerate(first)}
    with ExitStack() as stack:
        annotator, account, store = _stack(request, stack, say)
        begin = first_prompts(asked, prompt, few_shot, request.votes, options=request.options)
        stored = (
            0
            if store is None
            else sum(store.get(each.key(annotator.model)) is not None for each in begin)
        )
        expected = money.estimate(begin, account.price)
        say(_estimate(len(found), len(asked), stored, expected))
        if only_estimate:
            return {"estimate": dataclasses.asdict(expected)}
        counts: Counter[str] = Counter()
        labels = label(
            asked,
            annotator,
            prompt,
            few_shot,
            request.votes,
            options=request.options,
            counts=counts,
            progress=lambda done, known: shown(done, known, account),
        )
        account.refresh()
        record = _record(request, prompt, annotator, account, counts) | {
            "lines": len(found),
            "templates": len(asked),
            "labels": dict(Counter(_shown(each) for each in labels)),
            "how": dict(Counter(each.how for each in labels)),
            "estimate": dataclasses.asdict(expected),
            "seconds": round(time.time() - began, 1),
        }
    rows = (
        _row(place, labels[numbers[template]])
        for place, template in zip(found, masked, strict=True)
    )
    header = "label\thow\tvotes_anomalous\tvotes\tfile\tline_number\treason\tline\n"
    files.replace(request.out, (header + "".join(rows)).encode(), mode=0o600)
    record_path = request.out.with_name(request.out.name + ".json")
    files.replace(record_path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _estimate(lines: int, asked: int, stored: int, expected: money.Estimate) -> str:
    dollars = (
        "; no price is known, tokens are counted only"
        if expected.dollars is None
        else f", at most about {money.shown(expected.dollars)}"
    )
    return (
        f"{lines:,} lines, {asked:,} templates: {expected.requests:,} requests"
        + (f", {stored:,} of them answered before" if stored else "")
        + f", about {expected.input_tokens:,} tokens asked and up to {expected.output_tokens:,} "
        f"answered{dollars}; doubts add some"
    )


def _stack(
    request: Request, stack: ExitStack, say: Callable[[str], None]
) -> tuple[Annotator, money.Account, Store | None]:
    """Put store, budget and annotator in front of each other."""
    kind, _, rest = request.annotator.partition(":")
    store_path = request.store or request.out.with_name(request.out.name + ".replies.sqlite")
    labelling = str(request.out.absolute())
    if kind == "simulated":
        simulated = _simulated(rest)
        account = money.Account(None, None)
        return money.Budgeted(simulated, account), account, None
    if not request.model:
        raise ConfigError("give the model with --model")
    if kind == "recorded":
        if not Path(rest).is_file():
            raise ConfigError(f"{rest}: no such store of replies")
        store = stack.enter_context(Store(Path(rest)))
        account = money.Account(None, None)
        return Recorded(store, Nothing(request.model, Path(rest)), labelling), account, store
    price = money.price_of(request.model, request.prices)
    store = stack.enter_context(Store(store_path))
    account = money.Account(price, request.budget, lambda: store.spent(labelling, request.model))
    inner: Annotator
    if kind == "batch":
        inner = BatchFiles(request.model, Path(rest), request.responses, _dialect(request.model))
    elif kind in ("http", "https"):
        courier = _courier(request, store_path, labelling, say)
        stack.callback(courier.close)
        inner = courier
    else:
        raise ConfigError(
            f"annotator {request.annotator!r}: give an address that ends in /v1, recorded:DB, "
            "batch:FILE or simulated:FILE"
        )
    return Recorded(store, money.Budgeted(inner, account), labelling), account, store


def _dialect(model: str) -> Dialect:
    """Return what a model takes, by its name: a file cannot be tried first."""
    if _THINKING.match(model):
        return Dialect(limit="max_completion_tokens", temperature=False)
    return Dialect()


def _courier(request: Request, store: Path, labelling: str, say: Callable[[str], None]) -> Courier:
    from logagent_build.annotate.endpoint import Settings  # noqa: PLC0415  # openai: slow

    settings = Settings(
        base_url=request.annotator, model=request.model, key=_key(request), **request.settings
    )
    return Courier(settings, store, labelling, say)


def _key(request: Request) -> str:
    """Return the key to send: that of the option, else of the environment, OpenAI's to OpenAI."""
    if request.key_file is not None:
        return request.key_file.read_text("utf-8").strip()
    if request.key_env is not None:
        if request.key_env not in os.environ:
            raise ConfigError(f"--key-env: there is no {request.key_env} in the environment")
        return os.environ[request.key_env].strip()
    host, name = _OPENAI
    if urlsplit(request.annotator).hostname == host and name in os.environ:
        return os.environ[name].strip()
    return os.environ.get(_OWN_KEY, "").strip()


def _simulated(rest: str) -> Simulated:
    """Read ``FILE,normal=0.2,anomalous=0.2,template=0.5,ask=0,seed=0``."""
    name, *given = rest.split(",")
    fields = {
        "normal": "wrong_normal",
        "anomalous": "wrong_anomalous",
        "template": "by_template",
        "ask": "by_ask",
    }
    values: dict[str, float] = {}
    for pair in given:
        key, _, value = pair.partition("=")
        if key not in (*fields, "seed"):
            raise ConfigError(f"simulated: {key!r} is none of {', '.join(fields)}, seed")
        values[key] = float(value)
    seed = int(values.pop("seed", 0))
    errors = ErrorModel(**{fields[key]: value for key, value in values.items()})
    return Simulated(dict(labelled(Path(name))), errors, seed)


def _record(
    request: Request,
    prompt: prompt_files.PromptFile,
    annotator: Annotator,
    account: money.Account,
    counts: Counter[str],
) -> dict[str, Any]:
    options = dataclasses.asdict(request.options)
    del options["canaries"]
    return {
        "model": annotator.model,
        "simulation": annotator.model.startswith("simulated"),
        "prompt": {"name": prompt.name, "version": prompt.version, "sha256": prompt.digest},
        "options": options | {"votes": request.votes},
        "examples": str(request.examples) if request.examples else None,
        "paid": {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        },
        "counts": dict(sorted(counts.items())),
    }


def _shown(each: Label) -> str:
    return "?" if each.anomalous is None else str(int(each.anomalous))


def _row(place: Place, each: Label) -> str:
    cells = (
        _shown(each),
        each.how,
        each.votes_anomalous,
        each.votes,
        printable(place.file),
        place.number,
        printable(each.reason),
        printable(place.line, _LONGEST_TEXT),
    )
    return "\t".join(map(str, cells)) + "\n"
