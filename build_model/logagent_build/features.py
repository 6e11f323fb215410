"""Lines as ragged lists of table rows, made by the agent's own code, and their augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from logagent.embedding import EmbeddingConfig, feature_rows, token_ids
from tokenizers import Tokenizer

__all__ = ["Features", "featurise", "join"]

Ids = npt.NDArray[np.int64]
_BATCH_LINES = 1024  # lines tokenised at once


@dataclass(frozen=True, slots=True)
class Features:
    """Feature rows of lines, one after the other. Memory: O(features)."""

    rows: Ids
    """Table rows, int64 (f,): token, bigram, token, …, token for each line."""
    starts: Ids
    """Where each line starts, int64 (n + 1,), the end included."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, lines: Ids) -> Features:
        """Return some lines, in the order given."""
        begin = self.starts[lines]
        length = self.starts[lines + 1] - begin
        starts = np.concatenate(([0], np.cumsum(length)))
        at = np.repeat(begin - starts[:-1], length) + np.arange(starts[-1])
        return Features(self.rows[at], starts)

    def lines(self) -> Ids:
        """Return the line of every feature, int64 (f,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def dropped(
        self,
        random: np.random.Generator,
        share: float,
        header: float,
        level: float,
        level_rows: npt.NDArray[np.bool_],
    ) -> Features:
        """Leave features out at random: the regulariser that makes a detector read everything.

        Args:
            random: source of randomness.
            share: expected share of features left out; drawn anew per line in [0, 2 share].
            header: share of lines that lose up to their first 10 tokens (time, host, level),
                at most half of the line.
            level: share of lines that lose their level words.
            level_rows: whether a table row is a level word, bool (rows,).
        """
        line = self.lines()
        count = len(self)
        keep = random.random(len(self.rows)) >= (2 * share * random.random(count))[line]
        position = np.arange(len(self.rows)) - self.starts[line]  # token k is feature 2 k
        cut = np.where(random.random(count) < header, random.integers(0, 10, count), 0)
        cut = np.minimum(2 * cut, np.diff(self.starts) // 2)
        keep &= position >= cut[line]
        losing = random.random(count) < level
        word = level_rows[self.rows]
        beside = np.zeros(len(word), bool)  # the bigrams a level word is part of
        beside[1:] |= word[:-1] & (line[1:] == line[:-1])
        beside[:-1] |= word[1:] & (line[1:] == line[:-1])
        keep &= ~(losing[line] & (word | beside))
        return Features(
            self.rows[keep],
            np.concatenate(([0], np.cumsum(np.bincount(line[keep], minlength=count)))),
        )


def featurise(tokenizer: Tokenizer, texts: Sequence[bytes], config: EmbeddingConfig) -> Features:
    """Tokenise and hash texts as the agent does."""
    rows: list[Ids] = []
    starts: list[Ids] = []
    at = 0
    for first in range(0, len(texts), _BATCH_LINES):
        chunk = texts[first : first + _BATCH_LINES]
        ids, lengths = token_ids(tokenizer, chunk, config.max_chars, config.max_tokens)
        some, begin = feature_rows(ids, lengths, config.vocabulary, config.rows)
        rows.append(some)
        starts.append(begin + at)
        at += len(some)
    starts.append(np.array([at], np.int64))
    return Features(np.concatenate(rows or [np.empty(0, np.int64)]), np.concatenate(starts))


def join(parts: Sequence[Features]) -> Features:
    """Put lines one after the other."""
    starts, at = [], 0
    for part in parts:
        starts.append(part.starts[:-1] + at)
        at += len(part.rows)
    starts.append(np.array([at], np.int64))
    return Features(np.concatenate([part.rows for part in parts]), np.concatenate(starts))
