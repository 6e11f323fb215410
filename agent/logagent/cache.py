"""A bounded cache of two generations: what is used stays, and a look-up is one dict access.

New entries go to the young generation. When it is full it becomes the old one, and the old one
is forgotten; an old entry that is asked for moves to the young. So an entry survives as long as it
is asked for once per generation, without any work on a hit (an LRU list would cost more than the
look-up itself), and a flood of keys seen once cannot push out what is in use for longer than one
generation. This is the "verdict cache" of FlexLog §3.2; its update and delete come with feedback.

Guarantees: never more than ``2 * capacity`` entries. Memory: O(capacity), about 130 bytes an entry
for integer keys and shared values. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["TwoGenerationCache"]

Value = TypeVar("Value")


class TwoGenerationCache(Generic[Value]):
    """Maps integers (hashes of keys) to values."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.capacity = capacity
        """Entries per generation."""
        self._young: dict[int, Value] = {}
        self._old: dict[int, Value] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old.keys() - self._young.keys())

    @property
    def young(self) -> Callable[[int], Value | None]:
        """The young generation's ``get``, for ``map`` over a block; valid until the next `add`."""
        return self._young.get

    def get(self, key: int) -> Value | None:
        """Return the value, from either generation, or None."""
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.add(key, value)
        return value

    def add(self, key: int, value: Value) -> None:
        """Remember a value; may forget the old generation."""
        if len(self._young) >= self.capacity and key not in self._young:
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def clear(self) -> None:
        """Forget everything (a new model, new overrides)."""
        self._young.clear()
        self._old.clear()
