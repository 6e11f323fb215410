"""What docs/labelling.md promises to list, it lists."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")

import typer.main
from logagent_build import cli
from logagent_build.annotate import errors, prompt_files
from logagent_build.annotate.labelling import ISOLATIONS

PAGE = Path(__file__).parents[3] / "docs" / "labelling.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # a group
DETECT = "## A model as the detector"


def rows(command: str = "label") -> list[str]:
    """Return the rows of the tables of a command's part of the page."""
    first, _, rest = PAGE.read_text("utf-8").partition(DETECT)
    second, _, third = rest.partition("\n## ")
    text = {"label": first + third, "detect": second}[command]
    return [row for row in text.splitlines() if row.startswith("| ")]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (command, option)
        for command in ("detect", "label")
        for parameter in COMMANDS[command].params
        for option in sorted(parameter.opts)
        if option.startswith("--")
    ],
)
def test_every_option_is_described(command: str, option: str) -> None:
    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows(command))


def test_every_prompt_isolation_and_exit_code_is_named() -> None:
    text = PAGE.read_text("utf-8")

    assert [] == [name for name in prompt_files.names() if f"| `{name}` |" not in text]
    assert [] == [name for name in ISOLATIONS if f"- `{name}`" not in text]
    for error in (errors.AnnotatorError, errors.BudgetReached, errors.WaitForResponses):
        assert any(row.startswith(f"| {error.exit_code} |") for row in rows())
