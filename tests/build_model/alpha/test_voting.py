"""Representatives, majority and propagation (Algorithm 1 lines 12-18, Eq. 4)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from hypothesis import given
from hypothesis import strategies as st
from logagent_build.alpha.clusters import Clustering
from logagent_build.alpha.labeller import Answer
from logagent_build.alpha.pool import Pool
from logagent_build.alpha.representatives import representatives
from logagent_build.alpha.voting import Vote, majority, propagate, vote


def clustering(of: list[int], distance: list[float]) -> Clustering:
    k = max(of) + 1
    return Clustering(
        np.array(of), np.zeros((k, 2), np.float32), np.array(distance, np.float32), 0.0
    )


def test_the_nearest_entries_represent_a_cluster() -> None:
    pool = Pool.of([b"one", b"two", b"three", b"four"])

    found = representatives(pool, clustering([0, 0, 0, 1], [0.3, 0.1, 0.2, 0.0]), 2)

    assert [[1, 2], [3]] == found


def test_a_small_cluster_is_represented_by_more_lines_of_its_templates() -> None:
    pool = Pool.of([b"port 11", b"port 12", b"port 13", b"other"])

    (found,) = representatives(pool, clustering([0, 0], [0.0, 0.1]), 3)

    assert {3} < set(found)
    assert 3 == len({pool.lines[line] for line in found})


def test_all_clusters_are_asked_in_one_call() -> None:
    calls = []

    def labeller(lines, examples):
        calls.append((list(lines), list(examples)))
        return [Answer("bad" in line) for line in lines]

    pool = Pool.of([b"good", b"bad"])
    voted = vote(pool, clustering([0, 1], [0, 0]), labeller, 1, examples=[("x", True)])

    assert [(["good", "bad"], [("x", True)])] == calls
    assert [False, True] == [each.anomalous for each in voted]


def test_a_labeller_that_skips_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="2 lines were asked, 1 answers"):
        vote(Pool.of([b"a", b"b"]), clustering([0, 1], [0, 0]), lambda *_: [Answer(True)], 1)


@given(st.lists(st.sampled_from([True, False, None]), max_size=9))
def test_the_majority_of_answers_wins(said: list[bool | None]) -> None:
    voted = majority([Vote(at, answer) for at, answer in enumerate(said)])

    yes, no = said.count(True), said.count(False)
    if yes != no:
        assert (yes > no) == voted.anomalous
    assert voted.doubtful == (max(yes, no) < 0.75 * (yes + no) or not yes + no)


def test_a_tie_goes_to_the_nearest() -> None:
    assert majority([Vote(0, True), Vote(1, False)]).anomalous
    assert not majority([Vote(0, None), Vote(1, False), Vote(2, True)]).anomalous


def test_representatives_that_disagree_make_a_cluster_doubtful() -> None:
    votes = [Vote(at, at < 3) for at in range(5)]

    assert majority(votes).doubtful
    assert not majority(votes[:4], tau=0.7).doubtful


def test_a_label_reaches_every_entry_of_its_cluster() -> None:
    found = clustering([0, 1, 0, 1], [0, 0, 0, 0])
    voted = [majority([Vote(0, False)]), majority([Vote(1, True)])]

    assert [False, True, False, True] == propagate(found, voted).tolist()
