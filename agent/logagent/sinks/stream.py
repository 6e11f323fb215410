"""Alerts on a descriptor that somebody else opened: standard output.

Guarantees: `write` blocks for at most `wait_seconds`, whether the reader of a pipe hangs or a
terminal is stopped; no record is torn with another one behind it; an alert that went out in part
is finished when it is offered again and counts as taken once; the flags of the descriptor, which
may be shared with a shell, stay as they are.

How: a pipe or terminal is opened anew through /proc, which gives an own description that may be
non-blocking. Where that is refused (another user's pipe, no /proc) and for sockets, we poll, and
write at most 4096 bytes at once: a pipe or socket that polls writable takes that much without
blocking, unless another process fills it in between. A terminal that cannot be opened anew may
block. When standard output is a file, `sync` makes it durable; otherwise nothing can be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time

from logagent.sinks import Alert, SinkError
from logagent.sinks.disk import reason
from logagent.sinks.messages import MessageStream

__all__ = ["StreamSink"]

_PIECE_BYTES = 4096
"""[bytes] PIPE_BUF on Linux: a pipe that polls writable has room for that much."""

_WAIT_SECONDS = 0.2
"""[s] Longest a write waits for the reader: inputs are read and signals heard in between."""


class StreamSink:
    """Records, or texts for people, one per line, unbuffered. The descriptor stays open."""

    def __init__(
        self, name: str, fd: int, human: bool, *, wait_seconds: float = _WAIT_SECONDS
    ) -> None:
        self.name = name
        self._human = human
        self._wait_seconds = wait_seconds
        self._own = -1
        self._file = False
        self._dirty = False
        with contextlib.suppress(OSError):  # a closed descriptor shows when it is written to
            mode = os.fstat(fd).st_mode
            self._file = stat.S_ISREG(mode)
            if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._own = os.open(f"/proc/self/fd/{fd}", flags)
        self._fd = fd if self._own < 0 else self._own
        self._stream = MessageStream(self._fd, self._send, _PIECE_BYTES)

    def write(self, alert: Alert) -> None:
        """Write one line.

        Raises:
            SinkError: the reader does not read, or is gone.
        """
        if self._human:
            line = alert.text.encode(errors="backslashreplace") + b"\n"
        else:
            line = alert.record + b"\n"
        try:
            whole = self._stream.put(alert, line, time.monotonic() + self._wait_seconds)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise SinkError(f"{self.name}: the reader has closed its end") from error
            raise SinkError(f"{self.name}: cannot be written: {reason(error)}") from error
        if not whole:
            raise SinkError(
                f"{self.name}: the reader does not read (waited {self._wait_seconds:g} s)"
            )

    def sync(self) -> None:
        """Make a regular file durable.

        Raises:
            SinkError: the disk failed.
        """
        if not (self._file and self._dirty):
            return
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise SinkError(f"{self.name}: cannot be synced: {reason(error)}") from error
        self._dirty = False

    def close(self) -> None:
        """Finish a line that was begun, if the reader takes it now."""
        with contextlib.suppress(OSError):
            self._stream.finish(time.monotonic() + self._wait_seconds)
        if self._own >= 0:
            os.close(self._own)
            self._own = self._fd = -1

    def _send(self, piece: bytes) -> int:
        self._dirty = True
        return os.write(self._fd, piece)
