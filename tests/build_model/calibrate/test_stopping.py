from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the verifier needs the [build] extra")

from logagent_build.alpha.pool import shown
from logagent_build.calibrate.calibration import Calibration, Settings, run
from logagent_build.calibrate.candidates import Portions
from logagent_build.calibrate.simulated import HELPFUL, Errors, Simulated
from logagent_build.calibrate.stopping import Rule, Witnesses
from logagent_build.calibrate.verifier import Verifying

from .made import entries, wrong

FEW = Verifying(hidden=(64,), startup_epochs=2, batch=20, learning_rate=4e-3)
MANY = Portions(disagreement=1.0, confusion=0.4, last=1.0, fewest=30)
OVER = Errors(ambiguous=0.4, bias=6.0)


def witnesses(labels, found, rule=None):
    initial = labels.astype(bool)
    return Witnesses(
        found.vectors, found.domain, initial, np.ones(len(initial), bool), rule or Rule()
    )


def test_repairs_add_to_the_signal_and_corruption_takes_from_it() -> None:
    found, truth = entries()
    labels = wrong(truth, 0.2)
    heard = witnesses(labels, found)
    corrupted = labels.astype(bool)
    corrupted[:40] = ~truth[:40]

    assert heard.signal(labels.astype(bool)) == 0
    assert heard.signal(truth) > 0
    assert heard.signal(corrupted) < 0


def test_an_entry_is_no_witness_of_itself() -> None:
    found, truth = entries()
    other = truth.copy()
    other[7] = ~truth[7]
    changed = np.zeros(len(truth), bool)
    changed[7] = True

    for initial in (truth, other):  # its own label changes nothing of what is said of it
        heard = witnesses(initial.astype(float), found)
        assert abs(heard.signal(initial ^ changed)) == pytest.approx(
            abs(witnesses(truth.astype(float), found).signal(truth ^ changed)), rel=0.05
        )


def test_asking_ends_when_patience_is_spent_and_the_best_round_is_taken() -> None:
    rule = Rule(patience=2)

    assert not rule.ends([0, 3, 5, 4])
    assert rule.ends([0, 3, 5, 4, 4.9])
    assert rule.best([0, 3, 5, 4, 5]) == 2
    assert rule.best([0, -1, -2]) == 0


def calibrated(errors: Errors, rounds: int = 15) -> Calibration:
    found, truth = entries(systems=4, share=0.25)
    settings = Settings(rounds=rounds, verifying=FEW, portions=MANY)
    made = Calibration(found, settings, truth)
    run(made, Simulated.of(found, truth, [shown(line) for line in found.lines], errors, 1))
    return made


def test_it_ends_before_over_calibration_does_harm() -> None:
    made = calibrated(OVER)
    f1 = [row.quality.f1 for row in made.rounds]
    endless = Calibration(made.entries, Settings(rounds=15, stopping=None, verifying=FEW))
    endless.rounds = made.rounds

    assert f1[made.best] >= max(f1) - 0.02
    assert len(made.rounds) < 15
    assert endless.best == len(made.rounds) - 1


def test_it_goes_on_while_labels_become_better() -> None:
    made = calibrated(HELPFUL)
    f1 = [row.quality.f1 for row in made.rounds]

    assert f1[made.best] >= max(f1) - 0.02
    assert f1[made.best] > f1[0] + 0.1
