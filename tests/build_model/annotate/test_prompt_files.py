"""Prompts are files, checked when read."""

from __future__ import annotations

from pathlib import Path

import pytest
from logagent.errors import ConfigError
from logagent_build.annotate.prompt_files import FOLDER, load, names

LABELS = ("cot-fs", "fs", "fs-cot", "fs-cot-sr", "loggpt", "logprompt", "plain")
EVIDENCE = ("filter", "induce", "refine")


def test_the_prompts_of_the_papers_are_there() -> None:
    assert sorted((*LABELS, *EVIDENCE, "root-cause")) == names()
    assert all(load(name).name == name for name in LABELS)
    assert all(load(name, "calibrate").name == name for name in EVIDENCE)
    assert "at most 100 words" in load("root-cause", "explain").system.replace(
        "a maximum of 100", "at most 100"
    )


def test_few_shot_variants_differ_in_the_order_of_table_i() -> None:
    """FS first shows examples before the steps, CoT first after them."""
    first, second = load("fs-cot").user, load("cot-fs").user

    assert first.index("{examples}") < first.index("step by step")
    assert second.index("{examples}") > second.index("step by step")
    assert ("reasoning", "reflection") == load("fs-cot-sr").thoughts


def test_places_are_filled_once() -> None:
    """What fills a place may look like another place."""
    filled = load("fs").fill({"lines": "{examples} {lines}", "examples": "E"})

    assert "{examples} {lines}" in filled
    assert 1 == filled.count("E\n")


def test_a_schema_asks_for_thoughts_before_labels() -> None:
    schema = load("fs-cot-sr").schema

    assert schema is not None
    assert ["reasoning", "reflection", "labels"] == schema["required"]
    assert load("plain").schema is None


def good() -> str:
    return (FOLDER / "fs.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 1", "", "'version' is missing"),
        ("version = 1", "version = 1\ncolour = 2", "unknown field 'colour'"),
        ("version = 1", 'version = "1"', "version: '1'"),
        ("version = 1", "version = true", "version: True"),
        ("version = 1", "version = 0", "at least 1"),
        ("{lines}", "", "no place {lines}"),
        ("{lines}", "{lines} {surprise}", "unknown place {surprise}"),
        ("{examples}", "", "examples need a place"),
        ("temperature = 0.0", "temperature = 3.0", r"not in \[0, 2\]"),
        ('answer = "json"', 'answer = "xml"', "neither of json"),
        ('answer = "json"', 'answer = "text"', "text goes with explain"),
        ('purpose = "label"', 'purpose = "sing"', "neither of label"),
        ('few_shot = "required"', 'few_shot = "perhaps"', "neither of required"),
        ("version = 1", "version = [", "x.toml"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(good().replace(old, new), "utf-8")
    with pytest.raises(ConfigError, match=said):
        load(str(path))


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no prompt 'nope'; there are cot-fs, filter, fs"):
        load("nope")
    with pytest.raises(ConfigError, match="to explain, not to label"):
        load("root-cause")


def test_a_change_shows_in_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(good() + "# \n", "utf-8")

    assert load("fs").digest != load(str(path)).digest
