"""What the agent tells systemd: that it is ready, reloading, stopping, and still alive.

The protocol is that of sd_notify(3): datagrams of ``NAME=value`` lines to the socket that
NOTIFY_SOCKET names. Outside of systemd every call does nothing.

Guarantees: never blocks and never raises; a message that could not be sent is counted. The
variables are taken out of the environment, so that no child speaks for the agent or believes that
it is watched; a process that replaces itself by exec must therefore do so before it makes one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import MutableMapping

from logagent.sanitise import printable

__all__ = ["Notifier"]

_MAX_STATUS = 500
"""[characters] What `systemctl status` shows on a line or two."""


class Notifier:
    """One way to the service manager, or none."""

    def __init__(self, address: str | None = None, watchdog_seconds: float = math.inf) -> None:
        self.watchdog_seconds = watchdog_seconds
        """How often `watchdog` must be called at least: half of what systemd waits [s]; infinite
        where nobody waits."""
        self.failed = 0
        """Messages that could not be sent."""
        self._address: str | None = None
        if address and address[0] in "/@":  # vsock: is for virtual machines that are one service
            self._address = "\0" + address[1:] if address[0] == "@" else address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] | None = None) -> Notifier:
        """Make one of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and remove them."""
        variables = os.environ if environment is None else environment
        address = variables.pop("NOTIFY_SOCKET", None)
        microseconds = _whole(variables.pop("WATCHDOG_USEC", None))
        process = variables.pop("WATCHDOG_PID", None)
        watched = microseconds is not None and process in (None, str(os.getpid()))
        if not watched or not microseconds:
            return cls(address)
        return cls(address, microseconds / 2 / 1e6)

    @property
    def enabled(self) -> bool:
        """Whether somebody listens."""
        return self._address is not None

    def ready(self, status: str = "") -> None:
        """Tell that the agent is up, or up again after `reloading`."""
        self._send("READY=1", *([_status(status)] if status else []))

    def reloading(self) -> None:
        """Tell that the configuration is being read again; `ready` must follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """Tell that the agent is on its way out."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """Tell that the agent is alive; to be called at least every `watchdog_seconds`."""
        if self.watchdog_seconds != math.inf:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        import socket  # noqa: PLC0415  # only services need it

        try:
            # A socket for each message: the manager may have been restarted in between.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
                way.setblocking(False)
                way.sendto("\n".join(lines).encode(), self._address)
        except (OSError, ValueError):  # full, gone, or (ValueError) an address that is none
            self.failed += 1


def _status(text: str) -> str:
    return f"STATUS={printable(text, _MAX_STATUS)}"


def _whole(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 20 and text.isascii() and text.isdigit() else None
