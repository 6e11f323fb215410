"""Sessions of which a part was not read: which they are, and that only what they have counts."""

from __future__ import annotations

from collections.abc import Sequence

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sequences.episode import Episode
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.silences import TICK_SECONDS, Silences

from .fakes import JOB, line, part, reader, seen

HOUR = 3600
NEVER, RARE = 0.0, -1.0


def silences(
    before: Sequence[float] = (NEVER, 600.0, 1200.0),
    after: Sequence[float] = (600.0, 1200.0, NEVER),
    *,
    stamped: bool = True,
) -> Silences:
    """Return those of begin, work, end; an hour for all others; a line for a minute."""
    both = [np.array([*each, float(HOUR)], np.float32) for each in (before, after)]
    lines = [np.where(each < 0, -1, each / 60).astype(np.int32) for each in both]
    return Silences(*(both if stamped else [np.zeros(0, np.float32)] * 2), *lines)


def made(
    rule: Rule | None = None, known: Silences | None = None, *, stamped: bool = True
) -> Sequencer:
    texts = [line(1, what, 0 if stamped else None) for what in ("begin", "work", "end")]
    rules = [rule or Rule(key=JOB)]
    return Sequencer(reader(*texts), rules, wall=lambda: 0.0, silences=known or silences())


def flags(episodes: Sequence[Episode]) -> dict[str, str]:
    return {
        each.session.decode(): "cut" * each.cut + "unfinished" * each.unfinished
        for each in episodes
    }


def go_on(ours: Sequencer, second: int, source: str = "a.log") -> None:
    """Let the log say what time it is, twice: a clock believes no single line that is far ahead."""
    seen(ours, *[line("x", "nothing", second).replace(b"job", b"at")] * 2, source=source)


def test_a_session_that_speaks_soon_after_its_log_was_begun_may_have_begun_before() -> None:
    ours = made()
    seen(ours, line(1, "work", 0), line(2, "begin", 0), line(3, "end", 900), line(4, "work", 900))
    go_on(ours, 9 * HOUR)
    assert {"j1": "cut", "j2": "", "j3": "cut", "j4": ""} == flags(list(ours.close()))
    assert 2 == ours.counters.cut


def test_a_session_that_spoke_just_before_its_log_stops_may_go_on() -> None:
    ours = made()
    seen(ours, line(1, "begin", 0), line(2, "begin", 100), line(3, "begin", 940))
    seen(ours, line(4, "begin", 1000), line(4, "end", 1000))
    assert {"j1": "", "j2": "", "j3": "unfinished", "j4": ""} == flags(list(ours.close()))
    assert 1 == ours.counters.unfinished


def test_times_are_taken_to_be_as_exact_as_they_are_read() -> None:
    ours = made()
    go_on(ours, 0)
    for number, second in enumerate((600, 600 + TICK_SECONDS, 601 + TICK_SECONDS), 1):
        seen(ours, line(number, "work", int(second)))
    assert ["cut", "cut", ""] == [
        flag.replace("unfinished", "") for flag in flags(list(ours.close())).values()
    ]


def test_a_line_without_a_stamp_is_taken_to_be_as_late_as_it_may_be() -> None:
    """Else a session would be taken for silent for as long as times are not looked at."""
    ours = made(stamped=False)
    seen(ours, line("x", "nothing", 0), line("x", "nothing", 200), line(1, "begin"))
    go_on(ours, 800)
    assert {"j1": "unfinished"} == flags(list(ours.close()))


def test_where_a_log_of_fields_stops_is_read_behind_its_message() -> None:
    """Else it would stop where the lines begin whose times are not looked at."""

    def fields(session: int, what: str, second: int) -> bytes:
        stamp, _, text = line(session, what, second).partition(b" ")
        return b'{"message": "%s", "x": "%s", "time": "%s"}' % (text, b"." * 50, stamp)

    begin, work = (fields(1, what, 0) for what in ("begin", "work"))
    ours = Sequencer(
        reader(begin, work, b"end"), [Rule(key=JOB)], wall=lambda: 0.0, silences=silences()
    )
    seen(ours, fields(1, "begin", 0), fields(2, "work", 450), fields(2, "work", 670))
    assert {"j1": "", "j2": "cutunfinished"} == flags(list(ours.close()))


