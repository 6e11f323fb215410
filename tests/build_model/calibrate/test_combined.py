from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="clusters need the [build] extra")

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent_build.alpha.detectors import scores
from logagent_build.alpha.pool import shown
from logagent_build.calibrate.combined import Combining, combine
from logagent_build.calibrate.queries import Answer, Query
from logagent_build.calibrate.simulated import HELPFUL, USELESS, Errors, Simulated

from .made import entries

RIGHT = Errors(wrong_normal=1e-6, wrong_anomalous=1e-6, noise=0.0)


class Asked:
    """An annotator that remembers the exchanges."""

    def __init__(self, ask) -> None:
        self._ask = ask
        self.exchanges: list[list[Query]] = []

    def __call__(self, queries):
        self.exchanges.append(list(queries))
        return self._ask(queries)

    @property
    def queries(self) -> list[Query]:
        return [query for exchange in self.exchanges for query in exchange]


def simulated(found, truth, errors=HELPFUL, seed=0):
    return Simulated.of(found, truth, [shown(line) for line in found.lines], errors, seed)


def f1(anomalous, truth, found) -> float:
    return scores(anomalous, truth, found.count).f1


@pytest.fixture(scope="module")
def made():
    return entries(systems=4, size=70)


def test_few_calls_label_better_than_asking_about_every_template_once(made) -> None:
    found, truth = made
    ask = simulated(found, truth)
    once = [bool(x.anomalous) for x in ask([Query(shown(line)) for line in found.lines])]

    got = combine(found, ask, Combining(120, rounds=5))

    assert got.calls <= 120 < len(found) / 2
    assert f1(got.anomalous, truth, found) > f1(np.array(once), truth, found) + 0.1


def test_a_right_annotator_is_followed_with_few_calls(made) -> None:
    found, truth = made

    got = combine(found, simulated(found, truth, RIGHT), Combining(120, rounds=5))

    assert f1(got.anomalous, truth, found) > 0.97


@settings(max_examples=12, deadline=None)
@given(
    st.integers(4, 60), st.integers(2, 5), st.floats(0.05, 0.9), st.integers(0, 9), st.booleans()
)
def test_neither_calls_nor_rounds_are_exceeded_and_each_question_is_new(
    calls, rounds, first, seed, answers
) -> None:
    found, truth = entries(systems=2, size=20, seed=seed)
    ask = Asked(
        simulated(found, truth) if answers else lambda queries: [Answer(None)] * len(queries)
    )

    got = combine(found, ask, Combining(calls, rounds, first, least=0.0, seed=seed))

    assert got.calls == len(ask.queries) <= calls
    assert len(got.rounds) == len(ask.exchanges) <= rounds
    assert [each.calls for each in got.rounds] == [len(each) for each in ask.exchanges]
    assert len(set(ask.queries)) == len(ask.queries)
    assert got.soft.shape == (len(found),)
    assert ((got.soft >= 0) & (got.soft <= 1)).all()
    np.testing.assert_array_equal(got.anomalous, got.soft > 0.5)
    np.testing.assert_allclose(got.wrong, np.minimum(got.soft, 1 - got.soft))


def test_the_same_answers_lead_to_the_same_questions(made) -> None:
    found, truth = made
    first, second = (Asked(simulated(found, truth)) for _ in range(2))

    one, other = (combine(found, ask, Combining(60, rounds=4)) for ask in (first, second))

    assert first.exchanges == second.exchanges
    np.testing.assert_array_equal(one.soft, other.soft)


def test_a_persons_label_wins_is_never_asked_about_and_reaches_its_neighbours(made) -> None:
    found, truth = made
    ask = Asked(simulated(found, truth, USELESS))
    people = {at: bool(truth[at]) for at in range(0, len(found), 3)} | {0: not truth[0]}

    got = combine(found, ask, Combining(40, rounds=3), reviewed=people)

    assert all(got.anomalous[at] == label and got.wrong[at] == 0 for at, label in people.items())
    lines = {shown(found.lines[at]) for at in people}
    assert not lines & {query.line for query in ask.queries}
    others = np.setdiff1d(np.arange(len(found)), list(people))
    alone = combine(found, simulated(found, truth, USELESS), Combining(40, rounds=3))
    far, near = (abs(each.soft - truth)[others].mean() for each in (alone, got))
    assert near < 0.8 * far


def test_where_people_labelled_all_centres_others_are_asked_about() -> None:
    found, truth = entries(systems=2, size=20)
    first = Asked(simulated(found, truth))
    combine(found, first, Combining(40, rounds=3))
    number = {shown(line): at for at, line in enumerate(found.lines)}
    people = {number[query.line]: False for query in first.exchanges[0]}
    ask = Asked(simulated(found, truth))

    combine(found, ask, Combining(40, rounds=3), reviewed=people)

    assert ask.exchanges
    assert not set(people) & {number[query.line] for query in ask.queries}


def test_where_people_labelled_everything_nobody_is_asked() -> None:
    found, truth = entries(systems=2, size=20)
    ask = Asked(simulated(found, truth))

    got = combine(found, ask, Combining(40), reviewed=dict(enumerate(truth.tolist())))

    assert not ask.exchanges
    np.testing.assert_array_equal(got.anomalous, truth)


def test_a_persons_label_of_no_entry_is_refused(made) -> None:
    found, truth = made

    with pytest.raises(ValueError, match="none of the 280"):
        combine(found, simulated(found, truth), Combining(40, rounds=3), reviewed={280: True})


def test_asking_ends_by_itself_when_little_is_to_gain(made) -> None:
    found, truth = made
    few = dataclasses.replace(found, count=np.ones(len(found), np.int64))

    got = combine(few, simulated(found, truth, RIGHT), Combining(2000))

    assert got.calls < 400
    assert all(each.gain >= Combining(4).least for each in got.rounds[2:])


def test_examples_are_labelled_as_is_thought_and_never_the_line_itself(made) -> None:
    found, truth = made
    ask = Asked(simulated(found, truth, RIGHT))

    combine(found, ask, Combining(300, rounds=5, least=0.0))

    shown_with = [query for query in ask.queries if query.kind in ("induce", "filter")]
    assert shown_with
    for query in shown_with:
        assert query.examples
        assert query.line not in {line for line, _ in query.examples}
        if query.kind == "filter":
            assert not any(label for _, label in query.examples)
    label = dict(zip(map(shown, found.lines), truth.tolist(), strict=True))
    right = [label[line] is said for query in shown_with for line, said in query.examples]
    assert np.mean(right) > 0.85


def test_refine_shows_the_lines_around(made) -> None:
    found, truth = made
    ask = Asked(simulated(found, truth))

    combine(found, ask, Combining(300, rounds=5, least=0.0))

    some = [query for query in ask.queries if query.kind == "refine"]
    assert some
    assert all(query.line in query.sequence and len(query.sequence) > 1 for query in some)


def test_an_answer_missing_is_an_error(made) -> None:
    found, _ = made

    with pytest.raises(ValueError, match="questions"):
        combine(found, lambda queries: [Answer(True)] * (len(queries) - 1), Combining(40, rounds=3))


def test_progress_ends_at_one(made) -> None:
    found, truth = made
    told: list[float] = []

    combine(found, simulated(found, truth), Combining(40, rounds=3), told.append)

    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize("wrong", [{"calls": 3}, {"rounds": 1}, {"first": 0.0}, {"least": -1.0}])
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="calls"):
        Combining(**({"calls": 40} | wrong))
