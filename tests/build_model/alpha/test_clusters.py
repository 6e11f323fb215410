"""K-means, and k by elbow and silhouette together (Eq. 2-3, Algorithm 1 lines 1-11, Fig. 6)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.clusters import candidates, choose_k, cluster, silhouette
from sklearn.metrics import silhouette_score


def blobs(count: int = 5, each: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    centres = 10 * np.eye(count, 8, dtype=np.float32)
    points = np.repeat(centres, each, axis=0) + rng.normal(0, 0.3, (count * each, 8))
    return points.astype(np.float32), np.repeat(np.arange(count), each)


def ones(points: np.ndarray) -> np.ndarray:
    return np.ones(len(points), np.int64)


def test_blobs_are_found() -> None:
    points, truth = blobs()

    found = cluster(points, ones(points), 5, seed=1)

    assert 5 == found.k
    assert all(1 == len(set(found.of[truth == blob])) for blob in range(5))


def test_centroids_are_weighed_with_the_lines() -> None:
    points = np.array([[0.0], [3.0]], np.float32)

    found = cluster(points, np.array([2, 1]), 1)

    assert [[1.0]] == found.centroids.tolist()
    assert [1.0, 2.0] == found.distance.tolist()
    assert pytest.approx(6.0) == found.inertia  # Eq. 2 over three lines


def test_a_seed_repeats_the_clusters() -> None:
    points, _ = blobs()

    first, second = (cluster(points, ones(points), 9, seed=7) for _ in range(2))

    assert first.of.tolist() == second.of.tolist()


def test_equal_vectors_make_fewer_clusters() -> None:
    assert 1 == cluster(np.ones((4, 2), np.float32), np.ones(4, np.int64), 3).k


def test_the_silhouette_is_that_of_the_lines() -> None:
    """Equal to scikit-learn's with every entry repeated as often as it has lines."""
    points, truth = blobs(3, 6)
    count = np.random.default_rng(0).integers(1, 5, len(points))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2).astype(np.float32)
    repeated = np.repeat(np.arange(len(points)), count)

    expected = silhouette_score(points[repeated], truth[repeated])

    assert pytest.approx(expected, abs=1e-4) == silhouette(apart, truth, count)


def test_k_is_where_elbow_and_silhouette_agree() -> None:
    points, _ = blobs(6)

    choice = choose_k(points, ones(points), candidates(len(points), 30))

    assert (6, 6) == (choice.k, choice.best_silhouette)
    assert choice.elbow <= choice.k


def test_candidates_stay_within_what_may_be_asked() -> None:
    assert 40 == max(candidates(1000, 40))
    assert [2] == candidates(3, 40)
    assert [] == candidates(2, 40)
