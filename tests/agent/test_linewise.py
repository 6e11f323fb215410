"""One pass over joined lines finds what a search of each line finds."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.bounded_regex import BoundedRegex
from logagent.linewise import linewise

_EXPRESSIONS = (
    r"blk_-?\d+",
    r"id=(?P<session>[^ ]*)",
    r"^(\S+)\s",
    r"\A(\w+)\W",
    r"(?s)a.(b*)",
    r"a+$",
    r"a+\Z",
    r"\b(a\D)",
    r"\B(a\S?)",
    r"(?<=a)b",
    r"(?<!aa)(b)",
    r"(?<![^b])a",
    r"b(?!\n)",
    r"b(?=[^a])",
    r"(?i)([A-B\W]+)x?",
    r"[\n]",
    r"a\n?b",
    r"a(?:\n)*(b)",
    r"[\x00-\x20]b",
    r"[\s\n]a",
    r"(?m)^(a|bb)$",
    r"(a)|(b)",
    r"([^a]+?)a",
    "(?x) a ( b ) # remark",
    r"(a++)b",
    r"((?>a|ab))c",
    r"(?-i:a)(b)",
    r"(a)?b",
    r"(?:[^b]|b\r)a",
)
_TOKENS = (b"a", b"b", b"A", b"c", b" ", b"\r", b"\0", b"\xff", b"id=", b"blk_1")
_ALL_LINES = [b"".join(each) for size in range(4) for each in product(_TOKENS, repeat=size)]
_LINE = st.text("ab \r\0", max_size=6).map(str.encode)
_PIECE = st.sampled_from(
    [*"ab.^$ ", r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\b", r"\B", r"\n", r"\r", "[^a]",
     r"[^\s]", r"[\n-b]", r"[\sa]", "a?", "b*", ".+", "[^b]+?", "(a|b)", r"(?:a|\n)", "(b)?",
     "(?=b)", "(?!a)", r"(?<=\W)", "(?<!b)", "(?i:B)", "(?s:.)", "(?m:^)", "[^b]*+"]
)  # fmt: skip


def found_apart(pattern: re.Pattern[bytes], lines: list[bytes]) -> list[tuple[object, ...]]:
    found = ((number, pattern.search(line)) for number, line in enumerate(lines))
    return [(number, each.groups(), each.start()) for number, each in found if each]


def found_at_once(pattern: re.Pattern[bytes], lines: list[bytes]) -> list[tuple[object, ...]]:
    joined, found = b"\n".join(lines), []
    for each in pattern.finditer(joined):
        begin = joined.rfind(b"\n", 0, each.start()) + 1
        number = joined.count(b"\n", 0, begin)
        assert begin + len(lines[number]) == each.end(), "the rest of the line belongs to it"
        found.append((number, each.groups(), each.start() - begin))
    return found


@pytest.mark.parametrize("expression", _EXPRESSIONS)
def test_what_is_found_in_joined_lines_is_the_first_in_each(expression: str) -> None:
    pattern = BoundedRegex.of(expression).pattern
    made = linewise(pattern)
    assert made is not None
    assert made.groupindex == pattern.groupindex
    for lines in (_ALL_LINES, _ALL_LINES[::-1], [b""], [b"a"], [b"", b"a", b""]):
        assert found_apart(pattern, lines) == found_at_once(made, lines)


@settings(max_examples=60, deadline=None)
@given(st.lists(_PIECE, min_size=1, max_size=5).map("".join), st.lists(_LINE, min_size=1))
def test_so_it_is_with_any_expression_that_is_allowed(text: str, lines: list[bytes]) -> None:
    try:
        pattern = BoundedRegex.of(text).pattern
    except ValueError:
        return
    if (made := linewise(pattern)) is not None:
        lines = [*lines, *_ALL_LINES[:120]]
        assert found_apart(pattern, lines) == found_at_once(made, lines)


@pytest.mark.parametrize("expression", [r"(?<=a)", r"(?=a)(b?)", r"\b", r"a|(?=b)"])
def test_an_expression_that_may_match_nothing_is_left_to_a_search_of_each(expression: str) -> None:
    assert linewise(re.compile(expression.encode())) is None


@pytest.mark.parametrize("expression", [r"(a)\1", r"(a)?(?(1)b|c)"])
def test_so_is_one_with_parts_that_nothing_is_said_about(expression: str) -> None:
    assert linewise(re.compile(expression.encode())) is None
