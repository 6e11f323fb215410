import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.cache import TwoGenerationCache


def test_what_is_asked_for_survives_a_flood_of_keys_seen_once() -> None:
    cache: TwoGenerationCache[str] = TwoGenerationCache(10)
    cache.add(-1, "in use")
    for key in range(1000):
        cache.add(key, "noise")
        if key % 5 == 0:
            assert "in use" == cache.get(-1)


def test_what_is_not_asked_for_is_forgotten_after_two_generations() -> None:
    cache: TwoGenerationCache[str] = TwoGenerationCache(10)
    cache.add(-1, "idle")
    for key in range(20):
        cache.add(key, "noise")

    assert cache.get(-1) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans())), st.integers(1, 5))
def test_it_never_lies_and_never_outgrows_its_capacity(
    steps: list[tuple[int, bool]], capacity: int
) -> None:
    cache: TwoGenerationCache[int] = TwoGenerationCache(capacity)
    for key, write in steps:
        if write:
            cache.add(key, key * 2)
            assert key * 2 == cache.young(key)
        assert cache.get(key) in (None, key * 2)
        assert len(cache) <= 2 * capacity


def test_clear_forgets_both_generations() -> None:
    cache: TwoGenerationCache[int] = TwoGenerationCache(1)
    cache.add(1, 1)
    cache.add(2, 2)
    cache.clear()

    assert (0, None, None) == (len(cache), cache.get(1), cache.get(2))


def test_a_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TwoGenerationCache(0)