def test_what_no_normal_session_says_leaves_the_question_to_the_event_before() -> None:
    """Else a session that stops for a reason that it tells would be let go for an hour."""
    ours = made()
    seen(ours, line(1, "begin", 0), line(1, "exploded", 1), line(2, "exploded", 1))
    go_on(ours, HOUR // 2)
    assert {"j1": "", "j2": "cutunfinished"} == flags(list(ours.close()))


def test_an_event_that_is_too_rare_is_as_one_that_is_not_known() -> None:
    ours = made(known=silences(before=(NEVER, RARE, NEVER)))
    go_on(ours, 0)
    seen(ours, line(1, "work", HOUR))
    go_on(ours, 2 * HOUR)
    seen(ours, line(2, "work", 2 * HOUR))
    go_on(ours, 9 * HOUR)
    assert {"j1": "cut", "j2": ""} == flags(list(ours.close()))


@pytest.mark.parametrize("stamped", [True, False])
def test_without_stamps_lines_of_the_log_are_counted(stamped: bool) -> None:
    """On either side: a log without, or a training without."""
    ours = made(known=silences(stamped=not stamped), stamped=stamped)
    seconds = [at if stamped else None for at in range(100)]
    seen(ours, line(1, "work", seconds[0]), *[b"nothing"] * 9, line(2, "work", seconds[9]))
    later = [line(3, "begin", seconds[40]), line(4, "work", seconds[40])]
    seen(ours, *[b"nothing"] * 9, *later, first=12)
    seen(ours, *[b"nothing"] * 15, first=23)
    assert {"j1": "cut", "j2": "cut", "j3": "", "j4": "unfinished"} == flags(list(ours.close()))


def test_a_log_whose_lines_nobody_counts_stops_nobody_knows_where() -> None:
    ours = made(stamped=False)
    seen(ours, line(1, "begin"), *[b"nothing"] * 500, first=0)
    assert {"j1": "unfinished"} == flags(list(ours.close()))


def test_every_source_is_begun_by_itself_though_a_rule_goes_across() -> None:
    ours = made(Rule(key=JOB, across=True))
    seen(ours, line(1, "begin", 0), source="a.log")
    go_on(ours, 9 * HOUR)
    seen(ours, line(1, "work", 9 * HOUR), line(2, "work", 9 * HOUR), source="a.log")
    seen(ours, line(1, "end", 9 * HOUR), line(3, "work", 9 * HOUR + 1), source="b.log")
    found = flags(list(ours.close()))
    assert {"j1": "", "j2": "unfinished", "j3": "cutunfinished"} == found


def test_a_clock_that_is_put_back_begins_a_log_anew_and_not_for_ever() -> None:
    ours = made()
    go_on(ours, 15 * HOUR)
    go_on(ours, 0)
    go_on(ours, 0)
    seen(ours, line(1, "work", 1))
    go_on(ours, HOUR)
    seen(ours, line(2, "work", HOUR))
    go_on(ours, 9 * HOUR)
    assert {"j1": "cut", "j2": ""} == flags(list(ours.close()))


def test_without_silences_sessions_begin_and_end_where_their_log_does() -> None:
    ours = Sequencer(reader(), [Rule(key=JOB)], wall=lambda: 0.0)
    seen(ours, line(1, "work", 0), line(2, "begin", 0))
    assert {"j1": "", "j2": ""} == flags(list(ours.close()))


def test_a_restart_begins_no_log_anew_and_forgets_no_session_that_was_cut() -> None:
    ours, again = made(), made()
    seen(ours, line(1, "work", 0), line(2, "begin", 1))
    go_on(ours, 5 * HOUR)
    assert [] == again.load(msgpack.unpackb(msgpack.packb(ours.state())))
    seen(again, line(3, "work", 5 * HOUR), first=5)
    go_on(again, 9 * HOUR)
    assert {"j1": "cut", "j2": "", "j3": ""} == flags(list(again.close()))


def test_a_state_from_before_there_were_silences_is_read() -> None:
    ours, again = made(), made()
    seen(ours, line(1, "work", 0))
    names, ((name, text, clock, table, _),) = ours.state()
    ((key, (*fields, cut)),) = table
    assert cut is True
    assert [] == again.load([names, [[name, text, clock, [[key, fields]]]]])
    seen(again, line(2, "work", HOUR // 2))
    go_on(again, 9 * HOUR)
    assert {"j1": "", "j2": "cut"} == flags(list(again.close()))


@pytest.mark.parametrize("saved", [5, [5], [[0, "x", 1, 1]], [[7, 0.0, 1, 1]]])
def test_a_state_of_beginnings_that_makes_no_sense_is_refused(saved: object) -> None:
    ours = made()
    seen(ours, line(1, "work", 0))
    state = ours.state()
    state[1][0][4] = saved
    with pytest.raises(ValueError, match=r"other fields|no name"):
        made().load(state)


def test_so_many_logs_of_one_rule_are_remembered_and_no_more() -> None:
    ours = made(Rule(key=JOB, across=True))
    for number in range(300):
        seen(ours, line(1, "begin", number), source=f"{number}.log")
    (log,) = ours._logs.values()
    assert log.reading is not None
    assert 256 == len(log.reading._sources)


@pytest.mark.parametrize("stamped", [True, False])
def test_where_a_log_that_was_forgotten_stops_its_stamps_still_say(stamped: bool) -> None:
    ours = made(Rule(key=JOB, across=True), stamped=stamped)
    for number in range(300):
        said = line(number, "begin", number if stamped else None)
        seen(ours, said, source=f"{number}.log")
    found = flags(list(ours.close()))
    assert ("unfinished" if stamped else "", "unfinished") == (found["j0"], found["j299"])


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["begin", "work", "end"]), st.integers(0, 35)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 9),
)
def test_however_a_log_is_cut_into_blocks_the_same_sessions_are_parts(
    said: list[tuple[int, str, int]], cut: int
) -> None:
    # Within an hour a clock believes a single line; further it asks for a second one.
    seconds = np.cumsum([100 * gap for *_, gap in said]).tolist()
    lines = [
        line(number, what, second) for (number, what, _), second in zip(said, seconds, strict=True)
    ]
    found = []
    for size in (1, cut):
        ours = made()
        for at in range(0, len(lines), size):
            seen(ours, *lines[at : at + size], first=at + 1)
        found.append({name: "cut" in flag for name, flag in flags(list(ours.close())).items()})
    assert found[0] == found[1]


def test_a_part_keeps_them_and_one_without_is_read_as_before() -> None:
    assert SequenceModel.read(part()).silences is None
    kept = SequenceModel.read(part(silences=silences())).silences
    assert kept is not None
    assert msgpack.packb(silences().part()) == msgpack.packb(kept.part())
    bare = SequenceModel.read(part(silences=silences(stamped=False))).silences
    assert bare is not None
    assert (0, 4) == (len(bare.before_seconds), len(bare.before_lines))


@pytest.mark.parametrize(
    "spoilt",
    [
        None,
        {},
        silences().part() | {"after_lines": silences().part()["after_seconds"]},
        silences().part() | {"after_seconds": silences(stamped=False).part()["after_seconds"]},
        silences((1.0,), (1.0,)).part(),
        silences((1.0, 2.0, -5.0)).part(),
    ],
)
def test_silences_that_make_no_sense_are_refused(spoilt: object) -> None:
    data = msgpack.unpackb(part()) | {"silences": spoilt}
    with pytest.raises(ValueError, match=r"silences|seconds|lines"):
        SequenceModel.read(msgpack.packb(data))
