"""Where alerts go: standard output, a file, syslog, the journal, the web, MQTT, mail.

Guarantees asked of every `Sink`: `write` takes an alert whole or raises `SinkError`; it never
blocks for longer than its documented limit; after `sync` what was written survives a power cut as
far as the sink can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Alert", "Pending", "Sink", "SinkError"]


class SinkError(Exception):
    """The sink cannot take an alert now; nothing of it counts as taken."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds
        """How long to wait at least before the next try [s]; 0 leaves it to the caller."""


class Pending(SinkError):  # noqa: N818 - no fault
    """Not yet: offer the same alert, or call `sync`, again after `wait_seconds`; all is well."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told to the outside: one anomalous line, or one group of them."""

    id: str
    """Stable: the same lines give the same id after a restart (16 hexadecimal digits)."""
    record: bytes
    """The record as one line of JSON in ASCII, without a newline (`logagent.records`)."""
    text: str
    """The alert in one line for people: printable characters only (`logagent.sanitise`)."""
    severity: int
    """As in RFC 5424, 6.2.1: 2 critical, 3 error, 4 warning, 5 notice."""


class Sink(Protocol):
    """One way out."""

    name: str
    """Key of its spool and of its part of the status: lower case letters, digits, ``-``."""

    def write(self, alert: Alert) -> None:
        """Take one alert.

        Raises:
            SinkError: not now; the caller keeps the alert and tries again later, in order.
            Pending: likewise, but the sink is at it.
        """
        ...

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            SinkError: that failed; what was written since the last `sync` may be lost.
            Pending: it goes on; what was written may be offered again meanwhile.
        """
        ...

    def close(self) -> None:
        """Flush what can be flushed and let go."""
        ...
