"""What is anomalous, and how it is told."""

from __future__ import annotations

import json
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from logagent.records import dumps
from logagent.report import Style
from logagent.sequences.finding_records import (
    MOST_CARRIED,
    UNKNOWN,
    finding_lines,
    finding_record,
    finding_text,
    signature,
)
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule
from logagent.sequences.watch import Finding, Watch
from logagent.times import TimeParser

from .fakes import JOB, NAMES, MissingEnd, block, line, lines_of, part, reader, sequencer

GOOD, BAD = ["begin", "work", "end"], ["begin", "work"]


def watch(*rules: Rule) -> Watch:
    return Watch(sequencer(*rules), MissingEnd())


def findings(made: Watch, *lines: bytes) -> list[Finding]:
    return [*made.see("a.log", b"finger-8", block(*lines)), *made.close()]


def test_only_what_is_anomalous_is_found() -> None:
    made = watch()
    found = findings(made, *lines_of([GOOD, BAD, GOOD, ["begin"]]))
    assert [b"j1", b"j3"] == [each.episode.session for each in found]
    assert (4, 2) == (made.judged, made.anomalous)


def test_equal_sequences_are_judged_once() -> None:
    made = watch()
    findings(made, *lines_of([GOOD, BAD] * 50))
    assert (100, 2, 50) == (made.judged, made.misses, made.anomalous)
    assert [[0, 1, 2], [0, 1]] == made._judge.asked  # type: ignore[attr-defined]


def test_sequences_in_another_order_share_a_verdict_where_order_does_not_matter() -> None:
    jobs = [["begin", "work", "end"], ["end", "begin", "work"], ["begin", "odd"], ["odd", "begin"]]
    found = {}
    for order_free in (True, False):
        made = Watch(sequencer(), MissingEnd(order_free=order_free))
        found[order_free] = findings(made, *lines_of(jobs))
        # Where the odd event stands is said of each anomalous one.
        places = [each.judged.carried[1].positions for each in found[order_free]]
        assert [[1], [0]] == places
        assert (3 if order_free else 4, 2) == (made.misses, made.anomalous)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.randoms())
def test_the_ensemble_keeps_the_promise_that_order_does_not_matter(
    events: list[int], random: Random
) -> None:
    ensemble = SequenceModel.read(part()).ensemble
    assert ensemble.order_free
    mixed = random.sample(events, len(events))
    first, second = (ensemble.judge(np.array(each, np.int32)) for each in (events, mixed))
    assert (first.score, first.votes) == (second.score, second.votes)


def test_a_record_names_the_session_its_lines_and_what_carried_it() -> None:
    made = watch()
    (found,) = findings(made, line(7, "begin", 0), b"other", line(7, "work", 60))
    record = finding_record(found, made.sequencer.reader, TimeParser())
    assert {
        "kind": "sequence",
        "session": "j7",
        "rule": "default",
        "source": "a.log",
        "line": 1,
        "offset": 0,
        "last_line": 3,
        "time": "2026-01-01T00:00:00+00:00",
        "last_time": "2026-01-01T00:01:00+00:00",
        "lines": 2,
        "ended": "end",
        "score": 0.9,
        "verdict": "anomaly",
        "votes": {"fake": True},
    }.items() <= record.items()
    assert {"what": "missing", "template": "job j: end", "weight": 0.9} == record["carried"][0]
    assert record["last_text"].endswith("job j7: work")
    assert json.loads(dumps(record)) == record


def test_a_record_shows_what_was_never_seen_in_training() -> None:
    made = watch()
    (found,) = findings(made, line(1, "begin"), line(1, "exploded"))
    carried = finding_record(found, made.sequencer.reader, TimeParser())["carried"][1]
    assert ("unexpected", "job j: exploded", True, [1]) == (
        carried["what"],
        carried["template"],
        carried["unknown"],
        carried["positions"],
    )
    assert UNKNOWN == finding_record(found, reader(), TimeParser())["carried"][1]["template"]


def test_the_same_lines_give_the_same_id() -> None:
    ids = {findings(watch(), *lines_of([BAD]))[0].episode.id for _ in range(3)}
    assert 1 == len(ids)


def test_nothing_that_a_log_holds_reaches_a_reader_as_it_is() -> None:
    made = watch(Rule(key=sequence_key()))
    hostile = b"id=\x1b[2J\xe2\x80\xae<script> job: begin \x07"
    (found,) = findings(made, hostile, hostile)
    shown = [
        dumps(finding_record(found, made.sequencer.reader, TimeParser())),
        finding_text(found, made.sequencer.reader),
        *finding_lines(1, found, 1, made.sequencer.reader, Style(100, False)),
    ]
    assert all(text.isprintable() for text in shown)


def sequence_key():  # type: ignore[no-untyped-def]
    from logagent.sequences.rules import session_key

    return session_key(r"id=(?P<session>[^ ]*)")


def test_a_record_is_of_bounded_size_whatever_carried_it() -> None:
    made = watch()
    odd = [line(1, f"{x}{y} " + "w" * 900) for x in NAMES[:12] for y in NAMES]
    (found,) = findings(made, line(1, "begin"), *odd)
    record = finding_record(found, made.sequencer.reader, TimeParser())
    assert MOST_CARRIED == len(record["carried"])
    assert len(dumps(record)) < 8000


def test_one_cause_has_one_signature_in_any_order() -> None:
    found = findings(watch(), *lines_of([BAD, ["begin", "work", "work"], ["begin", "odd"]]))
    first, second, third = map(signature, found)
    assert first == second != third


def test_people_read_few_short_lines() -> None:
    made = watch(Rule(key=JOB))
    (found,) = findings(made, line(1, "begin " + "x" * 500), line(1, "work"))
    lines = finding_lines(3, found, 12, made.sequencer.reader, Style(80, False))
    assert "  3  0.90  ×12  session j1  a.log:1 … 2  2 lines" == lines[0]
    assert any("missing: job j: end" in each for each in lines)
    assert max(map(len, lines)) <= 100


def test_the_ensemble_gets_what_it_wants() -> None:
    made = watch()
    findings(made, *lines_of([GOOD]))
    (episode,) = [*_episodes()]
    assert (np.int32, 1) == (episode.events.dtype, episode.events.ndim)


def _episodes():  # type: ignore[no-untyped-def]
    made = sequencer()
    list(made.see("a.log", b"finger-8", block(line(1, "begin"))))
    return made.close()
