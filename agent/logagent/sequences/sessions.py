"""The open sessions of one rule in one log, or in all its logs: lines that have a key in common.

A session ends when nothing came for the time-out, when it is as old as one may be, when its log is
over, or when there is no room for it; then it is judged, whatever the reason.

Guarantees: a line belongs to one session at most; what cannot be taken is counted. Memory: O(open
sessions), whose number and events are bounded together for all tables (`Room`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from logagent.blocks import Block
from logagent.sequences.episode import SAMPLE_BYTES, Ended, Episode, Names, Open
from logagent.sequences.rules import MAX_KEY_BYTES, SESSION, Rule

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
    cut: int = 0
    """Sessions that may have begun before what was read of their log."""
    unfinished: int = 0
    """Sessions that may go on after what was read of their log."""
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
        self.cut += episode.cut
        self.unfinished += episode.unfinished
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
        self.opens_cut: Callable[[int, bytes], bool] | None = None
        """Tells by event and text whether a session that a line opens may have begun before its log
        was read."""
        self._search = rule.key.pattern.search
        self._reach = rule.key.reach
        self._group = rule.key.pattern.groupindex[SESSION]
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
        search, reach, group = self._search, self._reach, self._group
        table, most = self._open, self.rule.max_events
        half = most // 2
        get, touch = table.get, table.move_to_end
        idle = self.rule.timeout_seconds or math.inf
        over: list[Episode] = []
        latest: dict[Open, int] = {}
        begun = kept = no_key = 0
        for index, line in enumerate(block.some_lines(*span), span[0]):
            found = search(line, 0, reach)
            if found is None:
                no_key += 1
                continue
            key = found[group]
            session = get(key)
            if session is not None and seconds - session.seconds >= idle:
                over.append(self._end(key, "idle"))
                session = None
            if session is None:
                if not key or len(key) > MAX_KEY_BYTES:
                    self._counters.malformed_keys += 1
                    continue
                number = block.first_line + index if block.first_line else 0
                offset = block.line_offset(index)
                session = table[key] = Open(source, fingerprint, number, offset, line)
                session.began = seconds
                if self.opens_cut is not None:
                    session.cut = self.opens_cut(events[index], line)
                begun += 1
            else:
                touch(key)
                latest[session] = index
            count = session.count
            if count < most:
                session.events.append(events[index])
                kept += 1
            else:
                session.events[half + (count - half) % (most - half)] = events[index]
            session.count = count + 1
            session.seconds = seconds
        for session, index in latest.items():  # not at each of a session's lines
            session.last_source = source
            session.last_line = block.first_line + index if block.first_line else 0
            session.last_offset = block.line_offset(index)
            session.last_text = block.line(index)[:SAMPLE_BYTES]
        self._counters.no_key += no_key
        self._room.open += begun
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

    def close(
        self, may_go_on: Callable[[Open], bool] = lambda _session: False
    ) -> Iterator[Episode]:
        """Yield all sessions, as the log is over; take them all.

        Args:
            may_go_on: tells whether a session may not be over though its log is.
        """
        while self._open:
            key, session = next(iter(self._open.items()))
            yield self._end(key, "end", may_go_on(session))

    def _end(self, key: bytes, why: Ended, unfinished: bool = False) -> Episode:
        session = self._open.pop(key)
        self._room.open -= 1
        self._room.held -= len(session.events)
        most = self.rule.max_events
        return self._counters.end(
            session.ended(self.rule.name, key, most, why, unfinished=unfinished)
        )

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
