"""What MaidLog's detector is compared with (MaidLog §IV-B), and two simpler rivals.

Every function here returns a scorer or scores; higher is more anomalous. `pca` and `deep_svdd`
see embeddings without labels, as the paper has it; `linear` sees templates and labels; `keywords`
sees nothing but the line. The paper's "Unsupervised" is the detector with another objective and
lives in `maidlog`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from torch import nn

from logagent_build.corpora import Domain

__all__ = ["KEYWORDS", "SvddConfig", "deep_svdd", "keywords", "linear", "pca"]

Floats = npt.NDArray[np.float64]
Embeddings = npt.NDArray[np.float32]
Scorer = Callable[[Embeddings], Floats]

KEYWORDS = (
    b"abort|alert|corrupt|crash|critical|denied|emerg|error|exception|fail|fatal|fault|invalid|"
    b"killed|lost|panic|refused|reject|severe|timeout|timed out|unable|unavailable|unreachable|warn"
)
"""What an operator would grep for; chosen before any score was seen."""
_KEYWORD = re.compile(KEYWORDS)
_EXPLAINED = 0.95  # share of variance the principal components hold, as is usual since [26]
_LINEAR_COLUMNS = 2**15
_LINEAR_PENALTY = 10.0  # inverse penalty C, as for the grafted linear model


def pca(embeddings: Embeddings, count: npt.NDArray[np.int64], *, residual: bool) -> Scorer:
    """Fit the baseline "PCA" (MaidLog §IV-B3, after Xu et al. 2009).

    The paper's words are "the L2-norm of feature vectors in the principal component space"; its
    source takes the norm of what is *outside* that space. Both are here.

    Args:
        embeddings: of the source templates, float32 (n, d), n > 1.
        count: lines of each, int64 (n,), positive.
        residual: score by the norm of the residual instead of the norm of the projection.

    Returns:
        A function from float32 (m, d) to float64 (m,), not negative.
    """
    share = count / count.sum()
    mean = share @ embeddings.astype(np.float64)  # (d,)
    centred = embeddings - mean
    values, axes = np.linalg.eigh(centred.T @ (centred * share[:, None]))  # ascending
    explained = np.cumsum(values[::-1]) / values.sum()
    components = axes[:, ::-1][:, : int(np.searchsorted(explained, _EXPLAINED)) + 1]  # (d, k)

    def score(some: Embeddings) -> Floats:
        away = some - mean
        inside = away @ components
        if residual:
            away = away - inside @ components.T
            return np.asarray(np.linalg.norm(away, axis=1), np.float64)
        return np.asarray(np.linalg.norm(inside, axis=1), np.float64)

    return score


@dataclass(frozen=True, slots=True)
class SvddConfig:
    """Knobs of DeepSVDD; the paper gives none, so they are the detector's where it has them."""

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the layers; the last is the sphere's space."""
    epochs: int = 100
    """The loss is at its floor before."""
    batch_lines: int = 2000
    learning_rate: float = 4e-4
    weight_decay: float = 0.01


def deep_svdd(
    embeddings: Embeddings, count: npt.NDArray[np.int64], config: SvddConfig, seed: int
) -> Scorer:
    """Fit the baseline "DeepSVDD" (MaidLog §IV-B1, Ruff et al. 2018) on unlabelled lines.

    The network has no biases, lest it map everything to the centre; the centre is the mean of the
    first outputs, with components nearer to zero than 0.1 moved there, as its authors do. All
    source lines are taken for normal, which is the assumption that MaidLog §III-A criticises.

    Args:
        embeddings: of the source templates, float32 (n, d).
        count: lines of each, int64 (n,), positive.
        config: knobs.
        seed: of weights and batches.

    Returns:
        A function from float32 (m, d) to float64 (m,): squared distances from the centre.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    layers: list[nn.Module] = []
    for left, right in pairwise((embeddings.shape[1], *config.hidden)):
        layers += [nn.Linear(left, right, bias=False), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    source = torch.from_numpy(embeddings)
    lines = np.repeat(np.arange(len(count)), count)
    with torch.no_grad():
        share = torch.from_numpy((count / count.sum()).astype(np.float32))
        centre = share @ network(source)  # (H,)
        near = centre.abs() < 0.1
        centre[near] = torch.where(centre[near] < 0, -0.1, 0.1)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    for _ in range(config.epochs):
        order = random.permutation(lines)
        for first in range(0, len(order), config.batch_lines):
            batch = order[first : first + config.batch_lines]
            distinct, times = np.unique(batch, return_counts=True)
            weight = torch.from_numpy((times / len(batch)).astype(np.float32))
            distance = (network(source[torch.from_numpy(distinct)]) - centre).square().sum(dim=1)
            optimiser.zero_grad()
            (weight * distance).sum().backward()
            optimiser.step()

    @torch.no_grad()
    def score(some: Embeddings) -> Floats:
        distance = (network(torch.from_numpy(some)) - centre).square().sum(dim=1)
        return np.asarray(distance.double().numpy(), np.float64)

    return score


def linear(domains: Sequence[Domain]) -> Callable[[Sequence[bytes]], Floats]:
    """Fit logistic regression on hashed word 1-2-grams, the rival that is hard to beat.

    A template with the soft label ỹ stands there twice: as an anomaly with weight ỹ, and as a
    normal line with weight 1 - ỹ, each times its number of lines.

    Args:
        domains: labelled sources; both classes must occur.

    Returns:
        A function from m templates to logits, float64 (m,).
    """
    hashed = HashingVectorizer(
        n_features=_LINEAR_COLUMNS,
        ngram_range=(1, 2),
        lowercase=True,
        token_pattern=r"[a-z]+",  # noqa: S106  # no password
    )
    texts = [_text(template) for domain in domains for template in domain.templates]
    soft = np.concatenate([domain.soft for domain in domains]).astype(np.float64)
    count = np.concatenate([domain.count for domain in domains]).astype(np.float64)
    design = hashed.transform(texts + texts)
    label = np.repeat([1, 0], len(texts))
    weight = np.concatenate((soft * count, (1 - soft) * count))
    used = weight > 0
    model = LogisticRegression(C=_LINEAR_PENALTY, solver="liblinear", random_state=0)
    model.fit(design[used], label[used], sample_weight=weight[used])

    def score(templates: Sequence[bytes]) -> Floats:
        logits = model.decision_function(hashed.transform([_text(text) for text in templates]))
        return np.asarray(logits, np.float64)

    return score


def _text(template: bytes) -> str:
    return template.decode("utf-8", "replace")


def keywords(templates: Sequence[bytes]) -> Floats:
    """Return how many distinct `KEYWORDS` each line has, in any case of letters; float64 (m,)."""
    counts = [len(set(_KEYWORD.findall(template.lower()))) for template in templates]
    return np.array(counts, np.float64)
