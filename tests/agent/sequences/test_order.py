"""A verdict by the order of events."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.errors import BundleError
from logagent.report import Style
from logagent.sequences.arrays import packed
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.finding_records import (
    finding_lines,
    finding_record,
    finding_text,
    signature,
)
from logagent.sequences.order import Order
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule
from logagent.sequences.watch import Finding, Watch
from logagent.times import TimeParser

from .fakes import JOB, block, line, lines_of, part, sequencer

BEGIN, WORK, END, NEVER = range(4)
FIRST, LAST, ALL = range(3)
WIDTH = 7


def order(*pairs: tuple[int, int, int], margin: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the map of invariants (a, b, kind), each held by 99 of 100 of 100 sequences."""
    a, b, kind = np.array(pairs).reshape(-1, 3).T
    many = np.full(len(pairs), 100)
    return {
        "a": packed(a.astype("<u2")),
        "b": packed(b.astype("<u2")),
        "kind": packed(kind.astype("|u1")),
        "held": packed((many - 1).astype("<u4")),
        "of": packed(many.astype("<u4")),
        "normal": 100,
        "margin": packed(np.full(len(pairs), margin, "|u1")),
        "cut": 0.0,
    } | changes


def violated(held: dict[str, Any], *events: int) -> list[int]:
    return Order(held, WIDTH).violated(np.array(events, np.int32)).tolist()


def ensemble(held: dict[str, Any] | None) -> Ensemble:
    """Return the model of `fakes.part`, which calls what has no end anomalous, with an order."""
    made: dict[str, Any] = msgpack.unpackb(part())["ensemble"]
    return Ensemble.read(made if held is None else made | {"order": held})


@pytest.mark.parametrize(
    ("kind", "kept", "broken"),
    [
        (FIRST, (0, 1, 0), (1, 0, 1)),
        (LAST, (1, 0, 1), (0, 1, 0)),
        (ALL, (0, 0, 1, 1), (0, 1, 0, 1)),
    ],
)
def test_each_kind_of_invariant_asks_for_other_places(
    kind: int, kept: tuple[int, ...], broken: tuple[int, ...]
) -> None:
    assert [] == violated(order((0, 1, kind)), *kept)
    assert [0] == violated(order((0, 1, kind)), *broken)


def test_nothing_is_said_of_a_pair_that_is_not_there() -> None:
    held = order((0, 1, FIRST), (0, 1, LAST), (0, 1, ALL))
    assert [] == violated(held, 1, 1, 3) == violated(held, 0, 3) == violated(held)


def test_two_events_must_have_changed_sides_by_the_margin() -> None:
    held = order((0, 1, FIRST), margin=3)
    assert [] == violated(held, 1, 4, 0)
    assert [0] == violated(held, 1, 4, 4, 0)


@given(
    st.lists(st.integers(0, WIDTH - 1), max_size=14),
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2)).filter(
            lambda each: each[0] != each[1]
        ),
        min_size=1,
        max_size=9,
    ),
    st.integers(1, 4),
)
def test_violated_is_what_a_reading_of_the_definition_finds(
    events: list[int], pairs: list[tuple[int, int, int]], margin: int
) -> None:
    expected = []
    for at, (a, b, kind) in enumerate(pairs):
        if a in events and b in events:
            last_a, last_b = (len(events) - 1 - events[::-1].index(each) for each in (a, b))
            first_a, first_b = events.index(a), events.index(b)
            ends = {FIRST: first_a, LAST: last_a, ALL: last_a}[kind]
            begins = {FIRST: first_b, LAST: last_b, ALL: first_b}[kind]
            if ends - begins >= margin:
                expected.append(at)
    assert expected == violated(order(*pairs, margin=margin), *events)


def test_order_adds_a_verdict_and_never_removes_one() -> None:
    plain, ordered = ensemble(None), ensemble(order((BEGIN, END, ALL)))
    right, wrong, cut = (np.array(each, np.int32) for each in ([0, 1, 2], [2, 1, 0], [0, 1]))
    assert plain.judge(right).score == ordered.judge(right).score
    assert {"knn": False, "order": False} == ordered.judge(right).votes
    assert not plain.judge(wrong).anomalous
    found = ordered.judge(wrong)
    assert (True, {"knn": False, "order": True}) == (found.anomalous, found.votes)
    assert 0 < found.score <= 1
    for model in (plain, ordered):
        assert model.judge(cut).anomalous
        assert ["missing"] == [each.kind for each in model.judge(cut).carried]


