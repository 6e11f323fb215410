"""What commands that ask a language model share: one object, whatever the command line says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")

import typer
from logagent_build.annotate.choice import Choice
from logagent_build.cli.asking import Asking, with_asking
from typer.testing import CliRunner


def taken(*words: str) -> tuple[Path, bool, Asking]:
    """Return what a command takes of a command line: an argument, an option before, the rest."""
    got = []

    def command(
        path: Path,
        *,
        before: Annotated[bool, typer.Option("--before")] = False,
        asking: Asking,
    ) -> None:
        got.append((path, before, asking))

    app = typer.Typer()
    app.command()(with_asking(command))
    done = CliRunner().invoke(app, words)
    assert 0 == done.exit_code, done.output
    return got[0]


def test_a_command_takes_its_own_words_and_one_object_of_the_shared_ones() -> None:
    assert (Path("a"), False, Asking()) == taken("a")
    path, before, asking = taken(
        *("--stream", "--responses", "r1", "a", "--budget", "0.5", "--before"),
        *("--responses", "r2", "--tokens-per-minute", "9", "--model", "m", "--key-env", "K"),
    )

    assert (Path("a"), True) == (path, before)
    assert asking == Asking(
        "m", 0.5, responses=[Path("r1"), Path("r2")], key_env="K", tokens_per_minute=9, stream=True
    )


def test_all_that_is_given_is_in_the_choice() -> None:
    _, _, asking = taken(
        *("a", "--model", "m", "--budget", "2", "--prices", "p", "--responses", "r"),
        *("--key-env", "K", "--key-file", "f", "--concurrency", "3", "--requests-per-minute", "4"),
        *("--tokens-per-minute", "5", "--timeout", "6", "--patience", "7", "--stream"),
    )

    assert asking.choice("batch:b", "run", Path("store")) == Choice(
        *("batch:b", "run", Path("store"), "m", 2, Path("p"), [Path("r")], "K", Path("f")),
        {
            "concurrency": 3,
            "requests_per_minute": 4,
            "tokens_per_minute": 5,
            "timeout_seconds": 6,
            "patience_seconds": 7,
            "stream": True,
        },
    )


def test_a_command_without_such_a_parameter_is_a_mistake() -> None:
    def command(path: Path) -> None:
        del path

    with pytest.raises(ValueError, match="not enough values"):
        with_asking(command)
