"""Two models on the same lines: what they are compared on, and what is told of it."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent import shadow as module
from logagent.judge import Judge
from logagent.service.parts import Model
from logagent.shadow import Comparison, compare, recent
from logagent.shadow_report import SHOWN, records, text_lines


class Words:
    """Scores a template by the first of its words that is known."""

    def __init__(self, name: str, **scores: float) -> None:
        manifest = SimpleNamespace(name=name)
        self.bundle = SimpleNamespace(manifest=manifest, sha256=name.encode().hex() * 8)
        self._scores = {word.encode(): score for word, score in scores.items()}

    def scores(self, templates: Sequence[bytes]) -> np.ndarray:
        found = [
            next((score for word, score in self._scores.items() if word in template), 0.1)
            for template in templates
        ]
        return np.array(found, np.float32)


def model(name: str = "old", threshold: float = 0.5, **scores: float) -> Model:
    words = cast(Any, Words(name, **scores))
    return Model(words, Judge(words, threshold), threshold)


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


def texts(groups: list[module.Group]) -> list[bytes]:
    return [group.text for group in groups]


def nothing(_path: str) -> bool:
    return False


# ---- what is told of them ----


def test_groups_are_told_apart_by_who_alerts_them(tmp_path: Path) -> None:
    log = write(tmp_path / "a", "alpha 1", "beta 2", "gamma 3", "alpha 4", "delta 5")
    old = model(alpha=0.9, beta=0.8, gamma=0.3)
    new = model("new", 0.6, alpha=0.7, beta=0.55, gamma=0.65)
    found = compare([log], old, new)

    assert (1, 5) == (found.files, found.lines)
    assert [b"alpha 1"] == texts(found.both())
    assert [b"beta 2"] == texts(found.only_old())
    assert [b"gamma 3"] == texts(found.only_new())
    assert (3, 2) == (found.old.lines, found.old.groups)
    assert (3, 2) == (found.new.lines, found.new.groups)
    assert (0.5, 0.6) == (found.old.threshold, found.new.threshold)
    [gamma] = found.only_new()
    assert (0, 1) == (gamma.old, gamma.new)
    assert (0.3, 0.65) == (round(gamma.old_score, 4), round(gamma.new_score, 4))


def test_lines_of_a_trace_are_one_alert_as_in_the_agent(tmp_path: Path) -> None:
    log = write(tmp_path / "a", "alpha", "Caused by: x.beta: y", "\tat x.beta(y.java:3)")
    found = compare([log], model(alpha=0.9, beta=0.9), model("new", beta=0.9))

    assert (1, 1) == (found.old.lines, found.old.groups)
    assert [b"alpha"] == texts(found.only_old())
    assert [b"Caused by: x.beta: y"] == texts(found.only_new())  # its head is no anomaly here
    assert (1, 1) == (found.new.lines, found.new.groups)


@given(lines=st.lists(st.sampled_from(["alpha", "beta x", "gamma y", ""]), max_size=30))
@settings(max_examples=30)
def test_a_model_compared_with_itself_differs_in_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    log = write(tmp_path_factory.getbasetemp() / "same", *lines)
    found = compare([log], model(alpha=0.9, beta=0.5), model(alpha=0.9, beta=0.5))

    assert len(lines) == found.lines
    assert [] == found.only_old() == found.only_new()
    assert found.old == found.new
    assert found.new.lines == sum(line in ("alpha", "beta x") for line in lines)


def test_groups_beyond_the_limit_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_GROUPS", 2)
    log = write(tmp_path / "a", *(f"alpha {word}" for word in ("k", "l", "m", "n")))
    found = compare([log], model(alpha=0.9), model("new", alpha=0.9))

    assert (2, 2, 4) == (len(found.groups), found.uncounted, found.new.lines)
    assert "2 anomalous lines are of further groups" in "\n".join(text_lines(found))


# ---- what they are compared on ----


def test_of_a_long_file_the_last_whole_lines_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "a", "alpha", "beta", "gamma")
    seen = []
    for most in range(1, 18):
        monkeypatch.setattr(module, "TAIL_BYTES", most)
        seen.append(compare([log], model(), model()).lines)

    # gamma and its newline are 6 bytes, beta 5, alpha 6.
    assert [0] * 5 + [1] * 5 + [2] * 6 + [3] == seen


@pytest.mark.parametrize(("lines", "first"), [(1, b"gamma 3"), (2, b"beta 2"), (9, b"alpha 1")])
def test_the_last_lines_alone_are_taken_if_asked_for(
    tmp_path: Path, lines: int, first: bytes
) -> None:
    log = tmp_path / "a"
    scores = {"alpha": 0.9, "beta": 0.8, "gamma": 0.7}
    for text in ("alpha 1\nbeta 2\ngamma 3\n", "alpha 1\nbeta 2\ngamma 3"):
        log.write_text(text)
        found = compare([str(log)], model(**scores), model(**scores), lines=lines)

        assert min(lines, 3) == found.lines
        assert first == found.both()[0].text


def test_reading_ends_at_the_limit_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOTAL_BYTES", 12)
    logs = [write(tmp_path / name, "alpha") for name in "abcd"]
    found = compare(logs, model(), model())

    assert (2, 12) == (found.files, found.size)


def test_files_changed_last_come_first_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 2)
    for name, stamp in (("a", 10), ("b", 30), ("c", 20)):
        os.utime(write(tmp_path / name, "x"), (stamp, stamp))
    found = recent([str(tmp_path)], nothing)

    assert ((str(tmp_path / "b"), str(tmp_path / "c")), 1) == (found.files, found.left_out)


def test_what_is_no_text_is_left_out(tmp_path: Path) -> None:
    log = write(tmp_path / "a", "x")
    (tmp_path / "packed").write_bytes(gzip.compress(b"x\n"))
    (tmp_path / "binary").write_bytes(b"x\0")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    found = recent([str(tmp_path), str(tmp_path / "none"), "-"], nothing)

    assert ((log,), 1) == (found.files, found.problems)


def test_what_is_named_is_taken_though_the_agent_leaves_it_out(tmp_path: Path) -> None:
    log = write(tmp_path / "a", "x")

    assert (log,) == recent([log], lambda path: True).files
    assert () == recent([str(tmp_path)], lambda path: True).files


def test_a_file_that_vanished_is_passed_over(tmp_path: Path) -> None:
    log = write(tmp_path / "a", "x")

    assert 1 == compare([str(tmp_path / "gone"), log], model(), model()).lines


# ---- how it is told ----


def hostile(tmp_path: Path, groups: int = 1) -> Comparison:
    names = [chr(ord("k") + number) for number in range(groups)]
    log = write(tmp_path / "a", *(f"\x1b[2Jalpha \u202e {name}" for name in names))
    return compare([log], model(), model("n\x1bw", alpha=0.9))


def test_text_of_a_log_reaches_no_terminal_as_it_is(tmp_path: Path) -> None:
    found = hostile(tmp_path)
    text = "\n".join([*text_lines(found), *records(found)])

    assert "\\x1b[2Jalpha \\u202e k" in text
    assert all(each.isprintable() for each in text.replace("\n", ""))


def test_people_see_a_part_of_a_long_list_and_how_much_more_there_is(tmp_path: Path) -> None:
    lines = list(text_lines(hostile(tmp_path, SHOWN + 3)))

    assert SHOWN == sum("alpha" in line for line in lines)
    assert "  … and 3 more (--format jsonl)" in lines


def test_json_lines_have_everything(tmp_path: Path) -> None:
    first, *groups = map(json.loads, records(hostile(tmp_path, SHOWN + 3)))

    assert ("comparison", 13, 0, 13) == tuple(
        first[key] for key in ("kind", "lines", "only_old", "only_new")
    )
    assert (13, 10000.0) == (first["new"]["alerts"], first["new"]["alerts_per_10000_lines"])
    assert {"new"} == {group["alerted_by"] for group in groups}
    assert 13 == len(groups)


def test_without_lines_that_is_said() -> None:
    assert ["no recent lines to compare the models on"] == list(
        text_lines(compare([], model(), model()))
    )
