"""A language model as a voter: what is asked, what is believed, what it costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the [build] extra")

from logagent.errors import ConfigError
from logagent_build.annotate.batch import BatchFiles
from logagent_build.annotate.errors import WaitForResponses
from logagent_build.annotate.protocol import Failure, Outcome, Prompt
from logagent_build.annotate.recorded import Recorded, Store
from logagent_build.sequences.llm.label_word import read_word
from logagent_build.sequences.llm.prompt import read_sequence
from logagent_build.sequences.llm.shots import Shots
from logagent_build.sequences.llm.simulated import (
    SequenceErrors,
    SimulatedSequences,
    read_errors,
)
from logagent_build.sequences.llm.voter import LLMVoter, Options
from logagent_build.sequences.llm.votes import RecordedVoter, read_votes, write_votes

from .sequences_of import Fake, reply, sequences

DATA = sequences("open read close", "web!open execve", "open read close", "open stat")
TRAIN = sequences(
    "open read", "open read read", "write close", "web!open execve connect", "ftp!socket connect",
    "ftp!socket connect connect", "open read",
)  # fmt: skip


def sees_execve(prompt: Prompt) -> Outcome:
    return reply("anomalous" if "execve" in (read_sequence(prompt.messages[1].text) or "") else "0")


def test_each_distinct_sequence_is_asked_once_and_all_in_one_exchange() -> None:
    fake = Fake(sees_execve)
    voter = LLMVoter(fake)

    assert [False, True, False, False] == voter.predict(DATA).tolist()
    assert [3] == fake.waves
    assert 3 == voter.asked


def test_examples_of_both_classes_stand_in_the_prompts_after_fit() -> None:
    fake = Fake(sees_execve)
    LLMVoter(fake, Options(shots=4)).fit(TRAIN).predict(DATA)
    text = fake.prompts[0].messages[1].text

    assert (2, 2) == (text.count("label: normal\n"), text.count("label: anomalous\n"))
    assert (
        "Examples"
        not in LLMVoter(fake, Options(shots=0)).fit(TRAIN).prompts(DATA)[0].messages[1].text
    )


@pytest.mark.parametrize("how", ["balanced", "similar"])
def test_no_sequence_is_an_example_for_itself(how: str) -> None:
    data = sequences("a b", "b a", "x!a b a", "x!b b")
    shots = Shots(data, 4, how)

    for at in range(4):
        names = [data.vocabulary[number] for number in data.events[at]]
        shown = [shot.names for shot in shots(names)]
        assert tuple(names) not in shown
        assert 3 == len(set(shown))


def test_similar_examples_are_the_nearest_of_either_class_the_nearest_last() -> None:
    shots = Shots(TRAIN, 2, "similar")(["socket", "connect", "connect", "connect"])
    assert {True: ("socket", "connect", "connect")} == {s.anomalous: s.names for s in shots[1:]}
    nearest = Shots(TRAIN, 2, "similar")(["open", "read", "read", "never seen"])
    assert ("open", "read", "read") == nearest[-1].names
    assert {False, True} == {shot.anomalous for shot in nearest}


def test_balanced_examples_are_of_many_kinds_without_repetition_and_seeded() -> None:
    shots = Shots(TRAIN, 4, "balanced", 3)([])

    assert 4 == len(set(shots))
    assert [2, 2] == [sum(s.anomalous is label for s in shots) for label in (False, True)]
    assert any("execve" in shot.names for shot in shots)
    assert shots == Shots(TRAIN, 4, "balanced", 3)(["other"])
    assert 6 == len(Shots(TRAIN, 99, "balanced")([]))
    assert 3 == len(Shots(sequences("a", "b", "c", "d"), 3)([]))
    with pytest.raises(ConfigError, match="none of balanced, similar"):
        Shots(TRAIN, 4, "best")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("normal", False), ("Anomalous.", True), ('"abnormal"', True), ("0", False), ("1\n", True),
        ("label: anomalous\n\nIt opens a shell.", True), ("<think>0</think>\nanomalous", True),
        ("The sequence is normal", None), ("", None), ("normal or anomalous", None), ("10", None),
        ("not anomalous", None), ("normal\x00", None),
    ],
)  # fmt: skip
def test_only_an_explicit_label_is_a_label(text: str, said: bool | None) -> None:
    assert said is read_word(text)


def test_a_reply_cut_in_its_first_line_is_no_label() -> None:
    assert read_word("normal", "length") is None
    assert read_word("normal\nbecause", "length") is False


def test_what_stays_unclear_is_asked_at_rising_temperature_then_normal_and_counted() -> None:
    fake = Fake(lambda _prompt: reply("it may be an attack"))
    voter = LLMVoter(fake)
    votes = voter.votes(sequences("web!execve"))

    assert [0.1, 0.2, 0.4, 0.6, 0.8, 1.0] == [prompt.temperature for prompt in fake.prompts]
    assert ("gave up", False, 6) == (votes[0].how, votes[0].anomalous, votes[0].asked)
    assert {"prompts": 6, "unclear": 6, "asked again": 5, "gave up": 1} == voter.counts


def test_only_the_unclear_ones_are_asked_again() -> None:
    def answer(prompt: Prompt) -> Outcome:
        return reply("hm") if prompt.temperature < 0.3 else sees_execve(prompt)

    fake = Fake(
        lambda p: answer(p) if "execve" in (read_sequence(p.messages[1].text) or "") else reply("0")
    )

    assert [False, True, False, False] == LLMVoter(fake).predict(DATA).tolist()
    assert [3, 1, 1] == fake.waves


def test_a_tie_of_samples_is_normal_and_the_share_is_kept() -> None:
    fake = Fake(lambda prompt: reply("1" if prompt.sample == 0 else "0"))
    vote = LLMVoter(fake, Options(samples=2)).votes(sequences("a"))[0]

    assert (False, "majority", 0.5) == (vote.anomalous, vote.how, vote.share)
    assert LLMVoter(Fake(lambda p: reply("01"[p.sample < 2])), Options(samples=3)).predict(
        sequences("a")
    )[0]


def test_a_refused_sequence_is_counted_and_predicted_normal() -> None:
    fake = Fake(lambda _prompt: Failure("no", retryable=False))
    voter = LLMVoter(fake)

    assert [None] == [vote.anomalous for vote in voter.votes(sequences("a"))]
    assert [False] == voter.predict(sequences("a")).tolist()
    assert [1, 1] == fake.waves
    passing = Fake(lambda p: reply("1") if p.temperature > 0.3 else Failure("busy", retryable=True))
    assert [True] == LLMVoter(passing).predict(sequences("a")).tolist()


def test_all_sequences_are_one_batch_file_and_a_store_pays_nothing_twice(tmp_path: Path) -> None:
    requests = tmp_path / "r.jsonl"
    with pytest.raises(WaitForResponses) as stopped:
        LLMVoter(BatchFiles("m", requests)).predict(DATA)
    assert 3 == stopped.value.requests == len(requests.read_text().splitlines())
    fake = Fake(sees_execve)
    with Store(tmp_path / "s.sqlite") as store:
        for _ in range(2):
            LLMVoter(Recorded(store, fake)).fit(TRAIN).predict(DATA)
    assert 3 == len(fake.prompts)


def test_recorded_votes_are_those_of_the_model_and_survive_new_numbering(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    voter = LLMVoter(Fake(sees_execve))
    write_votes(path, voter.votes(DATA))
    again = sequences("web!open execve", "open stat", "open read close")

    recorded = RecordedVoter(read_votes(path)).fit(TRAIN)

    assert [True, False, False] == recorded.predict(again).tolist()
    assert [1.0, 0.0, 0.0] == recorded.score(again).tolist() == voter.score(again).tolist()
    assert 3 == len(path.read_text().splitlines())
    with pytest.raises(ConfigError, match="no recorded vote on 1 of 1"):
        recorded.predict(sequences("read open close"))
    path.write_text('{"sequence": "00"}\n')
    with pytest.raises(ConfigError, match=":1: no vote"):
        read_votes(path)


def many(count: int = 400) -> tuple[list[str], list[bool]]:
    return [f"[a{at}, b]" for at in range(count)], [at % 2 == 0 for at in range(count)]


def test_a_simulation_errs_as_often_as_stated_and_always_the_same_way() -> None:
    data = sequences(*(f"{'x!' if at % 2 else ''}e{at} f" for at in range(600)))
    errors = SequenceErrors(0.1, 0.4, alike=0.0, unclear=0.3, seed=1)
    first = LLMVoter(Fake(lambda _prompt: reply("0")))
    simulated = SimulatedSequences(first.texts(data), data.anomalous.tolist(), errors)
    voter = LLMVoter(simulated)
    said = voter.predict(data)

    assert simulated.model.startswith("simulated")
    assert abs((said & ~data.anomalous).sum() / 300 - 0.1) < 0.05
    assert abs((~said & data.anomalous).sum() / 300 - 0.4) < 0.08
    assert 200 < voter.counts["unclear"] < 320
    assert np.array_equal(said, LLMVoter(simulated).predict(data))


def test_alike_sequences_are_misread_together() -> None:
    data = sequences(*(f"x!e{at // 2} {'f f' if at % 2 else 'f'}" for at in range(200)))
    texts = LLMVoter(Fake(sees_execve)).texts(data)
    together = SimulatedSequences(texts, data.anomalous.tolist(), SequenceErrors(0, 0.5, alike=1.0))
    said = LLMVoter(together).predict(data)

    assert np.array_equal(said[::2], said[1::2])
    assert 20 < said[::2].sum() < 80


def test_a_simulation_knows_only_its_own_sequences_and_says_which_are_torn() -> None:
    simulated = SimulatedSequences(["[a]", "[a]"], [False, True], SequenceErrors())

    assert 1 == simulated.torn
    assert [True] == LLMVoter(simulated).predict(sequences("a")).tolist()
    voter = LLMVoter(simulated)
    assert "refused" == voter.votes(sequences("b"))[0].how
    for text in ("normal=2", "colour=1", "seed=x", "normal"):
        with pytest.raises(ConfigError, match="simulated"):
            read_errors(text)
    assert SequenceErrors(0.2, 0.1, 0.5, 0.0, 3) == read_errors("normal=0.2,anomalous=0.1,seed=3")


def test_a_selection_that_is_none_is_refused_though_there_are_no_examples() -> None:
    with pytest.raises(ConfigError, match="none of balanced, similar"):
        Options(selection="best")
