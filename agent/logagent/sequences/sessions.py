"""The open sessions of one rule in one log, or in all its logs: lines that have a key in common.

A session ends when nothing came for the time-out, when it is as old as one may be, when its log is
over, or when there is no room for it; then it is judged, whatever the reason.

Guarantees: a line belongs to one session at most; what cannot be taken is counted. Memory: O(open
sessions), whose number and events are bounded together for all tables (`Room`).
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from logagent.blocks import Block
from logagent.sequences.episode import SAMPLE_BYTES, Ended, Episode, Names, Open
from logagent.sequences.line_keys import LineKeys
from logagent.sequences.rules import MAX_KEY_BYTES, Rule

__all__ = ["Counters", "Room", "Sessions"]


@dataclass(slots=True)
class Counters:
    """What happened to lines and sequences."""

    lines: int = 0
    """Lines of sources that a rule is for."""
    no_key: int = 0
    """Lines without a session's key."""
    malformed_keys: int = 0
    """Lines whose key is empty or longer than `MAX_KEY_BYTES`; they are in no session."""
    evicted: int = 0
    """Sequences that ended because there was no room."""
    truncated: int = 0
    """Sequences that had more events than are kept."""
    late_lines: int = 0
    """Lines of an earlier time than one before them, in logs that are no more open."""
    clock_jumps: int = 0
    """How often a log's time was believed to be another altogether, likewise."""
    unjudged_lines: int = 0
    """Lines at the end of a log that were too few for a window."""
    ended: dict[str, int] = field(default_factory=dict)
    """Sequences that ended, by reason."""

    def end(self, episode: Episode) -> Episode:
        """Count a sequence that ended."""
        self.ended[episode.ended] = self.ended.get(episode.ended, 0) + 1
        self.evicted += episode.ended == "evicted"
        self.truncated += episode.count > len(episode.events)
        return episode


@dataclass(slots=True)
class Room:
    """How much may be open, in all tables together."""

    sessions: int
    """Most open sessions."""
    events: int
    """Most events of them."""
    open: int = 0
    held: int = 0


