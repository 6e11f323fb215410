"""One connection to a server, over TCP or TLS, for sinks whose receiver answers.

Guarantees: no call waits beyond its deadline, name look-up and handshake included; all addresses
of the host are tried in turn; a peer that has gone without a word breaks the connection after
`_DEAD_PEER_MILLISECONDS` of unanswered data.

Left to others: what is said over it, and giving up (`close`) when an answer does not come.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from typing import TYPE_CHECKING, Any

from logagent.sinks.disk import reason
from logagent.sinks.lookup import Address, Look, Lookup, look_up, numeric
from logagent.sinks.messages import wait_writable

if TYPE_CHECKING:
    import ssl

__all__ = ["Connection"]

_CONNECT_SECONDS = 10.0
"""[s] An address that has not let us in by then is given up for the next."""

_DEAD_PEER_MILLISECONDS = 30_000


class Connection:
    """Opened by `ready`, which is called until it says so."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: bool = False,
        ca_file: str = "",
        look: Look = look_up,
    ) -> None:
        """Connect to nothing yet.

        Args:
            host: a name or an address, without brackets.
            port: of TCP.
            tls: whether to speak TLS.
            ca_file: authorities in PEM form; empty: those of the machine.
            look: looks up names, in a thread of its own.
        """
        self._host, self._port = host, port
        self._tls, self._ca_file = tls, ca_file
        self._look = look
        self._lookup: Lookup | None = None
        self._addresses: list[Address] = []
        self._socket: socket.socket | None = None
        self._secure: ssl.SSLSocket | None = None  # the same socket, once TCP is connected
        self._give_up = 0.0
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether `send` and `receive` may be called."""
        return self._open

    def ready(self, deadline: float) -> bool:
        """Go on connecting; tell whether it is done, False if not by `deadline` [s, monotonic].

        Raises:
            OSError: no address of the host lets us in. Everything is as before the first call.
        """
        while not self._open:
            try:
                if self._socket is None and not self._begin(deadline):
                    return False
                if not self._go_on(deadline):
                    return False
            except OSError as error:
                more = self._addresses
                self.close()
                if not more:
                    raise OSError(error.errno, reason(error)) from error
                self._addresses = more
        return True

    def send(self, data: bytes) -> int:
        """Send what goes now; return how many bytes. If fewer, go on with the rest of them.

        Raises:
            OSError: the connection broke.
        """
        try:
            if self._secure is not None:
                from logagent.sinks import tls  # noqa: PLC0415

                return tls.sent(self._secure, data)
            return self._connected().send(data)
        except BlockingIOError:
            return 0

    def receive(self, most_bytes: int) -> bytes | None:
        """Return what is there, None if nothing is, nothing (b"") if the peer said goodbye.

        Raises:
            OSError: the connection broke.
        """
        try:
            if self._secure is not None:
                from logagent.sinks import tls  # noqa: PLC0415

                return tls.received(self._secure, most_bytes)
            return self._connected().recv(most_bytes)
        except BlockingIOError:
            return None

    def wait(self, writing: bool, deadline: float) -> bool:
        """Wait until something can be received, or also sent if `writing`; tell whether it can."""
        if self._secure is not None and self._secure.pending():
            return True
        poll = select.poll()
        poll.register(self._connected(), select.POLLIN | (select.POLLOUT if writing else 0))
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def close(self) -> None:
        """Let go of everything; `ready` begins anew."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._secure = None
        self._open = False
        self._give_up = 0.0
        self._addresses = []

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._socket

    def _begin(self, deadline: float) -> bool:
        """Begin on the next address; tell whether there was one already."""
        if not self._addresses:
            found = self._resolved(deadline)
            if found is None:
                return False
            self._addresses = found
        family, kind, protocol, where = self._addresses.pop(0)
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        self._socket = sock
        self._give_up = time.monotonic() + _CONNECT_SECONDS
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MILLISECONDS)
        code = sock.connect_ex(where)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        return True

    def _go_on(self, deadline: float) -> bool:
        sock: Any = self._connected()
        if self._secure is None:
            if not wait_writable(sock.fileno(), deadline):
                return self._late("no answer")
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        if self._tls:
            from logagent.sinks import tls  # noqa: PLC0415

            if self._secure is None:
                self._socket = self._secure = tls.connected(sock, self._host, self._ca_file)
            if not tls.shaken(self._secure, deadline):
                return self._late("no answer to TLS")
        self._open = True
        self._addresses = []
        return True

    def _late(self, what: str) -> bool:
        if time.monotonic() >= self._give_up:
            raise TimeoutError(errno.ETIMEDOUT, what)
        return False

    def _resolved(self, deadline: float) -> list[Address] | None:
        host, port = self._host, self._port
        if addresses := numeric(host, port, socket.SOCK_STREAM):
            return addresses
        if self._lookup is None:
            look = self._look
            self._lookup = Lookup(lambda: look(host, port, socket.SOCK_STREAM))
        found = self._lookup.wait(deadline)
        if found is None:
            return None
        self._lookup = None
        if isinstance(found, OSError):
            raise OSError(found.errno, f"cannot look up the name {host}: {reason(found)}")
        return found
