"""K-means over embeddings, and how many clusters: §IV-B1, Eq. 2-3, Algorithm 1 lines 1-11, Fig. 6.

Entries are weighed with their number of lines, so that inertia and silhouette are those of the
lines themselves. Guarantees: seeded; the same vectors and seed give the same clusters. Leaves
labels to `voting`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Choice", "Clustering", "candidates", "choose_k", "cluster", "silhouette"]

Vectors = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

MAX_ITERATIONS = 100
"""T of Algorithm 1; k-means on log templates settles within 10 to 40."""
SILHOUETTE_ENTRIES = 2000
"""Entries that the silhouette is computed on: all pairs of them are held, 16 MiB of float32."""
TOLERANCE = 0.02
"""A silhouette as good as the best: the paper, too, takes the low end of a flat peak."""


@dataclass(frozen=True, slots=True)
class Clustering:
    """Which cluster each entry is in."""

    of: Counts
    """Number of the cluster C_i of each entry: int64 (n,), all from 0 to k - 1 occur."""
    centroids: Vectors
    """Centroid µ_i of each cluster: float32 (k, d)."""
    distance: Vectors
    """Euclidean distance of each entry to its centroid: float32 (n,)."""
    inertia: float
    """Within-cluster sum of squares over lines (Eq. 2)."""

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.centroids)


@dataclass(frozen=True, slots=True)
class Choice:
    """How k was chosen: the two curves of Fig. 6, and what they say."""

    tried: tuple[int, ...]
    """Candidates, ascending."""
    inertia: tuple[float, ...]
    """Eq. 2 at each candidate (Fig. 6a)."""
    silhouette: tuple[float, ...]
    """Mean of Eq. 3 at each candidate (Fig. 6b), in [-1, 1]."""
    elbow: int
    """Candidate where the decline of inertia slows down most."""
    best_silhouette: int
    """Candidate with the highest silhouette."""
    k: int
    """Smallest candidate from the elbow on whose silhouette is within `TOLERANCE` of the best."""


def cluster(
    vectors: Vectors, count: Counts, k: int, *, seed: int = 0, iterations: int = MAX_ITERATIONS
) -> Clustering:
    """Run k-means: Algorithm 1, lines 1-11.

    Centroids begin at entries drawn by k-means++ instead of uniformly: the paper's line 1 with
    fewer bad starts.

    Args:
        vectors: embeddings E, float32 (n, d).
        count: lines of each entry, the weights.
        k: clusters wanted, at least 1; fewer come out where fewer distinct vectors exist.
        seed: of the first centroids.
        iterations: T, the most rounds.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415  # a second to import
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  # likewise
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  # comes with scikit-learn

    if k < 1:
        raise ValueError(f"k = {k}: at least 1 cluster")
    model = KMeans(min(k, len(vectors)), n_init=1, max_iter=iterations, random_state=seed)
    # One thread: sums over threads come in another order. Fewer distinct vectors than k: fewer.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors, sample_weight=count.astype(np.float64))
    used, of = np.unique(model.labels_, return_inverse=True)
    centroids = model.cluster_centers_[used].astype(np.float32)
    distance = np.linalg.norm(vectors - centroids[of], axis=1).astype(np.float32)
    return Clustering(of.astype(np.int64), centroids, distance, float(model.inertia_))


def candidates(entries: int, most: int) -> list[int]:
    """Return values of k worth trying: every few up to 20, then growing by about a fifth.

    Args:
        entries: distinct templates there are.
        most: largest k, for example what a budget of labels allows.
    """
    top = min(most, entries - 1)
    tried = {2, 3, 4, 5, 6, 8, 10, 12, 15, 18, top}
    step = 18.0
    while step < top:
        step *= 1.2
        tried.add(round(step))
    return sorted(k for k in tried if 2 <= k <= top)


def choose_k(
    vectors: Vectors,
    count: Counts,
    tried: Sequence[int],
    *,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _done: None,
) -> Choice:
    """Choose k by elbow and silhouette together, without any label (§IV-B1, Fig. 6).

    The elbow is the point of the inertia curve furthest below the straight line between its ends.
    The paper reads both curves by eye; this rule gives its k = 15 for curves like its own.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if not tried:
        raise ValueError("no number of clusters to try")
    sampled = np.arange(len(vectors))
    if len(sampled) > SILHOUETTE_ENTRIES:
        rng = np.random.default_rng(seed)
        sampled = np.sort(rng.choice(len(vectors), SILHOUETTE_ENTRIES, replace=False))
    apart = _distances(vectors[sampled])
    inertia, scores = [], []
    for done, k in enumerate(tried, 1):
        found = cluster(vectors, count, k, seed=seed, iterations=30)
        inertia.append(found.inertia)
        scores.append(silhouette(apart, found.of[sampled], count[sampled]))
        progress(done / len(tried))
    elbow = _elbow(tried, inertia)
    best = int(np.argmax(scores))
    bar = max(scores) - TOLERANCE
    later = [at for at in range(elbow, len(tried)) if scores[at] >= bar]
    return Choice(
        tuple(tried),
        tuple(inertia),
        tuple(scores),
        tried[elbow],
        tried[best],
        tried[later[0] if later else elbow],
    )


def silhouette(apart: Vectors, of: Counts, count: Counts) -> float:
    """Return the mean silhouette over lines, Eq. 3, in [-1, 1].

    Args:
        apart: distance of every pair of entries, (n, n).
        of: cluster of each entry.
        count: lines of each entry; those of one entry are at distance 0 of each other.
    """
    _, number = np.unique(of, return_inverse=True)
    k = int(number.max()) + 1
    if k < 2:
        return 0.0
    weights = np.zeros((len(of), k), np.float32)
    weights[np.arange(len(of)), number] = count
    size = weights.sum(axis=0)
    total = apart @ weights  # summed distance of each entry to the lines of each cluster
    at = np.arange(len(of))
    own = total[at, number] / np.maximum(size[number] - 1, 1)  # a(E_j)
    mean = total / size
    mean[at, number] = np.inf
    other = mean.min(axis=1)  # b(E_j)
    larger = np.maximum(own, other)
    score = np.where(larger > 0, (other - own) / np.where(larger > 0, larger, 1), 0.0)
    score[size[number] <= 1] = 0.0  # a cluster of one line: by convention
    return float(np.average(score, weights=count))


def _distances(vectors: Vectors) -> Vectors:
    square = (vectors**2).sum(axis=1)
    squared = square[:, None] + square[None, :] - 2 * vectors @ vectors.T
    np.maximum(squared, 0, out=squared)
    apart: Vectors = np.sqrt(squared).astype(np.float32)
    np.fill_diagonal(apart, 0)
    return apart


def _elbow(tried: Sequence[int], inertia: Sequence[float]) -> int:
    """Return the index of the point furthest below the chord, both axes scaled to [0, 1]."""
    if len(tried) < 3:
        return 0
    x = np.array(tried, float)
    y = np.array(inertia, float)
    x = (x - x[0]) / (x[-1] - x[0])
    fall = y[0] - y[-1]
    if fall <= 0:
        return 0
    y = (y - y[-1]) / fall
    return int(np.argmax(1 - x - y))
