"""What the detectors see of a line: semantic and text-based features, §IV-C1.

Semantic: words that speak of errors, length, numbers, paths, addresses and ports. Text-based:
TF-IDF over words and pairs of words. No encoder is needed to detect, only to label: that is the
paper's point of this augmented set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SEMANTIC", "Features", "semantic"]

_WORDS = {
    "failure": r"\b\w*(?:fail|fault|error|panic|fatal|abort|crash|corrupt|broken|dead|lost)\w*",
    "refusal": r"\b(?:den(?:y|ied)|refus\w+|reject\w*|invalid|illegal|unauthori\w+|forbidden)\b",
    "exhaustion": r"\b(?:time[d ]?-?out|overflow|exceed\w*|full|out of \w+|no space|exhaust\w*)\b",
    "warning": r"\b(?:warn\w*|critical|emerg\w*|alert|severe|unable|cannot|can't|unexpected)\b",
    "exception": r"\b(?:\w*exception|traceback|stack ?trace|segfault|core dump\w*)\b",
    "health": r"\b(?:success\w*|succeeded|started|accepted|connected|completed?|ok|ready|info)\b",
}
_SHAPES = {
    "number": r"(?<![\w.])\d+(?![\w.])",
    "hexadecimal": r"\b0x[0-9a-fA-F]+\b",
    "path": r"(?:^|[\s=:\"'(])(?:/[\w.@+-]+){2,}/?",
    "address": r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    "port": r"(?:\bport[ =:]\s?\d+|\d{1,3}(?:\.\d{1,3}){3}[:/]\d{1,5}\b)",
}
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE) for pattern in (*_WORDS.values(), *_SHAPES.values())
]
SEMANTIC = (*_WORDS, *_SHAPES, "characters", "words", "digits", "capitals")
"""Names of the semantic features, in the order of their columns."""
_LONGEST = 600  # [characters] of a line that are read; bounds the patterns
_WORD = r"[A-Za-z]{2,}|\b[0-9]\b"
_MOST_TERMS = 20_000  # of TF-IDF; bounds the model


def semantic(lines: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the semantic features of lines: float32 (n, len(SEMANTIC)), about [0, 1] each."""
    table = np.zeros((len(lines), len(SEMANTIC)), np.float32)
    for at, whole in enumerate(lines):
        line = whole[:_LONGEST]
        counts = [min(3, sum(1 for _ in found.finditer(line))) / 3 for found in _PATTERNS]
        length = max(1, len(line))
        letters = sum(map(str.isalpha, line))
        table[at] = (
            *counts,
            min(1.0, len(line) / 300),
            min(1.0, len(line.split()) / 40),
            sum(map(str.isdigit, line)) / length,
            sum(map(str.isupper, line)) / max(1, letters),
        )
    return table


class Features:
    """Semantic and TF-IDF features of lines; fitted to the lines it learns from."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  # a second

        self._terms = TfidfVectorizer(
            token_pattern=_WORD,
            ngram_range=(1, 2),
            sublinear_tf=True,
            max_features=_MOST_TERMS,
            dtype=np.float32,
        )

    def fit(self, lines: Sequence[str]) -> Features:
        """Learn the terms and how rare they are; returns itself."""
        try:
            self._terms.fit([line[:_LONGEST] for line in lines])
        except ValueError:  # no line has a word: the semantic features are what there is
            self._terms.fit(["empty"])
        return self

    def transform(self, lines: Sequence[str]) -> Any:
        """Return a sparse float32 matrix with a row for each line."""
        from scipy.sparse import (  # type: ignore[import-untyped]  # noqa: PLC0415  # no types
            csr_matrix,
            hstack,
        )

        terms = self._terms.transform([line[:_LONGEST] for line in lines])
        return hstack([csr_matrix(semantic(lines)), terms], format="csr")
