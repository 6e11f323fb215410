"""Examples for a candidate: the nearest entries of the support, MaidLog's Eq. 2.

``top-s ⟨e, eᵢ⟩, ȳᵢ = t`` over the support set, by inner product of unit vectors. Entries of the
candidate's own system come first, as the equation's index of the domain says; where it has fewer
than s of a label, the nearest of other systems follow. Guarantees: ties go to the first entry.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["nearest"]

_ELSEWHERE = 4.0  # more than any difference of two inner products of unit vectors
_CELLS = 1 << 22  # products held at a time: 32 MB each of a few arrays


def nearest(
    vectors: npt.NDArray[np.float32],
    domain: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    among: npt.NDArray[np.int64],
    size: int,
) -> npt.NDArray[np.int64]:
    """Return the nearest entries of each, nearest first.

    Args:
        vectors: of all entries, float32 (n, d), of unit length.
        domain: of all entries, int64 (n,).
        wanted: entries that need examples, int64 (c,); none is its own example.
        among: entries that may be examples, int64 (m,).
        size: examples of each; fewer if there are fewer.

    Returns:
        int64 (c, min(size, m)), -1 where the only one left was the entry itself.
    """
    size = min(size, len(among))
    found = np.full((len(wanted), size), -1, np.int64)
    if not size:
        return found
    table = vectors[among].astype(np.float64)
    block = max(1, _CELLS // len(among))
    for start in range(0, len(wanted), block):
        some = wanted[start : start + block]
        near = vectors[some].astype(np.float64) @ table.T  # (b, m)
        near -= _ELSEWHERE * (domain[some][:, None] != domain[among][None, :])
        near[some[:, None] == among[None, :]] = -np.inf
        order = np.argsort(-near, axis=1, kind="stable")[:, :size]
        rows = among[order]
        rows[np.take_along_axis(near, order, axis=1) == -np.inf] = -1
        found[start : start + block] = rows
    return found
