"""The trainable detector of MaidLog §III-C on top of a trainable hashed embedding.

`Embedder` is the road to the agent's int8 tables: while it trains, the row of a token is a sum of
three parts that generalise differently, and `Embedder.tables` adds them up into one row:

* a row of its own (what the labels say of this very token),
* the mean of its characters' n-grams (so that `corrupted` helps `corruption`),
* a projection of a sentence encoder's vector of the token (so that synonyms help each other).

A bigram has a row of its own only, and a narrow one.

`Detector` is encoder g, discriminator d behind a gradient reversal (Eq. 9), and one head f_j per
group of source domains; `Detector.logit` is Eq. 11. The agent re-implements this forward
pass in `logagent.model`; `export` compares the two.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from logagent_build.features import Features, Ragged

__all__ = [
    "CHAR_BUCKETS",
    "Detector",
    "Embedder",
    "GradientReversal",
    "char_grams",
    "pooled",
    "reverse_gradient",
]

CHAR_BUCKETS = 20_000  # rows for character n-grams; only used while training, so size is no matter
_CHAR_GRAMS = (3, 4, 5)  # the lengths that did best for linear models on log text


class GradientReversal(torch.autograd.Function):
    """Identity forwards, gradient times -λ backwards (Eq. 9)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:
        """Return the features as they are."""
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the reversed gradient."""
        return -ctx.strength * gradients[0], None


def reverse_gradient(features: Tensor, strength: float) -> Tensor:
    """Apply `GradientReversal`."""
    reversed_: Tensor = GradientReversal.apply(features, strength)  # type: ignore[no-untyped-call]  # torch has no types for it
    return reversed_


class Embedder(nn.Module):
    """Tokens and hashed bigrams to vectors; float while training, int8 afterwards."""

    def __init__(
        self,
        token_dim: int,
        bigram_rows: int,
        bigram_dim: int,
        words: Sequence[str],
        vectors: Tensor,
    ) -> None:
        """Build.

        Args:
            token_dim: columns of a token's row.
            bigram_rows: rows for bigrams.
            bigram_dim: columns of a bigram's row.
            words: the tokenizer's vocabulary, in order of id.
            vectors: a sentence encoder's vector of each word, float32 (len(words), v); all zero
                where there is no encoder.
        """
        super().__init__()
        self.own = nn.Parameter(torch.empty(len(words), token_dim))
        self.bigrams = nn.Parameter(torch.zeros(bigram_rows, bigram_dim))  # unseen ones say nothing
        self.chars = nn.Parameter(torch.empty(CHAR_BUCKETS, token_dim))
        self.projection = nn.Parameter(torch.empty(vectors.shape[1], token_dim))
        for rows in (self.own, self.chars):
            nn.init.normal_(rows, std=0.01)
        nn.init.normal_(self.projection, std=vectors.shape[1] ** -0.5)
        self.register_buffer("vectors", vectors, persistent=False)
        self._grams, self._gram_starts = char_grams(words)

    def forward(self, features: Features) -> Tensor:
        """Embed lines.

        Returns:
            float32 (n, token_dim + bigram_dim): for either part the sum of each line's rows over
            the root of their number.
        """
        used, inverse = np.unique(features.tokens.rows, return_inverse=True)
        places = Ragged(inverse, features.tokens.starts)
        return torch.cat(
            (pooled(self._token_rows(used), places), pooled(self.bigrams, features.bigrams)), dim=1
        )

    def _token_rows(self, ids: npt.NDArray[np.int64]) -> Tensor:
        at = torch.from_numpy(ids)
        begin = self._gram_starts[ids]
        length = self._gram_starts[ids + 1] - begin
        start = np.concatenate(([0], np.cumsum(length)))
        flat = self._grams[np.repeat(begin - start[:-1], length) + np.arange(start[-1])]
        chars = functional.embedding_bag(
            torch.from_numpy(flat), self.chars, torch.from_numpy(start[:-1]), mode="sum"
        )
        root = torch.from_numpy(np.sqrt(np.maximum(length, 1)).astype(np.float32))
        vectors: Tensor = self.vectors[at]  # type: ignore[index]  # a buffer: torch types it as Tensor | Module
        total: Tensor = self.own[at] + vectors @ self.projection + chars / root[:, None]
        return total

    @torch.no_grad()
    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the tokens' rows with their parts added up, and the bigrams' rows, float32."""
        tokens = self._token_rows(np.arange(len(self.own)))
        return tokens, self.bigrams.detach().clone()


