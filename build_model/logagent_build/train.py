"""Train a detector: configuration, data, network, optimiser, loop. Reads top to bottom.

Everything random comes from `Config.seed`; with one thread, the same data and configuration give
the same weights, bit for bit, on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from logagent.embedding import EmbeddingConfig
from tokenizers import Tokenizer
from torch import nn

from logagent_build.corpora import Domain, Phrase
from logagent_build.features import Features, featurise, join
from logagent_build.lexical import LexicalConfig, fit_lexical, graft
from logagent_build.network import Detector, Embedder
from logagent_build.objectives import (
    adversarial_loss,
    class_weight,
    focal_loss,
    reversal_strength,
    total_loss,
)
from logagent_build.tokenizer import LEVELS

__all__ = ["Config", "Language", "Model", "fit", "groups_of"]


@dataclass(frozen=True, slots=True)
class Config:
    """Every knob of a training run; chosen by leave-one-domain-out (docs/experiments.md)."""

    rows: int = 62_500
    """Rows of the table; rows x dim bytes travel in the bundle."""
    dim: int = 63
    """Columns of the table that the network trains; the grafted linear model adds one."""
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the encoder."""
    discriminator: int = 64
    """Width of the discriminator's hidden layer."""
    groups: int = 12
    """Heads, n_d: the source domains are dealt to so many groups, one head each."""
    epochs: int = 12
    batch_lines: int = 1024
    learning_rate: float = 2e-3
    """Of the detector and the projection."""
    row_learning_rate: float = 1e-3
    """Of the table's rows and the character n-grams."""
    weight_decay: float = 0.01
    swa_start: float = 0.6
    """Training progress at which weight averaging (SWA) starts."""
    gamma: float = 0.0
    """Focus of Eq. 7."""
    alpha: bool = False
    """Whether Eq. 12 weighs the classes; the trained corpora are close to balanced."""
    beta: float = 0.1
    """Weight of the adversarial loss, Eq. 10."""
    other_heads: float = 0.3
    """Weight of a line's loss on the heads of other groups; 0 is MaidLog's, 1 one common head."""
    drop_features: float = 0.3
    drop_header: float = 0.3
    drop_level: float = 0.2
    drop_hidden: float = 0.2
    smoothing: float = 0.02
    """Label smoothing: soft labels are squeezed into [s, 1 - s]."""
    pair_weight: float = 1.0
    phrase_weight: float = 0.3
    domain_lines: int = 150
    """A domain with more templates counts as so many."""
    lexical: float = 1.0
    """Weight of the grafted linear model's logit; 0 leaves it out."""
    lexical_penalty: float = 10.0
    """Its inverse penalty C."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Language:
    """What is known before any label: the tokenizer and its words' vectors."""

    tokenizer: Tokenizer
    words: list[str]
    vectors: npt.NDArray[np.float32]
    """float32 (len(words), v)."""

    def embedding(self, config: Config) -> EmbeddingConfig:
        """Return the shape of the embedding."""
        return EmbeddingConfig(
            config.rows, config.dim + (1 if config.lexical else 0), len(self.words)
        )


@dataclass(frozen=True, slots=True)
class Model:
    """A trained embedding and detector, in float."""

    config: Config
    table: torch.Tensor
    """float32 (rows, dim)."""
    detector: Detector

    @torch.no_grad()
    def embed(self, features: Features) -> torch.Tensor:
        """Return embeddings, float32 (n, dim)."""
        count = torch.from_numpy(np.maximum(np.diff(features.starts), 1).astype(np.float32))
        summed = nn.functional.embedding_bag(
            torch.from_numpy(features.rows),
            self.table,
            torch.from_numpy(features.starts[:-1]),
            mode="sum",
        )
        return summed / count.sqrt()[:, None]

    def logits(self, features: Features) -> npt.NDArray[np.float64]:
        """Return the logit of Eq. 11, uncalibrated, float64 (n,); higher is more anomalous."""
        self.detector.eval()
        probability = self.detector.probability(self.embed(features)).double()
        logits: npt.NDArray[np.float64] = torch.logit(probability, 1e-6).numpy()
        return logits


@dataclass(frozen=True, slots=True)
class _Lines:
    """Training lines of all sources."""

    features: Features
    soft: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    group: npt.NDArray[np.int64]
    """Head of each line; -1 for lines of no domain, which train all heads alike."""
    normal_weight: npt.NDArray[np.float32]
    """α₀ of each line's domain (Eq. 12)."""
    labelled: npt.NDArray[np.int64]
    """Indices of log lines; the others are phrases of the lexicon."""


def _silent(done: float) -> None:
    """Tell nobody."""


def groups_of(domains: int, groups: int, seed: int) -> list[int]:
    """Return the head of every domain: dealt at random, so that the heads are an ensemble."""
    return [int(g) for g in np.random.default_rng(seed + 7).permutation(domains) % groups]


