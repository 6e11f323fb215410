"""Blocks: whole lines, whatever the chunking, in bounded memory."""

import itertools
import os
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.blocks import BLOCK_BYTES, Block, BlockReader

# Newlines and carriage returns are common, so that most examples have several lines.
STREAMS = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bc", b"\0", b"\xff"]), max_size=60).map(
    b"".join
)


def reading(chunks: Iterable[bytes]) -> Callable[[int], bytes]:
    """Make a read() that returns the chunks one by one, split where more than n long."""
    waiting = [chunk for chunk in chunks if chunk]

    def read(size: int) -> bytes:
        if not waiting:
            return b""
        chunk = waiting.pop(0)
        if len(chunk) > size:
            waiting.insert(0, chunk[size:])
        return chunk[:size]

    return read


def sliced(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Slice the data at the given places."""
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        yield data[start:end]


def numbered_lines(blocks: Iterable[Block]) -> list[tuple[int, int, bytes]]:
    """Give (number, offset, line) of every line, as a reader of blocks works them out."""
    found = []
    for block in blocks:
        offset = block.offset
        for number, line in enumerate(block.data.split(b"\n"), block.first_line):
            found.append((number, offset, line))
            offset += len(line) + 1
    return found


def by_definition(data: bytes, max_line: int) -> list[tuple[int, int, bytes]]:
    """Give the same, by the plain definition of a line."""
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    found, offset = [], 0
    for number, line in enumerate(lines, 1):
        found.append((number, offset, line[:max_line]))
        offset += len(line) + 1
    return found


@given(STREAMS, st.lists(st.integers(0, 80), max_size=8), st.integers(1, 9), st.integers(1, 12))
def test_any_chunking_gives_the_lines_numbers_and_offsets_of_the_definition(
    data: bytes, cuts: list[int], block_bytes: int, max_line: int
) -> None:
    """The reads, the block size and where they fall change nothing."""
    reader = BlockReader(
        reading(sliced(data, cuts)), block_bytes=block_bytes, max_line_bytes=max_line
    )
    expected = by_definition(data, max_line)

    assert expected == numbered_lines(reader)
    long = [line for line in data.split(b"\n") if len(line) > max_line]
    assert (len(long), sum(len(line) - max_line for line in long)) == (
        reader.cut_lines,
        reader.cut_bytes,
    )
    assert len(expected) + 1 == reader.next_line


@given(STREAMS, st.lists(st.integers(0, 80), max_size=8))
def test_joining_the_lines_gives_back_the_input(data: bytes, cuts: list[int]) -> None:
    """Nothing is lost or invented; only a missing last newline cannot be told."""
    lines = [line for block in BlockReader(reading(sliced(data, cuts))) for line in block.lines()]

    assert data in (b"\n".join(lines), b"\n".join([*lines, b""]))


@given(STREAMS)
def test_splitting_a_block_and_counting_it_agree(data: bytes) -> None:
    """lines() and line_count say the same, in either order."""
    for block in BlockReader(reading([data])):
        again = Block(block.data, block.first_line, block.offset)

        assert len(block.lines()) == block.line_count == again.line_count
        assert block == again


@given(st.binary(max_size=60), st.data())
def test_some_lines_are_those_of_all_lines(data: bytes, drawn: st.DataObject) -> None:
    block = Block(data, 1, 0)
    start, stop = (drawn.draw(st.integers(0, block.line_count)) for _ in range(2))
    assert block.lines()[start:stop] == block.some_lines(start, stop)


def test_empty_input_has_no_block() -> None:
    """A block is never made for zero lines."""
    assert [] == list(BlockReader(reading([])))


def test_an_empty_line_is_a_line() -> None:
    """One newline is one empty line."""
    assert [Block(b"", 1, 0)] == list(BlockReader(reading([b"\n"])))


def test_a_last_line_without_a_newline_is_delivered() -> None:
    """The end of the input ends the line."""
    assert [Block(b"one", 1, 0), Block(b"two", 2, 4)] == list(BlockReader(reading([b"one\ntwo"])))


def test_carriage_returns_and_nul_bytes_stay() -> None:
    """What is inside a line is not this module's to judge."""
    blocks = list(BlockReader(reading([b"a\r\n\0b\0\r\n"])))

    assert [b"a\r", b"\0b\0\r"] == [line for block in blocks for line in block.lines()]


def test_a_line_of_exactly_the_longest_length_is_not_cut() -> None:
    """The limit is the longest line kept whole, its newline not counted."""
    reader = BlockReader(reading([b"12345\n123456\n1\n"]), max_line_bytes=5)

    assert [(1, 0, b"12345"), (2, 6, b"12345"), (3, 13, b"1")] == numbered_lines(reader)
    assert (1, 1) == (reader.cut_lines, reader.cut_bytes)


def test_a_block_leaves_as_soon_as_a_read_brought_a_newline() -> None:
    """A reader at the end of a pipe sees a line before the next one is written."""
    receiving, sending = os.pipe()
    try:
        blocks = iter(BlockReader(lambda size: os.read(receiving, size)))
        os.write(sending, b"first\nsec")
        assert Block(b"first", 1, 0) == next(blocks)
        os.write(sending, b"ond\n")
        assert Block(b"second", 2, 6) == next(blocks)
    finally:
        os.close(receiving)
        os.close(sending)


def test_an_endless_line_runs_in_constant_memory() -> None:
    """Half a gigabyte without a newline holds a few blocks, and is counted to the byte."""
    chunk = b"x" * BLOCK_BYTES
    left = 4096

    def read(size: int) -> bytes:
        nonlocal left
        left -= 1
        return chunk[:size] if left >= 0 else b""

    reader = BlockReader(read, max_line_bytes=1000)
    tracemalloc.start()
    try:
        blocks = list(reader)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [Block(b"x" * 1000, 1, 0)] == blocks
    assert (1, 4096 * BLOCK_BYTES - 1000) == (reader.cut_lines, reader.cut_bytes)
    assert peak < 8 * BLOCK_BYTES


def test_a_block_is_bounded_when_lines_are_near_the_longest(tmp_path: Path) -> None:
    """A carried line makes the next read smaller, not the block larger."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"y" * (40_000 + n) + b"\n" for n in range(40)))
    with path.open("rb", buffering=0) as log:
        blocks = list(BlockReader(log.read))

    assert max(len(block.data) for block in blocks) <= BLOCK_BYTES
    assert 40 == sum(block.line_count for block in blocks)


def test_numbering_goes_on_from_where_the_caller_stands() -> None:
    """A reader opened in the middle of a file counts from there."""
    reader = BlockReader(reading([b"a\nb\n"]), first_line=8, offset=100)

    assert [Block(b"a\nb", 8, 100)] == list(reader)
    assert (10, 104) == (reader.next_line, reader.offset)


@pytest.mark.parametrize("sizes", [{"block_bytes": 0}, {"max_line_bytes": 0}])
def test_sizes_below_one_are_refused(sizes: dict[str, int]) -> None:
    """There is no line to be kept in zero bytes."""
    with pytest.raises(ValueError, match="at least 1"):
        BlockReader(reading([]), **sizes)
