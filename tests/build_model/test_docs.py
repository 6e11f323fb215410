"""What docs/training.md promises to list, it lists."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line of training needs the [build] extra")

import typer.main
from logagent_build import cli
from logagent_build.corpora import CATEGORIES
from logagent_build.targets import NAMES
from rich.text import Text

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # a click group


def test_the_application_is_looked_at() -> None:
    assert {"train", "evaluate"} <= COMMANDS.keys()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_named(command: str) -> None:
    assert f"logagent-build {command}" in PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (command, option)
        for command in ("evaluate", "train")
        for parameter in COMMANDS[command].params
        for option in parameter.opts
        if option.startswith("--")
    ],
)
def test_every_option_is_described(command: str, option: str) -> None:
    """In a row of the table under its command."""
    text = PAGE.read_text("utf-8")
    first, _, second = text.partition("## Evaluate")
    rows = [row for row in {"train": first, "evaluate": second}[command].splitlines() if "|" in row]

    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows)


def test_every_category_and_its_letter_are_named() -> None:
    text = PAGE.read_text("utf-8")

    assert [] == [
        name for letter, name in CATEGORIES.items() if f"| `{letter}` | {name} |" not in text
    ]


def test_every_known_target_is_named() -> None:
    text = PAGE.read_text("utf-8")

    assert [] == [name for name in NAMES if f"`{name}`" not in text]


def test_no_word_of_a_help_text_is_lost_as_markup() -> None:
    """The help is rendered: a word in brackets would be a style, and not be seen."""
    texts = [
        text
        for command in COMMANDS.values()
        for each in (command, *getattr(command, "commands", {}).values())
        for text in (each.help, *(getattr(parameter, "help", None) for parameter in each.params))
        if text
    ]

    assert len(texts) > 200
    assert [] == [text for text in texts if text != Text.from_markup(text).plain]
