"""Train what explains a verdict: the category of a flagged line, and the systems it resembles.

Two linear models on the finished embedding, which `logagent.kinds` runs for reported groups only.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

__all__ = ["Linear", "fit_categories", "fit_systems"]

Floats = npt.NDArray[np.float32]
_SHRINKAGE = 0.1  # of the systems' covariance: far more lines than columns, so little is enough


@dataclass(frozen=True, slots=True)
class Linear:
    """One softmax layer."""

    weight: Floats
    """float32 (dim, classes)."""
    bias: Floats
    """float32 (classes,)."""

    def classes(self, embeddings: Floats) -> npt.NDArray[np.int64]:
        """Return the likeliest class of each embedding, int64 (n,)."""
        best: npt.NDArray[np.int64] = np.argmax(embeddings @ self.weight + self.bias, axis=1)
        return best


def fit_categories(embeddings: Floats, category: npt.NDArray[np.int8], classes: int) -> Linear:
    """Fit the categories of anomalous lines.

    Args:
        embeddings: of all labelled lines, float32 (n, dim).
        category: index of each line's category, int8 (n,); -1 where it is not known.
        classes: how many categories there are; each must occur.
    """
    known = category >= 0
    model = LogisticRegression(C=1.0, max_iter=300, class_weight="balanced")
    model.fit(embeddings[known], category[known])
    if len(model.classes_) != classes:
        raise ValueError(f"{len(model.classes_)} of {classes} categories occur")
    return Linear(model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32))


def fit_systems(embeddings: Floats, system: npt.NDArray[np.int64]) -> Linear:
    """Fit which system a line is of: linear discriminant analysis, every system as likely.

    Args:
        embeddings: of all lines of systems, float32 (n, dim).
        system: index of each line's system, int64 (n,); all of 0 … largest occur.
    """
    count = int(system.max()) + 1
    model = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=_SHRINKAGE, priors=np.full(count, 1 / count)
    )
    with warnings.catch_warnings():  # a system of one template has no spread of its own: fine
        warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
        model.fit(embeddings, system)
    weight, bias = model.coef_.T, model.intercept_
    if count == 2:  # scikit-learn keeps one column for the two
        weight, bias = (
            np.concatenate((-weight, weight), axis=1) / 2,
            np.concatenate((-bias, bias)) / 2,
        )
    return Linear(weight.astype(np.float32), bias.astype(np.float32))
