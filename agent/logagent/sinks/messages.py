"""Whole messages on a byte stream whose reader may stop reading: a pipe, a terminal, a connection.

Guarantees: a message that was begun is finished before another begins, whatever comes in between;
offered again, it is finished and not repeated; nothing waits beyond the deadline given, as long as
`send` takes a piece without blocking once poll says that the descriptor is writable. Memory: the
unsent rest of one message.

Left to others: opening, framing, and what to do when the stream breaks.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable

from logagent.sinks import Alert

__all__ = ["MessageStream", "wait_writable"]

_PAUSE_SECONDS = 0.005
"""[s] Rest when a descriptor polls writable and yet takes nothing: a terminal with one free byte,
or a datagram socket whose receiver is behind. Without it the wait would spin."""


def wait_writable(descriptor: int, deadline: float) -> bool:
    """Wait until `descriptor` is writable or broken, at most to `deadline` [s, monotonic clock].

    Returns whether it is; a descriptor that is writable already is found so after the deadline too.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    wait = max(0.0, deadline - time.monotonic())
    return bool(poll.poll(math.ceil(wait * 1000)))


class MessageStream:
    """One byte stream. `send(piece)` returns how many bytes it took, or raises OSError."""

    def __init__(self, descriptor: int, send: Callable[[bytes], int], piece_bytes: int) -> None:
        self._descriptor = descriptor
        self._send = send
        self._piece_bytes = piece_bytes
        self._rest = b""
        self._alert: Alert | None = None  # the one whose message `_rest` belongs to

    def put(self, alert: Alert, message: bytes, deadline: float) -> bool:
        """Send `message`, after the rest of an earlier one; tell whether all of it went.

        False means: not now. Some of `message` may be on its way; call again with the same `alert`
        and it is finished, not repeated, even if `message` reads otherwise by then.

        Raises:
            OSError: the stream broke.
        """
        begun = self._alert
        if not self.finish(deadline):
            return False
        if begun == alert:
            return True
        self._rest, self._alert = message, alert
        try:
            return self.finish(deadline)
        finally:
            if len(self._rest) == len(message):  # nothing of it went: nothing to finish
                self._rest, self._alert = b"", None

    def finish(self, deadline: float) -> bool:
        """Send the rest of a message that was begun; tell whether none is left.

        Raises:
            OSError: the stream broke.
        """
        while self._rest:
            if not wait_writable(self._descriptor, deadline):
                return False
            try:
                sent = self._send(self._rest[: self._piece_bytes])
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_PAUSE_SECONDS)
            else:
                self._rest = self._rest[sent:]
        self._alert = None
        return True
