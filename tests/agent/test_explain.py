"""Explanations: the word that matters first, at a bounded price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.explain import words_that_count

from .fakes import KeywordScorer


class WeighingScorer:
    """Adds up the weights of a template's words: a linear model one can check by hand."""

    def __init__(self, **weights: float) -> None:
        self.weights = {word.encode(): weight for word, weight in weights.items()}
        self.asked: list[bytes] = []

    def scores(self, templates: Sequence[bytes]) -> np.ndarray:
        self.asked += templates
        logits = [
            sum(self.weights.get(word, 0.0) for word in template.split()) for template in templates
        ]
        return (1 / (1 + np.exp(-np.array(logits)))).astype(np.float32)


def test_the_word_that_matters_comes_first() -> None:
    words = words_that_count(KeywordScorer(), b"disk sda: I/O error, sector #")

    assert ["error"] == [word.text for word in words]
    assert pytest.approx(2 * np.log(9), rel=1e-3) == words[0].drop  # logit(0.9) - logit(0.1)


def test_words_are_ordered_by_what_the_score_loses_without_them() -> None:
    scorer = WeighingScorer(disk=0.5, failed=3.0, badly=1.0, ok=-2.0, today=0.1)
    words = words_that_count(scorer, b"today disk ok failed badly")

    assert ["failed", "badly", "disk"] == [word.text for word in words]
    assert [3.0, 1.0, 0.5] == pytest.approx([word.drop for word in words], rel=1e-4)


def test_no_more_words_are_named_than_asked_for() -> None:
    scorer = WeighingScorer(a1=0, bad=4.0, worse=5.0, worst=6.0)

    assert ["worst", "worse"] == [
        word.text for word in words_that_count(scorer, b"bad worse worst", limit=2)
    ]


def test_a_word_that_comes_twice_is_left_out_in_both_places() -> None:
    scorer = KeywordScorer()
    words = words_that_count(scorer, b"error after error")

    assert ["error"] == [word.text for word in words]
    assert [b"error after error", b" after ", b"error  error"] == scorer.asked


def test_only_whole_words_are_left_out() -> None:
    scorer = KeywordScorer()
    words_that_count(scorer, b"in init begin")

    assert b" init begin" in scorer.asked


def test_kept_numbers_count_as_words() -> None:
    words = words_that_count(KeywordScorer(), b'a "GET / HTTP/.#" 5xx # "-"')

    assert ["5xx"] == [word.text for word in words]
    assert ["139"] == [
        word.text for word in words_that_count(KeywordScorer(), b"job #: exit code 139")
    ]


@pytest.mark.parametrize("template", [b"", b"# ::# - [*]", b"a b c # x"])
def test_a_template_without_words_is_not_explained_and_costs_nothing(template: bytes) -> None:
    scorer = KeywordScorer()

    assert [] == words_that_count(scorer, template)
    assert [] == scorer.asked


def test_a_template_of_ten_thousand_words_costs_no_more_than_one_of_fifty() -> None:
    hostile = b"error " + b" ".join(
        bytes((97 + index % 26, 97 + index // 26 % 26, 97 + index // 676))
        for index in range(10_000)
    )
    scorer = KeywordScorer()
    words = words_that_count(scorer, hostile)

    assert ["error"] == [word.text for word in words]
    assert len(scorer.asked) <= 49


@given(st.binary(max_size=300), st.integers(1, 6))
def test_no_template_makes_it_fail(template: bytes, limit: int) -> None:
    words = words_that_count(KeywordScorer(), template, limit)
    drops = [word.drop for word in words]

    assert len(words) <= limit
    assert sorted(drops, reverse=True) == drops
    assert all(drop > 0 for drop in drops)
