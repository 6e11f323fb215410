"""TLS over a socket that never blocks, the peer's certificate and name always verified.

Guarantees: TLS 1.2 or newer; a certificate that does not lead to a trusted authority, or belongs to
another host, ends the connection; certificates are read for each connection, so renewed ones count.

`ssl` and what OpenSSL holds cost 1.3 MiB of private memory: import this module only where needed.
The authorities of the machine are looked up one by one in their folder, where it is made for that
(`c_rehash`), rather than all read: that saves 1.1 MiB.
"""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
import time

__all__ = ["connected", "received", "sent", "shaken", "verifying"]

_HASHED = re.compile(r"[0-9a-f]{8}\.\d")


def verifying(ca_file: str) -> ssl.SSLContext:
    """Return what verifies a server by the authorities of `ca_file`, or the machine's if empty.

    Raises:
        OSError: the file cannot be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:  # also an OSError, whose message is about the library's insides
            raise OSError(0, f"{ca_file}: holds no certificate in PEM form") from None
        except OSError as error:
            raise OSError(error.errno, f"{ca_file}: {error.strerror}") from None
        return context
    folder = ssl.get_default_verify_paths().capath
    if folder and "SSL_CERT_FILE" not in os.environ and _is_hashed(folder):
        context.load_verify_locations(capath=folder)
    else:
        context.set_default_verify_paths()
    return context


def _is_hashed(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_HASHED.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def connected(sock: socket.socket, host: str, ca_file: str) -> ssl.SSLSocket:
    """Return `sock`, non-blocking and connected, as one that has yet to shake hands.

    Raises:
        OSError: as `verifying`, or the connection is broken already.
    """
    return verifying(ca_file).wrap_socket(
        sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=True
    )


def shaken(sock: ssl.SSLSocket, deadline: float) -> bool:
    """Go on with the handshake; tell whether it is done. False: not by `deadline` [s, monotonic].

    Raises:
        OSError: it failed; the message tells why a certificate was refused.
    """
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            wanted = select.POLLIN
        except ssl.SSLWantWriteError:
            wanted = select.POLLOUT
        except ssl.SSLCertVerificationError as error:
            raise OSError(0, f"its certificate is refused: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise OSError(0, f"TLS failed: {error.reason}") from error
        else:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), wanted)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False


def sent(sock: ssl.SSLSocket, piece: bytes) -> int:
    """Send; after BlockingIOError the next piece must begin with the same bytes.

    Raises:
        BlockingIOError: not now.
        OSError: the connection broke.
    """
    try:
        return sock.send(piece)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise BlockingIOError from None
    except ssl.SSLError as error:
        raise OSError(0, f"TLS failed: {error.reason}") from error


def received(sock: ssl.SSLSocket, most_bytes: int) -> bytes:
    """Receive, nothing if the peer has said goodbye.

    Raises:
        BlockingIOError: nothing is there.
        OSError: the connection broke.
    """
    try:
        return sock.recv(most_bytes)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise BlockingIOError from None
    except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
        return b""
    except ssl.SSLError as error:
        raise OSError(0, f"TLS failed: {error.reason}") from error
