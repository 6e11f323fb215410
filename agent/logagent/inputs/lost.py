"""Incarnations whose file is not there, or not any more: a copy of it may turn up.

Guarantees: after `tell` at most `MAX_LOST`, and `_PER_LOG` of one log, the newest; one that was
not read to its end is reported once, `_REPORTED_AFTER_SECONDS` after it was lost. Which it is that
a file holds is told by content; where several fit, by how much of it fits.
"""

from __future__ import annotations

from collections.abc import Iterator

from logagent.inputs import Report
from logagent.inputs.likeness import begins_like, goes_on
from logagent.inputs.listing import Entry
from logagent.inputs.position import HEAD_BYTES, TAIL_BYTES, Position, digest
from logagent.inputs.texts import PackedText, PlainText, inode_version

__all__ = ["MAX_LOST", "Lost"]

MAX_LOST = 4096
"""About 2 MB; the oldest are forgotten."""

_PER_LOG = 16  # copies kept of a log are rarely more, and those that are found are not lost
_REPORTED_AFTER_SECONDS = 60.0  # [s] long enough for a copy to be made and found


class Lost:
    """Positions without a file."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._since: dict[Position, float] = {}
        """[s, monotonic] The first lost first."""
        self._of_log: dict[str, list[Position]] = {}

    def __contains__(self, position: Position) -> bool:
        return position in self._since

    def __iter__(self) -> Iterator[Position]:
        return iter(self._since)

    def logs(self) -> set[str]:
        """Return the paths of the logs."""
        return set(self._of_log)

    def add(self, position: Position, now: float) -> None:
        """Remember one; nothing to remember if none of its bytes were seen."""
        if not position.head_bytes:
            return
        self._since[position] = now
        self._of_log.setdefault(position.log, []).append(position)

    def remove(self, position: Position) -> None:
        """Forget one: it was found."""
        del self._since[position]
        of_log = self._of_log[position.log]
        of_log.remove(position)
        if not of_log:
            del self._of_log[position.log]

    def held_by(
        self, entry: Entry, text: PlainText | PackedText, only: Position | None = None
    ) -> Position | None:
        """Return the incarnation whose content this file holds, if there is one: it is found.

        Args:
            entry: the file.
            text: its bytes.
            only: what it can be, if it was seen to be a copy of that.

        Raises:
            OSError: the file cannot be read.
        """
        alike = [
            one
            for one in self._of(entry.log)
            if only in (None, one) and _may_be(entry, text, one) and begins_like(text, one)
        ]
        fitting = [one for one in alike if goes_on(text, one)]
        if not fitting:
            return None
        ends = {one.offset: not text.read_at(one.offset, 1) for one in fitting}
        # What was read to its end when it was rotated hardly goes on.
        best = max(fitting, key=lambda one: (ends[one.offset] or not one.finished, one.offset))
        best.finished = best.finished and ends[best.offset]
        self.remove(best)
        return best

    def cut_to(self, best: Position, text: PlainText | PackedText) -> Position | None:
        """Return an incarnation for a copy of it that has less than was read: it is found.

        None if it has more, or if it is not lost.

        Raises:
            OSError: the copy cannot be read.
        """
        if best not in self:
            return None
        text.read_at(best.offset, 1)  # then the size of a compressed text is known as well
        size = text.size()
        if size is None or size >= best.offset:
            return None
        self.remove(best)
        before = min(TAIL_BYTES, size)
        best.tail = digest(text.read_at(size - before, before))
        best.offset, best.line, best.skipping, best.finished = size, 0, False, True
        if size < best.start + best.head_bytes:
            best.start, best.head_bytes = 0, min(size, HEAD_BYTES)
            best.head = digest(text.read_at(0, best.head_bytes))
        return best

    def _of(self, log: str) -> list[Position]:
        """Return those of a log in the order in which a text is read for them."""
        return sorted(self._of_log.get(log, ()), key=lambda position: position.offset)

    def tell(self, now: float) -> None:
        """Report those that will hardly be found, and forget the oldest of too many.

        To be called when copies were looked for: until then there may be as many as files.
        """
        for position, since in self._since.items():
            if position.finished or now - since <= _REPORTED_AFTER_SECONDS:
                continue
            position.finished = True
            self._report(
                "not-found-again",
                f"{position.log}: read up to byte {position.offset}; "
                "then it was truncated or removed and no rotated copy was found: lines "
                "written between the last look and then were not seen",
            )
        for of_log in [of_log for of_log in self._of_log.values() if len(of_log) > _PER_LOG]:
            for position in of_log[:-_PER_LOG]:
                self.remove(position)
        while len(self._since) > MAX_LOST:
            self.remove(next(iter(self._since)))


def _may_be(entry: Entry, text: PlainText | PackedText, position: Position) -> bool:
    """Tell whether a file may be a lost incarnation at all, before its content is looked at.

    A log that was made anew may begin as the old one did. What is at the log's own path is taken
    for the old one only if it is the same file again, or so much is the same that it must be.
    """
    if entry.rotated:
        return True
    if entry.identity == position.identity:
        return position.version in (-1, inode_version(text.fd))
    return not position.finished and position.head_bytes == HEAD_BYTES
