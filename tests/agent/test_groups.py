"""Groups: bounded, counted, and right about their first and last lines."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.groups import Group, GroupTable, Sighting, record_id
from logagent.judge import NORMAL, Verdict

FINGERPRINT = b"a log"
VERDICTS = [Verdict(0.9 - index / 100, True, b"template %d" % index) for index in range(6)]
CALM = Verdict(0.2, False, b"calm")  # normal, with a score of its own as --all asks for


def blocks_of(shape: list[list[int]]) -> list[tuple[Block, list[Verdict]]]:
    """Make blocks; a line is the index of its verdict, -1 for normal, -2 for normal and scored."""
    made = []
    line, offset = 1, 0
    for indexes in shape:
        texts = [b"line %d of %d" % (line + at, index) for at, index in enumerate(indexes)]
        data = b"\n".join(texts)
        verdicts = [
            VERDICTS[index] if index >= 0 else (NORMAL if index == -1 else CALM)
            for index in indexes
        ]
        made.append((Block(data, line, offset), verdicts))
        line += len(texts)
        offset += len(data) + 1
    return made


def filled(shape: list[list[int]], capacity: int = 1000) -> GroupTable:
    table = GroupTable(capacity)
    for block, verdicts in blocks_of(shape):
        table.add("log", FINGERPRINT, block, verdicts)
    return table


SHAPES = st.lists(st.lists(st.integers(-2, len(VERDICTS) - 1), min_size=1, max_size=8), max_size=60)


@given(SHAPES, st.sets(st.integers(0, 59)))
@settings(max_examples=200, deadline=None)
def test_first_last_and_count_are_those_of_a_list_of_all_lines(
    shape: list[list[int]], asked_after: set[int]
) -> None:
    """Whatever lies between two sightings, and whenever the ranking is asked for."""
    table = GroupTable()
    expected: dict[bytes, list[Sighting]] = {}
    for number, (block, verdicts) in enumerate(blocks_of(shape)):
        new = table.add("log", FINGERPRINT, block, verdicts)
        before = set(expected)
        offset = block.offset
        for at, (text, verdict) in enumerate(
            zip(block.data.split(b"\n"), verdicts, strict=True), block.first_line
        ):
            if verdict.anomalous:
                expected.setdefault(verdict.template, []).append(Sighting("log", at, offset, text))
            offset += len(text) + 1
        assert list(expected)[len(before) :] == [group.template for group in new]
        if number in asked_after:
            table.ranked()

    found = {group.template: group for group in table.ranked()}
    assert expected.keys() == found.keys()
    for template, sightings in expected.items():
        group = found[template]
        assert (sightings[0], sightings[-1]) == (group.first, group.last)
        assert len(sightings) == group.count
        assert record_id(FINGERPRINT, sightings[0].offset, sightings[0].text) == group.id
    assert sum(map(len, expected.values())) == table.anomalous_lines
    assert sum(map(len, shape)) == table.lines
    assert 0 == table.dropped_groups


def test_the_last_line_is_right_when_a_template_has_two_verdicts() -> None:
    one, other = Verdict(0.9, True, b"same"), Verdict(0.9, True, b"same")
    table = GroupTable()
    table.add("log", FINGERPRINT, Block(b"a\nb\nc", 1, 0), [one, other, one])
    (group,) = table.ranked()

    assert (1, 3, 3) == (group.first.line, group.last.line, group.count)


def test_a_new_group_knows_its_last_line_so_far() -> None:
    table = GroupTable()
    block = Block(b"a\nb\nc", 1, 0)
    (new,) = table.add("log", FINGERPRINT, block, [VERDICTS[0], NORMAL, VERDICTS[0]])
    table.settle()

    assert (2, 1, 3) == (new.count, new.first.line, new.last.line)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_no_more_than_capacity_is_held_and_what_goes_is_counted(
    order: list[int], capacity: int
) -> None:
    table = GroupTable(capacity)
    verdicts = [Verdict(0.5 + index / 100, True, b"t%d" % index) for index in range(41)]
    for number, index in enumerate(order):
        table.add("log", FINGERPRINT, Block(b"x", number + 1, 2 * number), [verdicts[index]])
        assert len(table) <= capacity

    assert len(order) == table.anomalous_lines
    kept = sum(group.count for group in table)
    assert (kept == len(order)) == (table.dropped_groups == 0)
    if len(set(order)) <= capacity:
        assert Counter(order) == {int(group.template[1:]): group.count for group in table.ranked()}


def test_groups_let_go_and_groups_kept_add_up_to_all_there_were() -> None:
    table = GroupTable(10)
    for number in range(100):
        verdict = Verdict(0.9, True, b"t%d" % number)
        table.add("log", FINGERPRINT, Block(b"x", number + 1, 2 * number), [verdict])

    assert 100 == len(table) + table.dropped_groups
    assert 100 == table.anomalous_lines


def test_the_lower_ranked_half_is_let_go() -> None:
    table = GroupTable(4)
    for number in range(5):
        verdict = Verdict(0.5 + number / 10, True, b"t%d" % number)
        table.add("log", FINGERPRINT, Block(b"x", number + 1, 2 * number), [verdict])

    assert [b"t4", b"t3"] == [group.template for group in table.ranked()]
    assert 3 == table.dropped_groups


def group(count: int, score: float = 0.8) -> Group:
    sighting = Sighting("log", 1, 0, b"x")
    return Group("0" * 16, b"t", score, sighting, sighting, count)


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0, 1))
def test_the_rank_falls_as_a_template_gets_common(count: int, more: int, score: float) -> None:
    lines = count + more
    rare, common = group(count, score).rank(lines), group(lines, score).rank(lines)

    assert 0 <= common <= rare <= score <= 1


def test_the_rank_is_the_score_for_one_line_and_nothing_for_every_line() -> None:
    assert 0.8 == group(1).rank(1) == group(1).rank(10**6)
    assert 0 == group(1000).rank(1000)
    assert pytest.approx(0.4) == group(1000).rank(10**6)


def test_of_equal_scores_the_rarer_group_comes_first() -> None:
    same = [Verdict(0.9, True, b"common"), Verdict(0.9, True, b"rare")]
    table = GroupTable()
    verdicts = [same[0], same[0], same[0], same[1], NORMAL]
    table.add("log", FINGERPRINT, Block(b"a\nb\nc\nd\ne", 1, 0), verdicts)

    assert [b"rare", b"common"] == [each.template for each in table.ranked()]


@given(SHAPES.filter(bool))
@settings(max_examples=50, deadline=None)
def test_ids_do_not_depend_on_how_lines_are_cut_into_blocks(shape: list[list[int]]) -> None:
    def ids(table: GroupTable) -> list[str]:
        return [each.id for each in table.ranked()]

    together = [index for indexes in shape for index in indexes]

    assert ids(filled(shape)) == ids(filled([together])) == ids(filled([[i] for i in together]))


def test_an_id_is_sixteen_hexadecimal_digits_of_source_and_place() -> None:
    places = [
        (source, at, text) for source in (b"a", b"b") for at in (0, 2**40) for text in (b"", b"x")
    ]
    ids = {record_id(*place) for place in places}

    assert 8 == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)
    assert "6234612697388e97" == record_id(b"a", 7, b"text")  # pinned: receivers drop repeats by it


def test_a_group_knows_both_sources_it_was_seen_in() -> None:
    table = GroupTable()
    for name in ("new.log", "old.log"):
        table.add(name, name.encode(), Block(b"an ordinary line\nx", 1, 0), [NORMAL, VERDICTS[0]])
    (found,) = table.ranked()

    assert ("new.log", "old.log") == (found.first.source, found.last.source)
    assert record_id(b"new.log", 17, b"x") == found.id


def test_a_sample_line_is_cut_and_an_ordinary_one_is_whole() -> None:
    table = GroupTable()
    verdicts = [VERDICTS[0], VERDICTS[1]]
    table.add("log", FINGERPRINT, Block(b"x" * 5000 + b"\nshort", 1, 0), verdicts)

    assert {1024, 5} == {len(each.first.text) for each in table.ranked()}
