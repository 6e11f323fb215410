r"""Sanitise: nothing but printable characters leaves."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from logagent.sanitise import printable

HOSTILE = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x9b\u202e\u2066\u200b\0\n\r\t")))
TEXTS = st.one_of(st.binary(), HOSTILE, HOSTILE.map(lambda text: text.encode(errors="ignore")))
LIMITS = st.integers(0, 40)


@given(TEXTS, LIMITS)
@example("\ud800", 40)
def test_no_hidden_character_is_emitted_and_the_limit_holds(text: bytes | str, limit: int) -> None:
    """Whatever comes in, what leaves can be shown."""
    shown = printable(text, limit)

    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not [c for c in shown if unicodedata.category(c) in hidden]
    assert len(shown) <= limit
    shown.encode()


@given(TEXTS, LIMITS)
def test_applied_again_it_changes_nothing(text: bytes | str, limit: int) -> None:
    """A text may pass through more than one place that makes it safe."""
    once = printable(text, limit)

    assert once == printable(once, limit) == printable(once.encode(), limit)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=500))
def test_plain_ascii_passes_as_it_is(text: str) -> None:
    """The common case is the identity."""
    assert text == printable(text.encode()) == printable(text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("a\x9bb\x7f".encode(), r"a\x9bb\x7f"),
        ("\u202eevil\u2066\u2069\u200e\u200f".encode(), r"\u202eevil\u2066\u2069\u200e\u200f"),
        ("zero\u200bwidth\ufeff\u00ad".encode(), r"zero\u200bwidth\ufeff\xad"),
        ("\u2028\u2029\ue000\U000e0041\u0378", r"\u2028\u2029\ue000\U000e0041\u0378"),
        ("file\udcff.log", r"file\udcff.log"),
        (b"tab\there\r\n", "tab here"),
        (b"two\nlines", r"two\x0alines"),
        (b"\xff\xfebad", "��bad"),
        ("naïve 日本 ünïcode\u00a0é".encode(), "naïve 日本 ünïcode\u00a0é"),
        (b"<script>", "<script>"),
        (b"", ""),
    ],
)
def test_what_cannot_be_shown_is_shown_as_an_escape(raw: bytes | str, expected: str) -> None:
    """One case for each kind of hidden character."""
    assert expected == printable(raw)


def test_a_text_over_the_limit_ends_in_an_ellipsis() -> None:
    """The ellipsis is counted; a text of just the limit has none."""
    assert "abcd…" == printable(b"abcdef", 5)
    assert "abcde" == printable(b"abcde", 5)
    assert "日本…" == printable("日本語日".encode(), 3)


def test_a_huge_line_is_cut_before_it_is_decoded() -> None:
    """Only what can be shown is looked at, even when every byte must be escaped."""
    assert r"\x00\x00\…" == printable(b"\0" * 50_000_000, 10)
