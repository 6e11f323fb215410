"""Labels of sequences seen before: query, add, update, delete, bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the [build] extra")

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.errors import StateError
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.cache import CachedVoter, SequenceCache
from logagent_build.sequences.llm.sequence_keys import KEY_BYTES, keys

from .sequences_of import sequences


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


def test_what_was_added_is_found_until_it_is_deleted() -> None:
    cache = SequenceCache(4)

    assert cache.query(key(1)) is None
    cache.add(key(1), label=True)
    assert cache.query(key(1)) is True
    cache.add(key(1), label=False)
    assert cache.query(key(1)) is True  # add changes nothing that is there
    assert cache.delete(key(1))
    assert not cache.delete(key(1))
    assert cache.query(key(1)) is None
    assert (2, 2) == (cache.hits, cache.misses)


def test_a_correction_wins_over_what_is_added_and_stays_longest() -> None:
    cache = SequenceCache(3)
    cache.add(key(1), label=True)
    cache.update(key(1), label=False)
    for number in range(2, 50):
        cache.add(key(number), label=True)
    assert cache.query(key(1)) is False
    for number in range(100, 103):
        cache.update(key(number), label=True)
    assert cache.query(key(1)) is None
    cache.add(key(5), label=True)  # corrections only: there is no room
    assert cache.query(key(5)) is None


@given(st.lists(st.tuples(st.sampled_from("qaud"), st.integers(0, 9), st.booleans())),
       st.integers(1, 5))  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_it_never_holds_more_than_its_capacity_nor_a_label_nobody_gave(
    steps: list[tuple[str, int, bool]], capacity: int
) -> None:
    cache = SequenceCache(capacity)
    given_labels: dict[int, set[bool]] = {}
    for what, number, label in steps:
        if what == "q":
            assert cache.query(key(number)) in {None, *given_labels.get(number, ())}
        elif what == "d":
            cache.delete(key(number))
            given_labels.pop(number, None)
        else:
            given_labels.setdefault(number, set()).add(label)
            (cache.add if what == "a" else cache.update)(key(number), label)
        assert len(cache) <= capacity


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    cache = SequenceCache(2)
    cache.add(key(1), label=True)
    cache.add(key(2), label=True)
    cache.query(key(1))
    cache.add(key(3), label=True)

    assert [True, None, True] == [cache.query(key(number)) for number in (1, 2, 3)]


def test_a_saved_cache_is_for_the_detector_that_made_it_corrections_for_all(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    cache = SequenceCache(9)
    cache.add(key(1), label=True)
    cache.update(key(2), label=False)
    cache.save(path, "dt+llm 1")

    same, other = (SequenceCache.load(path, 9, name) for name in ("dt+llm 1", "dt+llm 2"))

    assert [True, False] == [same.query(key(1)), same.query(key(2))]
    assert [None, False] == [other.query(key(1)), other.query(key(2))]
    assert 0 == len(SequenceCache.load(tmp_path / "none", 9, "x"))
    for wrong in (b"", b"\x93", b"\x80", path.read_bytes()[:-3], b"\xc1"):
        path.write_bytes(wrong)
        with pytest.raises(StateError, match="no saved cache"):
            SequenceCache.load(path, 9, "x")


class Counting:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, data: Sequences) -> np.ndarray:
        self.asked.append(len(data))
        return data.anomalous


def test_a_voter_behind_a_cache_is_asked_about_new_sequences_only() -> None:
    voter, cache = Counting(), SequenceCache(1)
    cached = CachedVoter(voter, cache)
    data = sequences("a b", "x!c", "a b", "b a")

    assert [False, True, False, False] == cached.predict(data).tolist()
    assert [False] == cached.predict(data.only([3])).tolist()
    assert [3] == voter.asked
    assert (2, 3) == (cache.hits, cache.misses)
    assert 0 == len(cached.predict(data.only([])))


def test_keys_tell_order_number_and_events_apart_but_not_numberings() -> None:
    data = sequences("a b", "b a", "a b b", "a", "ab")
    other = sequences("zero b a", "a b")

    assert 5 == len(set(keys(data)))
    assert keys(data)[0] == keys(other)[1]
    assert all(KEY_BYTES == len(each) for each in keys(data))


def test_memory_grows_with_entries_and_not_with_their_length() -> None:
    cache = SequenceCache(1000)
    for number in range(1000):
        cache.add(key(number), label=True)

    assert 40 < cache.memory_bytes() / 1000 < 250
