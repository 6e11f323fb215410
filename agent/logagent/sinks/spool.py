"""Alerts that wait on disk for a sink that is down: a bounded queue, first in, first out.

A folder of segments. Each begins with a magic and a random token, then come `frames`. A file
`position` says how far the first segment is done; it names its token, so that it can never be taken
for that of another segment.

Guarantees: after `sync` what was appended survives a power cut; killed at any moment, the spool
gives every whole frame again, in order, those since the last `sync` of the position a second time;
what is popped stays on disk until `acknowledge`, so the sink can sync first; when it is full the
oldest segment is dropped and counted; nothing is written while it is empty, and then there is no
file. Files that are not ours are left alone. One process per folder.
Memory: one frame, and a few numbers per segment.

Limits: a frame that is damaged in the middle of a segment costs the rest of that segment: it is
counted in `damaged`, and the next segment is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgpack

from logagent import files
from logagent.sinks import Alert
from logagent.sinks.disk import TornError, append_whole, reason, sync_folder
from logagent.sinks.frames import (
    FRAME_BYTES,
    HEAD_BYTES,
    alert_in,
    frame_of,
    is_torn,
    payload_length,
    whole,
)

__all__ = ["Spool", "SpoolError"]

_MAGIC = b"LAS1"
_TOKEN_BYTES = 8
_START = len(_MAGIC) + _TOKEN_BYTES  # offset of the first frame

_SEGMENT_BYTES = 256 * 1024
"""[bytes] A segment that has grown to this is followed by a new one: some 500 alerts, which is what
is dropped at once when the spool is full."""

_LARGEST_SEGMENT_BYTES = _SEGMENT_BYTES + HEAD_BYTES + FRAME_BYTES

_POSITION = "position"
_POSITION_BYTES = 256  # it has some 40
_SEGMENT_NAME = re.compile(r"(\d{16})\.frames")
_LEFT_OVER = re.compile(rf"\.{_POSITION}\..*\.tmp")  # of files.replace, killed half-way
_LOST = (errno.ENOENT, errno.EIO, errno.ESTALE, errno.EISDIR)  # asking again brings nothing back


class SpoolError(Exception):
    """The spool cannot be written or read now (disk full, read-only); nothing was taken."""


@dataclass(slots=True)
class _Segment:
    number: int
    token: bytes
    end: int  # of the last whole frame [bytes]
    size: int  # of the file [bytes]
    frames: int
    closed: bool  # nothing may be appended


class Spool:
    """The queue in `folder`, which is made when the first alert comes."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int = 16 * 1024 * 1024,
        *,
        segment_bytes: int = _SEGMENT_BYTES,
    ) -> None:
        """Find what an earlier process left.

        Args:
            folder: of this spool alone; made with mode 0700.
            max_bytes: most the segments may take.
            segment_bytes: size from which a segment is followed by a new one; smaller if it would
                be over a quarter of `max_bytes`.

        Raises:
            SpoolError: the folder exists and cannot be read.
        """
        self.dropped = 0
        """Alerts lost because the spool was full, or too long for it, since the start."""
        self.damaged = 0
        """Damaged frames and, as far as they could be counted, those behind them."""
        self._folder = Path(folder)
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, _SEGMENT_BYTES, max_bytes // 4)
        self._segments: list[_Segment] = []
        self._next = 1
        self._writer = -1
        self._dirty = self._folder_dirty = False
        self._doomed: list[Path] = []  # consumed, and could not be deleted yet
        self._reader = -1
        self._reader_number = 0
        self._peeked: Alert | None = None
        self._peeked_bytes = 0
        self._at = self._offset = self._taken = 0  # segment, offset and frame to be read next
        self._acked_offset, self._acked = _START, 0  # likewise acknowledged, in the first segment
        self._saved = False  # the position file, if it matters, is up to date
        try:
            self._load()
        except OSError as error:
            raise SpoolError(f"spool {folder}: {reason(error)}") from error
        self.rewind()
        if self._segments and not len(self):
            self.acknowledge()  # nothing in them was whole

    def __len__(self) -> int:
        """How many alerts wait."""
        return sum(segment.frames for segment in self._segments[self._at :]) - self._taken

    @property
    def size_bytes(self) -> int:
        """What the segments take on disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, alert: Alert) -> int:
        """Add an alert at the end; return how many old ones were dropped to make room.

        Raises:
            SpoolError: it cannot be written; it was not taken.
        """
        frame = frame_of(alert)
        before = self.dropped
        if len(frame) > min(FRAME_BYTES, self._max_bytes - _START):
            self.dropped += 1  # never will it fit, and the agent must not wait for that
            return 1
        try:
            while self._segments and self.size_bytes + _START + len(frame) > self._max_bytes:
                self._drop_oldest()
            self._write(frame)
        except OSError as error:
            raise SpoolError(f"spool {self._folder}: {reason(error)}") from error
        return self.dropped - before

    def peek(self) -> Alert | None:
        """Return the oldest alert, or None.

        Raises:
            SpoolError: it cannot be read now.
        """
        while self._peeked is None and self._at < len(self._segments):
            segment = self._segments[self._at]
            if self._taken < segment.frames:
                self._read(segment)
            elif self._at + 1 < len(self._segments):
                self._at += 1
                self._offset, self._taken = _START, 0
            else:
                break
        return self._peeked

    def pop(self) -> None:
        """Move past the alert that `peek` returned; on disk it stays until `acknowledge`."""
        if self._peeked is None:
            raise IndexError("pop without an alert that was peeked at")
        self._offset += self._peeked_bytes
        self._taken += 1
        self._peeked = None

    def acknowledge(self) -> None:
        """Forget what was popped: the sink has it for good. Deletes what is wholly consumed."""
        done = self._at
        if self._segments and not len(self):
            done = len(self._segments)
        for segment in self._segments[:done]:
            self._delete(self._path(segment))
        del self._segments[:done]
        if done:
            self._close_reader()
        if not self._segments:
            self._close_writer()
            self._delete(self._folder / _POSITION)
        if done > self._at:
            self._offset, self._taken = _START, 0
        self._at = 0
        if (self._acked_offset, self._acked) != (self._offset, self._taken) or done:
            self._acked_offset, self._acked = self._offset, self._taken
            self._saved = False

    def rewind(self) -> None:
        """Go back to what was last acknowledged: the sink has lost what it was given since."""
        self._at, self._offset, self._taken = 0, self._acked_offset, self._acked
        self._peeked = None

    def sync(self) -> None:
        """Make durable what was appended, and note how far it is acknowledged.

        Raises:
            SpoolError: the disk failed.
        """
        try:
            doomed, self._doomed = self._doomed, []
            for path in doomed:
                self._delete(path)
            if self._dirty:
                os.fsync(self._writer)
                self._dirty = False
            if self._folder_dirty:
                with contextlib.suppress(FileNotFoundError):  # deleted: shows in `damaged`
                    sync_folder(str(self._folder))
                self._folder_dirty = False
        except OSError as error:
            raise SpoolError(f"spool {self._folder}: {reason(error)}") from error
        if not self._saved:
            # Without it alerts come twice after a restart, which is no reason to stop.
            with contextlib.suppress(OSError):
                self._save_position()
                self._saved = True

    def close(self) -> None:
        """Close the files; `sync` comes before."""
        self._close_writer()
        self._close_reader()

    # Writing.

    def _write(self, frame: bytes) -> None:
        last = self._segments[-1] if self._segments else None
        if last is not None and not last.closed and last.size > last.end:
            self._cut(last)
        if last is None or last.closed or last.size >= self._segment_bytes:
            self._begin_segment(frame)
            return
        if self._writer < 0:
            try:
                self._writer = os.open(self._path(last), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:  # somebody deleted it
                last.closed = True
                self._begin_segment(frame)
                return
        try:
            append_whole(self._writer, frame)
        except TornError:
            last.closed = True
            raise
        self._dirty = True
        last.end += len(frame)
        last.size = last.end
        last.frames += 1

    def _cut(self, last: _Segment) -> None:
        """Cut off what was torn when an earlier process was killed."""
        try:
            os.truncate(self._path(last), last.end)
            last.size = last.end
        except FileNotFoundError:
            last.closed = True

    def _begin_segment(self, frame: bytes) -> None:
        """Make a segment with one frame in it, or none at all."""
        if self._dirty:
            os.fsync(self._writer)
        self._close_writer()
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(str(self._folder.parent))
        token = os.urandom(_TOKEN_BYTES)
        segment = _Segment(self._next, token, _START + len(frame), _START + len(frame), 1, False)
        path = self._path(segment)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._next += 1  # first: should that name be taken, the next try has another
        writer = os.open(path, flags, 0o600)
        try:
            append_whole(writer, _MAGIC + token + frame)
        except OSError:
            os.close(writer)
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        self._writer = writer
        self._segments.append(segment)
        self._dirty = self._folder_dirty = True

    def _drop_oldest(self) -> None:
        """Delete the first segment and count what was still wanted of it."""
        oldest = self._segments[0]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(oldest))
        if len(self._segments) == 1:
            self._close_writer()
        self._close_reader()
        self.dropped += oldest.frames - (oldest.frames if self._at else self._taken)
        del self._segments[0]
        if self._at:
            self._at -= 1
        else:
            self._offset, self._taken, self._peeked = _START, 0, None
        self._acked_offset, self._acked = _START, 0
        self._saved = False

    def _delete(self, path: Path) -> None:
        """Delete a file now, or else with the next `sync`: until then it may be given again."""
        try:
            path.unlink(missing_ok=True)
        except OSError:
            self._doomed.append(path)

    def _close_writer(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
        self._writer = -1
        self._dirty = False

    def _save_position(self) -> None:
        if self._segments and self._acked:
            data = msgpack.packb([self._segments[0].token, self._acked_offset, self._acked])
            files.replace(self._folder / _POSITION, data, mode=0o600)

    # Reading.

    def _read(self, segment: _Segment) -> None:
        """Peek at the next frame of `segment`; if it is damaged, skip the rest of it."""
        try:
            if self._reader_number != segment.number:
                self._close_reader()
                self._reader = os.open(self._path(segment), os.O_RDONLY | os.O_CLOEXEC)
                self._reader_number = segment.number
            head = os.pread(self._reader, HEAD_BYTES, self._offset)
            length = payload_length(head)
            payload = os.pread(self._reader, length, self._offset + HEAD_BYTES)
            alert = alert_in(head + payload)
        except OSError as error:
            if error.errno not in _LOST:
                raise SpoolError(f"spool {self._folder}: {reason(error)}") from error
            alert = None
        if alert is None:
            self.damaged += segment.frames - self._taken
            segment.frames = self._taken
            segment.closed = True
        else:
            self._peeked, self._peeked_bytes = alert, HEAD_BYTES + length

    def _close_reader(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
        self._reader, self._reader_number = -1, 0

    def _load(self) -> None:
        """Look at what is in the folder. Nothing is written, but left-overs are deleted."""
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return
        for name in names:
            if _LEFT_OVER.fullmatch(name):
                self._delete(self._folder / name)
            elif found := _SEGMENT_NAME.fullmatch(name):
                self._next = int(found[1]) + 1
                self._load_segment(int(found[1]))
        if not self._segments:
            if _POSITION in names:
                self._delete(self._folder / _POSITION)
            return
        for segment in self._segments[:-1]:
            # What follows was begun after this one was synced: it was not torn, but damaged since.
            self.damaged += not segment.closed and segment.end < segment.size
            segment.closed = True
        self._load_position()

    def _load_segment(self, number: int) -> None:
        """Count the whole frames of a segment, up to the first that is not."""
        segment = _Segment(number, b"", _START, 0, 0, False)
        try:
            data = _contents(self._path(segment), _LARGEST_SEGMENT_BYTES)
        except OSError:  # not readable, or no file at all: left alone
            self.damaged += 1
            return
        segment.token = data[len(_MAGIC) : _START]
        segment.size = len(data)
        if len(data) < _START or not data.startswith(_MAGIC):
            torn = len(data) < _START
            self.damaged += 0 if torn else 1
            self._delete(self._path(segment))
            return
        while segment.end < len(data):
            length = whole(data, segment.end)
            if not length:
                torn = is_torn(data, segment.end)
                self.damaged += 0 if torn else 1
                segment.closed = not torn
                break
            segment.end += length
            segment.frames += 1
        self._segments.append(segment)

    def _load_position(self) -> None:
        """Find how far the first segment is done; without a clear answer, all is given again."""
        try:
            data = _contents(self._folder / _POSITION, _POSITION_BYTES)
            token, offset, taken = msgpack.unpackb(data)
        except (OSError, ValueError, TypeError):
            return
        first = self._segments[0]
        if token != first.token or not isinstance(taken, int) or not 0 < taken <= first.frames:
            return
        data = _contents(self._path(first), first.end)
        end = _START
        for _ in range(taken):
            end += whole(data, end)
        if offset == end:
            self._acked_offset, self._acked = offset, taken
            self._saved = True

    def _path(self, segment: _Segment) -> Path:
        return self._folder / f"{segment.number:016d}.frames"


def _contents(path: Path, limit: int) -> bytes:
    """Return at most `limit` bytes of a file."""
    with open(path, "rb", buffering=0) as file:
        data = bytearray()
        while len(data) < limit and (piece := file.read(limit - len(data))):
            data += piece
        return bytes(data)
