"""Alerts appended to a file, one JSON record per line, rotated by size.

Guarantees: nothing torn stays in the file, neither after a full disk nor after a power cut, and
what did not fit whole does not count as taken; after `sync` the records and the file's name
survive a power cut; rotation loses nothing: if it fails, we append to the same file, say so once
and try again later; a file that somebody renamed or deleted is made anew.

Limits: a rename is noticed within a second, what was written until then is in the renamed file. A
write and above all `sync` take as long as the disk takes. After a failed `sync` Linux forgets the
lost pages, so that a later `sync` that works does not bring them back. One process per file.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable

from logagent.sinks import Alert, SinkError
from logagent.sinks.disk import append_whole, reason, sync_folder

__all__ = ["JsonlSink"]

_MODE = 0o640
"""Log text may hold secrets: the group may read it (as /var/log does with adm), others may not."""

_LOOK_SECONDS = 1.0
"""[s] How often the path is compared with the open file: logrotate's `create` without a signal."""

_ROTATE_AGAIN_SECONDS = 60.0
"""[s] Pause after a rotation that failed: a folder that is not ours stays so for a while."""

_STEP_BYTES = 64 * 1024
_TORN_BYTES = 1024 * 1024
"""[bytes] How far back the newline before a torn record is looked for, in steps: records are far
smaller. Beyond that it is no record of ours, is left alone, and gets the newline it lacks."""


class JsonlSink:
    """A growing file of records and up to `keep` older ones: path.1 is the youngest of them."""

    def __init__(
        self,
        path: str,
        max_bytes: int = 10 * 1024 * 1024,
        keep: int = 5,
        *,
        name: str = "file",
        report: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing yet.

        Args:
            path: of the file; its folder must exist.
            max_bytes: the file is rotated before it grows over this; 0 means never.
            keep: older files kept, at least 1.
            name: of the sink.
            report: is told, once each time, of torn records and of rotation that does not work.
            clock: monotonic [s].
        """
        if max_bytes < 0 or keep < 1:
            raise ValueError("max_bytes must be at least 0 and keep at least 1")
        self.name = name
        self.torn = 0
        """Torn last records that were cut off."""
        self.rotations_failed = 0
        """Rotations that did not work; each is tried again after a minute."""
        self._path = os.path.abspath(path)
        self._max_bytes = max_bytes
        self._keep = keep
        self._report = report
        self._clock = clock
        self._fd = -1
        self._inode = (0, 0)
        self._looked = 0.0
        self._rotate_after = 0.0
        self._rotation_works = True
        self._dirty = False
        self._name_dirty = False
        self._sync_failed = ""

    def write(self, alert: Alert) -> None:
        """Append one record.

        Raises:
            SinkError: no such folder, not a regular file, no permission, disk full.
        """
        line = alert.record + b"\n"
        try:
            self._follow(always=False)
            if self._fd < 0:
                self._open()
            if self._max_bytes:
                size = os.fstat(self._fd).st_size
                if size and size + len(line) > self._max_bytes:
                    self._rotate()
            append_whole(self._fd, line)
        except OSError as error:
            self._let_go()  # opened again, its end is looked at and repaired
            raise SinkError(f"{self._path}: {reason(error)}") from error
        self._dirty = True

    def sync(self) -> None:
        """Make durable what was written; costs nothing if nothing was.

        Raises:
            SinkError: the disk failed, now or when the file was changed for another.
        """
        self._follow(always=True)
        try:
            if self._dirty:
                os.fdatasync(self._fd)
                self._dirty = False
            if self._name_dirty:
                sync_folder(os.path.dirname(self._path))
                self._name_dirty = False
        except OSError as error:
            raise SinkError(f"{self._path}: cannot be synced: {reason(error)}") from error
        if self._sync_failed:
            failed, self._sync_failed = self._sync_failed, ""
            raise SinkError(f"{self._path}: cannot be synced: {failed}")

    def close(self) -> None:
        """Sync, as far as that works, and close."""
        self._let_go()

    def _open(self) -> None:
        """Open or create the file and repair its end."""
        folder = os.path.dirname(self._path)
        existed = os.path.lexists(self._path)
        # O_NONBLOCK: a fifo without a reader must not hold us up; files do not know it.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            self._fd = os.open(self._path, flags, _MODE)
        except FileNotFoundError as error:
            raise SinkError(f"{self._path}: the folder {folder} does not exist") from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            self._fd = -1
            raise SinkError(f"{self._path}: not a regular file")
        self._inode = (status.st_dev, status.st_ino)
        self._looked = self._clock()
        self._name_dirty |= not existed
        self._repair(status.st_size)

    def _repair(self, size: int) -> None:
        """Cut off a record without a newline at the end of `size` bytes, of which one may be."""
        if not size or os.pread(self._fd, 1, size - 1) == b"\n":
            return
        start = size  # of what was looked at so far
        while start and size - start < _TORN_BYTES:
            step = min(_STEP_BYTES, start)
            start -= step
            newline = os.pread(self._fd, step, start).rfind(b"\n")
            if newline >= 0:
                start += newline + 1
                break
        else:
            if start:
                append_whole(self._fd, b"\n")
                return
        # A record begins with a brace; zeros are what a power cut leaves of one.
        if os.pread(self._fd, 1, start) not in (b"{", b"\0"):
            append_whole(self._fd, b"\n")
            return
        os.ftruncate(self._fd, start)
        self._dirty = True
        self.torn += 1
        self._tell("torn", f"{self._path}: cut off a torn record of {size - start} bytes")

    def _follow(self, *, always: bool) -> None:
        """Let go of a file that is no longer the one at our path."""
        if self._fd < 0:
            return
        now = self._clock()
        if os.fstat(self._fd).st_nlink and not always and now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            status = os.stat(self._path)
            same = (status.st_dev, status.st_ino) == self._inode
        except OSError:
            same = False
        if not same:
            self._let_go()

    def _rotate(self) -> None:
        """Begin a new file, unless that does not work."""
        now = self._clock()
        if now < self._rotate_after:
            return
        try:
            os.fdatasync(self._fd)
            self._dirty = False
            self._shift()
            self._name_dirty = True
            sync_folder(os.path.dirname(self._path))
        except OSError as error:
            self.rotations_failed += 1
            self._rotate_after = now + _ROTATE_AGAIN_SECONDS
            if self._rotation_works:
                self._tell(
                    "rotation", f"{self._path}: cannot be rotated and grows: {reason(error)}"
                )
            self._rotation_works = False
        else:
            self._rotation_works = True
        if not self._is_open_at_path():
            self._let_go()
            self._open()

    def _shift(self) -> None:
        """Rename path to path.1 and what is in its way up to the first gap.

        So a try that fails half-way and is repeated pushes out no more than one file.
        """
        last = 1
        while last < self._keep and os.path.lexists(f"{self._path}.{last}"):
            last += 1
        for number in range(last, 1, -1):
            os.rename(f"{self._path}.{number - 1}", f"{self._path}.{number}")
        os.rename(self._path, f"{self._path}.1")

    def _is_open_at_path(self) -> bool:
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    def _let_go(self) -> None:
        """Close the file; what was not durable and cannot be made so fails the next `sync`."""
        if self._fd < 0:
            return
        try:
            if self._dirty:
                os.fdatasync(self._fd)
        except OSError as error:
            self._sync_failed = reason(error)
        self._dirty = False
        with contextlib.suppress(OSError):  # Linux has closed it even so
            os.close(self._fd)
        self._fd = -1

    def _tell(self, kind: str, message: str) -> None:
        if self._report is not None:
            self._report(kind, message)
