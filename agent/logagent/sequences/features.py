"""What the voters see of a sequence: how often each event is in it, and its share.

Both sides use this: the pipeline to train, the agent to judge, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Events", "both_of", "counts", "counts_of", "shares"]

Events = npt.NDArray[np.int32]
"""Numbers of a sequence's events in order: int32 (length,), each in [0, events)."""


def counts(events: Events, width: int) -> npt.NDArray[np.int64]:
    """Count the events of a sequence: int64 (width,).

    Raises:
        ValueError: an event is not in [0, width).
    """
    if len(events) and (int(events.min()) < 0 or int(events.max()) >= width):
        raise ValueError(f"an event is not in [0, {width})")
    return np.bincount(events, minlength=width)


def counts_of(sequences: Sequence[Events], width: int) -> npt.NDArray[np.float32]:
    """Count the events of many sequences: float32 (n, width)."""
    table = np.zeros((len(sequences), width), np.float32)
    for row, events in zip(table, sequences, strict=True):
        row[:] = counts(events, width)
    return table


def shares(counted: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return counts as shares of the length: float32, of the same shape; an empty one is zeros."""
    held = counted.astype(np.float32)
    held /= np.maximum(held.sum(axis=-1, keepdims=True), np.float32(1))
    return held


def both_of(sequences: Sequence[Events], width: int) -> npt.NDArray[np.float32]:
    """Return counts, then shares, of many sequences: float32 (n, 2 · width)."""
    counted = counts_of(sequences, width)
    return np.concatenate([counted, shares(counted)], axis=1)
