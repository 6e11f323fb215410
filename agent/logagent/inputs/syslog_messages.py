"""Syslog messages: where one ends in a TCP stream, and what of it is read as a line.

`Framer` splits a stream as RFC 6587 says, octet counting and newlines, which senders mix;
`line_of` turns a message of RFC 3164 or RFC 5424 into text for the detector.

Guarantees: any bytes give messages, none raises; every byte of a stream is in one message, ends
one, is a count, or was cut from an over-long message and counted. Memory of a `Framer`:
O(max_message_bytes + longest chunk).

We differ from RFC 6587 in that a count is believed only before ``<PRI>``: a line of a sender that
knows no syslog may begin with a number.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Framer", "line_of"]

_COUNT: Final = re.compile(rb"([1-9]\d{0,6}) (?=<\d{1,3}>)")
_COUNT_BYTES: Final = 13  # [bytes] the longest count with the PRI behind it

_PRI: Final = re.compile(rb"<\d{1,3}>")
_NEW: Final = re.compile(
    rb"<\d{1,3}>\d{1,2} (?P<time>[^ \n]++) (?P<host>[^ \n]++) (?P<app>[^ \n]++) (?P<proc>[^ \n]++) "
    rb"(?P<id>[^ \n]++) "
    rb'(?P<data>-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*+")*+\])++)(?: (?P<text>.*+))?\Z',
    re.DOTALL,
)
_BOM: Final = b"\xef\xbb\xbf"


class Framer:
    """Messages of one connection from the chunks that come."""

    def __init__(self, max_message_bytes: int) -> None:
        """Hold nothing yet; longer messages are cut.

        Raises:
            ValueError: `max_message_bytes` is so small that the start of a count could be cut.
        """
        if max_message_bytes < _COUNT_BYTES:
            raise ValueError(f"max_message_bytes must be at least {_COUNT_BYTES}")
        self.cut_messages = 0
        """Messages that were longer, or broken off by the end of the connection."""
        self.cut_bytes = 0
        """[bytes] What was thrown away of them."""
        self._limit = max_message_bytes
        self._buffer = bytearray()
        self._skip = 0  # bytes still to come of a cut message whose length is known
        self._skip_line = False  # inside the thrown away part of a line

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the messages that `chunk` completes; empty ones are none."""
        buffer = self._buffer
        buffer += chunk
        messages: list[bytes] = []
        at = 0
        while at < len(buffer):
            if self._skip or self._skip_line:
                at = self._skipped(at)
                continue
            start, end, after = self._frame(at)
            if end < 0:
                break
            if end > start:
                messages.append(bytes(buffer[start:end]))
            at = after
        del buffer[:at]
        return messages

    def end(self) -> list[bytes]:
        """Return what came of the last message before the connection ended."""
        buffer = self._buffer
        counted = _COUNT.match(buffer)
        message = bytes(buffer[counted.end() :] if counted else buffer)
        buffer.clear()
        self.cut_messages += counted is not None
        return [message] if message else []

    def _frame(self, at: int) -> tuple[int, int, int]:
        """Return start and end of the message at `at` and where to go on; end -1: wait."""
        buffer, limit = self._buffer, self._limit
        if counted := _COUNT.match(buffer, at):
            count, start = int(counted[1]), counted.end()
            end = start + min(count, limit)
            if end > len(buffer):
                return start, -1, at
            if count > limit:
                self.cut_messages += 1
                self._skip = count - limit
            return start, end, end
        end = buffer.find(b"\n", at, at + limit + 1)
        if end >= 0:
            return at, end, end + 1
        if len(buffer) - at <= limit:
            return at, -1, at
        self.cut_messages += 1
        self._skip_line = True
        return at, at + limit, at + limit

    def _skipped(self, at: int) -> int:
        """Throw away of an over-long message what is there; return where to go on."""
        buffer = self._buffer
        if self._skip:
            end = min(at + self._skip, len(buffer))
            self._skip -= end - at
            self.cut_bytes += end - at
            return end
        newline = buffer.find(b"\n", at)
        end = len(buffer) if newline < 0 else newline
        self.cut_bytes += end - at
        self._skip_line = newline < 0
        return end if newline < 0 else newline + 1


def line_of(message: bytes) -> bytes:
    r"""Return a message as text: one line, or several if there are newlines in it; b"" for none.

    ``<PRI>`` goes, and newlines and NUL at the end. RFC 5424 becomes ``time host app[procid]:
    message``, parts that are ``-`` left out; structured data and the message id go too if there is
    a message, otherwise they are the message. Anything else is left as it is: RFC 3164 has the
    form of a log file already.

    >>> line_of(b"<34>1 2026-11-22T10:00:00Z gw su 7 ID47 - su root failed\n")
    b'2026-11-22T10:00:00Z gw su[7]: su root failed'
    """
    message = message.rstrip(b"\n\0")
    found = _NEW.match(message)
    if not found:
        pri = _PRI.match(message)
        return message[pri.end() :] if pri else message
    time, host, app, proc, msgid, data, text = found.groups(b"")
    text = text.removeprefix(_BOM)
    if not text:
        text = b" ".join([part for part in (msgid, data) if part != b"-"])
    process = b"" if app == b"-" else app
    if proc != b"-":
        process += b"[%b]" % proc
    head = [part for part in (time, host) if part != b"-"]
    return b" ".join([*head, *([process + b":"] if process else []), *([text] if text else [])])
