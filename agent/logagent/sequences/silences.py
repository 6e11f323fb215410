"""Sessions of which a part was not read: begun before it was read, or open where a log stops.

Whether a session may have such a part is a question of silence. Training says, for each event, how
long a normal session is silent before it speaks so, and how long after (`Silences`). A session
whose first line that was read comes later after its log was begun than that, began there in
earnest; one whose last line lies longer before the log's end than that hangs. In between nobody
knows, and nothing that is missing may be held against it. An event that is only ever first has no
silence before it, so no list of first and last events is needed.

Time is that of the log, followed in coarse steps, since to read every stamp would cost more than
all else; of a line on which something hangs the stamp is read. Where the log or the training has
no stamps, lines of the log are counted instead. A file that is read from its first byte may be the
rest of one that was rotated, so every source's first read counts.

Guarantees: memory is O(events) for the model and O(1) for each of `_SOURCES` sources; a source that
was forgotten counts as begun anew.

Left to others: what is told of a session of which a part was read (`watch`, `rests`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from logagent.blocks import Block
from logagent.sequences.arrays import array, packed
from logagent.sequences.episode import Names, Open, kept_events
from logagent.times import FIELDS_BYTES, TimeParser

__all__ = ["TICK_SECONDS", "Reading", "Silences"]

TICK_SECONDS: Final = 60.0
"""[s] By how much silences are taken to be longer than in training, and the least step in which a
log's time is followed for this."""
_STEPS: Final = 16  # of the longest silence; what is nearer than a step is read from the lines
_SOURCES: Final = 256  # of a rule that goes across


@dataclass(frozen=True, slots=True)
class Silences:
    """How long normal sessions are silent before and after each event.

    Arrays of `known` + 1. -1: too few normal sessions have the event. The last number, of no event,
    is that of all sessions.
    """

    before_seconds: npt.NDArray[np.float32]
    """[s], 0: sessions only begin with it, else a second at least. Empty: the lines of training had
    no stamps."""
    after_seconds: npt.NDArray[np.float32]
    """[s], likewise; 0: sessions only end with it."""
    before_lines: npt.NDArray[np.int32]
    """[lines of the log]"""
    after_lines: npt.NDArray[np.int32]
    """[lines of the log]"""

    def part(self) -> dict[str, Any]:
        """Return what `read` takes: msgpack types."""
        return {
            "before_seconds": packed(self.before_seconds.astype("<f4")),
            "after_seconds": packed(self.after_seconds.astype("<f4")),
            "before_lines": packed(self.before_lines.astype("<i4")),
            "after_lines": packed(self.after_lines.astype("<i4")),
        }

    @classmethod
    def read(cls, part: Mapping[str, Any], known: int) -> Silences:
        """Read what `part` returned, for a vocabulary of so many known events.

        Raises:
            ValueError: it is none, or of another vocabulary.
        """
        lines = [array(part, f"{name}_lines", "<i4", (known + 1,)) for name in ("before", "after")]
        before = array(part, "before_seconds", "<f4", (-1,))
        if len(before):
            before = array(part, "before_seconds", "<f4", (known + 1,))
        after = array(part, "after_seconds", "<f4", (len(before),))
        if any(len(each) and (each.min() < -1 or each[-1] < 0) for each in (before, after, *lines)):
            raise ValueError("silences: less than none")
        return cls(before, after, *lines)

    @property
    def tick_seconds(self) -> float:
        """How exactly a log's time has to be followed [s]; infinite: not at all."""
        longest = float(max(self.before_seconds.max(initial=0), self.after_seconds.max(initial=0)))
        return max(longest / _STEPS, TICK_SECONDS) if len(self.before_seconds) else math.inf

    def limits(
        self, seconds: float | None, lines: float, *, after: bool = False
    ) -> tuple[npt.NDArray[Any], float]:
        """Return how long silences are, and how long one is, in the same unit.

        Args:
            seconds: how long it is [s]; None: the log has no stamps.
            lines: how many lines of the log it has.
            after: of the silences after each event, not before.
        """
        timed = self.after_seconds if after else self.before_seconds
        if seconds is not None and len(timed):
            return timed, seconds - TICK_SECONDS
        return self.after_lines if after else self.before_lines, lines


@dataclass(slots=True)
class _Source:
    """How far a source was read."""

    begun: float | None = None
    """[s] When it was begun; None: no line had a stamp."""
    lines: int = 0
    """Read since then."""
    latest: int = 0
    """Number of the latest line, 0 if nobody counts."""


