from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.errors import BundleError
from logagent.sequences import contrast
from logagent.sequences.arrays import packed
from logagent.sequences.ensemble import MOST_PARAMETERS, Ensemble
from logagent.sequences.features import both_of, counts, counts_of, shares

START, WORK, END, ALARM, NEVER = range(5)


def stump(event: int, at: float, below: float, above: float, cut: float = 0.5) -> dict[str, Any]:
    """Return one tree with one question: is the event there more often than `at`."""
    return {
        "feature": packed(np.array([event, -1, -1], "<i2")),
        "right": packed(np.array([2, -1, -1], "<i4")),
        "value": packed(np.array([at, below, above], "<f4")),
        "roots": packed(np.array([0], "<i4")),
        "cut": cut,
    }


def part(**changes: Any) -> dict[str, Any]:
    """Return three voters: an alarm is anomalous, an end is normal, a neighbour with no work."""
    known = np.array([[1, 1], [2, 0], [1, 1], [0, 0], [0, 0]], "<u2")  # (events, sequences)
    held: dict[str, Any] = {
        "format": 1,
        "events": 5,
        "leader": "forest",
        "normal": packed(np.array([[1, 1], [2, 3], [1, 1], [0, 0], [0, 0]], "<u2")),
        "voters": {
            "forest": stump(ALARM, 0.5, 0.1, 0.9),
            "tree": stump(END, 0.5, 1.0, 0.0),
            "knn": {
                "counts": packed(known),
                "anomalous": packed(np.array([0, 1], "|u1")),
                "neighbours": 1,
            },
        },
    }
    return held | changes


def events(*numbers: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def test_the_leader_decides_and_the_others_vote_beside_it() -> None:
    judged = Ensemble.read(part()).judge(events(START, WORK, WORK, END, ALARM))

    assert judged.anomalous
    assert judged.score == pytest.approx(0.9)
    assert judged.votes == {"forest": True, "tree": False, "knn": False}


@pytest.mark.parametrize(
    ("sequence", "anomalous"),
    [
        (events(START, WORK, WORK, END), False),
        (events(START, WORK, WORK, END, ALARM), False),
        (events(START, ALARM), True),
        (events(START, END), False),
    ],
)
def test_without_a_leader_the_majority_decides(sequence: Any, anomalous: bool) -> None:
    assert Ensemble.read(part(leader="")).judge(sequence).anomalous == anomalous


def test_a_tie_is_normal() -> None:
    voters = part()["voters"]
    two = {name: voters[name] for name in ("forest", "tree")}
    judged = Ensemble.read(part(leader="", voters=two)).judge(events(START, END, ALARM))

    assert judged.votes == {"forest": True, "tree": False}
    assert not judged.anomalous


@pytest.mark.parametrize("first", [True, False])
def test_of_equally_near_neighbours_the_first_counts(first: bool) -> None:
    labels = np.full(200, not first, "|u1")
    labels[0] = first
    knn = {
        "counts": packed(np.tile(np.array([[1], [0], [0], [0], [0]], "<u2"), 200)),
        "anomalous": packed(labels),
        "neighbours": 1,
    }
    ensemble = Ensemble.read(part(leader="", voters={"knn": knn}))

    assert ensemble.judge(events(START)).votes == {"knn": first}


def test_an_unexpected_event_is_told_with_its_places() -> None:
    judged = Ensemble.read(part()).judge(events(START, ALARM, WORK, END, ALARM))
    (carried,) = judged.carried

    assert (carried.kind, carried.event, carried.positions) == ("unexpected", ALARM, [1, 4])
    assert carried.weight == pytest.approx(0.8)


def test_a_missing_event_is_told_without_places() -> None:
    ensemble = Ensemble.read(part(leader="tree"))
    (carried,) = ensemble.judge(events(START, WORK, WORK)).carried

    assert (carried.kind, carried.event, carried.positions) == ("missing", END, [])


def test_a_repeated_event_is_told_within_bounds() -> None:
    voters = {"forest": stump(WORK, 9, 0.0, 1.0)}
    many = events(START, *[WORK] * 500, END)
    (carried,) = Ensemble.read(part(voters=voters)).judge(many).carried

    assert (carried.kind, carried.event) == ("repeated", WORK)
    assert carried.positions == list(range(1, 1 + contrast.MOST_POSITIONS))


def test_a_normal_sequence_is_not_explained() -> None:
    assert Ensemble.read(part()).judge(events(START, WORK, END)).carried == []


def test_an_empty_sequence_is_judged() -> None:
    assert not Ensemble.read(part()).judge(events()).anomalous


@pytest.mark.parametrize("number", [-1, 5, 2**31 - 1])
def test_an_event_outside_the_vocabulary_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="not in"):
        Ensemble.read(part()).judge(events(START, number))


