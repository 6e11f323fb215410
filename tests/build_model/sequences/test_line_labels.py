"""Labels of windows: by labels of their lines, by times of incidents."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sequences.rules import Rule
from logagent_build.sequences import lines as module
from logagent_build.sequences.line_labels import Incident, Incidents, LineLabels, read_incidents
from logagent_build.sequences.lines import Gathered, gather

START = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def stamped(seconds: int, what: str) -> str:
    when = datetime.fromtimestamp(START + seconds, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}Z app: {what}"


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def windows(log: Path, rule: Rule, labels: LineLabels | Incidents) -> list[tuple[str, bool]]:
    made = gather([str(log)], rule, labels)
    names = [each.rsplit(":", 1)[1] for each in made.sessions]
    return list(zip(names, made.labelled.anomalous.tolist(), strict=True))


def test_a_window_is_anomalous_if_one_of_its_lines_is(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [f"line {'abcdefgh'[at]}" for at in range(8)])
    table = write(tmp_path / "l.tsv", [f"{int(at == 5)}\tline {'abcdefgh'[at]}" for at in range(8)])
    assert [("1 … 4", False), ("3 … 6", True), ("5 … 8", True)] == windows(
        log, Rule(window_lines=4, steps=2), LineLabels(table)
    )


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_labels_are_those_of_the_lines_of_a_window(
    tmp_path_factory: pytest.TempPathFactory, bad: list[bool], step: int, steps: int
) -> None:
    folder = tmp_path_factory.mktemp("x")
    texts = [f"line {chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(len(bad))]
    log = write(folder / "a.log", texts)
    table = write(folder / "l.tsv", [f"{int(b)}\t{t}" for b, t in zip(bad, texts, strict=True)])
    rule = Rule(window_lines=step * steps, steps=steps)
    for name, label in windows(log, rule, LineLabels(table)):
        first, last = map(int, name.split(" … "))
        assert any(bad[first - 1 : last]) == label


def test_windows_without_any_labelled_line_only_serve_for_the_vocabulary(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", ["a", "b", "c", "d"])
    some = LineLabels(write(tmp_path / "some.tsv", ["0\ta", "1\td"]))
    assert [("1 … 1", False), ("4 … 4", True)] == windows(log, Rule(window_lines=1), some)
    # A list of what is anomalous is all of it.
    only = LineLabels(write(tmp_path / "only.tsv", ["1\td"]))
    assert [False, False, False, True] == [
        label for _, label in windows(log, Rule(window_lines=1), only)
    ]


@pytest.mark.parametrize(
    "table",
    [
        "0\t1\tgood line\n1\t3\tbad line\n",
        "label\tline\n0\tgood line\n1\tbad line\n",
        '{"line": "good line", "label": 0}\n{"line": "bad line", "label": 1}\n',
    ],
)
def test_labels_may_be_in_any_format_of_the_project(tmp_path: Path, table: str) -> None:
    log = write(tmp_path / "a.log", ["good line", "bad line"])
    (tmp_path / "labels").write_text(table)
    found = windows(log, Rule(window_lines=1), LineLabels(tmp_path / "labels"))
    assert [False, True] == [label for _, label in found]


def test_alert_tags_are_labels_and_no_event_has_them(tmp_path: Path) -> None:
    head = "1117838570 2005.06.03 R02"
    tags = ["-", "KERNDTLB", "-", "KERNDTLB"]
    log = write(tmp_path / "bgl.log", [f"{tag} {head} x" for tag in tags])
    made = gather([str(log)], Rule(window_lines=1), LineLabels(log))
    assert [False, True, False, True] == made.labelled.anomalous.tolist()
    assert 1 == made.vocabulary.known
    assert b"KERNDTLB" not in made.vocabulary.text(0)


def test_a_line_with_both_labels_is_anomalous_and_counted(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", ["a", "b"])
    labels = LineLabels(write(tmp_path / "l.tsv", ["1\ta", "0\ta", "0\tb", "0\tc"]))
    assert [True, False] == [label for _, label in windows(log, Rule(window_lines=1), labels)]
    assert {"labels_without_line": 1, "lines_with_both_labels": 1} == labels.counts()


def test_labels_of_other_lines_are_refused_with_an_example(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", ["a", "b"])
    labels = LineLabels(write(tmp_path / "l.tsv", ["1\tx\x1b[2J", "0\ty"]))
    with pytest.raises(ValueError, match=r"no label is of a line.*first line is 'a'") as raised:
        gather([str(log)], Rule(window_lines=1), labels)
    assert "\x1b" not in str(raised.value)


def test_windows_that_overlap_an_incident_are_anomalous(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [stamped(10 * at, "tick") for at in range(8)])
    file = write(
        tmp_path / "i.tsv", ["start\tend", "2026-03-01T12:00:41Z\t2026-03-01T13:00:45+01:00"]
    )
    rule = Rule(window_lines=2)
    labels = Incidents(file, rule)
    # Between the fifth line, at 40 s, and the sixth, at 50 s: a silence belongs to the window.
    assert [False, False, True, False] == [label for _, label in windows(log, rule, labels)]
    assert 0 == labels.counts()["incidents_without_window"]


@pytest.mark.parametrize("when", ["12:01:01Z", "12:01:40Z"])
def test_a_window_of_time_is_anomalous_over_all_of_its_time(tmp_path: Path, when: str) -> None:
    log = write(tmp_path / "a.log", [stamped(at, "tick") for at in (0, 5, 65, 70, 120, 125)])
    rule = Rule(window_seconds=60.0)
    file = write(tmp_path / "i.tsv", [f"2026-03-01T{when}\t2026-03-01T{when}"])
    found = windows(log, rule, Incidents(file, rule))
    assert [False, True, False] == [label for _, label in found]


def test_one_odd_stamp_does_not_stretch_a_window(tmp_path: Path) -> None:
    lines = [stamped(at, "tick") for at in range(6)]
    lines[2] = "1999-01-01T00:00:00Z app: tick"
    log = write(tmp_path / "a.log", lines)
    rule = Rule(window_lines=3)
    file = write(tmp_path / "i.tsv", ["2010-01-01\t2010-01-02", "2026-03-01T12:00:04Z\t2027-01-01"])
    labels = Incidents(file, rule)
    assert [False, True] == [label for _, label in windows(log, rule, labels)]
    assert 1 == labels.counts()["incidents_without_window"]


def test_incidents_that_fit_no_window_are_refused_with_both_times(tmp_path: Path) -> None:
    rule = Rule(window_lines=1)
    file = write(tmp_path / "i.tsv", ["2020-01-01T00:00:00Z\t2020-01-02T00:00:00Z"])
    log = write(tmp_path / "a.log", [stamped(0, "tick")])
    with pytest.raises(ValueError, match=r"no window overlaps.*the logs are of 2026.*2020-01-0"):
        gather([str(log)], rule, Incidents(file, rule))
    log = write(tmp_path / "b.log", ["tick", "[    1.000000] tick"])
    with pytest.raises(ValueError, match="says when it was written"):
        gather([str(log)], rule, Incidents(file, rule))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "has no incidents"),
        (b"2026-01-01 2026-01-02\n", ":1: not a start, a tab and an end"),
        (b"start\tend\nyesterday\t2026-01-02\n", ":2: not a start"),
        (b"2026-01-02\t2026-01-01\n", ":1: it ends before it starts"),
        (b"\xff\xfe\t2026-01-02\n", "is not UTF-8"),
        (b"\x1b[2J\n", r":1: .*\\x1b\[2J"),
    ],
)
def test_incidents_that_make_no_sense_are_told_with_their_line(
    tmp_path: Path, text: bytes, said: str
) -> None:
    (tmp_path / "i.tsv").write_bytes(text)
    with pytest.raises(ValueError, match=said):
        read_incidents(tmp_path / "i.tsv")


def test_incidents_are_read_in_order_of_time(tmp_path: Path) -> None:
    rows = ["2026-03-02T12:00:00Z\t2026-03-02T13:00:00Z", "", "2026-03-01T12:00:00Z\t2026-03-05"]
    first, second = read_incidents(write(tmp_path / "i.tsv", rows))
    assert START == first.start
    assert Incident(START + 86400, START + 90000) == second


def test_an_event_of_one_line_is_unknown_however_many_windows_hold_it(tmp_path: Path) -> None:
    texts = ["common"] * 20
    texts[10] = "once"
    texts[3] = texts[17] = "twice"
    log = write(tmp_path / "a.log", texts)
    labels = LineLabels(write(tmp_path / "l.tsv", ["1\tonce", "0\tcommon"]))
    made = gather([str(log)], Rule(window_lines=8, steps=4), labels)
    known = {made.vocabulary.text(at) for at in range(made.vocabulary.known)}
    assert {b"common", b"twice"} == known


def many(folder: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> tuple[Gathered, list[str]]:
    """Gather windows of a log in which the first events are the rare ones."""
    monkeypatch.setattr(module, "MAX_EVENTS", room)
    names = [f"kind {'abcdefgh'[at]}" for at in range(8)]
    texts = names + names[4:] * 3
    log = write(folder / "a.log", texts)
    labels = LineLabels(write(folder / "l.tsv", ["1\tkind a", "0\tkind h"]))
    return gather([str(log)], Rule(window_lines=1), labels, buckets=4), texts


def test_kinds_that_there_is_no_room_for_are_the_rarest_and_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = many(tmp_path, monkeypatch, 4)
    known = {made.vocabulary.text(at).decode() for at in range(made.vocabulary.known)}
    assert {f"kind {each}" for each in "efgh"} == known
    assert 4 == made.counts["rare_kinds_of_events"]
    assert made.vocabulary.known <= int(made.labelled.events[0][0]) < len(made.vocabulary)


def test_with_or_without_room_an_unknown_event_has_the_number_the_agent_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logagent.sequences.vocabulary import event_keys

    made, texts = many(tmp_path, monkeypatch, 4)
    keys, _, _ = event_keys([texts[0].encode()])
    assert [made.vocabulary.number(keys[0])] == made.labelled.events[0].tolist()


def test_standard_input_cannot_be_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    monkeypatch.setattr(module, "MAX_EVENTS", 1)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    log = write(tmp_path / "a.log", ["a", "b"])
    with pytest.raises(ValueError, match="give files, not standard input"):
        gather([str(log), "-"], Rule(window_lines=1), {})
