"""Train the tokenizer that travels in the bundle.

Byte-pair encoding over the words of `logagent.words.plain_words`, ``##`` before a piece inside a
word, learnt from the project's own corpora and lexicon alone. A general English vocabulary of
32,000 pieces scored the same on held-out systems and took the agent twice the memory; the same
pieces matched longest first (WordPiece) scored 0.01 less.

The trainer of the `tokenizers` library numbers the first pieces in the order of a randomly seeded
hash map, so that ties, and with them the model, differ from run to run. Here ties go to the pair
that sorts first.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TypeAlias

from logagent.words import HIGH, plain_words
from tokenizers import Tokenizer, models, pre_tokenizers

__all__ = ["LEVELS", "learn_merges", "train_tokenizer", "vocabulary"]

VOCABULARY = 8_000
"""Pieces: 14,000 scored no better, each thousand costs the agent half a megabyte."""

Pair: TypeAlias = tuple[str, str]

_UNKNOWN = "[UNK]"
_INSIDE = "##"
_ALPHABET = "#abcdefghijklmnopqrstuvwxyz0123456789" + HIGH
_TEXT_BYTES = 4096  # read of a text; templates are shorter
_LEAST = 2  # a pair seen less often is not merged
_WORD_CHARS = 64  # [bytes] longer words are identifiers, or sentences of a script without spaces

LEVELS = frozenset(
    [
        "info",
        "warn",
        "warning",
        "error",
        "err",
        "fatal",
        "severe",
        "critical",
        "crit",
        "alert",
        "emerg",
        "notice",
        "debug",
        "trace",
    ]
)
"""Level words; training leaves them out at random so that a score does not live on them."""


def train_tokenizer(
    texts: Iterable[bytes], phrases: Iterable[str], size: int = VOCABULARY
) -> Tokenizer:
    """Return a tokenizer; the same texts give the same one.

    Args:
        texts: templates.
        phrases: words and phrases of the lexicon; count twice.
        size: largest vocabulary.
    """
    known = [phrase.encode() for phrase in phrases]
    words: Counter[str] = Counter()
    for line in plain_words([*texts, *known, *known], _TEXT_BYTES):
        words.update(word for word in line.split() if len(word) <= _WORD_CHARS)
    pieces = [_UNKNOWN, *_ALPHABET, *(_INSIDE + letter for letter in _ALPHABET)]
    # "#" and "###", its form inside a word, give "##", and that with "##a" the form of "a" again.
    letters = frozenset(pieces)
    merges = [
        pair for pair in learn_merges(words, size - len(pieces)) if _merged(pair) not in letters
    ]
    pieces += [_merged(pair) for pair in merges]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: index for index, piece in enumerate(pieces)},
            merges=merges,
            unk_token=_UNKNOWN,
            continuing_subword_prefix=_INSIDE,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def learn_merges(words: Counter[str], count: int) -> list[Pair]:
    """Return up to `count` pairs of pieces to merge, in order; no two give the same piece.

    Args:
        words: how often each word occurs.
        count: how many merges to learn; fewer if no pair is left that occurs `_LEAST` times.
    """
    spelled = [[word[0], *(_INSIDE + letter for letter in word[1:])] for word in sorted(words)]
    weight = [words[word] for word in sorted(words)]
    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, symbols in enumerate(spelled):
        for pair in itertools.pairwise(symbols):
            counts[pair] += weight[index]
            where[pair].add(index)
    heap = [(-times, pair) for pair, times in counts.items()]
    heapq.heapify(heap)
    merges: dict[str, Pair] = {}  # by the piece they make
    while heap and len(merges) < count:
        times, pair = heapq.heappop(heap)
        if -times != counts[pair]:  # has changed since; an up-to-date entry is in the heap
            continue
        if -times < _LEAST:
            break
        merged = _merged(pair)
        merges.setdefault(merged, pair)
        changed: set[Pair] = set()
        for index in where.pop(pair):
            old = spelled[index]
            new = _merge(old, pair, merged)
            for gone in itertools.pairwise(old):
                counts[gone] -= weight[index]
                where[gone].discard(index)
                changed.add(gone)
            for come in itertools.pairwise(new):
                counts[come] += weight[index]
                where[come].add(index)
                changed.add(come)
            spelled[index] = new
        for each in changed:
            if counts[each] > 0:
                heapq.heappush(heap, (-counts[each], each))
    return list(merges.values())


def _merged(pair: Pair) -> str:
    return pair[0] + pair[1].removeprefix(_INSIDE)


def _merge(symbols: list[str], pair: Pair, merged: str) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) == pair:
            out.append(merged)
            at += 2
        else:
            out.append(symbols[at])
            at += 1
    return out


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """Return the tokens in order of id."""
    ids: dict[str, int] = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)
