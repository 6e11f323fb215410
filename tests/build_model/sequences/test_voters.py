from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="voters need the [build] extra")

from logagent_build.sequences import choosing
from logagent_build.sequences.choosing import asked, distinct, drawn, hidden, rest
from logagent_build.sequences.training import Settings, train
from logagent_build.sequences.voters import Forest, Neighbours, Network, Tree, Voter, majority

from tests.build_model.sequences.made import sequences


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "TREES", 5)


@pytest.mark.parametrize("voter", [Neighbours(2), Tree(0), Network(0), Forest(0, 20)])
def test_a_voter_learns(voter: Voter) -> None:
    test = sequences(30, 30, seed=1)
    found = voter.fit(sequences()).predict(test)

    assert (found == test.anomalous).mean() > 0.8
    assert ((voter.score(test) >= 0) & (voter.score(test) <= 1)).all()


@pytest.mark.parametrize("make", [Tree, Network, lambda seed: Forest(seed, 10)])
def test_a_seed_repeats_a_voter(make: Callable[[int], Voter]) -> None:
    data, test = sequences(), sequences(seed=1)

    assert np.array_equal(make(4).fit(data).score(test), make(4).fit(data).score(test))


def test_settings_are_the_papers() -> None:
    network = Network(0).model

    assert Neighbours().model.n_neighbors == 2  # type: ignore[attr-defined]
    assert network.hidden_layer_sizes == (100,)  # type: ignore[attr-defined]
    assert (network.activation, network.solver) == ("relu", "adam")  # type: ignore[attr-defined]
    assert Tree(0).model.max_depth is None  # type: ignore[attr-defined]


def test_normal_sequences_alone_teach_nothing() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        Tree(0).fit(sequences(10, 0))


def test_a_tie_is_normal() -> None:
    yes, no = np.array([True]), np.array([False])

    assert majority([yes, yes, no, no]).tolist() == [False]
    assert majority([yes, yes, yes, no]).tolist() == [True]
    assert majority([yes, yes, no]).tolist() == [True]


def test_what_is_asked_is_distinct_and_rich_in_anomalies() -> None:
    data = sequences(200, 20)
    twice = data.only([*range(len(data)), *range(len(data))])
    which = asked(twice, 50, seed=0, common=1)

    assert len(which) == 50 == len(distinct(twice.only(which)))
    assert twice.only(which).anomalous.sum() > 3 * data.only(drawn(220, 50, 0)).anomalous.sum()


def test_only_labels_of_what_is_asked_are_read() -> None:
    data = sequences(60, 20)
    read: list[int] = []

    def label(
        which: np.ndarray[tuple[int], np.dtype[np.int64]],
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        read.extend(which.tolist())
        return data.anomalous[which]

    which = asked(data, 20, 0, label)

    assert sorted(read) == sorted(which.tolist())


def test_asking_ends_with_the_data_and_needs_no_anomaly() -> None:
    normal = sequences(20, 0)

    assert len(asked(normal, 50, 0)) == len(distinct(normal))
    assert len(asked(normal, 10, 0)) == 10


def test_the_rest_equals_nothing_that_was_chosen() -> None:
    data = sequences(20, 5)
    twice = data.only([*range(25), *range(25)])

    assert len(rest(twice, np.array([0, 1, 2]))) == 44


def test_the_forest_is_cut_where_few_normal_sequences_lie_above() -> None:
    def cut(false_alarms: float, least_cut: float) -> float:
        made = Settings(2, 10, false_alarms, least_cut, with_paper=False)
        return train(data, made).forest.cut

    data = sequences(100, 20)
    data.anomalous[::9] ^= True  # wrong labels: some normal sequences then score high

    assert cut(0.3, 0.0) < cut(0.0, 0.0)
    assert cut(0.3, 0.6) == pytest.approx(0.65)


def test_unlabelled_sequences_lower_the_cut_of_chosen_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "FEW", 0)  # ask for anomalies from the start
    data = sequences(100, 30)
    data.anomalous[::9] ^= True
    settings = Settings(2, 10, 0.1, 0.0, with_paper=False)
    hard = data.only(asked(data, 40, 0))
    easy = data.only(np.flatnonzero(~data.anomalous))

    assert train(hard, settings, 0, easy).forest.cut <= train(hard, settings, 0).forest.cut


def test_few_are_drawn_where_anomalies_are_common_and_asked_for_where_they_are_rare() -> None:
    def share(anomalies: int, most: int, common: float = choosing.COMMON) -> float:
        data = sequences(300, anomalies)
        return float(data.anomalous[asked(data, most, 0, common=common)].mean())

    assert 0.15 < share(150, 60) < 0.5
    assert share(150, 60, common=1) > 0.6
    assert share(15, 60) > 0.08  # drawn: 0.05


def test_hidden_anomalies_are_those_a_fair_sample_promises() -> None:
    data = sequences(150, 50)
    which = asked(data, 60, 0)
    left = int(data.anomalous.sum() - data.anomalous[which].sum())

    assert abs(hidden(data, which) - left) < 25
    assert hidden(sequences(20, 0), np.arange(20)) == 0


def test_of_many_labels_nothing_counts_as_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sequences(150, 50)
    which = asked(data, 40, 0)

    assert hidden(data, which) > 0
    monkeypatch.setattr(choosing, "FEW", 39)
    assert hidden(data, which) == 0


def test_hidden_anomalies_do_not_raise_the_cut() -> None:
    data = sequences(60, 40)
    settings = Settings(2, 10, 0.05, 0.3, with_paper=False)
    order = np.random.default_rng(0).permutation(len(data))
    some, rest_of = data.only(order[:50]), data.only(order[50:])
    many = int(rest_of.anomalous.sum())

    assert train(some, settings, 0, rest_of).forest.cut > 0.5
    assert train(some, settings, 0, rest_of, hidden=many).forest.cut < 0.5


def test_a_trained_ensemble_votes() -> None:
    test = sequences(30, 30, seed=1)
    trained = train(sequences(), Settings(trees=20))

    assert (trained.predict(test) == test.anomalous).mean() > 0.8
    assert (trained.vote(test) == test.anomalous).mean() > 0.8
    assert np.array_equal(trained.score(test) > trained.forest.cut, trained.predict(test))
