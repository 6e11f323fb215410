"""Standard input: every line of a pipe, without ever waiting for one."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import MAX_LINE_BYTES
from logagent.inputs import Batch
from logagent.inputs.standard_input import READ_BYTES, READS_PER_POLL, StandardInput
from logagent.inputs.stream import Stream


class Reports(list[tuple[str, str]]):
    def __call__(self, kind: str, message: str) -> None:
        self.append((kind, message))


class Pipe:
    """Both ends of a pipe; `end` closes the one that is written."""

    def __init__(self) -> None:
        self.receiving, self._sending = os.pipe()

    def write(self, data: bytes) -> None:
        os.write(self._sending, data)

    def end(self) -> None:
        fd, self._sending = self._sending, -1
        if fd >= 0:
            os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.end()
    os.close(made.receiving)


def taken(source: StandardInput) -> list[bytes]:
    """Poll once, accept everything, give the lines."""
    lines: list[bytes] = []
    for batch in source.poll(0.0):
        lines += batch.block.lines()
        source.accepted(batch)
    return lines


def test_lines_come_as_they_are_written(pipe: Pipe) -> None:
    source = StandardInput(Reports(), pipe.receiving)

    assert [] == taken(source)
    pipe.write(b"one\ntw")
    assert [b"one"] == taken(source)
    assert [] == taken(source)
    pipe.write(b"o\n\nfour\n")
    assert [b"two", b"", b"four"] == taken(source)
    assert not source.ended()


def test_numbers_and_offsets_go_on_from_batch_to_batch(pipe: Pipe) -> None:
    source = StandardInput(Reports(), pipe.receiving)
    places = []
    for data in (b"one\ntwo\n", b"three\n"):
        pipe.write(data)
        for batch in source.poll(0.0):
            places.append((batch.source, batch.block.first_line, batch.block.offset))
            source.accepted(batch)

    assert [("-", 1, 0), ("-", 3, 8)] == places


def test_a_last_line_without_a_newline_comes_at_the_end_only(pipe: Pipe) -> None:
    source = StandardInput(Reports(), pipe.receiving)
    pipe.write(b"panic: no newline")
    assert ([], False) == (taken(source), source.ended())
    pipe.end()

    assert [b"panic: no newline"] == taken(source)
    assert source.ended()
    assert ([], math.inf) == (source.descriptors(), source.deadline(5.0))


def test_a_batch_that_is_not_accepted_comes_again(pipe: Pipe) -> None:
    source = StandardInput(Reports(), pipe.receiving)
    pipe.write(b"one\n")
    first = next(iter(source.poll(0.0)))
    pipe.write(b"two\n")
    pipe.end()

    assert [first] == list(source.poll(0.0))  # asked for more without accepting: no more
    assert (7.0, []) == (source.deadline(7.0), source.descriptors())
    assert not source.ended()
    source.accepted(first)
    assert [b"two"] == taken(source)
    assert source.ended()


def test_while_a_batch_waits_nothing_is_read(pipe: Pipe) -> None:
    """So the writer is held up, and memory is bounded."""
    source = StandardInput(Reports(), pipe.receiving)
    pipe.write(b"one\n")
    list(source.poll(0.0))
    pipe.write(b"two\n")
    list(source.poll(0.0))

    assert b"two\n" == os.read(pipe.receiving, 100)


def test_accepting_what_was_not_offered_is_a_mistake(pipe: Pipe) -> None:
    source = StandardInput(Reports(), pipe.receiving)
    pipe.write(b"one\n")
    batch = next(iter(source.poll(0.0)))
    source.accepted(batch)

    with pytest.raises(ValueError, match="not offered"):
        source.accepted(batch)


def test_an_over_long_line_is_cut_counted_and_told(pipe: Pipe) -> None:
    reports = Reports()
    source = StandardInput(reports, pipe.receiving)
    lines = []
    data = b"x" * (MAX_LINE_BYTES + 50) + b"\nnext\n"
    for start in range(0, len(data), 4096):
        pipe.write(data[start : start + 4096])
        lines += taken(source)

    assert [b"x" * MAX_LINE_BYTES, b"next"] == lines
    assert ["long-lines"] == [kind for kind, _ in reports]
    status = source.status()[0]
    assert (1, 50) == (status["cut_lines"], status["cut_bytes"])


def test_a_regular_file_is_read_to_its_end(tmp_path: Path) -> None:
    """It cannot be waited for, so it is due at once, and no descriptor is offered to epoll."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))
    with path.open("rb") as log:
        source = StandardInput(Reports(), log.fileno())
        assert ([], 3.0) == (source.descriptors(), source.deadline(3.0))
        assert 1000 == len(taken(source))
        assert (True, math.inf) == (source.ended(), source.deadline(3.0))
    status = source.status()[0]
    assert (1000, path.stat().st_size, True) == (status["lines"], status["bytes"], status["ended"])