def test_what_counts_found_is_told_as_without_a_voter_of_order() -> None:
    both = np.array([1, 1, 0], np.int32)  # no end, and the beginning comes last
    plain, ordered = ensemble(None), ensemble(order((BEGIN, WORK, ALL)))
    assert ordered.judge(both).votes["order"]
    assert plain.judge(both).carried == ordered.judge(both).carried


def test_a_part_without_order_is_free_of_it_and_one_with_it_is_not() -> None:
    assert ensemble(None).order_free
    with_order = ensemble(order((BEGIN, END, ALL), (BEGIN, END, FIRST)))
    assert not with_order.order_free
    assert ensemble(None).parameters + 12 == with_order.parameters


def test_the_misplaced_event_is_told_with_the_one_it_should_have_followed() -> None:
    """4 was moved to the front, and passed 0, 1 and 2; 6 and 5 changed sides for themselves."""
    pairs = [(0, 4, ALL), (1, 4, ALL), (2, 4, FIRST), (5, 6, ALL)]
    made = Order(order(*pairs), WIDTH)
    events = np.array([4, 0, 1, 2, 6, 5], np.int32)
    moved, other = made.carried(events, made.violated(events))
    assert (4, 0, [0, 1]) == (moved.event, moved.before, moved.positions)
    assert (6, 5, [4, 5]) == (other.event, other.before, other.positions)
    assert (0.75, 0.25, 99, 100) == (moved.weight, other.weight, moved.held, moved.of)


def test_the_cut_says_how_much_has_to_be_out_of_order() -> None:
    events = np.array([2, 1, 0], np.int32)
    pairs = (BEGIN, END, ALL), (WORK, END, ALL)
    assert ensemble(order(*pairs, cut=0.6)).judge(events).anomalous  # 2 / (1 + 2)
    assert not ensemble(order(*pairs, cut=0.7)).judge(events).anomalous


def test_a_finding_names_both_events_and_how_often_it_was_otherwise() -> None:
    made = Watch(sequencer(), ensemble(order((WORK, END, ALL))))
    given_lines = [*lines_of([["begin", "work", "end"], ["begin", "end", "work"]])]
    (found,) = [*made.see("a.log", b"finger-8", block(*given_lines)), *made.close()]
    reader = made.sequencer.reader
    record = finding_record(found, reader, TimeParser())
    assert ("j1", {"knn": False, "order": True}) == (record["session"], record["votes"])
    assert [
        {
            "what": "out of order",
            "template": "job j: end",
            "before": "job j: work",
            "normally_after": 99,
            "normal_sequences": 100,
            "weight": 1.0,
            "positions": [1, 2],
        }
    ] == record["carried"]
    shown = "\n".join(finding_lines(1, found, 1, reader, Style(100, False)))
    for text in (shown, finding_text(found, reader)):
        assert "out of order: job j: end" in text
        assert "before, in 99 of 100 normal ones after: job j: work" in text
    assert (("out of order", END, WORK),) == signature(found)


def test_counts_are_judged_once_for_all_orders_and_each_order_once() -> None:
    model = ensemble(order((BEGIN, END, ALL)))
    asked: dict[str, list[list[int]]] = {"counted": [], "ordered": []}

    class Recording:
        order_free = False
        normal = model.normal
        judge = model.judge

        def counted(self, events: np.ndarray) -> Any:
            asked["counted"].append(events.tolist())
            return model.counted(events)

        def ordered(self, events: np.ndarray, judged: Any) -> Any:
            asked["ordered"].append(events.tolist())
            return model.ordered(events, judged)

    made = Watch(sequencer(), Recording())
    jobs = [["begin", "work", "end"], ["end", "work", "begin"], ["work", "begin", "end"]] * 9
    found = [*made.see("a.log", b"finger-8", block(*lines_of(jobs))), *made.close()]
    assert (27, 9, 1) == (made.judged, made.anomalous, made.misses)
    assert [[0, 1, 2]] == asked["counted"]
    assert [[0, 1, 2], [2, 1, 0], [1, 0, 2]] == asked["ordered"]
    assert {b"j1"} < {each.episode.session for each in found}


