"""In how many distinct hours things were seen, decayed: many things, in fixed memory.

`Age` is the time that has passed as far as a wall clock can be believed: boards boot in 1970 and
are set later, and clocks are set back. `HourSketch` is a count-min sketch whose cells count the
hours in which any of their keys was seen, so a storm of a million lines in one hour counts one.

Guarantees: a count is never below what an exact counter with the same decay gives (but for counts
of less than 2^-100 of an hour); a key that was never seen mostly counts 0, and the more keys are
seen, the less surely so. Memory: 5 bytes × rows × width. Left to others: what is counted, and what
a count means.
"""

from __future__ import annotations

import math
import zlib
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["HOUR_SECONDS", "Age", "HourSketch"]

HOUR_SECONDS = 3600.0
_JUMP_SECONDS = 30 * 86_400.0  # [s] a longer gap is a clock that was set, or an agent that was off
_BACK_SECONDS = 86_400.0  # [s] a clock that is behind by less is waited for
_REBASE_HALF_LIVES = 16  # cells grow by 2^16 before they are scaled down: float32 holds 2^127
_MOST_HOURS = 2**31  # far more than a clock can count; keeps nonsense out of the arithmetic


class Age:
    """Seconds that passed since the first look at the clock, without the clock's jumps."""

    def __init__(self, latest: float | None = None, seconds: float = 0.0) -> None:
        """Start at zero, or where another left off (`state`)."""
        self.seconds = seconds
        """[s] At the last look."""
        self._latest = latest

    def at(self, now: float) -> float:
        """Return the age at a time [s since 1970]; changes nothing."""
        if self._latest is None:
            return 0.0
        gap = now - self._latest
        return self.seconds + gap if 0 < gap <= _JUMP_SECONDS else self.seconds

    def advance(self, now: float) -> float:
        """Return the age at a time, and go on from there."""
        if not math.isfinite(now):
            return self.seconds
        self.seconds = self.at(now)
        latest = self._latest
        if latest is None or now > latest or latest - now > _BACK_SECONDS:
            self._latest = now
        return self.seconds

    def state(self) -> list[Any]:
        """Return what `load` needs, msgpack types only."""
        return [self._latest, self.seconds]

    def load(self, saved: object) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it did not.
        """
        match saved:
            case [float() | int() | None as latest, float() | int() as seconds] if (
                math.isfinite(latest or 0) and 0 <= seconds < _MOST_HOURS * HOUR_SECONDS
            ):
                self._latest, self.seconds = latest, float(seconds)
            case _:
                raise ValueError("an age has other fields")


class HourSketch:
    """Counts distinct hours per key."""

    def __init__(self, rows: int, width: int, half_life_hours: float) -> None:
        """Know nothing.

        Args:
            rows: cells that a key has; the least of them is its count.
            width: cells in a row.
            half_life_hours: an hour so long ago counts half [h].
        """
        self._half_life = half_life_hours
        self._cells = np.zeros((rows, width), np.float32)
        self._touched = np.zeros((rows, width), np.bool_)  # in the hour `_hour`
        self._rows = np.arange(rows)
        self._hour = 0
        # Instead of all cells shrinking every hour, what is added grows: 2^(hours since `_base`
        # / half-life). Once in a while all are scaled by a power of two, which is exact.
        self._base = 0.0

    def add(self, key: bytes, hour: int) -> None:
        """Note that a key was seen in an hour; hours never go back."""
        if hour != self._hour:
            self._touched[:] = False
            self._hour = hour
            self._rebase()
        at = (self._rows, self._places(key))
        # A cell that another key touched in this hour counts the hour already.
        new = ~self._touched[at]
        if new.any():
            grown = self._cells[at].astype(np.float64) + self._weight(hour)
            up = np.nextafter(grown.astype(np.float32), np.float32(np.inf))
            self._cells[at] = np.where(new, up, self._cells[at])
            self._touched[at] = True

    def hours(self, key: bytes, hour: int) -> float:
        """Return in how many hours a key was seen, decayed up to `hour`, or somewhat more."""
        least = float(self._cells[self._rows, self._places(key)].min())
        return least / self._weight(hour) if least else 0.0

    def _weight(self, hour: int) -> float:
        return math.exp2(min(max((hour - self._base) / self._half_life, -1000.0), 1000.0))

    def _rebase(self) -> None:
        steps = math.floor((self._hour - self._base) / self._half_life)
        if steps >= _REBASE_HALF_LIVES:
            self._cells = np.ldexp(self._cells, -min(steps, 1000))
            self._base += steps * self._half_life

    def _places(self, key: bytes) -> npt.NDArray[np.uint32]:
        digest = blake2b(key, digest_size=4 * len(self._rows)).digest()
        return np.frombuffer(digest, "<u4") % np.uint32(self._cells.shape[1])

    def state(self) -> list[Any]:
        """Return what `load` needs, msgpack types only; at most 5 bytes a cell."""
        cells = self._cells.astype("<f4").tobytes()
        touched = np.packbits(self._touched).tobytes()
        return [self._hour, self._base, zlib.compress(cells, 1), touched]

    def load(self, saved: object) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it did not, or that of a sketch of another size or half-life.
        """
        match saved:
            case [int(hour), float() | int() as base, bytes(packed), bytes(touched)] if (
                0 <= hour < _MOST_HOURS
                and math.isfinite(base)
                and -1 <= (hour - base) / self._half_life <= _REBASE_HALF_LIVES + 1
            ):
                pass
            case _:
                raise ValueError("a sketch has other fields")
        size = self._cells.nbytes
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(packed, size + 1)
        except zlib.error:
            raise ValueError("a sketch is damaged") from None
        if len(data) != size or len(touched) != (self._cells.size + 7) // 8:
            raise ValueError("a sketch has another size")
        cells = np.frombuffer(data, "<f4").reshape(self._cells.shape).astype(np.float32)
        if not (np.isfinite(cells).all() and (cells >= 0).all()):
            raise ValueError("a sketch counts nonsense")
        bits = np.unpackbits(np.frombuffer(touched, np.uint8), count=self._cells.size)
        self._hour, self._base = hour, float(base)
        self._cells, self._touched = cells, bits.reshape(self._cells.shape).astype(np.bool_)
