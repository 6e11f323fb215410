"""`logagent-build synthesize`: from the names of systems to corpora and their records, resumable.

    systems → plan, lines (annotator ← budget ← store) → distinct → repaired → NAME.tsv

Guarantees: whatever stops it, the same command goes on; what was paid is in the store beside the
output. Files are replaced when all is known, never half written; a corpus that this command did
not write, or that was changed since, is not replaced. The same replies give the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import ConfigError

from logagent_build.annotate import budget as money
from logagent_build.annotate.choice import Choice, Opened, opened
from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.label_command import Shown
from logagent_build.annotate.outputs import writable
from logagent_build.annotate.prompt_files import PromptFile
from logagent_build.corpora import MORE_PAIRS, PAIRS
from logagent_build.synthesize.checking import judged
from logagent_build.synthesize.distinct import Unit, distinct
from logagent_build.synthesize.gathering import Gathered, Settings, expected, gather
from logagent_build.synthesize.leaks import Leaks, measure
from logagent_build.synthesize.questions import Questions, System, prompts_by_kind
from logagent_build.synthesize.repairs import repair
from logagent_build.synthesize.replies import FIELDS

__all__ = ["STORE", "Request", "System", "named", "prompts_named", "run"]

STORE = "synthesize.replies.sqlite"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,60}")
_NO_LETTERS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    systems: Sequence[System]
    out: Path
    """Folder."""
    choice: Choice
    settings: Settings
    prompts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Name or path of a prompt by kind, where it is not the shipped one."""
    seed: int = 0
    thinking_tokens: int = 0


def named(text: str) -> list[System]:
    """Read ``openwrt, postgresql, pg=PostgreSQL 16 with pgbouncer``.

    Raises:
        ConfigError: there is none, or a name cannot be one of a file, or comes twice.
    """
    made = []
    for part in text.split(","):
        given, equals, words = (each.strip() for each in part.partition("="))
        name = given if equals else _NO_LETTERS.sub("_", given.lower()).strip("_")
        words = words if equals else given
        if not words and not name:
            continue
        if not _NAME.fullmatch(name) or name in (PAIRS, MORE_PAIRS):
            raise ConfigError(f"system {part.strip()!r}: give it a name, as in pg=PostgreSQL 16")
        made.append(System(name, words))
    if not made or len({each.name for each in made}) < len(made):
        raise ConfigError("systems: at least one, each with a name of its own, separated by commas")
    return made


def prompts_named(given: Sequence[str]) -> dict[str, str]:
    """Read ``normal=mine.toml`` and the like.

    Raises:
        ConfigError: it names no kind of prompt.
    """
    made = dict(each.partition("=")[::2] for each in given)
    for kind in made:
        if kind not in FIELDS:
            raise ConfigError(f"--prompt {kind!r}: give one of {', '.join(FIELDS)}, =, and a file")
    return made


def run(
    request: Request, shown: Shown, say: Callable[[str], None], *, only_estimate: bool = False
) -> dict[str, Any]:
    """Write the corpora; return their records by name.

    Raises:
        AnnotatorError: of a system no line could be used; the others are written.
        LogagentError: it cannot be done, or not yet; see `annotate.errors`.
        OSError: a file cannot be read or written.
    """
    if request.choice.who.startswith("simulated:"):
        raise ConfigError("simulated: knows labels of lines, and writes none")
    for system in request.systems:
        _refuse_foreign(request.out, system.name)
        for file in (_corpus(request.out, system.name), _record(request.out, system.name)):
            writable(file)
    prompts = prompts_by_kind(request.prompts)
    questions = Questions(request.systems, prompts, request.seed, request.thinking_tokens)
    count = len(request.systems)
    with opened(request.choice, say) as chosen:
        price = chosen.account.price or money.price_of(
            chosen.annotator.model, request.choice.prices
        )
        estimate = money.estimate(expected(questions, count, request.settings), price)
        say(_told(estimate, count))
        if only_estimate:
            return {"estimate": dataclasses.asdict(estimate)}
        gathered = gather(
            chosen.annotator,
            questions,
            count,
            request.settings,
            lambda done, known: shown(done, known, chosen.account),
        )
        chosen.account.refresh()
        records = {
            system.name: _write(request, system, each, prompts, chosen, price, say)
            for system, each in zip(request.systems, gathered, strict=True)
        }
    empty = [name for name, record in records.items() if not record["lines"]]
    if empty:
        counts = {name: records[name]["counts"] for name in empty}
        raise AnnotatorError(
            f"no line of {', '.join(empty)} could be used, nothing is written of it; what was "
            f"counted: {json.dumps(counts)}; another --seed or --model asks anew"
        )
    return records


def _corpus(folder: Path, name: str) -> Path:
    return folder / f"{name}.tsv"


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.record.json"


