"""The curves of Fig. 7."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.clusters import Clustering
from logagent_build.alpha.curves import (
    epsilon,
    epsilon_plot,
    known_labels,
    misclassified,
    misclassified_plot,
)
from logagent_build.alpha.loop import Settings
from logagent_build.alpha.simulated import ErrorModel, Simulated

from .fakes import encode, log


def test_reversing_far_labels_changes_accuracy_and_coverage() -> None:
    found = Clustering(
        np.zeros(3, np.int64), np.zeros((1, 2), np.float32), np.float32([0.0, 0.5, 1.0]), 0.0
    )
    labels = np.array([True, True, True])
    truth = np.array([True, True, False])

    curve = epsilon(found, labels, truth, np.array([5, 3, 2]), steps=3)

    assert [(0.5, 0.7), (0.8, 1.0), (1.0, 0.8)] == [(p.coverage, p.accuracy) for p in curve]


def test_misclassified_lines_are_counted_for_each_sample_size() -> None:
    lines, truth = log(20)
    right = Simulated(known_labels(lines, truth), ErrorModel())
    settings = Settings(20, m=1, k=7)

    curve = misclassified(lines, truth, (70, 140), encode, right, right, settings)

    assert [(70, 7, 0, 0, 0), (140, 7, 0, 0, 0)] == [
        (p.lines, p.entries, p.nearest, p.voted, p.belief) for p in curve
    ]
    assert "simulated: 0.2" in misclassified_plot(curve, "simulated: 0.2")


def test_a_plot_of_simulated_labels_says_so() -> None:
    found = Clustering(np.zeros(1, np.int64), np.zeros((1, 1), "f4"), np.ones(1, "f4"), 0.0)
    yes = np.ones(1, bool)

    assert "simulated" in epsilon_plot(epsilon(found, yes, yes, np.ones(1, int)), "simulated")


def test_errors_of_a_simulation_are_as_many_as_stated_and_repeat() -> None:
    lines = [f"event {chr(97 + n % 26)}{chr(97 + n // 26 % 26)}x {n}" for n in range(4000)]
    who = Simulated(dict.fromkeys(lines, False), ErrorModel(wrong_normal=0.2), seed=3)

    first = [each.anomalous for each in who(lines, ())]

    assert first == [each.anomalous for each in who(lines, ())]
    assert 0.2 == pytest.approx(sum(first) / len(first), abs=0.03)


def test_a_misread_template_is_misread_in_all_its_lines() -> None:
    lines = [f"event number {n}" for n in range(10, 99)]
    answers = set()
    for seed in range(30):
        errors = ErrorModel(wrong_normal=0.5, by_template=1.0)
        said = {
            each.anomalous
            for each in Simulated(dict.fromkeys(lines, False), errors, seed)(lines, ())
        }
        assert 1 == len(said)
        answers |= said
    assert {True, False} == answers
