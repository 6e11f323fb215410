from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the [build] extra")

from logagent_build.sequences import networks
from logagent_build.sequences.baselines import PCA, LightAD, LogCluster
from logagent_build.sequences.measures import above, measure, paired
from logagent_build.sequences.networks import CNN, DeepLog
from logagent_build.sequences.voters import Voter
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.tree import DecisionTreeClassifier

from tests.build_model.sequences.made import sequences


@pytest.mark.parametrize("voter", [PCA(), LogCluster(), CNN(0)])
def test_a_baseline_scores_failures_higher(voter: Voter) -> None:
    test = sequences(20, 20, seed=1)
    scores = voter.fit(sequences(60, 20)).score(test)

    assert scores.shape == (40,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[test.anomalous].mean() > scores[~test.anomalous].mean()
    assert voter.predict(test).shape == (40,)


def test_deeplog_doubts_what_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "CANDIDATES", 3)
    monkeypatch.setattr(networks, "LSTM_EPOCHS", 25)
    test = sequences(20, 20, seed=1)
    scores = DeepLog(0).fit(sequences(60, 20)).score(test)
    aborted = np.array(test.kinds) == "abort"

    assert scores[aborted].mean() > scores[~test.anomalous].mean()


def test_lightad_takes_what_was_best_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = {
        "none": lambda: DummyClassifier(strategy="prior"),
        "tree": lambda: DecisionTreeClassifier(random_state=0),
    }
    monkeypatch.setattr(LightAD, "_pool", lambda self: pool)
    test = sequences(20, 20, seed=1)
    found = LightAD(0).fit(sequences(60, 30))

    assert found.chosen == "tree"
    assert (found.predict(test) == test.anomalous).mean() > 0.9


def test_the_pool_has_all_three_kinds() -> None:
    assert {name.split()[0].rstrip(",") for name in LightAD(0)._pool()} == {
        "knn",
        "tree",
        "network",
    }


def test_measures_equal_sklearns() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        true, said = random.random(30) < 0.3, random.random(30) < 0.4
        found = measure(true, said)

        assert found.f1 == pytest.approx(f1_score(true, said))
        assert found.precision == pytest.approx(precision_score(true, said))
        assert found.recall == pytest.approx(recall_score(true, said))


def test_without_a_hit_all_measures_are_zero() -> None:
    assert measure(np.array([True, False]), np.array([False, False])).f1 == 0


def test_a_clear_difference_is_significant_and_none_is_not() -> None:
    assert above([0.9] * 5 + [0.8] * 5, [0.1] * 5 + [0.2] * 5) < 0.01
    assert above([0.5] * 10, [0.5] * 10) == 1
    assert paired([0.9, 0.5, 0.3, 0.7, 0.6, 0.8], [0.8, 0.3, 0.0, 0.6, 0.1, 0.0]) < 0.05
    assert paired([0.5] * 10, [0.5] * 10) == 1
