"""Classical detectors on propagated labels: §IV-C1 and Table III.

SVM and logistic regression as in the paper, a decision tree as it mentions; anything with the
scikit-learn interface (``fit`` with `sample_weight`, ``predict``) can be given instead. Lines
that share a template are one example with their number as its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.features import Features

__all__ = ["NAMES", "Detector", "Estimator", "Scores", "estimator", "scores", "train"]

NAMES = ("svm", "lr", "tree")
Flags = npt.NDArray[np.bool_]


class Estimator(Protocol):
    """What is used of a scikit-learn classifier."""

    def fit(self, x: Any, y: Any, sample_weight: Any = None, /) -> Any:
        """Learn."""

    def predict(self, x: Any, /) -> Any:
        """Return a class for each row."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How flags agree with the truth; lines count."""

    f1: float
    """In [0, 1]; 1 if there is no anomaly and none was flagged."""
    precision: float
    recall: float
    accuracy: float
    wrong: int
    """Lines misclassified."""


class Detector:
    """A trained classifier with the features that it was trained on."""

    def __init__(self, features: Features, fitted: Estimator | None, constant: bool) -> None:
        self._features = features
        self._fitted = fitted
        self._constant = constant

    def predict(self, lines: Sequence[str]) -> Flags:
        """Say of each line whether it is anomalous: bool (n,)."""
        if self._fitted is None:
            return np.full(len(lines), self._constant)
        found: Flags = np.asarray(self._fitted.predict(self._features.transform(lines))) > 0
        return found


def estimator(name: str, seed: int = 0) -> Estimator:
    """Return a classifier by name.

    Raises:
        ValueError: there is none of that name.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  # a second to import
    from sklearn.svm import LinearSVC  # noqa: PLC0415
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    if name == "svm":
        found: Estimator = LinearSVC(C=1.0, random_state=seed)
    elif name == "lr":
        found = LogisticRegression(C=30.0, max_iter=500)
    elif name == "tree":
        found = DecisionTreeClassifier(random_state=seed)
    else:
        raise ValueError(f"detector {name!r} is none of {', '.join(NAMES)}")
    return found


def train(
    lines: Sequence[str],
    labels: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.int64],
    kind: str | Estimator,
    *,
    seed: int = 0,
) -> Detector:
    """Train a detector.

    Args:
        lines: one of each template.
        labels: theirs, propagated or true.
        weights: lines that each stands for.
        kind: name of a classifier, or one that is not fitted yet.
        seed: of classifiers made by name.
    """
    features = Features().fit(lines)
    if labels.all() or not labels.any():  # nothing to tell apart
        return Detector(features, None, bool(labels.all()))
    model = estimator(kind, seed) if isinstance(kind, str) else kind
    # Weights of mean 1, and of the root of the count: a template that fills a log would else drown
    # all others in the loss.
    root = np.sqrt(weights.astype(np.float64))
    model.fit(features.transform(lines), labels.astype(np.int8), root / root.mean())
    return Detector(features, model, False)


def scores(flags: Flags, truth: Flags, count: npt.NDArray[np.int64] | None = None) -> Scores:
    """Compare flags with the truth.

    Args:
        flags: what a detector says, or labels that were propagated.
        truth: of the same lines or entries.
        count: lines that each stands for; by default one.
    """
    weight = np.ones(len(flags), np.int64) if count is None else count
    true = int(weight[flags & truth].sum())
    false = int(weight[flags & ~truth].sum())
    missed = int(weight[~flags & truth].sum())
    wrong = false + missed
    return Scores(
        2 * true / (2 * true + wrong) if true + wrong else 1.0,
        true / (true + false) if true + false else 1.0,
        true / (true + missed) if true + missed else 1.0,
        1 - wrong / int(weight.sum()),
        wrong,
    )
