"""What pip is told of logagent fits every machine that it is meant for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(lines: list[str]) -> set[str]:
    return {re.split(r"[<>=;\[ ]", line, maxsplit=1)[0].lower() for line in lines}


def lean() -> list[str]:
    lines = (ROOT / "packaging" / "lean.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_nothing_is_needed_that_boards_have_no_wheel_for() -> None:
    # 32 bits on a 64-bit kernel call themselves aarch64: there it is an extra, not a dependency.
    (needed,) = [line for line in PROJECT["dependencies"] if line.startswith("onnxruntime")]
    assert needed.endswith("; platform_machine == 'x86_64'")
    assert {"onnxruntime"} == names(PROJECT["optional-dependencies"]["onnxruntime"])


def test_the_lean_list_has_every_dependency_with_the_same_bounds() -> None:
    needed = {line for line in PROJECT["dependencies"] if not line.startswith("onnxruntime")}
    assert needed <= set(lean())


def test_the_lean_list_pins_nothing_that_constraints_do_not() -> None:
    pinned = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")

    for name in names(lean()):
        assert f"\n{name}==" in pinned, name


def test_every_supported_python_is_named() -> None:
    told = {one.split(" :: ")[-1] for one in PROJECT["classifiers"] if "Python :: 3." in one}

    assert ">=3.11" == PROJECT["requires-python"]
    assert {"3.11", "3.12", "3.13", "3.14"} == told


def test_the_version_is_written_once() -> None:
    assert ["version"] == PROJECT["dynamic"]


@pytest.mark.parametrize("name", ["license", "license-files", "readme", "description", "keywords"])
def test_what_an_index_shows_is_there(name: str) -> None:
    assert PROJECT[name]
