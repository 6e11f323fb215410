"""How long normal sessions are silent, from logs, and what an agent makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from logagent.sequences.rules import Rule, session_key
from logagent.sequences.silences import Silences
from logagent_build.sequences.lines import gather
from logagent_build.sequences.silences import LEAST_SESSIONS, silences

KEY = session_key(r"job (?P<session>j\d+):")
EVENTS = ("begin", "step", "finish")
JOBS = 120


def stamp(second: int) -> str:
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z "


def said(number: int, hangs: set[int]) -> list[tuple[int, str]]:
    """Return when a job says what: one a minute, a step after 10 s, its finish 10 min later."""
    begun = 60 * number
    at = [begun, begun + 10, begun + 20, begun + 620 + number % 7]
    lines = [
        (second, f"job j{number}: {what}")
        for second, what in zip(at, ("begin", "step", "step", "finish"), strict=True)
    ]
    return lines[: 2 if number in hangs else 4]


def write(path: Path, *hangs: int, stamped: bool = True, since: int = 0, until: int = 9999) -> Path:
    """Write the lines of all jobs from a minute to another."""
    lines = sorted(each for number in range(JOBS) for each in said(number, set(hangs)))
    path.write_text(
        "".join(
            stamp(second) * stamped + text + "\n"
            for second, text in lines
            if 60 * since <= second < 60 * until
        )
    )
    return path


def labels(*bad: int) -> dict[bytes, bool]:
    return {f"j{number}".encode(): number in bad for number in range(JOBS)}


def measured(log: Path, rule: Rule, *bad: int) -> tuple[Silences, list[str]]:
    made = gather([str(log)], rule, labels(*bad))
    found = silences([str(log)], rule, labels(*bad), made.vocabulary)
    assert found is not None
    return found, [made.vocabulary.text(at).split()[-1].decode() for at in range(3)]


def test_silences_are_those_of_normal_sessions_before_and_after_each_event(tmp_path: Path) -> None:
    found, names = measured(write(tmp_path / "x.log", 5), Rule(key=KEY), 5)
    before = dict(zip([*names, "any"], found.before_seconds.tolist(), strict=True))
    after = dict(zip([*names, "any"], found.after_seconds.tolist(), strict=True))
    assert {"begin": 0, "step": 11, "finish": 607, "any": 607} == before
    assert {"begin": 11, "step": 607, "finish": 0, "any": 607} == after
    # Ten other jobs say four lines each meanwhile.
    assert 40 <= found.before_lines[names.index("finish")] <= 45
    assert 0 == found.before_lines[names.index("begin")]


def test_logs_without_stamps_have_silences_of_lines_only(tmp_path: Path) -> None:
    stamped, _ = measured(write(tmp_path / "x.log"), Rule(key=KEY))
    bare, _ = measured(write(tmp_path / "y.log", stamped=False), Rule(key=KEY))
    assert (0, 0) == (len(bare.before_seconds), len(bare.after_seconds))
    assert np.array_equal(np.sort(bare.before_lines), np.sort(stamped.before_lines))


def test_a_silence_that_ends_a_session_is_none_within_it(tmp_path: Path) -> None:
    found, _ = measured(write(tmp_path / "x.log"), Rule(key=KEY, timeout_seconds=300.0))
    assert 11 == found.before_seconds[-1]


def test_sessions_of_several_logs_are_apart_unless_the_rule_goes_across(tmp_path: Path) -> None:
    logs = [str(write(tmp_path / name, until=60)) for name in ("a.log", "b.log")]
    longest = {}
    for across in (False, True):
        rule = Rule(key=KEY, across=across)
        made = gather(logs, rule, labels())
        found = silences(logs, rule, labels(), made.vocabulary)
        assert found is not None
        longest[across] = found.before_seconds[-1]
    assert longest[False] == 607 < longest[True]


def test_an_event_of_few_normal_sessions_says_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "x.log")
    few = dict.fromkeys(list(labels())[: LEAST_SESSIONS - 1], False)
    made = gather([str(log)], Rule(key=KEY), labels())
    found = silences([str(log)], Rule(key=KEY), few, made.vocabulary)
    assert found is not None
    assert [-1, -1, -1] == found.before_seconds[:3].tolist() == found.after_seconds[:3].tolist()
    assert found.before_seconds[-1] > 600


def test_sessions_of_one_line_are_never_silent(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("".join(f"job j{number}: begin\n" for number in range(JOBS)))
    made = gather([str(log)], Rule(key=KEY), labels())
    assert silences([str(log)], Rule(key=KEY), labels(), made.vocabulary) is None


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sklearn", reason="training needs the [build] extra")
    from logagent_build import cli
    from typer.testing import CliRunner

    folder = tmp_path_factory.mktemp("jobs")
    bad = range(0, JOBS, 4)
    write(folder / "train.log", *bad)
    (folder / "labels.tsv").write_text(
        "".join(f"j{number}\t{int(number in bad)}\n" for number in range(JOBS))
    )
    made = folder / "jobs.bundle"
    given = ["sequences", str(folder / "train.log"), "--labels", str(folder / "labels.tsv")]
    key = ["--session-key", r"job (?P<session>j\d+):", "-o", str(made)]
    done = CliRunner().invoke(cli.app, [*given, *key])
    assert 0 == done.exit_code, done.output
    return made


def found(bundle: Path, log: Path) -> tuple[set[str], dict[str, int]]:
    from logagent import cli
    from typer.testing import CliRunner

    given = ["scan", str(log), "--sequences", "--bundle", str(bundle)]
    done = CliRunner().invoke(cli.app, [*given, "--format", "jsonl", "--stats", "json"])
    records = [json.loads(line) for line in done.stdout.splitlines()]
    counts = json.loads(done.stderr.splitlines()[-1])["sequences"]
    return {each["session"] for each in records if "session" in each}, counts


def test_of_a_log_that_is_begun_in_the_middle_only_what_hangs_is_found(
    bundle: Path, tmp_path: Path
) -> None:
    sessions, counts = found(bundle, write(tmp_path / "x.log", 70, since=60))
    assert {"j70"} == sessions
    assert counts["cut"] >= 10


def test_of_a_log_that_stops_in_the_middle_only_what_hangs_is_found(
    bundle: Path, tmp_path: Path
) -> None:
    sessions, counts = found(bundle, write(tmp_path / "x.log", 20, until=60))
    assert {"j20"} == sessions
    assert counts["unfinished"] >= 10


def test_of_the_whole_log_nothing_is_left_out(bundle: Path, tmp_path: Path) -> None:
    sessions, counts = found(bundle, write(tmp_path / "x.log", 1, 20, 70))
    assert {"j1", "j20", "j70"} == sessions
    assert (0, 0) == (counts["cut"], counts["spared"])
