"""Lines of one source that are pushed in, cut into batches, and held until they are accepted.

What standard input, the journal and syslog have in common; files are read again instead.

Guarantees: batches come in order, each is offered again until it is accepted; lines, numbers and
offsets are those of `logagent.blocks`. Memory: O(longest `feed` + MAX_LINE_BYTES), as long as the
caller feeds nothing while a batch waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from logagent.blocks import BLOCK_BYTES, MAX_LINE_BYTES, Block, BlockCutter
from logagent.inputs import Batch, Report

__all__ = ["Stream"]


class Stream:
    """One source. Feed it only while nothing is `waiting`."""

    def __init__(
        self,
        source: str,
        fingerprint: bytes,
        report: Report,
        *,
        first_line: int = 1,
        offset: int = 0,
    ) -> None:
        """Hold nothing yet; `first_line` and `offset` [bytes] say where the first byte stands."""
        self.source = source
        """Name shown in records."""
        self.fingerprint = fingerprint
        """See `Batch`; may be set until the first `feed`."""
        self.lines = 0
        """Lines accepted."""
        self.bytes = 0
        """[bytes] Of lines accepted, newlines included."""
        self._report = report
        self._cutter = BlockCutter(first_line=first_line, offset=offset)
        self._waiting: deque[Batch] = deque()

    @property
    def waiting(self) -> bool:
        """Whether there is a batch to offer."""
        return bool(self._waiting)

    def feed(self, data: bytes, mark: Any = None) -> None:
        """Take bytes; the last batch that comes of them carries `mark`, those before it none."""
        cut = self._cutter.cut_lines
        blocks: list[Block] = []
        for start in range(0, len(data), BLOCK_BYTES):
            piece = data[start : start + BLOCK_BYTES] if len(data) > BLOCK_BYTES else data
            blocks += self._cutter.feed(piece)
        if self._cutter.cut_lines > cut:
            count = self._cutter.cut_lines - cut
            what = f"{count} lines longer than {MAX_LINE_BYTES} bytes were cut"
            self._report("long-lines", f"{self.source}: {what}")
        self._put(blocks, mark)

    def end(self) -> None:
        """Nothing comes after this: a last line without a newline is a line."""
        self._put(list(self._cutter.end()), None)

    def skip(self, data: bytes) -> None:
        """Move past whole lines, newlines included, that are to be left out; counted as lines."""
        self._cutter.offset += len(data)
        self._cutter.next_line += data.count(b"\n")

    def offered(self) -> Iterator[Batch]:
        """Yield what waits, until a batch is not accepted."""
        while self._waiting:
            batch = self._waiting[0]
            yield batch
            if self._waiting and self._waiting[0] is batch:
                return

    def accepted(self, batch: Batch) -> None:
        """Let go of the batch that was offered last.

        Raises:
            ValueError: it is another one: a mistake of the caller.
        """
        if not self._waiting or self._waiting[0] is not batch:
            raise ValueError(f"{self.source}: accepted a batch that was not offered")
        self._waiting.popleft()
        self.lines += batch.block.line_count
        self.bytes += len(batch.block.data) + 1

    def status(self) -> dict[str, Any]:
        """Return the name and the counters of this source."""
        return {
            "source": self.source,
            "lines": self.lines,
            "bytes": self.bytes,
            "lag_bytes": sum(len(batch.block.data) + 1 for batch in self._waiting),
            "cut_lines": self._cutter.cut_lines,
            "cut_bytes": self._cutter.cut_bytes,
        }

    def _put(self, blocks: list[Block], mark: Any) -> None:
        last = len(blocks) - 1
        for number, block in enumerate(blocks):
            carried = mark if number == last else None
            self._waiting.append(Batch(self.source, self.fingerprint, block, carried))
