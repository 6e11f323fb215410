from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the strategy needs the [build] extra")

from logagent_build.calibrate.gain import gain_nearby, gain_own, wanted
from logagent_build.calibrate.neighbours import Neighbours, Predicted
from logagent_build.calibrate.reliance import (
    CHANNELS,
    Reliance,
    Trust,
    fit,
    odds_of_answers,
    odds_of_neighbours,
)

from .made import entries

PLAIN = 0


def tally(n: int, **answers: tuple[int, int]) -> np.ndarray:
    """The same answers about each of n entries: said to be normal, anomalous."""
    found = np.zeros((n, len(CHANNELS), 2), np.int64)
    for name, said in answers.items():
        found[:, CHANNELS.index(name)] = said
    return found


def drawn(truth, rates, random, answers=3):
    """Independent plain answers with given rates of error."""
    found = np.zeros((len(truth), len(CHANNELS), 2), np.int64)
    for _ in range(answers):
        wrong = random.random(len(truth)) < np.where(truth, rates[1], rates[0])
        said = truth ^ wrong
        found[np.arange(len(truth)), PLAIN, said.astype(int)] += 1
    return found


def predicted(mean) -> Predicted:
    n = len(mean)
    return Predicted(np.asarray(mean, float), np.ones(n), np.zeros((n, 1), np.float32))


def test_more_answers_that_agree_make_surer_but_each_less_than_the_one_before() -> None:
    odds = [float(odds_of_answers(tally(1, plain=(0, k)), Reliance())[0]) for k in range(5)]
    steps = np.diff(odds)

    assert odds[0] == pytest.approx(0)
    assert (steps > 0).all()
    assert (np.diff(steps) < 0).all()


def test_another_kind_says_more_than_the_same_again() -> None:
    same, other = tally(1, plain=(0, 2)), tally(1, plain=(0, 1), refine=(0, 1))
    trust = (Trust(0.2, 0.2),) * len(CHANNELS)

    assert odds_of_answers(other, Reliance(trust))[0] > odds_of_answers(same, Reliance(trust))[0]


def test_rates_of_error_are_learned_without_the_truth() -> None:
    random = np.random.default_rng(0)
    truth = random.random(1500) < 0.4
    near = np.where(truth, 1.0, -1.0) + random.normal(size=1500)
    found = Reliance()
    for _ in range(5):
        found = fit(drawn(truth, (0.05, 0.3), np.random.default_rng(1)), predicted(near), found)

    plain = found.channels[PLAIN]
    assert plain.wrong_normal == pytest.approx(0.05, abs=0.03)
    assert plain.wrong_anomalous == pytest.approx(0.3, abs=0.07)
    assert plain.together <= 0.1


def test_answers_that_repeat_each_other_are_found_out() -> None:
    random = np.random.default_rng(0)
    truth = random.random(1500) < 0.4
    near = np.where(truth, 1.0, -1.0) + random.normal(size=1500)
    alike = 3 * drawn(truth, (0.2, 0.2), random, 1)
    found = Reliance()
    for _ in range(5):
        found = fit(alike, predicted(near), found)

    once = odds_of_answers(tally(1, plain=(0, 1)), found)[0]
    thrice = odds_of_answers(tally(1, plain=(0, 3)), found)[0]
    assert thrice < 1.5 * once


def test_neighbours_that_tell_nothing_are_not_followed() -> None:
    random = np.random.default_rng(0)
    truth = random.random(1500) < 0.5
    told, nothing = np.where(truth, 1.0, -1.0), random.normal(size=1500)
    answers = drawn(truth, (0.1, 0.1), random)
    follows, ignores = Reliance(), Reliance()
    for _ in range(8):
        follows = fit(answers, predicted(told), follows)
        ignores = fit(answers, predicted(nothing), ignores)

    assert ignores.slope < 0.5 < follows.slope


def test_neighbours_alone_never_make_certain() -> None:
    odds = odds_of_neighbours(predicted([50.0, -50.0]), Reliance())

    assert abs(odds).max() < 5


def test_an_entrys_own_answer_is_left_out_of_what_is_said_of_it() -> None:
    found, truth = entries(systems=2, size=40)
    made = Neighbours(found.vectors, found.domain)
    said = np.where(truth, 1.0, -1.0)
    flipped = said.copy()
    flipped[7] *= -1
    noise = np.full(len(found), 0.3)
    without = noise.copy()
    without[7] = np.inf

    all_, changed, none = (
        made.predict(values, each)
        for values, each in ((said, noise), (flipped, noise), (said, without))
    )

    assert all_.mean[7] == pytest.approx(changed.mean[7], abs=1e-3)
    assert all_.mean[7] == pytest.approx(none.mean[7], abs=1e-3)
    assert all_.variance[7] == pytest.approx(none.variance[7], abs=1e-3)
    assert abs(all_.mean - changed.mean).max() > 0.01


def test_neighbours_tell_the_truth_of_entries_nobody_asked_about() -> None:
    found, truth = entries(systems=3, size=80)
    said = np.where(truth, 1.0, -1.0)
    noise = np.where(np.arange(len(found)) % 4 == 0, 0.2, np.inf)

    got = Neighbours(found.vectors, found.domain).predict(said, noise)

    assert ((got.mean > 0) == truth)[np.isinf(noise)].mean() > 0.95


def test_fewer_features_than_entries_say_nearly_the_same() -> None:
    found, truth = entries(systems=3, size=80)
    said, noise = np.where(truth, 1.0, -1.0), np.full(len(found), 0.5)

    whole = Neighbours(found.vectors, found.domain).predict(said, noise)
    few = Neighbours(found.vectors, found.domain, rank=60).predict(said, noise)

    assert np.corrcoef(whole.mean, few.mean)[0, 1] > 0.97


def test_what_is_certain_is_worth_no_question_and_what_is_doubtful_is() -> None:
    odds = np.array([0.0, 1.0, 12.0])

    gains = gain_own(odds, tally(3), Reliance())

    assert (gains >= 0).all()
    assert gains[0, PLAIN] > gains[1, PLAIN] > gains[2, PLAIN]
    assert gains[2].max() < 1e-4


def test_a_question_that_needs_two_more_to_overturn_a_label_has_a_gain() -> None:
    odds = odds_of_answers(tally(1, plain=(0, 1)), Reliance()) * 1.5

    assert gain_own(odds, tally(1), Reliance())[0, PLAIN] > 0.001


def test_a_first_answer_in_the_middle_of_many_lines_is_worth_more_than_one_apart() -> None:
    found, _ = entries(systems=1, size=40)
    got = Neighbours(found.vectors, found.domain).predict(np.zeros(40), np.full(40, np.inf))
    heavy = np.ones(40)
    near = found.vectors @ found.vectors[3]
    heavy[near > 0.7] = 100.0

    gains = gain_nearby(got, np.full(40, 0.5), heavy, Reliance())

    assert gains[3] > 2 * gains[np.argmin(near)]


def test_questions_of_one_cluster_count_half_of_the_one_before() -> None:
    own = np.array([[0.0], [0.0], [0.0], [-1.0]])
    nearby = np.array([8.0, 6.0, 4.0, 90.0])

    got = wanted(own, nearby, np.array([0, 0, 1, 2]), 5)

    assert [(each.entry, each.gain) for each in got] == [(0, 8.0), (2, 4.0), (1, 3.0)]