class Sessions:
    """The open sessions of one rule, the one whose last line is oldest first."""

    def __init__(self, rule: Rule, room: Room, counters: Counters, events: int) -> None:
        """Hold none yet.

        Args:
            rule: has a key.
            room: shared by all tables.
            counters: likewise.
            events: size of the vocabulary.
        """
        if rule.key is None:
            raise ValueError("sessions need a key")
        self.rule = rule
        self._line_keys = LineKeys(rule.key)
        self._block: Block | None = None  # whose lines are being given out
        self._keys: list[bytes | None] = []  # of them
        self._room = room
        self._counters = counters
        self._events = events
        self._open: OrderedDict[bytes, Open] = OrderedDict()
        self._looked = -math.inf  # when sessions were last looked at for their age

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def add(
        self,
        source: str,
        fingerprint: bytes,
        block: Block,
        events: Sequence[int],
        span: tuple[int, int],
        seconds: float,
    ) -> list[Episode]:
        """Give lines to their sessions; `Room` may be overdrawn by as many.

        Returns the sessions that were over, though `expire` was not asked about them yet: another
        session has their key now.

        Args:
            source: where the lines are from.
            fingerprint: of the source.
            block: holds them.
            events: of every line of the block.
            span: the first of the lines, and the one after the last.
            seconds: their time.
        """
        if self._block is not block:
            self._block, self._keys = block, self._line_keys.of(block)
        start, stop = span
        lines: defaultdict[bytes | None, list[int]] = defaultdict(list)
        for index, key in enumerate(islice(self._keys, start, stop), start):
            lines[key].append(index)
        if stop == len(self._keys):  # let go: there may be many tables
            self._block, self._keys = None, []
        self._counters.no_key += len(lines.pop(None, ()))

        table, most = self._open, self.rule.max_events
        idle = self.rule.timeout_seconds or math.inf
        data, ends, number, offset = block.data, block.line_ends(), block.first_line, block.offset
        over: list[Episode] = []
        latest: dict[int, bytes] = {}  # the keys of lines that are the last of their session
        kept = 0
        for key, indices in lines.items():  # by the first line of each
            session = table.get(key)  # type: ignore[arg-type]  # None was taken out
            if session is not None and seconds - session.seconds >= idle:
                over.append(self._end(key, "idle"))  # type: ignore[arg-type]
                session = None
            last = indices[-1]
            if session is None:
                if not key or len(key) > MAX_KEY_BYTES:
                    self._counters.malformed_keys += len(indices)
                    continue
                first = indices[0]
                line, place = number + first if number else 0, block.line_offset(first)
                session = table[key] = Open(source, fingerprint, line, place, block.line(first))
                session.began = seconds
                self._room.open += 1
            session.last_source = source
            session.last_line = number + last if number else 0
            begin = ends[last - 1] + 1 if last else 0
            session.last_offset = offset + begin
            session.last_text = data[begin : min(ends[last], begin + SAMPLE_BYTES)]
            session.seconds = seconds
            latest[last] = key  # type: ignore[assignment]
            held, count = session.events, session.count + len(indices)
            if count <= most:
                for index in indices:
                    held.append(events[index])
                kept += len(indices)
            else:
                kept += _keep([events[index] for index in indices], held, session.count, most)
            session.count = count
        for last in sorted(latest):
            table.move_to_end(latest[last])
        self._room.held += kept
        return over

    def expire(self, now: float) -> Iterator[Episode]:
        """Yield the sessions that are over at a time, the oldest first; stop where you like."""
        idle, longest = self.rule.timeout_seconds, self.rule.longest_seconds
        if idle:
            while self._open:
                key, session = next(iter(self._open.items()))
                # A clock that was put back: what lies ahead of it counts from now on.
                session.seconds = min(session.seconds, now)
                if now - session.seconds < idle:
                    break
                yield self._end(key, "idle")
        if longest and not now - longest / 8 < self._looked <= now:
            self._looked = now  # not more often: every session is looked at
            for each in self._open.values():
                each.began = min(each.began, now)
            for key in [key for key, each in self._open.items() if now - each.began >= longest]:
                yield self._end(key, "long")

    def evict(self) -> Episode:
        """End the session whose last line is oldest."""
        return self._end(next(iter(self._open)), "evicted")

    def close(self) -> Iterator[Episode]:
        """Yield all sessions, as the log is over; take them all."""
        while self._open:
            yield self._end(next(iter(self._open)), "end")

    def _end(self, key: bytes, why: Ended) -> Episode:
        session = self._open.pop(key)
        self._room.open -= 1
        self._room.held -= len(session.events)
        return self._counters.end(session.ended(self.rule.name, key, self.rule.max_events, why))

    def state(self, names: Names) -> Any:
        """Return what `load` takes: msgpack types."""
        return [[key, session.state(names)] for key, session in self._open.items()]

    def load(self, saved: object, names: Names) -> None:
        """Go on with the sessions of another table of the same rule.

        Raises:
            ValueError: `saved` is no such state.
        """
        if not isinstance(saved, list):
            raise ValueError("open sessions have other fields")
        for each in saved:
            match each:
                case [bytes(key), session] if key not in self._open:
                    opened = Open.restored(session, names, self.rule.max_events, self._events)
                case _:
                    raise ValueError("an open session has other fields")
            self._open[key[:MAX_KEY_BYTES]] = opened
            self._room.open += 1
            self._room.held += len(opened.events)


def _keep(events: list[int], held: array[int], count: int, most: int) -> int:
    """Hold more events of a session than it may have; return how many more are held now.

    The latest take the place of the oldest after the first half.
    """
    room = most - len(held)
    held.extend(events[:room])
    half = most // 2
    for turn, event in enumerate(events[room:], max(count, most) - half):
        held[half + turn % (most - half)] = event
    return room
