"""Which lines make a sequence."""

from __future__ import annotations

from typing import Any

import pytest
from logagent.sequences.rules import Rule, configured, rule_of, session_key, window_length

from .fakes import JOB


def test_a_rule_survives_its_part() -> None:
    for rule in (
        Rule(key=JOB, timeout_seconds=60, longest_seconds=9, across=True, max_events=7),
        Rule(window_lines=200, steps=4),
        Rule(window_seconds=60.0),
    ):
        assert rule.part() == rule_of(rule.part()).part()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"key": JOB, "window_lines": 5},
        {"window_lines": 7, "steps": 2},
        {"window_lines": 9999},
        {"key": JOB, "timeout_seconds": -1.0},
        {"key": JOB, "max_events": 1},
        {"window_seconds": float("nan")},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Rule(**values)


def test_an_expression_without_the_group_is_refused_and_told_how_to_be_written() -> None:
    with pytest.raises(ValueError, match=r"\(\?P<session>…\)"):
        session_key(r"blk_\d+")


@pytest.mark.parametrize(
    "text", [r"(?P<session>(a+)+)x", r"(?P<session>(\w+\s?)*)$", "(a|a)*(?P<session>x)"]
)
def test_an_expression_that_a_line_could_keep_busy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"repeats something|too long|empty"):
        session_key(text)


def test_a_table_takes_from_training_what_it_leaves_out() -> None:
    trained = Rule(key=JOB, timeout_seconds=60.0, max_events=9)
    rule = configured({"sources": ["*.log"], "timeout_seconds": 5}, 2, trained)
    assert (5.0, 9, JOB, "rule 2") == (rule.timeout_seconds, rule.max_events, rule.key, rule.name)
    assert rule.fits("/var/log/x.log")
    assert not rule.fits("/var/log/x.txt")


def test_a_table_with_a_way_of_its_own_leaves_that_of_training() -> None:
    trained = Rule(key=JOB, timeout_seconds=60.0)
    assert 50 == configured({"window_lines": 50}, 1, trained).window_lines
    assert configured({"window_lines": 50}, 1, trained).key is None
    assert configured({"key": "(?P<session>x)"}, 1, Rule(window_lines=9)).key is not None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kye": "x"}, "no key kye"),
        ({"key": 5}, "regular expression"),
        ({"key": "x"}, "no group session"),
        ({"key": "(?P<session>(a+)+)x"}, "repeats"),
        ({"timeout_seconds": True}, "a number"),
        ({"sources": []}, "list of patterns"),
        ({"sources": [3]}, "list of patterns"),
        ({"window_lines": 10, "window_seconds": 5}, "give one of"),
        ({"max_events": 10**9}, "2 to 4096"),
    ],
)
def test_a_table_that_makes_no_rule_is_refused(table: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        configured(table, 1, None)


def test_a_window_is_told_by_its_length_and_its_step() -> None:
    assert (200.0, 1) == window_length("200", whole=True)
    assert (200.0, 4) == window_length("200/50", whole=True)
    assert (7.5, 3) == window_length("7.5/2.5", whole=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "write a length"), ("7.5", "write a length"), ("5/", "write"), ("-1", "write"),
     ("nan", "write"), ("inf", "write"), ("5/2", "multiple"), ("2/5", "multiple")],
)  # fmt: skip
def test_a_length_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        window_length(text, whole=True)
