"""What a sequence is made of while it is open, and what is left of it when it has ended.

Of a sequence longer than its rule allows the beginning and the end are kept, half and half: what
was never begun shows at the one, what was never finished at the other. What lies between is
counted, not kept.

Memory: two bytes an event, up to the limit.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import numpy.typing as npt

from logagent.groups import Sighting, record_id

__all__ = ["SAMPLE_BYTES", "Ended", "Episode", "Names", "Open", "kept_events"]

SAMPLE_BYTES = 160
"""[bytes] of a sequence's first and last line that are kept: a header and the beginning of a
message; with more, a hundred thousand open sessions would be mostly samples."""

Ended = Literal["end", "idle", "long", "evicted"]
"""Why a sequence ended: its window was full or its log over; nothing came for the time-out; it was
open for as long as one may be; there was no room for it."""


class Names:
    """Names of sources in a saved state, each written once: a path may have 4 kB."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names = names or []
        """In the order of their numbers."""
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def number(self, name: str) -> int:
        """Return the number of a name, a new one if need be."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]

    def name(self, number: int) -> str:
        """Return a name by its number.

        Raises:
            ValueError: there is none.
        """
        if not 0 <= number < len(self.names):
            raise ValueError("a source of an open sequence has no name")
        return self.names[number]


@dataclass(frozen=True, slots=True)
class Episode:
    """A session or a window that has ended."""

    rule: str
    """Name of the rule that made it."""
    session: bytes
    """What its lines have in common, not sanitised; empty for a window."""
    events: npt.NDArray[np.int32]
    """Its events in order, those left out of the middle excepted: int32 (length,)."""
    count: int
    """Its lines, at least the length of `events`."""
    first: Sighting
    """Its first line, cut to `SAMPLE_BYTES`."""
    last: Sighting
    """Its last line, likewise."""
    ended: Ended
    fingerprint: bytes
    """Of the first line's source."""
    cut: bool = False
    """Whether it may have begun before what was read of its log."""
    unfinished: bool = False
    """Whether it may go on after what was read of its log."""

    @property
    def id(self) -> str:
        """Stable: of its rule, its session and its first line; 16 hexadecimal digits."""
        place = record_id(self.fingerprint, self.first.offset, self.first.text).encode()
        name = self.rule.encode() + b"\0" + self.session
        return blake2b(name, key=place, digest_size=8).hexdigest()


class Open:
    """A sequence that goes on. Plain slots: there may be a hundred thousand."""

    __slots__ = (
        "began",
        "count",
        "cut",
        "events",
        "fingerprint",
        "first_line",
        "first_offset",
        "first_source",
        "first_text",
        "last_line",
        "last_offset",
        "last_source",
        "last_text",
        "seconds",
    )

    def __init__(
        self, source: str, fingerprint: bytes, line: int, offset: int, text: bytes
    ) -> None:
        """Begin with a line, whose event is yet to be added.

        Args:
            source: name of the line's source.
            fingerprint: of that source, for the id.
            line: its number, 0 if nobody counts.
            offset: its place [bytes].
            text: the line.
        """
        self.events = array("H")
        self.count = 0
        self.cut = False
        self.began = self.seconds = 0.0
        self.fingerprint = fingerprint
        self.first_source = self.last_source = source
        self.first_line = self.last_line = line
        self.first_offset = self.last_offset = offset
        self.first_text = self.last_text = text[:SAMPLE_BYTES]

    def ended(
        self, rule: str, session: bytes, most: int, why: Ended, *, unfinished: bool = False
    ) -> Episode:
        """Return what is left of it; `most` is the rule's limit of events."""
        return Episode(
            rule,
            session,
            kept_events(self.events, self.count, most),
            self.count,
            Sighting(self.first_source, self.first_line, self.first_offset, self.first_text),
            Sighting(self.last_source, self.last_line, self.last_offset, self.last_text),
            why,
            self.fingerprint,
            self.cut,
            unfinished,
        )

    def state(self, names: Names) -> list[object]:
        """Return what `restored` takes: msgpack types."""
        return [
            self.events.tobytes(),
            self.count,
            self.began,
            self.seconds,
            self.fingerprint,
            [names.number(self.first_source), self.first_line, self.first_offset, self.first_text],
            [names.number(self.last_source), self.last_line, self.last_offset, self.last_text],
            self.cut,
        ]

    @classmethod
    def restored(cls, saved: object, names: Names, most: int, events: int) -> Open:
        """Return what `state` was called on.

        Args:
            saved: what it returned.
            names: of the sources.
            most: the rule's limit of events.
            events: size of the vocabulary.

        Raises:
            ValueError: it was called on nothing like this.
        """
        match saved:
            case [
                bytes(data),
                int(count),
                float(began),
                float(seconds),
                bytes(fingerprint),
                [int(source), int(line), int(offset), bytes(text)],
                [int(last_source), int(last_line), int(last_offset), bytes(last_text)],
                *more,
            ] if len(data) % 2 == 0 and len(data) // 2 == min(count, most) and offset >= 0:
                cut = more == [True]  # older states have none
            case _:
                raise ValueError("an open sequence has other fields")
        made = cls(names.name(source), fingerprint[:16], line, offset, text)
        made.events.frombytes(data)
        if made.events and max(made.events) >= events:
            raise ValueError("an open sequence has events of another model")
        made.count, made.began, made.seconds = count, began, seconds
        made.cut = cut
        made.last_source = names.name(last_source)
        made.last_line, made.last_offset = last_line, last_offset
        made.last_text = last_text[:SAMPLE_BYTES]
        return made


def kept_events(events: array[int], count: int, most: int) -> npt.NDArray[np.int32]:
    """Return the events in order: int32 (min(count, most),).

    Args:
        events: as they were kept: beyond `most`, those after the first half are a ring.
        count: how many there were.
        most: how many are kept.
    """
    kept = np.frombuffer(events, np.uint16).astype(np.int32)
    if count > most:
        half = most // 2
        kept[half:] = np.roll(kept[half:], -((count - half) % (most - half)))
    return kept
