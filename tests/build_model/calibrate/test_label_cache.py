from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent_build.calibrate.label_cache import LabelCache, rounded

ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50), st.booleans()), max_size=40)


def filled(answers, growth=1.0) -> LabelCache:
    cache = LabelCache(5, growth)
    for entry, round_, label in answers:
        cache.add(entry, round_, anomalous=label)
    return cache


@given(st.floats(0, 1))
def test_labels_are_rounded_by_equation_3(soft: float) -> None:
    assert bool(rounded(np.array([soft]))[0]) is bool(math.floor(soft - 0.5) + 1)


@given(ANSWERS)
def test_soft_labels_are_weighted_means(answers) -> None:
    soft = filled(answers).soft()

    for entry in range(5):
        mine = [(1 + r, label) for e, r, label in answers if e == entry]
        whole = sum(weight for weight, _ in mine)
        said = sum(weight for weight, label in mine if label)
        assert soft[entry] == pytest.approx(said / whole if whole else 0.0)


@given(ANSWERS, st.integers(0, 50))
def test_the_labels_of_an_earlier_round_can_still_be_told(answers, until: int) -> None:
    before = [each for each in answers if each[1] <= until]

    assert np.array_equal(filled(answers).soft(until), filled(before).soft())
    assert np.array_equal(filled(answers).answers(until), filled(before).answers())


@given(ANSWERS)
def test_it_survives_json(answers) -> None:
    cache = filled(answers, 0.5)

    again = LabelCache.from_dict(json.loads(json.dumps(cache.as_dict())))

    assert again == cache


def test_one_late_mistake_does_not_turn_several_answers() -> None:
    cache = filled([(0, round_, False) for round_ in range(6)] + [(0, 6, True)])
    early = filled([(0, 0, False), (0, 6, True)])

    assert not cache.hard()[0]
    assert early.hard()[0]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="entry 5 of 5"):
        filled([(5, 0, True)])
    with pytest.raises(ValueError, match="round -1"):
        filled([(0, -1, True)])
