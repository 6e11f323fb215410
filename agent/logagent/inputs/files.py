"""Log files, followed: new ones found, rotated ones finished, truncated ones begun again.

    listing → census → tails → blocks

inotify says when to look, never what happened: what happened is read off the files. So a lost
event, a network file system or a kernel without inotify costs time, not lines.

Guarantees: as asked of every input; at most `max_open` files are open; a file is looked at every
`poll_seconds`, more rarely only if that would take more than a thousandth of the time (a
twentieth, where inotify does not help).
"""

from __future__ import annotations

import errno
import fnmatch
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from logagent.inputs import Batch, Report
from logagent.inputs.census import Census
from logagent.inputs.inotify import Inotify
from logagent.inputs.listing import list_files
from logagent.inputs.position import Position
from logagent.inputs.rotated import packed
from logagent.inputs.tail import ReplacedError, Tail
from logagent.inputs.texts import PackedText, PlainText, open_regular, stamp
from logagent.inputs.watches import Watches
from logagent.paths import SourceProblem

__all__ = ["Files"]

_BLOCKS_PER_TURN = 16  # of one file before the next one has its turn: 1 MiB
_LISTING_SECONDS = 10.0  # [s] between listings though inotify is silent
_DRAIN_SECONDS = 60.0  # [s] a rotated file must be quiet before it is closed
_SHARE, _BLIND_SHARE = 1000.0, 20.0  # looking takes at most one part in so many
_MAX_FILES = 50_000


