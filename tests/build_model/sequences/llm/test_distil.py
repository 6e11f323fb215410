"""Votes as labels for other models."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the [build] extra")

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.distil import distilled, joined
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.simulated import SequenceErrors, SimulatedSequences
from logagent_build.sequences.llm.voter import LLMVoter, Options
from logagent_build.sequences.llm.votes import Vote
from sklearn.linear_model import LogisticRegression

from .sequences_of import Fake, reply, sequences

UNLABELLED = sequences("a b", "c", "d d", "e", "f", "a b")


def votes(*shares: tuple[int, int] | None) -> dict[bytes, Vote]:
    """Make votes of pairs: replies that said anomalous, and replies."""
    made = {}
    for key, share in zip(keys(UNLABELLED), shares, strict=False):
        if share is not None:
            yes, every = share
            made[key] = Vote(key, 2 * yes > every, every, yes, "agreed", every)
    return made


def test_hard_labels_are_the_majoritys_and_equal_sequences_stay_as_many() -> None:
    made = distilled(UNLABELLED, votes((0, 3), (3, 3), (1, 3)))

    assert [False, True, False, False] == made.data.anomalous.tolist()
    assert ["a b", "c", "d d", "a b"] == words(made.data)
    assert [1, 1, 1, 1] == made.weights.tolist()


def test_soft_labels_share_a_sequence_between_both_classes() -> None:
    made = distilled(UNLABELLED, votes(None, (3, 4), (0, 4)), soft=True, weight=0.5)

    assert ["c", "c", "d d"] == words(made.data)
    assert [True, False, False] == made.data.anomalous.tolist()
    assert [0.375, 0.125, 0.5] == made.weights.tolist()


def test_what_was_refused_unclear_or_unsure_is_left_out() -> None:
    known = votes((0, 0), None, (2, 3), (3, 3))
    refused = keys(UNLABELLED)[4]
    known[refused] = Vote(refused, None, 0, 0, "refused", 1)

    assert ["d d", "e"] == words(distilled(UNLABELLED, known).data)
    assert ["e"] == words(distilled(UNLABELLED, known, sure=0.9).data)
    assert ["c", "e"] == words(distilled(UNLABELLED, known | votes(None, (0, 3)), sure=0.9).data)


def test_labels_of_people_win_and_come_first() -> None:
    labelled = sequences("x!c", "z y")

    made = distilled(UNLABELLED, votes(None, (0, 1), (1, 1)), labelled, weight=0.25)

    assert ["c", "z y", "d d"] == words(made.data)
    assert [True, False, True] == made.data.anomalous.tolist()
    assert ("x", "normal", "voted anomalous") == made.data.kinds
    assert [1, 1, 0.25] == made.weights.tolist()


def test_joined_data_has_each_event_once() -> None:
    both = joined(sequences("a b"), sequences("c b", "x!a"))

    assert ("a", "b", "c") == both.vocabulary
    assert ["a b", "c b", "a"] == words(both)
    assert [False, False, True] == both.anomalous.tolist()


def words(data: Sequences) -> list[str]:
    return [" ".join(data.vocabulary[at] for at in events) for events in data.events]


def counts(data: Sequences) -> np.ndarray:
    wide = max(len(data.vocabulary), 40)
    return np.array([np.bincount(events, minlength=wide) for events in data.events])


def drawn(seed: int, count: int) -> Sequences:
    """Draw sequences; those with more of the attack's events are anomalous."""
    source = np.random.default_rng(seed)
    label = source.random(count) < 0.4
    events = []
    for bad in label:
        attack = 0.2 if bad else 0.05  # share of the last five events
        chances = np.r_[np.full(35, (1 - attack) / 35), np.full(5, attack / 5)]
        events.append(source.choice(40, 20, p=chances).astype(np.int32))
    return Sequences(
        "drawn", events, label,
        tuple("x" if bad else "normal" for bad in label), tuple(f"e{at}" for at in range(40)),
    )  # fmt: skip


def test_votes_of_a_simulated_model_train_a_cheap_voter_better_than_few_labels() -> None:
    few, pool, test = drawn(1, 20), drawn(2, 400), drawn(3, 400)
    nobody = LLMVoter(Fake(lambda _prompt: reply("0")))
    simulated = SimulatedSequences(
        nobody.texts(pool), pool.anomalous.tolist(), SequenceErrors(0.1, 0.1, alike=0.0)
    )
    voter = LLMVoter(simulated, Options(shots=0))
    recorded = {vote.sequence: vote for vote in voter.votes(pool)}
    blind = Sequences(pool.name, pool.events, ~pool.anomalous, pool.kinds, pool.vocabulary)
    made = distilled(blind, recorded, few)

    def right(data: Sequences, weights: np.ndarray) -> float:
        model = LogisticRegression(C=0.1).fit(counts(data), data.anomalous, weights)
        return float((model.predict(counts(test)) == test.anomalous).mean())

    assert len(made.data) > 400
    assert right(made.data, made.weights) > right(few, np.ones(len(few))) + 0.03
