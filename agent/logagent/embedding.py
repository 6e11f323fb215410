"""Templates to vectors: tokens and hashed pairs of tokens, rows of two int8 tables, summed.

A token's row is wide: it carries meaning. A bigram's is two numbers: there are so many that a
wide row would only remember the training lines (docs/experiments.md), and narrow ones leave room
for a million, so that hardly two bigrams share one. The last column of both tables is one number
of the vector: what the line's tokens and bigrams add up to in a linear model.

The one definition of the embedding: the agent runs it, and `logagent_build` trains the table
through the same tokenizer and the same `bigram_rows`.

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
from dataclasses import asdict, dataclass, fields
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

__all__ = ["Embedding", "EmbeddingConfig", "bigram_rows", "pool", "sum_rows", "token_ids"]

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_CHUNK_LINES = 32  # lines per pass: 32 x 96 tokens x 128 columns = 0.4 MB of gathered rows
_CACHED_WORDS = 500  # whole words whose pieces the tokenizer remembers, about 0.2 MB
_NARROW = 16  # [columns] up to here `reduceat` is the faster sum: 38 x 129 takes 4.9 against 3.0 µs
_UNKNOWN = 0  # id of the token that stands for a line without any


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """Shape of an embedding; `to_dict` and `from_dict` are the manifest's ``embedding``."""

    vocabulary: int
    """Tokens of the tokenizer: rows of the first table."""
    token_dim: int
    """Columns of a token's row, the shared one included."""
    bigram_rows: int
    """Rows of the second table, which bigrams are hashed into."""
    bigram_dim: int
    """Columns of a bigram's row, the shared one included."""
    max_tokens: int = 96
    """Tokens kept of a line."""
    max_chars: int = 1024
    """Bytes read of a line."""

    @property
    def dim(self) -> int:
        """Width of a line's vector: the shared column counts once."""
        return self.token_dim + self.bigram_dim - 1

    @property
    def table_bytes(self) -> int:
        """Bytes of both tables."""
        return self.vocabulary * self.token_dim + self.bigram_rows * self.bigram_dim

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
        for item in fields(cls):
            value = raw.get(item.name)
            if not isinstance(value, int) or not 0 < value <= 1 << 24:
                raise ValueError(f"embedding: {item.name} is {value!r}")
            values[item.name] = value
        if max(values["max_tokens"], values["token_dim"], values["bigram_dim"]) > 4096:
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


def bigram_rows(ids: Ids, lengths: Ids, rows: int) -> Ids:
    """Return the rows of every pair of neighbouring tokens.

    Args:
        ids: tokens of all lines, int64 (t,).
        lengths: tokens of each line, int64 (n,), all at least 1.
        rows: rows of the bigrams' table.

    Returns:
        int64 (t - n,): each line has one less than it has tokens.
    """
    hashed = (_mix(ids[:-1], ids[1:]) % np.uint32(rows)).astype(np.int64)
    inside = np.ones(len(hashed), bool)
    inside[np.cumsum(lengths)[:-1] - 1] = False  # the pairs that would join two lines
    return hashed[inside]


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


def pool(
    tokens: npt.NDArray[Any],
    bigrams: npt.NDArray[Any],
    lengths: npt.NDArray[Any],
    counts: npt.NDArray[Any],
    scale: Floats,
) -> Floats:
    """Turn integer sums into an embedding: ``sum · scale / √count``, part by part.

    Args:
        tokens: summed rows of tokens, integers (n, token_dim).
        bigrams: summed rows of bigrams, integers (n, bigram_dim).
        lengths: tokens of each line, integers (n,), all at least 1.
        counts: bigrams of each line, integers (n,).
        scale: float32 (dim,): tokens' columns, bigrams' columns, the shared column.

    Returns:
        float32 (n, dim).
    """
    first, second = tokens.shape[1] - 1, bigrams.shape[1] - 1
    out = np.empty((len(tokens), first + second + 1), np.float32)
    out[:, :first] = tokens[:, :-1]
    out[:, :first] /= np.sqrt(lengths.astype(np.float32))[:, None]
    out[:, first:-1] = bigrams[:, :-1]
    out[:, first:-1] /= np.sqrt(np.maximum(counts, 1).astype(np.float32))[:, None]
    out[:, -1] = tokens[:, -1] + bigrams[:, -1]
    out[:, -1] /= np.sqrt((lengths + counts).astype(np.float32))
    out *= scale
    return out


def sum_rows(table: npt.NDArray[Any], rows: Ids, counts: Ids) -> npt.NDArray[np.int32]:
    """Sum the rows of each line.

    Args:
        table: int8 (r, columns).
        rows: of all lines, int64 (f,).
        counts: rows of each line, int64 (n,); may be 0.

    Returns:
        int32 (n, columns).
    """
    out = np.zeros((len(counts), table.shape[1]), np.int32)
    gathered = table[rows]
    ends = np.cumsum(counts)
    if table.shape[1] > _NARROW:  # one call per line: `reduceat` adds columns one by one
        wide = gathered.astype(np.int16)
        for index, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True)):
            np.add.reduce(wide[end - count : end], axis=0, dtype=np.int32, out=out[index])
        return out
    some = np.flatnonzero(counts)  # `reduceat` has no empty sums
    if len(some):
        starts = (ends - counts)[some].astype(np.intp, copy=False)  # 32 bits on some boards
        out[some] = np.add.reduceat(gathered, starts, axis=0, dtype=np.int32)
    return out


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
            table: int8, C order: the tokens' rows, then the bigrams'.
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
        if len(table) != config.table_bytes or scale.shape != (config.dim,):
            raise ValueError("the table's size is not rows x columns, or it has another scale")
        if hasattr(self._tokenizer.model, "_resize_cache"):  # BPE: remembers 10,000 words, 3 MB
            self._tokenizer.model._resize_cache(_CACHED_WORDS)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        both = np.frombuffer(table, np.int8)
        split = config.vocabulary * config.token_dim
        self._tokens = both[:split].reshape(config.vocabulary, config.token_dim)
        self._bigrams = both[split:].reshape(config.bigram_rows, config.bigram_dim)
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
        pairs = bigram_rows(ids, lengths, self.config.bigram_rows)
        counts = lengths - 1
        return pool(
            sum_rows(self._tokens, ids, lengths),
            sum_rows(self._bigrams, pairs, counts),
            lengths,
            counts,
            self._scale,
        )
