"""Templates to vectors: hashed uni- and bi-grams of subwords, rows of an int8 table, summed.

The one definition of the embedding: the agent runs it, and `logagent_build` trains the table
through the same tokenizer and the same `feature_rows`.

Guarantees:

* The vector of a line does not depend on the lines beside it, nor on how a call is cut.
* It is bit-equal on every board: rows are summed as integers, and what follows is one division,
  one square root and one multiplication per number, which IEEE 754 rounds in one way only.
* Cost per line is bounded: `max_chars` characters are read, `max_tokens` tokens kept.
* Memory of a call beside its result: about 1 MB, whatever the number of lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

# Read when the library first runs: its thread pool would cost memory and gain nothing here.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer

from logagent.bundle import Bundle
from logagent.errors import BundleError
from logagent.model import decode_arrays
from logagent.words import plain_words

__all__ = ["Embedding", "EmbeddingConfig", "feature_rows", "pool", "token_ids"]

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_CHUNK_LINES = 32  # lines per pass: 32 x 191 features x 128 columns = 0.8 MB of gathered rows
_CACHED_WORDS = 500  # whole words whose pieces the tokenizer remembers, about 0.2 MB
_UNKNOWN = 0  # id of the token that stands for a line without any


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """Shape of an embedding; `to_dict` and `from_dict` are the manifest's ``embedding``."""

    rows: int
    """Rows of the table; the first `vocabulary` are the tokens', the rest the bigrams'."""
    dim: int
    """Columns of the table."""
    vocabulary: int
    """Tokens of the tokenizer."""
    max_tokens: int = 96
    """Tokens kept of a line."""
    max_chars: int = 1024
    """Bytes read of a line."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> EmbeddingConfig:
        """Read a manifest's ``embedding``.

        Raises:
            ValueError: a number is missing, not an integer or out of range.
        """
        values = {}
        for name in ("rows", "dim", "vocabulary", "max_tokens", "max_chars"):
            value = raw.get(name)
            if not isinstance(value, int) or not 0 < value <= 1 << 24:
                raise ValueError(f"embedding: {name} is {value!r}")
            values[name] = value
        if values["rows"] <= values["vocabulary"]:
            raise ValueError("embedding: no rows are left for bigrams")
        if values["max_tokens"] > 4096 or values["dim"] > 4096:
            raise ValueError("embedding: more tokens or columns than any agent would bear")
        return cls(**values)


def token_ids(
    tokenizer: Tokenizer, texts: Sequence[bytes], max_chars: int, max_tokens: int
) -> tuple[Ids, Ids]:
    """Tokenise.

    Returns:
        The ids of all lines, int64 (t,), and how many each line has, int64 (n,), at least one.
    """
    encodings = tokenizer.encode_batch_fast(plain_words(texts, max_chars), add_special_tokens=False)
    ids = [encoding.ids[:max_tokens] or [_UNKNOWN] for encoding in encodings]
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    return np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum())), lengths


def feature_rows(
    ids: Ids, lengths: Ids, vocabulary: int, rows: int
) -> tuple[npt.NDArray[np.int64], Ids]:
    """Return the table rows of lines: token, bigram, token, bigram, …, token.

    Args:
        ids: tokens of all lines, int64 (t,).
        lengths: tokens of each line, int64 (n,), all at least 1.
        vocabulary: ids below it are tokens.
        rows: rows of the table; bigrams are hashed into [vocabulary, rows).

    Returns:
        Rows of all lines, int64 (2 t - n,), and where each line's start, int64 (n,).
    """
    both = np.empty(2 * len(ids), np.int64)
    both[0::2] = ids
    both[1:-1:2] = vocabulary + _mix(ids[:-1], ids[1:]) % np.uint32(rows - vocabulary)
    ends = np.cumsum(lengths)
    last = np.zeros(len(both), bool)
    last[2 * ends - 1] = True  # the pair that would join two lines
    return both[~last], 2 * (ends - lengths) - np.arange(len(lengths))


def _mix(left: Ids, right: Ids) -> npt.NDArray[np.uint32]:
    """Hash pairs of ids: two odd multipliers, then the finaliser of `lowbias32`."""
    mixed = left.astype(np.uint32) * np.uint32(0x9E3779B1)
    mixed += right.astype(np.uint32) * np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x7FEB352D)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x846CA68B)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def pool(sums: npt.NDArray[Any], count: npt.NDArray[Any], scale: Floats) -> Floats:
    """Turn integer sums into an embedding: ``sum · scale / √count``.

    Args:
        sums: summed rows, integers (n, dim).
        count: features of each line, integers (n,).
        scale: float32 (dim,).
    """
    root: Floats = np.sqrt(count.astype(np.float32))  # (n,)
    summed: Floats = sums.astype(np.float32)
    summed /= root[:, None]
    summed *= scale
    return summed


class Embedding:
    """The embedding of a bundle. Memory: the table stays where the caller holds it."""

    def __init__(
        self,
        tokenizer: bytes | memoryview,
        table: bytes | memoryview,
        scale: Floats,
        config: EmbeddingConfig,
    ) -> None:
        """Build from parts.

        Args:
            tokenizer: JSON of a `tokenizers.Tokenizer`.
            table: int8, C order, rows x dim.
            scale: what one unit of each column is worth, float32 (dim,).
            config: shapes.

        Raises:
            ValueError: the parts do not fit together.
        """
        try:
            self._tokenizer = Tokenizer.from_buffer(bytes(tokenizer))
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"unusable tokenizer: {error}") from None
        if self._tokenizer.get_vocab_size() != config.vocabulary:
            raise ValueError(
                f"the tokenizer has {self._tokenizer.get_vocab_size()} tokens, "
                f"the table's first {config.vocabulary} rows are tokens"
            )
        if len(table) != config.rows * config.dim or scale.shape != (config.dim,):
            raise ValueError("the table's size is not rows x dim, or it has another scale")
        if hasattr(self._tokenizer.model, "_resize_cache"):  # BPE: remembers 10,000 words, 3 MB
            self._tokenizer.model._resize_cache(_CACHED_WORDS)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._table = np.frombuffer(table, np.int8).reshape(config.rows, config.dim)
        self._scale = scale.astype(np.float32)
        self.config = config

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Embedding:
        """Build from a bundle; the table stays in the mapped file.

        Raises:
            BundleError: its parts are not those of an embedding.
        """
        arrays = decode_arrays(bundle.part("weights"))
        try:
            return cls(
                bundle.part("tokenizer"),
                bundle.part("table"),
                arrays["embedding.scale"],
                EmbeddingConfig.from_dict(bundle.manifest.embedding),
            )
        except KeyError as error:
            raise BundleError(f"bundle {bundle.path}: has no {error}") from None
        except ValueError as error:
            raise BundleError(f"bundle {bundle.path}: {error}") from None

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.config.dim

    def embed(self, templates: Sequence[bytes]) -> Floats:
        """Return the vectors of templates, float32 (n, dim)."""
        out = np.empty((len(templates), self.dim), np.float32)
        for at in range(0, len(templates), _CHUNK_LINES):
            chunk = templates[at : at + _CHUNK_LINES]
            ids, lengths = token_ids(
                self._tokenizer, chunk, self.config.max_chars, self.config.max_tokens
            )
            out[at : at + len(chunk)] = self._embed_ids(ids, lengths)
        return out

    def _embed_ids(self, ids: Ids, lengths: Ids) -> Floats:
        rows, starts = feature_rows(ids, lengths, self.config.vocabulary, self.config.rows)
        sums = np.add.reduceat(self._table[rows], starts, axis=0, dtype=np.int32)  # (n, dim)
        return pool(sums, 2 * lengths - 1, self._scale)
