"""What packages are made from is made from the code: manual pages, the default configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
from logagent.cli import app
from logagent.config import SECTIONS, Config, load

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"


def commands() -> dict[str, list[str]]:
    """Return every command's page name and its options."""
    found: dict[str, list[str]] = {}
    waiting = [("logagent", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        found[name] = [
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("-")
        ]
        waiting += [
            (f"{name}-{each}", one) for each, one in getattr(command, "commands", {}).items()
        ]
    return found


COMMANDS = commands()
KEYS = [
    (section, key)
    for section, kind in SECTIONS.items()
    for key in kind.__dataclass_fields__  # type: ignore[attr-defined]  # a dataclass
]


def made(*command: object, epoch: int = 1_000_000_000) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "COLUMNS": "40"},
    )
    assert "" == done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    made(PACKAGING / "make-man", folder)
    return folder


@pytest.fixture(scope="module")
def configuration() -> str:
    return made(PACKAGING / "make-config")


def printed(page: Path) -> str:
    """Return a page's text without roff's marks."""
    return re.sub(r"\\f[BIR]", "", page.read_text()).replace("\\-", "-").replace("\\&", "")


def test_every_command_has_a_page_and_nothing_else(pages: Path) -> None:
    assert {"logagent.1", "logagent-scan.1", "logagent-run.1"} < {
        each.name for each in pages.iterdir()
    }
    assert {f"{name}.1" for name in COMMANDS} | {"logagent.toml.5"} == {
        each.name for each in pages.iterdir()
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_page_has_every_option_and_points_to_the_others(pages: Path, name: str) -> None:
    text = printed(pages / f"{name}.1")

    assert [] == [option for option in COMMANDS[name] if not re.search(rf"(?m)^.*{option}\b", text)]
    others = {each for each in COMMANDS if each != name}
    assert others <= set(re.findall(r"(logagent[\w-]*)\(1\)", text))
    assert f".SH NAME\n{name} - " in text
    assert '"2001-09-09"' in text  # the date is that of the sources


def test_exit_codes_stand_under_their_own_title(pages: Path) -> None:
    text = printed(pages / "logagent-run.1")

    assert ".SH SIGNALS\nSIGTERM and SIGINT save and stop" in text
    assert ".SH EXIT STATUS\n0 stopped" in text


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_on_its_page_and_in_the_default_file(
    pages: Path, configuration: str, section: str, key: str
) -> None:
    assert f"\n.TP\n{key}\n" in printed(pages / "logagent.toml.5")
    part = configuration.partition(f"\n#[{section}]\n")[2].partition("\n#[")[0]
    assert re.search(rf"(?m)^# .+\n#{key} (= |is not set)", part)


def test_the_default_file_sets_nothing(configuration: str, tmp_path: Path) -> None:
    (tmp_path / "logagent.toml").write_text(configuration)

    assert {} == tomllib.loads(configuration)
    assert Config() == load(tmp_path / "logagent.toml")


def test_the_default_file_without_its_marks_is_the_defaults(
    configuration: str, tmp_path: Path
) -> None:
    taken = re.sub(r"(?m)^#(?=\[|\w+ = )", "", configuration)
    (tmp_path / "logagent.toml").write_text(taken)
    config = load(tmp_path / "logagent.toml")

    assert Config() == config
    not_set = set(re.findall(r"(?m)^#(\w+) is not set", configuration))
    assert {key for _, key in KEYS} == {name.split(".")[1] for name in config.origins} | not_set


def test_lines_of_the_default_file_fit_a_screen(configuration: str) -> None:
    comments = [line for line in configuration.splitlines() if line.startswith("# ")]
    assert max(map(len, comments)) <= 100


def test_the_same_sources_give_the_same_bytes(pages: Path, tmp_path: Path) -> None:
    made(PACKAGING / "make-man", tmp_path)

    assert {each.name: each.read_bytes() for each in pages.iterdir()} == {
        each.name: each.read_bytes() for each in tmp_path.iterdir()
    }


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed here")
def test_roff_has_no_complaint(pages: Path) -> None:
    for page in pages.iterdir():
        done = subprocess.run(
            ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", page],
            capture_output=True,
            timeout=60,
        )
        assert (0, b"") == (done.returncode, done.stderr)


def test_text_cannot_become_a_request_of_roff() -> None:
    import importlib.machinery
    import importlib.util

    loader = importlib.machinery.SourceFileLoader("make_man", str(PACKAGING / "make-man"))
    spec = importlib.util.spec_from_loader("make_man", loader)
    assert spec is not None
    tokenizers, path = sys.modules.get("tokenizers"), list(sys.path)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        make_man = importlib.util.module_from_spec(spec)
        loader.exec_module(make_man)
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path[:] = path
        del sys.modules["tokenizers"]
        if tokenizers is not None:
            sys.modules["tokenizers"] = tokenizers

    assert r"\&.so /etc/passwd" == make_man.prose(".so /etc/passwd")
    assert r"\&'x" == make_man.prose("'x")
    assert r"a \en b\-c" == make_man.prose(r"a \n b-c")
    assert r"\fB\&.x\fR" == make_man.prose("`.x`")
