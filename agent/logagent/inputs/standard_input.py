"""Standard input: lines piped into the agent.

Guarantees: reads only when the kernel says that a read does not wait, so the descriptor is left
in the mode it came in: O_NONBLOCK belongs to the open file, which a shell or another program may
share. At most `READS_PER_POLL` reads a poll, none while a batch waits to be accepted: the writer
of the pipe is held up instead. A last line without a newline is delivered at the end of input,
not before: half a line is no line.

There is no reading a pipe again, so there is no state, and each start has ids of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
from collections.abc import Iterator, Mapping
from typing import Any

from logagent.inputs import Batch, Report
from logagent.inputs.stream import Stream

__all__ = ["READS_PER_POLL", "READ_BYTES", "StandardInput"]

READ_BYTES = 64 * 1024
"""[bytes] One read: the capacity of a pipe, and one block."""

READS_PER_POLL = 16
"""A megabyte: under a second of judging on a slow board, then the other inputs have a turn."""


class StandardInput:
    """Lines of a pipe, a terminal or a redirected file, as source ``-``. See `Input`."""

    name = "stdin"
    wants_save = False

    def __init__(self, report: Report, fd: int = 0) -> None:
        """Read `fd`; it is never closed here."""
        self._fd = fd
        self._report = report
        self._stream = Stream("-", os.urandom(8), report)
        self._readable = select.poll()
        self._readable.register(fd, select.POLLIN)
        self._wakes = _wakes(fd)
        self._closed = False
        self._more = False

    def poll(self, now: float) -> Iterator[Batch]:  # noqa: ARG002 - the clock of `Input`
        """Yield what can be read without waiting."""
        self._more = False
        yield from self._stream.offered()
        for _ in range(READS_PER_POLL):
            if self._stream.waiting or self._closed:
                return
            data = self._read()
            if data is None:
                return
            if data:
                self._stream.feed(data)
            else:
                self._closed = True
                self._stream.end()
            yield from self._stream.offered()
        self._more = True

    def accepted(self, batch: Batch) -> None:
        """Let go of `batch`."""
        self._stream.accepted(batch)

    def descriptors(self) -> list[int]:
        """Return the descriptor while it is read; none while a batch waits or input is a file."""
        return [] if self._closed or self._stream.waiting or not self._wakes else [self._fd]

    def deadline(self, now: float) -> float:
        """Return `now` if a batch waits, or more can be read at once; else never."""
        ready = self._stream.waiting or self._more or not self._wakes
        return now if ready and not self.ended() else math.inf

    def ended(self) -> bool:
        """Tell whether the end was read and everything before it accepted."""
        return self._closed and not self._stream.waiting

    def state(self) -> Mapping[str, Any]:
        """Return nothing: a pipe cannot be read again."""
        return {}

    def status(self) -> list[dict[str, Any]]:
        """Return the counters, and whether the end was read."""
        return [self._stream.status() | {"ended": self._closed}]

    def close(self) -> None:
        """Read no more; the descriptor belongs to whoever opened it."""
        self._closed = True

    def _read(self) -> bytes | None:
        """Return what is there, b"" at the end or at trouble, None if a read would wait."""
        ready = self._readable.poll(0)
        if not ready:
            return None
        try:
            if ready[0][1] & select.POLLNVAL:
                raise OSError("it was closed")
            return os.read(self._fd, READ_BYTES)
        except BlockingIOError:  # someone who shares it was quicker
            return None
        except OSError as error:  # EIO: the terminal is gone; EISDIR
            self._report("unreadable", f"standard input: {error.strerror or error}")
            return b""


def _wakes(fd: int) -> bool:
    """Tell whether a descriptor can be waited for: regular files and /dev/null never wait."""
    with contextlib.closing(select.epoll()) as probe:
        try:
            probe.register(fd, select.EPOLLIN)
        except OSError:  # EPERM: always readable; EBADF: found out by the first read
            return False
    return True
