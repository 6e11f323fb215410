"""From judged blocks to sequences that have ended: which rule, whose session, what time.

Guarantees: bounded memory, whatever the lines: at most `max_sessions` open sessions with
`EVENTS_EACH` events each on average, in at most `MAX_TABLES` logs; what is beyond ends early, is
judged then, and is counted. A flood of sessions in one log ends sessions of that log. What time
ends, ends a bounded number at once. Built and judged sequences are the same: the pipeline uses this
class.

Left to others: what a sequence means (`watch`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from logagent.blocks import Block
from logagent.sequences.clock import Clock, LineTimes
from logagent.sequences.episode import Episode, Names
from logagent.sequences.events import EventReader
from logagent.sequences.rules import Rule
from logagent.sequences.sessions import Counters, Room, Sessions
from logagent.sequences.silences import Reading, Silences
from logagent.sequences.windows import Windows

__all__ = ["AT_ONCE", "EVENTS_EACH", "MAX_SESSIONS", "MAX_TABLES", "Sequencer"]

MAX_SESSIONS: Final = 2_000
"""Open sessions, unless more are asked for: about 2 MB."""
EVENTS_EACH: Final = 64
"""Events that an open session has on average at most."""
AT_ONCE: Final = 512
"""Sequences that time ends at once: each may be a verdict of the model, a millisecond or, on a slow
board, several, and whoever reads logs has other things to do."""
MAX_TABLES: Final = 256
"""Logs of which sequences are open."""
_LINES: Final = 256  # taken in at a time where room may be short: it is overdrawn by as many
_REACH_SECONDS: Final = 3600.0  # [s] least that one stamp alone may move a clock


@dataclass(slots=True)
class _Log:
    """What is open in one log, or in all logs of a rule that goes across."""

    rule: Rule
    clock: Clock
    table: Sessions | Windows
    reading: Reading | None
    """How far its sources were read; None: nobody knows the silences of sessions."""


class Sequencer:
    """Makes sequences of lines. One thread uses it."""

    def __init__(
        self,
        reader: EventReader,
        rules: Sequence[Rule],
        *,
        max_sessions: int = MAX_SESSIONS,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
        silences: Silences | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            reader: tells events.
            rules: the first that fits a source is used for it; names must differ.
            max_sessions: most that are open, over all rules and logs.
            wall: the time of day [s since 1970].
            steady: a clock that nobody sets [s]; None: `wall`.
            silences: of normal sessions; None: sessions are taken to begin and end where their log
                does.
        """
        self.counters = Counters()
        self.reader = reader
        self._rules = list(rules)
        self._wall, self._steady = wall, steady
        self._silences = silences
        most = max((rule.max_events for rule in rules), default=0)
        self._room = Room(max_sessions, max(EVENTS_EACH * max_sessions, most))
        self._logs: dict[str, _Log] = {}  # the one that was read least lately first
        self._times: dict[str, LineTimes] = {}

    @property
    def open_sequences(self) -> int:
        """How many are open."""
        return sum(len(log.table) for log in self._logs.values())

    def see(self, source: str, fingerprint: bytes, block: Block) -> Iterator[Episode]:
        """Take in the next lines of a source; yield what ends by them. Take all of it.

        Args:
            source: its name.
            fingerprint: what sets its lines' ids apart.
            block: the lines.
        """
        rule = self._rule_of(source)
        if rule is None:
            return
        name = f"{rule.name}\0" if rule.across else f"{rule.name}\0{source}"
        log = self._logs.pop(name, None)
        if log is None:
            while len(self._logs) >= MAX_TABLES:
                yield from self._close(next(iter(self._logs)), evicted=True)
            log = self._log(rule)
        self._logs[name] = log
        times = self._times.pop(source, None) or LineTimes(self._tick(rule))
        self._times[source] = times
        if len(self._times) > MAX_TABLES:
            del self._times[next(iter(self._times))]
        events = self.reader.read(block)
        self.counters.lines += len(events)
        room, left = self._room, AT_ONCE
        for start, stop, stamp, agreed in times.spans(block):
            seconds = log.clock.read(stamp, stop - start, agreed=agreed)
            for episode in islice(log.table.expire(seconds), left):
                left -= 1
                yield episode
            spare = min(room.sessions - room.open, room.events - room.held)
            step = max(stop - start, 1) if spare >= stop - start else _LINES
            for at in range(start, stop, step):
                span = at, min(at + step, stop)
                if log.reading is not None and isinstance(log.table, Sessions):
                    log.table.opens_cut = log.reading.read(source, block, span, log.clock.said)
                yield from log.table.add(source, fingerprint, block, events, span, seconds)
                while room.open > room.sessions or room.held > room.events:
                    yield self._crowded(log).evict()

    def end(self, source: str) -> Iterator[Episode]:
        """Yield what a source leaves open, as it is over; nothing of rules that go across."""
        self._times.pop(source, None)
        rule = self._rule_of(source)
        if rule is not None and f"{rule.name}\0{source}" in self._logs:
            yield from self._close(f"{rule.name}\0{source}")

    def tick(self) -> Iterator[Episode]:
        """Yield what ends though no line comes, `AT_ONCE` at most: then there may be more."""
        ended = chain.from_iterable(
            log.table.expire(log.clock.now()) for log in list(self._logs.values())
        )
        yield from islice(ended, AT_ONCE)

    def close(self) -> Iterator[Episode]:
        """Yield all that is open, as everything is over."""
        while self._logs:
            yield from self._close(next(iter(self._logs)))

    def counts_of_clocks(self) -> tuple[int, int]:
        """Return how many lines were late, and how often a clock was put back or far forward."""
        clocks = [log.clock for log in self._logs.values()]
        late, jumps = self.counters.late_lines, self.counters.clock_jumps
        return late + sum(c.late_lines for c in clocks), jumps + sum(c.jumps for c in clocks)

    def _rule_of(self, source: str) -> Rule | None:
        return next((rule for rule in self._rules if rule.fits(source)), None)

    def _log(self, rule: Rule) -> _Log:
        events = len(self.reader.vocabulary)
        table: Sessions | Windows
        if rule.key is not None:
            table = Sessions(rule, self._room, self.counters, events)
        else:
            table = Windows(rule, self.counters, events)
        reading = None
        if self._silences is not None and isinstance(table, Sessions):
            reading = Reading(self._silences)
        reach = max(rule.timeout_seconds, rule.window_seconds, _REACH_SECONDS)
        return _Log(rule, Clock(reach, self._wall, self._steady), table, reading)

    def _tick(self, rule: Rule) -> float:
        """Return how exactly times are needed [s]."""
        if self._silences is None or rule.key is None:
            return rule.tick_seconds
        return min(rule.tick_seconds, self._silences.tick_seconds)

    def _close(self, name: str, *, evicted: bool = False) -> Iterator[Episode]:
        log = self._logs.pop(name)
        self.counters.late_lines += log.clock.late_lines
        self.counters.clock_jumps += log.clock.jumps
        if evicted and isinstance(log.table, Sessions):
            while len(log.table):
                yield log.table.evict()
        reading, most, stops = log.reading, log.rule.max_events, log.clock.said
        if reading is None or not isinstance(log.table, Sessions):
            yield from log.table.close()
        else:
            yield from log.table.close(lambda each: reading.may_go_on(each, most, stops))

    def _crowded(self, log: _Log) -> Sessions:
        """Return the table that has to make room: the one that grows, unless it has few."""
        tables = [each.table for each in self._logs.values() if isinstance(each.table, Sessions)]
        if isinstance(log.table, Sessions) and len(log.table) * len(tables) >= self._room.open:
            return log.table
        return max(tables, key=len)

    def state(self) -> Any:
        """Return what `load` takes: msgpack types, bounded as the memory is."""
        names = Names()
        logs = [
            [
                name,
                _text(log.rule),
                log.clock.state(),
                log.table.state(names),
                [] if log.reading is None else log.reading.state(names),
            ]
            for name, log in self._logs.items()
        ]
        return [names.names, logs]

    def load(self, saved: object) -> list[str]:
        """Go on with what another one left open; call it once, at first.

        Returns:
            Names of rules that are no more, or are others now; what they left open is let go.

        Raises:
            ValueError: `saved` is no such state.
        """
        match saved:
            case [[*sources], [*logs]] if all(isinstance(each, str) for each in sources):
                names = Names([str(each) for each in sources])
            case _:
                raise ValueError("the open sequences have other fields")
        rules = {rule.name: rule for rule in self._rules}
        lost = []
        for each in logs[:MAX_TABLES]:
            match each:
                case [str(name), str(text), clock, table, *more]:
                    pass
                case _:
                    raise ValueError("the open sequences have other fields")
            rule_name = name.partition("\0")[0]
            rule = rules.get(rule_name)
            if rule is None or _text(rule) != text:
                lost.append(rule_name)
                continue
            log = self._log(rule)
            log.clock.load(clock)
            log.table.load(table, names)
            if log.reading is not None and more:
                log.reading.load(more[0], names)
            self._logs[name] = log
        return lost


def _text(rule: Rule) -> str:
    """Return what tells a rule from what it was before a change of the configuration."""
    return repr(sorted(rule.part().items()))
