"""Detectors on semantic and TF-IDF features (§IV-C1), and the tables (II and III)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.curves import known_labels
from logagent_build.alpha.detectors import NAMES, estimator, scores, train
from logagent_build.alpha.features import SEMANTIC, Features, semantic
from logagent_build.alpha.loop import Settings
from logagent_build.alpha.samples import LabelledLines, joined, recorded, tagged
from logagent_build.alpha.simulated import ErrorModel, Simulated
from logagent_build.alpha.tables import compare, markdown, split
from sklearn.ensemble import RandomForestClassifier

from .fakes import encode, log

TEXTS = ["disk failed 11", "disk fine 12", "read failed 13", "read fine 14"]
LABELS = np.array([True, False, True, False])
WEIGHTS = np.ones(4, np.int64)


def feature(line: str, name: str) -> float:
    return float(semantic([line])[0][SEMANTIC.index(name)])


def test_the_attributes_of_the_paper_are_seen() -> None:
    line = "connection refused by 10.1.2.3:8080, error in /var/lib/x/y after 17 tries"

    assert all(
        feature(line, name) > 0 for name in ("failure", "refusal", "path", "address", "port")
    )
    assert feature(line, "number") > 0
    assert feature("short", "characters") < feature("long " * 20, "characters")
    assert not any(feature("all is well", name) for name in ("failure", "path", "address", "port"))


def test_features_have_a_row_for_each_line_even_without_words() -> None:
    assert 2 == Features().fit(["1 2", "3"]).transform(["1", "!"]).shape[0]


@pytest.mark.parametrize("kind", [*NAMES, RandomForestClassifier(n_estimators=5, random_state=0)])
def test_a_detector_learns(kind) -> None:
    detector = train(TEXTS, LABELS, WEIGHTS, kind)

    assert [True, False] == detector.predict(["fan failed 3", "fan fine 4"]).tolist()


@pytest.mark.parametrize("label", [True, False])
def test_one_class_only_is_that_class(label: bool) -> None:
    detector = train(TEXTS, np.full(4, label), WEIGHTS, "svm")

    assert [label] == detector.predict(["anything"]).tolist()


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(ValueError, match="'mlp' is none of svm, lr, tree"):
        estimator("mlp")


def test_scores_count_lines() -> None:
    flags, truth = np.array([True, True, False]), np.array([True, False, True])

    found = scores(flags, truth, np.array([6, 2, 2]))

    assert (0.75, 0.75, 0.75, 0.6, 4) == (
        found.precision,
        found.recall,
        found.f1,
        found.accuracy,
        found.wrong,
    )


def lines(copies: int = 200) -> LabelledLines:
    return LabelledLines("toy", *log(copies))


def test_the_sets_have_the_shares_of_table_ii_and_share_no_line_with_training() -> None:
    sets = split(lines())

    assert sets is not None
    shares = [part.truth.mean() for part in (sets.train, sets.imbalanced, sets.balanced)]
    assert pytest.approx([0.6, 0.218, 0.4], abs=0.01) == shares
    for test in (sets.imbalanced, sets.balanced):
        assert not set(sets.train.lines) & set(test.lines)


def test_too_few_anomalies_make_no_tables() -> None:
    assert split(lines(3)) is None


def test_table_iii_compares_labels_at_their_cost() -> None:
    data = lines(60)
    sets = split(data, least=5)
    assert sets is not None
    right = Simulated(known_labels(data.lines, data.truth), ErrorModel())

    rows = compare(sets, encode, right, right, Settings(15), models=("lr",))

    assert ["I", "B"] * 3 == [row.test for row in rows]
    assert [1.0] * 6 == [row.f1 for row in rows]
    assert len(sets.train.lines) == rows[0].asked > rows[2].asked
    assert markdown(rows).count("| ALPHA |") == 2


def test_without_data_there_are_no_samples(tmp_path) -> None:
    assert [] == tagged(tmp_path)
    assert [] == recorded(tmp_path / "loghub", tmp_path / "labels.tsv")


def test_a_sample_is_drawn_without_replacement_in_the_order_of_the_log() -> None:
    whole = joined("two", [lines(2), lines(3)])
    drawn = whole.sample(10, seed=1)

    assert 10 == len(drawn.lines) == len(drawn.truth)
    assert whole.sample(10, seed=1).lines == drawn.lines
    assert whole.lines == whole.sample(1000, seed=0).lines


@pytest.mark.parametrize("heavy", [True, False])
def test_a_template_weighs_more_the_more_lines_it_has(heavy: bool) -> None:
    texts, labels = ["disk ok", "disk ok", "fan slow"], np.array([True, False, not heavy])
    weights = np.array([100, 1, 1]) if heavy else np.array([1, 100, 1])

    assert [heavy] == train(texts, labels, weights, "lr").predict(["disk ok"]).tolist()
