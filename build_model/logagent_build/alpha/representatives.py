"""The m samples of each cluster that a labeller is asked: §IV-B2, Algorithm 1 lines 12-13.

The samples are lines. As equal templates are one entry here, the m nearest *entries* come first,
and only then further lines of them: m votes on m different texts wherever a cluster has as many.
"""

from __future__ import annotations

import numpy as np

from logagent_build.alpha.clusters import Clustering
from logagent_build.alpha.pool import Pool

__all__ = ["representatives"]


def representatives(pool: Pool, clustering: Clustering, m: int) -> list[list[int]]:
    """Return up to `m` lines S_i for each cluster C_i, nearest to its centroid first.

    Entries at the same distance: the one with more lines first. A cluster with fewer than `m`
    different texts has fewer representatives.

    Args:
        pool: the entries that were clustered.
        clustering: of them.
        m: at least 1; odd, so that a vote has a majority. The paper has 5 (§V-B2), and 1 in
            Table III.
    """
    if m < 1:
        raise ValueError(f"m = {m}: at least 1 representative")
    order = np.lexsort((-pool.count, clustering.distance, clustering.of))
    ends = np.cumsum(np.bincount(clustering.of, minlength=clustering.k))[:-1]
    return [_of_cluster(pool, near[: 4 * m].tolist(), m) for near in np.split(order, ends)]


def _of_cluster(pool: Pool, near: list[int], m: int) -> list[int]:
    if len(near) >= m:
        return [int(pool.first[entry]) for entry in near[:m]]
    texts = [pool.members(entry, m) for entry in near]
    chosen: list[int] = []
    for turn in range(m):
        chosen += [lines[turn] for lines in texts if turn < len(lines)]
    return chosen[:m]
