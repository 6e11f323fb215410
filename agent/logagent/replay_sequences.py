"""What the agent would have told of sequences, had it read these logs as they came.

    blocks → Watch → anomalous sequences, with times → sorted by time → SequenceAlerts → alerts

The same `SequenceAlerts` as in `logagent run` decides, by the times in the logs instead of the
clock: once for each kind, again after `repeat_seconds`, so many a day. A log and its rotated copies
are one log, as for the agent, the oldest copy first (`in_order`).

The agent hears a silence, which ends sessions; here the next line's stamp tells of it, if it is not
the only one that says so. A followed log has no end: what a log leaves open ends when its time-out
has passed after its last line. If that is later than all that was read, the agent would not have
told of it yet, and it is counted (`unfinished`).

Guarantees: memory does not grow with the logs: the sequencer's, and `MOST_FOUND` anomalous
sequences; more are counted and left out. Times are right to ten seconds where lines bear times; a
silence that is as long as the time-out to within an eighth may be taken for shorter or longer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from logagent.blocks import Block
from logagent.bundle import Bundle
from logagent.config import Config
from logagent.inputs.rotated import age, base_of, packed
from logagent.overrides import Overrides
from logagent.paths import STDIN, SourceProblem, expand
from logagent.replay import Told
from logagent.sequences.clock import LineTimes
from logagent.sequences.sequencer import AT_ONCE
from logagent.sequences.watch import Finding
from logagent.service.sequencing import make_sequences
from logagent.times import TimeParser

__all__ = ["MOST_FOUND", "ReplaySequences", "in_order"]

MOST_FOUND: Final = 20_000
"""Anomalous sequences kept, 3 kB each."""
_LOOK_SECONDS: Final = 10.0  # [s] between looks of the agent at what is due
_SILENCE_SECONDS: Final = 600.0  # [s] of what passes between two lines, if it is more


def in_order(
    paths: Sequence[str], on_problem: Callable[[SourceProblem], None]
) -> tuple[list[str], dict[str, str]]:
    """Return the files of paths, each log after its rotated copies, and each file's log.

    Args:
        paths: as `logagent.paths.expand` takes them.
        on_problem: told about those that cannot be read.
    """
    names = []
    for found in expand(paths):
        if isinstance(found, SourceProblem):
            on_problem(found)
        else:
            names.append(found)
    logs = _logs(names)
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(logs[name], []).append(name)
    ordered = []
    for log, members in families.items():
        copies = [name for name in members if name != log]
        ordered += sorted(copies, key=lambda name: age(os.path.basename(name), _changed_ns(name)))
        ordered += [log] * (log in members)
    return ordered, logs


def _logs(names: Iterable[str]) -> dict[str, str]:
    """Return the log of each file: itself, or the one of which its name is a rotated copy's.

    That one must be there, or a compressed copy of it, which is no log of its own.
    """
    bases = {name: _bases(name) for name in names}
    known = set(bases) | {found[0] for name, found in bases.items() if found and packed(name)}
    return {
        name: next((log for log in found if log in known), name) for name, found in bases.items()
    }


def _bases(name: str) -> list[str]:
    if name == STDIN:
        return []
    folder, base = os.path.split(name)
    return [os.path.join(folder, each) for each in base_of(base)]


def _changed_ns(name: str) -> int:
    try:
        return os.stat(name).st_mtime_ns
    except OSError:  # gone meanwhile, or inside an archive
        return 0


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines without a long silence between them."""

    log: str
    fingerprint: bytes
    block: Block
    stamps: list[float]
    """Of the lines, those of one tick once."""
    agreed: bool
    """Whether two of the last lines say so."""


