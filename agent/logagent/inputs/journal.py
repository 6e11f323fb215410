r"""The systemd journal, as ``journalctl`` tells it.

journalctl runs beside the agent and is started again when it dies; that is one process more, but
no binding to libsystemd, whose file format is private. Entries become lines as
`logagent.inputs.journal_entries` says.

**Ids.** The lines of the journal are taken for one endless text, as a file is: a line has the
offset of its first byte in it. The cursor of the last accepted entry is saved together with the
offset and line number behind it, so the entry after it has the same offset, and its lines the same
ids, however often and wherever the agent is stopped. The fingerprint is made of the first entry
ever read and saved with them; without saved state and with `from_start` that is again the oldest
entry, and ids are equal again. Only after a `journal-gap` may a line come again with another id.

**Where it goes on.** journalctl is asked for the entry at the cursor itself, not for the one after
it: if the first entry that comes is another, the journal no longer has the saved one, and what came
between may be lost (`journal-gap`). A cursor that journalctl refuses is given up for the oldest
entry: rather twice than never. Without a cursor, only what comes from the first start on is read
(or everything, by `from_start`); that moment is saved too, so that nothing is lost if the agent is
stopped before the first entry.

Guarantees: `poll` never waits; nothing is read while a batch waits; one line of JSON is held up to
`MAX_ENTRY_BYTES`. Entries of the agent itself are left out, else each alert would make another.

Left to others: `close` ends journalctl; if the agent is killed, journalctl ends at the next entry
it writes (SIGPIPE).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from logagent.blocks import BlockCutter
from logagent.inputs import Batch, Report
from logagent.inputs.journal_entries import CURSOR_BYTES, Entry, EntryReader
from logagent.inputs.journalctl import Journalctl
from logagent.inputs.stream import Stream

__all__ = ["IDENTIFIER", "MAX_ENTRY_BYTES", "Journal"]

IDENTIFIER = b"logagent"
"""The name under which the agent's own messages are in the journal."""

MAX_ENTRY_BYTES = 512 * 1024
"""[bytes] Longest line of JSON kept whole: a message of 48 KiB, journald's limit for a line of
standard output, has at most 300 KiB, each byte written as six. Of a longer one what came until
then is read."""

READS_PER_POLL = 16
"""Reads of 64 KiB: about 3,000 entries, then the other inputs have a turn."""


@dataclass(frozen=True, slots=True)
class _Position:
    """Behind an entry: its cursor, and where the next line stands in the text of the journal."""

    cursor: str = ""
    offset: int = 0
    line: int = 1


