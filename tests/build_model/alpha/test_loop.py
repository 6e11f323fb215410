"""From lines to labels within a number of calls, and the feedback loop (Fig. 3, §IV-C1)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.belief import Reading, believe, doubtful_first
from logagent_build.alpha.curves import known_labels
from logagent_build.alpha.embeddings import embed, with_words
from logagent_build.alpha.labeller import Answer, Counted
from logagent_build.alpha.loop import Once, Settings, feedback, label_pool
from logagent_build.alpha.pool import Pool
from logagent_build.alpha.simulated import ErrorModel, Simulated

from .fakes import encode, log


def prepared(errors: ErrorModel | None = None):
    lines, truth = log()
    pool = Pool.of(lines)
    vectors = with_words(embed(pool.templates, encode), pool.templates)
    who = Counted(Simulated(known_labels(lines, truth), errors or ErrorModel(), 0))
    return pool, vectors, truth, who


@pytest.mark.parametrize("propagation", ["paper", "belief"])
def test_a_labeller_that_is_right_gives_right_labels(propagation: str) -> None:
    pool, vectors, truth, who = prepared()

    found = label_pool(pool, vectors, who, Settings(40, k=7, propagation=propagation))

    assert 0 == int((found.of_lines != truth).sum())
    assert found.calls == who.calls <= 40


@pytest.mark.parametrize("propagation", ["paper", "belief"])
@pytest.mark.parametrize("calls", [4, 7, 20])
def test_no_more_lines_are_asked_than_allowed(propagation: str, calls: int) -> None:
    pool, vectors, _, who = prepared(ErrorModel(0.4, 0.4, 0.0))

    label_pool(pool, vectors, who, Settings(calls, propagation=propagation))

    assert who.calls <= calls


def test_slips_of_the_labeller_are_outvoted() -> None:
    pool, vectors, truth, who = prepared(ErrorModel(0.2, 0.2, 0.0))

    found = label_pool(pool, vectors, who, Settings(90, sure=0.0))

    assert 0 == int((found.of_lines != truth).sum())


def test_a_persons_label_wins() -> None:
    pool, vectors, truth, who = prepared()

    found = label_pool(pool, vectors, who, Settings(30), reviewed={0: True})

    assert not truth[0]
    assert found.anomalous[0]
    assert frozenset({0}) == found.reviewed


def test_a_labeller_without_answers_leaves_all_in_doubt() -> None:
    pool, vectors, _, _ = prepared()

    found = label_pool(pool, vectors, lambda lines, _: [Answer(None)] * len(lines), Settings(20))

    assert not found.anomalous.any()
    assert 0.5 == found.wrong.min()
    assert all(each.doubtful for each in found.voted)


def test_the_same_run_asks_the_same_lines() -> None:
    """So a run that was stopped goes on from a store of answers."""
    asked: list[list[str]] = [[], []]
    for turn in asked:
        pool, vectors, _, who = prepared(ErrorModel(0.3, 0.3))

        def listening(lines, examples, turn=turn, who=who):
            turn.extend(lines)
            return who(lines, examples)

        label_pool(pool, vectors, listening, Settings(25))

    assert asked[0] == asked[1]


def test_no_text_is_asked_twice_with_the_same_examples() -> None:
    who = Counted(lambda lines, _: [Answer(True)] * len(lines))
    once = Once(who)

    once(["a", "b", "a"], [])
    once(["b", "c"], [])
    once(["a"], [("x", True)])

    assert 4 == who.calls == once.calls


def test_more_lines_are_used_until_the_target_is_met() -> None:
    lines, truth = log(30)
    who = Simulated(known_labels(lines, truth), ErrorModel())

    rounds = feedback(
        lines, encode, who, (lines[-70:], truth[-70:]), Settings(20), step=5, target_f1=0.99
    )

    used = [each.lines for each in rounds]
    assert [5 * (number + 1) for number in range(len(used))] == used
    assert all(each.scores.f1 < 0.99 for each in rounds[:-1])
    assert rounds[-1].scores.f1 >= 0.99 or used[-1] == len(lines)
    assert 1 < len(rounds) < 42


def test_the_loop_ends_with_the_data() -> None:
    lines, truth = log(3)
    who = Simulated(known_labels(lines, truth), ErrorModel(1.0, 1.0))

    rounds = feedback(lines, encode, who, (lines, truth), Settings(20), step=8)

    assert [8, 16, 21] == [each.lines for each in rounds]


def test_belief_reaches_its_neighbours_and_doubts_what_is_far() -> None:
    vectors = np.array([[1, 0], [0.99, 0.14], [-1, 0], [0, 1]], np.float32)

    found = believe(vectors, [Reading(0, True), Reading(0, True), Reading(2, False)])

    assert [True, True, False] == found.anomalous[:3].tolist()
    assert found.wrong[3] > found.wrong[1] > 0
    assert [3] == doubtful_first(vectors, found, np.ones(4, np.int64), np.ones(4, bool), 1)


def test_only_what_can_be_asked_is_asked() -> None:
    vectors = np.eye(3, dtype=np.float32)
    found = believe(vectors, [Reading(0, True)])

    askable = np.array([False, False, True])

    assert [2] == doubtful_first(vectors, found, np.ones(3, np.int64), askable, 5)


def test_many_labels_of_people_leave_room_to_ask() -> None:
    lines = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)} x".encode() for n in range(1500)]  # fmt: skip  # noqa: E501
    pool = Pool.of(lines)
    people = dict.fromkeys(range(1400), True)
    who = Counted(lambda asked, _: [Answer(False)] * len(asked))

    vectors = embed(pool.templates, encode)
    found = label_pool(pool, vectors, who, Settings(10, k=2), reviewed=people)

    assert 1500 == len(pool.templates)
    assert found.anomalous[:1400].all()
    assert 0 < who.calls <= 10


def test_asking_ends_where_few_lines_are_expected_to_be_wrong() -> None:
    calls = []
    for sure in (0.5, 0.0):
        pool, vectors, _, who = prepared()
        calls.append(label_pool(pool, vectors, who, Settings(100, k=7, m=1, sure=sure)).calls)

    assert 7 <= calls[0] < calls[1]


def test_votes_that_all_agree_are_not_certain_of_what_is_far() -> None:
    vectors = np.vstack([np.eye(30), -np.eye(30)]).astype(np.float32)

    found = believe(vectors, [Reading(entry, False) for entry in range(30)])

    assert found.wrong[30:].min() > 0.02 > found.wrong[:30].max()
