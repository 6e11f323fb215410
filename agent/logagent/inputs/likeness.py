"""Whether a file holds what was read of an incarnation, or the same as another file.

Guarantees: at most `_STEP_BYTES` of each are held at a time; a compressed file is read forward
only, and no further than the answer needs. Left to others: what follows from it (`census`).
"""

from __future__ import annotations

from logagent.inputs.position import TAIL_BYTES, Position, digest
from logagent.inputs.texts import PackedText, PlainText

__all__ = ["begins_like", "goes_on", "holds_a_part_of"]

_STEP_BYTES = 64 * 1024  # [bytes] compared at a time
_SURE_BYTES = 4 * 1024 * 1024  # [bytes] generations that begin alike differ within that; 20 ms if
# both are compressed
_EXPANDED_BYTES = 64 * 1024 * 1024  # [bytes] expanded only to be sure of a copy that was read

Text = PlainText | PackedText


def begins_like(text: Text, position: Position) -> bool:
    """Tell whether a file begins as the incarnation did.

    Raises:
        OSError: it cannot be read.
    """
    head = text.read_at(position.start, position.head_bytes) if position.head_bytes else b""
    return bool(head) and digest(head) == position.head


def goes_on(text: Text, position: Position) -> bool:
    """Tell whether the bytes before the position are those that were read there.

    Of a compressed file that was read to a far end nothing is expanded: it begins alike, and has to
    do.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(text, PackedText) and position.finished and position.offset > _EXPANDED_BYTES:
        return True
    before = min(TAIL_BYTES, position.offset)
    return not before or digest(text.read_at(position.offset - before, before)) == position.tail


def holds_a_part_of(copy: Text, original: Text) -> bool:
    """Tell whether a file is a copy of another, or of its first part.

    Compared are the first `_SURE_BYTES` and the last 64 KiB. Beyond, nothing but NULs proves
    nothing.

    Raises:
        OSError: one of them cannot be read.
    """
    size, whole = copy.size(), original.size()
    if size is not None and whole is not None and size > whole:
        return False
    told = False
    for at in range(0, _SURE_BYTES, _STEP_BYTES):
        data = copy.read_at(at, _STEP_BYTES)
        if data != original.read_at(at, len(data)):
            return False
        told = told or data.count(0) < len(data)
        if len(data) < _STEP_BYTES:
            return True
    if size is None or whole is None:
        return told
    last = max(size - _STEP_BYTES, 0)
    data = copy.read_at(last, size - last)
    return data == original.read_at(last, len(data)) and (told or data.count(0) < len(data))
