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
from logagent.inputs.likeness import begins_like, goes_on
from logagent.inputs.position import HEAD_BYTES, TAIL_BYTES, Position, digest, fingerprint
from logagent.inputs.texts import UNSEEN, PackedText, PlainText, Stamp, inode_version, stamp
from logagent.sources import PROBE_BYTES, not_text
from logagent.traces import is_part

__all__ = ["ReplacedError", "Tail", "why_skipped"]

_MOST_PASSES = 64  # over 4 MiB of a line that is thrown away, before others have their turn
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
        "begun",
        "bytes",
        "caught_up_at",
        "cut_lines",
        "grown_at",
        "hole_bytes",
        "listed",
        "live",
        "owed",
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
        self.owed = 0.0
        """[bytes] Its text up to here comes before that of younger incarnations."""
        self.begun = False
        """Whether its ids were decided and nobody knows yet; set back by whoever saves them."""
        self.grown_at = 0.0
        """[s, monotonic] When it was last seen with something new."""
        self.caught_up_at = -math.inf
        """[s, monotonic] When nothing was left to read."""
        self.wake_at = math.inf
        """[s, monotonic] When to look again though nothing changed: a trace is held until then."""
        self.skipped = ""
        """Why it is not read at all; empty if it is."""
        self.listed = UNSEEN
        """Its stamp when it was last looked at; for closed files."""
        self.bytes = 0
        """Accepted since the start of the agent."""
        self.cut_lines = 0
        self.hole_bytes = 0
        """NUL bytes left out: what copytruncate leaves where a writer does not append."""
        self._looked = UNSEEN
        """Its stamp at the last look."""
        self._exhausted = UNSEEN
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
            self._exhausted = UNSEEN

    def restart(self, position: Position) -> None:
        """Go on with another incarnation in the same open file."""
        self.position = position
        self._exhausted = UNSEEN
        self.skipped, self.begun = "", False
        self.wake_at = math.inf

    def look_again(self) -> None:
        """Read at the next `read` even if the file looks the same."""
        self._exhausted = UNSEEN

    def retire(self, now: float, size: float) -> bool:
        """Take note that new lines go elsewhere; tell whether that is new.

        Args:
            now: monotonic clock [s].
            size: how much text there is [bytes]; infinite if only reading tells.
        """
        if not self.live:
            return False
        self.live, self.retired_at, self.owed = False, now, size
        return True

    def seen(self) -> Stamp:
        """Return the stamp of the open file when nothing more was to be had."""
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
        if position.head_bytes and not begins_like(text, position):
            raise ReplacedError
        if not goes_on(text, position):
            raise ReplacedError
        if position.version >= 0 and inode_version(text.fd) not in (-1, position.version):
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
        if isinstance(text, PlainText) and not self._has_news(text, now, ending=ending):
            self.caught_up_at = now
            return None
        for _ in range(_MOST_PASSES):
            offset = self.position.offset
            prefix = min(TAIL_BYTES, offset)
            data = text.read_at(offset - prefix, prefix + BLOCK_BYTES)
            if prefix and (len(data) < prefix or digest(data[:prefix]) != self.position.tail):
                raise ReplacedError
            if len(data) == prefix:
                self.wake_at, self._exhausted = math.inf, self._looked
                self.caught_up_at = now
                return None
            if not self._passed_over(text, data, prefix, ending=ending):
                break
        else:
            self.wake_at = now
            return None
        if self.skipped or self.begun:
            return None
        if isinstance(text, PackedText) and text.damaged:
            ending = False  # its last line is not whole
        batch = self._batch(data, prefix, now, trace_seconds, ending=ending)
        # What is not accepted is to be had again, though nothing changes.
        self._exhausted = self._looked if batch is None else UNSEEN
        return batch

    def _has_news(self, text: PlainText, now: float, *, ending: bool) -> bool:
        """Tell whether there may be something to read; check that it is still the same file."""
        status = os.fstat(text.fd)
        looked = stamp(status)
        if looked == self._exhausted and not ending and now < self.wake_at:
            return False
        if looked != self._looked:
            self.grown_at, self._looked = now, looked
        if status.st_size < self.position.offset:
            raise ReplacedError
        if self.position.head_bytes and not begins_like(text, self.position):
            raise ReplacedError
        return True

    def _passed_over(
        self, text: PlainText | PackedText, data: bytes, prefix: int, *, ending: bool
    ) -> bool:
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
        elif not position.fingerprint:
            self._begin(data[prefix : prefix + PROBE_BYTES], ending=ending)
            return False
        else:
            return False
        position.offset += end - prefix
        before = min(TAIL_BYTES, position.offset)
        position.tail = digest(text.read_at(position.offset - before, before))
        return True

    def _begin(self, head: bytes, *, ending: bool) -> None:
        """Look at the first bytes of an incarnation, and decide on its ids."""
        position = self.position
        self.skipped = why_skipped(head)
        if self.skipped:
            self.close()
            return
        # Without the line's end the fingerprint could change as the line grows.
        if b"\n" in head or len(head) >= HEAD_BYTES or ending:
            position.fingerprint = fingerprint(position.log, position.generation, head)
            position.start = position.offset
            position.head_bytes = min(len(head), HEAD_BYTES)
            position.head = digest(head[:HEAD_BYTES])
            self.begun = True

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
        return Batch(position.log, position.fingerprint, block, mark)

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
        position = self.position
        before = position.offset
        position.offset, position.tail, position.skipping = mark.offset, mark.digest, mark.skipping
        if position.line:
            position.line += block.line_count
        self.bytes += len(block.data) + 1
        if position.head_bytes < min(HEAD_BYTES, position.offset - position.start):
            self._lengthen_head(before - position.start, block.data)

    def _lengthen_head(self, before: int, data: bytes) -> None:
        """Let the hash of the first bytes be of more of them.

        What stands before `data` is read again, and used only if it is still what was read there.
        """
        position, text = self.position, self.text
        wanted = min(HEAD_BYTES, position.offset - position.start)
        head = text.read_at(position.start, min(before, wanted)) if text and before else b""
        known = position.head_bytes
        if known <= before and digest(head[:known]) != position.head:
            return
        head = (head + data + b"\n")[:wanted]
        if len(head) == wanted:
            position.head_bytes, position.head = wanted, digest(head)


def why_skipped(head: bytes) -> str:
    """Say why a file that begins like this is not followed; empty if it is."""
    reason = not_text(head)
    if reason is None and head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text; `logagent scan` reads it, following does not"
    return reason[1] if reason else ""
