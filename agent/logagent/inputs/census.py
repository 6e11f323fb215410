"""Which incarnation of which log every file is: the books of the followed files.

At every listing each file is one of

* known: the same device and inode, and for a closed file the same content;
* a copy of what is known: its content goes on where a lost incarnation stopped (renamed,
  compressed, or copied before a truncation), so it takes over that one's position;
* a copy of a file that is still there: nothing to do until that one is truncated or gone;
* new: read from its start; from its end if the log itself is new to the agent.

Guarantees: a file is never judged by its name alone; whatever cannot be told for sure is read
rather than skipped, so that lines may come twice but are not lost. Incarnations that cannot be
found are remembered for a while, then reported (`lost`). Memory: O(files), and `lost.MAX_LOST`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from logagent.inputs import Report
from logagent.inputs.backlog import at_the_end
from logagent.inputs.likeness import begins_like, holds_a_part_of
from logagent.inputs.listing import Entry
from logagent.inputs.lost import Lost
from logagent.inputs.position import HEAD_BYTES, Position, digest
from logagent.inputs.rotated import age, packed
from logagent.inputs.tail import ReplacedError, Tail, why_skipped
from logagent.inputs.texts import PackedText, PlainText, Stamp, inode_version, open_regular
from logagent.paths import SourceProblem

__all__ = ["Census"]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file that has nothing more than another one that is there."""

    stamp: Stamp
    of: Position


