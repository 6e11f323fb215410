"""The frames of a spool: an alert as bytes of which a torn or damaged one is recognised.

A frame is a head, length and CRC-32 [4 bytes each, little endian], and that many bytes of msgpack.
The CRC covers the length too, so that the zeros a power cut leaves are no frame.

Guarantees: nothing is unpacked before its checksum agrees; nothing is allocated by a length that
is over `FRAME_BYTES`.
"""

from __future__ import annotations

import struct
import zlib

import msgpack

from logagent.sinks import Alert

__all__ = [
    "FRAME_BYTES",
    "HEAD_BYTES",
    "alert_in",
    "frame_of",
    "is_torn",
    "payload_length",
    "whole",
]

FRAME_BYTES = 1024 * 1024
"""[bytes] Longest payload; alerts have a few thousand."""

_HEAD = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
HEAD_BYTES = _HEAD.size


def frame_of(alert: Alert) -> bytes:
    """Return the frame of `alert`."""
    payload: bytes = msgpack.packb(
        [alert.id, alert.record, alert.text, alert.severity], unicode_errors="replace"
    )
    length = _LENGTH.pack(len(payload))
    return length + _LENGTH.pack(zlib.crc32(payload, zlib.crc32(length))) + payload


def payload_length(head: bytes) -> int:
    """Return how many bytes follow the head; 0 if no frame has such a head."""
    if len(head) < HEAD_BYTES:
        return 0
    length: int = _LENGTH.unpack_from(head)[0]
    return length if length <= FRAME_BYTES else 0


def whole(data: bytes, at: int) -> int:
    """Return the length of the frame at `at`, its head included; 0 if it is torn or damaged."""
    length = payload_length(data[at : at + HEAD_BYTES])
    end = at + HEAD_BYTES + length
    if not length or end > len(data):
        return 0
    computed = zlib.crc32(memoryview(data)[at + HEAD_BYTES : end], zlib.crc32(data[at : at + 4]))
    return end - at if computed == _HEAD.unpack_from(data, at)[1] else 0


def is_torn(data: bytes, at: int) -> bool:
    """Tell whether what is no whole frame is the begin of one, or zeros, up to the end."""
    if at + HEAD_BYTES > len(data) or not any(data[at:]):
        return True
    length = payload_length(data[at : at + HEAD_BYTES])
    return length > 0 and at + HEAD_BYTES + length > len(data)


def alert_in(frame: bytes) -> Alert | None:
    """Return the alert in a frame, or None if it is damaged."""
    length = whole(frame, 0)
    if not length:
        return None
    try:
        name, record, text, severity = msgpack.unpackb(frame[HEAD_BYTES:length])
    except (ValueError, TypeError):
        return None
    return Alert(name, record, text, severity)
