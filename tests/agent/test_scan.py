"""A scan: every line of every source judged once, and nothing passed over in silence."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import logagent.scan
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logagent.scan import Scan, Step
from logagent.sources import Limits, SourceProblem

from .fakes import KeywordScorer

FILES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LINES = st.lists(
    st.sampled_from(
        [b"disk failed 7", b"all is well", b"", b"exit code 0", b"exit code 139", b"x" * 90]
    ),
    max_size=60,
)


def scan(**options: object) -> Scan:
    return Scan(KeywordScorer(), threshold=0.5, **options)  # type: ignore[arg-type]


def judged(steps: list[Step]) -> list[tuple[str, int, int, bytes, bool]]:
    """Give (source, number, offset, text, anomalous) of every line of every step."""
    found = []
    for step in steps:
        offset = step.block.offset
        for number, (text, verdict) in enumerate(
            zip(step.block.data.split(b"\n"), step.verdicts, strict=True), step.block.first_line
        ):
            found.append((step.source.name, number, offset, text, verdict.anomalous))
            offset += len(text) + 1
    return found


@given(LINES, st.integers(1, 400), st.booleans())
@FILES
def test_every_line_is_judged_once_whatever_the_blocks(
    tmp_path: Path, lines: list[bytes], block_bytes: int, packed: bool
) -> None:
    data = b"".join(line + b"\n" for line in lines)
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(data) if packed else data)
    scanned = scan(limits=Limits(block_bytes=block_bytes))
    found = judged(list(scanned.steps([str(path)])))

    assert lines == [text for _, _, _, text, _ in found]
    assert list(range(1, len(lines) + 1)) == [number for _, number, _, _, _ in found]
    for _, _, offset, text, anomalous in found:
        assert data[offset:].startswith(text + b"\n")
        assert (b"failed" in text or b"139" in text) == anomalous
    assert (1, len(lines), len(data)) == (
        scanned.totals.sources,
        scanned.totals.lines,
        scanned.totals.bytes,
    )
    assert sum(each[4] for each in found) == scanned.groups.anomalous_lines
    assert len(lines) == scanned.groups.lines == scanned.judge.counters.lines


@given(LINES.filter(bool), st.integers(1, 400))
@FILES
def test_groups_and_their_ids_do_not_depend_on_the_blocks(
    tmp_path: Path, lines: list[bytes], block_bytes: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(lines))

    def groups(limits: Limits) -> list[tuple]:
        scanned = scan(limits=limits)
        list(scanned.steps([str(path)]))
        found = [
            (each.template, each.count, each.first.line, each.last.line)
            for each in scanned.groups.ranked()
        ]
        return sorted(found)

    assert groups(Limits()) == groups(Limits(block_bytes=block_bytes))


def test_no_template_is_scored_twice(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"disk failed 7\nall is well\n" * 500)
    scorer = KeywordScorer()
    list(Scan(scorer, threshold=0.5, limits=Limits(block_bytes=100)).steps([str(path)]))

    assert {b"disk failed #": 1, b"all is well": 1} == Counter(scorer.asked)


def test_two_sources_are_numbered_and_identified_apart_and_grouped_together(
    tmp_path: Path,
) -> None:
    one, other = tmp_path / "a.log", tmp_path / "b.log"
    one.write_bytes(b"alpha is well\ndisk failed 1\n")
    other.write_bytes(b"disk failed 2\nbeta is well\ndisk failed 3\n")
    scanned = scan()
    steps = list(scanned.steps([str(one), str(other)]))
    (group,) = scanned.groups.ranked()

    assert [(str(one), 1), (str(one), 2), (str(other), 1), (str(other), 2), (str(other), 3)] == [
        (source, number) for source, number, _, _, _ in judged(steps)
    ]
    assert 2 == len({step.fingerprint for step in steps})
    assert (str(one), 2) == (group.first.source, group.first.line)
    assert (str(other), 3) == (group.last.source, group.last.line)
    assert (3, 2, 5) == (group.count, scanned.totals.sources, scanned.totals.lines)
    assert [1, 0] == [len(step.new_groups) for step in steps]


def test_a_copy_under_another_name_has_the_same_ids(tmp_path: Path) -> None:
    """A rotated log is the same log."""
    ids = []
    for name in ("messages", "messages.1"):
        path = tmp_path / name
        path.write_bytes(b"a first line\ndisk failed 1\n")
        scanned = scan()
        list(scanned.steps([str(path)]))
        ids += [group.id for group in scanned.groups]

    assert ids[0] == ids[1]


@contextmanager
def fifo(path: Path, chunks: list[bytes]) -> Iterator[Iterator[None]]:
    """Make a pipe that holds the first chunk; each `next` of what is given writes one more."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    open_ends = [writer]
    os.write(writer, chunks[0])

    def more() -> Iterator[None]:
        for chunk in chunks[1:]:
            os.write(writer, chunk)
            yield
        os.close(open_ends.pop())
        yield

    try:
        yield more()
    finally:
        for end in (reader, *open_ends):
            os.close(end)