class Census:
    """All incarnations, by file."""

    def __init__(self, report: Report, newest: int = 0) -> None:
        """Know nothing yet.

        Args:
            report: hears of trouble.
            newest: the largest generation that an earlier run gave.
        """
        self.tails: dict[tuple[int, int], Tail] = {}
        self.lost = Lost(report)
        self.newest = newest
        """The largest generation given, over all logs: none is given twice."""
        self._report = report
        self._of_log: dict[str, list[Tail]] = {}
        self._new_logs: dict[str, Entry] = {}
        """Files at their logs' own paths that are unknown. Both are there while `take` runs."""
        self._copies: dict[tuple[int, int], _Copy] = {}
        self._told: dict[str, int] = {}

    def load(self, positions: Iterable[Position]) -> None:
        """Take over the positions of an earlier run; their files are found by `take`."""
        for position in positions:
            self.newest = max(self.newest, position.generation)
            known = self.tails.get(position.identity)
            if known is None or known.position.generation < position.generation:
                self.tails[position.identity] = Tail(position)
            if known is not None:
                self.lost.add(min(known.position, position, key=lambda one: one.generation), 0.0)

    def positions(self) -> Iterator[Position]:
        """Yield what `load` of another run needs."""
        yield from self.lost
        yield from (tail.position for tail in self.tails.values() if not tail.skipped)

    def logs(self) -> set[str]:
        """Return the paths of all logs that are known."""
        return self.lost.logs() | {tail.position.log for tail in self.tails.values()}

    def take(
        self,
        entries: dict[tuple[int, int], Entry],
        now: float,
        fresh: frozenset[str] = frozenset(),
        *,
        from_start: bool = False,
    ) -> list[Tail]:
        """Bring the books up to date with a listing; return the tails that are new or changed.

        Args:
            entries: the files that are there.
            now: monotonic clock [s].
            fresh: patterns that are watched for the first time: what is there already is begun at
                its end, rotated copies always.
            from_start: begin it at its start instead.
        """
        changed = self._changed = [
            tail for tail in list(self.tails.values()) if self._recognise(tail, entries, now)
        ]
        unknown = {
            identity: entry for identity, entry in entries.items() if identity not in self.tails
        }
        self._copies = {
            identity: copy for identity, copy in self._copies.items() if identity in unknown
        }
        if self._told:
            there = {entry.path for entry in entries.values()}
            self._told = {path: code for path, code in self._told.items() if path in there}
        for tail in self.tails.values():
            self._of_log.setdefault(tail.position.log, []).append(tail)
        for log in {entry.log for entry in unknown.values() if entry.rotated}:
            self._verify_log(log, now)
        self._new_logs = {entry.log: entry for entry in unknown.values() if not entry.rotated}
        # What is known to be a copy comes last: another copy may have more.
        ordered = sorted(unknown.values(), key=_reading_order)
        ordered.sort(key=lambda entry: _same(self._copies.get(entry.identity), entry))
        for entry in ordered:
            if entry.identity in self.tails:
                continue
            old = entry.pattern in fresh and (entry.rotated or not from_start)
            if (admitted := self._admit(entry, now, at_end=old)) is not None:
                changed.append(admitted)
        self._of_log, self._new_logs = {}, {}
        self.lost.tell(now)
        return changed

    def replaced(self, tail: Tail, now: float) -> None:
        """Begin a new incarnation in the same open file: it was truncated."""
        old = tail.position
        self.lost.add(old, now)
        version = -1 if tail.text is None else inode_version(tail.text.fd)
        tail.restart(
            Position(old.log, old.place, self._generation(), old.device, old.inode, version)
        )

    # -- files that are known

    def _recognise(self, tail: Tail, entries: dict[tuple[int, int], Entry], now: float) -> bool:
        """Find a tail's file in the listing; tell whether anything about it changed."""
        position = tail.position
        entry = entries.get(position.identity)
        if entry is None:
            if tail.text is not None:
                return tail.retire(now, tail.text.size() or math.inf)
            entry = _elsewhere(tail)
            if entry is None:
                self._lose(tail, now)
                return True
        moved = position.place != entry.path
        if not tail.open and (moved or entry.stamp != tail.listed):
            try:
                self._check(tail, entry)
            except ReplacedError:
                self._lose(tail, now)
                return True
            except OSError as error:
                self._unreadable(entry, error)
                return False
        tail.listed = entry.stamp
        position.place = entry.path
        if entry.rotated:
            return tail.retire(now, math.inf if entry.packed else entry.size) or moved
        came_back = not tail.live
        tail.live, tail.retired_at, tail.owed = True, math.inf, 0.0
        return moved or came_back

    def _lose(self, tail: Tail, now: float) -> None:
        """Strike off a file that is gone, or holds something else."""
        del self.tails[tail.position.identity]
        if not tail.skipped:
            self.lost.add(tail.position, now)

    def _check(self, tail: Tail, entry: Entry) -> None:
        """Check that a file that is not open is still the one that was read.

        Raises:
            ReplacedError: it is not.
            OSError: it cannot be opened.
        """
        position = tail.position
        if entry.packed != packed(position.place) or (
            not entry.packed and entry.size < position.offset
        ):
            raise ReplacedError
        text = self._open(entry)
        try:
            if tail.skipped:
                if not why_skipped(text.read_at(0, HEAD_BYTES)):
                    raise ReplacedError
                return
            grown = entry.size > tail.listed[0] >= 0
            if not entry.packed:
                tail.text = text
                tail.verify()
                grown = entry.size > position.offset
            elif position.version not in (-1, inode_version(text.fd)) or (
                position.head_bytes and not begins_like(text, position)
            ):
                raise ReplacedError
            if grown:  # late lines, or a compressed file that was not whole
                position.finished = False
        finally:
            tail.text = None
            text.close()

    def _verify_log(self, log: str, now: float) -> None:
        """Find out which open files of a log were truncated, before copies are judged."""
        for tail in self._of_log.get(log, ()):
            try:
                if isinstance(tail.text, PlainText):
                    tail.verify()
            except ReplacedError:
                self.replaced(tail, now)
            except OSError as error:
                self._report("unreadable", f"{tail.position.place}: {error.strerror or error}")

    # -- files that are not

    def _admit(self, entry: Entry, now: float, *, at_end: bool) -> Tail | None:
        """Decide what an unknown file is; None if it needs nothing, or not yet."""
        copy = self._copies.get(entry.identity)
        if copy is not None and not _same(copy, entry):
            del self._copies[entry.identity]
        elif copy is not None and copy.of not in self.lost:
            return None
        if entry.size == 0 and entry.rotated:
            return None  # a copy that is just being made, or nothing
        try:
            text = self._open(entry)
            try:
                tail = self._identify(entry, text, now, at_end=at_end)
            finally:
                text.close()
        except OSError as error:
            self._unreadable(entry, error)
            return None
        if tail is None:
            return None
        tail.listed = entry.stamp
        if entry.rotated:
            tail.retire(now, math.inf if entry.packed else entry.size)
        self.tails[entry.identity] = tail
        self._of_log.setdefault(tail.position.log, []).append(tail)
        return tail

    def _identify(
        self, entry: Entry, text: PlainText | PackedText, now: float, *, at_end: bool
    ) -> Tail | None:
        skipped = ""
        if entry.rotated and not at_end:
            # In this order: what is truncated between the two is found by the second look.
            self._admit_original(entry, text, now)
            original = self._original(entry, text)
            self._verify_log(entry.log, now)
            if original is not None and original not in self.lost:
                self._copies[entry.identity] = _Copy(entry.stamp, original)
                return None
        copy = self._copies.get(entry.identity)
        position = self.lost.held_by(entry, text, None if copy is None else copy.of)
        if position is None and copy is not None:
            if self._waits(entry):
                return None
            position = self.lost.cut_to(copy.of, text)
        if position is None and at_end:
            skipped = why_skipped(text.read_at(0, HEAD_BYTES))
            position = at_the_end(entry, text, self._generation())
        if position is None:
            position = Position(entry.log, entry.path, self._generation())
        position.place = entry.path
        position.device, position.inode = entry.identity
        position.version = inode_version(text.fd)
        tail = Tail(position)
        tail.skipped = skipped
        self._copies.pop(entry.identity, None)
        return tail

    def _waits(self, entry: Entry) -> bool:
        """Tell whether a longer copy of the same lost incarnation is to be looked at first."""
        copy = self._copies.get(entry.identity)
        if copy is None or copy.of not in self.lost:
            return False
        return any(
            other.of is copy.of and (other.stamp, identity) > (copy.stamp, entry.identity)
            for identity, other in self._copies.items()
        )

    def _admit_original(self, entry: Entry, copy: PlainText | PackedText, now: float) -> None:
        """Admit a new log before its rotated copy if that has nothing more: it is no older part."""
        log = self._new_logs.get(entry.log)
        if log is None or log.identity in self.tails:
            return
        original = None
        try:
            original = self._open(log)
            same = holds_a_part_of(copy, original)
        except OSError:
            return
        finally:
            if original is not None:
                original.close()
        if same and (admitted := self._admit(log, now, at_end=False)) is not None:
            self._changed.append(admitted)

    def _original(self, entry: Entry, text: PlainText | PackedText) -> Position | None:
        """Return the file of the same log that this one is a copy of, if there is one."""
        for tail in self._of_log.get(entry.log, ()):
            position = tail.position
            head = text.read_at(position.start, position.head_bytes)
            if 0 < len(head) == position.head_bytes and digest(head) != position.head:
                continue
            original = tail.text
            try:
                if original is None:
                    original = self._open_known(position)
                if holds_a_part_of(text, original):
                    return position
            except OSError:  # gone meanwhile, or not to be read: so it cannot be told
                continue
            finally:
                if original is not None and tail.text is None:
                    original.close()
        return None

    def _open_known(self, position: Position) -> PlainText | PackedText:
        return self._open_as(position.place, position.identity)

    def _open(self, entry: Entry) -> PlainText | PackedText:
        return self._open_as(entry.path, entry.identity)

    def _open_as(self, path: str, identity: tuple[int, int]) -> PlainText | PackedText:
        fd = open_regular(path)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != identity:
            os.close(fd)
            raise OSError(0, "was replaced while it was looked at")
        return PackedText(fd, self._trouble, path) if packed(path) else PlainText(fd)

    def _unreadable(self, entry: Entry, error: OSError) -> None:
        """Report trouble with a file, once as long as it is the same."""
        if self._told.get(entry.path) != error.errno:
            self._told[entry.path] = error.errno or 0
            self._report("unreadable", f"{entry.path}: {error.strerror or error}")

    def _trouble(self, problem: SourceProblem) -> None:
        self._report(problem.kind, f"{problem.source}: {problem.message}")

    def _generation(self) -> int:
        self.newest += 1
        return self.newest


def _same(copy: _Copy | None, entry: Entry) -> bool:
    """Tell whether a file was found to be a copy and has not changed since."""
    return copy is not None and copy.stamp == entry.stamp


def _reading_order(entry: Entry) -> tuple[str, bool, tuple[int, int, str, int], str]:
    """Sort the oldest incarnation of a log first, the file at its own path last."""
    return entry.log, not entry.rotated, age(entry.path, entry.modified_ns), entry.path


def _elsewhere(tail: Tail) -> Entry | None:
    """Look for a closed file where it was last seen: a link's old target, a folder not listed."""
    position = tail.position
    try:
        status = os.stat(position.place)
    except OSError:
        return None
    if (status.st_dev, status.st_ino) != position.identity:
        return None
    return Entry(
        position.place,
        position.log,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        rotated=True,
        pattern=position.log,
    )
