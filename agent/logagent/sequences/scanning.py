"""`logagent scan --sequences`: sessions and windows beside the groups of lines.

Guarantees: records are printed as sequences end; for people, those that the same events carried are
one entry, and at most `_MOST_ENTRIES` of them are held: of more, the lower-scored half is let go
and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from logagent.bundle import Bundle
from logagent.errors import LogagentError
from logagent.overrides import Overrides
from logagent.paths import followed_name
from logagent.records import dumps
from logagent.report import Style
from logagent.scan import Scan, Step
from logagent.sequences.events import EventReader
from logagent.sequences.finding_records import finding_lines, finding_record, signature
from logagent.sequences.onnx_voters import with_backend
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule, session_key
from logagent.sequences.sequencer import MAX_SESSIONS, Sequencer
from logagent.sequences.taught import Taught
from logagent.sequences.watch import Finding, Watch
from logagent.times import TimeParser

__all__ = ["ScanSequences", "SequenceOptions", "chosen_rule"]

_MOST_ENTRIES: Final = 1000


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """The command line, parsed; nothing given: as the model was trained."""

    key: str | None = None
    """Expression that finds a line's session."""
    window_lines: int = 0
    window_seconds: float = 0.0
    steps: int = 1
    """In how many steps a window moves on by its length."""
    timeout_seconds: float | None = None
    """[s] None: as the model was trained; 0: never."""
    across: bool | None = None
    """Whether equal keys of several sources are one session."""
    max_sessions: int = MAX_SESSIONS


class SequenceOptionError(LogagentError):
    """What was asked for of sequences makes no sense."""

    exit_code = 2


def chosen_rule(trained: Rule, options: SequenceOptions) -> Rule:
    """Return the rule to go by: the one of training, but for what was given.

    Raises:
        SequenceOptionError: what was given makes no rule.
    """
    try:
        rule = trained
        if options.key is not None:
            key = session_key(options.key)
            rule = replace(rule, key=key, window_lines=0, window_seconds=0.0, steps=1)
        elif options.window_lines or options.window_seconds:
            rule = Rule(
                window_lines=options.window_lines,
                window_seconds=options.window_seconds,
                steps=options.steps,
                max_events=trained.max_events,
            )
        if options.timeout_seconds is not None:
            rule = replace(rule, timeout_seconds=options.timeout_seconds)
        if options.across is not None:
            rule = replace(rule, across=options.across)
    except ValueError as error:
        raise SequenceOptionError(f"sequences: {error}") from None
    return rule


@dataclass(slots=True)
class _Entry:
    """Anomalous sequences that the same events carried; the one with the highest score."""

    finding: Finding
    count: int = 1


class ScanSequences:
    """Makes, judges and prints the sequences of one scan."""

    def __init__(
        self,
        bundle: Bundle,
        options: SequenceOptions,
        say: Callable[[str], None] | None,
        style: Style,
        overrides: Overrides | None = None,
        backend: str = "auto",
        *,
        keep: bool = False,
    ) -> None:
        """Read the model.

        Args:
            bundle: has the part ``sequences``.
            options: how lines make sequences.
            say: prints one record as it comes; None: people read at the end (`lines`).
            style: how that is printed.
            overrides: what operators have said; sequences that they call normal are counted only.
            backend: as for the model of lines; see `logagent.sequences.onnx_voters`.
            keep: whether entries are kept though records are printed: for a page.

        Raises:
            LogagentError: the bundle has no such part, or the options make no rule.
        """
        model = SequenceModel.of(bundle)
        ensemble = with_backend(model.ensemble, bundle, backend)
        reader = EventReader(model.vocabulary)
        rule = chosen_rule(model.rule, options)
        sequencer = Sequencer(
            reader, [rule], max_sessions=options.max_sessions, silences=model.silences
        )
        self.watch = Watch(sequencer, ensemble)
        self.watch.teach(Taught.of(overrides, model.vocabulary, followed_name))
        self.hashes = reader.hashes
        """For the judge of the same lines."""
        self._reader = reader
        self._say = say
        self._keep = keep or say is None
        self._style = style
        self._times = TimeParser()
        self._source: str | None = None
        self._entries: dict[tuple[tuple[str | int, ...], ...], _Entry] = {}
        self._let_go = 0

    def see(self, step: Step, _scan: Scan) -> None:
        """Take in one judged block."""
        source = step.source.name
        if self._source is not None and source != self._source:
            self._take(self.watch.end(self._source))
        self._source = source
        self._take(self.watch.see(source, step.fingerprint, step.block))

    def close(self) -> None:
        """Judge what is still open: every source is over."""
        self._take(self.watch.close())

    @property
    def reader(self) -> EventReader:
        """Tells what events say."""
        return self._reader

    @property
    def let_go(self) -> int:
        """Entries that found no room."""
        return self._let_go

    def kinds(self) -> list[tuple[Finding, int]]:
        """Return the entries: the one with the highest score, and how many; by score."""
        ranked = sorted(self._entries.values(), key=lambda each: -each.finding.judged.score)
        return [(each.finding, each.count) for each in ranked]

    def lines(self, top: int | None) -> list[str]:
        """Return what a person sees: entries, the highest scores first, and a line of totals."""
        ranked = self.kinds()
        shown = ranked[:top]
        lines = []
        for number, (finding, count) in enumerate(shown, 1):
            lines += finding_lines(number, finding, count, self._reader, self._style)
        if len(ranked) > len(shown):
            lines.append(f"… and {len(ranked) - len(shown):,} more kinds of sequences (--top)")
        if self._let_go:
            lines.append(f"{self._let_go:,} lowest-scored kinds of sequences not kept")
        watch, counters = self.watch, self.watch.sequencer.counters
        total = f"{_of(watch.judged, 'sequence')}, {watch.anomalous:,} anomalous"
        if watch.taught:
            total += f"; {watch.taught:,} more taught to be normal (--overrides)"
        if counters.evicted:  # what came of them later was judged as a sequence of its own
            total += f"; {counters.evicted:,} ended early for want of room (--max-sessions)"
        parts = [
            f"{count:,} perhaps {what}"
            for count, what in (
                (counters.cut, "begun before what was read"),
                (counters.unfinished, "not over"),
            )
            if count
        ]
        if parts:  # nothing that they lack was held against them
            total += f"; {', '.join(parts)}: only what they have was judged"
        if still := watch.sequencer.open_sequences:
            total += f"; {still:,} not over and not judged"
        if counters.no_key:
            total += f"; {_of(counters.no_key, 'line')} without a session"
        return [*lines, total]

    def counts(self) -> dict[str, Any]:
        """Return the counters, for ``--stats``."""
        return self.watch.counts()

    def _take(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if self._say is not None:
                self._say(dumps(finding_record(finding, self._reader, self._times)))
            if not self._keep:
                continue
            kind = signature(finding)
            entry = self._entries.get(kind)
            if entry is None:
                self._entries[kind] = _Entry(finding)
                if len(self._entries) > _MOST_ENTRIES:
                    self._shrink()
                continue
            entry.count += 1
            if finding.judged.score > entry.finding.judged.score:
                entry.finding = finding

    def _shrink(self) -> None:
        ranked = sorted(self._entries.items(), key=lambda each: -each[1].finding.judged.score)
        self._entries = dict(ranked[: _MOST_ENTRIES // 2])
        self._let_go += len(ranked) - len(self._entries)


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
