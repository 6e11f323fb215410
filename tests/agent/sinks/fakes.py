"""What several tests of the sinks share: alerts, a sink that does as it is told, a clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from logagent.sinks import Alert, SinkError


def alert(number: int, size: int = 0) -> Alert:
    """Return an alert of its own, its record padded by `size` bytes."""
    record = b'{"id":"%016x","pad":"%b"}' % (number, b"x" * size)
    return Alert(f"{number:016x}", record, f"disk {number} failed", 3)


class Clock:
    """Monotonic, and stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeSink:
    """Takes alerts into `taken` unless told that it is down."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.down = False
        self.sync_fails = False
        self.takes = 10**9  # alerts before it goes down by itself
        self.taken: list[Alert] = []
        self.tries = 0
        self.on_sync: Callable[[], None] = lambda: None
        self.closed = False

    def write(self, alert: Alert) -> None:
        self.tries += 1
        if self.down or not self.takes:
            raise SinkError(f"{self.name}: told to be down")
        self.takes -= 1
        self.taken.append(alert)

    def sync(self) -> None:
        self.on_sync()
        if self.sync_fails:
            raise SinkError(f"{self.name}: told to fail")

    def close(self) -> None:
        self.closed = True


class FullDisk:
    """Lets `os.write` to files under `folder` write `room` bytes in all, then says ENOSPC.

    Other descriptors are written as ever. Works for any user, unlike a small file system.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, room: int) -> None:
        import errno
        import os

        self.room = room
        write = os.write

        def limited(descriptor: int, data: bytes) -> int:
            if not os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder)):
                return write(descriptor, data)
            if not self.room and data:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = write(descriptor, bytes(data)[: self.room])
            self.room -= written
            return written

        patch.setattr(os, "write", limited)
