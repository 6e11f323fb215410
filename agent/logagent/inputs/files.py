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
from logagent.inputs.texts import PackedText, PlainText, open_regular
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
        """Whether the state should be saved before the next `poll`: a new incarnation was found,
        whose record ids must be the same after a crash."""
        self._patterns = [os.path.abspath(pattern) for pattern in patterns]
        self._report = report
        self._from_start = from_start
        self._excluded = excluded
        self._poll_seconds = poll_seconds
        self._trace_seconds = trace_seconds
        self._max_open = max_open
        self._inotify = inotify
        self._clock = clock
        self._census = Census(report)
        known = [] if saved is None else _strings(saved.get("patterns"))
        self._fresh = frozenset(self._patterns) - set(known)
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
        self._watches: dict[str, int] = {}
        self._blind = inotify is None
        self._names_changed = True
        self._next_listing = self._next_sweep = self._earliest_listing = -math.inf
        self._complaints: set[tuple[str, str]] = set()
        self.listings = 0

    # -- what the loop calls

    def poll(self, now: float) -> Iterator[Batch]:
        """See `Input.poll`."""
        self._take_events()
        due = now >= self._next_listing or (self._names_changed and now >= self._earliest_listing)
        if due and self._list(now):
            self.wants_save = True
            return
        if now >= self._next_sweep:
            self._sweep(now)
        yield from self._read(now)

    def accepted(self, batch: Batch) -> None:
        """See `Input.accepted`."""
        tail: Tail = batch.mark.tail
        tail.accept(batch.mark, batch.block)

    def descriptors(self) -> list[int]:
        """See `Input.descriptors`."""
        return [] if self._inotify is None else [self._inotify.fd]

    def deadline(self, now: float) -> float:
        """See `Input.deadline`."""
        if self._dirty:
            return now
        due = min(self._next_listing, self._next_sweep)
        if self._names_changed:
            due = min(due, self._earliest_listing)
        return min([due, *(tail.wake_at for tail in self._opened)])

    def ended(self) -> bool:
        """See `Input.ended`: files may always grow."""
        return False

    def state(self) -> Mapping[str, Any]:
        """See `Input.state`."""
        return {
            "patterns": list(self._patterns),
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
        if self._inotify is not None:
            self._inotify.close()

    def _covers(self, log: str) -> bool:
        """Tell whether a log may still be one of the patterns'; what is not is forgotten."""
        return not self._excluded(log) and any(
            log == pattern or log.startswith(f"{pattern}/") or fnmatch.fnmatchcase(log, pattern)
            for pattern in self._patterns
        )

    # -- looking

    def _take_events(self) -> None:
        if self._inotify is None:
            return
        folders = {descriptor: folder for folder, descriptor in self._watches.items()}
        for event in self._inotify.read():
            if event.overflow:
                self._names_changed = True
                self._next_sweep = -math.inf
                continue
            folder = folders.get(event.wd)
            if folder is None:
                continue
            if event.gone:
                del self._watches[folder]
                self._names_changed = True
            elif event.entries:
                self._names_changed = True
            if event.changed:
                tail = self._by_place.get(os.path.join(folder, event.name))
                if tail is not None and not tail.skipped:
                    self._dirty[tail] = None

    def _list(self, now: float) -> bool:
        """List all files and bring the census up to date; tell whether anything changed."""
        started = self._clock()
        self.listings += 1
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
        self._names_changed = self._watch(listing.folders)
        changed = self._census.take(listing.entries, now, self._fresh, from_start=self._from_start)
        self._fresh = frozenset()
        self._index()
        for tail in changed:
            current = self._census.tails.get(tail.position.identity) is tail
            if current and not tail.position.finished and not tail.skipped:
                self._dirty[tail] = None
        took = self._clock() - started
        share = _BLIND_SHARE if self._blind else _SHARE
        often = self._poll_seconds if self._blind else _LISTING_SECONDS
        self._next_listing = now + max(often, took * share)
        self._earliest_listing = now + took * _BLIND_SHARE
        return bool(changed)

    def _index(self) -> None:
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
        for tail in [*self._opened, *self._dirty]:
            if tails.get(tail.position.identity) is not tail:
                self._close(tail)
                self._dirty.pop(tail, None)
        # A live file is kept open from the start: then nothing that happens to its name matters.
        for tail in tails.values():
            if tail.live and not (tail.open or tail.skipped or tail.position.finished):
                if len(self._opened) >= self._max_open:
                    break
                self._open(tail)
        self._close_some()

    def _watch(self, folders: set[str]) -> bool:
        """Watch these folders and no others; tell whether some are watched only from now on."""
        if self._inotify is None:
            return False
        for folder in set(self._watches) - folders:
            self._inotify.unwatch(self._watches.pop(folder))
        new = False
        blind = False
        for folder in sorted(folders - set(self._watches)):
            try:
                self._watches[folder] = self._inotify.watch_folder(folder)
                new = True
            except OSError as error:
                blind = True
                if error.errno == errno.ENOSPC:
                    self._report(
                        "inotify-limit",
                        "too many folders for inotify, so files are looked at every "
                        f"{self._poll_seconds:g} s; raise fs.inotify.max_user_watches",
                    )
                    break
        self._blind = blind
        return new

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
            elif (status.st_size, status.st_mtime_ns) != tail.listed:
                tail.listed = (status.st_size, status.st_mtime_ns)
                self._dirty[tail] = None
        share = _BLIND_SHARE if self._blind else _SHARE
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
            if not tail.open and not self._open(tail):
                if not tail.open:
                    self._dirty.pop(tail, None)
                continue
            for _ in range(_BLOCKS_PER_TURN):
                batch = self._next(tail, now)
                if batch is None:
                    break
                yield batch
            else:
                self._opened[tail] = self._opened.pop(tail, None)

    def _older_first(self, tail: Tail) -> bool:
        """Tell whether an older incarnation of the same log is to be read first."""
        generation = tail.position.generation
        return any(
            other.position.generation < generation and other in self._dirty
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
        if batch is None:
            self._dirty.pop(tail, None)
            self._close_some()
            if tail.skipped:
                self._report("skipped", f"{tail.position.place}: {tail.skipped}")
                self._close(tail)
            elif ending:
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
        self._names_changed = self.wants_save = True
        self._earliest_listing = now
        self._dirty[tail] = None

    @staticmethod
    def _is_ending(tail: Tail, now: float) -> bool:
        """Tell whether a rotated file has been quiet for so long that nothing more will come."""
        if isinstance(tail.text, PackedText):
            return True
        return not tail.live and now - max(tail.retired_at, tail.grown_at) >= _DRAIN_SECONDS

    def _open(self, tail: Tail) -> bool:
        """Open a tail's file; tell whether that worked."""
        position = tail.position
        try:
            fd = open_regular(position.place)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and self._opened:
                self._max_open = max(len(self._opened) - 8, 1)
                self._close_some()
            elif error.errno == errno.ENOENT:
                self._names_changed = True
            complaint = ("unreadable", f"{position.place}: {error.strerror or error}")
            if error.errno != errno.ENOENT and complaint not in self._complaints:
                self._complaints.add(complaint)
                self._report(*complaint)
            return False
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != position.identity:
            os.close(fd)
            self._names_changed = True
            return False
        if packed(position.place):
            tail.text = PackedText(fd, self._trouble, position.place)
        else:
            tail.text = PlainText(fd)
        self._opened[tail] = None
        try:
            tail.verify()
        except ReplacedError:
            self._replaced(tail, self._clock())
            return False
        except OSError as error:
            self._report("unreadable", f"{position.place}: {error.strerror or error}")
            self._close(tail)
            return False
        self._close_some()
        return True

    def _close(self, tail: Tail) -> None:
        tail.close()
        self._opened.pop(tail, None)

    def _close_some(self) -> None:
        """Close the files used least recently if too many are open; those with news stay open."""
        excess = len(self._opened) - self._max_open
        for tail in list(self._opened) if excess > 0 else ():
            if tail not in self._dirty and tail.live:
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
