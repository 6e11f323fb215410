"""Expressions of operators: what is harmless passes, what a hostile line could abuse does not."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.bounded_regex import MAX_BYTES, MAX_CHARS, BoundedRegex


@pytest.mark.parametrize(
    "pattern",
    [
        r"usb \d+-\d+: reset",
        r"(?i)connection (reset|closed) by peer",
        r"^foo .* bar",
        r"Failed password for .* from [\d.]+ port \d+",
        r"[^ ]+ [^ ]+ session (opened|closed) for user \w+",
        r"(\d{1,3}\.){3}\d{1,3}",
        r"(?!foo)bar",
        r"a.*+b.*+c.*+d",
        r"dienst gestört",
        r"\[[^]]*\] oops$",
        r'"[^"]*" "[^a]*a"',
    ],
)
def test_ordinary_expressions_are_searched_in_the_whole_beginning(pattern: str) -> None:
    assert MAX_BYTES == BoundedRegex.of(pattern).reach


@pytest.mark.parametrize("pattern", [r"a.*b.*c", r"(\w+ )*x", r"(?:\\x[0-9a-f]{2})+"])
def test_costly_expressions_are_searched_in_less(pattern: str) -> None:
    assert 256 <= BoundedRegex.of(pattern).reach < MAX_BYTES


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a+)+b", "several ways"),
        ("(a*b*)*c", "can be empty"),
        (r"(\w+\s?)*x", "several ways"),
        ("(a|a)*b", "several ways"),
        ("(?:a|b|ab)*c", "several ways"),
        ("(?i)(?:ab|Ac)+x", "several ways"),
        ("(.|x)*y", "several ways"),
        ("(x+x+)+y", "several ways"),
        ("(a{0,30}){0,30}b", "can be empty"),
        ("(a{1,30}){1,30}b", "several ways"),
        ("(?:a++)+b", "several ways"),
        ("(a?){1000000}", "can be empty"),
        (r"a.*b.*c.*d", "too long"),
        (r"foo.*\d+$", "too long"),
        (r"\d+\d+\d+x", "too long"),
        (r".*\w+.*x", "too long"),
        (r"(a)\1", "back reference"),
        (r"(?=.*foo)bar", "inside"),
        ("(?L)a", "depends on the machine"),
        ("(?L:a)", "depends on the machine"),
        ("", "every line"),
        ("x*", "every line"),
        ("^", "every line"),
        ("(", "no regular expression"),
        ("a" * (MAX_CHARS + 1), "longer"),
        ("\udcff", "UTF-8"),
    ],
)
def test_what_a_line_could_abuse_is_refused_with_what_to_write(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BoundedRegex.of(pattern)


def test_deep_nesting_is_refused_or_taken_but_never_fatal() -> None:
    for pattern in ("(" * 240 + "a" + ")" * 240, "(?:" * 120 + "a" + ")+" * 120):
        with suppress(ValueError):
            assert BoundedRegex.of(pattern).found_in(b"a")


_PIECES = st.sampled_from(
    ["a", "b", "ab", "a*", "b+", ".*", "[ab]+", "(?:ab)+", "(?:a|b)*", "(?:a|ab)", "a?", "(?:a?b)*",
     "(?:b*a)+", "a{2,9}", "(?:a|b|ba)+", "(?:a+b)*", "$", r"\b", "(?:a(?:ab)?)+"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=6).map("".join), st.sampled_from([b"a", b"ab"]))
def test_whatever_is_accepted_ends_soon_on_a_long_hostile_line(pattern: str, text: bytes) -> None:
    try:
        regex = BoundedRegex.of(pattern + "c")
    except ValueError:
        return
    # Exponential cost would show as a test that never ends; the limit is that of the whole suite.
    assert not regex.found_in(text * MAX_BYTES)
