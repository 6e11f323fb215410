"""A command whose output is read while it runs, without ever waiting for it.

Started by posix_spawn: `subprocess` would cost 0.6 MiB of memory for the same. Guarantees: the
command has /dev/null as input, a process group of its own (Ctrl-C in a terminal is for the agent,
which then ends it), signals at their defaults and none of our descriptors; of what it says on
standard error the last `COMPLAINT_BYTES` are kept.

Not promised: a command outlives an agent that is killed until it next writes (SIGPIPE).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence

__all__ = ["COMPLAINT_BYTES", "READ_BYTES", "Child"]

READ_BYTES = 64 * 1024
"""[bytes] One read: the capacity of a pipe."""

COMPLAINT_BYTES = 2048
"""[bytes] Kept of standard error: a screenful; what went wrong is said last."""

_END_SECONDS = 1.0
"""[s] Longest wait for a killed command; one that is stuck in the kernel is left to init."""


class Child:
    """One running command; end it with `close`."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start `command`, looked up in PATH.

        Raises:
            OSError: it cannot be started (not found, no permission, out of processes).
            ValueError: a NUL byte in an argument.
        """
        self.complaint = b""
        """The end of what it said on standard error so far."""
        output, output_end = os.pipe()
        errors, errors_end = os.pipe()
        self.output = output
        """Descriptor of its standard output; -1 when closed."""
        self.errors = errors
        """Descriptor of its standard error; -1 when closed."""
        try:
            self._pid = os.posix_spawnp(
                command[0],
                list(command),
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output_end, 1),
                    (os.POSIX_SPAWN_DUP2, errors_end, 2),
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these two
            )
        except BaseException:
            self._let_go()
            raise
        finally:
            os.close(output_end)
            os.close(errors_end)
        os.set_blocking(output, False)
        os.set_blocking(errors, False)

    @property
    def pid(self) -> int:
        """Its process id; 0 when it has ended and was waited for."""
        return self._pid

    def read(self) -> bytes | None:
        """Return what it wrote, up to `READ_BYTES`; b"" at the end, None if nothing is there."""
        return _read(self.output)

    def hear(self) -> bytes:
        """Return what it said on standard error since the last call, up to `READ_BYTES`."""
        said = _read(self.errors) or b""
        self.complaint = (self.complaint + said)[-COMPLAINT_BYTES:]
        return said

    def ended(self) -> int | None:
        """Return its exit code, negative for a signal, if it has ended; None while it runs."""
        if not self._pid:
            return 0
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # someone else waited for it
            self._pid = 0
            return 0
        if not pid:
            return None
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it at once; `ended` tells when it has."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """End it and wait for it, a second at the longest. May be called again."""
        self.kill()
        self._let_go()
        until = time.monotonic() + _END_SECONDS
        while self.ended() is None and time.monotonic() < until:
            time.sleep(0.001)

    def _let_go(self) -> None:
        for fd in (self.output, self.errors):
            if fd >= 0:
                os.close(fd)
        self.output = self.errors = -1


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None
