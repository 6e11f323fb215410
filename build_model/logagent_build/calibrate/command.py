"""`logagent-build calibrate`: from logs to calibrated labels, in one folder, resumable.

    logs → entries.msgpack → rounds → calibration.msgpack → labels.tsv, record.json,
                                                             tables.md, course.svg

Guarantees: whatever stops it, the same command goes on, here or on another machine the folder was
moved to; outputs are written after every round (the picture after the last), each replaced whole;
the record names everyone who answered. The labels of labelled lines are the truth that the record
compares with, and nothing else reads them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
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
from logagent_build.annotate.choice import Choice, own_files
from logagent_build.annotate.log_lines import Own
from logagent_build.calibrate import state
from logagent_build.calibrate.asking import Prompts, asking
from logagent_build.calibrate.calibration import Calibration, Settings
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.evidence import plain
from logagent_build.calibrate.reading import LONGEST_TEXT, initial_labels, read_systems
from logagent_build.calibrate.rounds import Round
from logagent_build.calibrate.tables import course_plot, markdown

__all__ = ["Request", "run"]

Bools = npt.NDArray[np.bool_]
Shown = Callable[[int, int, money.Account], None]


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
    origin = _origin(request, prompts, begun=made.begun)
    say(f"{int(entries.count.sum()):,} lines, {len(entries):,} templates of {len(entries.names)}")
    with asking(
        request.choice, prompts, thinking_tokens=request.thinking_tokens, shown=shown, say=say
    ) as (ask, model, account):
        if len({each.startswith("simulated") for each in (*origin.models, model)}) > 1:
            raise StateError(f"{request.out}: answers of a model and of a simulation do not mix")
        if only_estimate:
            first = [] if request.initial or made.begun else plain(entries)
            expected = money.estimate([ask.prompt(query) for query in first], account.price)
            return {"estimate": dataclasses.asdict(expected)}

        def finished(row: Round) -> None:
            nonlocal origin
            if row.asked:
                who = tuple(dict.fromkeys((*origin.models, model)))
                origin = dataclasses.replace(origin, models=who)
            state.save(request.out, made, origin)
            say(_told(row, account))
            _write(request, made, origin, account)

        if not made.begun:
            if request.initial is None:
                made.begin(ask)
            else:
                made.begin_with(initial_labels(request.initial, entries))
            finished(made.rounds[-1])
            if without := int((made.cache.answers() == 0).sum()):
                say(f"{without:,} templates have no label, and count as normal until one is given")
        while not made.done():
            finished(made.round(ask))
        note = _who(origin) if _simulated(origin) else ""
        picture = course_plot(made.rounds, made.best, note)
        files.replace(request.out / "course.svg", picture.encode())
        return _write(request, made, origin, account)


def _origin(request: Request, prompts: Prompts, *, begun: bool) -> state.Origin:
    """Return where the labels come from, after a look whether that is what is asked for now."""
    told = prompts.record()
    digest = None
    if request.initial is not None and (not begun or request.initial.is_file()):
        digest = hashlib.sha256(request.initial.read_bytes()).hexdigest()
    if not begun:
        initial = None if request.initial is None else str(request.initial)
        return state.Origin((), told, initial, digest)
    held = state.origin(request.out)
    if held.prompts != told:
        raise StateError(
            f"{request.out}: its calibration has other prompts; give the same one, or another "
            "folder and the labels of this one as --initial"
        )
    if digest is not None and digest != held.initial_sha256:
        raise StateError(f"{request.out}: its calibration did not begin with {request.initial}")
    return held


def _gather(request: Request, encode: Encode, say: Callable[[str], None]) -> None:
    """Read the logs, and keep what is labelled."""
    if not request.logs:
        raise ConfigError(f"{request.out}: holds no calibration yet; give log files")
    for path in request.logs:
        if path.is_dir() and request.out.absolute().is_relative_to(path.absolute()):
            raise ConfigError(f"{request.out}: is inside {path}, whose files are read as logs")
    systems, labels = read_systems(request.logs, _own(request), say)
    entries = Entries.of(systems, encode)
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


def _own(request: Request) -> Own:
    """Return the files of the calibration itself that may lie among the logs."""
    return own_files(request.choice, (), [request.initial, Path(request.prompt)])


def _same_lines(request: Request, say: Callable[[str], None]) -> None:
    """Refuse logs that are not those of the folder."""
    systems, _ = read_systems(request.logs, _own(request), say)
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


def _told(row: Round, account: money.Account) -> str:
    paid = f", {money.shown(account.dollars)} so far" if account.dollars is not None else ""
    quality = "" if row.quality is None else f", F1 {row.quality.f1:.3f}"
    what = "initial labels" if row.number == 0 else f"round {row.number}"
    return (
        f"{what}: {row.asked:,} asked, {row.changed:,} labels changed, {row.anomalous:,} anomalous"
        f"{quality}{paid}"
    )


def _simulated(origin: state.Origin) -> bool:
    return any(each.startswith("simulated") for each in origin.models)


def _who(origin: state.Origin) -> str:
    return ", then ".join(origin.models) or "nobody"


def _write(
    request: Request, made: Calibration, origin: state.Origin, account: money.Account
) -> dict[str, Any]:
    """Write the outputs; return the record."""
    account.refresh()
    taken = made.best
    record = {
        "model": _who(origin),
        "simulation": _simulated(origin),
        "prompts": origin.prompts,
        "settings": dataclasses.asdict(made.settings),
        "initial": origin.initial,
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
    files.replace(out / "tables.md", markdown(made.rounds, taken, _who(origin)).encode())
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
            f"{soft[at]:.4f}" if answers[at] else "?",
            answers[at],
            entries.count[at],
            printable(entries.names[entries.domain[at]]),
            printable(line, LONGEST_TEXT),
        )
        rows.append("\t".join(map(str, cells)) + "\n")
    return rows
