"""Made-up sequences: failures lack the end, or hold events of their own."""

from __future__ import annotations

import numpy as np
from logagent_build.sequences.data import Sequences

VOCABULARY = ("open", "read", "write", "close", "retry", "abort", "never")


def sequences(normal: int = 60, failed: int = 20, seed: int = 0) -> Sequences:
    """Return sequences; nearly all are distinct."""
    random = np.random.default_rng(seed)
    events, kinds = [], []
    for at in range(normal + failed):
        middle = random.integers(1, 3, size=8 + int(random.integers(0, 6)))
        kind = "normal" if at < normal else ("cut" if at % 2 else "abort")
        end = {"normal": [3] * 4, "cut": [], "abort": [4, 5, 4, 5, 4]}[kind]
        events.append(np.array([0, *middle, *end], dtype=np.int32))
        kinds.append(kind)
    return Sequences(
        "made", events, np.array([kind != "normal" for kind in kinds]), tuple(kinds), VOCABULARY
    )
