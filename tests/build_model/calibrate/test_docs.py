"""What docs/calibration.md promises to list, it lists."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")

import typer.main
from logagent_build import cli

PAGE = Path(__file__).parents[3] / "docs" / "calibration.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
COMMAND = typer.main.get_command(cli.app).commands["calibrate"]  # type: ignore[attr-defined]  # a group


@pytest.mark.parametrize(
    "option", [option for each in COMMAND.params for option in each.opts if option.startswith("--")]
)
def test_every_option_is_described(option: str) -> None:
    rows = [row for row in PAGE.read_text("utf-8").splitlines() if row.startswith("| ")]

    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows)