def test_what_begins_or_ends_anywhere_has_no_order() -> None:
    """A window, and a session that had to make room: the same lines as of one that is found."""
    model = ensemble(order((BEGIN, END, ALL)))
    lines = [line(1, "end"), line(1, "begin")]
    windows = Watch(sequencer(Rule(window_lines=2)), model)
    assert [] == [*windows.see("a.log", b"finger-8", block(*lines)), *windows.close()]
    crowded = Watch(sequencer(max_sessions=1), model)
    others = [line(2, "begin"), line(2, "end")]
    assert [] == [*crowded.see("a.log", b"finger-8", block(*lines, *others)), *crowded.close()]
    assert (1, 1) == (windows.judged, crowded.counts()["evicted"])
    alone = Watch(sequencer(), model)
    assert 1 == len([*alone.see("a.log", b"finger-8", block(*lines)), *alone.close()])


def test_a_session_whose_middle_is_not_kept_has_no_order() -> None:
    """Its first end stands in the middle; of what is kept an end is before a begin."""
    model = ensemble(order((BEGIN, END, FIRST)))
    job = ["work"] * 4 + ["begin", "end"] * 5 + ["begin", "work", "end"]
    for most, found in ((8, 0), (64, 0)):
        made = Watch(sequencer(Rule(key=JOB, max_events=most)), model)
        lines = lines_of([job])
        assert found == len([*made.see("a.log", b"finger-8", block(*lines)), *made.close()])
        assert (most == 8) == made.counts()["truncated"]
    kept = np.array([WORK] * 4 + [END, BEGIN, WORK, END], np.int32)
    assert model.judge(kept).anomalous


@given(st.lists(st.lists(st.sampled_from(["begin", "work", "end"]), max_size=5), max_size=12))
def test_a_cache_changes_no_verdict(jobs: list[list[str]]) -> None:
    model = ensemble(order((BEGIN, END, ALL), (WORK, END, LAST)))
    made = Watch(sequencer(), model)
    numbers = {"begin": BEGIN, "work": WORK, "end": END}
    jobs = [job for job in jobs if job]
    found: list[Finding] = []
    if jobs:
        found = [*made.see("a.log", b"finger-8", block(*lines_of(jobs))), *made.close()]
    expected = {}
    for at, job in enumerate(jobs):
        judged = model.judge(np.array([numbers[what] for what in job], np.int32))
        if judged.anomalous:
            expected[f"j{at}".encode()] = judged
    assert expected == {each.episode.session: each.judged for each in found}


@pytest.mark.parametrize(
    "changes",
    [
        {"margin": 0},
        {"cut": 1.5},
        {"normal": 50},
        {"kind": packed(np.array([3], "|u1"))},
        {"a": packed(np.array([WIDTH], "<u2"))},
        {"a": packed(np.array([END], "<u2"))},
        {"b": packed(np.array([1, 2], "<u2"))},
        {"held": packed(np.array([101], "<u4"))},
        {"of": packed(np.array([0], "<u4"))},
        {"a": None},
    ],
)
def test_a_damaged_order_is_refused(changes: dict[str, Any]) -> None:
    ensemble(order((BEGIN, END, ALL)))
    with pytest.raises(BundleError, match="unusable ensemble"):
        ensemble(order((BEGIN, END, ALL), **changes))


def test_too_many_or_no_invariants_are_refused() -> None:
    none = order((BEGIN, END, ALL))
    for name in ("a", "b", "kind", "held", "of", "margin"):
        none[name] = [none[name][0], [0], b""]
    for held in (none, order(*[(0, 1, ALL)] * 4097)):
        with pytest.raises(BundleError, match="invariants, not 1 to"):
            ensemble(held)


def test_a_whole_part_with_order_is_read_and_judges() -> None:
    held: dict[str, Any] = msgpack.unpackb(part())
    held["ensemble"]["order"] = order((BEGIN, END, ALL))
    model = SequenceModel.read(msgpack.packb(held))
    assert model.ensemble.judge(np.array([2, 0], np.int32)).votes["order"]


def test_a_record_of_hostile_lines_stays_printable() -> None:
    made = Watch(sequencer(), ensemble(order((3, 2, ALL), (4, 2, ALL), (5, 2, ALL), (6, 2, ALL))))
    odd = line(1, "\x1b[2J<b> \u202eodd").replace(b" job", b" job")
    (found,) = [*made.see("a.log", b"finger-8", block(line(1, "end"), odd)), *made.close()]
    assert "out of order" == found.judged.carried[0].kind
    reader = made.sequencer.reader
    assert finding_text(found, reader).isprintable()
    shown = finding_lines(1, found, 1, reader, Style(60, False))
    assert all(each.isprintable() for each in shown)
