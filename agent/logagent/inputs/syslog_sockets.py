"""The sockets that syslog messages come by: UDP, and TCP with its connections.

Guarantees: nothing waits; each call does bounded work. What is cut, dropped or refused is counted
and reported. The kernel's count of dropped datagrams is known wherever Linux >= 4.12 tells it.

Left to others: when to read, and what becomes of the lines (`logagent.inputs.syslog`).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

from logagent.blocks import BLOCK_BYTES
from logagent.errors import ConfigError
from logagent.inputs import Report
from logagent.inputs.stream import Stream
from logagent.inputs.syslog_messages import Framer, line_of
from logagent.sanitise import printable

__all__ = ["DATAGRAMS_PER_POLL", "READ_BYTES", "Connections", "Datagrams", "parse_address"]

READ_BYTES = 16 * 1024
"""[bytes] One read of a connection, so that a busy one leaves room for the others."""

DATAGRAMS_PER_POLL = 1000
"""About 10 ms of receiving; then the other inputs have a turn."""

RECEIVE_BUFFER_BYTES = 1024 * 1024
"""[bytes] Asked of the kernel for UDP: seconds of a busy network while sinks are slow. It gives no
more than net.core.rmem_max."""

RETRY_SECONDS = 1.0
"""[s] Until connections are accepted again after the system had no descriptor or memory left."""

_KEEP_ALIVE: Final = (
    (socket.TCP_KEEPIDLE, 600),
    (socket.TCP_KEEPINTVL, 60),
    (socket.TCP_KEEPCNT, 5),
)
_SO_MEMINFO: Final = 55  # Linux 4.12; the ninth number is what was dropped
_MEMINFO: Final = struct.Struct("9I")
_ADDRESS: Final = re.compile(r"(?:\[([^\[\]]+)\]:|([^:\[\]]*):)?(\d{1,5})")


class Datagrams:
    """The UDP side: one datagram, one message."""

    transport = "udp"

    def __init__(self, address: str, report: Report, max_message_bytes: int) -> None:
        self.stream = Stream("syslog:udp", os.urandom(8), report)
        self._report = report
        self._buffer = bytearray(max_message_bytes)
        self._datagrams = self._cut_messages = self._cut_bytes = 0
        self._dropped: int | None = 0
        self._socket = _bound(address, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.address = _name(self._socket)

    def received(self, now: float) -> Iterator[bytes]:  # noqa: ARG002 - as `Connections`
        """Yield lines, once, from `DATAGRAMS_PER_POLL` datagrams or `BLOCK_BYTES` at most."""
        lines: list[bytes] = []
        size = cut = 0
        view = memoryview(self._buffer)
        for _ in range(DATAGRAMS_PER_POLL):
            try:
                length = self._socket.recv_into(view, 0, socket.MSG_TRUNC)  # the whole length
            except BlockingIOError:
                break
            except OSError as error:  # ENOMEM, ENOBUFS: may pass
                self._report("unreadable", f"syslog:udp: {error.strerror}")
                break
            self._datagrams += 1
            if length > len(view):
                cut += 1
                self._cut_bytes += length - len(view)
            line = line_of(bytes(view[:length]))
            if line:
                lines.append(line)
                size += len(line) + 1
            if size >= BLOCK_BYTES:
                break
        if cut:
            self._cut_messages += cut
            what = f"{cut} messages longer than {len(view)} bytes were cut"
            self._report("long-messages", f"syslog:udp: {what}")
        self._look_for_drops()
        if lines:
            yield b"\n".join([*lines, b""])

    def descriptors(self) -> list[int]:
        """Return the socket."""
        return [self._socket.fileno()]

    def counters(self) -> dict[str, Any]:
        """Return what is counted beside the lines; `dropped` is None where it is not known."""
        self._look_for_drops()
        return {
            "datagrams": self._datagrams,
            "dropped": self._dropped,
            "cut_messages": self._cut_messages,
            "cut_message_bytes": self._cut_bytes,
        }

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _look_for_drops(self) -> None:
        """Report what the kernel dropped since the last look.

        SO_MEMINFO tells at any time; SO_RXQ_OVFL, the other way to the same number, only with the
        next datagram that gets through.
        """
        if self._dropped is None:
            return
        try:
            raw = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            total = _MEMINFO.unpack(raw)[8]
        except (OSError, struct.error):  # a kernel or sandbox that does not tell
            self._dropped = None
            return
        new = (total - self._dropped) % 2**32  # the kernel's number wraps round
        if new:
            self._dropped += new
            hint = "raise net.core.rmem_max or send by TCP"
            self._report("datagrams-dropped", f"syslog:udp: the system dropped {new}; {hint}")


class Connections:
    """The TCP side: a listening socket and the senders that came."""

    transport = "tcp"

    def __init__(
        self, address: str, report: Report, max_message_bytes: int, max_connections: int
    ) -> None:
        self.stream = Stream("syslog:tcp", os.urandom(8), report)
        self.retry_at = math.inf
        """[s] When to accept again, after the system had nothing left."""
        self._report = report
        self._limit = max_message_bytes
        self._max_connections = max_connections
        self._open: dict[int, tuple[socket.socket, Framer]] = {}  # longest unserved first
        self._accepted = self._refused = self._cut_messages = self._cut_bytes = 0
        self._socket = _bound(address, socket.SOCK_STREAM)
        self.address = _name(self._socket)

    def received(self, now: float) -> Iterator[bytes]:
        """Yield lines, `BLOCK_BYTES` and a read at most at a time, each sender read once."""
        self._accept(now)
        ready = select.poll()
        for fd in self._open:
            ready.register(fd, select.POLLIN)
        readable = {fd for fd, _ in ready.poll(0)}
        lines: list[bytes] = []
        size = 0
        for fd in [fd for fd in self._open if fd in readable]:
            for line in map(line_of, self._read(fd)):
                if line:
                    lines.append(line)
                    size += len(line) + 1
            if size >= BLOCK_BYTES:
                yield b"\n".join([*lines, b""])
                lines, size = [], 0
        if lines:
            yield b"\n".join([*lines, b""])

    def descriptors(self) -> list[int]:
        """Return the connections, and the listening socket unless accepting is put off."""
        listening = [self._socket.fileno()] if self.retry_at == math.inf else []
        return [*listening, *self._open]

    def counters(self) -> dict[str, Any]:
        """Return what is counted beside the lines."""
        return {
            "connections": len(self._open),
            "accepted": self._accepted,
            "refused": self._refused,
            "cut_messages": self._cut_messages,
            "cut_message_bytes": self._cut_bytes,
        }

    def close(self) -> None:
        """Close the connections and the listening socket."""
        for connection, _ in self._open.values():
            connection.close()
        self._open.clear()
        self._socket.close()

    def _accept(self, now: float) -> None:
        """Take new senders, as many as there may be; turn the others away."""
        if now < self.retry_at < math.inf:
            return
        self.retry_at = math.inf
        refused = 0
        for _ in range(self._max_connections):
            try:
                connection, _address = self._socket.accept()
            except BlockingIOError:
                break
            except ConnectionError:  # it left before its turn
                continue
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS: asking again at once is no use
                self.retry_at = now + RETRY_SECONDS
                self._report("connections-refused", f"syslog:tcp: {error.strerror}")
                break
            if len(self._open) >= self._max_connections:
                refused += 1
                connection.close()
                continue
            connection.setblocking(False)
            with contextlib.suppress(OSError):  # senders that vanished do not keep their place
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in _KEEP_ALIVE:
                    connection.setsockopt(socket.IPPROTO_TCP, option, value)
            self._open[connection.fileno()] = connection, Framer(self._limit)
            self._accepted += 1
        if refused:
            self._refused += refused
            what = f"{refused} refused, {self._max_connections} are open"
            self._report("connections-refused", f"syslog:tcp: {what}")

    def _read(self, fd: int) -> list[bytes]:
        """Return the messages that a sender has sent; forget it if it has ended."""
        connection, framer = self._open.pop(fd)
        cut = framer.cut_messages, framer.cut_bytes
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            self._open[fd] = connection, framer
            return []
        except OSError:  # ECONNRESET, ETIMEDOUT: ended like any other; what came of it counts
            data = b""
        if data:
            messages = framer.feed(data)
            self._open[fd] = connection, framer  # behind the others
        else:
            messages = framer.end()
            connection.close()
        if framer.cut_messages > cut[0]:
            count = framer.cut_messages - cut[0]
            self._cut_messages += count
            what = f"{count} messages longer than {self._limit} bytes, or broken off, were cut"
            self._report("long-messages", f"syslog:tcp: {what}")
        self._cut_bytes += framer.cut_bytes - cut[1]
        return messages


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``, ``[::1]:port`` or ``port``, which is on loopback.

    Raises:
        ConfigError: it is none of these.
    """
    found = _ADDRESS.fullmatch(text)
    if not found or not text.isascii() or int(found[3]) > 65535:
        shown = printable(text, 80)
        raise ConfigError(f"syslog: address {shown!r}: expected host:port, [IPv6]:port or port")
    return found[1] or found[2] or "127.0.0.1", int(found[3])


def _bound(address: str, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking socket that receives at `address`; a name is looked up, once."""
    host, port = parse_address(address)
    made: socket.socket | None = None
    try:
        # Bytes: a name as text would go through the IDNA codec, half a megabyte of tables.
        found = socket.getaddrinfo(host.encode(), port, type=kind, flags=socket.AI_PASSIVE)
        family, _, protocol, _, where = found[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        if kind == socket.SOCK_STREAM:
            made.listen(128)
    except OSError as error:
        if made is not None:
            made.close()
        hint = "; ports below 1024 need CAP_NET_BIND_SERVICE" if port and port < 1024 else ""
        shown = printable(address, 80)
        raise ConfigError(f"syslog: cannot listen on {shown}: {error.strerror}{hint}") from error
    return made


def _name(bound: socket.socket) -> tuple[str, int]:
    host, port = bound.getsockname()[:2]
    return str(host), int(port)
