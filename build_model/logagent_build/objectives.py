"""What MaidLog's detector is trained on: Eq. 7, 8, 10 and 12.

All functions take logits and give one loss per line, so that the caller weights lines and domains
as it likes. Higher logits of a head mean anomalous.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "adversarial_loss",
    "class_weight",
    "focal_loss",
    "reversal_strength",
    "total_loss",
]


def class_weight(soft: npt.NDArray[np.float32]) -> float:
    """Return α₀ of one domain (Eq. 12): ``n / (2 Σ ỹ₀)``; α₁ is 1 - α₀.

    We differ where anomalies are the majority: there the equation's α₁ is negative (with no
    normal line, undefined), which would reward being wrong; α₀ is cut to [0.1, 0.9].

    Args:
        soft: probabilities of "anomalous" of the domain's lines, float32 (n,), in [0, 1].
    """
    normal = float((1.0 - soft.astype(np.float64)).sum())
    if normal == 0.0:
        return 0.9
    return min(0.9, max(0.1, len(soft) / (2.0 * normal)))


def focal_loss(logits: Tensor, soft: Tensor, gamma: float, normal_weight: Tensor | None) -> Tensor:
    """Return Eq. 7 per entry: focal cross entropy with soft labels.

    Args:
        logits: any shape.
        soft: probabilities of "anomalous", same shape.
        gamma: focus γ; 0 is the plain cross entropy.
        normal_weight: α₀ of each entry's domain, or None for equal classes with weight one.
    """
    anomalous = functional.logsigmoid(logits) * soft
    normal = functional.logsigmoid(-logits) * (1.0 - soft)
    if gamma:
        anomalous = anomalous * torch.sigmoid(-logits) ** gamma
        normal = normal * torch.sigmoid(logits) ** gamma
    if normal_weight is not None:
        anomalous = anomalous * (1.0 - normal_weight)
        normal = normal * normal_weight
    return -(anomalous + normal)


def adversarial_loss(logits: Tensor, group: Tensor, gamma: float) -> Tensor:
    """Return Eq. 8 per line: the discriminator's focal loss.

    Args:
        logits: float32 (B, n_d), computed behind the gradient reversal.
        group: index of each line's head, int64 (B,).
        gamma: focus γ.
    """
    log_probability = torch.log_softmax(logits, dim=1).gather(1, group[:, None])[:, 0]  # (B,)
    if gamma:
        log_probability = log_probability * (1.0 - log_probability.exp()) ** gamma
    return -log_probability


def total_loss(classification: Tensor, adversarial: Tensor, beta: float) -> Tensor:
    """Return Eq. 10: ``L_cls + β L_adv``."""
    return classification + beta * adversarial


def reversal_strength(progress: float, steepness: float = 30.0) -> float:
    """Return λ of Eq. 9 at a training progress in [0, 1].

    The paper writes ``1 - 2 / (1 + exp(30 k))``; at k = 0 that is 0 and at 1 it is 1, as intended.
    """
    return 1.0 - 2.0 / (1.0 + math.exp(steepness * progress))
