"""Floats to int8 with one float32 scale per column: the tables and the detector's layers.

Weights only. Quantising activations too would need their range, which either is found per batch,
and then a line's score depends on the lines beside it, or is fixed, and then it clips.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["quantise_columns", "quantise_tables"]

_LEVELS = 127  # symmetric: -128 is not used, so that negation is exact
_CLIPS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15)  # shares of a column's largest value tried


def quantise_columns(
    weight: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Quantise each column with the clipping that loses least (mean squared error).

    A few outliers among a table's rows would otherwise set the step of all the others.

    Args:
        weight: float32 (in, out).

    Returns:
        int8 (in, out) and float32 scales (out,): ``weight ≈ int8 · scale``.
    """
    largest = np.abs(weight).max(axis=0)
    largest[largest == 0] = 1.0
    best = np.full(weight.shape[1], np.inf)
    scale = largest / _LEVELS
    for clip in _CLIPS:
        step = (largest * clip / _LEVELS).astype(np.float32)
        error = ((_round(weight, step) * step - weight) ** 2).mean(axis=0)
        better = error < best
        best = np.where(better, error, best)
        scale = np.where(better, step, scale)
    scale = scale.astype(np.float32)
    return _round(weight, scale).astype(np.int8), scale


def quantise_tables(
    tokens: npt.NDArray[np.float32], bigrams: npt.NDArray[np.float32]
) -> tuple[bytes, npt.NDArray[np.float32]]:
    """Quantise both tables; their last columns, which the agent adds up, get one scale.

    Args:
        tokens: float32 (vocabulary, token_dim).
        bigrams: float32 (bigram_rows, bigram_dim); rows of zeros are those of no bigram known.

    Returns:
        The bytes of both tables, and float32 scales (token_dim + bigram_dim - 1,).
    """
    first, scale = quantise_columns(tokens[:, :-1])
    known = bigrams.any(axis=1)  # the others would pull the clipping towards nothing
    _, narrow = quantise_columns(bigrams[known, :-1])
    # Not clipped: the few large weights are those of the words that decide.
    largest = max(float(np.abs(tokens[:, -1]).max()), float(np.abs(bigrams[:, -1]).max()))
    last = np.array([largest / _LEVELS or 1.0], np.float32)
    left = np.concatenate((first, _round(tokens[:, -1:], last).astype(np.int8)), axis=1)
    right = _round(bigrams, np.concatenate((narrow, last))).astype(np.int8)
    return left.tobytes() + right.tobytes(), np.concatenate((scale, narrow, last))


def _round(
    weight: npt.NDArray[np.float32], step: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    rounded: npt.NDArray[np.float32] = np.clip(np.rint(weight / step), -_LEVELS, _LEVELS)
    return rounded
