"""Rounds: when they end, what is asked again, and that the same replies give the same lines."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="synthesizing needs the [build] extra")

from logagent.errors import ConfigError
from logagent_build.annotate.protocol import Failure, Prompt
from logagent_build.synthesize.gathering import SPARE, Gathered, Settings, expected, gather
from logagent_build.synthesize.questions import ATTEMPTS, Questions, System, prompts_by_kind

from .fakes import Writer, kind_of

SYSTEMS = [System("openwrt", "OpenWrt"), System("pg", "PostgreSQL")]
NONE = {"normal": 0, "hard": 0, "anomalous": 0, "pairs": 0}


def gathered(
    writer: Writer, wanted: dict[str, int], systems: int = 1, rounds: int = 10, seed: int = 0
) -> list[Gathered]:
    questions = Questions(SYSTEMS[:systems], prompts_by_kind(), seed)
    return gather(writer, questions, systems, Settings(NONE | wanted, 10, rounds))


def asked(writer: Writer, kind: str) -> list[Prompt]:
    return [each for each in writer.prompts if kind == kind_of(each.messages[-1].text)]


def test_a_round_of_all_systems_and_kinds_is_one_exchange() -> None:
    writer = Writer()
    made = gathered(writer, {"normal": 20, "hard": 10, "anomalous": 20, "pairs": 5}, systems=2)

    assert 2 == writer.waves[0]  # plans
    assert writer.waves[1] == 2 * (3 + 2 + 3 + 2)
    assert ["enough"] * 4 == list(made[0].ended.values())


def test_it_ends_with_enough_distinct_lines_and_the_spare() -> None:
    (made,) = gathered(Writer(), {"normal": 40})

    assert "enough" == made.ended["normal"]
    assert "none wanted" == made.ended["pairs"]
    assert len(made.units) >= 40 * SPARE


def test_it_ends_when_two_rounds_bring_nothing_new() -> None:
    writer = Writer(lambda text, prompt: text if kind_of(text_of(prompt)) == "plan" else SAME)
    (made,) = gathered(writer, {"normal": 40})

    assert "dry" == made.ended["normal"]
    # The first round brings 2 lines of 46, the second and third none.
    assert 2 == made.rounds


SAME = json.dumps({"rows": [{"line": f"kernel: usb {word} is fine"} for word in ("one", "two")]})


def text_of(prompt: Prompt) -> str:
    return prompt.messages[-1].text


def few(text: str, prompt: Prompt) -> str:
    """Stop after four rows."""
    return json.dumps({"rows": json.loads(text)["rows"][:4]})


def test_it_ends_after_the_rounds_allowed() -> None:
    (made,) = gathered(Writer(few), {"normal": 60}, rounds=2)

    assert "rounds" == made.ended["normal"]
    assert 2 == made.rounds


def test_what_is_broken_is_asked_again_warmer_and_then_given_up() -> None:
    def spoiled(text: str, prompt: Prompt) -> str:
        return text if kind_of(text_of(prompt)) == "plan" else "I am sorry, but"

    writer = Writer(spoiled)
    (made,) = gathered(writer, {"normal": 5})

    normal = asked(writer, "normal")
    warm = [each.temperature for each in normal if each.sample == normal[0].sample]
    assert [0.8, 0.9, 1.0, 1.1, 1.2, 1.3][: len(warm)] == warm
    assert len(warm) > 1
    assert [] == made.units
    assert made.counts["garbage"] == len(asked(writer, "normal"))


def test_a_plan_that_never_comes_is_given_up_and_counted() -> None:
    def spoiled(text: str, prompt: Prompt) -> str:
        return "{" if kind_of(text_of(prompt)) == "plan" else text

    writer = Writer(spoiled)
    (made,) = gathered(writer, {"normal": 10})

    assert 1 + ATTEMPTS == len(asked(writer, "plan"))
    assert 1 == made.counts["no plan"]
    assert "enough" == made.ended["normal"]


def test_a_refused_prompt_is_not_asked_again() -> None:
    class Refusing(Writer):
        def ask(self, prompts, arrived=None):  # type: ignore[no-untyped-def]
            super().ask(prompts)
            return [Failure("no", retryable=False)] * len(prompts)

    writer = Refusing()
    (made,) = gathered(writer, {"normal": 5}, rounds=1)

    assert {"failures": 2, "gave up": 18, "no plan": 1, "prompts": 2} == dict(made.counts)


def test_later_prompts_show_what_is_written_and_take_other_components() -> None:
    writer = Writer(few)
    gathered(writer, {"normal": 60}, rounds=3)
    first, *_, last = asked(writer, "normal")

    assert "These are written already" not in text_of(first)
    assert "These are written already" in text_of(last)
    assert first.key("m") != asked(writer, "normal")[1].key("m")


def test_both_classes_are_asked_about_the_same_components() -> None:
    writer = Writer()
    gathered(writer, {"normal": 10, "anomalous": 10})

    def components(kind: str) -> str:
        return (
            text_of(asked(writer, kind)[0])
            .partition("form of their lines:")[2]
            .partition("\n\n")[0]
        )

    assert components("normal") == components("anomalous") != ""


def test_the_class_that_lacks_long_lines_is_asked_for_them() -> None:
    def short(text: str, prompt: Prompt) -> str:
        if kind_of(text_of(prompt)) != "normal" or "has at least" in text_of(prompt):
            return text
        rows = [row["line"].partition(": INFO ") for row in json.loads(text)["rows"]]
        return json.dumps({"rows": [{"line": a + b + " ".join(c.split()[:4])} for a, b, c in rows]})

    writer = Writer(short)
    gathered(writer, {"normal": 30, "anomalous": 30})

    assert any("has at least" in text_of(each) for each in asked(writer, "normal"))
    assert any("has at most" in text_of(each) for each in asked(writer, "anomalous"))


def test_the_same_seed_asks_the_same_and_another_seed_something_else() -> None:
    prompts = []
    for seed in (0, 0, 1):
        writer = Writer()
        gathered(writer, {"normal": 20, "pairs": 5}, seed=seed)
        prompts.append([each.key("m") for each in writer.prompts])

    assert prompts[0] == prompts[1] != prompts[2]


def test_systems_with_equal_words_get_lines_of_their_own_whatever_stands_beside_them() -> None:
    def made(*names: str) -> tuple[list[Gathered], set[str]]:
        writer = Writer()
        questions = Questions([System(name, "OpenWrt") for name in names], prompts_by_kind())
        settings = Settings(NONE | {"normal": 20, "anomalous": 20}, 10)
        return gather(writer, questions, len(names), settings), {p.key("m") for p in writer.prompts}

    (home, office), both = made("home", "office")
    (alone,), own = made("office")

    assert own < both
    assert office == alone
    texts = [{line.text for unit in one.units for line in unit.lines} for one in (home, office)]
    assert not texts[0] & texts[1]
    assert home.plan != office.plan


def test_the_estimate_has_the_prompts_of_a_run_where_all_goes_well() -> None:
    writer = Writer()
    settings = Settings(NONE | {"normal": 20, "anomalous": 20}, 10)
    questions = Questions(SYSTEMS[:1], prompts_by_kind())
    gather(writer, questions, 1, settings)

    assert sum(writer.waves[:2]) == len(expected(questions, 1, settings))


def test_the_estimate_counts_all_rounds_of_a_large_corpus() -> None:
    questions = Questions(SYSTEMS[:1], prompts_by_kind())
    wanted = NONE | {"normal": 1000, "pairs": 3}
    made = expected(questions, 1, Settings(wanted, 20))
    few = expected(questions, 1, Settings(wanted, 20, rounds=2))

    assert 1 + math.ceil(1000 * SPARE / 20) + 1 == len(made)
    assert 1 + 2 * 8 + 1 == len(few)  # no more than the rounds allow


def test_what_is_counted_as_asked_again_was_asked_again() -> None:
    def broken(text: str, prompt: Prompt) -> str:
        rows = json.loads(text)["rows"]
        rows[0] = {} if kind_of(text_of(prompt)) == "normal" else rows[0]
        return json.dumps({"rows": rows})

    writer = Writer(broken)
    (made,) = gathered(writer, {"normal": 30})

    again = [each for each in asked(writer, "normal") if each.temperature > 0.85]
    counts = [int(text_of(each).split(maxsplit=2)[1]) for each in again]
    assert sum(counts) == made.counts["asked again"]


def test_nothing_wanted_is_refused() -> None:
    with pytest.raises(ConfigError, match="no line is wanted"):
        Settings(dict(NONE))


@pytest.mark.parametrize(
    ("wanted", "lines", "rounds"),
    [({"normal": 1}, 5, 5), (NONE | {"hard": 1}, 0, 5), (NONE | {"hard": 1}, 5, 0)],
)
def test_settings_that_cannot_be_are_refused(
    wanted: dict[str, int], lines: int, rounds: int
) -> None:
    with pytest.raises(ConfigError):
        Settings(wanted, lines, rounds)


def test_a_prompt_for_labels_is_refused_and_one_of_ones_own_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to label, not to synthesize"):
        prompts_by_kind({"normal": "plain"})
    own = tmp_path / "own.toml"
    source = prompts_by_kind()["normal"]
    shipped = Path(prompts_by_kind.__code__.co_filename).parents[1] / "annotate" / "prompts"
    own.write_text(
        (shipped / "synth-normal.toml").read_text().replace(f'"{source.name}"', '"mine"')
    )

    assert "mine" == prompts_by_kind({"normal": str(own)})["normal"].name
