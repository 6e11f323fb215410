"""MaidLog's rivals find what they are made to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

from logagent_build.baselines import SvddConfig, deep_svdd, keywords, linear, pca
from logagent_build.corpora import Domain, read_corpora

RANDOM = np.random.default_rng(0)
PLANE = RANDOM.normal(size=(60, 2)).astype(np.float32) @ np.array(
    [[3, 0, 0, 0], [0, 2, 0, 0]], np.float32
)
ONCE = np.ones(60, np.int64)


def _domains(folder: Path) -> list[Domain]:
    rows = [
        "0\t0\tlink is up",
        "0\t0\tservice started",
        "1\t3\tdisk is broken",
        "1\t3\tlink broken",
    ]
    (folder / "one.tsv").write_text("\n".join(rows) + "\n")
    return read_corpora(folder)


def test_the_residual_of_pca_is_zero_inside_the_space_and_grows_outside() -> None:
    """A point off the plane of the sources is an anomaly."""
    score = pca(PLANE, ONCE, residual=True)
    off = PLANE[:1] + np.array([[0, 0, 5, 0]], np.float32)

    assert score(PLANE).max() < 1e-5
    assert pytest.approx(5.0, abs=1e-5) == score(off)[0]


def test_the_projection_of_pca_sees_only_what_is_inside() -> None:
    """It is the paper's wording, and blind to what leaves the plane."""
    score = pca(PLANE, ONCE, residual=False)
    off = PLANE[:1] + np.array([[0, 0, 5, 0]], np.float32)

    assert score(PLANE[:1])[0] == pytest.approx(score(off)[0], abs=1e-5)
    assert score(2 * PLANE[:1])[0] > score(PLANE[:1])[0]


def test_pca_counts_lines_not_templates() -> None:
    """A direction that hardly any line takes is left out of the space."""
    points = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    rare = pca(points, np.array([1000, 1000, 1, 1]), residual=True)
    common = pca(points, np.array([1, 1, 1, 1]), residual=True)

    assert rare(points)[2] > 0.9
    assert common(points)[2] < 1e-6


def test_deep_svdd_draws_the_sources_to_the_centre() -> None:
    """After training they are nearer than before, and a far point is not."""
    near = (RANDOM.normal(size=(60, 8)) * 0.1 + 1.0).astype(np.float32)
    far = -3 * near
    config = SvddConfig((16, 8), epochs=40, batch_lines=30, learning_rate=3e-3)
    before = deep_svdd(near, ONCE, SvddConfig((16, 8), epochs=0), seed=0)
    after = deep_svdd(near, ONCE, config, seed=0)

    assert after(near).mean() < before(near).mean()
    assert after(far).mean() > 5 * after(near).mean()


def test_deep_svdd_repeats_by_its_seed() -> None:
    """And another seed is another network."""
    config = SvddConfig((4,), epochs=2, batch_lines=30)
    first = deep_svdd(PLANE, ONCE, config, seed=1)(PLANE)

    assert np.array_equal(first, deep_svdd(PLANE, ONCE, config, seed=1)(PLANE))
    assert not np.array_equal(first, deep_svdd(PLANE, ONCE, config, seed=2)(PLANE))


def test_the_linear_rival_learns_words_and_ignores_case(tmp_path: Path) -> None:
    """`broken` is what the anomalies have in common."""
    score = linear(_domains(tmp_path))
    broken, up = score([b"fan BROKEN", b"fan is up"])

    assert broken > 0 > up


def test_keywords_are_counted_once_each_in_any_case() -> None:
    """Three errors are one keyword; letters inside a longer word count, as with grep."""
    counts = keywords([b"all well", b"Error: error ERROR", b"FATAL error: panic", b"failed"])

    assert [0.0, 1.0, 3.0, 1.0] == counts.tolist()
