"""Bytes of a log at an offset, from a plain file or from a compressed one.

Guarantees: `read_at` never blocks on a regular file and holds one block; a compressed file is
expanded as a stream, forward only (asked for an earlier place it begins again). `OSError` is what
either raises for trouble with the file itself.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from typing import Final, Protocol

from logagent.paths import SourceProblem

__all__ = [
    "UNSEEN",
    "PackedText",
    "PlainText",
    "Stamp",
    "Text",
    "inode_version",
    "open_regular",
    "stamp",
]

_FS_IOC_GETVERSION: Final = 0x80087601  # linux/fs.h: _IOR('v', 1, long)
_STEP_BYTES = 256 * 1024  # [bytes] expanded at a time while skipping forward


Stamp = tuple[int, int, int]
"""Size [bytes], time of the last write and of the last change [ns]: another one, another look. The
last of the three is the kernel's own; the other two can be set."""

UNSEEN: Final[Stamp] = (-1, -1, -1)
"""Of a file that was not looked at."""


def stamp(status: os.stat_result) -> Stamp:
    """Return what tells that a file has changed."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Text(Protocol):
    """A log's bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end only."""
        ...

    def size(self) -> int | None:
        """Return how many bytes there are now; None if only reading tells."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class PlainText:
    """A file as it is."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return os.pread(self.fd, size, offset)

    def size(self) -> int:
        """Return the file's size [bytes]."""
        return os.fstat(self.fd).st_size

    def next_data(self, offset: int) -> int:
        """Return where data follows at or after `offset`: behind a hole, if there is one."""
        try:
            return os.lseek(self.fd, offset, os.SEEK_DATA)
        except OSError as error:
            # ENXIO: a hole up to the end. EINVAL and others: the file system knows no holes.
            return self.size() if error.errno == errno.ENXIO else offset

    def close(self) -> None:
        """Close the file; may be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class PackedText:
    """A compressed file, expanded as it is read.

    Memory: what the codec needs, and the block that was read last.
    """

    def __init__(self, fd: int, report: Callable[[SourceProblem], None], name: str) -> None:
        self.fd = fd
        self.damaged = False
        """Whether it ended in the middle: damaged, or still being written."""
        self._tell = report
        self._name = name
        self._begin()

    def _begin(self) -> None:
        from logagent.sources import Limits, Source  # noqa: PLC0415 - its codecs cost 0.5 MiB

        os.lseek(self.fd, 0, os.SEEK_SET)
        # `Source` closes what it is given, so it gets a descriptor of its own. Whether it is text
        # shows behind the hole that it may begin with.
        limits = Limits(binary=True)
        self._source = Source(self._name, os.dup(self.fd), limits, self._report)
        self._window = b""
        self._start = 0  # offset of the window
        self._ended = False

    def _report(self, problem: SourceProblem) -> None:
        self.damaged |= problem.partial
        self._tell(problem)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset` of the expanded text."""
        if offset < self._start:
            self._source.close()
            self._begin()
        end = offset + size
        while self._start + len(self._window) < end:
            data = self._source.read(max(_STEP_BYTES, size))
            if not data:
                self._ended = True
                break
            keep = max(offset - self._start, 0)
            if keep >= len(self._window):
                self._start += len(self._window)
                self._window = data
            else:
                self._window = self._window[keep:] + data
                self._start += keep
        at = offset - self._start
        return self._window[at : at + size] if 0 <= at <= len(self._window) else b""

    def size(self) -> int | None:
        """Return how much text there is [bytes]; None before its end was read."""
        return self._start + len(self._window) if self._ended else None

    def close(self) -> None:
        """Close the file; may be called again."""
        self._source.close()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def open_regular(path: str) -> int:
    """Open a regular file for reading; never waits for one that became a pipe.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


def inode_version(fd: int) -> int:
    """Return the inode's generation number; -1 where the file system has none."""
    buffer = array.array("L", [0])
    try:
        fcntl.ioctl(fd, _FS_IOC_GETVERSION, buffer)
    except OSError:  # ENOTTY, EOPNOTSUPP: tmpfs, overlay, network file systems
        return -1
    return buffer[0] & 0x7FFFFFFF
