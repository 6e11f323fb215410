"""What the documentation promises to list, it lists."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
import typer.main
from logagent import bundle, errors, sources
from logagent.bundle import DEFAULT_BUNDLE, Bundle, Manifest
from logagent.cli import app
from logagent.config import Config
from logagent.config_sections import Sequences
from logagent.embedding import EmbeddingConfig
from logagent.explain import Word
from logagent.groups import Group, Sighting
from logagent.kinds import Kind
from logagent.model import decode_arrays
from logagent.paths import SourceProblem
from logagent.policy.facts import Facts
from logagent.policy.known import Context, Known
from logagent.policy.policy import Digest, Telling
from logagent.policy.rate import Rate
from logagent.policy.telling import Teller
from logagent.records import group_record
from logagent.scorer import Scorer
from logagent.sequences.ensemble import Carried
from logagent.sequences.finding_records import finding_record
from logagent.service.sequence_counters import families
from logagent.service.sequencing import make_sequences
from logagent.times import TimeParser
from logagent.traces import Trace

from .sequences.fakes import bundle as sequences_bundle
from .sequences.fakes import reader
from .test_html_sequences import finding

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(
    not DOCS.is_dir(), reason="docs/ is not here: the tests run without the repository around them"
)


def page(name: str) -> str:
    path = DOCS / name
    if not path.exists():
        pytest.skip(f"docs/{name} is not here")
    return path.read_text()


def missing(names: object, text: str) -> list[str]:
    """Return the names that stand nowhere in the text as code."""
    return [name for name in map(str, names) if f"`{name}`" not in text]  # type: ignore[call-overload]  # any iterable


def commands() -> Iterator[tuple[str, object]]:
    """Yield (full name, command) of every command of the application."""
    waiting = [("logagent", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        below = getattr(command, "commands", {})
        waiting += [(f"{name} {each}", found) for each, found in below.items()]


COMMANDS = dict(commands())
OPTIONS = sorted(
    {
        (name, option)
        for name, command in COMMANDS.items()
        for parameter in command.params  # type: ignore[attr-defined]  # a click command
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-")
    }
)


def section(command: str) -> str:
    """Return the part of docs/cli.md under the command's heading."""
    heading = re.escape(f"## `{command}`")
    found = re.search(rf"^{heading}.*?(?=^## |\Z)", page("cli.md"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no heading ## `{command}`"
    return found[0]


def test_the_application_is_looked_at() -> None:
    assert {"logagent scan", "logagent model info", "logagent model verify"} <= COMMANDS.keys()
    assert ("logagent scan", "--sensitivity") in OPTIONS
    assert ("logagent", "--version") in OPTIONS


@pytest.mark.parametrize(
    "command", sorted(name for name, each in COMMANDS.items() if not hasattr(each, "commands"))
)
def test_every_command_has_its_heading(command: str) -> None:
    assert section(command)


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_every_option_is_described_under_its_command(command: str, option: str) -> None:
    assert re.search(rf"`[^`]*{re.escape(option)}(?![\w-])[^`]*`", section(command))


def test_every_choice_of_an_option_is_named() -> None:
    parameters = [each for command in COMMANDS.values() for each in command.params]  # type: ignore[attr-defined]  # likewise
    choices = {
        getattr(choice, "value", choice)
        for parameter in parameters
        for choice in getattr(parameter.type, "choices", ())
    }
    assert {"jsonl", "low", "numpy"} <= choices
    assert [] == missing(choices, page("cli.md"))


def exit_codes() -> set[int]:
    constants = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    classes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.LogagentError)
    }
    return constants | classes


@pytest.mark.parametrize("code", sorted(exit_codes()))
def test_every_exit_code_is_in_the_table(code: int) -> None:
    assert re.search(rf"^\| {code} \|", page("cli.md"), re.MULTILINE)


def test_every_key_of_a_group_record_is_described() -> None:
    first = Sighting("a", 1, 0, b"2026-03-14T07:16:01Z x")
    last = Sighting("b", 9, 80, b"2026-03-14T07:16:02Z x")
    group = Group("0" * 16, b"x", 0.9, first, last, 2, Trace(3, b"Error: x"))
    kind = Kind("storage", ("linux_kernel",))
    record = group_record(group, TimeParser(), [Word("x", 1.0)], kind, 0.9)

    assert 19 == len(record)
    assert [] == missing(record, page("cli.md"))


def test_every_key_of_a_sequence_record_is_described() -> None:
    named = [Carried("missing", 0, 0.5, []), Carried("unexpected", 5, 0.5, [1])]
    found = finding([0, 5], named, count=9)
    last = replace(found.episode.last, source="b.log")
    found = replace(found, episode=replace(found.episode, last=last))
    record = finding_record(found, reader(), TimeParser())

    assert {"last_source", "lines_judged", "last_time"} <= record.keys()
    names = [*record, *(key for each in record["carried"] for key in each)]
    assert {"unknown", "positions"} <= set(names)
    assert [] == missing(names, section("logagent scan") + page("cli.md").split("## Exit codes")[0])


