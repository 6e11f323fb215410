"""Sessions of log lines for training: those that the agent makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from logagent.sequences.events import EventReader
from logagent.sequences.rules import Rule, session_key
from logagent.sequences.sequencer import Sequencer
from logagent.sources import Limits, open_all
from logagent_build.sequences import lines
from logagent_build.sequences.lines import gather, read_labels

KEY = r"job (?P<session>j\d+):"
WHOLE, CUT = ("begin", "work", "end"), ("begin", "work")


def write(path: Path, jobs: dict[int, tuple[str, ...]]) -> Path:
    """Write jobs interleaved, line by line."""
    lines = [
        f"job j{number}: {whats[at]}"
        for at in range(max(map(len, jobs.values())))
        for number, whats in jobs.items()
        if at < len(whats)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    jobs: dict[int, tuple[str, ...]]
    jobs = {number: WHOLE if number % 3 else CUT for number in range(30)}
    jobs[99] = ("begin", "exploded", "end")
    return write(tmp_path / "jobs.log", jobs)


def labels(*bad: int, of: int = 30) -> dict[bytes, bool]:
    return {f"j{number}".encode(): number in bad for number in range(of)}


def test_every_session_has_its_label(log: Path) -> None:
    bad = tuple(range(0, 30, 3))
    made = gather([str(log)], Rule(key=session_key(KEY)), labels(*bad))
    found = dict(zip(made.sessions, made.labelled.anomalous.tolist(), strict=True))
    assert {f"j{number}": number in bad for number in range(30)} == found
    assert {"normal", "anomalous"} == set(made.labelled.kinds)
    assert (31, 1, 0) == tuple(
        made.counts[name]
        for name in ("sequences", "sequences_without_label", "labels_without_session")
    )


def test_a_vocabulary_has_no_more_events_than_trees_have_numbers_for(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2 * lines.MOST_NUMBERS - 1 <= np.iinfo("<i2").max
    monkeypatch.setattr(lines, "MOST_NUMBERS", 6)
    made = gather([str(log)], Rule(key=session_key(KEY)), labels(0), buckets=4)
    assert (6, 2) == (len(made.vocabulary), made.vocabulary.known)
    # The rarest of the three, the end, is an unknown event then.
    assert {b"job j: begin", b"job j: work"} == {made.vocabulary.text(at) for at in range(2)}
    assert max(int(each.max()) for each in made.labelled.events) >= 2


def test_sessions_are_those_of_the_agent(log: Path) -> None:
    """Event by event, with the vocabulary that a bundle gets."""
    rule = Rule(key=session_key(KEY))
    made = gather([str(log)], rule, labels())
    sequencer = Sequencer(EventReader(made.vocabulary), [rule])
    for source in open_all([str(log)], Limits(), lambda _problem: None):
        for block in source.blocks():
            assert [] == list(sequencer.see(source.name, b"finger-8", block))
    agents = {each.session.decode(): each.events for each in sequencer.close()}
    for session, events in zip(made.sessions, made.labelled.events, strict=True):
        assert np.array_equal(agents[session], events)
        assert np.int32 == events.dtype
    assert max(agents["j99"]) >= made.vocabulary.known


def test_what_one_session_says_alone_is_an_unknown_event(log: Path) -> None:
    made = gather([str(log)], Rule(key=session_key(KEY)), labels() | {b"j99": True})
    assert {"begin", "work", "end"} == {
        made.vocabulary.text(number).split()[-1].decode() for number in range(3)
    }
    assert 3 == made.vocabulary.known
    assert 3 + made.vocabulary.buckets == len(made.labelled.vocabulary)
    assert 3 <= max(map(max, made.labelled.events)) < len(made.labelled.vocabulary)


def test_logs_without_sessions_or_labels_are_refused(log: Path) -> None:
    with pytest.raises(ValueError, match="no sessions in these logs"):
        gather([str(log)], Rule(key=session_key("(?P<session>nothing)")), labels())
    with pytest.raises(ValueError, match="no session has a label; the first session is j"):
        gather([str(log)], Rule(key=session_key(KEY)), {b"x": True})
    with pytest.raises(ValueError, match=r"missing\.log"):
        gather([str(log.parent / "missing.log")], Rule(key=session_key(KEY)), labels())


def test_labels_are_read_with_or_without_a_header(tmp_path: Path) -> None:
    file = tmp_path / "labels.tsv"
    file.write_bytes(b"session\tlabel\nj1\t0\n\nj2\t1\r\na\tb\t1\n")
    assert {b"j1": False, b"j2": True, b"a\tb": True} == read_labels(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "has no labels"),
        (b"j1\t0\nj1\t1\n", ":2: j1 has both labels"),
        (b"j1\t2\n", ":1: not a session, a tab, 0 or 1"),
        (b"j1 0\n", ":1: not a session"),
        (b"j1\t0\n\x1b[2J\n", r":2: .*\\x1b\[2J"),
    ],
)
def test_labels_that_make_no_sense_are_told_with_their_line(
    tmp_path: Path, text: bytes, said: str
) -> None:
    file = tmp_path / "labels.tsv"
    file.write_bytes(text)
    with pytest.raises(ValueError, match=said):
        read_labels(file)
