"""Messages that other machines send by syslog, over UDP and TCP.

Each transport is one source, ``syslog:udp`` and ``syslog:tcp``: who sent a message stands in the
message, and an address, which is easily forged, is written nowhere. Only loopback is listened on
unless the configuration names another address; nothing here knows who may send.

Guarantees: `poll` never waits and does bounded work; while a batch waits nothing is read. TCP then
holds up its senders. UDP cannot: what the kernel drops meanwhile it counts, and that is reported
(`datagrams-dropped`). Memory: O(max_connections * (max_message_bytes + READ_BYTES)) at the worst,
in practice what one poll reads.

Nobody can be asked to send again, so there is no state, and each start has ids of its own. Left to
others: encryption (RFC 5425), and ports below 1024, which need a privilege.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from logagent.blocks import BLOCK_BYTES
from logagent.inputs import Batch, Report
from logagent.inputs.syslog_sockets import Connections, Datagrams

__all__ = ["MAX_CONNECTIONS", "MAX_MESSAGE_BYTES", "SyslogListener"]

MAX_MESSAGE_BYTES = 8192
"""[bytes] Longest message kept whole; RFC 5424 asks for 2048, rsyslog's default is 8 KiB."""

MAX_CONNECTIONS = 64
"""TCP senders at once: each holds a descriptor and up to a message of memory."""


class SyslogListener:
    """Messages received by UDP, TCP or both. See `Input`."""

    name = "syslog"
    wants_save = False

    def __init__(
        self,
        report: Report,
        *,
        udp: str | None = None,
        tcp: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Listen on the addresses `udp` and `tcp` (`parse_address`); port 0 takes any free one.

        Raises:
            ConfigError: an address is wrong or cannot be listened on.
        """
        self._udp: Datagrams | None = None
        self._tcp: Connections | None = None
        self._more = False
        try:
            if udp is not None:
                self._udp = Datagrams(udp, report, max_message_bytes)
            if tcp is not None:
                self._tcp = Connections(tcp, report, max_message_bytes, max_connections)
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Host and port that are listened on, by ``udp`` and ``tcp``."""
        return {each.transport: each.address for each in self._transports()}

    def poll(self, now: float) -> Iterator[Batch]:
        """Yield what has been received."""
        self._more = False
        for each in self._transports():
            yield from each.stream.offered()
            if each.stream.waiting:
                continue
            for data in each.received(now):
                each.stream.feed(data)
                self._more |= len(data) >= BLOCK_BYTES
                yield from each.stream.offered()
                if each.stream.waiting:
                    break

    def accepted(self, batch: Batch) -> None:
        """Let go of `batch`."""
        for each in self._transports():
            if each.stream.source == batch.source:
                each.stream.accepted(batch)

    def descriptors(self) -> list[int]:
        """Return the sockets that are read; those of a transport whose batch waits are not."""
        ready = [each for each in self._transports() if not each.stream.waiting]
        return [fd for each in ready for fd in each.descriptors()]

    def deadline(self, now: float) -> float:
        """Return `now` if a batch waits or more was received, else when to accept again."""
        if self._more or any(each.stream.waiting for each in self._transports()):
            return now
        return self._tcp.retry_at if self._tcp is not None else math.inf

    def ended(self) -> bool:
        """Return False: senders may always come back."""
        return False

    def state(self) -> Mapping[str, Any]:
        """Return nothing: what was sent cannot be read again."""
        return {}

    def status(self) -> list[dict[str, Any]]:
        """Return the counters of each transport."""
        return [each.stream.status() | each.counters() for each in self._transports()]

    def close(self) -> None:
        """Close all sockets. May be called again."""
        for each in self._transports():
            each.close()
        self._udp = self._tcp = None

    def _transports(self) -> list[Datagrams | Connections]:
        return [each for each in (self._udp, self._tcp) if each is not None]
