"""What is remembered of when groups occurred: everything, coarsely, in bounded room."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.groups import Group
from logagent.occurrences import BUCKETS, UPTIME_ORIGIN, Chronicle, Spread
from logagent.scan import Scan
from logagent.sources import Limits
from logagent.times import TimeParser

from .fakes import KeywordScorer


def watch(
    *paths: Path, block_bytes: int = 65536, capacity: int = 1000
) -> tuple[Scan, Chronicle, list[Group]]:
    scan = Scan(KeywordScorer(), threshold=0.5, limits=Limits(block_bytes=block_bytes))
    scan.groups.capacity = capacity
    chronicle = Chronicle(TimeParser(tz=UTC))
    for step in scan.steps([str(path) for path in paths]):
        chronicle.see(step, scan.groups)
    return scan, chronicle, scan.groups.ranked()


def total(spread: Spread) -> int:
    return sum(count for _, _, count in spread.buckets())


PLACES = st.lists(st.tuples(st.integers(-(1 << 41), 1 << 41), st.integers(1, 9)), max_size=80)


@given(PLACES, st.integers(2, 50))
def test_a_spread_counts_all_in_bounded_room(places: list[tuple[int, int]], most: int) -> None:
    spread = Spread(most)
    for place, count in places:
        spread.add(place, count)
    buckets = list(spread.buckets())

    assert len(spread) <= most
    assert sum(count for _, count in places) == total(spread)
    assert all(stop <= after for (_, stop, _), (after, _, _) in pairwise(buckets))
    for place, _ in places:
        assert any(start <= place < stop for start, stop, _ in buckets)


def test_a_stray_date_costs_no_precision() -> None:
    spread = Spread()
    spread.add(0)
    for second in range(BUCKETS - 1):
        spread.add(1_700_000_000 + second)

    assert {1} == {stop - start for start, stop, _ in spread.buckets()}


@pytest.mark.parametrize("block_bytes", [1, 40, 100, 65536])
def test_context_is_three_lines_around_whatever_the_blocks(
    tmp_path: Path, block_bytes: int
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %c is well\n" % (97 + number) for number in range(5)))
    log.write_bytes(log.read_bytes() + b"disk failed\n" + log.read_bytes())
    _, chronicle, (group,) = watch(log, block_bytes=block_bytes)
    context = chronicle.story(group).context

    assert context is not None
    assert [b"line c is well", b"line d is well", b"line e is well"] == context.above
    assert [b"line a is well", b"line b is well", b"line c is well"] == context.below
    assert 6 == context.line


def test_context_does_not_reach_into_another_file(tmp_path: Path) -> None:
    for name, lines in (("a", b"fine\ndisk failed\n"), ("b", b"well\n" * 9)):
        (tmp_path / name).write_bytes(lines)
    _, chronicle, (group,) = watch(tmp_path / "a", tmp_path / "b")
    context = chronicle.story(group).context

    assert context is not None
    assert ([b"fine"], []) == (context.above, context.below)


def test_every_flagged_line_is_counted_by_time_and_by_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(
        b"".join(
            b"2026-03-14T%02d:%02d:00Z disk %s\n"
            % (number // 60, number % 60, b"failed" if number % 3 == 0 else b"is well")
            for number in range(600)
        )
    )
    _, chronicle, (group,) = watch(log, block_bytes=1000)
    story = chronicle.story(group)

    assert 200 == total(story.times) == total(story.places)
    assert 600 == total(chronicle.volume) == chronicle.timed_lines == chronicle.lines
    first, *_ = story.times.buckets()
    assert 1773446400 == first[0]  # 2026-03-14T00:00:00Z
    assert 597 == list(story.places.buckets())[-1][1] - 1 or len(story.places) == BUCKETS


def test_a_line_without_a_stamp_has_the_time_of_the_line_above(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"2026-03-14T00:00:00Z fine\nall is well\ndisk failed\n")
    _, chronicle, (group,) = watch(log)

    assert [(1773446400, 1773446401, 1)] == list(chronicle.story(group).times.buckets())


def test_uptimes_do_not_mix_with_dates(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"[   12.500000] disk failed\n")
    _, chronicle, (group,) = watch(log)

    assert UPTIME_ORIGIN + 12 == next(chronicle.story(group).times.buckets())[0]


def test_a_log_without_stamps_has_lines_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"fine\ndisk failed\nfine\n")
    _, chronicle, (group,) = watch(log)

    assert 0 == chronicle.timed_lines == len(chronicle.volume)
    assert [(1, 2, 1)] == list(chronicle.story(group).places.buckets())


def test_nothing_is_kept_of_groups_that_were_let_go(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [f"{a}{b}{c}".encode() for a in "bdfg" for b in "aeiou" for c in "klmnprst"]
    log.write_bytes(b"".join(b"disk %s failed\n" % word for word in words))
    scan, chronicle, groups = watch(log, block_bytes=200, capacity=20)

    assert scan.groups.dropped_groups
    assert len(chronicle._stories) <= 21
    assert all(chronicle.story(group).context for group in groups)


def test_of_many_files_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    for number in range(230):
        (tmp_path / f"{number:03}").write_bytes(b"fine\n")
    _, chronicle, _ = watch(tmp_path)

    assert (200, 30) == (len(chronicle.sources), chronicle.more_sources)
    assert [0, 1, 2] == [source.start for source in chronicle.sources[:3]]
