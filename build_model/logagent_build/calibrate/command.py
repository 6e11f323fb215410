"""`logagent-build calibrate`: from logs to calibrated labels, in one folder, resumable.

    logs → entries.msgpack → rounds → calibration.msgpack → labels.tsv, record.json,
                                                             tables.md, course.svg

Guarantees: whatever stops it, the same command goes on, here or on another machine the folder was
moved to; outputs are written after every round (the picture after
the last), each replaced whole. A file is taken as labelled
lines if each of its rows is one; their labels are the truth that the record compares with, and
nothing else reads them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from logagent import files
from logagent.errors import ConfigError, StateError
from logagent.normalise import templates
from logagent.sanitise import printable

from logagent_build.alpha.embeddings import Encode, MiniLM
from logagent_build.annotate import budget as money
from logagent_build.annotate.choice import Choice
from logagent_build.annotate.log_lines import places
from logagent_build.calibrate import state
from logagent_build.calibrate.asking import Prompts, asking
from logagent_build.calibrate.calibration import Calibration, Settings
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.evidence import plain
from logagent_build.calibrate.rounds import Round
from logagent_build.calibrate.tables import course_plot, markdown

__all__ = ["Request", "run"]

Bools = npt.NDArray[np.bool_]
Shown = Callable[[int, int, money.Account], None]

_LONGEST_TEXT = 2000  # [characters] of a line in the output; what `label` writes
_LABELLED = re.compile(rb"([01])\t(?:[0-3]\t)?(.+)")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    logs: Sequence[Path]
    """One system each: a log file, a folder of logs, or a file of labelled lines; none to go on
    with what the folder holds."""
    out: Path
    """Folder of the calibration; made if it is not there."""
    choice: Choice
    settings: Settings = field(default_factory=Settings)
    initial: Path | None = None
    """Labels to begin with: the table that `label` wrote, or labelled lines; None: ask."""
    prompt: str = "logprompt"
    """Of the initial labelling."""
    thinking_tokens: int = 0


def run(
    request: Request,
    shown: Shown,
    say: Callable[[str], None],
    *,
    encode: Encode | None = None,
    only_estimate: bool = False,
) -> dict[str, Any]:
    """Calibrate, from wherever the folder is; return the record.

    Raises:
        LogagentError: it cannot be done, or not yet; see `annotate.errors`.
        OSError: a file cannot be read or written.
        ValueError: a file of labels is malformed.
    """
    prompts = Prompts.load(request.prompt)
    request.out.mkdir(parents=True, exist_ok=True)
    if not state.exists(request.out):
        _gather(request, encode or MiniLM(), say)
    elif request.logs:
        _same_lines(request, say)
    made = state.load(request.out, request.settings)
    entries = made.entries
    say(f"{int(entries.count.sum()):,} lines, {len(entries):,} templates of {len(entries.names)}")
    with asking(
        request.choice, prompts, thinking_tokens=request.thinking_tokens, shown=shown, say=say
    ) as (ask, model, account):
        if only_estimate:
            first = [] if request.initial or made.begun else plain(entries)
            expected = money.estimate([ask.prompt(query) for query in first], account.price)
            return {"estimate": dataclasses.asdict(expected)}

        def finished(row: Round) -> None:
            state.save(request.out, made)
            say(_told(row, account))
            _write(request, made, model, prompts, account)

        if not made.begun:
            if request.initial is None:
                made.begin(ask)
            else:
                made.begin_with(_initial(request.initial, entries))
            finished(made.rounds[-1])
        while not made.done():
            finished(made.round(ask))
        note = model if model.startswith("simulated") else ""
        picture = course_plot(made.rounds, made.best, note)
        files.replace(request.out / "course.svg", picture.encode())
        return _write(request, made, model, prompts, account)


def _gather(request: Request, encode: Encode, say: Callable[[str], None]) -> None:
    """Read the logs, and keep what is labelled."""
    if not request.logs:
        raise ConfigError(f"{request.out}: holds no calibration yet; give log files")
    for path in request.logs:
        if path.is_dir() and request.out.absolute().is_relative_to(path.absolute()):
            raise ConfigError(f"{request.out}: is inside {path}, whose files are read as logs")
    systems, labels = _systems(request, say)
    entries = Entries.of(systems, encode, request.settings.seed)
    truth, known = [], []
    for name, lines in systems.items():
        masked = templates(lines).templates
        number = {key: at for at, key in enumerate(dict.fromkeys(masked))}
        of = np.array([number[key] for key in masked])
        told = labels[name]
        share = np.bincount(of, np.zeros(len(of)) if told is None else told) / np.bincount(of)
        truth.append(share >= 0.5)
        known.append(np.full(len(number), told is not None))
    some = any(each.any() for each in known)
    state.save_entries(
        request.out,
        entries,
        np.concatenate(truth) if some else None,
        np.concatenate(known) if some else None,
    )


def _systems(
    request: Request, say: Callable[[str], None]
) -> tuple[dict[str, list[bytes]], dict[str, list[bool] | None]]:
    """Read the lines of each system, and the labels of those that are labelled."""
    systems: dict[str, list[bytes]] = {}
    labels: dict[str, list[bool] | None] = {}
    for path in request.logs:
        name = path.name.partition(".")[0] or path.name
        while name in systems:
            name += "'"
        told = _labelled(path)
        if told is not None:
            systems[name], labels[name] = [line for line, _ in told], [each for _, each in told]
            continue
        systems[name] = [place.line for place in places(path, request.out, say)]
        labels[name] = None
        if not systems[name]:
            raise ConfigError(f"{path}: no lines to label")
    return systems, labels


def _labelled(path: Path) -> list[tuple[bytes, bool]] | None:
    """Read labelled lines; None if the file holds anything else."""
    if not path.is_file() or path.suffix != ".tsv":
        return None
    found = []
    for row in path.read_bytes().replace(b"\r\n", b"\n").split(b"\n"):
        match = _LABELLED.fullmatch(row)
        if match is not None:
            found.append((match[2], match[1] == b"1"))
        elif row:
            return None
    return found or None


def _same_lines(request: Request, say: Callable[[str], None]) -> None:
    """Refuse logs that are not those of the folder."""
    systems, _ = _systems(request, say)
    held = state.load(request.out, request.settings).entries
    of: dict[str, list[bytes]] = {name: [] for name in held.names}
    for template, at in zip(held.templates, held.domain.tolist(), strict=True):
        of[held.names[at]].append(template)
    given = {
        name: list(dict.fromkeys(templates(lines).templates)) for name, lines in systems.items()
    }
    if of != given:
        raise StateError(
            f"{request.out}: holds a calibration of other lines; give another folder, or no logs "
            "to go on with it"
        )


def _initial(path: Path, entries: Entries) -> list[bool | None]:
    """Return the label that a file gives each entry: by its line, else by its template.

    Raises:
        ValueError: it is neither a table of `label` nor labelled lines, or labels nothing here.
    """
    told = _labelled(path) or _table(path)
    by_line = {printable(line, _LONGEST_TEXT): label for line, label in told}
    masked = templates([line for line, _ in told]).templates
    by_template = {key: label for key, (_, label) in zip(masked, told, strict=True)}
    found = [
        by_line.get(printable(line, _LONGEST_TEXT), by_template.get(template))
        for line, template in zip(entries.lines, entries.templates, strict=True)
    ]
    if all(label is None for label in found):
        raise ValueError(f"{path}: labels none of the lines")
    return found


def _table(path: Path) -> list[tuple[bytes, bool]]:
    """Read the table that `label` wrote; rows without a label are left out."""
    header, *rows = path.read_text("utf-8").split("\n")
    names = header.split("\t")
    if names[:1] != ["label"] or names[-1] != "line":
        raise ValueError(f"{path}: neither a table of `logagent-build label` nor labelled lines")
    found = []
    for number, row in enumerate(rows, 2):
        cells = row.split("\t", len(names) - 1)
        if not row:
            continue
        if len(cells) != len(names) or cells[0] not in ("0", "1", "?"):
            raise ValueError(f"{path}:{number}: not a row of a table of labels")
        if cells[0] != "?":
            found.append((cells[-1].encode(), cells[0] == "1"))
    return found


def _told(row: Round, account: money.Account) -> str:
    paid = f", {money.shown(account.dollars)} so far" if account.dollars is not None else ""
    quality = "" if row.quality is None else f", F1 {row.quality.f1:.3f}"
    what = "initial labels" if row.number == 0 else f"round {row.number}"
    return (
        f"{what}: {row.asked:,} asked, {row.changed:,} labels changed, {row.anomalous:,} anomalous"
        f"{quality}{paid}"
    )


def _write(
    request: Request, made: Calibration, model: str, prompts: Prompts, account: money.Account
) -> dict[str, Any]:
    """Write the outputs; return the record."""
    account.refresh()
    taken = made.best
    record = {
        "model": model,
        "simulation": model.startswith("simulated"),
        "prompts": prompts.record(),
        "settings": dataclasses.asdict(made.settings),
        "initial": str(request.initial) if request.initial else None,
        "systems": made.entries.names,
        "lines": int(made.entries.count.sum()),
        "templates": len(made.entries),
        "lines_sha256": hashlib.sha256(b"\n".join(made.entries.templates)).hexdigest(),
        "calls": made.calls,
        "rounds": [dataclasses.asdict(row) for row in made.rounds],
        "taken": taken,
        "finished": made.done(),
        "anomalous": int(made.cache.hard(taken).sum()),
        "paid": {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        },
    }
    out = request.out
    files.replace(out / "labels.tsv", "".join(_rows(made)).encode(), mode=0o600)
    files.replace(out / "tables.md", markdown(made.rounds, taken, model).encode())
    files.replace(out / "record.json", (json.dumps(record, indent=1) + "\n").encode())
    return record


def _rows(made: Calibration) -> list[str]:
    entries = made.entries
    soft, hard = made.labels(), made.cache.hard(made.best)
    answers = made.cache.answers(made.best)
    rows = ["label\tsoft\tanswers\tlines\tsystem\tline\n"]
    for at, line in enumerate(entries.lines):
        label = str(int(hard[at])) if answers[at] else "?"
        cells = (
            label,
            f"{soft[at]:.4f}",
            answers[at],
            entries.count[at],
            printable(entries.names[entries.domain[at]]),
            printable(line, _LONGEST_TEXT),
        )
        rows.append("\t".join(map(str, cells)) + "\n")
    return rows
