"""A linear model over the same features, grafted into the detector as one more column.

Logistic regression with an L2 penalty finds what the network trained by gradient descent does
not: weights of rare words and bigrams, none larger than the data asks for. It needs no
architecture of its own: its weights are the last column of both tables, and its logit is
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

from logagent_build.features import Features, Ragged
from logagent_build.network import CHAR_BUCKETS, Detector, char_grams

__all__ = ["Lexical", "LexicalConfig", "fit_lexical", "graft"]


@dataclass(frozen=True, slots=True)
class Lexical:
    """A linear model as a column of the tables."""

    tokens: npt.NDArray[np.float32]
    """Weight of each token, float32 (vocabulary,)."""
    bigrams: npt.NDArray[np.float32]
    """Weight of each bigram's row, float32 (bigram_rows,)."""
    bias: float
    """The logit is ``sum of weights / √(tokens + bigrams) + bias``."""

    def logits(self, features: Features) -> npt.NDArray[np.float64]:
        """Return the linear model's logits, float64 (n,)."""
        total = np.zeros(len(features))
        np.add.at(total, features.tokens.lines(), self.tokens[features.tokens.rows])
        np.add.at(total, features.bigrams.lines(), self.bigrams[features.bigrams.rows])
        count = features.tokens.counts + features.bigrams.counts
        total /= np.sqrt(np.maximum(count, 1))
        return total + self.bias


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
    bigram_rows: int,
    words: Sequence[str],
    vectors: npt.NDArray[np.float32],
    config: LexicalConfig,
) -> Lexical:
    """Fit on labelled lines.

    Args:
        features: of the lines.
        soft: probabilities of "anomalous", float32 (n,); cut at 0.5.
        weight: of each line, float32 (n,).
        bigram_rows: rows of the bigrams' table.
        words: the vocabulary.
        vectors: of the words, float32 (len(words), v).
        config: knobs.
    """
    count = features.tokens.counts + features.bigrams.counts
    root = diags(1 / np.sqrt(np.maximum(count, 1)))
    tokens = _bag(features.tokens, len(words))  # (n, words)
    bigrams = _bag(features.bigrams, bigram_rows)
    used = np.unique(features.bigrams.rows)  # rows that training has never seen get weight zero
    bigrams = bigrams[:, used]  # (n, u)
    flat, starts = char_grams(words)
    grams = csr_matrix((np.ones(len(flat)), flat, starts), shape=(len(words), CHAR_BUCKETS))
    rare_token, rare_bigram = diags(_rarity(tokens)), diags(_rarity(bigrams))
    inner = diags(1 / np.sqrt(np.maximum(np.diff(starts), 1))) @ grams
    inner = config.chars * inner @ diags(_rarity(tokens @ grams))  # (words, c)
    meaning = config.vectors * vectors.astype(np.float64)  # (words, v)
    mean = root @ tokens
    design = hstack(
        (mean @ rare_token, mean @ inner, csr_matrix(mean @ meaning), root @ bigrams @ rare_bigram)
    ).tocsr()
    model = LogisticRegression(C=config.penalty, solver="liblinear", random_state=0)
    model.fit(design, soft >= 0.5, sample_weight=weight)
    own, by_chars, by_meaning, by_bigram = np.split(
        model.coef_[0], np.cumsum((len(words), CHAR_BUCKETS, vectors.shape[1]))
    )
    of_tokens = rare_token @ own + inner @ by_chars + meaning @ by_meaning
    of_bigrams = np.zeros(bigram_rows, np.float32)
    of_bigrams[used] = rare_bigram @ by_bigram
    return Lexical(of_tokens.astype(np.float32), of_bigrams, float(model.intercept_[0]))


def _bag(features: Ragged, rows: int) -> csr_matrix:
    """Return how often each line has each row, sparse float64 (n, rows)."""
    ones = np.ones(len(features.rows), np.float64)
    bag = csr_matrix((ones, features.rows, features.starts), shape=(len(features), rows))
    bag.sum_duplicates()
    return bag


def _rarity(bag: csr_matrix) -> npt.NDArray[np.float64]:
    """Return the inverse document frequency of columns over its usual size; 0 where unseen."""
    seen = np.bincount(bag.tocsr().indices, minlength=bag.shape[1])
    rarity: npt.NDArray[np.float64] = np.log((bag.shape[0] + 1) / (seen + 1)) + 1
    rarity[seen == 0] = 0.0
    rarity /= np.sqrt(8.0)
    return rarity


def graft(detector: Detector, width: int, lexical: Lexical, share: float) -> Detector:
    """Return a wider detector whose heads' logits have ``share · lexical`` added.

    Args:
        detector: trained on embeddings of `width`.
        width: of the embeddings; the wider detector takes one number more, the last.
        lexical: the linear model.
        share: weight of its logit beside the heads' own.
    """
    layers = detector.layers()
    hidden = [layer for name, layer in layers.items() if name.startswith("encoder.")]
    heads = layers["heads"]
    wider = Detector(
        width + 1,
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
    return wider
