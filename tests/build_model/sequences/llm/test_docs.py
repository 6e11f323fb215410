"""What docs/sequences-llm.md promises to list, it lists."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")

import typer.main
from logagent_build import cli
from logagent_build.sequences.llm.retrieval import system_calls
from logagent_build.sequences.llm.shown import KEEPS

PAGE = Path(__file__).parents[4] / "docs" / "sequences-llm.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # a group


def rows(command: str) -> list[str]:
    """Return the rows of the table of a command's options."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"| option of `{command}` |")
    return [row for row in rest.partition("\n\n")[0].splitlines() if row.startswith("| ")]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (command, option)
        for command in ("finetune", "finetune-data", "vote")
        for parameter in COMMANDS[command].params
        for option in sorted(parameter.opts)
        if option.startswith("--")
    ],
)
def test_every_option_is_described(command: str, option: str) -> None:
    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows(command))


def test_ways_to_shorten_and_the_number_of_meanings_are_named() -> None:
    text = PAGE.read_text("utf-8")

    assert all(f"`{keep}`" in text for keep in KEEPS)
    assert f"{len(system_calls())} Linux system calls" in text