def _refuse_foreign(folder: Path, name: str) -> None:
    """Refuse to replace what people, or others, made."""
    corpus, record = _corpus(folder, name), _record(folder, name)
    if (folder / f"{name}.txt").exists() or (corpus.exists() and not record.exists()):
        raise ConfigError(
            f"{folder} has a corpus {name!r} that this command did not write; give yours another "
            f"name, as in  my_{name}={name}"
        )
    if corpus.exists() and _digest(corpus) not in _written(record):
        raise ConfigError(
            f"{corpus} was changed since this command wrote it; rename it to keep it, or delete it"
        )


def _digest(corpus: Path) -> str | None:
    """Return the SHA-256 of a file, None if there is none."""
    return hashlib.sha256(corpus.read_bytes()).hexdigest() if corpus.exists() else None


def _written(record: Path) -> set[object]:
    """Return the hashes a corpus may have by its record: its own, that of the one before it."""
    try:
        told = json.loads(record.read_bytes())
        return {told["sha256"], told["replaced_sha256"]}
    except (ValueError, KeyError, TypeError):
        return set()


def _told(estimate: money.Estimate, systems: int) -> str:
    dollars = (
        "; no price is known, tokens are counted only"
        if estimate.dollars is None
        else f", at most about {money.shown(estimate.dollars)}"
    )
    return (
        f"{systems:,} system{'s' * (systems > 1)}: {estimate.requests:,} requests, about "
        f"{estimate.input_tokens:,} tokens asked and up to {estimate.output_tokens:,} "
        f"answered{dollars}; repetitions and broken rows add some"
    )


def _write(
    request: Request,
    system: System,
    made: Gathered,
    prompts: Mapping[str, PromptFile],
    chosen: Opened,
    price: money.Price | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Check, repair and write one corpus and its record; return the record."""
    found, gone = distinct(made.units)
    units, repairs = repair(found, request.settings.wanted, request.seed)
    units, again = distinct(units)
    first, _ = _measured(found, request.seed)
    last, fine = _measured(units, request.seed)
    left = [name for name, passed in fine.items() if not passed]
    have = Counter(unit.kind for unit in units)
    record: dict[str, Any] = {
        "system": system.words,
        "name": system.name,
        "model": chosen.annotator.model,
        "simulation": made.simulated or chosen.annotator.model.startswith("simulated"),
        "prompts": {
            kind: {"name": file.name, "version": file.version, "sha256": file.digest}
            for kind, file in prompts.items()
        },
        "seed": request.seed,
        "wanted": dict(request.settings.wanted),
        "lines_per_prompt": request.settings.lines_per_prompt,
        "components": [each.name for each in made.plan],
        "rounds": made.rounds,
        "ended": dict(sorted(made.ended.items())),
        "written": {kind: have[kind] for kind in request.settings.wanted},
        "lines": {str(label): count for label, count in sorted(_labels(units).items())},
        "severities": {
            str(severity): count
            for severity, count in sorted(
                Counter(line.severity for unit in units for line in unit.lines).items()
            )
        },
        "categories": dict(
            sorted(Counter(unit.category for unit in units if unit.kind == "anomalous").items())
        ),
        "counts": dict(sorted(made.counts.items())),
        "dropped": dict(sorted((gone + again).items())),
        "repairs": dict(sorted(repairs.items())),
        "leaks_before": dataclasses.asdict(first),
        "leaks": dataclasses.asdict(last),
        "passed": fine,
        "tokens": {
            "input": made.input_tokens,
            "output": made.output_tokens,
            "dollars": None if price is None else price.of(made.input_tokens, made.output_tokens),
        },
        "paid_by_all_systems": {
            "requests": chosen.account.requests,
            "input_tokens": chosen.account.input_tokens,
            "output_tokens": chosen.account.output_tokens,
            "dollars": chosen.account.dollars,
        },
    }
    rows = [
        f"{line.label}\t{line.severity}\t{line.text}\n" for unit in units for line in unit.lines
    ]
    if not rows:
        return record
    data, corpus = "".join(rows).encode(), _corpus(request.out, system.name)
    digest, before = hashlib.sha256(data).hexdigest(), _digest(corpus)
    # The record first, with both hashes: whenever it is stopped, the corpus is known as ours.
    record["sha256"] = digest
    record["replaced_sha256"] = None if before == digest else before
    text = json.dumps(record, indent=1, ensure_ascii=True) + "\n"
    files.replace(_record(request.out, system.name), text.encode())
    files.replace(corpus, data)
    short = [kind for kind, count in request.settings.wanted.items() if have[kind] < count]
    say(
        f"{system.name}.tsv: {len(rows):,} lines"
        + (f"; fewer than wanted: {', '.join(short)}" if short else "")
        + (f"; still tells labels by {', '.join(left)}: see its record" if left else "")
    )
    return record


def _measured(units: Sequence[Unit], seed: int) -> tuple[Leaks, dict[str, bool]]:
    lines = [line for unit in units for line in unit.lines]
    labels = [line.label for line in lines]
    leaks = measure([line.text for line in lines], labels, seed)
    return leaks, judged(leaks, labels)


def _labels(units: Sequence[Unit]) -> Counter[int]:
    return Counter(line.label for unit in units for line in unit.lines)
