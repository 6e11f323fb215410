"""One incarnation of a log, read block by block as it grows.

Guarantees: a block is whole lines, in order, each once; `read` always begins where `accept` last
ended, so a block that nobody accepted is read again; before any byte is used, the bytes before it
are compared with what was read there, so a file that was truncated and filled again is never read
from its middle (`ReplacedError`). Never blocks; holds one block at a time.

A stack trace is kept together: a block never ends inside one, except that a trace of more than a
block is cut, and that the end of a trace is waited for `trace_seconds` at most.

Left to others: which file this is (`census`), and when to look (`files`).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from logagent.blocks import BLOCK_BYTES, MAX_LINE_BYTES, Block
from logagent.inputs import Batch
from logagent.inputs.position import HEAD_BYTES, TAIL_BYTES, Position, digest, fingerprint
from logagent.inputs.texts import PackedText, PlainText, inode_version
from logagent.sources import PROBE_BYTES, not_text
from logagent.traces import is_part

__all__ = ["ReplacedError", "Tail"]

_FURTHEST_LINES = 200  # looked at above the last line, for the head of a trace


class ReplacedError(Exception):
    """The file holds other bytes now than those that were read of it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a tail stands once a batch is accepted."""

    tail: Tail
    offset: int
    digest: bytes
    skipping: bool


class Tail:
    """Reads one incarnation. About 1 kB, and a descriptor while open."""

    __slots__ = (
        "_exhausted",
        "_looked",
        "bytes",
        "caught_up_at",
        "cut_lines",
        "grown_at",
        "hole_bytes",
        "listed",
        "live",
        "position",
        "retired_at",
        "skipped",
        "text",
        "wake_at",
    )

    def __init__(self, position: Position, text: PlainText | PackedText | None = None) -> None:
        self.position = position
        self.text = text
        """The open file; None while closed."""
        self.live = True
        """Whether the log's path leads to this file: it is where new lines go."""
        self.retired_at = math.inf
        """[s, monotonic] Since when it is not."""
        self.grown_at = 0.0
        """[s, monotonic] When it was last seen with something new."""
        self.caught_up_at = -math.inf
        """[s, monotonic] When nothing was left to read."""
        self.wake_at = math.inf
        """[s, monotonic] When to look again though nothing changed: a trace is held until then."""
        self.skipped = ""
        """Why it is not read at all; empty if it is."""
        self.listed = (0, 0)
        """Size and time of change when its folder was last listed; for closed files."""
        self.bytes = 0
        """Accepted since the start of the agent."""
        self.cut_lines = 0
        self.hole_bytes = 0
        """NUL bytes left out: what copytruncate leaves where a writer does not append."""
        self._looked = (-1, -1)
        """Size and time of change at the last look."""
        self._exhausted = (-1, -1)
        """The same, when nothing more was to be had."""

    @property
    def open(self) -> bool:
        """Whether its file is open."""
        return self.text is not None

    def close(self) -> None:
        """Close the file."""
        if self.text is not None:
            self.text.close()
            self.text = None
            self._exhausted = (-1, -1)

    def restart(self, position: Position) -> None:
        """Go on with another incarnation in the same open file."""
        self.position = position
        self._exhausted = (-1, -1)
        self.skipped = ""
        self.wake_at = math.inf

    def seen(self) -> tuple[int, int]:
        """Return size and time of change of the open file when nothing more was to be had."""
        return self._exhausted

    def lag(self) -> int:
        """Return how many bytes are there and not accepted yet, as far as can be told."""
        size = self.text.size() if self.text is not None else self.listed[0]
        return max(size - self.position.offset, 0) if size is not None else 0

    def verify(self) -> None:
        """Check that the open file still begins and goes on as what was read of it.

        Raises:
            ReplacedError: it does not.
            OSError: it cannot be read.
        """
        position, text = self.position, self.text
        if text is None:
            return
        head = text.read_at(0, position.head_bytes) if position.head_bytes else b""
        if position.head_bytes and digest(head) != position.head:
            raise ReplacedError
        self._bytes_before(text)
        if isinstance(text, PlainText) and position.version >= 0:
            version = inode_version(text.fd)
            if version not in (-1, position.version):
                raise ReplacedError

    def _bytes_before(self, text: PlainText | PackedText) -> None:
        offset = self.position.offset
        prefix = min(TAIL_BYTES, offset)
        if prefix and digest(text.read_at(offset - prefix, prefix)) != self.position.tail:
            raise ReplacedError

    def read(self, now: float, trace_seconds: float, *, ending: bool = False) -> Batch | None:
        """Return the next lines, None if there are none yet.

        Args:
            now: monotonic clock [s].
            trace_seconds: how long the end of a stack trace is waited for.
            ending: take a last line without a newline, and wait for nothing.

        Raises:
            ReplacedError: the file was truncated or replaced; nothing of it was used.
            OSError: it cannot be read.
        """
        text = self.text
        if text is None or self.skipped:
            return None
        if isinstance(text, PlainText):
            status = os.fstat(text.fd)
            looked = (status.st_size, status.st_mtime_ns)
            if looked == self._exhausted and not ending and now < self.wake_at:
                self.caught_up_at = now
                return None
            if looked != self._looked:
                self.grown_at, self._looked = now, looked
            if status.st_size < self.position.offset:
                raise ReplacedError
        while True:
            offset = self.position.offset
            prefix = min(TAIL_BYTES, offset)
            data = text.read_at(offset - prefix, prefix + BLOCK_BYTES)
            if prefix and (len(data) < prefix or digest(data[:prefix]) != self.position.tail):
                raise ReplacedError
            if len(data) == prefix:
                self.wake_at, self._exhausted = math.inf, self._looked
                self.caught_up_at = now
                return None
            if not self._passed_over(text, data, prefix):
                break
        if self.skipped:
            return None
        batch = self._batch(data, prefix, now, trace_seconds, ending=ending)
        if batch is None:
            self._exhausted = self._looked
        return batch

    def _passed_over(self, text: PlainText | PackedText, data: bytes, prefix: int) -> bool:
        """Move past what is no line: the rest of a cut line, holes; tell whether it did."""
        position = self.position
        if position.skipping:
            newline = data.find(b"\n", prefix)
            end = newline + 1 if newline >= 0 else len(data)
            position.skipping = newline < 0
        elif data[prefix] == 0:
            end = len(data) - len(data[prefix:].lstrip(b"\0"))
            if isinstance(text, PlainText) and end == len(data):
                behind = text.next_data(position.offset)
                end = max(end, prefix + behind - position.offset)
            self.hole_bytes += end - prefix
        elif position.offset == 0 or not position.fingerprint:
            self._begin(text, data[prefix : prefix + PROBE_BYTES])
            return False
        else:
            return False
        position.offset += end - prefix
        before = min(TAIL_BYTES, position.offset)
        position.tail = digest(text.read_at(position.offset - before, before))
        return True

    def _begin(self, text: PlainText | PackedText, head: bytes) -> None:
        """Look at the first bytes of an incarnation."""
        reason = not_text(head)
        if reason is None and head.startswith((b"\xff\xfe", b"\xfe\xff")):
            reason = "utf-16", "UTF-16 text; `logagent scan` reads it, following does not"
        if reason is not None:
            self.skipped = reason[1]
            self.close()
            return
        if self.position.offset:
            head = text.read_at(0, HEAD_BYTES)
        # Without the line's end the fingerprint could change as the line grows.
        if b"\n" in head or len(head) >= HEAD_BYTES:
            log, generation = self.position.log, self.position.generation
            self.position.fingerprint = fingerprint(log, generation, head.lstrip(b"\0"))

    def _batch(
        self, data: bytes, prefix: int, now: float, trace_seconds: float, *, ending: bool
    ) -> Batch | None:
        """Cut whole lines off `data`, which begins `prefix` bytes before the offset."""
        position = self.position
        full = len(data) - prefix >= BLOCK_BYTES
        skipping = False
        end = data.rfind(b"\n", prefix)
        after = end + 1
        self.wake_at = math.inf
        if end < 0:
            if not full and not ending:
                return None
            end = after = len(data)
            if full:
                self.cut_lines += 1
                skipping = True
                end = after = prefix + MAX_LINE_BYTES
        elif not ending and (head := self._open_trace(data, prefix, end)) >= 0:
            due = self.grown_at + trace_seconds
            if not full and now < due:
                self.wake_at = due
            if head > prefix and (full or now < due):
                end, after = head - 1, head
            elif not full and now < due:
                return None
        block = Block(data[prefix:end], position.line, position.offset)
        offset = position.offset + after - prefix
        last = digest(data[max(after - TAIL_BYTES, 0) : after])
        mark = _Mark(self, offset, last, skipping)
        return Batch(position.log, self._fingerprint(data, prefix), block, mark)

    def _fingerprint(self, data: bytes, prefix: int) -> bytes:
        position = self.position
        if not position.fingerprint:  # a first line without an end: now it has one
            position.fingerprint = fingerprint(
                position.log, position.generation, data[prefix : prefix + HEAD_BYTES]
            )
        return position.fingerprint

    @staticmethod
    def _open_trace(data: bytes, start: int, end: int) -> int:
        """Return where the trace begins that the last line is a part of; -1 if it is of none."""
        for step in range(_FURTHEST_LINES):
            line = max(data.rfind(b"\n", start, end) + 1, start)
            if not is_part(data[line:end]):
                return line if step else -1
            if line == start:
                break
            end = line - 1
        return -1  # nothing but indented lines

    def accept(self, mark: _Mark, block: Block) -> None:
        """Move past a block."""
        position, text = self.position, self.text
        first = position.offset == 0
        position.offset, position.tail, position.skipping = mark.offset, mark.digest, mark.skipping
        if position.line:
            position.line += block.line_count
        self.bytes += len(block.data) + 1
        if position.head_bytes < HEAD_BYTES:
            wanted = min(HEAD_BYTES, position.offset)
            head = (block.data + b"\n")[:wanted] if first else b""
            if len(head) < wanted and isinstance(text, PlainText):
                head = text.read_at(0, wanted)
            if len(head) == wanted:
                position.head_bytes, position.head = wanted, digest(head)