def test_every_counter_of_sequences_is_described_and_told_to_prometheus(tmp_path: Path) -> None:
    config = Config(sequences=Sequences(enabled=True))
    made = make_sequences(config, Bundle.load(sequences_bundle(tmp_path / "b")), "box", print, None)
    counts = made.counts() | {"ended": {"idle": 1}}
    scanned = made.watch.counts()
    names = {name for name, *_ in families(counts)}

    assert [] == missing(scanned, page("cli.md").split("### Counters")[1].split("## Exit codes")[0])
    assert [] == missing(counts.keys() - scanned, section("logagent status"))
    assert [] == missing(counts.keys() - scanned, section("logagent replay"))
    told = re.findall(r"`(sequences?_\w+)", page("operations.md"))
    assert names == set(told)
    assert len(counts) <= len(names) + 2  # three ways to be in no sequence are one family


def test_every_key_of_an_alert_is_described() -> None:
    line = Sighting("a", 1, 0, b"kernel: Out of memory: Killed process 7 (mysqld)")
    group = Known(
        b"x", "0" * 16, line.text, 0.99, line, line, Trace(3, b"Error: x"), 0.0, 0.0,
        Rate(0.0, 86_400.0, 100.0, 100.0), forced=True, shift=0.5, shift_reason="new", count=9,
        variants=1, told=1, context=Context([b"before"], [b"after"]),
    )  # fmt: skip
    held = replace(group, held=True)
    digest = Digest(0.0, 86_400.0, 1000, 9, 1, 1)
    facts = Facts("box", 0.0, 1.0, 1.0, 1, None, 0.9)
    teller = Teller(Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy"), "box")
    alerts = [
        teller.alert(Telling("burst", [group, group], 86_400.0)),
        teller.alert(Telling("digest", [held, group], 86_400.0, digest)),
        teller.alert(Telling("budget", [held], 86_400.0)),
        teller.learned(facts),
    ]
    records = [json.loads(alert.record) for alert in alerts if alert is not None]
    keys = {key for record in records for key in record}
    keys |= {key for record in records for key in record.get("related", [{}])[0]}

    assert {"times_usual", "context", "held_count", "bar", "facts", "forced"} <= keys
    assert [] == missing(sorted(keys), page("cli.md"))
    known = teller.known(group)
    assert [] == missing(known, section("logagent status"))


def test_every_key_of_the_counters_is_described() -> None:
    command = [sys.executable, "-m", "logagent", "scan", "-", "--stats", "json"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=60)

    assert [] == missing(json.loads(done.stderr), page("cli.md"))


def test_every_kind_of_problem_is_described() -> None:
    described = re.search(r"kind: str\n +\"\"\"(.*?)\"\"\"", _source_of(SourceProblem), re.DOTALL)
    assert described
    kinds = re.findall(r"[a-z]+(?:-[a-z]+)*", described[1].partition(":")[2])

    assert "long-lines" in kinds
    assert [] == missing(kinds, page("cli.md"))


def _source_of(item: type) -> str:
    return inspect.getsource(item)


def test_the_limits_quoted_are_those_in_force() -> None:
    text = page("cli.md")

    assert f"{sources.Limits().max_ratio} times" in text
    assert f"{sources.Limits().free_bytes >> 20} MiB" in text
    assert f"{sources.Limits().max_line_bytes >> 10} KiB" in text


def test_every_key_of_the_manifest_is_described() -> None:
    text = page("bundle.md")
    shipped = Bundle.load(DEFAULT_BUNDLE).manifest

    assert [] == missing([item.name for item in fields(Manifest)], text)
    assert [] == missing([item.name for item in fields(EmbeddingConfig)], text)
    assert [] == missing(shipped.thresholds, text)
    assert [] == missing(shipped.record, text)


def test_every_part_and_every_array_of_a_bundle_is_described() -> None:
    text = page("bundle.md")
    shipped = Bundle.load(DEFAULT_BUNDLE)
    arrays = {re.sub(r"\.\d+\.", ".N.", name) for name in decode_arrays(shipped.part("weights"))}

    assert [] == missing(shipped.sizes(), text)
    assert [] == missing(arrays, text)


def test_the_limits_of_the_parts_are_those_in_force() -> None:
    text = page("bundle.md")

    for name, limit in bundle._PART_BYTES.items():
        assert re.search(rf"^\| `{name}` \|.*\| {limit >> 20} MiB \|", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["cli.md", "bundle.md", "install.md", "papers.md"])
def test_links_to_files_of_the_repository_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page(name))

    assert [] == [link for link in links if not (DOCS / link).exists()]


def test_every_module_and_test_named_in_the_table_of_papers_exists() -> None:
    root = DOCS.parent
    text = page("papers.md")
    paths = set(re.findall(r"`((?:agent|build_model|tests|bench)/[\w/.]+)`", text))
    named = set(re.findall(r"`((?:tests)/[\w/]+\.py)::(\w+)`", text))

    assert paths
    assert [] == sorted(path for path in paths if not (root / path).exists())
    assert [] == sorted(
        f"{path}::{test}" for path, test in named if f"def {test}(" not in (root / path).read_text()
    )
