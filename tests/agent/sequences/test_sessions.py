"""Sessions: which lines they have, when they end, and that nothing a log holds breaks them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.sequences.rules import MAX_KEY_BYTES, Rule, session_key
from logagent.sequences.sequencer import AT_ONCE, EVENTS_EACH

from .fakes import JOB, NAMES, line, seen, sequencer, sessions

ANYTHING = session_key(r"id=(?P<session>[^ ]*)")


def test_interleaved_lines_go_to_their_sessions_in_order() -> None:
    made = sequencer()
    begun = [line(1, "begin"), line(2, "begin"), line(1, "work"), line(2, "end"), line(1, "end")]
    assert [] == seen(made, *begun)
    first, second = made.close()
    assert (b"j2", [0, 2]) == (first.session, first.events.tolist())
    assert (b"j1", [0, 1, 2]) == (second.session, second.events.tolist())


def test_a_session_knows_its_first_and_last_line() -> None:
    made = sequencer()
    seen(made, b"other", line(1, "begin"), line(2, "begin"))
    seen(made, line(1, "end"), first=4, offset=100)
    _, episode = made.close()
    assert ("a.log", 2, 6, line(1, "begin")) == (
        episode.first.source,
        episode.first.line,
        episode.first.offset,
        episode.first.text,
    )
    assert (4, 100, line(1, "end")) == (episode.last.line, episode.last.offset, episode.last.text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["begin", "work", "end"])),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 20),
)
def test_however_a_log_is_cut_into_blocks_the_sessions_are_the_same(
    said: list[tuple[int, str]], cut: int
) -> None:
    made = sequencer()
    for at in range(0, len(said), cut):
        assert [] == seen(made, *(line(*each) for each in said[at : at + cut]))
    wanted = defaultdict(list)
    for number, what in said:
        wanted[f"j{number}".encode()].append(("begin", "work", "end").index(what))
    assert dict(wanted) == {each.session: each.events.tolist() for each in made.close()}


def test_a_session_ends_when_nothing_came_for_the_time_out() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    seen(made, line(1, "begin", 0), line(2, "begin", 30))
    assert [] == seen(made, line(2, "work", 50))
    (over,) = seen(made, line(2, "work", 75))
    assert (b"j1", "idle") == (over.session, over.ended)
    assert [("j2", 3)] == sessions(list(made.close()))


def test_a_key_that_comes_again_after_the_time_out_is_another_session() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    seen(made, line(1, "begin", 0))
    first = seen(made, line(1, "begin", 100), line(1, "end", 101))
    (second,) = made.close()
    assert ([("j1", 1)], 2) == (sessions(first), second.count)
    assert first[0].id != second.id


def test_silence_ends_a_session_too() -> None:
    now = [0.0]
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    made._wall = lambda: now[0]
    seen(made, line(1, "begin", 0))
    now[0] = 59.0
    assert [] == list(made.tick())
    now[0] = 61.0
    assert [("j1", 1)] == sessions(list(made.tick()))


def test_time_ends_a_bounded_number_of_sessions_at_once_and_forgets_none() -> None:
    now = [0.0]
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    made._wall = lambda: now[0]
    seen(made, *(line(number, "begin", 0) for number in range(1500)))
    now[0] = 100.0
    assert [512, 512, 476, 0] == [len(list(made.tick())) for _ in range(4)]


def test_a_key_is_another_session_though_the_one_before_was_not_ended_yet() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    seen(made, *(line(number, "begin", 0) for number in range(1500)))
    ended = seen(made, *(line(number, "end", 100) for number in (1499, 3, 1498)))
    assert 514 == len(ended)
    assert {1} == {each.count for each in [*ended, *made.close()]}


def test_a_session_that_never_pauses_ends_by_its_age() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0, longest_seconds=300.0))
    ended = [each for t in range(0, 1000, 30) for each in seen(made, line(1, "work", t))]
    assert ["long"] * 3 == [each.ended for each in ended]


def test_what_is_too_old_ends_soon_though_not_at_once() -> None:
    made = sequencer(Rule(key=JOB, longest_seconds=800.0))
    seen(made, *(line(number, "begin", 0) for number in range(1500)))
    soon = seen(made, line(0, "work", 900), line(1499, "work", 901))
    assert (AT_ONCE, 1500 - AT_ONCE) == (len(soon), len([*made.tick(), *made.tick()]))


def test_a_flood_in_one_block_overdraws_the_room_by_little() -> None:
    made = sequencer(max_sessions=50)
    most = 0
    for _ in made.see("a.log", b"finger-8", many(10_000)):
        most = max(most, made.open_sequences)
    assert most < 50 + 300


def many(count: int):  # type: ignore[no-untyped-def]
    from .fakes import block

    return block(*(line(number, "begin") for number in range(count)))


def test_an_endless_session_keeps_its_beginning_and_its_end() -> None:
    made = sequencer(Rule(key=JOB, max_events=10))
    seen(made, line(1, "begin"))
    for _ in range(50):
        seen(made, *[line(1, "work")] * 100)
    seen(made, line(1, "end"))
    (episode,) = made.close()
    assert (5002, [0, *[1] * 8, 2]) == (episode.count, episode.events.tolist())
    assert 1 == made.counters.truncated


@given(st.integers(2, 9), st.integers(0, 40))
def test_what_is_kept_is_the_first_half_and_the_latest(most: int, count: int) -> None:
    from array import array

    from logagent.sequences.episode import kept_events

    events = array("H")
    half = most // 2
    for number in range(count):  # as `Sessions.add` does
        if number < most:
            events.append(number)
        else:
            events[half + (number - half) % (most - half)] = number
    wanted = list(range(count))
    if count > most:
        wanted = wanted[:half] + wanted[count - (most - half) :]
    assert wanted == kept_events(events, count, most).tolist()


def test_a_flood_of_sessions_ends_the_oldest_and_holds_no_more_than_allowed() -> None:
    made = sequencer(max_sessions=50)
    ended = 0
    for number in range(0, 20_000, 100):
        ended += len(seen(made, *(line(each, "begin") for each in range(number, number + 100))))
        assert made.open_sequences <= 50
    assert (19_950, 19_950) == (ended, made.counters.evicted)
    assert [f"j{number}" for number in range(19_950, 20_000)] == [
        name for name, _ in sessions(list(made.close()))
    ]


def test_long_sessions_share_a_bounded_number_of_events() -> None:
    made = sequencer(Rule(key=JOB, max_events=100), max_sessions=20)
    for _ in range(100):
        for number in range(20):
            seen(made, line(number, "work"))
    assert made._room.held <= 20 * EVENTS_EACH
    assert made.counters.evicted > 0
    assert made._room.held == sum(
        len(each.events) for log in made._logs.values() for each in log.table._open.values()
    )


def test_a_flood_in_one_log_does_not_end_the_sessions_of_another() -> None:
    made = sequencer(max_sessions=40)
    seen(made, *(line(number, "begin") for number in range(10)), source="calm.log")
    for number in range(200):
        ended = seen(made, line(number, "begin"), source="flood.log")
        assert {"flood.log"} >= {each.first.source for each in ended}


def test_equal_keys_of_two_logs_are_two_sessions_unless_the_rule_goes_across() -> None:
    apart, across = sequencer(), sequencer(Rule(key=JOB, across=True))
    for made in (apart, across):
        seen(made, line(1, "begin"), source="a.log")
        seen(made, line(1, "end"), source="b.log")
    assert [("j1", 1), ("j1", 1)] == sessions(list(apart.close()))
    (both,) = across.close()
    assert ("a.log", "b.log", 2) == (both.first.source, both.last.source, both.count)


def test_equal_sessions_of_two_logs_have_different_ids() -> None:
    made = sequencer()
    list(made.see("a.log", b"a" * 8, block_of(line(1, "begin"))))
    list(made.see("b.log", b"b" * 8, block_of(line(1, "begin"))))
    assert 2 == len({each.id for each in made.close()})


def block_of(text: bytes):  # type: ignore[no-untyped-def]
    from .fakes import block

    return block(text)


def test_odd_keys_are_counted_and_break_nothing() -> None:
    made = sequencer(Rule(key=ANYTHING))
    odd = [b"id=" + b"x" * 900, b"id= nothing", b"id=\x00\xff\x1b[2J here", b"none", b""]
    seen(made, *odd)
    (binary,) = made.close()
    assert b"\x00\xff\x1b[2J" == binary.session
    assert (2, 2) == (made.counters.malformed_keys, made.counters.no_key)
    assert MAX_KEY_BYTES >= len(binary.session)


def test_a_key_that_is_not_there_though_the_expression_is_found_is_malformed() -> None:
    made = sequencer(Rule(key=session_key(r"id=(?P<session>\d+)?;")))
    seen(made, b"id=;", b"id=5;")
    assert (1, 1) == (made.counters.malformed_keys, made.open_sequences)


def test_a_line_longer_than_any_is_searched_at_its_beginning_only() -> None:
    made = sequencer(Rule(key=ANYTHING))
    seen(made, b"a" * 60_000 + b" id=5")
    assert (1, 0) == (made.counters.no_key, made.open_sequences)


def test_a_clock_that_goes_backwards_ends_nothing_early_and_keeps_nothing_for_ever() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    seen(made, line(1, "begin", 80_000))
    assert [] == seen(made, line(2, "begin", 5), line(2, "work", 6))
    assert [] == seen(made, line(2, "work", 50))
    ended = [each for t in range(60, 200, 10) for each in seen(made, line(2, "work", t))]
    assert [("j1", 1)] == sessions(ended)
    assert made.counts_of_clocks()[1] > 0


def test_one_line_from_the_future_ends_no_session() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    seen(made, line(1, "begin", 0))
    assert [] == seen(made, b"2199-01-01T00:00:00Z job j2: begin")
    assert [] == seen(made, line(1, "end", 5))


def test_sources_that_no_rule_is_for_are_left_out_and_the_first_rule_that_fits_counts() -> None:
    made = sequencer(
        Rule(name="one", key=JOB, sources=("*/a.log",)),
        Rule(name="two", key=JOB, sources=("*.log",)),
    )
    for source in ("/x/a.log", "/x/b.log", "/x/c.txt"):
        seen(made, line(1, "begin"), source=source)
    assert ["one", "two"] == [each.rule for each in made.close()]


def test_so_many_logs_may_come_and_go() -> None:
    made = sequencer(max_sessions=10_000)
    ended = [each for n in range(400) for each in seen(made, line(n, "begin"), source=f"{n}.log")]
    assert 400 == len(ended) + made.open_sequences
    assert len(made._logs) <= 256 >= len(made._times)


def test_open_sessions_survive_a_restart() -> None:
    import msgpack

    rule = Rule(key=JOB, timeout_seconds=600.0, max_events=4)
    made, again = sequencer(rule), sequencer(rule)
    for second, what in enumerate(["begin", "work", "work", "begin", "work"]):
        seen(made, line(1, what, second), line(2, "begin", second))
    assert [] == again.load(msgpack.unpackb(msgpack.packb(made.state())))
    for each in (made, again):
        seen(each, line(1, "end", 9), first=50)
    for before, after in zip(made.close(), again.close(), strict=True):
        assert (before.id, before.first, before.last, before.count) == (
            after.id,
            after.first,
            after.last,
            after.count,
        )
        assert np.array_equal(before.events, after.events)


def test_a_long_path_is_saved_once_however_many_sessions_it_has() -> None:
    import msgpack

    made = sequencer()
    seen(made, *(line(number, "begin") for number in range(500)), source="/x" * 2000)
    assert len(msgpack.packb(made.state())) < 500 * 250 + 20_000


def test_open_sessions_of_a_rule_that_changed_are_let_go_and_said_so() -> None:
    made = sequencer(Rule(key=JOB, timeout_seconds=60.0))
    seen(made, line(1, "begin", 0))
    assert ["default"] == sequencer(Rule(key=JOB, timeout_seconds=5.0)).load(made.state())
    assert ["default"] == sequencer(Rule(name="x", key=JOB)).load(made.state())


@pytest.mark.parametrize(
    "saved", [None, {}, [[1, 2]], [[], [["default\0a", "x"]]], [[], [1]], [[5], []]]
)
def test_a_state_that_makes_no_sense_is_refused(saved: object) -> None:
    with pytest.raises(ValueError, match="other fields"):
        sequencer().load(saved)


def test_events_of_another_model_are_refused() -> None:
    made = sequencer()
    seen(made, *(f"job j1: {x} new".encode() for x in NAMES))
    state = made.state()
    state[1][0][3][0][1][0] = b"\xff\x7f" * len(NAMES)
    with pytest.raises(ValueError, match="another model"):
        sequencer().load(state)


def test_a_block_is_not_split_again_for_every_second_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    splits, lines = [], Block.lines
    monkeypatch.setattr(Block, "lines", lambda block: splits.append(block) or lines(block))
    made = sequencer(Rule(key=JOB, timeout_seconds=1.0))
    seen(made, *(line(at, "begin", at) for at in range(300)))
    assert (299, True) == (made.counters.ended["idle"], len(splits) <= 2)