def pooled(table: Tensor, features: Ragged) -> Tensor:
    """Return the sum of each line's rows over the root of their number, float32 (n, columns)."""
    summed = functional.embedding_bag(
        torch.from_numpy(features.rows), table, torch.from_numpy(features.starts[:-1]), mode="sum"
    )  # (n, columns)
    count = torch.from_numpy(np.maximum(features.counts, 1).astype(np.float32))
    return summed / count.sqrt()[:, None]


def char_grams(
    words: Sequence[str],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the buckets of every word's character n-grams, and where each word's start."""
    flat: list[int] = []
    starts = [0]
    for word in words:
        inner = word[2:] + ">" if word.startswith("##") else f"<{word}>"
        grams = {inner[i : i + n] for n in _CHAR_GRAMS for i in range(len(inner) - n + 1)}
        flat += [zlib.crc32(gram.encode()) % CHAR_BUCKETS for gram in sorted(grams)]
        starts.append(len(flat))
    return np.array(flat, np.int64), np.array(starts, np.int64)


class Detector(nn.Module):
    """Encoder, discriminator and heads (MaidLog Fig. 3)."""

    def __init__(
        self, dim: int, hidden: Sequence[int], discriminator: int, groups: int, dropout: float
    ) -> None:
        """Build.

        Args:
            dim: width of the embedding.
            hidden: widths of the encoder's layers.
            discriminator: width of the discriminator's hidden layer.
            groups: heads, n_d.
            dropout: of the encoder's outputs.
        """
        super().__init__()
        widths = [dim, *hidden]
        self.encoder = nn.ModuleList(nn.Linear(left, right) for left, right in pairwise(widths))
        self.discriminator = nn.ModuleList(
            (nn.Linear(widths[-1], discriminator), nn.Linear(discriminator, groups))
        )
        self.heads = nn.Linear(widths[-1], groups)
        self._dropout = nn.Dropout(dropout)

    def layers(self) -> dict[str, nn.Linear]:
        """Return the layers by the names they have in a bundle, in order."""
        named = {f"encoder.{i}": layer for i, layer in enumerate(self.encoder)}
        named |= {f"discriminator.{i}": layer for i, layer in enumerate(self.discriminator)}
        named["heads"] = self.heads
        return {name: layer for name, layer in named.items() if isinstance(layer, nn.Linear)}

    def forward(self, embeddings: Tensor, reversal: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return the heads' logits (B, n_d) and the discriminator's logits (B, n_d).

        Args:
            embeddings: float32 (B, D).
            reversal: λ of Eq. 9; 0 trains the discriminator alone.
        """
        hidden = embeddings
        for layer in self.encoder:
            hidden = self._dropout(torch.relu(layer(hidden)))  # (B, H)
        domain = reverse_gradient(hidden, reversal)
        domain = self.discriminator[1](torch.relu(self.discriminator[0](domain)))  # (B, n_d)
        return self.heads(hidden), domain

    @torch.no_grad()
    def logit(self, embeddings: Tensor) -> Tensor:
        """Return the logit of Eq. 11 before calibration, float32 (B,), in logarithms throughout."""
        votes, domain = self(embeddings)
        weight = torch.log_softmax(domain, dim=1)  # (B, n_d)
        anomalous = torch.logsumexp(weight + functional.logsigmoid(votes), dim=1)
        normal = torch.logsumexp(weight + functional.logsigmoid(-votes), dim=1)
        return anomalous - normal
