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
from logagent_build.network import Detector, Embedder, pooled
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

    token_dim: int = 128
    """Columns of a token's row that the network trains; the grafted linear model adds one."""
    bigram_rows: int = 1 << 20
    """Rows for bigrams: enough that few share one."""
    bigram_dim: int = 1
    """Columns of a bigram's row that the network trains; the grafted linear model adds one."""
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the encoder."""
    discriminator: int = 64
    """Width of the discriminator's hidden layer."""
    groups: int = 12
    """Heads, n_d: the source domains are dealt to so many groups, one head each."""
    epochs: int = 8
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
    noise_share: float = 0.5
    """Share of lines that get tokens drawn at random."""
    noise_tokens: int = 4
    """Tokens that such a line gets at most."""
    smoothing: float = 0.02
    """Label smoothing: soft labels are squeezed into [s, 1 - s]."""
    pair_weight: float = 1.0
    phrase_weight: float = 0.3
    domain_lines: int = 150
    """A domain with more templates counts as so many."""
    lexical: float = 0.5
    """Weight of the grafted linear model's logit beside the network's."""
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
            len(self.words), config.token_dim + 1, config.bigram_rows, config.bigram_dim + 1
        )


@dataclass(frozen=True, slots=True)
class Model:
    """A trained embedding and detector, in float."""

    config: Config
    tokens: torch.Tensor
    """float32 (vocabulary, token_dim + 1)."""
    bigrams: torch.Tensor
    """float32 (bigram_rows, bigram_dim + 1)."""
    detector: Detector

    @torch.no_grad()
    def embed(self, features: Features) -> torch.Tensor:
        """Return embeddings, float32 (n, dim): `logagent.embedding.pool` in float."""
        tokens, bigrams = (
            pooled(self.tokens, features.tokens),
            pooled(self.bigrams, features.bigrams),
        )
        first = torch.from_numpy(features.tokens.counts.astype(np.float32))
        second = torch.from_numpy(features.bigrams.counts.astype(np.float32))
        shared = tokens[:, -1] * first.sqrt() + bigrams[:, -1] * second.sqrt()
        shared = shared / (first + second).clamp(min=1).sqrt()
        return torch.cat((tokens[:, :-1], bigrams[:, :-1], shared[:, None]), dim=1)

    def logits(self, features: Features) -> npt.NDArray[np.float64]:
        """Return the logit of Eq. 11, uncalibrated, float64 (n,); higher is more anomalous."""
        self.detector.eval()
        logits: npt.NDArray[np.float64] = self.detector.logit(self.embed(features)).double().numpy()
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
    levels = np.array([word in LEVELS for word in language.words])
    embedder = Embedder(
        config.token_dim,
        config.bigram_rows,
        config.bigram_dim,
        language.words,
        torch.from_numpy(language.vectors),
    )
    width = config.token_dim + config.bigram_dim
    detector = Detector(
        width, config.hidden, config.discriminator, config.groups, config.drop_hidden
    )
    network = nn.ModuleList((embedder, detector))
    rows = [embedder.own, embedder.chars, embedder.bigrams]
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
                random, config.drop_features, config.drop_header, config.drop_level, levels
            )
            batch = batch.disturbed(
                random, config.noise_share, config.noise_tokens, len(language.words)
            )
            network.train()
            loss = _loss(config, data, chosen, detector, embedder(batch), done=done)
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
    lexical = fit_lexical(
        data.features.take(data.labelled),
        data.soft[data.labelled],
        data.weight[data.labelled],
        bigram_rows=config.bigram_rows,
        words=language.words,
        vectors=language.vectors,
        config=LexicalConfig(penalty=config.lexical_penalty),
    )
    tokens, bigrams = embedder.tables()
    return Model(
        config,
        torch.cat((tokens, torch.from_numpy(lexical.tokens)[:, None]), dim=1),
        torch.cat((bigrams, torch.from_numpy(lexical.bigrams)[:, None]), dim=1),
        graft(detector, width, lexical, config.lexical),
    )


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
