"""Time, as sequences need it."""

from __future__ import annotations

import math

import pytest
from logagent.sequences.clock import Clock, LineTimes
from logagent.sequences.rules import Rule

from .fakes import JOB, block, line, seen, sequencer, sessions

NOON = 1_800_000_000.0
DAY = 86400.0
BASE = 1767225600.0  # 2026-01-01T00:00:00Z


def stamped(*seconds: int) -> list[bytes]:
    return [line(1, "work", second) for second in seconds]


def spans(tick: float, *lines: bytes) -> list[tuple[int, int, float | None]]:
    return [
        (start, stop, None if time is None else time - BASE)
        for start, stop, time, _ in LineTimes(tick).spans(block(*lines))
    ]


def test_lines_of_one_tick_are_together_and_others_apart() -> None:
    assert [(0, 4, 0.0)] == spans(10.0, *stamped(0, 1, 2, 9))
    found = spans(10.0, *stamped(0, 1, 12, 13, 55))
    assert [0, 2, 4] == [start for start, _, _ in found if start in (0, 2, 4)]
    assert [0.0, 12.0, 55.0] == sorted(
        {10.0 * (t // 10.0) + t % 10.0 for _, _, t in found if t in (0.0, 12.0, 55.0)}
    )


def test_spans_are_all_lines_in_order() -> None:
    found = spans(1.0, *stamped(5, 5, 7, 9, 2, 2, 100, 100), b"no time at all")
    assert [0, *(stop for _, stop, _ in found)][:-1] == [start for start, _, _ in found]
    assert 9 == found[-1][1]


def test_where_times_are_not_needed_none_is_read() -> None:
    assert [(0, 2, None)] == spans(math.inf, *stamped(0, 9999))


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    lines = [*stamped(5), b"  at x", b"  at y", *stamped(50)]
    assert {5.0, 50.0} == {time for _, _, time in spans(10.0, *lines)}
    assert [(0, 2, None)] == spans(10.0, b"x", b"y")


def test_a_late_line_does_not_turn_the_clock_back() -> None:
    clock = Clock(60.0, lambda: NOON)
    assert [100.0, 110.0, 110.0, 120.0] == [clock.read(t, 1) for t in (100.0, 110.0, 90.0, 120.0)]
    assert (1, 0) == (clock.late_lines, clock.jumps)


def test_one_odd_line_moves_nothing() -> None:
    clock = Clock(60.0, lambda: NOON)
    times = [100.0, 9e9, 101.0, -5e6, 102.0, 9e9, 103.0]
    assert [100.0, 100.0, 101.0, 101.0, 102.0, 102.0, 103.0] == [clock.read(t, 1) for t in times]


@pytest.mark.parametrize("odd", [b"2199-01-01T00:00:00Z odd", b"1970-01-01T00:00:00Z odd"])
def test_an_odd_line_with_a_trace_after_it_is_still_one_odd_line(odd: bytes) -> None:
    trace = [odd, *[b"  at x"] * 9]
    for before, after in (([], []), (stamped(3), []), (stamped(3), stamped(4, 5))):
        made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
        assert [] == seen(made, line(2, "begin", 0), line(2, "work", 1))
        assert [] == seen(made, *before, *trace, *after)
        assert [] == seen(made, line(2, "work", 6))
        assert [] == seen(made, line(2, "work", 7))
        assert 0 == made.counts_of_clocks()[1]


def test_lines_of_a_new_day_are_believed_where_two_of_them_have_a_stamp() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    assert [] == seen(made, line(1, "begin", 0))
    (ended,) = seen(made, line(2, "begin", 80_000), b"  at x", line(2, "work", 80_001), b"  at y")
    assert (b"j1", 1) == (ended.session, made.counts_of_clocks()[1])


def test_a_night_without_lines_passes_and_so_does_a_clock_put_back() -> None:
    clock = Clock(60.0, lambda: NOON)
    clock.read(100.0, 1)
    assert [100.0, DAY + 1] == [clock.read(DAY + t, 1) for t in (0.0, 1.0)]
    assert [DAY + 1, 6.0] == [clock.read(t, 1) for t in (5.0, 6.0)]
    assert 2 == clock.jumps


def test_rare_lines_move_the_clock_though_each_is_far_from_the_last() -> None:
    clock = Clock(60.0, lambda: NOON)
    assert [0.0, 0.0, 2e4, 2e4, 4e4] == [clock.read(1e4 * n, 1) for n in range(5)]


def test_lines_without_times_have_the_time_of_day() -> None:
    now = [NOON]
    clock = Clock(60.0, lambda: now[0])
    assert NOON == clock.read(None, 5)
    now[0] += 5
    assert NOON + 5 == clock.read(None, 1)
    now[0] -= DAY  # the machine's clock is put back
    assert NOON + 5 - DAY == clock.read(None, 1)


def test_silence_counts_but_not_the_time_in_which_nobody_read() -> None:
    now = [NOON]
    clock = Clock(60.0, lambda: now[0])
    clock.read(100.0, 1)
    now[0] += 30
    assert 130.0 == clock.now()
    again = Clock(60.0, lambda: now[0])
    now[0] += DAY
    again.load(clock.state())
    assert 100.0 == again.now()


def test_a_stamp_that_the_next_one_soon_follows_is_believed_at_once() -> None:
    steps = ((0, "begin"), (20, "work"), (30, "end"))
    hours = [line(n, what, 18000 * n + second) for n in (0, 1) for second, what in steps]
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    assert [("j0", 3), ("j1", 3)] == sessions([*seen(made, *hours), *made.close()])


def test_one_odd_stamp_among_others_moves_nothing() -> None:
    lines = [line(0, "work", second) for second in (0, 18000, 20, 30)]
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    assert [("j0", 4)] == sessions([*seen(made, *lines), *made.close()])
