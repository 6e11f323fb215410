"""Labels of sequences seen before (FlexLog §3.2): query, add, update, delete.

Guarantees: never more than `capacity` entries; when it is full, the entry that was asked for
longest ago goes; a person's correction goes for another one only. `add` changes no entry that is
there; `update` does, and is a correction. A saved cache is taken only for the detector that
made it. Memory: O(capacity), see `memory_bytes`. Not thread-safe.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import msgpack
import numpy as np
import numpy.typing as npt
from logagent import files
from logagent.errors import StateError

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.sequence_keys import KEY_BYTES, keys

__all__ = ["CachedVoter", "SequenceCache", "Voter"]

_FORMAT = 1


class SequenceCache:
    """Maps keys of sequences to labels; True is anomalous.

    Attributes:
        hits: queries that found an entry.
        misses: queries that found none.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.capacity = capacity
        self._labels: OrderedDict[bytes, bool] = OrderedDict()
        self._corrected: OrderedDict[bytes, bool] = OrderedDict()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._labels) + len(self._corrected)

    def query(self, key: bytes) -> bool | None:
        """Return the label of an identical sequence, or None."""
        for entries in (self._labels, self._corrected):
            if key in entries:
                entries.move_to_end(key)
                self.hits += 1
                return entries[key]
        self.misses += 1
        return None

    def add(self, key: bytes, label: bool) -> None:
        """Remember a label, unless there is one."""
        if key in self._labels or key in self._corrected:
            return
        self._labels[key] = bool(label)
        self._shrink()

    def update(self, key: bytes, label: bool) -> None:
        """Set a label by a person's correction, whether there is an entry or not."""
        self._labels.pop(key, None)
        self._corrected[key] = bool(label)
        self._corrected.move_to_end(key)
        self._shrink()

    def delete(self, key: bytes) -> bool:
        """Forget an entry; return whether there was one."""
        there = key in self._labels or key in self._corrected
        self._labels.pop(key, None)
        self._corrected.pop(key, None)
        return there

    def _shrink(self) -> None:
        while len(self) > self.capacity:
            (self._labels or self._corrected).popitem(last=False)

    def memory_bytes(self) -> int:
        """Return what the dictionaries and their keys take (§5.3.2), in bytes."""
        entries = len(self) * sys.getsizeof(bytes(KEY_BYTES))
        return sys.getsizeof(self._labels) + sys.getsizeof(self._corrected) + entries

    def save(self, path: Path, decided_by: str) -> None:
        """Write it to a file, whole or not at all.

        Args:
            path: of the file.
            decided_by: names the detector, its models and prompts, whose labels these are.

        Raises:
            OSError: it cannot be written.
        """
        made = {
            "format": _FORMAT,
            "decided_by": decided_by,
            "labels": list(self._labels.items()),
            "corrected": list(self._corrected.items()),
        }
        files.replace(path, msgpack.packb(made))

    @classmethod
    def load(cls, path: Path, capacity: int, decided_by: str) -> SequenceCache:
        """Read one; without a file, or made by another detector, only corrections are taken.

        Raises:
            StateError: the file is no saved cache, or of a later format.
        """
        cache = cls(capacity)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cache
        except OSError as error:
            raise StateError(f"{path}: {error}") from None
        try:
            made = msgpack.unpackb(data)
            rows = [(True, *row) for row in made["corrected"]]
            if made["decided_by"] == decided_by:
                rows += [(False, *row) for row in made["labels"]]
            fine = made["format"] == _FORMAT and all(
                isinstance(key, bytes) and len(key) == KEY_BYTES and isinstance(label, bool)
                for _, key, label in rows
            )
        except (ValueError, KeyError, TypeError, msgpack.UnpackException):
            fine = False
        if not fine:
            raise StateError(f"{path}: no saved cache of sequences (format {_FORMAT}); delete it")
        for corrected, key, label in rows:
            (cache.update if corrected else cache.add)(key, label)
        return cache


class Voter(Protocol):
    """Whatever predicts."""

    def predict(self, data: Sequences, /) -> npt.NDArray[np.bool_]:
        """Return whether each sequence is anomalous: bool (n,)."""


class CachedVoter:
    """A voter, or a whole ensemble, that is asked about sequences not seen before only (§3.2)."""

    def __init__(self, voter: Voter, cache: SequenceCache) -> None:
        self._voter = voter
        self._cache = cache

    def predict(self, data: Sequences) -> npt.NDArray[np.bool_]:
        """Return whether each sequence is anomalous: bool (n,).

        Sequences are looked up in order; a later one that equals an earlier one of the same call
        is a hit.
        """
        known: dict[bytes, bool] = {}
        asking: dict[bytes, int] = {}
        order = keys(data)
        for at, key in enumerate(order):
            if key in asking:
                self._cache.hits += 1
                continue
            label = self._cache.query(key)
            if label is None:
                asking[key] = at
            else:
                known[key] = label
        if asking:
            said = self._voter.predict(data.only(list(asking.values())))
            for key, label in zip(asking, said.tolist(), strict=True):
                known[key] = label
                self._cache.add(key, label)
        return np.array([known[key] for key in order], dtype=np.bool_)