def test_one_poll_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0123456789abcde\n" * (READ_BYTES * (READS_PER_POLL + 1) // 16))
    with path.open("rb") as log:
        source = StandardInput(Reports(), log.fileno())
        assert READ_BYTES * READS_PER_POLL // 16 == len(taken(source))
        assert (9.0, False) == (source.deadline(9.0), source.ended())
        taken(source)
        assert source.ended()


def test_the_mode_of_a_shared_descriptor_is_left_alone(pipe: Pipe) -> None:
    before = fcntl.fcntl(pipe.receiving, fcntl.F_GETFL)
    taken(StandardInput(Reports(), pipe.receiving))

    assert before == fcntl.fcntl(pipe.receiving, fcntl.F_GETFL)


def test_dev_null_ends_at_once() -> None:
    with open(os.devnull, "rb") as null:
        source = StandardInput(Reports(), null.fileno())
        assert (2.0, []) == (source.deadline(2.0), taken(source))
        assert source.ended()


def test_a_folder_or_a_closed_descriptor_is_told_and_ends(tmp_path: Path) -> None:
    reports = Reports()
    folder = os.open(tmp_path, os.O_RDONLY)
    source = StandardInput(reports, folder)
    assert [] == taken(source)
    assert source.ended()
    os.close(folder)
    source = StandardInput(reports, folder)
    assert [] == taken(source)
    assert source.ended()

    assert ["unreadable", "unreadable"] == [kind for kind, _ in reports]


def test_every_start_has_ids_of_its_own_and_no_state(pipe: Pipe) -> None:
    marks = set()
    for _ in range(2):
        source = StandardInput(Reports(), pipe.receiving)
        pipe.write(b"same\n")
        marks.add(next(iter(source.poll(0.0))).fingerprint)
        assert {} == source.state()

    assert 2 == len(marks)


def test_closing_leaves_the_descriptor_to_its_owner(pipe: Pipe) -> None:
    source = StandardInput(Reports(), pipe.receiving)
    source.close()

    os.fstat(pipe.receiving)
    assert source.ended()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"a", b"\n")), max_size=12),
    st.lists(st.integers(0, 3), max_size=40),
)
def test_no_line_is_lost_or_repeated_however_often_a_batch_is_refused(
    chunks: list[bytes], patience: list[int]
) -> None:
    """The promise of `Stream`, for any bytes and any refusals."""
    stream = Stream("-", b"12345678", Reports())
    refusals = iter(patience)
    got: list[bytes] = []
    batches: list[Batch] = []

    def drain() -> None:
        left = next(refusals, 0)
        while stream.waiting:
            for batch in stream.offered():
                if left:
                    left -= 1
                    continue  # not accepted: the iteration ends here
                got.extend(batch.block.lines())
                batches.append(batch)
                stream.accepted(batch)

    for chunk in chunks:
        stream.feed(chunk)
        drain()
    stream.end()
    drain()

    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert expected == got
    for batch in batches:
        data = batch.block.data
        assert data == whole[batch.block.offset : batch.block.offset + len(data)]
