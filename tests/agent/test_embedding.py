"""The embedding: equal in bulk and one by one, bounded, exact."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.embedding import Embedding, EmbeddingConfig, feature_rows
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["[UNK]", "#", "error", "link", "is", "down", "up", "##s", *"abcdefghijklmnopqrstuvwxyz"]
CONFIG = EmbeddingConfig(rows=128, dim=16, vocabulary=len(WORDS), max_tokens=12, max_chars=80)


def _tokenizer() -> bytes:
    tokenizer = Tokenizer(
        models.WordPiece(vocab={word: i for i, word in enumerate(WORDS)}, unk_token=WORDS[0])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    data: bytes = tokenizer.to_str().encode()
    return data


def _table() -> np.ndarray:
    return np.random.default_rng(3).integers(-127, 128, (CONFIG.rows, CONFIG.dim), np.int8)


SCALE = np.linspace(0.01, 0.03, CONFIG.dim, dtype=np.float32)
EMBEDDING = Embedding(_tokenizer(), _table().tobytes(), SCALE, CONFIG)
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


def test_a_vector_is_the_integer_sum_of_its_rows_over_the_root_of_their_number() -> None:
    """The definition, written out."""
    ids = np.array([WORDS.index(word) for word in ("link", "is", "down")])
    rows, starts = feature_rows(ids, np.array([3]), CONFIG.vocabulary, CONFIG.rows)
    sums = _table()[rows].astype(int).sum(axis=0)
    expected = sums.astype(np.float32) / np.sqrt(np.float32(5)) * SCALE

    assert [0] == starts.tolist()
    assert np.array_equal(expected, EMBEDDING.embed([b"link is down"])[0])


def test_rows_alternate_tokens_and_bigrams_and_never_join_two_lines() -> None:
    """Line starts fall on tokens; the pair across a line's end has no row."""
    rows, starts = feature_rows(np.array([3, 4, 5, 5, 6]), np.array([3, 2]), 30, 90)

    assert [3, 4, 5, 5, 6] == [rows[i] for i in (0, 2, 4, 5, 7)]
    assert [0, 5] == starts.tolist()
    assert 8 == len(rows)
    assert all(30 <= rows[i] < 90 for i in (1, 3, 6))


def test_the_hash_of_a_pair_is_pinned() -> None:
    """A bundle's table was trained with this hash: it may never change."""
    rows, _ = feature_rows(np.array([1, 2, 3]), np.array([3]), 10, 1_000_010)

    assert [1, PINNED[0], 2, PINNED[1], 3] == rows.tolist()


PINNED = (301551, 794260)


def test_the_same_ids_give_the_same_rows_wherever_they_stand() -> None:
    """Rows depend on ids only."""
    alone, _ = feature_rows(np.array([7, 8]), np.array([2]), 30, 90)
    second, starts = feature_rows(np.array([1, 2, 3, 7, 8]), np.array([3, 2]), 30, 90)

    assert np.array_equal(alone, second[starts[1] :])


def test_tokens_beyond_the_bound_are_not_read() -> None:
    """The cost of a line is bounded."""
    kept = b"a b c d e f g h i j k l"

    assert np.array_equal(EMBEDDING.embed([kept]), EMBEDDING.embed([kept + b" link down" * 99]))


def test_a_line_without_tokens_has_a_vector() -> None:
    """An empty line is embedded as the unknown token."""
    assert np.array_equal(EMBEDDING.embed([b""]), EMBEDDING.embed([b"- ::. !"]))


def test_parts_that_do_not_fit_are_refused() -> None:
    """A short table or a foreign tokenizer never gets as far as a line."""
    with pytest.raises(ValueError, match="rows x dim"):
        Embedding(_tokenizer(), _table().tobytes()[:-1], SCALE, CONFIG)
    with pytest.raises(ValueError, match="unusable tokenizer"):
        Embedding(b"{}", _table().tobytes(), SCALE, CONFIG)
    other = EmbeddingConfig(rows=128, dim=16, vocabulary=31)
    with pytest.raises(ValueError, match="tokens"):
        Embedding(_tokenizer(), _table().tobytes(), SCALE, other)


@pytest.mark.parametrize("change", [{"rows": 3}, {"dim": "x"}, {"max_tokens": 1 << 20}])
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
