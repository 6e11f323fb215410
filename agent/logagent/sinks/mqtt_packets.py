"""Packets of MQTT 3.1.1, as far as a publisher needs them (OASIS standard, section 3).

Guarantees: a broker's packet is read only when it is whole, and one that is longer than
`_LONGEST_BYTES` is an error: we subscribe to nothing, so acknowledgements are all that comes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = [
    "CONNACK",
    "DISCONNECT",
    "PINGREQ",
    "PINGRESP",
    "PUBACK",
    "REFUSALS",
    "connect",
    "packets",
    "publish",
]

CONNACK, PUBACK, PINGRESP = 2, 4, 13
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

_LONGEST_BYTES = 1024


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
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(data):
                return
            byte = data[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if length > _LONGEST_BYTES or shift > 21:
                raise OSError(0, "the broker sends what is no acknowledgement")
            if not byte & 0x80:
                break
        if len(data) < at + length:
            return
        kind, body = data[0] >> 4, bytes(data[at : at + length])
        del data[: at + length]
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