class Journal:
    """Entries of the journal as source ``journal``. See `Input`."""

    name = "journal"
    wants_save = False

    def __init__(
        self,
        report: Report,
        saved: Mapping[str, Any] | None,
        *,
        units: Sequence[str] = (),
        from_start: bool = False,
        command: str = "journalctl",
        own_pids: Container[int] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start nothing yet; the first `poll` does.

        Args:
            report: see `Report`.
            saved: what `state` returned before; None at the first start.
            units: read only entries of these units; all if empty.
            from_start: at the first start, begin with the oldest entry.
            command: journalctl, found in PATH, or the path to it.
            own_pids: processes of the agent, this one included without saying so.
            clock: wall time [s since 1970].
        """
        self._report = report
        self._own_pids = own_pids
        self._clock = clock
        self._fresh = not saved and not from_start  # what is there already is not asked for
        self._since = clock() if self._fresh else 0.0
        self._accepted = _Position()
        fingerprint = self._restore(saved) if saved else b""
        self._read = self._accepted  # behind the last entry read; equal while no batch waits
        self._at = self._read.offset, self._read.line  # the same, whether or not it had a cursor
        self._stream = Stream(
            "journal",
            fingerprint,
            report,
            first_line=self._accepted.line,
            offset=self._accepted.offset,
        )
        self._reader = EntryReader()
        self._journalctl = Journalctl(report, command, units, self._refused)
        self._cutter = BlockCutter(max_line_bytes=MAX_ENTRY_BYTES)
        self._expected = ""  # cursor of the entry that should come first, until one comes
        self._more = False
        self._lag_seconds = 0.0
        self._counts = dict.fromkeys(
            ("entries", "own_entries", "empty_entries", "bad_entries", "cut_entries", "gaps"), 0
        )

    def _restore(self, saved: Mapping[str, Any]) -> bytes:
        """Take over saved state, all of it or nothing; return the fingerprint."""
        cursor, since = saved.get("cursor"), saved.get("since")
        offset, line = saved.get("offset"), saved.get("line")
        fingerprint = saved.get("fingerprint")
        if (
            isinstance(cursor, str)
            and cursor.isprintable()
            and len(cursor) <= CURSOR_BYTES
            and isinstance(since, int | float)
            and 0 <= since < math.inf
            and isinstance(offset, int)
            and isinstance(line, int)
            and offset >= 0
            and line >= 1
            and isinstance(fingerprint, bytes)
            and len(fingerprint) <= 16
        ):
            self._accepted, self._since = _Position(cursor, offset, line), float(since)
            return fingerprint
        what = "the saved position is damaged; reading goes on from the oldest entry"
        self._report("journal-gap", f"journal: {what}")
        return b""

    def poll(self, now: float) -> Iterator[Batch]:
        """Yield what journalctl has told; start it if it is due."""
        self._more = False
        yield from self._stream.offered()
        if self._stream.waiting or not self._journalctl.ready(now, self._where):
            return
        for _ in range(READS_PER_POLL):
            data = self._journalctl.read(now)
            if not data:
                return
            self._take(self._lines(data))
            yield from self._stream.offered()
            if self._stream.waiting:
                return
        self._more = True

    def accepted(self, batch: Batch) -> None:
        """Move the cursor behind `batch`."""
        self._stream.accepted(batch)
        if batch.mark is not None:
            self._accepted = batch.mark
        self._settle()

    def descriptors(self) -> list[int]:
        """Return output and errors of journalctl; none while a batch waits."""
        return [] if self._stream.waiting else self._journalctl.descriptors()

    def deadline(self, now: float) -> float:
        """Return `now` if a batch waits or more can be read, else when journalctl is started."""
        return now if self._stream.waiting or self._more else self._journalctl.deadline(now)

    def ended(self) -> bool:
        """Return False: the journal goes on."""
        return False

    def state(self) -> Mapping[str, Any]:
        """Return where to go on: cursor, offset and line behind it, first start, fingerprint."""
        return {
            "cursor": self._accepted.cursor,
            "offset": self._accepted.offset,
            "line": self._accepted.line,
            "since": self._since,
            "fingerprint": self._stream.fingerprint,
        }

    def status(self) -> list[dict[str, Any]]:
        """Return the counters; `lag_seconds` is how old the last entry was when it was read."""
        more = {
            "lag_seconds": round(self._lag_seconds, 3),
            "restarts": self._journalctl.restarts,
            "running": self._journalctl.running,
        }
        return [self._stream.status() | self._counts | more]

    def close(self) -> None:
        """End journalctl, in a second at the longest."""
        self._journalctl.close()

    def _where(self) -> Sequence[str]:
        """Return the options of a journalctl that is about to start; it begins anew."""
        self._cutter = BlockCutter(max_line_bytes=MAX_ENTRY_BYTES)
        cursor = self._expected = self._read.cursor
        fresh, self._fresh = self._fresh, False  # from now on nothing may be passed over
        if cursor:
            return f"--cursor={cursor}", "--no-tail"
        if fresh:
            return ("--lines=0",)
        return (f"--since=@{self._since:.6f}", "--no-tail") if self._since else ("--no-tail",)

    def _refused(self) -> bool:
        """Give up a cursor that journalctl does not take; tell whether there was one."""
        if not self._read.cursor:
            return False
        self._gap("does not know the saved position; reading goes on from the oldest entry")
        self._read = self._accepted = _Position("", *self._at)
        self._since = 0.0
        return True

    def _gap(self, what: str) -> None:
        self._counts["gaps"] += 1
        self._report("journal-gap", f"journal: journalctl {what}")

    def _lines(self, data: bytes) -> list[bytes]:
        cut = self._cutter.cut_lines
        lines: list[bytes] = []
        for block in self._cutter.feed(data):
            lines += block.lines()
        if self._cutter.cut_lines > cut:
            count = self._cutter.cut_lines - cut
            self._counts["cut_entries"] += count
            what = f"{count} entries longer than {MAX_ENTRY_BYTES} bytes of JSON were cut"
            self._report("long-entries", f"journal: {what}")
        return lines

    def _take(self, lines: list[bytes]) -> None:
        """Make batches of lines of JSON."""
        texts: list[bytes] = []
        cursor, seconds = "", 0.0
        bad = 0
        for line in lines:
            entry = self._reader.entry(line)
            if entry is None:
                bad += 1
                continue
            if not self._is_new(entry):
                continue
            seconds = entry.seconds or seconds
            if entry.text is None:
                self._counts["empty_entries"] += 1
                cursor = entry.cursor
            elif not entry.cursor or self._is_own(entry):
                self._put(texts, cursor)
                texts, cursor = [], ""
                self._put_apart(entry, entry.text + b"\n")
            else:
                texts.append(entry.text)
                cursor = entry.cursor
        self._put(texts, cursor)
        self._settle()
        if bad:
            self._counts["bad_entries"] += bad
            self._report("journal-garbage", f"journal: {bad} lines of journalctl are no entries")
        if seconds:
            self._lag_seconds = max(0.0, self._clock() - seconds)

    def _is_new(self, entry: Entry) -> bool:
        """Tell an entry from the saved one, which is asked for to see that it is still there."""
        expected, self._expected = self._expected, ""
        if expected and entry.cursor == expected:
            return False
        if expected:
            self._gap("no longer has the entry at the saved position; entries may be lost")
        self._journalctl.fruitful = True
        self._counts["entries"] += 1
        if not self._stream.fingerprint:
            where = entry.cursor.encode()
            self._stream.fingerprint = blake2b(where, digest_size=8).digest()
        return True

    def _is_own(self, entry: Entry) -> bool:
        return entry.identifier == IDENTIFIER and (
            entry.pid in self._own_pids or entry.pid == os.getpid()
        )

    def _put(self, texts: list[bytes], cursor: str) -> None:
        """Feed whole entries; the last batch of them moves the cursor."""
        data = b"\n".join([*texts, b""])
        self._move(data, cursor)
        if data:
            self._stream.feed(data, self._read)

    def _put_apart(self, entry: Entry, data: bytes) -> None:
        """Move past an entry of our own, or feed one whose cursor was cut off.

        Our own counts in the offsets all the same: after a restart the process has another number,
        and the ids of what follows must not change. One without a cursor does not move the saved
        position: until an entry with one is accepted, it comes again after a restart.
        """
        if entry.cursor:
            self._counts["own_entries"] += 1
            self._stream.skip(data)
        else:
            self._stream.feed(data)
        self._move(data, entry.cursor)

    def _move(self, data: bytes, cursor: str) -> None:
        """Go on behind `data`; a cursor makes that a place where reading can begin."""
        offset, line = self._at
        self._at = offset + len(data), line + data.count(b"\n")
        if cursor:
            self._read = _Position(cursor, *self._at)

    def _settle(self) -> None:
        """Move past entries that made no batch, once all before them is accepted."""
        if not self._stream.waiting:
            self._accepted = self._read
