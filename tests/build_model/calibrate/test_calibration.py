from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="the verifier needs the [build] extra")

from logagent_build.alpha.pool import shown
from logagent_build.calibrate.calibration import Calibration, Settings, run
from logagent_build.calibrate.queries import Answer, Query
from logagent_build.calibrate.simulated import HELPFUL, USELESS, Simulated
from logagent_build.calibrate.verifier import Verifying

from .made import entries

FEW = Verifying(hidden=(64,), startup_epochs=4, batch=20, learning_rate=4e-3)


def settings(**changed: object) -> Settings:
    return Settings(**({"rounds": 6, "verifying": FEW} | changed))  # type: ignore[arg-type]


def calibrated(errors=HELPFUL, **changed):
    found, truth = entries()
    made = Calibration(found, settings(**changed), truth)
    ask = Simulated.of(found, truth, [shown(line) for line in found.lines], errors, 0)
    run(made, ask)
    return made


def test_labels_become_better_with_helpful_evidence() -> None:
    rounds = calibrated(rounds=10).rounds

    assert rounds[0].quality.f1 < 0.85
    assert rounds[-1].quality.f1 > rounds[0].quality.f1 + 0.1


def test_candidates_are_wrong_far_more_often_than_support() -> None:
    rounds = calibrated().rounds[1:]

    assert np.mean([each.candidates_wrong for each in rounds]) > 0.3
    assert np.mean([each.support_wrong for each in rounds]) < 0.05


def test_no_more_is_asked_than_may_be() -> None:
    made = calibrated(calls=25)

    assert made.calls == 25
    assert sum(row.asked for row in made.rounds[1:]) == 25


def test_a_round_is_one_call() -> None:
    found, _truth = entries()
    asked: list[int] = []

    def ask(queries: Sequence[Query]) -> list[Answer]:
        asked.append(len(queries))
        return [Answer("kind 1" in query.line) for query in queries]

    made = Calibration(found, settings(rounds=3))
    run(made, ask)

    assert asked == [row.asked for row in made.rounds]
    assert len(asked) == 4


def test_the_truth_changes_nothing_but_the_record() -> None:
    found, truth = entries()
    ask = Simulated.of(found, truth, [shown(line) for line in found.lines], HELPFUL, 0)
    labels = []
    for told in (truth, ~truth, None):
        made = Calibration(found, settings(rounds=3), told)
        run(made, ask)
        labels.append(made.labels())

    assert np.array_equal(labels[0], labels[1])
    assert np.array_equal(labels[0], labels[2])


def test_entries_without_an_answer_keep_their_label() -> None:
    found, truth = entries()

    def silent(queries: Sequence[Query]) -> list[Answer]:
        return [Answer(None)] * len(queries)

    made = Calibration(found, settings(rounds=2))
    made.begin_with(truth.tolist())
    run(made, silent)

    assert np.array_equal(made.labels(), truth.astype(float))
    assert made.rounds[1].unanswered == made.rounds[1].asked > 0


def test_what_is_known_of_a_round_adds_up() -> None:
    made = calibrated(USELESS)
    for row in made.rounds[1:]:
        by_group = sum(sum(each.values()) for each in row.candidates.values())
        assert row.asked == by_group == sum(row.kinds.values())
        against = {kind: row.repaired.get(kind, 0) + row.broken.get(kind, 0) for kind in row.kinds}
        assert {kind: n for kind, n in against.items() if n} == row.against
        assert row.disagreed <= row.asked


def test_an_answer_for_each_query_is_asked_for() -> None:
    found, _ = entries()
    made = Calibration(found, settings())
    with pytest.raises(ValueError, match="240 queries were asked, 0 answers came"):
        run(made, lambda _queries: [])
