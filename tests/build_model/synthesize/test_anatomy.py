"""Headers are found, and nothing of a line is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent_build.synthesize.anatomy import joined, level_words, split


@pytest.mark.parametrize(
    ("line", "said", "level"),
    [
        ("Sep 14 13:00:01 vpn sshd[701]: Login OK", "sshd[701]: Login OK", ""),
        (
            "Wed Jan 10 06:33:34 2024 kern.err kernel: [42991.316317] UBIFS error: no",
            "kernel: UBIFS error: no",
            "error",
        ),
        (
            "[   12.481920] r8169 0000:03:00.0 enp3s0: Link is Up",
            "r8169 0000:03:00.0 enp3s0: Link is Up",
            "",
        ),
        ("2024-05-16 05:08:03 UTC [27] LOG:  checkpoint starting", "checkpoint starting", "info"),
        ("2024-06-15 11:18:33 0 [ERROR] InnoDB: Unable to lock", "InnoDB: Unable to lock", "error"),
        (
            "2024/10/20 17:12:04 [emerg] 1030#1030: no such file",
            "1030#1030: no such file",
            "critical",
        ),
        ("E/dalvikvm: nothing stands before me", "E/dalvikvm: nothing stands before me", ""),
        ("a line without any header at all", "a line without any header at all", ""),
    ],
)
def test_the_header_ends_where_the_program_speaks(line: str, said: str, level: str) -> None:
    parts = split(line)

    assert (said, level) == (parts.said, parts.level)


@pytest.mark.parametrize(
    "line",
    ['{"ts":"2024-01-02","level":"error","msg":"no"}', "t=1 level=error msg=no", '{"s":"E","c":1}'],
)
def test_a_level_that_a_key_has_is_found(line: str) -> None:
    parts = split(line)

    assert "error" == parts.level
    assert parts.keyed
    assert parts.keyed not in parts.said


def test_lines_of_one_form_have_one_shape() -> None:
    shapes = {
        split(line).prefix_shape
        for line in ("Sep 14 13:00:01 vpn sshd[7]: x y", "Mar  1 01:02:03 a.example.org cron: z")
    }

    assert 1 == len(shapes)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(("Sep 14 13:00:01 ", "[1.123] ", "ERROR ", "a: "))).map("".join)
)
def test_the_parts_joined_are_the_line(line: str) -> None:
    assert line == joined(split(line))


def test_words_for_levels_are_found_anywhere_but_not_within_words() -> None:
    assert ["warning", "error"] == level_words("Warning: an err occurred in errors.c, terror")
