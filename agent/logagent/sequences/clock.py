"""When lines were written, as far as sequences need it: time-outs and windows of time.

Reading every line's stamp would cost more than all else, so a block's first and last lines are
read, and what lies between only where the two are not in one *tick* (an eighth of a time-out, the
step of a window). A line without a stamp has the time of the line before it; a log without any has
the time of its arrival.

A clock only goes forward by what a line says: a late line does not turn it back. Further than
`reach` in either direction is believed when a second stamp says the same: a board that boots in
1970, a log appended to an older one, or a night without lines that nobody waited for. One odd line
moves nothing.

Guarantees: O(log lines) stamps are read of a block in order, O(lines) of any.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from logagent.blocks import Block
from logagent.times import TimeParser

__all__ = ["Clock", "LineTimes", "Span"]

Span = tuple[int, int, float | None, bool]
"""Lines from the first number to before the second, their time [s] (None: none has a stamp), and
whether stamps of two lines say so: of its own, or the next span's is soon after."""

_Seen = tuple[float, int]  # a stamp [s], and the line that has it

_SOON_SECONDS: Final = 3600.0  # [s] after a stamp; a later one does not say that it is right
_LOOKS: Final = 8  # lines at either end of a block in which a stamp is looked for


class LineTimes:
    """Reads the times of one source's lines. Memory: O(1)."""

    def __init__(self, tick_seconds: float) -> None:
        """Say how exactly times are needed [s]; infinite: no stamp is read."""
        self._tick = tick_seconds
        self._parser = TimeParser()

    def spans(self, block: Block) -> list[Span]:
        """Return the lines of a block in order, those of one tick together."""
        lines = block.line_count
        if math.isinf(self._tick):
            return [(0, lines, None, False)]
        first = self._first(block, range(min(lines, _LOOKS)))
        if first is None:
            return [(0, lines, None, False)]
        last = self._first(block, range(lines - 1, max(lines - 1 - _LOOKS, -1), -1))
        return _confirmed(self._split(block, lines, first, last or first))

    def _split(self, block: Block, lines: int, first: _Seen, last: _Seen) -> list[Span]:
        """Return the spans of lines of which the first is at `first`, the last about `last`."""
        spans: list[Span] = []
        said = -1  # the line whose stamp the latest span has
        pending = [(0, first, lines, last)]
        while pending:
            start, begin, stop, end = pending.pop()
            alike = begin[0] // self._tick == end[0] // self._tick
            if alike or stop - start <= 1:
                agreed = alike and begin[1] != end[1]
                if said == begin[1]:  # lines without stamps say nothing more than the one before
                    start, _, _, before = spans.pop()
                    agreed = agreed or before
                spans.append((start, stop, begin[0], agreed))
                said = begin[1]
                continue
            middle = (start + stop) // 2
            stamp = self._stamp(block, middle)
            between = begin if stamp is None else (stamp, middle)
            # In one tick with its neighbour, the line before the middle is taken to be so too.
            pending.append((middle, between, stop, end))
            pending.append((start, begin, middle, between))
        return spans

    def _first(self, block: Block, indices: range) -> _Seen | None:
        for index in indices:
            if (stamp := self._stamp(block, index)) is not None:
                return stamp, index
        return None

    def _stamp(self, block: Block, index: int) -> float | None:
        stamp = self._parser.parse(block.line(index))
        return None if stamp is None else stamp.seconds


def _confirmed(spans: list[Span]) -> list[Span]:
    """Return spans of which those agree, too, that the next one soon follows: two stamps say so."""
    after = [stamp for _, _, stamp, _ in spans[1:]]
    for number, (span, later) in enumerate(zip(spans, after, strict=False)):
        start, stop, stamp, agreed = span
        if not agreed and stamp is not None and later is not None:
            spans[number] = start, stop, stamp, 0 <= later - stamp <= _SOON_SECONDS
    return spans


class Clock:
    """What time it is in one log, or in several that share sessions."""

    def __init__(
        self,
        reach_seconds: float,
        wall: Callable[[], float],
        steady: Callable[[], float] | None = None,
    ) -> None:
        """Know nothing yet.

        Args:
            reach_seconds: how far one stamp alone may move the clock forward [s].
            wall: the time of day [s since 1970], for lines without stamps.
            steady: a clock that nobody sets [s], for silence; None: `wall`.
        """
        self.seconds = 0.0
        """Now [s], as the log's lines say."""
        self.late_lines = 0
        """Lines of an earlier time than a line before them."""
        self.jumps = 0
        """How often the clock was put further than its reach, or back."""
        self._reach = reach_seconds
        self._wall = wall
        self._steady = steady or wall
        self._stamped = False
        self._doubtful: float | None = None
        self._arrived = self._steady()  # when a line came last

    def read(self, stamp: float | None, lines: int, *, agreed: bool = False) -> float:
        """Return the time of some lines [s].

        Args:
            stamp: what they say, None if nothing.
            lines: how many they are.
            agreed: whether two of them say so; the others may say nothing.
        """
        before, self._arrived, wall = self._arrived, self._steady(), self._wall()
        silence = max(self._arrived - before, 0.0)
        if stamp is None:
            if not self._stamped:
                self.seconds = max(wall, self.seconds)
                if wall < self.seconds - self._reach:  # the machine's clock was put back
                    self.seconds = wall
            return self.seconds
        if not self._stamped:
            self._stamped = True
            self.seconds = stamp
            return stamp
        ahead = stamp - self.seconds
        if ahead < 0:
            self.late_lines += lines
        if -self._reach <= ahead <= self._reach + silence:  # we heard that nothing came
            self._doubtful = None
            self.seconds = max(self.seconds, stamp)
        elif agreed or self._confirms(stamp, ahead):
            self._doubtful = None
            self.seconds = stamp
            self.jumps += 1
        else:
            self._doubtful = stamp
        return self.seconds

    def _confirms(self, stamp: float, ahead: float) -> bool:
        """Tell whether the stamp before was on the same side of now, and time went on since."""
        doubtful = self._doubtful
        if doubtful is None or (doubtful > self.seconds) != (ahead > 0):
            return False
        return stamp >= doubtful - self._reach

    @property
    def said(self) -> float | None:
        """The time [s] as stamps say it; None: no line had one."""
        return self.seconds if self._stamped else None

    def now(self) -> float:
        """Return the time, silence since the last line included [s]."""
        return self.seconds + max(self._steady() - self._arrived, 0.0)

    def state(self) -> list[object]:
        """Return what `load` takes: msgpack types."""
        return [self.seconds, self._stamped]

    def load(self, saved: object) -> None:
        """Go on where another stopped.

        Raises:
            ValueError: `saved` is no clock's state.
        """
        match saved:
            case [float(seconds), bool(stamped)]:
                self.seconds, self._stamped = seconds, stamped
                # While nobody read, lines may have come: that was no silence.
                self._arrived = self._steady()
            case _:
                raise ValueError("a clock of sequences has other fields")
