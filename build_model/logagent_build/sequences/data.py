"""Labelled sequences of events, whatever data set they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Events", "Sequences"]

Events = npt.NDArray[np.int32]
"""Numbers of a sequence's events in order: int32 (length,)."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequences with labels."""

    name: str
    events: list[Events]
    anomalous: npt.NDArray[np.bool_]
    """Of each sequence: bool (n,)."""
    kinds: tuple[str, ...]
    """Kind of each sequence: ``normal``, or the name of the attack or failure."""
    vocabulary: tuple[str, ...]
    """What each number stands for: name of a system call, or a template."""

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.events)

    def only(self, kept: npt.NDArray[np.int64] | Sequence[int]) -> Sequences:
        """Keep some sequences, by index, in that order."""
        kept = [int(at) for at in kept]
        return Sequences(
            self.name,
            [self.events[at] for at in kept],
            self.anomalous[kept],
            tuple(self.kinds[at] for at in kept),
            self.vocabulary,
        )

    def labelled(self, anomalous: npt.NDArray[np.bool_]) -> Sequences:
        """Return the same sequences with other labels: bool (n,)."""
        kinds = tuple("anomalous" if bad else "normal" for bad in anomalous)
        return Sequences(self.name, self.events, anomalous, kinds, self.vocabulary)
