"""Few-shot examples from the labeller's own errors, in two steps (§IV-B3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from logagent_build.alpha.labeller import Answer
from logagent_build.alpha.refinement import refine

LINES = [f"{kind} {number}" for kind in ("alpha", "beta", "gamma", "delta") for number in range(10)]
LABELS = [line.startswith(("alpha", "gamma")) for line in LINES]
CLUSTERS = np.repeat(np.arange(4), 10)


def misreads_gamma(lines: Sequence[str], examples: Sequence[tuple[str, bool]]) -> list[Answer]:
    """Right but for gamma lines, unless the prompt has two anomalous ones."""
    knows = sum(line.startswith("gamma") and label for line, label in examples) > 2
    return [
        Answer(line.startswith("alpha") or (knows and line.startswith("gamma"))) for line in lines
    ]


def test_what_was_misread_goes_into_the_prompt() -> None:
    found = refine(LINES, LABELS, CLUSTERS, misreads_gamma, seed=1)

    assert found.accuracy["errors"] == 1.0
    assert "errors" == found.step
    assert 2 < sum(line.startswith("gamma") for line, _ in found.examples)


def test_the_clusters_misread_most_are_named() -> None:
    assert (2,) == refine(LINES, LABELS, CLUSTERS, misreads_gamma, seed=1).worst


def test_the_second_step_adds_to_the_prompt() -> None:
    def misreads_always(lines, _examples):
        return [Answer(line.startswith("alpha")) for line in lines]

    sets = []

    def listening(lines, examples):
        sets.append(len(examples))
        return misreads_always(lines, examples)

    refine(LINES, LABELS, CLUSTERS, listening, shots=6)

    assert [6, 6, 7] == sets


def test_without_errors_the_random_prompt_stays() -> None:
    def right(lines, _examples):
        return [Answer(line.startswith(("alpha", "gamma"))) for line in lines]

    found = refine(LINES, LABELS, CLUSTERS, right)

    assert "random" == found.step
    assert () == found.worst


def test_the_first_prompt_has_both_labels() -> None:
    found = refine(LINES, LABELS, CLUSTERS, lambda lines, _: [Answer(None)] * len(lines), shots=6)

    assert [3, 3] == [sum(label is side for _, label in found.examples) for side in (True, False)]


def test_examples_are_lines_of_the_set_with_their_labels() -> None:
    found = refine(LINES, LABELS, CLUSTERS, misreads_gamma)

    assert set(found.examples) <= set(zip(LINES, LABELS, strict=True))
    assert len(found.examples) == len(set(found.examples))


def test_a_set_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        refine(LINES[:10], LABELS[:10], CLUSTERS[:10], misreads_gamma)
