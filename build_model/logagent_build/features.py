"""Lines as ragged lists of tokens and bigrams, made by the agent's own code; their augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from logagent.embedding import EmbeddingConfig, bigram_rows, token_ids
from tokenizers import Tokenizer

__all__ = ["Features", "Ragged", "featurise", "join"]

Ids = npt.NDArray[np.int64]
_BATCH_LINES = 1024  # lines tokenised at once


@dataclass(frozen=True, slots=True)
class Ragged:
    """Table rows of lines, one line after the other. Memory: O(rows)."""

    rows: Ids
    """int64 (f,)."""
    starts: Ids
    """Where each line starts, int64 (n + 1,), the end included."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Ids:
        """Rows of each line, int64 (n,)."""
        return np.diff(self.starts)

    def take(self, lines: Ids) -> Ragged:
        """Return some lines, in the order given."""
        begin = self.starts[lines]
        length = self.starts[lines + 1] - begin
        starts = np.concatenate(([0], np.cumsum(length)))
        at = np.repeat(begin - starts[:-1], length) + np.arange(starts[-1])
        return Ragged(self.rows[at], starts)

    def lines(self) -> Ids:
        """Return the line of every row, int64 (f,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    def kept(self, keep: npt.NDArray[np.bool_]) -> Ragged:
        """Return the rows that `keep`, bool (f,), says."""
        count = np.bincount(self.lines()[keep], minlength=len(self))
        return Ragged(self.rows[keep], np.concatenate(([0], np.cumsum(count))))


@dataclass(frozen=True, slots=True)
class Features:
    """Tokens and bigrams of lines. Bigram k of a whole line joins its tokens k and k + 1."""

    tokens: Ragged
    bigrams: Ragged

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, lines: Ids) -> Features:
        """Return some lines, in the order given."""
        return Features(self.tokens.take(lines), self.bigrams.take(lines))

    def dropped(
        self,
        random: np.random.Generator,
        share: float,
        header: float,
        level: float,
        levels: npt.NDArray[np.bool_],
    ) -> Features:
        """Leave features out at random: the regulariser that makes a detector read everything.

        Args:
            random: source of randomness.
            share: expected share of features left out; drawn anew per line in [0, 2 share].
            header: share of lines that lose up to their first 10 tokens (time, host, level),
                at most half of the line.
            level: share of lines that lose their level words.
            levels: whether a token is a level word, bool (vocabulary,).
        """
        count = len(self)
        odds = 2 * share * random.random(count)
        cut = np.where(random.random(count) < header, random.integers(0, 10, count), 0)
        cut = np.minimum(cut, self.tokens.counts // 2)
        losing = random.random(count) < level
        word = levels[self.tokens.rows]
        line = self.tokens.lines()
        joins = np.flatnonzero(line[1:] == line[:-1])  # where the left token of a bigram stands
        beside = word[joins] | word[joins + 1]  # whether a bigram has a level word in it
        parts = []
        for part, levelled in ((self.tokens, word), (self.bigrams, beside)):
            of = part.lines()
            position = np.arange(len(part.rows)) - part.starts[of]
            keep = random.random(len(part.rows)) >= odds[of]
            keep &= (position >= cut[of]) & ~(losing[of] & levelled)
            parts.append(part.kept(keep))
        return Features(*parts)

    def disturbed(
        self, random: np.random.Generator, share: float, most: int, vocabulary: int
    ) -> Features:
        """Put tokens drawn at random behind some lines: names and identifiers say nothing.

        Args:
            random: source of randomness.
            share: share of lines that get any.
            most: tokens that a line gets at most.
            vocabulary: tokens to draw from.
        """
        count = len(self)
        extra = np.where(random.random(count) < share, random.integers(1, most + 1, count), 0)
        line = np.concatenate((self.tokens.lines(), np.repeat(np.arange(count), extra)))
        drawn = random.integers(1, vocabulary, int(extra.sum()))
        order = np.argsort(line, kind="stable")
        rows = np.concatenate((self.tokens.rows, drawn))[order]
        starts = np.concatenate(([0], np.cumsum(self.tokens.counts + extra)))
        return Features(Ragged(rows, starts), self.bigrams)


def featurise(tokenizer: Tokenizer, texts: Sequence[bytes], config: EmbeddingConfig) -> Features:
    """Tokenise and hash texts as the agent does."""
    tokens: list[Ids] = [np.empty(0, np.int64)]
    bigrams: list[Ids] = [np.empty(0, np.int64)]
    counts: list[Ids] = [np.empty(0, np.int64)]
    for first in range(0, len(texts), _BATCH_LINES):
        chunk = texts[first : first + _BATCH_LINES]
        ids, lengths = token_ids(tokenizer, chunk, config.max_chars, config.max_tokens)
        tokens.append(ids)
        bigrams.append(bigram_rows(ids, lengths, config.bigram_rows))
        counts.append(lengths)
    length = np.concatenate(counts)
    return Features(
        Ragged(np.concatenate(tokens), np.concatenate(([0], np.cumsum(length)))),
        Ragged(np.concatenate(bigrams), np.concatenate(([0], np.cumsum(length - 1)))),
    )


def join(parts: Sequence[Features]) -> Features:
    """Put lines one after the other."""
    return Features(
        _joined([part.tokens for part in parts]), _joined([part.bigrams for part in parts])
    )


def _joined(parts: Sequence[Ragged]) -> Ragged:
    starts, at = [], 0
    for part in parts:
        starts.append(part.starts[:-1] + at)
        at += len(part.rows)
    starts.append(np.array([at], np.int64))
    return Ragged(np.concatenate([part.rows for part in parts]), np.concatenate(starts))
