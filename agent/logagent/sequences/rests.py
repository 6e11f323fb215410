"""Judge a sequence of which a part was not read: by what it has, whatever it lacks.

The normal sequences that explain most of it say what the part that was not read may have held. The
sequence is completed to each of them and judged anew; what is only missing is then never held
against it, and what no normal sequence has, or has so often, still is.

Guarantees: a sequence all of which is in a normal one is judged as that one is; `COMPLETIONS`
judgements at most, of sequences at most twice as long as one can be. Source: none, it is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from logagent.sequences.ensemble import Judged
from logagent.sequences.features import Events, counts
from logagent.sequences.rules import MAX_EVENTS

__all__ = ["COMPLETIONS", "completions", "judged_in_part"]

COMPLETIONS: Final = 5
"""Normal sequences that a sequence is completed to: the mildest verdict counts, so more of them
only make it milder."""

Counts = npt.NDArray[np.int64]


def completions(counted: Counts, normal: npt.NDArray[np.uint16]) -> Counts:
    """Return what a sequence may lack, by the normal ones that explain most of it.

    Args:
        counted: of the sequence, int64 (events,).
        normal: of normal sequences, uint16 (events, n).

    Returns:
        How often each event is missing: int64 (at most `COMPLETIONS`, events), the normal sequence
        that explains most first, of equally good ones the shortest. None of those are longer than
        a sequence can be.
    """
    lengths = normal.sum(axis=0, dtype=np.int64)
    (good,) = np.nonzero(lengths <= MAX_EVENTS)
    (rows,) = np.nonzero(counted)  # of other events there is no excess
    here = np.log1p(counted[rows, None].astype(np.float32))
    over = here - np.log1p(normal[np.ix_(rows, good)].astype(np.float32))
    excess = (np.maximum(over, 0) ** 2).sum(axis=0)
    nearest = good[np.lexsort((lengths[good], excess))[:COMPLETIONS]]
    lacks: Counts = np.maximum(normal[:, nearest].astype(np.int64) - counted[:, None], 0).T
    return lacks


def judged_in_part(
    events: Events,
    normal: npt.NDArray[np.uint16],
    judge: Callable[[Events], Judged],
) -> Judged:
    """Judge a sequence that may have had more events, by the mildest of its completions.

    Args:
        events: what was read of it.
        normal: counts of normal sequences, uint16 (events, n).
        judge: judges whole sequences.

    Raises:
        ValueError: an event is outside.

    Returns:
        What `judge` says, without what is missing. It is normal if nothing that is there carries
        it.
    """
    mildest = Judged(0.0, anomalous=False, votes={})  # nothing is known of normal ones
    for lack in completions(counts(events, len(normal)), normal):
        whole = np.concatenate([events, np.repeat(np.arange(len(lack)), lack)]).astype(np.int32)
        judged = _of_what_is_there(judge(whole), len(events))
        if not judged.anomalous:
            return judged
        if not mildest.anomalous or judged.score < mildest.score:
            mildest = judged
    return mildest


def _of_what_is_there(judged: Judged, length: int) -> Judged:
    """Leave out of what carried a verdict what is missing or made up, and places made up."""
    there = [
        replace(each, positions=[at for at in each.positions if at < length])
        for each in judged.carried
        if each.kind != "missing"
    ]
    carried = [each for each in there if each.positions]
    return replace(judged, anomalous=judged.anomalous and bool(carried), carried=carried)
