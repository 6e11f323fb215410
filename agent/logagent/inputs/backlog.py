"""Where a file is begun that was there before the agent: at its end.

Guarantees: the line that is just being written is not cut; of a large file or a compressed one,
neither lines nor end are looked for.
"""

from __future__ import annotations

from logagent.inputs.listing import Entry
from logagent.inputs.position import HEAD_BYTES, TAIL_BYTES, Position, digest, fingerprint
from logagent.inputs.texts import PackedText, PlainText

__all__ = ["at_the_end"]

_FAR = 1 << 62  # [bytes] behind the end of whatever a compressed file holds
_COUNTED_BYTES = 16 * 1024 * 1024  # [bytes] of a file whose lines are counted before it is followed


def at_the_end(entry: Entry, text: PlainText | PackedText, generation: int) -> Position:
    """Return a position at the end of a file.

    Raises:
        OSError: it cannot be read.
    """
    position = Position(entry.log, entry.path, generation, finished=entry.rotated)
    head = text.read_at(0, HEAD_BYTES)
    size = entry.size
    if isinstance(text, PackedText):  # its end is not looked for: nothing of it is ever read
        size = _FAR
    elif size and not entry.rotated:
        size = _last_line_end(text, size)
    position.offset = size
    position.line = _lines(text, size) + 1 if size <= _COUNTED_BYTES else 0
    position.head_bytes = min(size, len(head))
    position.head = digest(head[: position.head_bytes])
    if size != _FAR:
        before = min(TAIL_BYTES, size)
        position.tail = digest(text.read_at(size - before, before))
    if head:
        position.fingerprint = fingerprint(entry.log, generation, head)
    return position


def _last_line_end(text: PlainText | PackedText, size: int) -> int:
    """Return where the last line ends that is whole, so that one being written is not cut."""
    back = min(size, 64 * 1024)
    data = text.read_at(size - back, back)
    newline = data.rfind(b"\n")
    return size - back + newline + 1 if newline >= 0 else size


def _lines(text: PlainText | PackedText, size: int) -> int:
    step = 256 * 1024
    return sum(text.read_at(at, min(step, size - at)).count(b"\n") for at in range(0, size, step))
