"""A log of two systems with known labels, and an encoder that needs no weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

GOOD = ("link up on port eth", "session opened for user", "service started in slice", "cache warm")
BAD = ("disk read failed on sector", "kernel panic in module", "out of memory killed process")


def log(copies: int = 20) -> tuple[list[bytes], np.ndarray]:
    """Lines of seven templates, `copies` of each with other numbers, and which are anomalous."""
    lines, truth = [], []
    for number in range(copies):
        for text in (*GOOD, *BAD):
            lines.append(f"{text} {number + 10}".encode())
            truth.append(text in BAD)
    return lines, np.array(truth)


def encode(texts: Sequence[str]) -> np.ndarray:
    """A bag of words: each word adds a vector of its own."""
    rows = np.zeros((len(texts), 64), np.float32)
    for at, text in enumerate(texts):
        for word in text.split():
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest())
            rows[at] += np.random.default_rng(seed).normal(size=64).astype(np.float32)
    return rows
