"""`logagent-build label`: from log files to a table of labels and a record, resumable.

    files → templates → label (annotator ← budget ← store) → labels.tsv, labels.tsv.json

A person's corrections (`alpha.corrections`) are taken over; their templates are not asked.

Guarantees: whatever stops it, the same command goes on; what was paid is in the store beside the
output. The output is replaced when all labels are known, never half written. Leaves clustering
and propagation to others: every template is asked.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import ConfigError
from logagent.normalise import templates
from logagent.sanitise import printable

from logagent_build.alpha.corrections import read_review, template_key
from logagent_build.annotate import budget as money
from logagent_build.annotate import prompt_files
from logagent_build.annotate.choice import Choice, opened, own_files
from logagent_build.annotate.labelling import (
    Example,
    Label,
    Options,
    first_prompts,
    label,
)
from logagent_build.annotate.log_lines import Place, labelled, places
from logagent_build.annotate.protocol import Annotator, Prompt

__all__ = ["Request", "Shown", "run"]

_LONGEST_TEXT = 2000  # [characters] of a line in the output
Shown = Callable[[int, int, money.Account], None]
"""Told prompts answered, prompts known of, and what they cost."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    path: Path
    out: Path
    choice: Choice
    prompt: str = "logprompt"
    examples: Path | None = None
    """Labelled lines for the prompt: label, tab, line."""
    votes: int = 1
    options: Options = dataclasses.field(default_factory=Options)
    review: Path | None = None
    """Corrections of people; they win."""


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
        ValueError: a file of labelled lines, or of corrections, is malformed.
    """
    began = time.time()
    prompt = prompt_files.load(request.prompt)
    few_shot = [Example(*row) for row in labelled(request.examples)] if request.examples else []
    people = read_review(request.review) if request.review else {}
    request.choice.check([request.out], (request.examples, request.review))
    left_out: Counter[str] = Counter()
    own = own_files(request.choice, [request.out], [request.examples, request.review])
    found = list(places(request.path, own, say, left_out))
    if not found:
        raise ConfigError(f"{request.path}: no lines to label")
    masked = templates([place.line for place in found]).templates
    first: dict[bytes, int] = {}
    for number, template in enumerate(masked):
        first.setdefault(template, number)
    known = _reviewed(first, people)
    with opened(request.choice, say) as chosen:
        annotator, account, store = chosen.annotator, chosen.account, chosen.store

        def prompts(some: Sequence[bytes]) -> list[Prompt]:
            lines = [found[first[template]].line for template in some]
            return first_prompts(lines, prompt, few_shot, request.votes, options=request.options)

        def answered(some: Sequence[Prompt]) -> int:
            if store is None:
                return 0
            return sum(store.get(each.key(annotator.model)) is not None for each in some)

        every = list(first)
        if known and answered(begin := prompts(every)) == len(begin):
            asking = every  # answered before there were corrections: other prompts would cost again
        else:
            asking = [template for template in every if template not in known]
            begin = prompts(asking)
        asked = [found[first[template]].line for template in asking]
        stored = answered(begin)
        expected = money.estimate(begin, account.price)
        say(_estimate(len(found), len(first), len(known), stored, expected))
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
        decided = dict(zip(asking, labels, strict=True)) | known
        account.refresh()
        record = _record(request, prompt, annotator, account, counts) | {
            "lines": len(found),
            "files_left_out": dict(left_out),
            "templates": len(first),
            "reviewed_templates": len(known),
            "labels": dict(Counter(_shown(each) for each in decided.values())),
            "how": dict(Counter(each.how for each in decided.values())),
            "estimate": dataclasses.asdict(expected),
            "seconds": round(time.time() - began, 1),
        }
    rows = (_row(place, decided[template]) for place, template in zip(found, masked, strict=True))
    header = "label\thow\tvotes_anomalous\tvotes\tfile\tline_number\treason\tline\n"
    files.replace(request.out, (header + "".join(rows)).encode(), mode=0o600)
    record_path = request.out.with_name(request.out.name + ".json")
    files.replace(record_path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _reviewed(found: Iterable[bytes], people: Mapping[str, bool]) -> dict[bytes, Label]:
    """Return the labels that people gave templates."""
    return {
        template: Label(people[key], 0, 0, "reviewed")
        for template in found
        if (key := template_key(template)) in people
    }


def _estimate(lines: int, distinct: int, known: int, stored: int, expected: money.Estimate) -> str:
    dollars = (
        "; no price is known, tokens are counted only"
        if expected.dollars is None
        else f", at most about {money.shown(expected.dollars)}"
    )
    return (
        f"{lines:,} lines, {distinct:,} templates"
        + (f", {known:,} of them labelled by people" if known else "")
        + f": {expected.requests:,} requests"
        + (f", {stored:,} of them answered before" if stored else "")
        + f", about {expected.input_tokens:,} tokens asked and up to {expected.output_tokens:,} "
        f"answered{dollars}; doubts add some"
    )


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
