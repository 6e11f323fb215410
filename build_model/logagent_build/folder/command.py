"""`logagent-build build`: a folder of logs in, a verified bundle and what is to be said of it out.

    DIR ─ read ─ label ─ train ─ verify ─→ my.bundle
            └──────┴───────┴───────┴────── my.bundle.run/: record.json, model-card.md, report.html

Guarantees: whatever stops it, the same command goes on where it was: a stage whose inputs have not
changed is skipped, and within `read`, `label` and `train` what was done is kept. The bundle
appears where it was asked for when it has passed every check, whole, and not before; an earlier
one there is replaced only then.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import ConfigError
from logagent.sanitise import printable

from logagent_build import pipeline
from logagent_build.alpha.corrections import read_review
from logagent_build.alpha.embeddings import Encode, MiniLM
from logagent_build.alpha.pool import shown
from logagent_build.annotate import budget as money
from logagent_build.annotate.choice import Choice, own_files
from logagent_build.calibrate.asking import Prompts
from logagent_build.calibrate.entries import Entries
from logagent_build.export import write
from logagent_build.folder import card, labelling, reading, report, training
from logagent_build.folder.annotators import Spending, asker
from logagent_build.folder.pooled import MOST_ENTRIES, entries_of, with_vectors
from logagent_build.folder.record import record_of
from logagent_build.folder.stages import Finished, RunFolder, digest, file_digest
from logagent_build.folder.strategies import STRATEGIES, WITHOUT_VECTORS, Plan, default_calls
from logagent_build.folder.systems import System, find_systems
from logagent_build.folder.verification import refuse, verify

__all__ = ["Request", "run"]

_FORMAT = 2  # of stages; another one does them again
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    folder: Path
    """Of logs."""
    out: Path
    """Bundle to write."""
    choice: Choice
    """Whom to ask."""
    paths: pipeline.Paths
    """Of the shipped data."""
    run_folder: Path
    systems: Path | None = None
    """Mapping of files to systems."""
    strategy: str = "combined"
    calls: int | None = None
    """Most lines asked; None: `strategies.default_calls`."""
    prompt: str = "logprompt"
    review: Path | None = None
    """Corrections by people; they win."""
    reading: reading.Settings = field(default_factory=reading.Settings)
    training: training.Settings = field(default_factory=training.Settings)
    seed: int = 0
    only_estimate: bool = False
    """Read and tell what labelling may cost; ask nobody."""


def run(
    request: Request,
    *,
    progress: Progress = lambda _stage, _done: None,
    spending: Spending = lambda _account: None,
    say: Callable[[str], None] = lambda _text: None,
    encode: Encode | None = None,
) -> dict[str, Any]:
    """Build a bundle; return the record, or the estimate if that is all that was asked for.

    Args:
        request: what is asked for.
        progress: told of each stage, and the share of it that is done.
        spending: told of what was paid.
        say: told what people should know, a line at a time.
        encode: another sentence encoder.

    Raises:
        LogagentError: it cannot be done, or not yet (a budget, an endpoint, a batch file).
        OSError: a file cannot be read or written.
        ValueError: a file is malformed.
    """
    began = time.monotonic()
    if request.strategy not in STRATEGIES:
        raise ConfigError(f"strategy {request.strategy!r} is none of {', '.join(STRATEGIES)}")
    without = (request.run_folder, request.out)
    prompt = Path(request.prompt) if request.prompt.endswith(".toml") else None
    own = own_files(request.choice, [request.out], [request.review, request.systems, prompt])
    _check_output(request.out)
    with RunFolder.opened(request.run_folder) as folder:
        choice = dataclasses.replace(request.choice, run=f"build {folder.name()}")
        request = dataclasses.replace(request, choice=choice)
        systems = find_systems(
            request.folder, request.systems, without=without, own=own.has, say=say
        )
        _check_kin(systems, request.paths.corpora)
        if not (folder / "label.json").exists():  # nobody to ask is told before hours of reading
            with asker(request.choice, request.prompt):
                pass
        build = _Build(request, folder, systems, progress, spending, say, encode or MiniLM())
        return build.all(began)


class _Build:
    """One run of the stages."""

    def __init__(
        self,
        request: Request,
        folder: RunFolder,
        systems: list[System],
        progress: Progress,
        spending: Spending,
        say: Callable[[str], None],
        encode: Encode,
    ) -> None:
        self._request, self._run, self._systems = request, folder, systems
        self._progress, self._spending, self._say = progress, spending, say
        self._encode = encode
        self._seconds: dict[str, float] = {}

    def all(self, began: float) -> dict[str, Any]:
        """Do what is not done, and return the record."""
        request, run = self._request, self._run
        read = self._timed("read", self._read)
        entries = self._entries(read)
        if request.only_estimate:
            return self._estimate(entries)
        labelled = self._timed("label", lambda: self._label(read, entries))
        trained = self._timed("train", lambda: self._train(labelled, entries))
        verified = self._timed("verify", lambda: self._verify(trained, entries))
        record = record_of(
            run,
            request.out.stem,
            {"seed": request.seed, "base": request.training.base},
            {"read": read, "label": labelled, "train": trained, "verify": verified},
            self._seconds | {"all": round(time.monotonic() - began, 1)},
        )
        labels = labelling.stored(run)
        files.replace(run / "record.json", _json(record), mode=0o600)
        files.replace(run / "model-card.md", card.card(record).encode(), mode=0o600)
        page = report.page(record, entries, labels)
        files.replace(run / "report.html", page.encode(), mode=0o600)
        files.replace(request.out, (run / "trained.bundle").read_bytes())
        return record

    def _timed(self, name: str, stage: Callable[[], Any]) -> Any:
        began = time.monotonic()
        done = stage()
        self._seconds[name] = round(time.monotonic() - began, 1)
        return done

    def _read(self) -> Finished:
        read = reading.read(
            self._run, self._systems, self._request.reading, progress=self._progress, say=self._say
        )
        count = sum(each["templates"] for each in read.facts["systems"])
        self._say(
            f"read: {read.facts['lines']:,} lines of {len(self._systems):,} systems, "
            f"{count:,} templates"
        )
        return read

    def _entries(self, read: Finished) -> Entries:
        systems = [
            (row["name"], reading.load(self._run, number))
            for number, row in enumerate(read.facts["systems"])
        ]
        return entries_of(systems, most=MOST_ENTRIES)

    def _estimate(self, entries: Entries) -> dict[str, Any]:
        """Return what labelling may cost: of as many lines, evidence and doubts not counted."""
        plan = self._plan(entries)
        with asker(self._request.choice, self._request.prompt, say=self._say) as who:
            if who.prompts is None or who.account is None:
                return {"estimate": None, "calls": plan.calls}
            lines = [shown(line) for line in entries.lines[: plan.calls]]
            alone = plan.strategy in ("combined", "calibrate")
            found = money.estimate(who.prompts(lines, alone), who.account.price)
        share = plan.calls / len(lines)
        return {
            "estimate": {
                "requests": round(found.requests * share),
                "input_tokens": round(found.input_tokens * share),
                "output_tokens": round(found.output_tokens * share),
                "dollars": None if found.dollars is None else round(found.dollars * share, 4),
            },
            "calls": plan.calls,
        }

    def _plan(self, entries: Entries) -> Plan:
        request = self._request
        calls = request.calls or default_calls(request.strategy, len(entries))
        return Plan(request.strategy, calls, request.seed)

    def _label(self, read: Finished, entries: Entries) -> Finished:
        request = self._request
        people = read_review(request.review) if request.review else {}
        plan = self._plan(entries)
        inputs = digest(
            {
                "format": _FORMAT,
                "read": read.digest,
                "most": MOST_ENTRIES,
                "who": request.choice.who,
                "known": _known_labels(request.choice.who),
                "model": request.choice.model,
                "prompts": Prompts.load(request.prompt).record(),
                "plan": dataclasses.asdict(plan),
                "people": sorted(people.items()),
            }
        )
        if (finished := self._run.done("label", inputs)) is not None:
            self._progress("labels", 1.0)
            return finished
        if request.strategy not in WITHOUT_VECTORS:
            entries = self._timed("embed", lambda: self._with_vectors(entries))
        with asker(request.choice, request.prompt, spending=self._spending, say=self._say) as who:
            if who.simulation:
                self._say(f"label: a simulation answers, no model ({who.name})")
            rows = read.facts["systems"]
            labelled = labelling.label(
                self._run,
                inputs,
                entries,
                who,
                plan,
                people,
                left_out=(
                    sum(row["templates"] for row in rows) - len(entries),
                    sum(row["kept_lines"] for row in rows) - int(entries.count.sum()),
                ),
                progress=self._progress,
            )
        facts = labelled.facts
        self._say(
            f"label: {facts['calls']:,} lines asked, {facts['anomalous_templates']:,} of "
            f"{facts['templates']:,} templates anomalous, "
            f"{facts['expected_wrong_lines']:,.0f} lines expected to be labelled wrong"
        )
        return labelled

    def _with_vectors(self, entries: Entries) -> Entries:
        return with_vectors(
            entries,
            self._encode,
            cache=self._run / "vectors",
            seed=self._request.seed,
            progress=lambda done: self._progress("embed", done),
        )

    def _train(self, labelled: Finished, entries: Entries) -> Finished:
        request, run = self._request, self._run
        settings, paths = request.training, request.paths
        shipped = (*paths.corpora.glob("*"), *paths.lexicon.glob("*.tsv"))
        data_hashes = {
            path.name: file_digest(path) for path in sorted(shipped) if path.is_file()
        } if settings.base == "shipped" else {}  # fmt: skip
        asked = dataclasses.asdict(settings)
        del asked["jobs"]  # changes no bit
        inputs = digest(
            {
                "format": _FORMAT,
                "labelled": labelled.digest,
                "kin": [[each.name, sorted(each.kin)] for each in self._systems],
                "settings": asked,
                "config": dataclasses.asdict(training.configuration(settings, 1 << 30)),
                "shipped": data_hashes,
                "name": request.out.stem,
            }
        )
        if (finished := run.done("train", inputs)) is not None:
            self._progress("final model", 1.0)
            return finished
        labels = labelling.stored(run)
        data = training.data_of(entries, labels, self._systems, settings.base, paths)
        keep = run / f"folds-{inputs[:16]}"
        made, config = training.train(data, settings, self._progress, keep)
        own = [domain for domain in data.domains if domain.source == training.SOURCE]
        facts: dict[str, Any] = {
            "commit": pipeline.commit(),
            "base": settings.base,
            "config": dataclasses.asdict(config),
            "systems": [domain.name for domain in own],
            "templates": sum(len(domain.templates) for domain in own),
            "all_systems": len(data.domains),
            "all_templates": sum(len(domain.templates) for domain in data.domains),
            "shipped_data": digest(data_hashes) if data_hashes else None,
            **_numbers(made.figures),
        }
        record = {
            "command": "logagent-build build",
            "licences": (pipeline.LICENCES if settings.base == "shipped" else "")
            + f" Trained on logs of {len(own)} systems of whoever built it.",
            "labels": {
                key: labelled.facts[key] for key in ("annotator", "simulation", "strategy", "calls")
            },
            **facts,
        }
        write(run / "trained.bundle", made.manifest(printable(request.out.stem, 80), record), made.exported)  # fmt: skip  # noqa: E501
        return run.finish("train", inputs, ["trained.bundle"], facts)

    def _verify(self, trained: Finished, entries: Entries) -> Finished:
        run = self._run
        inputs = digest({"format": _FORMAT, "trained": trained.digest})
        if (finished := run.done("verify", inputs)) is not None:
            return finished
        labels = labelling.stored(run)
        seen = verify(run / "trained.bundle", entries, labels, trained.facts["parity"])
        files.replace(run / "verified.json", _json(seen.as_dict()), mode=0o600)
        refuse(seen, run / "verified.json")
        return run.finish("verify", inputs, ["verified.json"], seen.as_dict())


def _check_output(out: Path) -> None:
    """Tell before all the work that the bundle could not be written."""
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; give the file that the bundle is written to")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{out}: cannot be written: {error.strerror}") from None
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise OSError(f"{out}: cannot be written: its folder is read-only")


def _check_kin(systems: Sequence[System], corpora: Path) -> None:
    known = {each.name for each in systems} | {path.stem for path in corpora.glob("*.t[sx][vt]")}
    for system in systems:
        if unknown := sorted(system.kin - known):
            raise ConfigError(
                f"[kin] {system.name}: {printable(unknown[0])} is no system, shipped or yours"
            )


def _known_labels(who: str) -> str | None:
    """Return the hash of the file of labels that an annotator goes by."""
    kind, _, rest = who.partition(":")
    if kind not in ("labels", "simulated"):
        return None
    path = Path(rest.split(",")[0] if kind == "simulated" else rest)
    return file_digest(path) if path.is_file() else None


def _numbers(value: Any) -> Any:
    """Return figures with None for what is no number: JSON has none of those."""
    if isinstance(value, dict):
        return {name: _numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