def broken(path: str, value: Any) -> dict[str, Any]:
    made = part()
    *way, last = path.split(".")
    at = made
    for name in way:
        at = at[name]
    at[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", 2),
        ("events", 0),
        ("events", 6),
        ("events", "5"),
        ("events", True),
        ("leader", "nobody"),
        ("leader", ["forest"]),
        ("normal", None),
        ("normal", packed(np.zeros((4, 2), "<u2"))),
        ("voters", {}),
        ("voters", []),
        ("voters.other", {}),
        ("voters.forest", None),
        ("voters.forest.cut", 2),
        ("voters.forest.cut", float("nan")),
        ("voters.forest.roots", packed(np.array([3], "<i4"))),
        ("voters.forest.roots", packed(np.array([-1], "<i4"))),
        ("voters.forest.roots", packed(np.array([], "<i4"))),
        ("voters.forest.right", packed(np.array([0, -1, -1], "<i4"))),
        ("voters.forest.right", packed(np.array([1, -1, -1], "<i4"))),
        ("voters.forest.right", packed(np.array([9, -1, -1], "<i4"))),
        ("voters.forest.feature", packed(np.array([10, -1, -1], "<i2"))),
        ("voters.forest.feature", packed(np.array([], "<i2"))),
        ("voters.forest.value", packed(np.array([np.nan, 1, 0], "<f4"))),
        ("voters.forest.value", packed(np.array([1, 2, 0], "<f4"))),
        ("voters.forest.value", ["<f4", [3], b"short"]),
        ("voters.forest.value", ["<f4", [2**40], b""]),
        ("voters.forest.value", ["<f4", [-3], b""]),
        ("voters.forest.value", ["|O", [1], b"12345678"]),
        ("voters.knn.neighbours", 3),
        ("voters.knn.neighbours", 0),
        ("voters.knn.neighbours", 1.5),
        ("voters.knn.anomalous", packed(np.array([0], "|u1"))),
        ("voters.knn.anomalous", packed(np.array([0, 7], "|u1"))),
    ],
)
def test_a_part_that_does_not_fit_is_refused(path: str, value: Any) -> None:
    with pytest.raises(BundleError, match="unusable ensemble"):
        Ensemble.read(broken(path, value))


def test_an_ensemble_is_bounded() -> None:
    several = MOST_PARAMETERS // 5 + 1
    knn = {
        "counts": packed(np.zeros((5, several), "<u2")),
        "anomalous": packed(np.zeros(several, "|u1")),
        "neighbours": 1,
    }

    with pytest.raises(BundleError, match="parameters"):
        Ensemble.read(part(leader="", voters={"knn": knn}))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=30), max_size=8))
def test_in_bulk_and_one_by_one_features_are_the_same(sequences: list[list[int]]) -> None:
    made = [events(*each) for each in sequences]
    table = both_of(made, 7)

    assert table.shape == (len(made), 14)
    for row, each in zip(table, made, strict=True):
        assert row[:7].tolist() == counts(each, 7).tolist()
        assert np.array_equal(row[7:], shares(counts(each, 7)))
        assert float(row[7:].sum()) == pytest.approx(1 if len(each) else 0, abs=1e-5)
    assert np.array_equal(table[:, :7], counts_of(made, 7))
