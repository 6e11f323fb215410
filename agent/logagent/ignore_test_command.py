"""What `logagent ignore test` does: say what overrides would hide in logs that are there.

Guarantees: the lines are judged as the agent with this configuration would judge them; nothing is
written; what is counted is bounded. A line is counted for one entry, the one that the agent would
go by.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from logagent.config import Config
from logagent.errors import EXIT_INPUT_PROBLEM, EXIT_OK, BundleError
from logagent.model_store import in_force
from logagent.override_entries import (
    Override,
    OverridesError,
    entries_of,
    group_text,
    problems_of,
)
from logagent.overrides import FILE_NAME, Overrides
from logagent.paths import SourceProblem, followed_name
from logagent.records import dumps
from logagent.sanitise import printable
from logagent.scan import Scan, Step
from logagent.sequence_overrides import is_about_sequences
from logagent.service.parts import Model, load_model
from logagent.teach_command import Meant, override_of, state_config

if TYPE_CHECKING:
    from logagent.ignore_test_sequences import SequenceTrial

__all__ = ["CANDIDATE", "try_overrides"]

CANDIDATE = "candidate"
"""Stands for the id of an entry that is not written yet."""

_MOST_GROUPS = 10_000  # counted per entry
_SHOWN_CHARS = 200


@dataclass(slots=True)
class _Tally:
    """What an entry hides."""

    entry: Override
    lines: int = 0
    groups: set[int] = field(default_factory=set)
    """Hashes of their texts."""
    score: float = 0.0
    """The highest of its lines."""
    sample: bytes = b""
    """The line of that score."""


def try_overrides(
    paths: Sequence[str],
    config: Path | None,
    state_dir: Path | None,
    *,
    meant: Meant,
    source: str | None = None,
    human: bool,
) -> int:
    """Scan `paths` and print what each entry in force hides, and a candidate beside them.

    Args:
        paths: as for `scan`.
        config: the configuration file; None for the default.
        state_dir: the agent's state folder; None for the configuration's.
        meant: what the candidate is about; nothing at all for none.
        source: glob on the name of the candidate's source.
        human: for people, else as JSON Lines.

    Raises:
        LogagentError: configuration, overrides, candidate, bundle or backend cannot be used.
    """
    loaded = state_config(config, state_dir)
    now = time.time()
    entries = list(entries_of(loaded.state.folder() / FILE_NAME))
    if meant != Meant():
        candidate = override_of(meant, loaded, "normal", id_=CANDIDATE, source=source)
        if problems := list(problems_of(candidate)):
            raise OverridesError("\n".join(printable(each, 500) for each in problems))
        latest = max([candidate.created, *(entry.created for entry in entries)])
        entries.append(replace(candidate, created=latest))
    overrides = Overrides(entries, now)
    trial = _Trial(overrides)
    model = load_model(loaded)
    sequences = None
    if any(map(is_about_sequences, overrides.entries)):
        sequences = _sequences(model, loaded, overrides)
    severe = float(model.scorer.bundle.manifest.thresholds.get("low", math.inf))
    partial = False

    def problem(found: SourceProblem) -> None:
        nonlocal partial
        partial |= found.partial
        print(f"logagent: {printable(f'{found.source}: {found.message}')}", file=sys.stderr)  # noqa: T201

    scan = Scan(
        model.scorer,
        threshold=model.threshold,
        overrides=trial.added,
        on_problem=problem,
    )
    for step in scan.steps(paths):
        trial.see(step)
        if sequences is not None:
            sequences.see(step)
    if sequences is not None:
        sequences.close()
    lines = trial.told(severe, scan, sequences) if human else trial.records(severe, scan, sequences)
    for line in lines:
        print(line)  # noqa: T201
    return EXIT_INPUT_PROBLEM if partial else EXIT_OK


def _sequences(model: Model, config: Config, overrides: Overrides) -> SequenceTrial | None:
    """Return what tries entries about sequences; None, and said so, where nobody judges any."""
    if not config.sequences.enabled:
        message = "entries about sequences are not tried: [sequences] is off in the configuration"
        print(f"logagent: {message}", file=sys.stderr)  # noqa: T201
        return None
    from logagent.ignore_test_sequences import SequenceTrial  # noqa: PLC0415 - few want it

    try:
        return SequenceTrial(model.scorer.bundle, config, overrides)
    except BundleError as error:
        if in_force(config).why != "updated":  # else the agent goes on without sequences
            raise
        message = printable(f"entries about sequences are not tried: {error}", 500)
        print(f"logagent: {message}", file=sys.stderr)  # noqa: T201
        return None


class _Trial:
    """Counts what is hidden, and by which entry."""

    def __init__(self, overrides: Overrides) -> None:
        self.added = Overrides(each for each in overrides.entries if each.verdict == "anomalous")
        """What makes lines anomalous: lines are judged with it, so that its say is heard here."""
        self.anomalous = 0
        self._overrides = overrides
        self._tallies = {
            each.id: _Tally(each)
            for each in overrides.entries
            if each.verdict == "normal" and not is_about_sequences(each)
        }
        self._source = ""
        self._head: Override | None = None  # what hides the last flagged line that is no part

    def see(self, step: Step) -> None:
        """Count a judged block."""
        if (name := followed_name(step.source.name)) != self._source:
            self._source, self._head = name, None
        for index, verdict in enumerate(step.verdicts):
            if not verdict.anomalous:
                continue
            self.anomalous += 1
            key = verdict.group or verdict.template
            line = step.block.line(index)
            entry = self._overrides.about(key)
            if entry is None or entry.verdict == "anomalous":
                if step.grouped[index].anomalous:
                    self._head = self._overrides.hides(self._source, line, key)
                entry = self._head  # a part of a trace goes with its head
            elif step.grouped[index].anomalous:
                self._head = None  # the judge knows no traces: the parts stand for themselves
            if entry is not None:
                self._count(self._tallies[entry.id], key, line, verdict.score)

    def told(self, severe: float, scan: Scan, sequences: SequenceTrial | None) -> Iterator[str]:
        """Yield the results for people."""
        for tally in self._tallies.values():
            entry = tally.entry
            what = f"/{entry.regex}/" if entry.regex is not None else entry.group or ""
            where = f" in {entry.source}" if entry.source is not None else ""
            yield f"{entry.id}: {printable(what + where, _SHOWN_CHARS)}"
            if not tally.lines:
                yield "    hides nothing here"
                continue
            groups = f"{len(tally.groups):,} group{'s' * (len(tally.groups) != 1)}"
            yield f"    hides {tally.lines:,} line{'s' * (tally.lines != 1)} of {groups}, such as"
            yield f"    {tally.score:.2f}  {printable(tally.sample, _SHOWN_CHARS)}"
            if tally.score >= severe:
                yield f"    WARNING: even sensitivity low ({severe:.2f}) would tell of this line"
        left = self.anomalous - self._hidden()
        if sequences is not None:
            yield from sequences.told()
        read = scan.totals.lines
        yield f"{read:,} lines, {self.anomalous:,} anomalous; {left:,} of these remain"

    def records(self, severe: float, scan: Scan, sequences: SequenceTrial | None) -> Iterator[str]:
        """Yield the results as JSON, one object per entry and one for all."""
        for tally in self._tallies.values():
            entry = tally.entry
            record = {
                "id": entry.id,
                "group": entry.group,
                "regex": entry.regex,
                "source": entry.source,
                "hidden_lines": tally.lines,
                "hidden_groups": len(tally.groups),
                "score": round(tally.score, 4) if tally.lines else None,
                "sample": printable(tally.sample) if tally.lines else None,
                "severe": tally.score >= severe,
            }
            yield dumps({key: value for key, value in record.items() if value is not None})
        left = self.anomalous - self._hidden()
        totals = {"lines": scan.totals.lines, "anomalous_lines": self.anomalous}
        totals["remaining_lines"] = left
        if sequences is not None:
            yield from sequences.records()
            totals |= sequences.totals()
        yield dumps(totals)

    def _hidden(self) -> int:
        return sum(tally.lines for tally in self._tallies.values())

    @staticmethod
    def _count(tally: _Tally, key: bytes, line: bytes, score: float) -> None:
        tally.lines += 1
        if len(tally.groups) < _MOST_GROUPS:
            tally.groups.add(hash(group_text(key)))
        if score > tally.score:
            tally.score, tally.sample = score, line[:1024]
