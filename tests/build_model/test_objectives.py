"""MaidLog's equations, held to what they promise."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

import torch
from logagent_build.network import reverse_gradient
from logagent_build.objectives import (
    adversarial_loss,
    class_weight,
    focal_loss,
    reversal_strength,
    total_loss,
)


def test_gradient_reversal_is_the_identity_forwards_and_flips_and_scales_backwards() -> None:
    """Eq. 9."""
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.25)
    (y * torch.tensor([3.0, 5.0])).sum().backward()

    assert torch.equal(x.detach(), y.detach())
    assert x.grad is not None
    assert [-0.75, -1.25] == x.grad.tolist()


def test_focal_loss_is_cross_entropy_at_gamma_zero() -> None:
    """Eq. 7 with γ = 0 and without α."""
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0)) * 4
    soft = torch.rand(50, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")

    torch.testing.assert_close(expected, focal_loss(logits, soft, 0.0, None))


def test_focal_loss_cares_less_for_easy_lines() -> None:
    """γ shrinks the loss of what is right already by more."""
    logits, soft = torch.tensor([4.0, 0.0]), torch.ones(2)
    ratio = focal_loss(logits, soft, 2.0, None) / focal_loss(logits, soft, 0.0, None)

    assert ratio[0] < 0.001 < ratio[1] == pytest.approx(0.25)


def test_alpha_weighs_the_two_classes() -> None:
    """α₀ for normal, 1 - α₀ for anomalous."""
    weight = torch.tensor([0.8, 0.8])
    loss = focal_loss(torch.zeros(2), torch.tensor([0.0, 1.0]), 0.0, weight)

    assert loss[0] / loss[1] == pytest.approx(4.0)


def test_class_weight_follows_equation_12() -> None:
    """α₀ = n / (2 Σ ỹ₀), cut to [0.1, 0.9]."""
    assert pytest.approx(4 / (2 * 3)) == class_weight(np.array([0, 0, 0, 1], np.float32))
    assert pytest.approx(0.5) == class_weight(np.zeros(5, np.float32))
    assert 0.9 == class_weight(np.ones(5, np.float32))


def test_adversarial_loss_is_cross_entropy_at_gamma_zero() -> None:
    """Eq. 8 with γ = 0."""
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    group = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = torch.nn.functional.cross_entropy(logits, group, reduction="none")

    torch.testing.assert_close(expected, adversarial_loss(logits, group, 0.0))


def test_the_total_is_a_weighted_sum() -> None:
    """Eq. 10."""
    assert 3.5 == float(total_loss(torch.tensor(3.0), torch.tensor(5.0), 0.1))


def test_reversal_grows_from_zero_to_one() -> None:
    """The schedule of λ at its end points, and monotone between them."""
    values = [reversal_strength(k / 20) for k in range(21)]

    assert 0.0 == values[0]
    assert 1.0 == pytest.approx(values[-1])
    assert sorted(values) == values
