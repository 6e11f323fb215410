"""How long normal sessions are silent before and after each event, from the logs of a training.

The agent needs it for sessions of which it did not read all (`logagent.sequences.silences`).

Guarantees: lines are read, and their times, as the agent does; memory is that of the normal
sessions and, for each, of the events it has.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from logagent.sequences.clock import Clock, LineTimes
from logagent.sequences.events import EventReader
from logagent.sequences.line_keys import LineKeys
from logagent.sequences.rules import Rule
from logagent.sequences.silences import Silences
from logagent.sequences.vocabulary import Vocabulary
from logagent.sources import Limits, open_all

__all__ = ["LEAST_SESSIONS", "SHARE", "silences"]

SHARE: Final = 0.99
"""Of normal sessions that have an event, so many have no longer silence before it: as
`building.FALSE_ALARMS`, a false alarm in a hundred."""
LEAST_SESSIONS: Final = 20
"""Normal sessions that an event must be in: of fewer the longest silence says little, and what
holds for all events holds for it."""
_TICK_SECONDS: Final = 1.0  # stamps have no finer one in most logs
_REACH_SECONDS: Final = 3600.0  # as the agent's sequencer


@dataclass(slots=True)
class _Spoke:
    """When a session spoke last."""

    event: int
    seconds: float
    source: int
    line: int


@dataclass(slots=True)
class _Longest:
    """The longest silence of each session beside one event."""

    seconds: dict[int, float] = field(default_factory=dict)
    lines: dict[int, float] = field(default_factory=dict)

    def see(self, session: int, seconds: float, lines: int) -> None:
        """Take in a silence."""
        self.seconds[session] = max(self.seconds.get(session, 0.0), seconds)
        self.lines[session] = max(self.lines.get(session, 0), lines)


class _Silences:
    """What is seen of the normal sessions, line by line."""

    def __init__(self, rule: Rule) -> None:
        self.stamped = True
        self.before: dict[int, _Longest] = defaultdict(_Longest)
        self.after: dict[int, _Longest] = defaultdict(_Longest)
        self.all = _Longest()
        self._rule = rule
        self._spoke: dict[tuple[int, bytes], _Spoke] = {}
        self._numbers: dict[tuple[int, bytes], int] = {}

    def see(self, key: bytes, spoke: _Spoke) -> None:
        """Take in a line of a session."""
        name = (0 if self._rule.across else spoke.source, key)
        number = self._numbers.setdefault(name, len(self._numbers))
        # Of an event that is only ever first, or last, the silence is 0.
        self.before[spoke.event].see(number, 0.0, 0)
        self.after[spoke.event].see(number, 0.0, 0)
        last = self._spoke.get(name)
        self._spoke[name] = spoke
        if last is None:
            return
        silent = max(spoke.seconds - last.seconds, 0.0)
        if self._rule.timeout_seconds and silent >= self._rule.timeout_seconds:
            return  # another session
        silent += _TICK_SECONDS  # of which times are a multiple
        lines = spoke.line - last.line if spoke.source == last.source else 0
        self.before[spoke.event].see(number, silent, lines)
        self.after[last.event].see(number, silent, lines)
        self.all.see(number, silent, lines)


def silences(
    logs: Sequence[str], rule: Rule, labels: Mapping[bytes, bool], vocabulary: Vocabulary
) -> Silences | None:
    """Read logs once more, for the silences of their normal sessions.

    Args:
        logs: paths as `logagent scan` takes them; one after the other.
        rule: how lines make sessions.
        labels: by session; those without one say nothing.
        vocabulary: made of the same logs.

    Returns:
        None: no normal session has two lines, so nothing can be said.
    """
    if rule.key is None:
        return None
    line_keys = LineKeys(rule.key)
    reader = EventReader(vocabulary)
    seen = _Silences(rule)
    normal = {key for key, anomalous in labels.items() if not anomalous}
    clock = Clock(_REACH_SECONDS, time.time)
    for number, source in enumerate(open_all(logs, Limits(), lambda _problem: None)):
        times = LineTimes(_TICK_SECONDS)
        if not rule.across:
            clock = Clock(_REACH_SECONDS, time.time)
        for block in source.blocks():
            events, keys = reader.read(block), line_keys.of(block)
            for start, stop, stamp, agreed in times.spans(block):
                seconds = clock.read(stamp, stop - start, agreed=agreed)
                for at, key in enumerate(keys[start:stop], start):
                    if key in normal:
                        spoke = _Spoke(events[at], seconds, number, block.first_line + at)
                        seen.see(key, spoke)
        seen.stamped &= clock.said is not None
    return _made(seen, vocabulary.known) if seen.all.lines else None


def _made(seen: _Silences, known: int) -> Silences:
    def seconds(by_event: Mapping[int, _Longest]) -> npt.NDArray[np.float32]:
        if not seen.stamped:
            return np.zeros(0, np.float32)
        timed = {event: each.seconds for event, each in by_event.items()}
        return _table(timed, seen.all.seconds, known).astype(np.float32)

    def lines(by_event: Mapping[int, _Longest]) -> npt.NDArray[np.int32]:
        counted = {event: each.lines for event, each in by_event.items()}
        return _table(counted, seen.all.lines, known).astype(np.int32)

    before, after = seen.before, seen.after
    return Silences(seconds(before), seconds(after), lines(before), lines(after))


def _table(
    by_event: Mapping[int, Mapping[int, float]], of_all: Mapping[int, float], known: int
) -> npt.NDArray[np.float64]:
    held = np.full(known + 1, -1.0)
    held[-1] = _quantile(of_all)
    for event, sessions in by_event.items():
        if event < known and len(sessions) >= LEAST_SESSIONS:
            held[event] = _quantile(sessions)
    return held


def _quantile(sessions: Mapping[int, float]) -> float:
    return float(np.quantile(list(sessions.values()), SHARE, method="higher"))
