"""Alerts to the journal of systemd, with fields to search by.

The protocol is that of systemd's "Native Journal Protocol": one datagram per entry, a line
``NAME=value`` per field; a value with a line feed in it is given by its length, so that no value
can forge a field. ``journalctl LOGAGENT_ID=…`` finds an alert, ``-o verbose`` shows all of it.

Guarantees: `write` waits for at most `wait_seconds`, while the journal is behind. Nobody
acknowledges a datagram, but the kernel does not drop it either: it is in the journal's queue.
"""

from __future__ import annotations

import errno
import json
import socket
import struct
import time
from typing import Any

from logagent.sinks import Alert, SinkError
from logagent.sinks.disk import reason
from logagent.sinks.messages import wait_writable

__all__ = ["JournalSink"]

_ADDRESS = "/run/systemd/journal/socket"
_WAIT_SECONDS = 0.2
_PAUSE_SECONDS = 0.005  # a unix socket polls writable while its receiver is behind

MESSAGE_ID = "4c1e0f3c2b5a4f7c9d2e6a8b7f105d3e"
"""Ours, for `journalctl MESSAGE_ID=…`: every alert has it."""

_FIELDS = ("host", "score", "source", "category", "template", "count", "alert", "group")
"""Of the record; each becomes LOGAGENT_ and its name in capitals."""


class JournalSink:
    """One datagram for each alert."""

    def __init__(
        self,
        address: str = _ADDRESS,
        *,
        name: str = "journal",
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self.name = name
        self._address = address
        self._wait_seconds = wait_seconds
        self._socket: socket.socket | None = None

    def write(self, alert: Alert) -> None:
        """Send one entry.

        Raises:
            SinkError: there is no journal, or it takes nothing now.
        """
        deadline = time.monotonic() + self._wait_seconds
        for data in (_entry(alert, whole=True), _entry(alert, whole=False)):
            try:
                if self._sent(data, deadline):
                    return
            except OSError as error:
                if error.errno == errno.EMSGSIZE:  # without the record it is shorter
                    continue
                self.close()
                raise SinkError(f"{self._address}: {reason(error)}") from error
            raise SinkError(f"{self._address}: takes nothing now (waited {self._wait_seconds:g} s)")
        raise SinkError(f"{self._address}: the alert is too long for it")

    def sync(self) -> None:
        """Do nothing: the journal acknowledges nothing."""

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _sent(self, data: bytes, deadline: float) -> bool:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        while wait_writable(self._socket.fileno(), deadline):
            try:
                self._socket.sendto(data, self._address)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_PAUSE_SECONDS)
            else:
                return True
        return False


def _entry(alert: Alert, *, whole: bool) -> bytes:
    try:
        record: Any = json.loads(alert.record)
    except (ValueError, RecursionError):  # from a spool of another time
        record = {}
    fields: list[tuple[str, object]] = [
        ("MESSAGE", alert.text),
        ("PRIORITY", min(max(alert.severity, 0), 7)),
        ("SYSLOG_IDENTIFIER", "logagent"),
        ("MESSAGE_ID", MESSAGE_ID),
        ("LOGAGENT_ID", alert.id),
    ]
    if isinstance(record, dict):
        fields += [(f"LOGAGENT_{key.upper()}", record[key]) for key in _FIELDS if key in record]
    if whole:
        fields.append(("LOGAGENT_RECORD", alert.record))
    return b"".join(_field(name, value) for name, value in fields)


def _field(name: str, value: object) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    if b"\n" in data:
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