class Reading:
    """How far the sources of one table of sessions were read, and what that says of sessions."""

    def __init__(self, silences: Silences) -> None:
        """Have read nothing yet."""
        self._silences = silences
        self._longest_seconds = float(silences.before_seconds.max(initial=0.0))
        self._longest_lines = int(silences.before_lines.max())
        self._tick = silences.tick_seconds
        self._parser = TimeParser()
        self._sources: dict[str, _Source] = {}
        self._latest = b""  # the line that was read last
        self._stops: float | None = None  # its time [s], once it was asked for

    def read(
        self, source: str, block: Block, span: tuple[int, int], now: float | None
    ) -> Callable[[int, bytes], bool] | None:
        """Take in that some more lines are read.

        Returns what tells by event and text of a line whether a session that it opens may have
        begun before the source was; None: by no line.

        Args:
            source: their source.
            block: holds them.
            span: the first of the lines, and the one after the last.
            now: about their time [s]; None: no line yet had a stamp.
        """
        at = self._sources.pop(source, None) or _Source()
        self._sources[source] = at
        if len(self._sources) > _SOURCES:
            del self._sources[next(iter(self._sources))]
        if now is not None:  # a clock that was put back begins anew
            at.begun = now if at.begun is None else min(at.begun, now)
        since = None if now is None or at.begun is None else now - at.begun
        limits, past = self._silences.limits(since, at.lines)
        at.lines += span[1] - span[0]
        at.latest = block.first_line + span[1] - 1 if block.first_line else 0
        if span[1] == block.line_count:
            self._latest, self._stops = block.line(span[1] - 1)[:FIELDS_BYTES], None
        timed = limits is self._silences.before_seconds
        if past > (self._longest_seconds if timed else self._longest_lines):
            return None
        rare = len(limits) - 1
        begun = at.begun

        def may_have_begun(event: int, line: bytes) -> bool:
            event = event if event < rare and limits[event] >= 0 else rare
            if not _reaches(limits, event, past):
                return False
            if not timed or now is None or begun is None:
                return True
            # Of a line without a stamp it is taken to be as early as it can be.
            return _reaches(limits, event, self._exactly(line, now, now) - begun - TICK_SECONDS)

        return may_have_begun

    def _exactly(self, line: bytes, about: float, otherwise: float) -> float:
        """Return a line's time [s], of which it is known from when on it is.

        Args:
            line: it.
            about: the time of the first of the lines that it was read with [s].
            otherwise: what to return if it has no stamp that fits [s].
        """
        stamp = self._parser.parse(line)
        if stamp is None or not about <= stamp.seconds <= about + self._tick:
            return otherwise
        return stamp.seconds

    def may_go_on(self, session: Open, most: int, now: float | None) -> bool:
        """Tell whether a session that is open where its log stops may not be over.

        What comes after an event that normal sessions do not have, no training says: it is a
        question of the event before it.

        Args:
            session: it.
            most: its rule's limit of events.
            now: about when the log stops [s]; None: no line had a stamp.
        """
        at = self._sources.get(session.last_source)
        # Of a source whose lines nobody counts it is not known how far back a line is, of one that
        # was forgotten that it is far.
        lines = 0.0 if at is not None else math.inf
        if at is not None and at.latest and session.last_line:
            lines = at.latest - session.last_line
        silent = None if now is None else now - session.seconds - self._tick  # at least
        limits, past = self._silences.limits(silent, lines, after=True)
        event = rare = len(limits) - 1
        for each in reversed(kept_events(session.events, session.count, most).tolist()):
            if each < rare and limits[each] >= 0:
                event = each
                break
        if now is None or limits is not self._silences.after_seconds:
            return _reaches(limits, event, past)
        if not _reaches(limits, event, past):
            return False
        if self._stops is None:
            self._stops = self._exactly(self._latest, now, now)
        about = session.seconds  # without a stamp it may have spoken as late as this allows
        silent = self._stops - self._exactly(session.last_text, about, about + self._tick)
        return _reaches(limits, event, silent - TICK_SECONDS)

    def state(self, names: Names) -> list[object]:
        """Return what `load` takes: msgpack types."""
        return [
            [names.number(name), at.begun, at.lines, at.latest]
            for name, at in self._sources.items()
        ]

    def load(self, saved: object, names: Names) -> None:
        """Go on where another stopped.

        Raises:
            ValueError: `saved` is no such state.
        """
        if not isinstance(saved, list):
            raise ValueError("the beginnings of logs have other fields")
        for each in saved[:_SOURCES]:
            match each:
                case [int(name), None | float() as begun, int(lines), int(latest)]:
                    self._sources[names.name(name)] = _Source(begun, lines, latest)
                case _:
                    raise ValueError("the beginning of a log has other fields")


def _reaches(limits: npt.NDArray[Any], event: int, past: float) -> bool:
    """Tell whether a silence beside an event may have gone on for longer than it has."""
    return bool(0 < limits[event] >= past)
