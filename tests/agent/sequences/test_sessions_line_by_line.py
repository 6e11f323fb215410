"""Sessions that take a block at once are those of a table that takes line after line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.sequences.episode import SAMPLE_BYTES, Episode, Open
from logagent.sequences.rules import MAX_KEY_BYTES, SESSION, Rule, session_key
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.sessions import Sessions

from .fakes import block, reader

_KEY = session_key(r"(?:job|(j)) ?(?P<session>[^:]*)?")
_NAMES = ["1", "2", "3", "4", "5", "long" * 40, ""]


class LineByLine(Sessions):
    """The plain way: each line is searched, and then given to its session."""

    def add(
        self,
        source: str,
        fingerprint: bytes,
        block: Block,
        events: Sequence[int],
        span: tuple[int, int],
        seconds: float,
    ) -> list[Episode]:
        assert self.rule.key is not None
        pattern, reach = self.rule.key.pattern, self.rule.key.reach
        most = self.rule.max_events
        half = most // 2
        over = []
        for index in range(*span):
            line = block.line(index)
            found = pattern.search(line, 0, reach)
            if found is None:
                self._counters.no_key += 1
                continue
            key = found[SESSION]
            number = block.first_line + index if block.first_line else 0
            offset = block.line_offset(index)
            session = self._open.get(key)
            if session and seconds - session.seconds >= (self.rule.timeout_seconds or math.inf):
                over.append(self._end(key, "idle"))
                session = None
            if session is None:
                if not key or len(key) > MAX_KEY_BYTES:
                    self._counters.malformed_keys += 1
                    continue
                session = self._open[key] = Open(source, fingerprint, number, offset, line)
                session.began = seconds
                self._room.open += 1
            self._open.move_to_end(key)
            session.last_source, session.last_line, session.last_offset = source, number, offset
            session.last_text = line[:SAMPLE_BYTES]
            if session.count < most:
                session.events.append(events[index])
                self._room.held += 1
            else:
                session.events[half + (session.count - half) % (most - half)] = events[index]
            session.count += 1
            session.seconds = seconds
        return over


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    what = draw(st.sampled_from(["begin", "work", "end", "x" * 1100, "\r"]))
    kind = draw(st.integers(0, 9))
    if not kind:
        return draw(st.sampled_from([b"", b"\0", b"none", b"." * 1020 + b"job 77:"]))
    second = draw(st.integers(0, 40))
    head = f"2026-01-01T00:00:{second:02}Z " if kind > 5 else ""
    return f"{head}job {draw(st.sampled_from(_NAMES))}: {what}".encode()


def plain(made: Sequencer) -> Sequencer:
    """Return a sequencer that goes line by line."""
    make = made._log

    def slow(rule: Rule):  # type: ignore[no-untyped-def]
        log = make(rule)
        log.table = LineByLine(rule, made._room, made.counters, len(made.reader.vocabulary))
        return log

    made._log = slow  # type: ignore[method-assign]
    return made


def told(episode: Episode) -> tuple[object, ...]:
    kept = episode.events.tolist()
    return (episode.session, kept, episode.count, episode.first, episode.last, episode.ended,
            episode.id)  # fmt: skip


@settings(max_examples=120)
@given(
    st.lists(st.lists(lines(), min_size=1, max_size=25), min_size=1, max_size=5),
    st.sampled_from([0.0, 4.0, 30.0]),
    st.sampled_from([2, 3, 7, 512]),
    st.sampled_from([1, 3, 1000]),
    st.booleans(),
)
def test_sessions_events_ids_and_their_order_are_the_same(
    blocks: list[list[bytes]], timeout: float, events: int, room: int, across: bool
) -> None:
    rule = Rule(key=_KEY, timeout_seconds=timeout, max_events=events, across=across)
    rules = [rule]
    fast, slow = (Sequencer(reader(), rules, max_sessions=room, wall=lambda: 0.0) for _ in range(2))
    plain(slow)
    first, offset = 1, 0
    for number, each in enumerate(blocks):
        source = "ab"[number % 2]
        taken = block(*each, first=first, offset=offset)
        ended = [[told(e) for e in made.see(source, b"f", taken)] for made in (slow, fast)]
        assert ended[0] == ended[1]
        assert slow.counters == fast.counters
        assert slow._room == fast._room
        assert slow.state() == fast.state()
        first, offset = first + len(each), offset + len(taken.data) + 1
    assert [told(e) for e in slow.close()] == [told(e) for e in fast.close()]
    assert slow.counters == fast.counters


@settings(max_examples=15)
@given(st.lists(st.integers(0, 60), min_size=260, max_size=700), st.integers(20, 700))
def test_in_large_blocks_with_little_room_too(keys: list[int], room: int) -> None:
    rule = Rule(key=_KEY, max_events=9)
    fast, slow = (
        Sequencer(reader(), [rule], max_sessions=room, wall=lambda: 0.0) for _ in range(2)
    )
    plain(slow)
    taken = block(*(b"job %d: work" % (key * 7 + at // 90) for at, key in enumerate(keys)))
    assert [told(e) for e in slow.see("a", b"f", taken)] == [
        told(e) for e in fast.see("a", b"f", taken)
    ]
    assert slow.state() == fast.state()


def test_a_block_that_was_taken_is_not_held() -> None:
    made = Sequencer(reader(), [Rule(key=_KEY, timeout_seconds=8.0)])
    list(made.see("a", b"f", block(b"job 1: begin", b"job 1: end")))
    (table,) = (log.table for log in made._logs.values())
    assert isinstance(table, Sessions)
    assert (None, []) == (table._block, table._keys)
