"""Voters that are trained on labelled sequences; the interface is scikit-learn's.

Holds: the paper's three on count vectors (LightAD's representation), with the settings of §4.3.2:
k-nearest neighbours, a decision tree and a network with one hidden layer (SLFN); ours, a forest;
and the majority vote of Eq. 6. `logagent.sequences.voters` judges by the same numbers on the edge.

Guarantees: a seed gives the same voter; scores are in [0, 1], 1 is anomalous.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from logagent.sequences import features
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from logagent_build.sequences.data import Sequences

__all__ = [
    "Counted",
    "Forest",
    "Neighbours",
    "Network",
    "Scores",
    "Tree",
    "Voter",
    "Votes",
    "majority",
]

Scores = npt.NDArray[np.float64]
Votes = npt.NDArray[np.bool_]


class Voter(Protocol):
    """One way to tell anomalous sequences from normal ones."""

    name: str

    def fit(self, train: Sequences) -> Self:
        """Learn from labelled sequences."""
        ...

    def score(self, test: Sequences) -> Scores:
        """Return how anomalous each is: (n,), in [0, 1]."""
        ...

    def predict(self, test: Sequences) -> Votes:
        """Return the vote on each: (n,), true is anomalous."""
        ...


class Counted:
    """A scikit-learn classifier on a table of a sequence each."""

    name: str
    cut = 0.5

    def __init__(self, model: object) -> None:
        self.model = model

    def table(self, data: Sequences) -> npt.NDArray[np.float32]:
        """Return what the classifier sees: counts, (n, vocabulary)."""
        return features.counts_of(data.events, len(data.vocabulary))

    def fit(self, train: Sequences) -> Self:
        """Learn from labelled sequences.

        Raises:
            ValueError: they are all normal, or all anomalous.
        """
        if train.anomalous.all() or not train.anomalous.any():
            raise ValueError(f"{train.name}: sequences of both kinds are needed to train")
        with warnings.catch_warnings():  # the paper's 200 epochs, converged or not
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.table(train), train.anomalous)  # type: ignore[attr-defined]
        return self

    def score(self, test: Sequences) -> Scores:
        """Return the probability of "anomalous" of each: (n,)."""
        if not len(test):
            return np.zeros(0)
        held: Scores = self.model.predict_proba(self.table(test))[:, 1]  # type: ignore[attr-defined]
        return held.astype(np.float64)

    def predict(self, test: Sequences) -> Votes:
        """Return the vote on each: (n,), true is anomalous."""
        return self.score(test) > self.cut


class Neighbours(Counted):
    """k nearest neighbours: two for ADFA, one for HDFS (§4.3.2); a tie is normal."""

    name = "knn"

    def __init__(self, k: int = 2) -> None:
        super().__init__(KNeighborsClassifier(k, algorithm="brute"))


class Tree(Counted):
    """Decision tree: Gini, no limit on depth (§4.3.2)."""

    name = "tree"

    def __init__(self, seed: int) -> None:
        super().__init__(DecisionTreeClassifier(random_state=seed))

    @property
    def parameters(self) -> int:
        """Numbers that the agent holds of it; trained before."""
        return 2 * int(self.model.tree_.node_count)  # type: ignore[attr-defined]


class Network(Counted):
    """One hidden layer of 100, ReLU, Adam (SLFN, §4.3.2)."""

    name = "network"

    width = 100

    def __init__(self, seed: int) -> None:
        super().__init__(MLPClassifier((self.width,), random_state=seed))


class Forest(Counted):
    """Ours: extremely randomised trees on counts and shares of events.

    Cuts are drawn at random, so that no tree takes the edge of the attacks it was shown for the
    edge of all attacks; the mean of many such trees is a graded score, which a new kind of attack
    raises without reaching what known kinds reach. Hence its own cut (`training`).
    """

    name = "forest"

    def __init__(self, seed: int, trees: int = 200, least_leaf: int = 1) -> None:
        super().__init__(
            ExtraTreesClassifier(trees, random_state=seed, min_samples_leaf=least_leaf)
        )
        self.trees = trees

    @property
    def parameters(self) -> int:
        """Numbers that the agent holds of it; trained before."""
        trees = self.model.estimators_  # type: ignore[attr-defined]
        return 2 * sum(int(each.tree_.node_count) for each in trees)

    def table(self, data: Sequences) -> npt.NDArray[np.float32]:
        """Return counts and shares: (n, 2 · vocabulary)."""
        return features.both_of(data.events, len(data.vocabulary))


def majority(votes: Sequence[Votes]) -> Votes:
    """Return the majority of several voters' votes; a tie is normal (Eq. 6)."""
    held: Votes = 2 * np.sum(votes, axis=0) > len(votes)
    return held
