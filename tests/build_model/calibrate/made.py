"""Entries made up for tests: systems whose anomalies can be told by their vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from logagent_build.calibrate.entries import Entries

KINDS = 12  # of lines in a system


def entries(
    systems: int = 3, size: int = 80, seed: int = 0, share: float = 0.4, dim: int = 24
) -> tuple[Entries, npt.NDArray[np.bool_]]:
    """Return entries in kinds of like vectors, and which are anomalous: whole kinds are."""
    random = np.random.default_rng(seed)
    vectors, truth, templates = [], [], []
    worse = random.normal(size=dim)  # what anomalies of all systems have in common
    for system in range(systems):
        centres = random.normal(size=(KINDS, dim))
        anomalous = np.arange(KINDS) < round(share * KINDS)
        centres += np.where(anomalous, 0.7, -0.7)[:, None] * worse
        kind = random.permutation(np.arange(size) % KINDS)
        vectors.append(centres[kind] + 0.3 * random.normal(size=(size, dim)))
        truth.append(anomalous[kind])
        templates += [b"system %d kind %d entry %d" % (system, k, i) for i, k in enumerate(kind)]
    found = np.concatenate(vectors).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    domain = np.repeat(np.arange(systems), size)
    return (
        Entries(
            templates,
            domain,
            [f"system {system}" for system in range(systems)],
            [(template,) for template in templates],
            [tuple(templates[max(0, at - 3) : at]) for at in range(len(templates))],
            [tuple(templates[at + 1 : at + 4]) for at in range(len(templates))],
            1 + random.integers(0, 20, len(templates)),
            found,
        ),
        np.concatenate(truth),
    )


def wrong(truth: npt.NDArray[np.bool_], rate: float, seed: int = 1) -> npt.NDArray[np.float64]:
    """Return labels of which a share is wrong."""
    flipped = np.random.default_rng(seed).random(len(truth)) < rate
    return (truth ^ flipped).astype(np.float64)
