"""Baselines without a deep network, as §4.2.3 names them: LightAD, PCA, LogCluster.

All have the interface of `voters.Voter` and are trained on the full training set in the bench.

* LightAD (Yu et al., ICSE 2024): the best of KNN, decision tree and network with one hidden layer,
  chosen on a validation set. We try a short list of settings instead of a Bayesian search.
* PCA (Xu et al., 2009): distance from the space of the principal components, Q-statistic.
* LogCluster (Lin et al., 2016): distance from clusters of normal sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt
from logagent.sequences import features
from scipy.cluster.hierarchy import fcluster, linkage  # type: ignore[import-untyped]  # no types
from scipy.stats import norm  # type: ignore[import-untyped]  # likewise
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import normalize
from sklearn.tree import DecisionTreeClassifier

from logagent_build.sequences.choosing import distinct
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.measures import measure
from logagent_build.sequences.voters import Counted, Scores, Votes

__all__ = ["PCA", "LightAD", "LogCluster"]

Table = npt.NDArray[np.float64]


class LightAD(Counted):
    """The best of several voters on a fifth of the training set, trained again on all of it."""

    name = "LightAD"
    VALIDATION = 0.2

    def __init__(self, seed: int) -> None:
        super().__init__(None)
        self.seed = seed
        self.chosen = ""

    def fit(self, train: Sequences) -> Self:
        """Choose, then learn."""
        order = np.random.default_rng([self.seed, 5]).permutation(len(train))
        few = max(1, round(len(train) * self.VALIDATION))
        held, rest = train.only(order[:few]), train.only(order[few:])
        best = -1.0
        for name, make in self._pool().items():
            if rest.anomalous.any() and not rest.anomalous.all():
                found = Counted(make()).fit(rest).predict(held)
                f1 = measure(held.anomalous, found).f1
            else:
                f1 = 0.0
            if f1 > best:
                best, self.chosen = f1, name
        self.model = self._pool()[self.chosen]()
        return super().fit(train)

    def _pool(self) -> dict[str, Callable[[], object]]:
        seed = self.seed
        return {
            "knn 1": lambda: KNeighborsClassifier(1, algorithm="brute"),
            "knn 2": lambda: KNeighborsClassifier(2, algorithm="brute"),
            "knn 3": lambda: KNeighborsClassifier(3, algorithm="brute"),
            "tree": lambda: DecisionTreeClassifier(random_state=seed),
            "tree, depth 15": lambda: DecisionTreeClassifier(max_depth=15, random_state=seed),
            "network 25": lambda: MLPClassifier((25,), random_state=seed),
            "network 100": lambda: MLPClassifier((100,), random_state=seed),
        }


class PCA:
    """Distance from the principal components of TF-IDF counts; no labels are used."""

    name = "PCA"
    VARIANCE = 0.95  # share that the components explain: Xu et al.
    ALPHA = 0.001  # false alarms the Q-statistic allows: likewise

    def fit(self, train: Sequences) -> Self:
        """Learn the space from all sequences."""
        counts = features.counts_of(train.events, len(train.vocabulary))
        self._weights = TfidfTransformer(norm=None).fit(counts)
        table = self._weighted(train)
        self._mean = table.mean(axis=0)
        _, size, axes = np.linalg.svd(table - self._mean, full_matrices=False)
        variance = size**2 / max(1, len(table) - 1)
        share = np.cumsum(variance) / variance.sum()
        inside = int(np.searchsorted(share, self.VARIANCE)) + 1
        self._axes = axes[:inside]
        phi = [float((variance[inside:] ** power).sum()) for power in (1, 2, 3)]
        self.bar = _q_statistic(phi, self.ALPHA)
        return self

    def score(self, test: Sequences) -> Scores:
        """Return the squared distance over itself plus the bar: (n,), in [0, 1), 0.5 at the bar."""
        table = self._weighted(test) - self._mean
        outside = table - table @ self._axes.T @ self._axes
        far: Scores = (outside**2).sum(axis=1)
        return far / (far + self.bar)

    def predict(self, test: Sequences) -> Votes:
        """Return the vote on each: (n,), true is anomalous."""
        return self.score(test) > 0.5

    def _weighted(self, data: Sequences) -> Table:
        counts = features.counts_of(data.events, len(data.vocabulary))
        held: Table = self._weights.transform(counts).toarray().astype(np.float64)
        return held


def _q_statistic(phi: list[float], alpha: float) -> float:
    """Return the bar of Jackson and Mudholkar (1979) for the residual's eigenvalue sums."""
    if phi[0] <= 0 or phi[1] <= 0:
        return float(np.finfo(np.float64).tiny)  # nothing lies outside: any distance is too far
    h = 1 - 2 * phi[0] * phi[2] / (3 * phi[1] ** 2)
    inner = norm.ppf(1 - alpha) * np.sqrt(2 * phi[1] * h**2) / phi[0] + 1
    inner += phi[1] * h * (h - 1) / phi[0] ** 2
    return float(phi[0] * max(inner, 1e-12) ** (1 / h)) if h > 0 else phi[0]


class LogCluster:
    """Distance from the centres of clusters of normal sequences."""

    name = "LogCluster"
    WIDE = 0.3  # cosine distance up to which clusters are joined, and sequences belong to one
    MOST = 3000  # sequences clustered: all distances between them are held, 36 MB

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, train: Sequences) -> Self:
        """Learn clusters of the distinct normal sequences."""
        once = train.only(distinct(train))
        normal = np.flatnonzero(~once.anomalous)
        normal = np.random.default_rng([self.seed, 6]).permutation(normal)[: self.MOST]
        counts = features.counts_of(once.events, len(once.vocabulary))
        self._weights = TfidfTransformer(norm=None).fit(counts)
        table = self._weighted(once.only(normal))
        if len(table) < 2:
            self._centres = table
            return self
        place = fcluster(linkage(table, "average", "cosine"), self.WIDE, "distance")
        centres = np.stack([table[place == each].mean(axis=0) for each in np.unique(place)])
        self._centres = normalize(centres)
        return self

    def score(self, test: Sequences) -> Scores:
        """Return the cosine distance from the nearest centre: (n,), clipped to [0, 1]."""
        near: Scores = (self._weighted(test) @ self._centres.T).max(axis=1)
        return np.clip(1 - near, 0, 1)

    def predict(self, test: Sequences) -> Votes:
        """Return the vote on each: (n,), true is anomalous."""
        return self.score(test) > self.WIDE

    def _weighted(self, data: Sequences) -> Table:
        counts = features.counts_of(data.events, len(data.vocabulary))
        held: Table = normalize(self._weights.transform(np.log1p(counts)).toarray())
        return held.astype(np.float64)
