"""What is asked again, what serves as an example, and which examples are nearest."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the verifier needs the [build] extra")

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent_build.calibrate.candidates import Portions, choose
from logagent_build.calibrate.retrieval import nearest
from logagent_build.calibrate.verifier import Checked


def checked(disagrees, labels, loss) -> Checked:
    return Checked(np.where(labels ^ disagrees, 0.9, 0.1), np.asarray(loss, float))


def made(seed: int, systems: int = 3, size: int = 60):
    random = np.random.default_rng(seed)
    n = systems * size
    labels = random.random(n) < 0.3
    return checked(random.random(n) < 0.2, labels, random.random(n)), labels, np.arange(n) // size


def chosen(found, portions=None, progress=0.0, seed=0, **more):
    every, labels, domain = found
    random = np.random.default_rng(seed)
    return choose(every, labels, domain, portions or Portions(), progress, random, **more)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.integers(1, 9))
def test_candidates_and_support_have_nothing_in_common(seed, progress, fewest) -> None:
    found = made(seed)
    choice = chosen(found, Portions(fewest=fewest), progress)

    assert len(set(choice.candidates.tolist())) == len(choice.candidates)
    assert not choice.support[choice.candidates].any()
    disagrees = found[0].anomalous != found[1]
    assert not choice.support[disagrees].any()
    assert np.array_equal(choice.disagreed, disagrees[choice.candidates])


def test_every_system_and_class_has_the_minimum_observed() -> None:
    _every, labels, domain = found = made(1)
    choice = chosen(found, Portions(fewest=1))

    sizes = {
        (d, bool(label)): int(((domain == d) & (labels == label))[choice.candidates].sum())
        for d in range(3)
        for label in (0, 1)
    }
    assert len(set(sizes.values())) == 1
    assert min(sizes.values()) >= 1


def test_a_system_without_a_class_holds_up_nobody() -> None:
    every, labels, domain = made(1)
    labels = labels & (domain != 0)
    some = checked(every.anomalous != labels, labels, every.loss)

    choice = chosen((some, labels, domain), Portions(fewest=1))

    assert set(domain[choice.candidates]) == {0, 1, 2}


def test_of_those_agreed_with_the_highest_losses_are_marked() -> None:
    labels = np.zeros(100, bool)
    some = checked(np.zeros(100, bool), labels, np.arange(100.0))
    portions = Portions(confusion=0.1, evidence=0.55, fewest=100)

    choice = chosen((some, labels, np.zeros(100, np.int64)), portions)

    assert choice.candidates.tolist() == list(range(90, 100))
    assert choice.support.nonzero()[0].tolist() == list(range(55))


def test_candidates_become_fewer_with_the_rounds() -> None:
    found = made(2, systems=1, size=1000)
    many = Portions(fewest=1000)

    first, last = (len(chosen(found, many, progress).candidates) for progress in (0.0, 1.0))

    assert last == pytest.approx(0.4 * first, rel=0.05)


def test_what_may_not_be_asked_is_not_asked() -> None:
    found = made(3)
    may = np.arange(180) % 2 == 0

    choice = chosen(found, eligible=may)

    assert may[choice.candidates].all()


def test_portions_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        Portions(evidence=1.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 8))
def test_the_nearest_are_those_of_a_search_one_by_one(seed, size) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(40, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    domain = np.arange(40) // 15
    among = np.sort(random.permutation(40)[:20])
    wanted = np.arange(0, 40, 3)

    found = nearest(vectors, domain, wanted, among, size)

    for row, entry in zip(found, wanted, strict=True):
        others = sorted(
            (int(each) for each in among if each != entry),
            key=lambda at: (
                domain[at] != domain[entry],
                -float(vectors[at].astype(float) @ vectors[entry].astype(float)),
            ),
        )
        assert [int(each) for each in row if each >= 0] == others[: min(size, 20)]


def test_nobody_is_its_own_example() -> None:
    vectors = np.ones((3, 1), np.float32)
    found = nearest(vectors, np.zeros(3, np.int64), np.array([0, 2]), np.array([0, 2]), 5)

    assert found.tolist() == [[2, -1], [0, -1]]
