"""Events of blocks: the caches change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from logagent.judge import Judge
from logagent.keys import fast_keys
from logagent.sequences.events import EventReader
from logagent.sequences.vocabulary import Vocabulary, event_keys

from .fakes import BEGIN, END, NAMES, WORK, block, line, reader, vocabulary


def direct(words: Vocabulary, lines: list[bytes]) -> list[int]:
    return [words.number(key) for key in event_keys(lines)[0]]


def test_every_line_has_the_number_of_its_event_however_often_it_comes() -> None:
    made = reader()
    lines = [line(number, what) for number in range(30) for what in ("begin", "work", "end")]
    for _ in range(3):
        assert [0, 1, 2] * 30 == made.read(block(*lines))


def test_numbers_that_mean_something_are_not_lost_in_a_cache() -> None:
    lines = [f"job ended with exit status {code}".encode() for code in (1, 139, 2, 139, 1)]
    made = EventReader(vocabulary(lines[0], lines[1], lines[2]))
    for _ in range(3):
        assert [0, 1, 2, 1, 0] == made.read(block(*lines))


def test_fresh_identifiers_in_every_line_change_nothing() -> None:
    def fresh(number: int) -> str:
        return f"{number * 7919:08x}-{number:04x}-4{number:03x}-8abc-{number * 104729:012x}"

    made = reader()
    for turn in range(40):
        lines = [line(1, f"work {fresh(40 * turn + number)}") for number in range(40)]
        lines += [line(2, "end")] * 5
        assert set(direct(made.vocabulary, lines[:1])) | {2} == set(made.read(block(*lines)))


def test_unknown_lines_are_counted_and_their_latest_text_is_kept() -> None:
    made = reader()
    numbers = made.read(block(BEGIN, b"job j1: exploded", WORK, END, b"job j2: exploded"))
    assert (2, 0) == (made.unknown_lines, numbers[0])
    assert made.vocabulary.known <= numbers[1] == numbers[4]
    assert b"exploded" in made.text(numbers[1])
    assert b"begin" in made.text(0)


def test_what_is_remembered_of_unknown_lines_is_bounded() -> None:
    made = reader()
    for x in NAMES:
        made.read(block(*(f"{x}{y}{z} never said".encode() for y in NAMES for z in "abc")))
    assert len(made._unknown) <= made.vocabulary.buckets


def test_a_judge_of_the_same_blocks_shares_the_fast_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        "logagent.keys.fast_keys", lambda data: asked.append(data) or fast_keys(data)
    )
    apart, made = reader(), reader()
    judge = Judge(Scores(), 0.5)
    judge.hashes = made.hashes
    blocks = [block(line(number, "begin"), WORK, b"", line(number, "end")) for number in range(9)]
    for each in blocks:
        verdicts = Judge(Scores(), 0.5).judge(each)
        assert [v.anomalous for v in verdicts] == [v.anomalous for v in judge.judge(each)]
        assert apart.read(each) == made.read(each)
    assert [each.data for each in blocks for _ in "ab"] == asked, "once for `apart`, once for two"


class Scores:
    """Calls a template anomalous if it has no end."""

    def scores(self, templates: Sequence[bytes]) -> np.ndarray:
        return np.array([b"end" not in each for each in templates], np.float32)
