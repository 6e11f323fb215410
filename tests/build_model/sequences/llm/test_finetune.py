"""Files that models are fine-tuned on, written and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs the [build] extra")

from logagent.errors import ConfigError
from logagent_build.sequences.llm.finetune import checked, conversations, write
from logagent_build.sequences.llm.shown import Showing
from logagent_build.sequences.llm.voter import LLMVoter, Options

from .sequences_of import Fake, reply, sequences

DATA = sequences(*(f"{'x!' if at % 3 == 0 else ''}open e{at} close" for at in range(30)))
VOTER = LLMVoter(Fake(lambda _prompt: reply("0")), Options(shots=0))
GOOD = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "u"},
    {"role": "assistant", "content": "normal"},
]


def test_an_example_is_the_prompt_that_is_asked_and_the_label(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    counts = write(path, DATA, VOTER.maker())
    made = conversations(path)
    asked = {
        tuple((each.role, each.text) for each in prompt.messages) for prompt in VOTER.prompts(DATA)
    }

    assert asked == {one.messages for one in made}
    assert {"written": 30, "anomalous": 10, "equal": 0, "torn": 0, "alike": 0} == counts
    assert 10 == sum(one.label == "anomalous" for one in made)
    found = checked(path)
    assert (30, 10) == (found.examples, found.anomalous)
    assert 30 * 200 < found.tokens < 30 * found.longest_tokens + 1 < 30 * 800
    assert 0o600 == path.stat().st_mode & 0o777


def test_equal_sequences_are_written_once_and_those_with_both_labels_never(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"

    counts = write(path, sequences("a", "a", "b", "x!b", "x!c"), VOTER.maker())

    assert {"written": 2, "anomalous": 1, "equal": 2, "torn": 1, "alike": 0} == counts
    assert "[b]" not in path.read_text()


def test_what_looks_alike_in_prompts_with_both_labels_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    voter = LLMVoter(Fake(lambda _prompt: reply("0")), Options(Showing(longest=2), shots=0))
    data = sequences("a b c", "x!a d c", "a b f", *(f"e{at}" for at in range(10)))

    counts = write(path, data, voter.maker())

    assert {"written": 11, "anomalous": 0, "equal": 0, "torn": 0, "alike": 2} == counts
    assert 11 == len(conversations(path))


@pytest.mark.parametrize(("most", "said"), [(3, "3 examples"), (None, "all examples are normal")])
def test_what_nobody_can_train_on_replaces_nothing(
    tmp_path: Path, most: int | None, said: str
) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("good ones")
    data = sequences(*(f"e{at}" for at in range(20)))

    with pytest.raises(ConfigError, match=said):
        write(path, data, VOTER.maker(), most, least=10)
    assert "good ones" == path.read_text()


def test_a_draw_is_seeded(tmp_path: Path) -> None:
    texts = []
    for seed in (1, 1, 2):
        assert 12 == write(tmp_path / "d", DATA, VOTER.maker(), 12, seed)["written"]
        texts.append((tmp_path / "d").read_text())

    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (GOOD[:2], "expected perhaps"),
        ([*GOOD, *GOOD[1:]], "expected perhaps"),
        ([GOOD[0] | {"role": "robot"}, *GOOD[1:]], "roles are"),
        ([*GOOD[:2], GOOD[2] | {"content": "fine"}], "neither normal nor anomalous"),
        ([GOOD[0] | {"content": 3}, *GOOD[1:]], "roles are"),
        ([*GOOD[:2], GOOD[2] | {"content": "anomalous"}], "another label"),
        ("hello", "no conversation"),
    ],
)
def test_a_line_that_is_no_example_is_named(tmp_path: Path, messages: object, said: str) -> None:
    path = tmp_path / "d.jsonl"
    rows = [{"messages": GOOD}, {"messages": messages}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    with pytest.raises(ConfigError, match=f":2: .*{said}"):
        checked(path)


def test_too_few_examples_or_one_label_only_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"messages": GOOD}) + "\n")
    with pytest.raises(ConfigError, match="1 examples; fine-tuning wants at least 10"):
        checked(path)
    write(path, sequences(*(f"e{at}" for at in range(12))), VOTER.maker())
    with pytest.raises(ConfigError, match="all examples are normal"):
        checked(path)
    path.write_text('{"messages": [], "weight": 1}\n')
    with pytest.raises(ConfigError, match="messages, and nothing else"):
        checked(path)
