"""What docs/alpha.md promises to list, it lists."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")

import typer.main
from logagent_build import cli
from logagent_build.cli.asking import Asking

PAGE = Path(__file__).parents[3] / "docs" / "alpha.md"
pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="docs/ is not here: the tests run without the repository around them"
)
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # a group


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (command, option)
        for command in ("alpha", "explain")
        for parameter in COMMANDS[command].params
        for option in sorted(parameter.opts)
        if option.startswith("--")
    ],
)
def test_every_option_is_described(command: str, option: str) -> None:
    first, _, second = PAGE.read_text("utf-8").partition("## Causes")
    text = {"alpha": first, "explain": second}[command]
    rows = [row for row in text.splitlines() if row.startswith("| ")]

    assert any(f"`{option}`" in row or f"`{option} " in row for row in rows)


def test_every_output_is_described() -> None:
    pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")
    from logagent_build.alpha.command import OUTPUTS

    text = PAGE.read_text("utf-8")

    assert [] == [name for name in OUTPUTS if f"`{name}`" not in text]


def test_the_limits_of_an_endpoint_are_those_of_label() -> None:
    """One set of options, in one order: what one command takes, all take."""
    asking = ("label", "alpha", "explain", "detect", "calibrate", "synthesize", "vote", "build")
    names = [each.name for each in dataclasses.fields(Asking)]
    found = {
        command: [
            (each.name, each.default, each.help)
            for each in COMMANDS[command].params
            if each.name in names
        ]
        for command in asking
    }

    assert names == [name for name, _, _ in found["label"]]
    assert {"model", "budget", "concurrency", "patience", "timeout", "stream"} <= set(names)
    assert all(each == found["label"] for each in found.values())