class Files:
    """Follows files; an `logagent.inputs.Input`."""

    name = "files"

    def __init__(
        self,
        patterns: Sequence[str],
        report: Report,
        *,
        saved: Mapping[str, Any] | None = None,
        from_start: bool = False,
        excluded: Callable[[str], bool] = lambda _path: False,
        poll_seconds: float = 1.0,
        trace_seconds: float = 0.5,
        max_open: int = 512,
        inotify: Inotify | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet.

        Args:
            patterns: files, folders, globs.
            report: hears of trouble.
            saved: what `state` of an earlier run returned; None if there was none.
            from_start: read files that are there at the first start from their beginning.
            excluded: tells which paths to leave out.
            poll_seconds: how often files are looked at though inotify is silent.
            trace_seconds: how long the end of a stack trace is waited for.
            max_open: files that are kept open.
            inotify: wakes `poll`; None to look every `poll_seconds`.
            clock: measures how long looking takes [s].

        Raises:
            ValueError: `saved` is not what `state` returned.
        """
        self.wants_save = False
        """Whether the state should be saved before the next `poll`, which reads nothing before: ids
        were decided that must be the same after a crash, or where a first start begins."""
        self._patterns = [os.path.abspath(pattern) for pattern in patterns]
        self._report = report
        self._from_start = from_start
        self._excluded = excluded
        self._poll_seconds = poll_seconds
        self._trace_seconds = trace_seconds
        self._max_open = max_open
        self._watches = Watches(inotify, report, poll_seconds)
        self._clock = clock
        known = [] if saved is None else _strings(saved.get("patterns"))
        self._fresh = frozenset(self._patterns) - set(known)
        newest = 0 if saved is None else saved.get("newest", 0)
        if type(newest) is not int or not 0 <= newest < 1 << 62:
            raise ValueError("has no number of generations")
        self._census = Census(report, newest)
        if saved is not None:
            positions = saved.get("positions")
            if not isinstance(positions, list):
                raise ValueError("has no list of positions")
            loaded = [Position.from_list(values) for values in positions]
            self._census.load(position for position in loaded if self._covers(position.log))
        self._dirty: dict[Tail, None] = {}
        self._opened: dict[Tail, None] = {}  # least recently used first
        self._by_place: dict[str, Tail] = {}
        self._several: dict[str, list[Tail]] = {}  # logs of which more than one file is read
        self._waking: dict[Tail, None] = {}  # to be looked at again though nothing changed
        self._names_changed = True
        self._next_listing = self._next_sweep = self._earliest_listing = -math.inf
        self._complaints: set[tuple[str, str]] = set()

    # -- what the loop calls

    def poll(self, now: float) -> Iterator[Batch]:
        """See `Input.poll`."""
        if self.wants_save:
            return
        self._take_events()
        if now >= self._next_listing or (self._names_changed and now >= self._earliest_listing):
            self._list(now)
            if self.wants_save:
                return
        for tail in [tail for tail in self._waking if tail.wake_at <= now]:
            del self._waking[tail]
            self._dirty[tail] = None
        if now >= self._next_sweep:
            self._sweep(now)
        yield from self._read(now)

    def accepted(self, batch: Batch) -> None:
        """See `Input.accepted`."""
        tail: Tail = batch.mark.tail
        tail.accept(batch.mark, batch.block)

    def descriptors(self) -> list[int]:
        """See `Input.descriptors`."""
        return self._watches.descriptors()

    def deadline(self, now: float) -> float:
        """See `Input.deadline`."""
        if self._dirty or self.wants_save:
            return now
        due = min(self._next_listing, self._next_sweep)
        if self._names_changed:
            due = min(due, self._earliest_listing)
        return min([due, *(tail.wake_at for tail in self._waking)])

    def ended(self) -> bool:
        """See `Input.ended`: files may always grow."""
        return False

    def state(self) -> Mapping[str, Any]:
        """See `Input.state`."""
        return {
            "patterns": list(self._patterns),
            "newest": self._census.newest,
            "positions": [position.to_list() for position in self._census.positions()],
        }

    def status(self) -> list[dict[str, Any]]:
        """See `Input.status`; finished files are left out."""
        now = self._clock()
        rows = []
        for tail in self._census.tails.values():
            position = tail.position
            if position.finished and not tail.skipped:
                continue
            lag = 0 if tail.skipped else tail.lag()
            row: dict[str, Any] = {
                "source": position.log,
                "offset": position.offset,
                "lines": max(position.line - 1, 0),
                "bytes": tail.bytes,
                "lag_bytes": lag,
                "lag_seconds": _age(now, tail.caught_up_at) if lag else 0.0,
            }
            if position.place != position.log:
                row["file"] = position.place
            if not tail.live:
                row["state"] = "rotated"
            if tail.skipped:
                row["state"], row["reason"] = "skipped", tail.skipped
            counts = {"cut_lines": tail.cut_lines, "hole_bytes": tail.hole_bytes}
            row |= {name: count for name, count in counts.items() if count}
            rows.append(row)
        return sorted(rows, key=lambda row: (str(row["source"]), int(row["offset"])))

    def close(self) -> None:
        """See `Input.close`."""
        for tail in list(self._opened):
            tail.close()
        self._opened.clear()
        self._watches.close()

    def _covers(self, log: str) -> bool:
        """Tell whether a log may still be one of the patterns'; what is not is forgotten."""
        return not self._excluded(log) and any(
            log == pattern or log.startswith(f"{pattern}/") or fnmatch.fnmatchcase(log, pattern)
            for pattern in self._patterns
        )

    # -- looking

    def _take_events(self) -> None:
        news = self._watches.read()
        self._names_changed |= news.names
        if news.everything:
            self._next_sweep = -math.inf
        for path in news.written:
            tail = self._by_place.get(path)
            if tail is not None and not tail.skipped:
                tail.look_again()
                self._dirty[tail] = None

    def _list(self, now: float) -> None:
        """List all files and bring the census up to date."""
        started = self._clock()
        complaints: set[tuple[str, str]] = set()

        def report(kind: str, message: str) -> None:
            complaints.add((kind, message))
            if (kind, message) not in self._complaints:
                self._report(kind, message)

        known = self._census.logs()
        listing = list_files(self._patterns, self._excluded, report, _MAX_FILES, known)
        if listing.dropped:
            more = f"{listing.dropped} files beyond {_MAX_FILES} are not followed"
            report("too-many-files", more)
        self._complaints = complaints
        self._names_changed = self._watches.watch(listing.folders)
        changed = self._census.take(listing.entries, now, self._fresh, from_start=self._from_start)
        self.wants_save = bool(self._fresh)
        self._fresh = frozenset()
        self._index(now)
        for tail in changed:
            current = self._census.tails.get(tail.position.identity) is tail
            if current and not tail.position.finished and not tail.skipped:
                self._dirty[tail] = None
        took = self._clock() - started
        share = _BLIND_SHARE if self._watches.blind else _SHARE
        often = self._poll_seconds if self._watches.blind else _LISTING_SECONDS
        self._next_listing = now + max(often, took * share)
        self._earliest_listing = now + took * _BLIND_SHARE

    def _index(self, now: float) -> None:
        """Make the look-up tables anew after a listing."""
        self._by_place = {}
        logs: dict[str, list[Tail]] = {}
        tails = self._census.tails
        for tail in tails.values():
            self._by_place[tail.position.place] = tail
            if tail.open:
                self._opened.setdefault(tail)
            if not tail.position.finished and not tail.skipped:
                logs.setdefault(tail.position.log, []).append(tail)
                if not tail.open and tail.listed[0] != tail.position.offset:
                    self._dirty[tail] = None
        self._several = {log: tails for log, tails in logs.items() if len(tails) > 1}
        for tail in [*self._opened, *self._dirty, *self._waking]:
            if tails.get(tail.position.identity) is not tail:
                self._close(tail)
                self._dirty.pop(tail, None)
                self._waking.pop(tail, None)
        # A live file is kept open from the start: then nothing that happens to its name matters.
        for tail in tails.values():
            if tail.live and not (tail.open or tail.skipped or tail.position.finished):
                if len(self._opened) >= self._max_open:
                    break
                self._open(tail, now)
        self._close_some()

    def _sweep(self, now: float) -> None:
        """Look at all files that may have grown."""
        started = self._clock()
        for tail in self._census.tails.values():
            if tail.skipped or tail.position.finished:
                continue
            if tail.open:
                self._dirty[tail] = None
                continue
            try:
                status = os.stat(tail.position.place)
            except OSError:
                self._names_changed = True
                continue
            if (status.st_dev, status.st_ino) != tail.position.identity:
                self._names_changed = True
            elif stamp(status) != tail.listed:
                tail.listed = stamp(status)
                self._dirty[tail] = None
            elif status.st_size == tail.position.offset:
                tail.position.finished = self._is_ending(tail, now)
        share = _BLIND_SHARE if self._watches.blind else _SHARE
        # Reading what a sweep marked costs about as much as the sweep itself.
        self._next_sweep = now + max(self._poll_seconds, 4 * (self._clock() - started) * share)

    # -- reading

    def _read(self, now: float) -> Iterator[Batch]:
        waiting = list(self._dirty)
        if self._several:
            waiting.sort(key=lambda tail: tail.position.generation)
        for tail in waiting:
            if tail not in self._dirty or self._older_first(tail):
                continue
            if not tail.open and not self._open(tail, now):
                continue
            for _ in range(_BLOCKS_PER_TURN):
                batch = self._next(tail, now)
                if batch is None:
                    break
                yield batch
            else:
                self._opened[tail] = self._opened.pop(tail, None)

    def _older_first(self, tail: Tail) -> bool:
        """Tell whether an older incarnation of the same log is to be read first.

        That is so until it was read as far as it went when it was rotated: late lines wait for no
        one, and hold nobody up.
        """
        generation = tail.position.generation
        return any(
            other.position.generation < generation
            and other.position.offset < other.owed
            and other in self._dirty
            for other in self._several.get(tail.position.log, ())
        )

    def _next(self, tail: Tail, now: float) -> Batch | None:
        """Return the next batch of a tail; None, and the tail is clean, if there is none now."""
        ending = self._is_ending(tail, now)
        try:
            batch = tail.read(now, self._trace_seconds, ending=ending)
        except ReplacedError:
            self._replaced(tail, now)
            return None
        except OSError as error:
            self._report("unreadable", f"{tail.position.place}: {error.strerror or error}")
            self._close(tail)
            self._dirty.pop(tail, None)
            return None
        if tail.wake_at < math.inf:
            self._waking[tail] = None
        if tail.begun:
            tail.begun, self.wants_save = False, True
        elif batch is None:
            self._dirty.pop(tail, None)
            self._close_some()
            if tail.skipped:
                self._report("skipped", f"{tail.position.place}: {tail.skipped}")
                self._close(tail)
            elif ending and tail.wake_at > now:
                tail.position.finished = True
                self._close(tail)
        return batch

    def _replaced(self, tail: Tail, now: float) -> None:
        self._dirty.pop(tail, None)
        if isinstance(tail.text, PackedText):
            self._report("damaged", f"{tail.position.place}: changed while it was read")
            tail.position.finished = True
            self._close(tail)
            return
        self._census.replaced(tail, now)
        self._report(
            "truncated", f"{tail.position.log}: truncated, read from its start (copytruncate?)"
        )
        self._names_changed = True
        self._earliest_listing = now
        self._dirty[tail] = None

    @staticmethod
    def _is_ending(tail: Tail, now: float) -> bool:
        """Tell whether a rotated file has been quiet for so long that nothing more will come."""
        if isinstance(tail.text, PackedText):
            return True
        return not tail.live and now - max(tail.retired_at, tail.grown_at) >= _DRAIN_SECONDS

    def _open(self, tail: Tail, now: float) -> bool:
        """Open a tail's file; tell whether that worked. If not, it is left for the next listing."""
        place = tail.position.place
        try:
            fd = open_regular(place)
        except OSError as error:
            self._not_opened(tail, error)
            return False
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != tail.position.identity:
            os.close(fd)
            self._names_changed = True
            self._dirty.pop(tail, None)
            return False
        tail.text = PackedText(fd, self._trouble, place) if packed(place) else PlainText(fd)
        self._opened[tail] = None
        try:
            tail.verify()
        except ReplacedError:
            self._replaced(tail, now)
            return False
        except OSError as error:
            self._report("unreadable", f"{place}: {error.strerror or error}")
            self._close(tail)
            self._dirty.pop(tail, None)
            return False
        self._close_some(tail)
        return True

    def _not_opened(self, tail: Tail, error: OSError) -> None:
        place = tail.position.place
        if error.errno in (errno.EMFILE, errno.ENFILE) and self._opened:
            self._max_open = max(len(self._opened) - 8, 1)
            self._close_some()
            return
        self._dirty.pop(tail, None)
        if error.errno == errno.ENOENT:
            self._names_changed = True
            return
        complaint = ("unreadable", f"{place}: {error.strerror or error}")
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            self._report(*complaint)

    def _close(self, tail: Tail) -> None:
        tail.close()
        self._opened.pop(tail, None)

    def _close_some(self, in_use: Tail | None = None) -> None:
        """Close files if too many are open: those without news first, used least recently.

        One that has no name any more stays open: it could not be opened again.
        """
        excess = len(self._opened) - self._max_open
        if excess <= 0:
            return
        for tail in sorted(self._opened, key=lambda tail: tail in self._dirty or not tail.live):
            if tail is in_use or tail.text is None or os.fstat(tail.text.fd).st_nlink == 0:
                continue
            tail.listed = tail.seen()
            self._close(tail)
            excess -= 1
            if excess <= 0:
                break

    def _trouble(self, problem: SourceProblem) -> None:
        self._report(problem.kind, f"{problem.source}: {problem.message}")


def _strings(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("has no list of patterns")
    return values


def _age(now: float, then: float) -> float:
    return round(now - then, 1) if math.isfinite(then) else 0.0
