"""What docs/build.md promises to list, it lists."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="strategies need the [build] extra")
pytest.importorskip("rich", reason="the command line needs the [build] extra")

import typer.main
from logagent.errors import BundleError, ConfigError, StateError
from logagent_build import cli
from logagent_build.annotate import errors
from logagent_build.folder.reading import MOST_TEMPLATES
from logagent_build.folder.strategies import STRATEGIES

PAGE = Path(__file__).parents[3] / "docs" / "build.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
BUILD = typer.main.get_command(cli.app).commands["build"]  # type: ignore[attr-defined]  # a group


def rows() -> list[str]:
    return [row for row in PAGE.read_text("utf-8").splitlines() if row.startswith("| ")]


@pytest.mark.parametrize(
    "option",
    [option for each in BUILD.params for option in each.opts if option.startswith("--")],
)
def test_every_option_is_described(option: str) -> None:
    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows())


def test_every_strategy_exit_code_and_bound_is_named() -> None:
    text = PAGE.read_text("utf-8")

    assert [] == [name for name in STRATEGIES if f"| `{name}` |" not in text]
    for error in (
        errors.AnnotatorError,
        errors.BudgetReached,
        errors.WaitForResponses,
        BundleError,
        ConfigError,
        StateError,
    ):
        assert any(row.startswith(f"| {error.exit_code} |") for row in rows())
    assert f"{MOST_TEMPLATES:,}" in text
