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
        keys = self._keys if stop - start == len(self._keys) else self._keys[start:stop]
        if stop == len(self._keys):  # let go: there may be many tables
            self._block, self._keys = None, []
        table, most = self._open, self.rule.max_events
        half = most // 2
        get, touch = table.get, table.move_to_end
        idle = self.rule.timeout_seconds or math.inf
        number, opens_cut, over = block.first_line, self.opens_cut, list[Episode]()
        latest: dict[bytes, int] = {}  # the last line of each session
        no_key = begun = kept = 0
        for index, key in enumerate(keys, start):
            if key is None:
                no_key += 1
                continue
            session = get(key)
            if session is None or seconds - session.seconds >= idle:
                if session is not None:
                    over.append(self._end(key, "idle"))
                elif not key or len(key) > MAX_KEY_BYTES:
                    self._counters.malformed_keys += 1
                    continue
                at, text = number + index if number else 0, block.line(index)
                session = Open(source, fingerprint, at, block.line_offset(index), text)
                session.began = session.seconds = seconds
                table[key] = session
                session.cut = opens_cut is not None and opens_cut(events[index], text)
                begun += 1
            else:
                touch(key)
            latest[key] = index
            count = session.count
            if count < most:
                session.events.append(events[index])
                kept += 1
            else:
                session.events[half + (count - half) % (most - half)] = events[index]
            session.count = count + 1
        self._spoke(latest, source, block, seconds)
        self._counters.no_key += no_key
        self._room.open += begun
        self._room.held += kept
        return over

    def _spoke(self, latest: dict[bytes, int], source: str, block: Block, seconds: float) -> None:
        """Set the last line of sessions, not at each of their lines.

        Args:
            latest: by session, which line of the block.
            source: where the block is from.
            block: holds the lines.
            seconds: their time.
        """
        data, ends, number, offset = block.data, block.line_ends(), block.first_line, block.offset
        for key, last in latest.items():
            session = self._open[key]
            session.last_source = source
            session.last_line = number + last if number else 0
            begin = ends[last - 1] + 1 if last else 0
            session.last_offset = offset + begin
            session.last_text = data[begin : min(ends[last], begin + SAMPLE_BYTES)]
            session.seconds = seconds

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
            for each in self._open.values():
                each.began = min(each.began, now)
            for key in [key for key, each in self._open.items() if now - each.began >= longest]:
                yield self._end(key, "long")
            self._looked = now  # not more often: every session is looked at; but all that is over

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
