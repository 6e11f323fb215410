"""Lines to templates, counts and neighbours, in bounded memory."""

from __future__ import annotations

import itertools
from collections import Counter

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import BlockReader
from logagent.normalise import templates
from logagent_build.calibrate.entries import AROUND, VARIANTS
from logagent_build.folder import table as module
from logagent_build.folder.table import Table, chosen, kept_of

WORDS = ("link", "is", "up", "down", "error", "code 12", "code 13", "0", "17", "0xfe", "eth0")
# "17" alone is a look-alike of an empty line (`logagent.keys`); with a word before it, it is not.
LINES = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: " ".join(["unit", *words])),
    max_size=80,
)


def blocks(lines: list[str], size: int = 64):
    data = "".join(f"{line}\n" for line in lines).encode()
    pieces = iter([data[at : at + size] for at in range(0, len(data), size)])
    return BlockReader(lambda _most: next(pieces, b""))


def tabled(lines: list[str], most: int = 1000, size: int = 64) -> Table:
    table = Table(most)
    for block in blocks(lines, size):
        table.add(block)
    table.end_file()
    return table


@settings(max_examples=30)
@given(LINES)
def test_every_line_is_counted_under_its_template(lines: list[str]) -> None:
    """Look-alikes of the keys do not occur here."""
    expected = Counter(each for each in templates([x.encode() for x in lines]).templates if each)

    found = tabled(lines).finish()

    assert expected == Counter({each.template: each.count for each in found})
    assert [each.template for each in found] == list(expected)


@settings(max_examples=30)
@given(LINES, st.integers(1, 200), st.integers(0, 60))
def test_a_table_that_was_saved_and_goes_on_is_the_same(
    lines: list[str], size: int, at: int
) -> None:
    """Through msgpack, as a checkpoint is."""
    whole, first = Table(8), Table(8)
    for number, block in enumerate(blocks(lines, size)):
        whole.add(block)
        first.add(block)
        if number == at:
            whole.settle()
            first = Table.of(msgpack.unpackb(msgpack.packb(first.state()), raw=False))

    assert [each.row() for each in whole.finish()] == [each.row() for each in first.finish()]
    assert (whole.lines, whole.let_go, whole.let_go_lines) == (
        first.lines,
        first.let_go,
        first.let_go_lines,
    )


@settings(max_examples=30)
@given(LINES)
def test_variants_are_different_lines_of_the_template(lines: list[str]) -> None:
    for each in tabled(lines).finish():
        assert 1 <= len(each.variants) <= VARIANTS
        assert len(set(each.variants)) == len(each.variants)
        assert {each.template} == set(templates(each.variants).templates)
        assert each.variants[0].decode() in lines


@pytest.mark.parametrize("size", [10, 40, 4096])
def test_neighbours_are_those_of_the_first_line_whatever_the_blocks(size: int) -> None:
    letters = "abcdefgh"
    lines = [f"unit {letter} starts" for letter in letters]
    found = tabled(lines, size=size).finish()

    for at, each in enumerate(found):
        assert [x.encode() for x in lines[max(0, at - AROUND) : at]] == each.before
        assert [x.encode() for x in lines[at + 1 : at + 1 + AROUND]] == each.after


def test_lines_of_another_file_are_nobodys_neighbours() -> None:
    table = Table(10)
    for lines in (["last of one"], ["first of two"]):
        for block in blocks(lines):
            table.add(block)
        table.end_file()

    assert [([], []), ([], [])] == [(each.before, each.after) for each in table.finish()]


def words(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "".join(letters[number // 26**place % 26] for place in range(4))


def test_a_flood_of_templates_leaves_the_frequent_ones_and_a_sample_and_is_counted() -> None:
    flood = [f"free text {words(number * 7919)}" for number in range(2000)]
    often = ["disk is full", "link is down"]
    lines = list(itertools.chain.from_iterable((line, *often) for line in flood))
    table = tabled(lines, most=100, size=2000)
    found = table.finish()
    kept = {each.template: each.count for each in found}

    assert 100 == len(found)
    assert (2000, 2000) == (kept[b"disk is full"], kept[b"link is down"])
    assert 6000 == sum(kept.values()) + table.let_go_lines
    assert table.let_go >= 1902
    late = sum(each.template > b"free text" and "free" in each.template.decode() for each in found)
    assert 90 < late


def test_the_sample_of_rare_templates_is_drawn_from_all_of_the_log() -> None:
    """Not from its first lines only, nor its last."""
    flood = [f"free text {words(number * 7919)}" for number in range(4000)]
    place = {line.encode(): at for at, line in enumerate(flood)}
    found = [place[each.template] for each in tabled(flood, most=200, size=2000).finish()]
    half = sum(at < 2000 for at in found[:])

    assert 200 == len(found)
    assert 20 < half < 180


def test_much_text_is_let_go_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 60_000)
    table = tabled([f"{words(n * 7919)} {'x' * 500}" for n in range(300)], most=1000, size=4000)
    found = table.finish()

    assert sum(each.size for each in found) <= 60_000
    assert table.let_go_lines + sum(each.count for each in found) == 300


def test_half_of_the_places_go_to_those_with_most_lines() -> None:
    kept = [kept_of([b"%d" % at, count, [b"x"], [], [], 0]) for at, count in enumerate([1] * 20)]
    for at in (3, 7):
        kept[at].count = 50

    stay = chosen(kept, 4)

    assert 4 == len(stay)
    assert {3, 7} <= set(stay)
    assert sorted(stay) == stay
