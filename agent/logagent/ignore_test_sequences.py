"""The part of `logagent ignore test` about sequences: which of them entries would hide.

Guarantees: sequences are made and judged as the agent with this configuration would do it, but that
a log's end is the end of what is open in it; what is counted is bounded by the entries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from logagent.bundle import Bundle
from logagent.config import Config
from logagent.override_entries import Override
from logagent.overrides import Overrides
from logagent.paths import followed_name
from logagent.records import dumps
from logagent.sanitise import printable
from logagent.scan import Step
from logagent.sequence_overrides import is_about_sequences, shown
from logagent.sequences.finding_records import finding_text
from logagent.sequences.part import SequenceModel
from logagent.sequences.taught import Taught
from logagent.sequences.watch import Finding
from logagent.service.sequencing import make_sequences

__all__ = ["SequenceTrial"]

_SHOWN_CHARS = 200


@dataclass(slots=True)
class _Tally:
    """What an entry hides."""

    entry: Override
    sequences: int = 0
    score: float = 0.0
    """The highest of its sequences."""
    sample: str = ""
    """That sequence, for people."""


class SequenceTrial:
    """Counts which sequences are hidden, and by which entry."""

    def __init__(self, bundle: Bundle, config: Config, overrides: Overrides) -> None:
        """Prepare the judging.

        Args:
            bundle: the model.
            config: in force; sequences are enabled.
            overrides: the entries in force and the one that is tried.

        Raises:
            BundleError: the bundle cannot judge sequences.
        """
        vocabulary = SequenceModel.of(bundle).vocabulary
        self._watch = make_sequences(config, bundle, "", self._report, None).watch
        self._watch.teach(self)
        self._reader = self._watch.sequencer.reader
        self._taught = Taught(overrides, vocabulary)
        self._tallies = {
            each.id: _Tally(each) for each in overrides.entries if is_about_sequences(each)
        }
        self._source: str | None = None

    def hides(self, finding: Finding) -> Override | None:
        """Return the entry that hides a sequence, and count it."""
        entry = self._taught.hides(finding)
        if entry is not None:
            tally = self._tallies[entry.id]
            tally.sequences += 1
            if finding.judged.score > tally.score or not tally.sample:
                tally.score, tally.sample = (
                    finding.judged.score,
                    finding_text(finding, self._reader),
                )
        return entry

    def see(self, step: Step) -> None:
        """Take in a block."""
        source = followed_name(step.source.name)
        if self._source is not None and source != self._source:
            _all(self._watch.end(self._source))
        self._source = source
        _all(self._watch.see(source, step.fingerprint, step.block))

    def close(self) -> None:
        """Judge what is still open: every log is over."""
        _all(self._watch.close())

    def told(self) -> Iterator[str]:
        """Yield the results for people."""
        for tally in self._tallies.values():
            yield f"{tally.entry.id}: {shown(tally.entry)}"
            if not tally.sequences:
                yield "    hides nothing here"
                continue
            number = tally.sequences
            yield f"    hides {number:,} sequence{'s' * (number != 1)}, such as"
            yield f"    {tally.score:.2f}  {printable(tally.sample, _SHOWN_CHARS)}"
        watch = self._watch
        yield (
            f"{watch.judged:,} sequences, {watch.anomalous + watch.taught:,} anomalous; "
            f"{watch.anomalous:,} of these remain"
        )

    def records(self) -> Iterator[str]:
        """Yield the results as JSON, one object per entry."""
        for tally in self._tallies.values():
            entry = tally.entry
            record: dict[str, Any] = {"id": entry.id, "group": entry.group, "regex": entry.regex}
            record |= {"source": entry.source, "hidden_sequences": tally.sequences}
            if tally.sequences:
                record |= {"score": round(tally.score, 4), "sample": printable(tally.sample)}
            yield dumps({key: value for key, value in record.items() if value is not None})

    def totals(self) -> dict[str, int]:
        """Return what the last object says of sequences."""
        watch = self._watch
        return {
            "sequences": watch.judged,
            "anomalous_sequences": watch.anomalous + watch.taught,
            "remaining_sequences": watch.anomalous,
        }

    @staticmethod
    def _report(_kind: str, message: str) -> None:
        print(f"logagent: {printable(message)}", file=sys.stderr)  # noqa: T201


def _all(findings: Iterator[Finding]) -> None:
    for _ in findings:
        pass
