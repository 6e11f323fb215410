"""Windows of lines and of time."""

from __future__ import annotations

import msgpack
from logagent.sequences.rules import Rule

from .fakes import line, seen, sequencer


def work(count: int, first: int = 0) -> list[bytes]:
    return [line(number, "work") for number in range(first, first + count)]


def test_so_many_lines_are_a_window() -> None:
    made = sequencer(Rule(window_lines=10))
    ended = [each for at in range(0, 35, 7) for each in seen(made, *work(7), first=at + 1)]
    assert [(1, 10), (11, 20), (21, 30)] == [(e.first.line, e.last.line) for e in ended]
    assert [10] * 3 == [len(each.events) for each in ended]


def test_a_window_moves_on_by_its_step() -> None:
    made = sequencer(Rule(window_lines=10, steps=5))
    ended = seen(made, *work(16))
    assert [(1, 10), (3, 12), (5, 14), (7, 16)] == [(e.first.line, e.last.line) for e in ended]


def test_a_window_has_its_events_in_order() -> None:
    made = sequencer(Rule(window_lines=4, steps=2))
    whats = ["begin", "work", "end", "begin", "begin", "end"]
    ended = seen(made, *(line(1, what) for what in whats))
    assert [[0, 1, 2, 0], [2, 0, 0, 2]] == [each.events.tolist() for each in ended]


def test_the_rest_of_a_log_is_a_window_if_it_is_long_enough() -> None:
    for count, left in ((14, []), (15, [5]), (19, [9]), (3, [3])):
        made = sequencer(Rule(window_lines=10))
        seen(made, *work(count))
        assert left == [each.count for each in made.end("a.log")], count
        assert (4 if count == 14 else 0) == made.counters.unjudged_lines


def test_a_log_as_long_as_its_windows_leaves_nothing() -> None:
    made = sequencer(Rule(window_lines=10, steps=2))
    assert 3 == len(seen(made, *work(20)))
    assert [] == list(made.close())


def test_windows_of_time_hold_the_lines_of_their_time() -> None:
    made = sequencer(Rule(window_seconds=60.0))
    seconds = [0, 10, 59, 60, 61, 200, 201]
    ended = seen(made, *(line(1, "work", second) for second in seconds)) + list(made.close())
    assert [3, 2, 2] == [each.count for each in ended]
    assert [(1, 3), (4, 5), (6, 7)] == [(e.first.line, e.last.line) for e in ended]


def test_windows_of_time_overlap_by_their_steps() -> None:
    made = sequencer(Rule(window_seconds=60.0, steps=2))
    ended = seen(made, *(line(1, "work", second) for second in (0, 20, 40, 70, 100)))
    assert [2, 3, 2] == [each.count for each in ended]
    assert [2] == [each.count for each in made.close()]


def test_a_window_of_time_is_over_though_no_line_comes() -> None:
    now = [0.0]
    made = sequencer(Rule(window_seconds=60.0))
    made._wall = lambda: now[0]
    seen(made, line(1, "work", 3600))
    now[0] = 100.0
    assert [1] == [each.count for each in made.tick()]
    assert [] == list(made.tick()) + list(made.close())


def test_a_window_of_time_with_many_lines_keeps_its_beginning_and_its_end() -> None:
    made = sequencer(Rule(window_seconds=60.0, max_events=10))
    seen(made, line(1, "begin", 0), *[line(1, "work", 1)] * 5000, line(1, "end", 2))
    (window,) = made.close()
    begin, *work, end = window.events.tolist()
    assert (5002, 8, 1, 3) == (window.count, len(work), len({*work}), len({begin, *work, end}))


def test_a_clock_that_is_put_back_begins_another_window() -> None:
    made = sequencer(Rule(window_seconds=60.0))
    seen(made, line(1, "work", 80_000), line(1, "work", 80_001))
    ended = seen(made, line(1, "work", 5), line(1, "work", 6)) + list(made.close())
    assert 4 == sum(each.count for each in ended)


def test_every_line_is_in_a_window_of_its_log_alone() -> None:
    made = sequencer(Rule(window_lines=4))
    for number in range(4):
        for source in ("a.log", "b.log"):
            ended = seen(made, line(number, "work"), source=source)
            assert all({source} == {e.first.source, e.last.source} for e in ended)


def test_open_windows_survive_a_restart() -> None:
    for rule in (Rule(window_lines=10, steps=2), Rule(window_seconds=60.0, steps=3)):
        made, again = sequencer(rule), sequencer(rule)
        lines = [line(1, "work", 10 * number) for number in range(13)]
        seen(made, *lines[:8])
        assert [] == again.load(msgpack.unpackb(msgpack.packb(made.state())))
        ended = [[*seen(each, *lines[8:], first=9), *each.close()] for each in (made, again)]
        before, after = ([(e.id, e.events.tolist(), e.first) for e in each] for each in ended)
        assert before == after
