"""Stand-ins for the model: quick, exact, and with an opinion one can read."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_BAD = re.compile(rb"(?i)error|panic|failed|\b5xx\b|\b139\b")


class KeywordScorer:
    """Scores a template 0.9 if it has a bad word, else 0.1; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def scores(self, templates: Sequence[bytes]) -> np.ndarray:
        self.asked += templates
        return np.array([0.9 if _BAD.search(line) else 0.1 for line in templates], np.float32)
