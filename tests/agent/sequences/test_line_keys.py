"""Sessions of the lines of a block: as if each line were searched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.sequences.line_keys import LineKeys
from logagent.sequences.rules import SESSION, session_key

from .fakes import block

_KEYS = [
    session_key(each)
    for each in (
        r"(?P<session>blk_-?\d+)",
        r"id=(?P<session>[^ ]*)",
        r"^(?P<session>\S+) ",
        r"(?P<session>\d+)$",
        r"(x)?id=(?P<session>\d+)?",
        r"(?P<session>id.*\d.*x)",  # searched in less of a line
        r"(?<=i)(?P<session>)",  # matches nothing, where it does
        r"x\n?(?P<session>\w)",
    )
]
_LINE = st.lists(
    st.sampled_from([b"blk_7", b"blk_-12", b"id=", b"5", b" ", b"x", b"\r", b"\0", b"\xc3\xa4"])
    | st.integers(0, 1200).map(lambda size: b"." * size),
    max_size=5,
).map(b"".join)


def apart(key, lines):  # type: ignore[no-untyped-def]
    found = [key.pattern.search(line, 0, key.reach) for line in lines]
    return [None if each is None else each[SESSION] or b"" for each in found]


@pytest.mark.parametrize("key", _KEYS, ids=lambda key: key.pattern.pattern.decode())
@settings(max_examples=25, deadline=None)
@given(blocks=st.lists(st.lists(_LINE, min_size=1, max_size=8), min_size=1, max_size=4))
def test_every_line_has_the_session_that_a_search_of_it_finds(key, blocks) -> None:  # type: ignore[no-untyped-def]
    made = LineKeys(key)
    for lines in blocks:
        assert apart(key, lines) == made.of(block(*lines))


def test_of_a_long_line_the_reach_counts_to_the_byte() -> None:
    for key in _KEYS[:3]:
        for size in range(key.reach - 12, key.reach + 3):
            long = b"." * size + b" blk_12345 id=12345"
            for end in range(key.reach - 1, key.reach + 3):
                for lines in ([long[:end]], [long[:end], b"blk_1 id=2"], [b"", long[:end], long]):
                    assert apart(key, lines) == LineKeys(key).of(block(*lines))


def test_expressions_that_may_match_nothing_are_searched_line_by_line() -> None:
    assert [LineKeys(key)._linewise is None for key in _KEYS] == [False] * 6 + [True, False]
