"""Sequences on the page of `scan --html`: what carried a verdict is named, drawn, and inert."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.cli import app
from logagent.groups import Sighting
from logagent.html_flow import Flow
from logagent.html_page import page
from logagent.html_sequences import MAX_KINDS, Found, Sequences
from logagent.occurrences import Chronicle
from logagent.scan import Scan
from logagent.sequences.ensemble import Carried, Judged
from logagent.sequences.episode import Ended, Episode
from logagent.sequences.events import EventReader
from logagent.sequences.sessions import Counters
from logagent.sequences.vocabulary import Vocabulary, event_keys
from logagent.sequences.watch import Finding
from typer.testing import CliRunner

from .fakes import KeywordScorer
from .sequences.fakes import block, bundle, line, lines_of, reader
from .test_html_report import EVIL, FACTS, read

COUNTS: dict[str, Any] = {
    "open": 0,
    "judged": 50,
    "anomalous": 3,
    "lines": 200,
    **dict.fromkeys(("no_key", "malformed_keys", "unknown_lines", "truncated", "evicted"), 0),
}


def finding(
    events: Sequence[int] = (0, 1, 1),
    carried: Sequence[Carried] = (Carried("missing", 2, 0.9, []),),
    *,
    session: bytes = b"j1",
    text: bytes = b"2026-01-01T00:00:05Z job j1: begin",
    count: int | None = None,
    ended: Ended = "end",
    rule: str = "default",
    source: str = "a.log",
    votes: tuple[str, ...] = ("forest",),
) -> Finding:
    episode = Episode(
        rule,
        session,
        np.array(events, np.int32),
        len(events) if count is None else count,
        Sighting(source, 3, 10, text),
        Sighting(source, 9, 99, text),
        ended,
        b"finger-8",
    )
    return Finding(episode, Judged(0.9, True, dict.fromkeys(votes, True), list(carried)))


def section(*findings: Finding, told: EventReader | None = None, **counts: int) -> str:
    found = Found([(each, 2) for each in findings], 0, COUNTS | counts, told or reader())
    return Sequences(found).section()


def whole(folder: Path, sequences: Sequences) -> str:
    scan = Scan(KeywordScorer(), threshold=0.5)
    chronicle = Chronicle()
    for step in scan.steps([str(folder)]):
        chronicle.see(step, scan.groups)
    return page([], 0, scan.groups, scan.totals, chronicle, FACTS, sequences)


def test_a_kind_tells_what_carried_it_where_and_how_often() -> None:
    text = section(
        finding([0, 5, 1, 1], [Carried("missing", 2, 0.9, []), Carried("repeated", 1, 0.2, [2, 3])])
    )
    found = " ".join(" ".join(read(text).text).split())

    assert "missing job j: end and 1 more event session j1" in found
    assert "repeated job j: work" in found
    assert "a.log:3 … 9 4 lines 2026-01-01 00:00:05" in found
    assert "×\u202f2" in text
    assert "its log or its window was over" in found
    assert "forest: anomalous" in found


def test_the_places_of_what_carried_the_verdict_are_coloured() -> None:
    text = section(
        finding(
            [0, 5, 1, 0, 5],
            [Carried("unexpected", 5, 0.9, [1, 4]), Carried("missing", 2, 0.5, [])],
        )
    )
    drawing, unexpected, missing, *others = re.findall('<svg class="lane.*?</svg>', text)

    assert re.findall('<path class="c1" d="(.*?)"', drawing)[0].count("M") == 2
    assert ("M1.1", "M4.1") == tuple(re.findall(r"M[\d.]+", unexpected))
    assert "<path" not in missing
    assert "stroke" in missing
    assert [1, 2] == sorted(each.count("M") for each in others)  # work once, begin twice


def test_what_is_missing_but_not_gone_is_drawn_where_it_is() -> None:
    text = section(finding([0, 1, 0], [Carried("missing", 0, 0.9, [])]))
    _, missing, *others = re.findall('<svg class="lane.*?</svg>', text)

    assert ("M0.1", "M2.1") == tuple(re.findall(r"M[\d.]+", missing))
    assert 1 == len(others)


def test_what_nobody_has_thought_of_yet_is_told_in_the_words_of_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each = Carried(cast("Any", "too late"), 1, 0.9, [1])
    said = {"what": "too late", "template": "work", "weight": 0.9, "not_before": "<begin>"}
    monkeypatch.setattr(
        "logagent.html_sequences.finding_record", lambda *_: {"carried": [said], "votes": {}}
    )
    text = section(finding([0, 1, 2], [each]))

    assert "too late</span> <code>work</code> <em>not before</em> <code>&lt;begin&gt;" in text
    assert '<path class="c5" d="M1.1' in text


def test_a_line_that_training_did_not_have_is_told_from_those_that_it_had() -> None:
    new = reader()
    (number,) = new.read(block(b"job j9: what <is> this"))
    text = section(finding([0, number, 1], [Carried("unexpected", number, 0.9, [1])]), told=new)
    other = section(finding([0, number, 1]), told=new)
    gone = section(finding([0, number, 1]))

    said = "<em>a new line, such as</em> <code>job j: what &lt;is&gt; this</code>"
    assert f"unexpected</span> {said}" in text
    assert f"<p>{said}</p>" in other
    assert "a new line, such as" not in gone


def test_an_event_out_of_order_is_drawn_with_the_one_that_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each = Carried(cast("Any", "out of order"), 1, 0.9, [0, 2])
    said = {"what": "out of order", "template": "work", "weight": 0.9, "before": "begin"}
    said |= {"normally_after": 1370, "normal_sequences": 1371}
    record = {"carried": [said], "votes": {}, "cut": True, "unfinished": True, "group": "5f0c"}
    monkeypatch.setattr("logagent.html_sequences.finding_record", lambda *_: record)
    text = section(finding([1, 2, 0], [each]), taught=3)
    lane = re.findall('<svg class="lane.*?</svg>', text)[1]

    assert "<em>before, in 1,370 of 1,371 normal ones after</em> <code>begin</code></p>" in text
    assert ("M0.1", "M2.1") == tuple(re.findall(r"M[\d.]+", lane))
    assert 'class="c3"' in lane
    assert "<dt>Begun</dt><dd>perhaps before what was read</dd>" in text
    assert "was over; perhaps it was not" in text
    assert 'data-copy="5f0c"' in text
    assert "3 sequences more taught to be normal" in text


def test_a_sequence_of_which_no_event_stands_out_shows_its_last_line() -> None:
    text = section(finding([0, 1], []))

    assert "no event by itself</em> 2026-01-01T00:00:05Z job j1: begin" in text


def test_the_middle_that_was_left_out_is_marked_and_told() -> None:
    text = section(finding([0] * 10, count=500))

    assert "of which 10 were kept to be judged" in text
    assert 'x1="5" x2="5" y1="0"' in text
    assert 'x1="5" x2="5" y1="0"' not in section(finding([0] * 10))


def test_a_window_has_no_session_and_a_rule_of_ones_own_has_a_name() -> None:
    text = section(finding(session=b"", rule="rule 2", ended="evicted"))

    assert "a window" in text
    assert "<dt>Rule</dt><dd>rule 2</dd>" in text
    assert "there was no room" in text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "50 sequences were judged, and none is anomalous."),
        ({"judged": 1}, "1 sequence was judged, and none is anomalous."),
        ({"judged": 0, "no_key": 200}, "<code>--session-key</code> says what that is."),
        ({"judged": 0, "lines": 0}, "No sequence was judged."),
    ],
)
def test_nothing_found_is_said(counts: dict[str, int], said: str) -> None:
    assert said in section(**counts)


def test_what_befell_the_sequences_is_in_the_totals() -> None:
    text = section(no_key=12, evicted=4, unknown_lines=1, malformed_keys=2, truncated=1, open=3)

    assert (
        "50 sequences of 200 lines; 12 lines in no session; 2 lines with a session’s key that is "
        "none; 1 line unlike any of the training; 1 sequence too long to be kept whole; "
        "4 sequences ended early for want of room (--max-sessions); 3 sequences not over and not "
        "judged."
    ) in text


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_text_becomes_text_wherever_it_stands(tmp_path: Path, evil: bytes) -> None:
    shown = evil.decode(errors="replace")
    keys, _, _ = event_keys([b"begin", b"work", b"end"])
    told = EventReader(Vocabulary(keys, [evil] * 3, 4))

    def made(text: bytes, name: str, words: EventReader) -> Sequences:
        kinds = [
            Carried(cast("Any", what), 1, 0.9, [1]) for what in ("missing", "unexpected", name)
        ]
        each = finding(
            [0, 1, 2],
            kinds,
            session=text,
            text=b"job " + text,
            rule=name,
            source=name,
            votes=(name,),
        )
        return Sequences(Found([(each, 1)], 1, COUNTS, words))

    (tmp_path / "log").write_bytes(b"well\n")
    found = read(text := whole(tmp_path, made(evil, shown, told)))
    plain = read(whole(tmp_path, made(b"j1", "x", reader())))

    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert {a for _, each in found.tags for a in each} == {
        a for _, each in plain.tags for a in each
    }
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", text)


def test_nothing_of_it_loads_or_styles_inline(tmp_path: Path) -> None:
    found = Found([(finding(), 1)], 0, COUNTS, reader())
    for _, attributes in read(whole(tmp_path, Sequences(found))).tags:
        assert not {"style", "src", "srcset", "xlink:href"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]


def test_the_part_is_bounded_and_says_what_it_leaves_out() -> None:
    evil = b'"' * 4000
    keys, _, _ = event_keys([b"x%s" % chr(97 + n).encode() for n in range(26)])
    told = EventReader(Vocabulary(keys, [evil] * 26, 4))
    events = np.random.default_rng(1).integers(0, 26, 4096).tolist()
    kinds = [Carried("unexpected", event, 0.5, list(range(16))) for event in range(8)]
    each = finding(events, kinds, session=evil, text=evil, source='"' * 4000)
    found = Found([(each, 1)] * 250, 7, COUNTS, told)
    text = Sequences(found).section()

    assert MAX_KINDS == text.count('class="group sequence"')
    assert f"The {MAX_KINDS} with the highest scores of 250 are shown." in text
    assert "7 low-scored kinds found no room and were let go." in text
    assert len(text.encode()) < MAX_KINDS * 70_000  # all of it escaped; 6 kB a kind is usual


@given(st.lists(st.integers(0, 40), min_size=1, max_size=600))
def test_every_event_of_a_sequence_is_in_its_drawings(events: list[int]) -> None:
    flow = Flow(np.array(events, np.int32), folded=False)
    each = flow.others(())

    assert sorted(set(events)) == sorted(each)
    assert events[0] == each[0]
    assert len(events) == sum(len(flow.places([event])) for event in each)
    assert all("<path" in flow.lane(flow.places([event])) for event in each)
    drawn = flow.whole({0: "c1", len(events) - 1: "c2", len(events): "c3", -1: "c3"})
    assert {"c0", "c1", "c2"} - {"c1" if len(events) == 1 else ""} == set(
        re.findall('class="(c[0-9])"', drawn)
    )
    assert len(drawn) < 8000


# ---- the command ----


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("model") / "jobs.bundle")


def scan(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["scan", *map(str, arguments), "--backend", "numpy"])


@pytest.mark.parametrize("output", ["human", "jsonl"])
def test_the_command_puts_sequences_on_the_page(model: Path, tmp_path: Path, output: str) -> None:
    log, out = tmp_path / "jobs.log", tmp_path / "page.html"
    jobs = [["begin", "work", "end"], ["begin", "work"], ["begin", "work", "end"], ["begin"]]
    log.write_bytes(b"\n".join(lines_of(jobs)) + b"\nno job here\n")
    plain = (log, "--sequences", "--bundle", model, "--format", output)
    done = scan(*plain, "--html", out)
    text = out.read_text()

    assert 0 == done.exit_code, done.output
    assert scan(*plain).stdout.count("j1") == done.stdout.count("j1") > 0
    assert "<h1>1 kind of anomalous sequences</h1>" in text
    assert "session <code>j1</code>" in text
    assert "<b>2</b><span>of 4 sequences judged</span>" in text
    assert "1 line in no session" in text
    assert scan(log, "--bundle", model, "--html", out, "-q").exit_code == 0
    assert "<dt>Sequence" not in out.read_text()
    assert 'class="sequences"' not in out.read_text()


def test_a_scan_of_normal_sequences_says_so(model: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "jobs.log", tmp_path / "page.html"
    log.write_bytes(b"\n".join([line(1, "begin"), line(1, "end")]) + b"\n")
    scan(log, "--sequences", "--bundle", model, "--html", out, "-q")
    text = out.read_text()

    assert "<h1>Nothing found</h1>" in text
    assert "1 sequence was judged, and none is anomalous." in text


def test_counters_of_the_page_are_those_of_a_watch() -> None:
    assert {"no_key", "malformed_keys", "truncated", "evicted"} <= set(Counters.__slots__)
