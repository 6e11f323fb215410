"""One HTTP/1.1 request and its answer, as far as a sink needs them.

Guarantees: nothing waits beyond the deadline given; of an answer at most `_HEAD_BYTES` of head and
`_BODY_BYTES` of body are read, and the body is thrown away; redirects are not followed.

The library's http.client costs 1.9 MiB of private memory (it brings the mail parser along), and a
server that sends a byte now and then can hold it for as long as it likes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from logagent import __version__
from logagent.sinks.connection import Connection

__all__ = ["Answer", "Exchange", "request"]

_HEAD_BYTES = 32 * 1024
_BODY_BYTES = 64 * 1024
"""[bytes] A longer body is not read: the connection is closed instead."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\n]*)?\r?\n")
_FIELD = re.compile(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\n]*?)[ \t]*\r?$", re.MULTILINE)
_DATE = re.compile(rb"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    """100 to 599."""
    retry_seconds: float
    """What Retry-After asks for [s, from now]; 0 if nothing."""
    reusable: bool
    """Whether the connection can take another request."""


def request(method: str, host: str, target: str, fields: Mapping[str, str], body: bytes) -> bytes:
    """Return a request as bytes.

    Raises:
        ValueError: a field holds what is no visible ASCII or space; it could forge another one.
    """
    head = {"Host": host, "User-Agent": f"logagent/{__version__}", "Accept": "*/*"}
    head |= {**fields, "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    if any(not " " <= character <= "~" for line in lines for character in line) or " " in target:
        raise ValueError("a header field holds a character that may not stand there")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class Exchange:
    """One request under way on an open connection."""

    def __init__(self, connection: Connection, data: bytes) -> None:
        self.answered = False
        """Whether the server has said anything that may be an answer."""
        self._connection = connection
        self._rest = data
        self._head = bytearray()
        self._answer: Answer | None = None
        self._body = 0  # bytes of it still to come

    def go_on(self, deadline: float) -> Answer | None:
        """Send and receive; return the answer, or None if it is not here by `deadline`.

        Raises:
            OSError: the connection broke, or what came is no HTTP.
        """
        while True:
            if self._rest:
                self._rest = self._rest[self._connection.send(self._rest) :]
            data = self._connection.receive(16 * 1024)
            if data is not None:
                if not data:
                    return self._ended()
                self._take(data)  # on a connection used before, what is no HTTP is no answer
                self.answered = True
            if (answer := self._answer) is not None and (not answer.reusable or self._body <= 0):
                # Of what came without being asked for, nobody knows what it is.
                return answer if not self._body else replace(answer, reusable=False)
            if data is None and not self._connection.wait(bool(self._rest), deadline):
                return None
            if time.monotonic() >= deadline:
                return None

    def _ended(self) -> Answer:
        if self._answer is None:
            raise ConnectionResetError(0, "the server closed the connection without an answer")
        return replace(self._answer, reusable=False)

    def _take(self, data: bytes) -> None:
        if self._answer is not None:
            self._body -= len(data)
            return
        self._head += data
        while self._answer is None:
            end = re.search(rb"\r?\n\r?\n", self._head)
            if end is None:
                if len(self._head) > _HEAD_BYTES or not b"HTTP/1."[:7].startswith(self._head[:7]):
                    raise OSError(0, "the answer is no HTTP")
                return
            head, rest = bytes(self._head[: end.end()]), self._head[end.end() :]
            self._head = rest
            self._answer = self._answer_of(head)
            self._body -= len(rest)

    def _answer_of(self, head: bytes) -> Answer | None:
        """Return what a head says, None if the answer proper is still to come."""
        status = _STATUS.match(head)
        if status is None:
            raise OSError(0, "the answer is no HTTP")
        code = int(status[2])
        if code < 200:  # an interim one
            return None
        fields = {name.lower(): value for name, value in _FIELD.findall(head, status.end())}
        length = fields.get(b"content-length", b"0" if code == 204 else b"")
        known = length.isdigit() and len(length) < 10 and b"transfer-encoding" not in fields
        self._body = int(length) if known else 0
        closing = b"close" in fields.get(b"connection", b"").lower() or status[1] == b"0"
        reusable = known and self._body <= _BODY_BYTES and not closing and not self._rest
        return Answer(code, _seconds(fields.get(b"retry-after", b"")), reusable)


def _seconds(value: bytes) -> float:
    """Return what Retry-After says, a number of seconds or a date (RFC 9110, 10.2.3), from now."""
    if value.isdigit():
        return float(value[:9])
    date = _DATE.fullmatch(value)
    month = _MONTHS.find(date[2]) if date else -1
    if date is None or month % 3:
        return 0.0
    try:
        day, year, hour, minute, second = (int(date[number]) for number in (1, 3, 4, 5, 6))
        moment = datetime(year, month // 3 + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp() - time.time())
