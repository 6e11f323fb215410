"""Fig. 2: templates in a plane."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha import plane


def two_kinds(entries: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    anomalous = np.arange(entries) % 2 == 1
    vectors = 0.1 * rng.normal(size=(entries, 8)) + np.where(anomalous[:, None], 1, -1)
    return vectors.astype(np.float32), anomalous


@pytest.fixture(scope="module")
def found() -> np.ndarray:
    return plane.positions(two_kinds()[0], seed=3)


def test_what_is_alike_lies_together(found: np.ndarray) -> None:
    anomalous = two_kinds()[1]
    apart = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(apart, np.inf)

    assert (anomalous[apart.argmin(axis=1)] == anomalous).all()


def test_a_seed_gives_the_same_places(found: np.ndarray) -> None:
    assert np.array_equal(found, plane.positions(two_kinds()[0], seed=3))


def test_labels_doubts_and_simulations_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, anomalous = two_kinds()
    asked: list[int] = []

    def places(some: np.ndarray, _seed: int) -> np.ndarray:
        asked.append(len(some))
        return some[:, :2]

    monkeypatch.setattr(plane, "positions", places)
    monkeypatch.setattr(plane, "MOST", 40)
    count = np.ones(60, np.int64)
    sure = plane.plot(vectors, anomalous, np.zeros(60, bool), count)
    unsure = plane.plot(vectors, anomalous, np.ones(60, bool), count, 0, "simulated: x")

    assert [40, 40] == asked
    assert "in doubt" in unsure
    assert "in doubt" not in sure
    for text in ("simulated: x", "40 of 60 templates", "normal", "anomalous"):
        assert text in unsure
    assert sure == plane.plot(vectors, anomalous, np.zeros(60, bool), count)


def test_few_templates_are_no_picture() -> None:
    vectors, anomalous = two_kinds(4)

    assert "" == plane.plot(vectors, anomalous, anomalous, np.ones(4, np.int64))


def test_equal_vectors_do_no_harm() -> None:
    found = plane.positions(np.ones((6, 8), np.float32))

    assert np.isfinite(found).all()
