r"""What the answers about other entries say of an entry: a Gaussian process in bounded memory.

`alpha.belief` holds every vote against every entry; this one holds `RANK` numbers an entry, so
that 20,000 entries and as many answers are possible. The kernel is that of belief at two length
scales (lines that are nearly alike, lines of one subject), and two constants: what all entries of
a system share, and what all share. It is written as inner products of features,

    k(x, x') ≈ φ(x)·φ(x'),      φ from a pivoted Cholesky decomposition of the kernel

which is exact for up to `RANK` entries; what the features leave out of an entry's variance is
counted as its own (FITC). Every entry has a part of its own besides, that no neighbour shares.

What an entry's *own* answers say is left out of its prediction (leave one out, in closed form), so
that the prediction is evidence beside them: this is the verifier of MaidLog §III-B1, read out
without training twice.

Guarantees: no randomness. Costs: O(entries · RANK²) once, and again for each prediction; memory
O(entries · RANK), 4 bytes each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RANK", "Neighbours", "Predicted"]

Reals = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

RANK = 1024
"""Features; 20,000 entries then take 80 MiB."""
_REACH = ((0.5, 0.35), (1.0, 0.65))  # length scale in distances of unit vectors, and variance
_SYSTEM = 0.3  # variance shared by the entries of a system
_COMMON = 0.2  # by all
OWN = 0.15
"""Variance of an entry's own: templates that differ from all their neighbours."""
_LEAST = 1e-4  # of a variance that pivots: below it the decomposition is exact enough


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the others say of each entry, on a scale where +1 is anomalous and -1 is normal."""

    mean: Reals
    """float64 (n,)."""
    variance: Reals
    """Of the entry's truth given the others, its own part included: float64 (n,)."""
    spread: Vectors
    """Posterior features u, float32 (n, rank): u_i · u_j is the covariance of entries i and j
    given all answers, own parts left out."""


class Neighbours:
    """The features of entries, computed once."""

    def __init__(self, vectors: Vectors, domain: npt.NDArray[np.int64], rank: int = RANK) -> None:
        """Prepare the features.

        Args:
            vectors: of unit length, float32 (n, d).
            domain: system of each entry, int64 (n,).
            rank: most features of the kernel.
        """
        smooth = _features(vectors, rank)
        systems = np.unique(domain)
        shared = np.zeros((len(vectors), len(systems) + 1), np.float32)
        shared[np.arange(len(vectors)), np.searchsorted(systems, domain)] = np.sqrt(_SYSTEM)
        shared[:, -1] = np.sqrt(_COMMON)
        self._features = np.hstack([smooth, shared])
        left = 1.0 - (smooth.astype(np.float64) ** 2).sum(axis=1)
        self._own = OWN + np.maximum(left, 0.0)

    def predict(self, said: Reals, noise: Reals) -> Predicted:
        """Return what the others say of each entry.

        Args:
            said: what its own answers say of each entry, +1 or -1 and beyond; any finite value
                where `noise` is infinite.
            noise: variance of `said`, infinite where there are no answers; float64 (n,).
        """
        from scipy.linalg import (  # type: ignore[import-untyped]  # noqa: PLC0415  # no types; slow
            cholesky,
            solve_triangular,
        )

        weight = 1.0 / (noise + self._own)  # 0 where nothing was said
        used = np.flatnonzero(weight > 0)
        seen = self._features[used]
        # Sums in single precision: what the features leave out is far larger than its rounding.
        heavy = (seen * weight[used, None].astype(np.float32)).T
        precision = (heavy @ seen).astype(np.float64)
        precision[np.diag_indices_from(precision)] += 1.0
        lower = cholesky(precision, lower=True)
        half = solve_triangular(lower, heavy.astype(np.float64) @ said[used], lower=True)
        inverse = solve_triangular(lower, np.eye(len(lower)), lower=True).astype(np.float32)
        spread = self._features @ inverse.T
        mean = (spread @ half.astype(np.float32)).astype(np.float64)
        variance = np.einsum("ij,ij->i", spread, spread).astype(np.float64)
        own = np.minimum(variance * weight, 1 - 1e-6)  # share of the prediction that is its own
        values = np.where(weight > 0, said, 0.0)
        return Predicted(
            (mean - own * values) / (1 - own),
            variance / (1 - own) + self._own,
            spread,
        )


def _kernel(vectors: Vectors, at: int) -> Vectors:
    squares = np.maximum(2.0 - 2.0 * (vectors @ vectors[at]), 0.0)
    found = np.zeros(len(vectors), np.float32)
    for reach, share in _REACH:
        found += np.float32(share) * np.exp(squares / np.float32(-2 * reach**2))
    return found


def _features(vectors: Vectors, rank: int) -> Vectors:
    """Return the pivoted Cholesky factor of the kernel: float32 (n, up to `rank`)."""
    n = len(vectors)
    found = np.zeros((min(rank, n), n), np.float32)
    left = np.ones(n)
    for step in range(len(found)):
        at = int(np.argmax(left))
        if left[at] <= _LEAST:
            return np.ascontiguousarray(found[:step].T)
        column = _kernel(vectors, at) - found[:step, at] @ found[:step]
        found[step] = column / np.sqrt(left[at])
        left -= found[step].astype(np.float64) ** 2
        left[at] = 0.0
    return np.ascontiguousarray(found.T)
