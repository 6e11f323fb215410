"""Looking up the addresses of a host without waiting for them.

Guarantees: no call waits beyond its deadline. The look-up itself goes on in a thread of its own,
for as long as the resolver takes; one that is let go ends by itself.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Address", "Look", "Lookup", "look_up", "numeric"]

Address = tuple[Any, Any, int, Any]
"""Family, kind of socket, protocol, socket address."""

Look = Callable[[str, int, Any], list[Address]]
"""(host, port, kind of socket) to addresses; may block, raises OSError or UnicodeError."""


class Lookup:
    """One name look-up under way: nothing but a thread keeps getaddrinfo from blocking us."""

    def __init__(self, look_up: Callable[[], list[Address]]) -> None:
        self._look_up = look_up
        self._found: list[Address] | OSError | None = None
        self._thread = threading.Thread(target=self._run, name="look-up", daemon=True)
        self._thread.start()

    def wait(self, deadline: float) -> list[Address] | OSError | None:
        """Return the addresses or why there are none, or None if the answer is still to come."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return None if self._thread.is_alive() else self._found

    def _run(self) -> None:
        try:
            self._found = self._look_up() or OSError(errno.ENODATA, "it has no address")
        except OSError as error:  # socket.gaierror is one
            self._found = error
        except UnicodeError as error:  # what Python's idna codec makes of an odd name
            self._found = OSError(errno.EINVAL, str(error))


def look_up(host: str, port: int, kind: Any, flags: int = 0) -> list[Address]:
    """Return the addresses of a host; blocks.

    Raises:
        OSError: there are none, or nobody to ask.
        UnicodeError: the name is odd.
    """
    found = socket.getaddrinfo(host, port, type=kind, flags=flags)
    return [(family, type_, protocol, where) for family, type_, protocol, _, where in found]


def numeric(host: str, port: int, kind: Any) -> list[Address]:
    """Return the address that `host` is itself, none if it is a name; never waits."""
    with contextlib.suppress(OSError, UnicodeError):
        return look_up(host, port, kind, socket.AI_NUMERICHOST)
    return []
