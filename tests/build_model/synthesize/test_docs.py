"""What docs/synthesize.md promises to list, it lists."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")
pytest.importorskip("sklearn", reason="synthesizing needs the [build] extra")

import typer.main
from logagent_build import cli
from logagent_build.annotate import errors
from logagent_build.synthesize.leaks import Leaks
from logagent_build.synthesize.replies import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "synthesize.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
COMMAND = typer.main.get_command(cli.app).commands["synthesize"]  # type: ignore[attr-defined]


def rows() -> list[str]:
    return [row.strip() for row in PAGE.read_text("utf-8").splitlines() if row.strip()[:1] == "|"]


@pytest.mark.parametrize(
    "option",
    [
        option
        for parameter in COMMAND.params
        for option in sorted(parameter.opts)
        if option.startswith("--")
    ],
)
def test_every_option_is_described(option: str) -> None:
    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows())


def test_every_kind_figure_and_exit_code_is_described() -> None:
    for kind in KINDS:
        assert any(row.startswith(f"| {kind} |") for row in rows())
    for figure in dataclasses.fields(Leaks):
        assert any(row.startswith(f"| `{figure.name}` |") for row in rows())
    for error in (errors.AnnotatorError, errors.BudgetReached, errors.WaitForResponses):
        assert any(row.startswith(f"| {error.exit_code} |") for row in rows())
