"""Packets of MQTT 3.1.1, as far as a publisher needs them (OASIS standard, section 3).

Guarantees: a broker's packet is read only when it is whole, and what is no acknowledgement is an
error at its first two bytes: we subscribe to nothing, so nothing else comes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = [
    "CONNACK",
    "DISCONNECT",
    "PINGREQ",
    "PUBACK",
    "REFUSALS",
    "connect",
    "packets",
    "publish",
]

CONNACK, PUBACK = 2, 4
"""Kinds of packet, section 2.2.1."""

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses our client id",
    3: "it is not available",
    4: "wrong user name or password",
    5: "not authorised",
}
"""Codes of a CONNACK, section 3.2.2.3."""

_LENGTHS = {0x20: 2, 0x40: 2, 0xD0: 0}
"""First byte of what a broker sends to a publisher, and how many bytes follow the length."""


def connect(
    client_id: str,
    keepalive_seconds: int,
    *,
    will_topic: str,
    will: bytes,
    username: str = "",
    password: str = "",
) -> bytes:
    """Return a CONNECT for a clean session, with a retained will of QoS 1."""
    flags = 0x02 | 0x04 | 0x08 | 0x20
    payload = _text(client_id) + _text(will_topic) + struct.pack(">H", len(will)) + will
    if username:
        flags |= 0x80
        payload += _text(username)
        if password:
            flags |= 0x40
            payload += _text(password)
    head = _text("MQTT") + struct.pack(">BBH", 4, flags, keepalive_seconds)
    return _packet(0x10, head + payload)


def publish(topic: str, payload: bytes, number: int, *, retain: bool = False) -> bytes:
    """Return a PUBLISH of QoS 1; `number`, 1 to 65535, comes back in its PUBACK."""
    return _packet(0x32 | retain, _text(topic) + struct.pack(">H", number) + payload)


def packets(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take whole packets off the begin of `data`; yield the kind and the body of each.

    Raises:
        OSError: that is no packet a publisher is sent.
    """
    while len(data) >= 2:
        length = _LENGTHS.get(data[0])
        if length is None or data[1] != length:
            raise OSError(0, "the broker sends what is no acknowledgement")
        end = 2 + length
        if len(data) < end:
            return
        kind, body = data[0] >> 4, bytes(data[2:end])
        del data[:end]
        yield kind, body


def _packet(first: int, body: bytes) -> bytes:
    length = len(body)
    coded = bytearray()
    while True:
        length, byte = divmod(length, 128)
        coded.append(byte | (0x80 if length else 0))
        if not length:
            return bytes([first]) + bytes(coded) + body


def _text(value: str) -> bytes:
    data = value.encode()[:65535]
    return struct.pack(">H", len(data)) + data
