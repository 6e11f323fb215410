"""The embedding: equal in bulk and one by one, bounded, exact."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.embedding import Embedding, EmbeddingConfig, bigram_rows, sum_rows
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["[UNK]", "#", "error", "link", "is", "down", "up", "##s", *"abcdefghijklmnopqrstuvwxyz"]
CONFIG = EmbeddingConfig(
    vocabulary=len(WORDS),
    token_dim=12,
    bigram_rows=94,
    bigram_dim=3,
    max_tokens=12,
    max_chars=80,
)


def _tokenizer() -> bytes:
    tokenizer = Tokenizer(
        models.WordPiece(vocab={word: i for i, word in enumerate(WORDS)}, unk_token=WORDS[0])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    data: bytes = tokenizer.to_str().encode()
    return data


def _table(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(-127, 128, (rows, columns), np.int8)


TOKENS = _table(CONFIG.vocabulary, CONFIG.token_dim)
BIGRAMS = _table(CONFIG.bigram_rows, CONFIG.bigram_dim)
TABLE = TOKENS.tobytes() + BIGRAMS.tobytes()
SCALE = np.linspace(0.01, 0.03, CONFIG.dim, dtype=np.float32)
EMBEDDING = Embedding(_tokenizer(), TABLE, SCALE, CONFIG)
lines = st.lists(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from([b"link", b"is", b"down", b"a", b"#", b"errors"]), max_size=20
        ).map(b" ".join),
    ),
    max_size=70,
)


@given(lines)
@settings(max_examples=60, deadline=None)
def test_lines_get_the_same_vector_in_bulk_and_one_by_one(texts: list[bytes]) -> None:
    """No line depends on the lines beside it, bit for bit."""
    bulk = EMBEDDING.embed(texts)

    assert (len(texts), CONFIG.dim) == bulk.shape
    assert all(np.array_equal(bulk[i], EMBEDDING.embed([t])[0]) for i, t in enumerate(texts))


@given(lines, st.integers(1, 69))
@settings(max_examples=30, deadline=None)
def test_how_a_call_is_cut_changes_nothing(texts: list[bytes], at: int) -> None:
    """Chunks are an implementation detail."""
    halves = np.concatenate((EMBEDDING.embed(texts[:at]), EMBEDDING.embed(texts[at:])))

    assert np.array_equal(EMBEDDING.embed(texts), halves)


def test_a_vector_is_the_sums_of_its_rows_over_the_roots_of_their_numbers() -> None:
    """The definition, written out; the last columns are one number."""
    ids = np.array([WORDS.index(word) for word in ("link", "is", "down")])
    tokens = TOKENS[ids].astype(int).sum(axis=0)
    rows = bigram_rows(ids, np.array([3]), CONFIG.bigram_rows)
    bigrams = BIGRAMS[rows].astype(int).sum(axis=0)
    root = np.sqrt(np.array([3, 2, 5], np.float32))
    expected = np.concatenate(
        (
            tokens[:-1].astype(np.float32) / root[0],
            bigrams[:-1].astype(np.float32) / root[1],
            np.array([tokens[-1] + bigrams[-1]], np.float32) / root[2],
        )
    )

    assert 14 == CONFIG.dim
    assert np.array_equal(expected * SCALE, EMBEDDING.embed([b"link is down"])[0])


def test_bigrams_never_join_two_lines() -> None:
    """Each line has one less than it has tokens; one of a single token has none."""
    ids, lengths = np.array([3, 4, 5, 5, 6, 9]), np.array([3, 1, 2])
    rows = bigram_rows(ids, lengths, 90)
    alone = [bigram_rows(ids[a:b], np.array([b - a]), 90) for a, b in ((0, 3), (3, 4), (4, 6))]

    assert np.concatenate(alone).tolist() == rows.tolist()
    assert [2, 0, 1] == [len(each) for each in alone]
    assert all(0 <= row < 90 for row in rows)


def test_the_hash_of_a_pair_is_pinned() -> None:
    """A bundle's table was trained with this hash: it may never change."""
    rows = bigram_rows(np.array([1, 2, 3]), np.array([3]), 1_000_000)

    assert list(PINNED) == rows.tolist()


PINNED = (301541, 794250)


@pytest.mark.parametrize("columns", [2, 40])
def test_lines_without_rows_sum_to_zero(columns: int) -> None:
    """Wherever they stand, the last one included; in narrow tables and in wide ones."""
    table = np.repeat(np.array([[0], [33], [66], [100]], np.int8), columns, axis=1)
    sums = sum_rows(table, np.array([0, 1, 3, 3]), np.array([0, 2, 0, 2, 0]))

    assert np.int32 == sums.dtype
    assert [[0] * columns, [33] * columns, [0] * columns, [200] * columns, [0] * columns] == (
        sums.tolist()
    )


def test_tokens_beyond_the_bound_are_not_read() -> None:
    """The cost of a line is bounded."""
    kept = b"a b c d e f g h i j k l"

    assert np.array_equal(EMBEDDING.embed([kept]), EMBEDDING.embed([kept + b" link down" * 99]))


def test_a_line_without_tokens_has_a_vector() -> None:
    """An empty line is embedded as the unknown token."""
    assert np.array_equal(EMBEDDING.embed([b""]), EMBEDDING.embed([b"- ::. !"]))


def test_parts_that_do_not_fit_are_refused() -> None:
    """A short table or a foreign tokenizer never gets as far as a line."""
    with pytest.raises(ValueError, match="rows x columns"):
        Embedding(_tokenizer(), TABLE[:-1], SCALE, CONFIG)
    with pytest.raises(ValueError, match="unusable tokenizer"):
        Embedding(b"{}", TABLE, SCALE, CONFIG)
    other = EmbeddingConfig(vocabulary=31, token_dim=12, bigram_rows=94, bigram_dim=3)
    with pytest.raises(ValueError, match="tokens"):
        Embedding(_tokenizer(), TABLE, SCALE, other)


@pytest.mark.parametrize(
    "change",
    [{"bigram_rows": 0}, {"token_dim": "x"}, {"max_tokens": 1 << 20}, {"bigram_dim": 1 << 13}],
)
def test_a_manifest_with_impossible_shapes_is_refused(change: dict[str, object]) -> None:
    """Numbers from a bundle are checked before memory is taken for them."""
    with pytest.raises(ValueError, match="embedding"):
        EmbeddingConfig.from_dict(CONFIG.to_dict() | change)


def test_a_configuration_survives_the_manifest() -> None:
    """Round trip."""
    assert CONFIG == EmbeddingConfig.from_dict(CONFIG.to_dict())


def test_the_tokenizers_run_on_one_thread() -> None:
    """Importing the module turns the library's thread pool off."""
    assert "false" == os.environ["TOKENIZERS_PARALLELISM"]
