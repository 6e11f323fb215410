"""De-duplication of a test against its training sequences (§2.2, Eq. 1 and 2).

A sequence of the test that is, event by event, also a training sequence can be known by heart.
The paper leaves such sequences out of every test; figures with them are reported beside.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logagent_build.sequences.data import Events, Sequences

__all__ = ["key", "ratio", "seen", "unseen"]


def key(events: Events) -> bytes:
    """What two sequences have in common if and only if they are equal."""
    return np.ascontiguousarray(events, dtype=np.int32).tobytes()


def seen(test: Sequences, train: Sequences) -> npt.NDArray[np.bool_]:
    """Tell which sequences of the test are in the training set: bool (n,)."""
    known = {key(events) for events in train.events}
    return np.array([key(events) in known for events in test.events], dtype=np.bool_)


def unseen(test: Sequences, train: Sequences) -> Sequences:
    """Leave out of the test what the training set has (Eq. 1, 2)."""
    return test.only(np.flatnonzero(~seen(test, train)))


def ratio(test: Sequences, train: Sequences) -> float:
    """Share of the test that the training set has: Table 2's duplication ratio, 0 to 1."""
    return float(seen(test, train).mean()) if len(test) else 0.0
