"""Bytes to bounded blocks of whole lines.

Guarantees: no line is split over two blocks; every byte read is in exactly one line, is
the newline that ends one, or was cut from an over-long line and counted; lines, their
numbers, their offsets and the counts depend on the bytes alone, never on how the reads
happened to slice them. Memory: O(block_bytes + max_line_bytes), however long a line is.
A block leaves as soon as a read brought a newline, so a slow pipe is seen as it comes.

Left to others: where the bytes come from (`sources`), and what is inside a line: carriage
returns, NUL bytes and broken UTF-8 pass through untouched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

__all__ = ["BLOCK_BYTES", "MAX_LINE_BYTES", "Block", "BlockCutter", "BlockReader"]

_NEWLINE = 10

BLOCK_BYTES = 64 * 1024
"""[bytes] Largest usual block: it and the arrays made from it stay in the second-level cache.
Twice as large was a quarter slower; from 128 KiB on, the arrays also cross malloc's mmap threshold
and each costs page faults."""

MAX_LINE_BYTES = 64 * 1024
"""[bytes] Longest line kept whole: above journald's own limit for one line (LineMax, 48 KiB),
and small enough to be held several times over."""


@dataclass(frozen=True, slots=True)
class Block:
    """One or more whole lines, as they lay side by side in the stream."""

    data: bytes
    """The lines joined by newlines, without the last newline: splitting at newlines gives
    exactly the lines."""

    first_line: int
    """Number of the first line, counted from 1."""

    offset: int
    """[bytes] Where `data` starts in the (decompressed) stream. The offset of any line is
    this plus its position in `data`, because a cut line is always the last of its block."""

    _counted: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    _ends: list[list[int]] = field(default_factory=list, init=False, repr=False, compare=False)

    def lines(self) -> list[bytes]:
        """Return the lines; cheaper than splitting `data`, which leaves them to be counted again.

        The number of lines is needed to number the next block, and counting costs
        0.3 ns per byte where splitting has the count already.
        """
        lines = self.data.split(b"\n")
        if not self._counted:
            self._counted.append(len(lines))
        return lines

    def line_ends(self) -> list[int]:
        """Return where each line of `data` ends; half the cost of `lines`, and remembered."""
        if not self._ends:
            raw = np.frombuffer(self.data, np.uint8)
            self._ends.append([*np.flatnonzero(raw == _NEWLINE).tolist(), len(raw)])
        return self._ends[0]

    def line(self, index: int) -> bytes:
        """Return the line at `index`, from 0."""
        ends = self.line_ends()
        return self.data[ends[index - 1] + 1 if index else 0 : ends[index]]

    def some_lines(self, start: int, stop: int) -> list[bytes]:
        """Return the lines from `start` to before `stop`; in the time that these take, not all."""
        if start >= stop:
            return []
        ends = self.line_ends()
        return self.data[ends[start - 1] + 1 if start else 0 : ends[stop - 1]].split(b"\n")

    def line_offset(self, index: int) -> int:
        """Return the offset of the line at `index`, from 0 [bytes]."""
        return self.offset + (self.line_ends()[index - 1] + 1 if index else 0)

    def counted(self, lines: int) -> None:
        """Take the number of lines from a caller who has found it on the way."""
        if not self._counted:
            self._counted.append(lines)

    @property
    def line_count(self) -> int:
        """How many lines there are; at least 1."""
        if not self._counted:
            self._counted.append(self.data.count(b"\n") + 1)
        return self._counted[0]


class BlockCutter:
    """Blocks of whole lines from bytes that are pushed in, in order.

    For bytes that come when they like, as from a pipe that is never waited for; where they can be
    asked for, `BlockReader` is simpler. A line of more than `max_line_bytes` keeps its first
    `max_line_bytes`; the rest, up to its newline, is thrown away as it comes.

    Memory: O(longest chunk + max_line_bytes).
    """

    def __init__(
        self, *, max_line_bytes: int = MAX_LINE_BYTES, first_line: int = 1, offset: int = 0
    ) -> None:
        """Hold nothing yet; `first_line` and `offset` [bytes] say where the first byte stands."""
        if max_line_bytes < 1:
            raise ValueError("max_line_bytes must be at least 1")
        self.cut_lines = 0
        """Lines that were longer than `max_line_bytes`."""
        self.cut_bytes = 0
        """[bytes] What was thrown away of them, newlines not included."""
        self.next_line = first_line
        """Number of the first line not yet in a block that was taken."""
        self.offset = offset
        """[bytes] Where the first byte not yet in a block, nor cut, lies in the stream."""
        self._max_line_bytes = max_line_bytes
        self._carry = bytearray()  # the start of a line whose newline did not come yet
        self._skipping = False  # inside the thrown away part of a line

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """Yield the blocks that `chunk` completes; take them all before the next call."""
        carry, start = self._carry, 0
        if self._skipping:
            end = chunk.find(b"\n")
            self._drop(len(chunk) if end < 0 else end)
            if end < 0:
                return
            self._skipping = False
            self.offset += 1
            start = end + 1
        end = chunk.rfind(b"\n", start)
        if end < 0:
            carry += memoryview(chunk)[start:]
        else:
            view = memoryview(chunk)
            data = b"".join((carry, view[start:end]))
            carry[:] = view[end + 1 :]
            yield from self._whole_lines(data)
        if len(carry) > self._max_line_bytes:
            yield from self._block(bytes(carry[: self._max_line_bytes]))
            self.cut_lines += 1
            self.offset -= 1  # the newline counted with the block has yet to come
            self._drop(len(carry) - self._max_line_bytes)
            carry.clear()
            self._skipping = True

    def end(self) -> Iterator[Block]:
        """Yield the last line if it had no newline: it is a line like any other."""
        if self._carry:
            data = bytes(self._carry)
            self._carry.clear()
            yield from self._whole_lines(data)

    def _whole_lines(self, data: bytes) -> Iterator[Block]:
        """Yield `data`, whole lines without the last newline, cutting over-long lines.

        Looks at one newline per `max_line_bytes`, not at every line: if any newline lies
        within reach of a line's start, then all lines up to the last such one are short.
        """
        max_line = self._max_line_bytes
        start = line = 0
        while len(data) - line > max_line:
            newline = data.rfind(b"\n", line, line + max_line + 1)
            if newline >= 0:
                line = newline + 1
                continue
            cut = line + max_line
            end = data.find(b"\n", cut)
            if end < 0:
                end = len(data)
            yield from self._block(data[start:cut])
            self.cut_lines += 1
            self._drop(end - cut)
            start = line = end + 1
            if start > len(data):
                return
        yield from self._block(data[start:] if start else data)

    def _block(self, data: bytes) -> Iterator[Block]:
        """Yield one block and move past it and the newline after it."""
        block = Block(data, self.next_line, self.offset)
        self.offset += len(data) + 1
        yield block
        self.next_line += block.line_count

    def _drop(self, count: int) -> None:
        """Count bytes cut from an over-long line."""
        self.cut_bytes += count
        self.offset += count


class BlockReader(BlockCutter):
    """Blocks of whole lines from `read`, in order; iterate once.

    `read(n)` returns at most `n` bytes, fewer if it likes, and `b""` at the end. A last line
    without a newline is a line like any other; an over-long one is cut as by `BlockCutter`.

    Memory: O(block_bytes + max_line_bytes).
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        *,
        block_bytes: int = BLOCK_BYTES,
        max_line_bytes: int = MAX_LINE_BYTES,
        first_line: int = 1,
        offset: int = 0,
    ) -> None:
        """Read nothing yet; `first_line` and `offset` [bytes] say where `read` stands."""
        if block_bytes < 1:
            raise ValueError("block_bytes must be at least 1")
        super().__init__(max_line_bytes=max_line_bytes, first_line=first_line, offset=offset)
        self._read = read
        self._block_bytes = block_bytes

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks until `read` returns nothing."""
        read, block_bytes, carry = self._read, self._block_bytes, self._carry
        while chunk := read(max(block_bytes - len(carry), (block_bytes + 1) // 2)):
            yield from self.feed(chunk)
        yield from self.end()
