"""Figures agree with scikit-learn; thresholds keep their promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

from hypothesis import given
from hypothesis import strategies as st
from logagent_build.corpora import Domain
from logagent_build.evaluate import (
    FALSE_ALARMS,
    HeldOut,
    auroc,
    average_precision,
    calibrate,
    domain_auroc,
    thresholds,
)
from sklearn.metrics import average_precision_score, roc_auc_score


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 9)), min_size=1))
def test_auroc_and_average_precision_equal_sklearns_with_ties(
    rows: list[tuple[bool, int, int]],
) -> None:
    """Scores are drawn from six values, so most of them tie."""
    labels = np.array([row[0] for row in rows])
    scores = np.array([row[1] for row in rows], float)
    weight = np.array([row[2] for row in rows], float)
    ours = auroc(labels * weight, ~labels * weight, scores)
    precision = average_precision(labels * weight, ~labels * weight, scores)
    if labels.all() or not labels.any():
        assert math.isnan(ours)
        assert math.isnan(precision)
    else:
        assert roc_auc_score(labels, scores, sample_weight=weight) == pytest.approx(ours)
        assert average_precision_score(labels, scores, sample_weight=weight) == pytest.approx(
            precision
        )


def _held_out(seed: int = 0) -> HeldOut:
    random = np.random.default_rng(seed)
    domains, logits = [], []
    for index in range(6):
        soft = (random.random(300) < 0.3).astype(np.float32)
        logits.append(soft * 2.0 - 3.0 + random.normal(size=300))
        texts = [str(i).encode() for i in range(300)]
        count = np.ones(300, np.int64)
        unknown = np.full(300, -1, np.int8)
        domains.append(Domain(str(index), "corpora", texts, soft, count, soft[None], unknown))
    return HeldOut(domains, logits, 6, np.zeros((0, 2)))


def test_calibration_undoes_a_shift() -> None:
    """Mean score and share of anomalies agree after Platt's scaling."""
    result = _held_out()
    slope, offset = calibrate(result)
    scores = 1 / (1 + np.exp(-(slope * np.concatenate(result.logits) + offset)))
    soft = np.concatenate([domain.soft for domain in result.domains])

    assert slope > 0
    assert float(soft.mean()) == pytest.approx(float(scores.mean()), abs=1e-3)


def test_predictions_worse_than_chance_are_not_calibrated() -> None:
    """A negative slope would turn the ranking around."""
    result = _held_out()
    logits = [-logits for logits in result.logits]
    turned = HeldOut(result.domains, logits, 6, result.pairs)
    with pytest.raises(ValueError, match="chance"):
        calibrate(turned)


def test_thresholds_keep_the_budget_of_false_alarms() -> None:
    """At most the share promised, and the next lower score would break it."""
    result = _held_out()
    chosen, curve = thresholds(result, calibrate(result))

    assert chosen["low"] > chosen["normal"] > chosen["high"]
    for name, budget in FALSE_ALARMS.items():
        assert budget - 1 / 1000 <= curve[name]["false_alarm_share"] <= budget


def test_a_domains_auroc_is_the_mean_over_annotations_that_have_both_classes() -> None:
    """One annotator may find nothing anomalous."""
    positive = np.array([[0, 0, 0], [0, 1, 0]], np.float32)
    count, unknown = np.array([5, 1, 5]), np.full(3, -1, np.int8)
    domain = Domain("x", "loghub", [b"a", b"b", b"c"], positive[1], count, positive, unknown)

    assert pytest.approx(0.5) == domain_auroc(domain, np.array([0.0, 1.0, 2.0]))
