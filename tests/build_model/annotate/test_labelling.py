"""From lines to labels, with models that answer well, badly, or not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.errors import ConfigError
from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.fence import read_block
from logagent_build.annotate.guard import canary_label
from logagent_build.annotate.labelling import Example, Label, Options, first_prompts, label
from logagent_build.annotate.prompt_files import load
from logagent_build.annotate.protocol import Outcome, Prompt
from logagent_build.annotate.recorded import Recorded, Store

from .fakes import Fake, refusal, reply
from .server import Model, truth

LINES = [f"unit {n} {'fails' if n % 3 == 0 else 'works'}" for n in range(50)]
TRUTH = [n % 3 == 0 for n in range(50)]


def labels(lines: list[Any], model: Fake | Model | None = None, **given: Any) -> list[Label]:
    annotator = model if isinstance(model, Fake) else Fake(model)
    names = ("lines_per_prompt", "isolation", "seed", "canaries", "longest_line")
    options = Options(**{name: given.pop(name) for name in names if name in given})
    return label(lines, annotator, given.pop("prompt", load("loggpt")), options=options, **given)


def said(made: list[Label]) -> list[bool | None]:
    return [each.anomalous for each in made]


@pytest.mark.parametrize("isolation", ["alone", "checked", "trusted"])
@pytest.mark.parametrize("votes", [1, 2, 3])
@pytest.mark.parametrize("lines_per_prompt", [1, 7, 20, 500])
def test_a_model_that_is_right_labels_rightly(
    isolation: str, votes: int, lines_per_prompt: int
) -> None:
    made = labels(LINES, votes=votes, isolation=isolation, lines_per_prompt=lines_per_prompt)

    assert TRUTH == said(made)
    assert all(each.votes >= votes for each in made)


@pytest.mark.parametrize(
    ("isolation", "prompts"), [("alone", 50), ("checked", 20), ("trusted", 10)]
)
def test_it_costs_as_many_prompts_as_stated(isolation: str, prompts: int) -> None:
    fake = Fake()
    labels(LINES, fake, isolation=isolation, lines_per_prompt=5)

    assert [prompts] == fake.waves
    expected = first_prompts(
        LINES, load("loggpt"), options=Options(isolation=isolation, lines_per_prompt=5)
    )
    assert expected == fake.prompts


def test_equal_lines_are_asked_once() -> None:
    fake = Fake()
    made = labels([b"a fails", "a fails", "b", "a fails"], fake, isolation="trusted")

    assert [True, True, False, True] == said(made)
    assert ["a fails", "b"] == list(read_block(fake.prompts[0].messages[-1].text).values())


def test_no_lines_ask_nothing() -> None:
    fake = Fake()

    assert [] == labels([], fake)
    assert [] == fake.waves


class Skips(Model):
    """Answers for every other line only, in reverse order, with an id too many."""

    def labels(self, lines: dict[str, str]) -> dict[str, bool]:
        right = super().labels(lines)
        kept = [n for k, n in enumerate(lines) if k % 2 or canary_label(lines[n]) is not None]
        return {name: right[name] for name in reversed(kept or [*lines])} | {"z9z9": True}


@pytest.mark.parametrize("isolation", ["checked", "trusted"])
def test_skipped_lines_are_asked_again(isolation: str) -> None:
    counts: Counter[str] = Counter()
    made = labels(LINES, Skips(), isolation=isolation, counts=counts)

    assert TRUTH == said(made)
    assert {"agreed"} == {each.how for each in made}
    assert counts["asked again"] > 20
    assert counts["invented"] > 0


def test_what_stays_unclear_is_asked_at_rising_temperature_then_normal_and_counted() -> None:
    """FlexLog §4.3.2: 0.2 to 1.0 in steps of 0.2."""
    counts: Counter[str] = Counter()
    fake = Fake(lambda _prompt, _n: reply("I would rather not say."))
    made = labels(["it fails"], fake, isolation="trusted", counts=counts)

    assert [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] == [each.temperature for each in fake.prompts]
    assert [Label(anomalous=False, votes=0, votes_anomalous=0, how="gave up")] == made
    assert 1 == counts["gave up"]


def test_unclear_once_is_enough_of_a_reason_to_ask_again_and_no_more() -> None:
    def second(prompt: Prompt, number: int) -> Outcome:
        ids = read_block(prompt.messages[-1].text)
        return reply("\n".join(f"{n}: {'maybe' if number == 0 else 'anomalous'}" for n in ids))

    fake = Fake(second)

    assert [True] == said(labels(["x"], fake, isolation="trusted"))
    assert [0.0, 0.2] == [each.temperature for each in fake.prompts]


def test_a_cut_reply_is_asked_again_in_halves() -> None:
    def short(prompt: Prompt, _n: int) -> Outcome:
        lines = read_block(prompt.messages[-1].text)
        text = Model().text(lines, {})
        return reply(text) if len(lines) < 10 else reply(text[:50], "length")

    made = labels(LINES, Fake(short), isolation="checked", lines_per_prompt=30)

    assert TRUTH == said(made)


def test_a_line_that_is_refused_takes_no_other_with_it() -> None:
    def prude(prompt: Prompt, _n: int) -> Outcome:
        lines = read_block(prompt.messages[-1].text)
        bad = any("unit 7 " in line for line in lines.values())
        return refusal() if bad else reply(Model().text(lines, {}))

    counts: Counter[str] = Counter()
    made = labels(LINES, Fake(prude), counts=counts)

    assert [*TRUTH[:7], None, *TRUTH[8:]] == said(made)
    assert "refused" == made[7].how
    assert 1 == counts["refused"]


def test_passing_failures_are_asked_again() -> None:
    fake = Fake(
        lambda prompt, n: (
            refusal(retryable=True)
            if n < 3
            else reply(Model().text(read_block(prompt.messages[-1].text), {}))
        )
    )

    assert TRUTH == said(labels(LINES, fake))


class Changes(Model):
    """Says of unit 9 what depends on who stands beside it."""

    def labels(self, lines: dict[str, str]) -> dict[str, bool]:
        right = super().labels(lines)
        return {
            name: ("unit 8 " not in str(lines.values())) if "unit 9 " in line else right[name]
            for name, line in lines.items()
        }


def test_where_neighbours_matter_the_line_alone_decides() -> None:
    made = labels(LINES, Changes(), lines_per_prompt=5)

    assert "alone" == made[9].how
    assert made[9].anomalous is True
    assert 1 == sum(each.how == "alone" for each in made)


class Shy(Model):
    """Has no answer for units 9 and 11 where both stand, and a wrong one elsewhere but alone."""

    def labels(self, lines: dict[str, str]) -> dict[str, bool]:
        shy = [name for name, line in lines.items() if line.startswith(("unit 9 ", "unit 11 "))]
        right = super().labels(lines)
        if len(shy) == 2:
            return {name: label for name, label in right.items() if name not in shy}
        return {n: not v if n in shy and len(lines) > 1 else v for n, v in right.items()}


def test_a_line_without_an_answer_among_some_is_asked_alone() -> None:
    """What is said of it among the others is not all there is to hear."""
    made = labels(LINES, Shy(), lines_per_prompt=7)

    assert TRUTH == said(made)
    assert ["alone", "alone"] == [made[9].how, made[11].how]


class Wrong(Model):
    """Gets all wrong where there are many lines, known ones too."""

    def labels(self, lines: dict[str, str]) -> dict[str, bool]:
        return {name: truth(line) is (len(lines) == 1) for name, line in lines.items()}


def test_a_reply_that_gets_a_known_line_wrong_is_not_believed() -> None:
    counts: Counter[str] = Counter()
    made = labels(LINES, Wrong(), counts=counts)

    assert TRUTH == said(made)
    assert {"alone"} == {each.how for each in made}
    assert 2 * 8 - 1 == counts["canary wrong"]  # of seven lines each, but the last of one
    assert [not each for each in TRUTH] == said(labels(LINES, Wrong(), isolation="trusted"))


def test_majority_decides_and_a_tie_is_normal() -> None:
    answers = iter([True, False, True, True, False])
    fake = Fake(
        lambda prompt, _n: reply(
            json.dumps(
                {
                    "labels": [
                        {"id": name, "anomalous": next(answers)}
                        for name in read_block(prompt.messages[-1].text)
                    ]
                }
            )
        )
    )
    (three,) = labels(["x"], fake, votes=3, isolation="trusted")
    (two,) = labels(["x"], fake, votes=2, isolation="trusted")

    assert (True, 3, 2, "majority") == (
        three.anomalous,
        three.votes,
        three.votes_anomalous,
        three.how,
    )
    assert (False, 2, 1) == (two.anomalous, two.votes, two.votes_anomalous)


def test_reasons_are_handed_on() -> None:
    def why(prompt: Prompt, _n: int) -> Outcome:
        ids = read_block(prompt.messages[-1].text)
        rows = [{"id": n, "reason": "disk is full", "anomalous": True} for n in ids]
        return reply(json.dumps({"labels": rows}))

    (made,) = labels(["x"], Fake(why), prompt=load("logprompt"), isolation="alone")

    assert "disk is full" == made.reason


def test_examples_stand_in_the_prompt_and_are_not_labelled() -> None:
    fake = Fake()
    shots = [
        Example("disk broke", anomalous=True, reason="it broke"),
        Example("up", anomalous=False),
    ]
    made = labels(LINES, fake, prompt=load("fs-cot"), few_shot=shots)
    text = fake.prompts[0].messages[-1].text

    assert TRUTH == said(made)
    assert "anomalous: disk broke  (because: it broke)\nnormal: up" in text
    with pytest.raises(ConfigError, match="'fs' needs labelled examples"):
        labels(LINES, prompt=load("fs"))


@pytest.mark.parametrize(
    "given", [{"votes": 0}, {"isolation": "none"}, {"lines_per_prompt": 0}], ids=str
)
def test_options_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        labels(LINES, **given)


def test_progress_is_told_and_ends_at_all() -> None:
    told: list[tuple[int, int]] = []
    labels(LINES, Skips(), progress=lambda done, known: told.append((done, known)))

    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert (0, 16) == told[0]


class Breaks(Fake):
    """Ends after some prompts."""

    def __init__(self, after: int) -> None:
        self.left = after
        super().__init__(self._counted)

    def _counted(self, prompt: Prompt, number: int) -> Outcome:
        self.left -= 1
        if self.left < 0:
            raise AnnotatorError("gone")
        return reply(Skips().text(read_block(prompt.messages[-1].text), {}))


def test_a_labelling_stopped_anywhere_goes_on_from_the_store(tmp_path: Path) -> None:
    whole = Breaks(10_000)
    expected = labels(LINES, whole)
    asked: list[str] = []
    with Store(tmp_path / "s") as store:
        for _ in range(len(whole.prompts)):
            breaks = Breaks(1)
            try:
                made = label(LINES, Recorded(store, breaks), load("loggpt"))
            except AnnotatorError:
                continue
            finally:
                asked += [prompt.key("fake") for prompt in breaks.prompts]

    assert expected == made
    assert {1} == set(Counter(asked).values())
    assert len(whole.prompts) == len(asked)


@given(st.lists(st.text(), max_size=25), st.integers(1, 8), st.integers(1, 3))
@settings(max_examples=40)
def test_any_lines_get_a_label_each(lines: list[str], size: int, votes: int) -> None:
    made = labels(lines, Skips(), lines_per_prompt=size, votes=votes)

    assert len(lines) == len(made)
    assert all(each.anomalous is not None for each in made)


@given(st.lists(st.text(), min_size=1, max_size=10), st.lists(st.text(max_size=40)))
@settings(max_examples=40)
def test_any_replies_end(lines: list[str], texts: list[str]) -> None:
    """After six tries together and six alone, halves and all."""
    fake = Fake(
        lambda _p, n: reply(texts[n % len(texts)] if texts else "", "stop" if n % 3 else "length")
    )
    made = labels(lines, fake, lines_per_prompt=4)

    assert len(lines) == len(made)
    assert len(fake.waves) < 20
