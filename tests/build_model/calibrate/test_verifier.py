from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the verifier needs the [build] extra")

from logagent_build.calibrate.verifier import Verifier, Verifying, check

from .made import entries, wrong

FEW = Verifying(hidden=(64,), startup_epochs=6, batch=20, learning_rate=4e-3)


def test_wrong_labels_are_disagreed_with_or_lose_more() -> None:
    found, truth = entries()
    labels = wrong(truth, 0.2)
    mistaken = labels.astype(bool) != truth

    checked = check(found.vectors, found.domain, labels, found.count, FEW, 0)

    disagreed = checked.anomalous != labels.astype(bool)
    assert mistaken[disagreed].mean() > 0.8
    assert mistaken[~disagreed].mean() < 0.05
    for label in (False, True):
        of = ~disagreed & (labels.astype(bool) == label)
        highest = checked.loss[of] >= np.quantile(checked.loss[of], 0.8)
        assert mistaken[of][highest].mean() >= mistaken[of][~highest].mean()


def test_a_seed_repeats_a_training_bit_for_bit() -> None:
    found, truth = entries()
    labels = wrong(truth, 0.2)

    once, again, other = (
        check(found.vectors, found.domain, labels, found.count, FEW, seed) for seed in (3, 3, 4)
    )

    assert np.array_equal(once.loss, again.loss)
    assert not np.array_equal(once.loss, other.loss)


def test_a_training_carried_over_goes_on_bit_for_bit() -> None:
    found, truth = entries()
    first, then = wrong(truth, 0.2, 1), wrong(truth, 0.1, 2)
    verifier = Verifier(found.vectors, found.domain, found.count, FEW, 0)
    verifier.train(first, 3)
    moved = Verifier(found.vectors, found.domain, found.count, FEW, 0)
    moved.restore(verifier.state())

    verifier.train(then, 2)
    moved.train(then, 2)

    assert moved.epochs == verifier.epochs == 5
    assert np.array_equal(verifier.check(then).probability, moved.check(then).probability)


def test_what_is_no_state_is_refused() -> None:
    found, _ = entries()
    verifier = Verifier(found.vectors, found.domain, found.count, FEW, 0)
    other = Verifier(found.vectors[:, :7], found.domain, found.count, FEW, 0)

    for state in (b"nonsense", other.state()):
        with pytest.raises(ValueError, match="not the state of this verifier"):
            verifier.restore(state)


def test_every_entry_is_read_on_its_own_systems_head() -> None:
    """The same lines are normal in one system and anomalous in the other."""
    found, truth = entries(systems=1, size=120)
    vectors = np.concatenate([found.vectors, found.vectors])
    domain = np.repeat([0, 1], 120)
    labels = np.concatenate([truth, ~truth]).astype(np.float64)

    settings = Verifying(hidden=(32,), startup_epochs=20, batch=20, learning_rate=4e-3)
    checked = check(vectors, domain, labels, np.ones(240, np.int64), settings, 0)

    assert (checked.anomalous == labels.astype(bool)).mean() > 0.95


def test_labels_are_rounded_by_equation_3() -> None:
    found, truth = entries()
    soft = np.where(truth, 0.5, 0.49)

    half = check(found.vectors, found.domain, soft, found.count, FEW, 0)
    whole = check(found.vectors, found.domain, truth.astype(np.float64), found.count, FEW, 0)

    assert np.array_equal(half.loss, whole.loss)


def test_lines_count_if_they_are_to() -> None:
    found, truth = entries()
    labels = truth.astype(np.float64)
    by_lines = Verifying(hidden=(32,), startup_epochs=2, batch=200, by_lines=True)
    one_each = Verifying(hidden=(32,), startup_epochs=2, batch=200)
    ones = np.ones_like(found.count)

    def loss(settings: Verifying, count: np.ndarray) -> np.ndarray:
        return check(found.vectors, found.domain, labels, count, settings, 0).loss

    assert np.array_equal(loss(one_each, found.count), loss(one_each, ones))
    assert np.array_equal(loss(by_lines, ones), loss(one_each, ones))
    assert not np.array_equal(loss(by_lines, found.count), loss(by_lines, ones))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Verifying(startup_epochs=0)
