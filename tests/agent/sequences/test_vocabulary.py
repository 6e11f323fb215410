"""What an event is, and which number it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sequences.vocabulary import MAX_EVENTS, TEXT_BYTES, Vocabulary, event_keys

from .fakes import BEGIN, END, WORK, vocabulary


def key(line: bytes) -> int:
    return event_keys([line])[0][0]


def test_what_varies_makes_no_other_event() -> None:
    same = [
        b"2008-11-09 20:35:30 INFO Receiving block blk_4394112519745907149 size 0",
        b"2008-11-10 01:00:07 INFO Receiving block blk_-83766673642052505 size 671088",
    ]
    assert key(same[0]) == key(same[1])


def test_other_words_and_codes_make_another_event() -> None:
    lines = [b"job ended", b"job began", b"job ended: exit status 139", b"job ended: exit status 1"]
    assert 4 == len({key(line) for line in lines})


def test_the_key_of_a_line_is_the_same_on_every_machine() -> None:
    """Bundles hold these numbers."""
    assert 11298218494090409357 == key(b"systemd[1]: Started Session 7 of user root.")


def test_known_events_have_the_numbers_they_were_given() -> None:
    words = vocabulary(WORK, BEGIN)
    assert [0, 1] == [words.number(key(line)) for line in (WORK, BEGIN)]
    assert (2, 6) == (words.known, len(words))


def test_unknown_events_have_numbers_after_the_known_ones() -> None:
    words = vocabulary(BEGIN, WORK)
    letters = "abcdefghijklmnopqrst"
    numbers = {words.number(key(f"new {x}{y}".encode())) for x in letters for y in letters}
    assert {2, 3, 4, 5} == numbers
    assert b"" == words.text(2)


@given(st.binary(max_size=60))
def test_any_line_has_a_number_in_range(line: bytes) -> None:
    words = vocabulary(BEGIN, WORK, END)
    assert 0 <= words.number(key(line.replace(b"\n", b" "))) < len(words)


def test_the_most_frequent_events_are_known_first() -> None:
    keys, texts, _ = event_keys([END, BEGIN, WORK, WORK, BEGIN, WORK])
    words = Vocabulary.of(zip(keys, texts, strict=True))
    assert [0, 1, 2] == [words.number(key(line)) for line in (WORK, BEGIN, END)]


def test_a_vocabulary_survives_its_part() -> None:
    words = vocabulary(WORK, BEGIN, b"x" * 999, buckets=9)
    again = Vocabulary.read(words.part())
    assert words.part() == again.part()
    assert (TEXT_BYTES, 9) == (len(again.text(2)), again.buckets)
    assert words.number(key(BEGIN)) == again.number(key(BEGIN)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"keys": b"1234567"},
        {"keys": b"12345678" * 2},
        {"texts": ["text", "text"]},
        {"buckets": 0},
        {"buckets": MAX_EVENTS},
        {"normaliser": 999},
        {"texts": None},
    ],
)
def test_a_part_that_makes_no_sense_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=r"vocabulary|masks"):
        Vocabulary.read(vocabulary(BEGIN, WORK).part() | change)


def test_names_in_paths_make_no_other_event() -> None:
    paths = (b"/user/root/rand/_temporary/part-0001.", b"/user/root/sort/x/part-7.")
    assert 1 == len({key(b"allocate " + path + b" blk_1") for path in paths})
    assert key(b"read/write failed") != key(b"read/sync failed")
    assert key(b"mount of /boot failed") != key(b"mount of /home failed")