def _lines(
    config: Config,
    language: Language,
    domains: Sequence[Domain],
    groups: Sequence[int],
    *,
    pairs: Domain | None,
    phrases: Sequence[Phrase],
) -> _Lines:
    embedding = language.embedding(config)
    features, soft, weight, group, alpha = [], [], [], [], []

    def add(
        texts: Sequence[bytes], labels: npt.NDArray[np.float32], each: float, head: int
    ) -> None:
        features.append(featurise(language.tokenizer, texts, embedding))
        soft.append(labels)
        weight.append(np.full(len(texts), each, np.float32))
        group.append(np.full(len(texts), head, np.int64))
        alpha.append(np.full(len(texts), class_weight(labels), np.float32))

    for domain, head in zip(domains, groups, strict=True):
        count = len(domain.templates)
        add(domain.templates, domain.soft, min(1.0, config.domain_lines / count), head)
    if pairs is not None and pairs.templates:
        add(pairs.templates, pairs.soft, config.pair_weight, -1)
    labelled = sum(len(part) for part in soft)
    if phrases:
        score = np.array([phrase.score for phrase in phrases])
        labels = 1.0 / (1.0 + np.exp(-1.5 * (score - 0.5)))  # 0 of the lexicon leans to normal
        texts = [phrase.text.encode() for phrase in phrases]
        add(texts, labels.astype(np.float32), config.phrase_weight, -1)
    return _Lines(
        join(features),
        np.concatenate(soft),
        np.concatenate(weight),
        np.concatenate(group),
        np.concatenate(alpha),
        np.arange(labelled),
    )


def fit(
    config: Config,
    language: Language,
    domains: Sequence[Domain],
    groups: Sequence[int],
    *,
    pairs: Domain | None = None,
    phrases: Sequence[Phrase] = (),
    progress: Callable[[float], None] = _silent,
) -> Model:
    """Train on labelled domains.

    Args:
        config: knobs.
        language: tokenizer and word vectors.
        domains: training domains.
        groups: head of each domain.
        pairs: minimal pairs, one more source of lines.
        phrases: the lexicon.
        progress: told the share of the work done.
    """
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    data = _lines(config, language, domains, groups, pairs=pairs, phrases=phrases)
    level_rows = np.zeros(config.rows, bool)
    level_rows[[index for index, word in enumerate(language.words) if word in LEVELS]] = True

    embedder = Embedder(config.rows, config.dim, language.words, torch.from_numpy(language.vectors))
    detector = Detector(
        config.dim, config.hidden, config.discriminator, config.groups, config.drop_hidden
    )
    network = nn.ModuleList((embedder, detector))
    rows = [embedder.own, embedder.chars]
    rest = [embedder.projection, *detector.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": rest, "lr": config.learning_rate},
            {"params": rows, "lr": config.row_learning_rate},
        ],
        betas=(0.9, 0.99),  # rare rows: a longer memory of squares would let them jump
        weight_decay=config.weight_decay,
    )
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    averaged: list[torch.Tensor] | None = None
    averages = 0
    count = len(data.features)
    steps = config.epochs * math.ceil(count / config.batch_lines)
    step = 0
    for _ in range(config.epochs):
        order = random.permutation(count)
        for first in range(0, count, config.batch_lines):
            done = step / steps
            step += 1
            slow = min(1.0, step / 30) * (0.5 if done >= config.swa_start else 1.0)
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * slow
            chosen = order[first : first + config.batch_lines]
            batch = data.features.take(chosen).dropped(
                random, config.drop_features, config.drop_header, config.drop_level, level_rows
            )
            network.train()
            loss = _loss(
                config, data, chosen, detector, embedder(batch.rows, batch.starts), done=done
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            optimiser.step()
            if done >= config.swa_start and step % 5 == 0:
                averages += 1
                averaged = _average(averaged, network, averages)
            progress(step / steps)
    if averaged is not None:
        with torch.no_grad():
            for parameter, mean in zip(network.parameters(), averaged, strict=True):
                parameter.copy_(mean)
    detector.eval()
    table = embedder.table()
    if config.lexical:
        lexical = fit_lexical(
            data.features.take(data.labelled),
            data.soft[data.labelled],
            data.weight[data.labelled],
            rows=config.rows,
            words=language.words,
            vectors=language.vectors,
            config=LexicalConfig(penalty=config.lexical_penalty),
        )
        table, detector = graft(table, detector, lexical, config.lexical)
    return Model(config, table, detector)


def _loss(
    config: Config,
    data: _Lines,
    chosen: npt.NDArray[np.int64],
    detector: Detector,
    embeddings: torch.Tensor,
    *,
    done: float,
) -> torch.Tensor:
    """Return Eq. 10 of one batch."""
    group = torch.from_numpy(data.group[chosen])  # (B,)
    soft = torch.from_numpy(data.soft[chosen]) * (1 - 2 * config.smoothing) + config.smoothing
    weight = torch.from_numpy(data.weight[chosen])
    alpha = torch.from_numpy(data.normal_weight[chosen])[:, None] if config.alpha else None
    votes, domain = detector(embeddings, reversal_strength(done))  # (B, n_d) each
    entry = focal_loss(votes, soft[:, None].expand_as(votes), config.gamma, alpha)
    own = nn.functional.one_hot(group.clamp(min=0), config.groups) * (group >= 0)[:, None]
    share = own + config.other_heads * (1 - own)  # (B, n_d)
    entry = (entry * share).sum(dim=1) / (1 + config.other_heads * (config.groups - 1))
    known = group >= 0
    adversarial = adversarial_loss(domain[known], group[known], config.gamma)
    adversarial = adversarial.sum() / max(1, int(known.sum()))
    return total_loss((entry * weight).mean(), adversarial, config.beta)


@torch.no_grad()
def _average(
    averaged: list[torch.Tensor] | None, network: nn.Module, averages: int
) -> list[torch.Tensor]:
    """Add the weights to their running mean (SWA)."""
    if averaged is None:
        return [parameter.detach().clone() for parameter in network.parameters()]
    for mean, parameter in zip(averaged, network.parameters(), strict=True):
        mean.lerp_(parameter.detach(), 1 / averages)
    return averaged
