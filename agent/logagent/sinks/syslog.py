"""Alerts to a syslog daemon: the local socket, UDP, TCP, or TLS (RFC 5425).

Guarantees: no call blocks for longer than `wait_seconds`, name look-up and connecting included;
after trouble the next write connects anew; on TCP a message that went out in part is finished on
the same connection, or sent again whole on the next.

Limits, all of them syslog's own: nobody acknowledges a message. UDP may lose any of them silently;
at best a port that nobody listens on is noticed one message later. TCP takes what fits in the
socket's buffer: what was sent just before the peer died, or to a peer that has gone without a word,
is lost, and that is noticed at a later write (within half a minute of unanswered data). TLS is no
different, but only a receiver whose certificate is good hears anything. So `sync` has nothing to
promise. Who must not lose an alert keeps the file sink beside this one.

Import this module only when such a sink is wanted: `socket` holds 0.5 MiB of private memory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from logagent.sinks import Alert, SinkError
from logagent.sinks.disk import reason
from logagent.sinks.lookup import Address, Look, Lookup, numeric
from logagent.sinks.lookup import look_up as _default_look_up
from logagent.sinks.messages import MessageStream, wait_writable
from logagent.sinks.syslog_format import FACILITIES, local_message, network_message

if TYPE_CHECKING:
    import ssl

__all__ = ["SyslogSink"]

_WAIT_SECONDS = 0.2
"""[s] Longest a write waits in all: inputs are read and signals heard in between."""

_CONNECT_SECONDS = 10.0
"""[s] A connection still under way after that is given up for the next address."""

_DEAD_PEER_MILLISECONDS = 30_000
"""[ms] TCP_USER_TIMEOUT: sent data unanswered for that long breaks the connection."""

_PIECE_BYTES = 64 * 1024
_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
_TCP = ("tcp", "tls")

_LOCAL_BYTES = 1024  # RFC 3164, 4.1; also what `logger` sends at most
_UDP_BYTES = 1232  # fits the smallest packet of IPv6 (1280) unfragmented, as RFC 5426, 3.2 asks
_TCP_BYTES = 8192  # rsyslog's and syslog-ng's usual limit


class SyslogSink:
    """Messages to `address`: a path such as /dev/log, or udp, tcp or tls://host:port."""

    def __init__(
        self,
        address: str,
        hostname: str,
        facility: str = "daemon",
        *,
        ca_file: str = "",
        name: str = "syslog",
        wait_seconds: float = _WAIT_SECONDS,
        wall: Callable[[], float] = time.time,
        look_up: Look | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            address: the port may be left out (514; 6514 with TLS); an IPv6 address stands in
                brackets.
            hostname: ours, for network messages.
            facility: a name of `syslog_format.FACILITIES`.
            ca_file: with TLS, the authorities that sign the receiver's certificate, in PEM form;
                empty: those of the machine.
            name: of the sink.
            wait_seconds: longest a write waits.
            wall: clock for the messages [s since 1970].
            look_up: (host, port, kind of socket) to addresses; runs in a thread of its own.

        Raises:
            ValueError: the address or the facility makes no sense.
        """
        if facility not in FACILITIES:
            raise ValueError(f"unknown syslog facility {facility!r}: {', '.join(FACILITIES)}")
        self.name = name
        self._transport, self._host, self._port = _parse(address)
        self._address = address
        self._hostname = hostname
        self._facility = FACILITIES[facility]
        self._ca_file = ca_file
        self._wait_seconds = wait_seconds
        self._wall = wall
        self._look_up = look_up or _default_look_up
        self._lookup: Lookup | None = None
        self._addresses: list[Address] = []  # of the host, still to be tried
        self._socket: socket.socket | None = None
        self._secure: ssl.SSLSocket | None = None  # the same, under TLS
        self._stream: MessageStream | None = None  # None on datagram sockets
        self._give_up = 0.0  # when to stop waiting for a connection; 0 when there is one

    def write(self, alert: Alert) -> None:
        """Send one message.

        Raises:
            SinkError: no such host, nobody listens, or the receiver takes nothing now.
        """
        deadline = time.monotonic() + self._wait_seconds
        while True:
            old = self._socket is not None and not self._give_up
            try:
                taken = self._send(alert, self._connected(deadline), deadline)
            except OSError as error:
                self._disconnect()
                # A daemon that was started anew has a new socket behind the same name. Not so on
                # UDP: a refusal there is about an earlier message, so is no proof of a restart.
                if self._addresses or (old and self._transport != "udp"):
                    continue
                raise SinkError(f"{self._address}: {reason(error)}") from error
            if not taken:
                raise SinkError(
                    f"{self._address}: takes nothing now (waited {self._wait_seconds:g} s)"
                )
            return

    def sync(self) -> None:
        """Do nothing: syslog acknowledges nothing."""

    def close(self) -> None:
        """Finish a message that was begun, if the receiver takes it now, and disconnect."""
        if self._stream is not None and not self._give_up:
            with contextlib.suppress(OSError):
                self._stream.finish(time.monotonic() + self._wait_seconds)
        self._disconnect()

    def _send(self, alert: Alert, sock: socket.socket, deadline: float) -> bool:
        message = self._message(alert)
        if self._stream is not None:
            return self._stream.put(alert, message, deadline)
        while wait_writable(sock.fileno(), deadline):
            try:
                sock.send(message)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.005)  # a unix socket polls writable while its receiver is behind
            else:
                return True
        return False

    def _message(self, alert: Alert) -> bytes:
        pid, now = os.getpid(), self._wall()
        if self._transport == "unix":
            message = local_message(
                alert, facility=self._facility, pid=pid, now=now, limit=_LOCAL_BYTES
            )
            return message if self._stream is None else message + b"\n"  # as `logger` does
        limit = _UDP_BYTES if self._transport == "udp" else _TCP_BYTES
        message = network_message(
            alert,
            facility=self._facility,
            hostname=self._hostname,
            pid=pid,
            now=now,
            limit=limit,
        )
        if self._transport in _TCP:
            return b"%d %b" % (
                len(message),
                message,
            )  # octet counting: RFC 6587, 3.4.1; RFC 5425, 4.3
        return message

    def _connected(self, deadline: float) -> socket.socket:
        """Return the socket, connected."""
        if self._socket is not None and self._stream is not None and not self._give_up:
            self._raise_if_closed(self._socket)
        while self._socket is None:
            if self._transport == "unix":
                self._open_local()
            else:
                self._open_network(deadline)
        if self._give_up:
            self._await_connection(self._socket, deadline)
        self._addresses.clear()  # looked up again when this one is gone
        return self._socket  # of TLS, by now

    def _open_local(self) -> None:
        try:
            self._open((socket.AF_UNIX, socket.SOCK_DGRAM, 0, self._host))
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
            self._open((socket.AF_UNIX, socket.SOCK_STREAM, 0, self._host))

    def _open_network(self, deadline: float) -> None:
        """Try the next address; look them up when none is left."""
        if not self._addresses:
            self._addresses = self._resolved(deadline)
        try:
            self._open(self._addresses.pop(0))
        except OSError:
            if not self._addresses:
                raise

    def _open(self, address: Address) -> None:
        family, kind, protocol, where = address
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            if self._transport in _TCP:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                sock.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MILLISECONDS
                )
            code = sock.connect_ex(where)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        secure = self._transport == "tls"
        self._give_up = time.monotonic() + _CONNECT_SECONDS if code or secure else 0.0
        stream = kind == socket.SOCK_STREAM
        self._stream = MessageStream(sock.fileno(), self._put, _PIECE_BYTES) if stream else None

    def _put(self, piece: bytes) -> int:
        if self._secure is not None:
            from logagent.sinks import tls  # noqa: PLC0415 - costs 1.3 MiB

            return tls.sent(self._secure, piece)
        return 0 if self._socket is None else self._socket.send(piece)

    def _await_connection(self, sock: socket.socket, deadline: float) -> None:
        """Wait for a connection under way; it goes on while we are away."""
        if self._secure is None:
            if not wait_writable(sock.fileno(), deadline):
                self._raise_late()
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        if self._transport == "tls":
            from logagent.sinks import tls  # noqa: PLC0415

            if self._secure is None:
                self._socket = self._secure = tls.connected(sock, self._host, self._ca_file)
            if not tls.shaken(self._secure, deadline):
                self._raise_late()
        self._give_up = 0.0

    def _raise_late(self) -> None:
        if time.monotonic() < self._give_up:
            raise SinkError(f"{self._address}: still connecting")
        raise TimeoutError(errno.ETIMEDOUT, "no answer")

    def _raise_if_closed(self, sock: socket.socket) -> None:
        """Raise ConnectionError if the peer has said goodbye; throw away what else it said."""
        with contextlib.suppress(BlockingIOError):
            if self._secure is not None:
                from logagent.sinks import tls  # noqa: PLC0415

                said = tls.received(self._secure, 4096)
            else:
                said = sock.recv(4096)
            if not said:
                raise ConnectionResetError(errno.ECONNRESET, "the receiver closed the connection")

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._secure = self._stream = None
        self._give_up = 0.0

    def _resolved(self, deadline: float) -> list[Address]:
        """Return the addresses of the host, looked up in a thread: that blocks for long."""
        kind = socket.SOCK_DGRAM if self._transport == "udp" else socket.SOCK_STREAM
        if addresses := numeric(self._host, self._port, kind):
            return addresses
        if self._lookup is None:
            self._lookup = Lookup(lambda: self._look_up(self._host, self._port, kind))
        found = self._lookup.wait(deadline)
        if found is None:
            raise SinkError(f"{self._address}: the name {self._host} is still being looked up")
        self._lookup = None
        if isinstance(found, OSError):
            raise SinkError(
                f"{self._address}: cannot look up the name {self._host}: {reason(found)}"
            ) from found
        return found


def _parse(address: str) -> tuple[str, str, int]:
    """Return (unix, path, 0), or udp, tcp or tls with host and port."""
    if address.startswith("/") and "\0" not in address:
        return "unix", address, 0
    transport, separator, rest = address.partition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(_PORTS.get(transport, 0))
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if transport not in _PORTS or not separator or not host or not 0 < number < 65536:
        raise ValueError(
            f"syslog address {address!r}: give a path such as /dev/log, udp://host:514, "
            "tcp://host:514 or tls://host:6514 (an IPv6 address in brackets)"
        )
    return transport, host, number