class ReplaySequences:
    """Judges the sequences of logs, then tells of them by their times."""

    def __init__(
        self, config: Config, bundle: Bundle, host: str, overrides: Overrides | None = None
    ) -> None:
        """Prepare.

        Args:
            config: what makes a sequence, and how much is told.
            bundle: the model.
            host: name of this machine, for records.
            overrides: what operators have said; sequences that they call normal are counted only.

        Raises:
            BundleError: the bundle cannot judge sequences, or a rule does not fit it.
        """
        self._now = self._began = 0.0
        self._silent = 0.0  # [s] in all logs together: what no line's stamp covers
        self.alerts = make_sequences(
            config,
            bundle,
            host,
            lambda _kind, _text: None,
            None,
            wall=lambda: self._now,
            steady=lambda: self._silent,
        )
        if overrides is not None:
            self.alerts.teach(overrides)
        self.unfinished = 0
        """Anomalous ones that were not over when the last line of all was written."""
        self.left_out = 0
        """Anomalous ones beyond `MOST_FOUND`."""
        self._rules = {rule.name: rule for rule in self.alerts.rules}
        self._found: list[tuple[float, Finding]] = []
        self._times = TimeParser()
        self._spans = LineTimes(_LOOK_SECONDS)
        self._last: float | None = None  # time of the log's last line [s]
        self._log: str | None = None
        self._next: _Part | None = None

    def add(self, log: str, fingerprint: bytes, block: Block, fallback: float) -> None:
        """Take in the next lines of a log; its blocks come in order, without others in between.

        Args:
            log: its name.
            fingerprint: of the file.
            block: the lines.
            fallback: time of lines that bear none [s since 1970].
        """
        if log != self._log:
            self._end_log()
            self._log, self._now, self._last = log, fallback, None
            self._spans = LineTimes(_LOOK_SECONDS)
        begun, part = 0, list[float]()
        spans = self._spans.spans(block)
        for number, (start, stop, stamp, agreed) in enumerate(spans):
            if part and stamp is not None and abs(stamp - part[-1]) > _SILENCE_SECONDS:
                self._hold(_Part(log, fingerprint, _cut(block, begun, start), part, agreed))
                begun, part = start, []
            if stamp is not None:
                part.append(stamp)
            if number + 1 == len(spans):
                self._hold(_Part(log, fingerprint, _cut(block, begun, stop), part, agreed))

    def _hold(self, part: _Part) -> None:
        """Take in the lines that were held, now that it is known what time comes after them."""
        self._see(part.stamps[0] if part.stamps else None)
        self._next = part

    def _see(self, after: float | None) -> None:
        part, self._next = self._next, None
        if part is None:
            return
        if part.stamps:
            self._now = part.stamps[-1]
            # One odd stamp is no silence: the next one must say so, too.
            sure = after is None or len(part.stamps) > 1 or part.agreed
            begun, ended = part.stamps[0], part.stamps[-1]
            if after is not None and not sure:
                begun, ended = min(begun, after), min(ended, after)
            if self._last is not None and begun > self._last:
                self._pass(begun - self._last)
            self._last = ended
        for finding in self.alerts.watch.see(part.log, part.fingerprint, part.block):
            self._keep(finding, over=False)

    def _pass(self, seconds: float) -> None:
        """Let time pass without a line."""
        self._silent += seconds
        watch = self.alerts.watch
        judged = -AT_ONCE
        while watch.judged - judged >= AT_ONCE:
            judged = watch.judged
            for finding in watch.tick():
                self._keep(finding, over=False)

    def _end_log(self) -> None:
        self._see(None)
        if self._log is not None:
            for finding in self.alerts.watch.end(self._log):
                self._keep(finding, over=True)

    def run(self, began: float, until: float) -> Iterator[Told]:
        """Yield what would have been told, by time; call it once.

        Args:
            began: time of the first line of all [s since 1970].
            until: time of the last one.
        """
        self._end_log()
        for finding in self.alerts.watch.close():  # rules that go across
            self._keep(finding, over=True)
        self._now = self._began = began
        looked_at = [(self._look_at(at), finding) for at, finding in self._found if at <= until]
        self.unfinished += len(self._found) - len(looked_at)
        looked_at.sort(key=lambda each: each[0])
        for at, finding in looked_at:
            yield from self._advance(at)
            self._now = max(self._now, at)
            self.alerts.take([finding])
            yield from self._taken()
        yield from self._advance(until + 1e-3)

    def counts(self) -> dict[str, Any]:
        """Return the counters, JSON-able."""
        return self.alerts.counts() | {
            "not_over": self.unfinished,
            "left_out": self.left_out,
        }

    def _look_at(self, due: float) -> float:
        """Return when the agent looks next, from the time on that something is due."""
        looks = math.ceil((due - self._began) / _LOOK_SECONDS)
        return self._began + looks * _LOOK_SECONDS

    def _advance(self, to: float) -> Iterator[Told]:
        """Tell what comes due before a time: what is found at one look goes before."""
        while not math.isinf(due := self.alerts.due_at()):
            at = self._look_at(max(due, self._now))
            if at >= to:
                return
            self._now = at
            self.alerts.tick()
            told = list(self._taken())
            if not told:
                return
            yield from told

    def _taken(self) -> Iterator[Told]:
        while (alert := self.alerts.next_alert()) is not None:
            self.alerts.delivered()
            yield Told(self._now, "sequence", alert)

    def _keep(self, finding: Finding, *, over: bool) -> None:
        at = self._told_at(finding, over=over)
        if math.isinf(at):
            self.unfinished += 1
        elif len(self._found) < MOST_FOUND:
            self._found.append((at, finding))
        else:
            self.left_out += 1

    def _told_at(self, finding: Finding, *, over: bool) -> float:
        """Return when the agent would have judged a sequence [s]; infinite: not from these logs.

        Args:
            finding: the sequence.
            over: whether it ended because its log was over.
        """
        episode = finding.episode
        rule = self._rules[episode.rule]
        first, last = (self._seconds(each.text) for each in (episode.first, episode.last))
        last = self._now if last is None else last
        if rule.window_lines:
            return math.inf if over else last
        if rule.window_seconds:
            step = rule.window_seconds / rule.steps
            return (last // step + 1) * step
        idle = last + rule.timeout_seconds if rule.timeout_seconds else math.inf
        old = first + rule.longest_seconds if first and rule.longest_seconds else math.inf
        now = max(last, self._now) if episode.ended == "evicted" else math.inf
        return max(min(idle, old, now), last)

    def _seconds(self, line: bytes) -> float | None:
        stamp = self._times.parse(line)
        return stamp.seconds if stamp is not None and stamp.kind == "epoch" else None


def _cut(block: Block, start: int, stop: int) -> Block:
    if (start, stop) == (0, block.line_count):
        return block
    data = b"\n".join(block.some_lines(start, stop))
    first = block.first_line + start if block.first_line else 0
    return Block(data, first, block.line_offset(start))
