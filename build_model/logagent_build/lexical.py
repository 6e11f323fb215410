"""A linear model over the same hashed features, grafted into the detector as one more column.

Logistic regression with an L2 penalty finds what the network trained by gradient descent does
not: weights of rare words and bigrams, none larger than the data asks for. It needs no
architecture of its own: its weights are one column of the embedding table, and its logit is
carried through the encoder to every head by two units (one for either sign).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import (  # type: ignore[import-untyped]  # ships no types
    csr_matrix,
    diags,
    hstack,
)
from sklearn.linear_model import LogisticRegression

from logagent_build.features import Features
from logagent_build.network import CHAR_BUCKETS, Detector, char_grams

__all__ = ["Lexical", "LexicalConfig", "fit_lexical", "graft"]


@dataclass(frozen=True, slots=True)
class Lexical:
    """A linear model as a column of the table."""

    column: npt.NDArray[np.float32]
    """Weight of each row, float32 (rows,): the logit is ``sum / √features + bias``."""
    bias: float


@dataclass(frozen=True, slots=True)
class LexicalConfig:
    """Knobs of the linear model."""

    penalty: float = 10.0
    """Inverse strength C of the L2 penalty."""
    chars: float = 1.0
    """Scale of the character n-grams' features."""
    vectors: float = 0.05
    """Scale of the words' vectors (their components have unit variance)."""


def fit_lexical(
    features: Features,
    soft: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    *,
    rows: int,
    words: Sequence[str],
    vectors: npt.NDArray[np.float32],
    config: LexicalConfig,
) -> Lexical:
    """Fit on labelled lines.

    Args:
        features: of the lines.
        soft: probabilities of "anomalous", float32 (n,); cut at 0.5.
        weight: of each line, float32 (n,).
        rows: rows of the table.
        words: the vocabulary; its ids are the first rows.
        vectors: of the words, float32 (len(words), v).
        config: knobs.
    """
    count = np.maximum(np.diff(features.starts), 1)
    bag = csr_matrix(
        (np.ones(len(features.rows), np.float64), features.rows, features.starts),
        shape=(len(features), rows),
    )
    bag.sum_duplicates()
    mean = diags(1 / np.sqrt(count)) @ bag  # (n, rows): what `pool` divides by
    flat, starts = char_grams(words)
    grams = csr_matrix((np.ones(len(flat)), flat, starts), shape=(len(words), CHAR_BUCKETS))
    own = diags(_rarity(bag))  # (rows, rows)
    inner = diags(1 / np.sqrt(np.maximum(np.diff(starts), 1))) @ grams
    inner = config.chars * inner @ diags(_rarity(bag[:, : len(words)] @ grams))  # (words, c)
    of_words = mean[:, : len(words)]
    meaning = config.vectors * vectors.astype(np.float64)  # (words, v)
    design = hstack((mean @ own, of_words @ inner, csr_matrix(of_words @ meaning))).tocsr()
    model = LogisticRegression(C=config.penalty, solver="liblinear", random_state=0)
    model.fit(design, soft >= 0.5, sample_weight=weight)
    coefficient = model.coef_[0]
    column = own @ coefficient[:rows]
    column[: len(words)] += inner @ coefficient[rows : rows + CHAR_BUCKETS]
    column[: len(words)] += meaning @ coefficient[rows + CHAR_BUCKETS :]
    return Lexical(column.astype(np.float32), float(model.intercept_[0]))


def _rarity(bag: csr_matrix) -> npt.NDArray[np.float64]:
    """Return the inverse document frequency of columns over its usual size; 0 where unseen."""
    seen = np.bincount(bag.tocsr().indices, minlength=bag.shape[1])
    rarity: npt.NDArray[np.float64] = np.log((bag.shape[0] + 1) / (seen + 1)) + 1
    rarity[seen == 0] = 0.0
    rarity /= np.sqrt(8.0)
    return rarity


def graft(
    table: torch.Tensor, detector: Detector, lexical: Lexical, share: float
) -> tuple[torch.Tensor, Detector]:
    """Return a wider table and detector whose heads' logits have ``share · lexical`` added.

    Args:
        table: float32 (rows, dim).
        detector: trained on embeddings of width dim.
        lexical: the linear model.
        share: weight of its logit beside the heads' own.
    """
    layers = detector.layers()
    hidden = [layer for name, layer in layers.items() if name.startswith("encoder.")]
    heads = layers["heads"]
    wider = Detector(
        table.shape[1] + 1,
        [layer.out_features + 2 for layer in hidden],
        layers["discriminator.0"].out_features,
        heads.out_features,
        0.0,
    )
    with torch.no_grad():
        for name, new in wider.layers().items():
            old = layers[name]
            new.weight.zero_()
            new.bias.zero_()
            new.weight[: old.out_features, : old.in_features] = old.weight
            new.bias[: old.out_features] = old.bias
        # relu(+z) and relu(-z), of which one is zero, then carried on unchanged
        first, *others = (wider.layers()[f"encoder.{index}"] for index in range(len(hidden)))
        first.weight[-2, -1], first.weight[-1, -1] = 1.0, -1.0
        for layer in others:
            layer.weight[-2, -2], layer.weight[-1, -1] = 1.0, 1.0
        last = wider.layers()["heads"]
        last.weight[:, -2], last.weight[:, -1] = share, -share
        last.bias.add_(share * lexical.bias)
    wider.eval()
    return torch.cat((table, torch.from_numpy(lexical.column)[:, None]), dim=1), wider
