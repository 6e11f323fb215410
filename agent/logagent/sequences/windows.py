"""Windows of one log: so many lines, or so many seconds, one after the other or overlapping.

A window is made of `Rule.steps` *pieces*; when a piece is full, it and the pieces before it are a
window. So a line is held once, however many windows it is in.

What is left when a log is over is a window too if it has at least half the lines of one, or if the
log had no other; shorter rests would only be found to miss something, and are counted.

Memory: O(`Rule.max_events`), or O(`Rule.window_lines`), of two bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from logagent.blocks import Block
from logagent.sequences.episode import SAMPLE_BYTES, Episode, Names, Open, kept_events
from logagent.sequences.rules import Rule
from logagent.sequences.sessions import Counters

__all__ = ["Windows"]


class Windows:
    """The pieces of the window that is open in one log."""

    def __init__(self, rule: Rule, counters: Counters, events: int) -> None:
        """Hold nothing yet.

        Args:
            rule: has a window.
            counters: shared by all tables.
            events: size of the vocabulary.
        """
        if not (rule.window_lines or rule.window_seconds):
            raise ValueError("windows need a length")
        self.rule = rule
        self._counters = counters
        self._events = events
        self._lines = rule.window_lines // rule.steps
        self._seconds = rule.window_seconds / rule.steps
        # Of a window in time, so many events of each piece that all of them are within the limit.
        self._most = self._lines or max(rule.max_events // rule.steps, 2)
        # In time, `Open.began` is the piece's number. What passed without a line is no piece.
        self._pieces: deque[Open] = deque(maxlen=rule.steps)
        self._told = False  # whether the window that ends with the latest piece was given
        self._any = False  # whether the log had a window

    def __len__(self) -> int:
        """Return how many windows are open."""
        return min(len(self._pieces), 1)

    def add(
        self,
        source: str,
        fingerprint: bytes,
        block: Block,
        events: Sequence[int],
        span: tuple[int, int],
        seconds: float,
    ) -> Iterator[Episode]:
        """Take lines in; yield the windows that they fill. See `Sessions.add`."""
        index, stop = span
        if self._seconds:
            yield from self._until(seconds)
        while index < stop:
            if not self._pieces or self._is_full(self._pieces[-1], seconds):
                number = block.first_line + index if block.first_line else 0
                piece = Open(
                    source, fingerprint, number, block.line_offset(index), block.line(index)
                )
                piece.began = float(seconds // self._seconds) if self._seconds else 0.0
                self._pieces.append(piece)
                self._told = False
            piece = self._pieces[-1]
            end = min(stop, index + self._lines - piece.count) if self._lines else stop
            self._extend(piece, events[index:end])
            piece.last_source = source
            piece.last_line = block.first_line + end - 1 if block.first_line else 0
            piece.last_offset = block.line_offset(end - 1)
            piece.last_text = block.line(end - 1)[:SAMPLE_BYTES]
            index = end
            full = len(self._pieces) == self.rule.steps
            if self._lines and full and piece.count >= self._lines:
                yield self._window()

    def expire(self, now: float) -> Iterator[Episode]:
        """Yield the window of time that is over at a time."""
        if self._seconds:
            yield from self._until(now)

    def close(self) -> Iterator[Episode]:
        """Yield what is left, if it is enough for a window: the log is over."""
        if self._pieces and not self._told:
            left = sum(piece.count for piece in self._pieces)
            if self._seconds or not self._any or 2 * left >= self.rule.window_lines:
                yield self._window()
            else:
                self._counters.unjudged_lines += self._pieces[-1].count
        self._pieces.clear()
        self._any = False

    def _is_full(self, piece: Open, seconds: float) -> bool:
        if self._lines:
            return piece.count >= self._lines
        return piece.began != seconds // self._seconds

    def _until(self, seconds: float) -> Iterator[Episode]:
        """Yield the window of the latest piece if a time is in another; let go of old pieces."""
        number = seconds // self._seconds
        if not self._pieces or number == self._pieces[-1].began:
            return
        if not self._told:
            yield self._window()
        if number < self._pieces[-1].began:  # a clock that was put back
            self._pieces.clear()
        while self._pieces and self._pieces[0].began <= number - self.rule.steps:
            self._pieces.popleft()

    def _extend(self, piece: Open, events: Sequence[int]) -> None:
        room = self._most - len(piece.events)
        piece.events.extend(events[:room])
        piece.count += min(room, len(events))
        half = self._most // 2
        for event in events[room:]:
            piece.events[half + (piece.count - half) % (self._most - half)] = event
            piece.count += 1

    def _window(self) -> Episode:
        """Return the window that ends with the latest piece."""
        self._told = self._any = True
        first, last = self._pieces[0], self._pieces[-1]
        window = last.ended(self.rule.name, b"", self._most, "end")
        begin = first.ended(self.rule.name, b"", self._most, "end")
        kept = [kept_events(piece.events, piece.count, self._most) for piece in self._pieces]
        return self._counters.end(
            replace(
                window,
                events=np.concatenate(kept),
                count=sum(piece.count for piece in self._pieces),
                first=begin.first,
                fingerprint=begin.fingerprint,
            )
        )

    def state(self, names: Names) -> Any:
        """Return what `load` takes: msgpack types."""
        return [[piece.state(names) for piece in self._pieces], self._told, self._any]

    def load(self, saved: object, names: Names) -> None:
        """Go on with the window of another table of the same rule.

        Raises:
            ValueError: `saved` is no such state.
        """
        match saved:
            case [[*pieces], bool(told), bool(any_)] if len(pieces) <= self.rule.steps:
                opened = [Open.restored(piece, names, self._most, self._events) for piece in pieces]
            case _:
                raise ValueError("open windows have other fields")
        self._pieces.extend(opened)
        self._told, self._any = told, any_
