"""Which incarnation of which log every file is: the books of the followed files.

At every listing each file is one of

* known: the same device and inode, and for a closed file the same content;
* a copy of what is known: its content goes on where a lost incarnation stopped (renamed,
  compressed, or copied before a truncation), so it takes over that one's position;
* a copy of a file that is still there: nothing to do until that one is truncated;
* new: read from its start; from its end if the log itself is new to the agent.

Guarantees: a file is never judged by its name alone; whatever cannot be told for sure is read
rather than skipped, so that lines may come twice but are not lost. Incarnations that cannot be
found are remembered for a while, then reported. Memory: O(files), and `MAX_ORPHANS`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator

from logagent.inputs import Report
from logagent.inputs.listing import Entry
from logagent.inputs.position import HEAD_BYTES, TAIL_BYTES, Position, digest, fingerprint
from logagent.inputs.rotated import age, packed
from logagent.inputs.tail import ReplacedError, Tail
from logagent.inputs.texts import PackedText, PlainText, Text, inode_version, open_regular
from logagent.paths import SourceProblem

__all__ = ["Census"]

MAX_ORPHANS = 4096  # incarnations remembered without a file; the oldest are forgotten
_ORPHANS_PER_LOG = 16
_COUNTED_BYTES = 16 * 1024 * 1024  # [bytes] of a file whose lines are counted before it is followed
_EXPANDED_BYTES = 64 * 1024 * 1024  # [bytes] of text that is expanded to be sure of a copy
_LOST_AFTER_SECONDS = 60.0  # [s] then an unfinished incarnation without a file is reported


class Census:
    """All incarnations, by file."""

    def __init__(self, report: Report) -> None:
        self.tails: dict[tuple[int, int], Tail] = {}
        self.orphans: deque[tuple[Position, float]] = deque()
        """Incarnations whose file is not there (any more), and since when [s]."""
        self._report = report
        self._generations: dict[str, int] = {}
        self._undecided: dict[tuple[int, int], tuple[int, int]] = {}
        self._told: set[tuple[str, int]] = set()

    def load(self, positions: Iterable[Position]) -> None:
        """Take over the positions of an earlier run; their files are found by `take`."""
        for position in positions:
            tail = Tail(position)
            tail.listed = (-1, -1)
            self._note_generation(position)
            known = self.tails.get(position.identity)
            if known is None or known.position.generation < position.generation:
                self.tails[position.identity] = tail
            if known is not None:
                older = min(known.position, position, key=lambda one: one.generation)
                self._orphan(older, 0.0)

    def positions(self) -> Iterator[Position]:
        """Yield what `load` of another run needs."""
        yield from (position for position, _ in self.orphans)
        yield from (tail.position for tail in self.tails.values() if not tail.skipped)

    def logs(self) -> set[str]:
        """Return the paths of all logs that are known."""
        return set(self._generations)

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
        changed = [
            tail for tail in list(self.tails.values()) if self._recognise(tail, entries, now)
        ]
        unknown = [entry for identity, entry in entries.items() if identity not in self.tails]
        self._undecided = {
            entry.identity: self._undecided[entry.identity]
            for entry in unknown
            if entry.identity in self._undecided
        }
        for log in {entry.log for entry in unknown if entry.rotated}:
            self._verify_log(log, now)
        for entry in sorted(unknown, key=_reading_order):
            tail = self._admit(
                entry, now, at_end=entry.pattern in fresh and (entry.rotated or not from_start)
            )
            if tail is not None:
                changed.append(tail)
        self._forget(now)
        return changed

    def _recognise(self, tail: Tail, entries: dict[tuple[int, int], Entry], now: float) -> bool:
        """Find a tail's file in the listing; tell whether anything about it changed."""
        position = tail.position
        entry = entries.get(position.identity)
        if entry is None:
            if not tail.open and (entry := _elsewhere(tail)) is None:
                self._orphan(self.tails.pop(position.identity).position, now)
                return True
            if entry is None:
                return _retire(tail, now)
        moved = position.place != entry.path
        listed = (entry.size, entry.modified_ns)
        if not tail.open and not tail.skipped and (moved or listed != tail.listed):
            try:
                self._check(tail, entry)
            except ReplacedError:
                self._orphan(self.tails.pop(position.identity).position, now)
                return True
            except OSError as error:
                self._report("unreadable", f"{entry.path}: {error.strerror or error}")
                return False
            if position.finished and not entry.packed and entry.size > position.offset:
                position.finished = False
        tail.listed = listed
        position.place = entry.path
        if entry.rotated:
            return _retire(tail, now) or moved
        came_back = not tail.live
        tail.live, tail.retired_at = True, float("inf")
        return moved or came_back

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
            if entry.packed:
                if digest(text.read_at(0, position.head_bytes)) != position.head:
                    raise ReplacedError
            else:
                tail.text = text
                tail.verify()
        finally:
            tail.text = None
            text.close()

    def _verify_log(self, log: str, now: float) -> None:
        """Find out which open files of a log were truncated, before copies are judged."""
        for tail in [
            tail for tail in self.tails.values() if tail.open and tail.position.log == log
        ]:
            try:
                if isinstance(tail.text, PlainText):
                    tail.verify()
            except ReplacedError:
                self.replaced(tail, now)
            except OSError as error:
                self._report("unreadable", f"{tail.position.place}: {error.strerror or error}")

    def replaced(self, tail: Tail, now: float) -> None:
        """Begin a new incarnation in the same file: it was truncated."""
        old = tail.position
        self._orphan(old, now)
        new = Position(
            old.log,
            old.place,
            self._next_generation(old.log),
            old.device,
            old.inode,
            inode_version(tail.text.fd) if isinstance(tail.text, PlainText) else -1,
        )
        tail.restart(new)

    def _admit(self, entry: Entry, now: float, *, at_end: bool) -> Tail | None:
        """Decide what an unknown file is; None if it needs nothing, or not yet."""
        if self._undecided.get(entry.identity) == (entry.size, entry.modified_ns):
            return None
        if entry.size == 0 and entry.rotated:
            return None  # a copy that is just being made, or nothing
        try:
            text = self._open(entry)
        except OSError as error:
            if (entry.path, error.errno or 0) not in self._told:
                self._told.add((entry.path, error.errno or 0))
                self._report("unreadable", f"{entry.path}: {error.strerror or error}")
            return None
        keep = False
        try:
            tail = self._identify(entry, text, now, at_end=at_end)
            keep = tail is not None and not tail.position.finished
        except OSError as error:
            self._report("unreadable", f"{entry.path}: {error.strerror or error}")
            return None
        finally:
            if not keep:
                text.close()
        if tail is None:
            return None
        tail.listed = (entry.size, entry.modified_ns)
        tail.live = not entry.rotated
        tail.retired_at = float("inf") if tail.live else now
        tail.text = text if keep else None
        self.tails[entry.identity] = tail
        return tail

    def _identify(
        self, entry: Entry, text: PlainText | PackedText, now: float, *, at_end: bool
    ) -> Tail | None:
        position = self._taken_over(entry, text)
        if position is None and at_end:
            position = self._at_end(entry, text)
        if position is None and entry.rotated:
            # In this order: what is truncated between the two is found by the second look.
            copied = self._is_copy(entry, text)
            self._verify_log(entry.log, now)
            position = self._taken_over(entry, text)
            if position is None and copied:
                self._undecided[entry.identity] = (entry.size, entry.modified_ns)
                return None
        if position is None:
            position = Position(entry.log, entry.path, self._next_generation(entry.log))
        position.place = entry.path
        position.device, position.inode = entry.identity
        position.version = inode_version(text.fd) if isinstance(text, PlainText) else -1
        self._note_generation(position)
        return Tail(position)

    def _taken_over(self, entry: Entry, text: Text) -> Position | None:
        """Return the lost incarnation whose content this file holds, if there is one."""
        best: Position | None = None
        for position, _ in self.orphans:
            fits = (
                position.log == entry.log
                and position.head_bytes > 0
                and (best is None or position.offset > best.offset)
                and self._holds(entry, text, position)
            )
            if fits:
                best = position
        if best is not None:
            self.orphans = deque(pair for pair in self.orphans if pair[0] is not best)
            best.finished = not text.read_at(best.offset, 1) if best.finished else False
        return best

    @staticmethod
    def _holds(entry: Entry, text: Text, position: Position) -> bool:
        """Tell whether a file holds an incarnation, and mark that as finished if it ends there."""
        if digest(text.read_at(0, position.head_bytes)) != position.head:
            return False
        if entry.packed and position.finished and position.offset > _EXPANDED_BYTES:
            return True
        before = min(TAIL_BYTES, position.offset)
        tail = text.read_at(position.offset - before, before)
        if entry.packed and not tail and position.head_bytes == HEAD_BYTES:
            # Late lines came to the file after it was compressed: these are the bytes before.
            position.finished = True
            return True
        return digest(tail) == position.tail

    def _is_copy(self, entry: Entry, text: Text) -> bool:
        """Tell whether a file holds the same bytes as an open file of its log."""
        for tail in self.tails.values():
            if tail.position.log != entry.log or tail.text is None:
                continue
            size = tail.text.size()
            common = HEAD_BYTES if entry.packed or size is None else min(size, entry.size)
            if common == 0:
                continue
            first = min(common, HEAD_BYTES)
            mine, other = text.read_at(0, first), tail.text.read_at(0, first)
            if mine != other:
                continue
            last = max(common - TAIL_BYTES, 0)
            if (
                entry.packed
                or text.read_at(last, TAIL_BYTES)[: common - last]
                == (tail.text.read_at(last, TAIL_BYTES)[: common - last])
            ):
                return True
        return False

    def _at_end(self, entry: Entry, text: PlainText | PackedText) -> Position:
        """Return a position at the end of a file that was there before the agent."""
        generation = self._next_generation(entry.log)
        position = Position(entry.log, entry.path, generation, finished=entry.rotated)
        head = text.read_at(0, HEAD_BYTES)
        size = entry.size
        if isinstance(text, PackedText):  # its end is not looked for: it is never read
            size = len(head)
        elif size and not entry.rotated:
            size = _last_line_end(text, size)
        position.offset = size
        position.line = _lines(text, size) + 1 if size <= _COUNTED_BYTES else 0
        position.head_bytes = min(size, len(head))
        position.head = digest(head[: position.head_bytes])
        before = min(TAIL_BYTES, size)
        position.tail = digest(text.read_at(size - before, before))
        if head:
            position.fingerprint = fingerprint(entry.log, generation, head)
        return position

    def _open(self, entry: Entry) -> PlainText | PackedText:
        fd = open_regular(entry.path)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != entry.identity:
            os.close(fd)
            raise OSError(0, "was replaced while it was looked at")
        if entry.packed:
            return PackedText(fd, self._trouble, entry.path)
        return PlainText(fd)

    def _trouble(self, problem: SourceProblem) -> None:
        self._report(problem.kind, f"{problem.source}: {problem.message}")

    def _next_generation(self, log: str) -> int:
        generation = self._generations.get(log, 0) + 1
        self._generations[log] = generation
        return generation

    def _note_generation(self, position: Position) -> None:
        known = self._generations.get(position.log, 0)
        self._generations[position.log] = max(known, position.generation)

    def _orphan(self, position: Position, now: float) -> None:
        if position.head_bytes:  # otherwise nothing was read of it, and nothing can be known again
            self.orphans.append((position, now))

    def _forget(self, now: float) -> None:
        """Report what was lost, and forget the oldest of too many."""
        count: dict[str, int] = {}
        kept: deque[tuple[Position, float]] = deque()
        for position, since in reversed(self.orphans):
            count[position.log] = count.get(position.log, 0) + 1
            if count[position.log] > _ORPHANS_PER_LOG or len(kept) >= MAX_ORPHANS:
                continue
            if not position.finished and now - since > _LOST_AFTER_SECONDS:
                position.finished = True
                self._report(
                    "not-found-again",
                    f"{position.log}: read up to byte {position.offset}; "
                    "then it was truncated or removed and no rotated copy was found: lines "
                    "written between the last look and then were not seen",
                )
            kept.appendleft((position, since))
        self.orphans = kept


def _reading_order(entry: Entry) -> tuple[str, bool, tuple[int, int], str]:
    """Sort the oldest incarnation of a log first, the file at its own path last."""
    return entry.log, not entry.rotated, age(entry.path, entry.modified_ns), entry.path


def _retire(tail: Tail, now: float) -> bool:
    if not tail.live:
        return False
    tail.live, tail.retired_at = False, now
    return True


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
        rotated=True,
        pattern=position.log,
    )


def _last_line_end(text: Text, size: int) -> int:
    """Return where the last line ends that is whole, so that one being written is not cut."""
    back = min(size, 64 * 1024)
    data = text.read_at(size - back, back)
    newline = data.rfind(b"\n")
    return size - back + newline + 1 if newline >= 0 else size


def _lines(text: Text, size: int) -> int:
    step = 256 * 1024
    return sum(text.read_at(at, min(step, size - at)).count(b"\n") for at in range(0, size, step))