def piped(path: Path, chunks: list[bytes]) -> Scan:
    """Scan a pipe that is written to only after what is there was judged."""
    scanned = scan()
    with fifo(path, chunks) as more:
        for _ in scanned.steps([str(path)]):
            next(more, None)
    return scanned


def test_a_pipe_is_judged_as_it_comes(tmp_path: Path) -> None:
    scanned = piped(tmp_path / "pipe", [b"all is well\n", b"disk failed 1\nall", b" is well\n"])

    assert (3, 1) == (scanned.totals.lines, scanned.groups.anomalous_lines)


def test_an_id_does_not_depend_on_how_a_pipe_was_written(tmp_path: Path) -> None:
    chunked = piped(tmp_path / "slow", [b"all is well\n", b"disk failed 1\n"])
    at_once = piped(tmp_path / "quick", [b"all is well\ndisk failed 1\n"])

    assert [each.id for each in chunked.groups] == [each.id for each in at_once.groups]


def test_problems_are_told_and_the_rest_is_scanned(tmp_path: Path) -> None:
    good = tmp_path / "good.log"
    good.write_bytes(b"disk failed 1\n")
    told: list[SourceProblem] = []
    scanned = scan(on_problem=told.append)
    list(scanned.steps([str(tmp_path / "missing"), str(good), str(good / "below")]))

    assert ["not-found", "unreadable"] == [problem.kind for problem in told]
    assert told == scanned.totals.problems
    assert (2, 1) == (scanned.totals.problem_count, scanned.totals.lines)


def test_no_more_problems_are_kept_than_fit_but_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logagent.scan, "MAX_PROBLEMS", 2)
    told: list[SourceProblem] = []
    scanned = scan(on_problem=told.append)
    list(scanned.steps([str(tmp_path / f"missing{number}") for number in range(5)]))

    assert (2, 5, 5) == (len(scanned.totals.problems), scanned.totals.problem_count, len(told))


def test_cut_lines_are_counted_and_judged_by_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"disk failed " + b"x" * 500 + b"\nall is well\n")
    told: list[SourceProblem] = []
    scanned = scan(limits=Limits(max_line_bytes=100), on_problem=told.append)
    found = judged(list(scanned.steps([str(path)])))

    assert [100, 11] == [len(text) for _, _, _, text, _ in found]
    assert [True, False] == [anomalous for *_, anomalous in found]
    assert 1 == scanned.totals.cut_lines
    assert [("long-lines", False)] == [(problem.kind, problem.partial) for problem in told]


# --- since

DAY = 24 * 3600
START = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
SINCE = START + 3 * DAY
# Days since START, in order; None has no stamp of its own.
DAYS = st.lists(st.one_of(st.none(), st.integers(0, 6)), max_size=40).map(
    lambda days: [
        day if day is None else ordered.pop(0)
        for ordered in [sorted(day for day in days if day is not None)]
        for day in days
    ]
)


def stamped(days: int | None, number: int) -> bytes:
    if days is None:
        return b"    at line %d of a stack trace" % number
    when = datetime.fromtimestamp(START + days * DAY, UTC)
    return b"%sZ host: disk error %d" % (when.strftime("%Y-%m-%dT%H:%M:%S").encode(), number)


@given(DAYS, st.integers(1, 300))
@FILES
def test_since_takes_newer_lines_and_what_belongs_to_them(
    tmp_path: Path, days: list[int | None], block_bytes: int
) -> None:
    lines = [stamped(day, number) for number, day in enumerate(days, 1)]
    data = b"".join(line + b"\n" for line in lines)
    path = tmp_path / "log"
    path.write_bytes(data)
    expected = []
    newer = False
    for number, day in enumerate(days, 1):
        newer = newer if day is None else day >= 3
        if newer:
            expected.append(number)
    scanned = scan(since=SINCE, limits=Limits(block_bytes=block_bytes))
    found = judged(list(scanned.steps([str(path)])))

    assert expected == [number for _, number, _, _, _ in found]
    assert all(data[offset:].startswith(text + b"\n") for _, _, offset, text, _ in found)
    assert len(days) - len(expected) == scanned.totals.skipped_lines
    assert (len(expected), len(data)) == (scanned.totals.lines, scanned.totals.bytes)


def test_since_forgets_the_last_stamp_at_the_end_of_a_source(tmp_path: Path) -> None:
    """A file without stamps is not newer because the one before it was."""
    (tmp_path / "a").write_bytes(stamped(5, 1) + b"\n")
    (tmp_path / "b").write_bytes(stamped(None, 2) + b"\n")
    scanned = scan(since=SINCE)

    assert 1 == len(judged(list(scanned.steps([str(tmp_path)]))))
    assert 1 == scanned.totals.skipped_lines


def test_since_changes_no_id_number_or_offset(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\n".join([stamped(1, 1), b"all is well", stamped(5, 3)]))
    whole, newer = scan(), scan(since=SINCE)
    everything = judged(list(whole.steps([str(path)])))
    steps = list(newer.steps([str(path)]))

    assert everything[2:] == judged(steps)
    assert {step.fingerprint for step in whole.steps([str(path)])} == {
        step.fingerprint for step in steps
    }
