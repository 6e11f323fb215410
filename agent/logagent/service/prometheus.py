"""The agent's counters where Prometheus finds them: a text file, and answers to its questions.

Guarantees: nothing here waits, whoever asks and however slowly: at most `_ASKERS` connections are
open, each for at most `_ASK_SECONDS`, and each may send at most `_REQUEST_BYTES`. The file is
replaced atomically, at most every `FILE_SECONDS` and only when it would read otherwise. Asking
changes nothing.

``/healthz`` is 200 while turns of the loop follow each other within `_TURN_SECONDS` and reading is
not held up by a sink, 503 otherwise. A loop that hangs gives no answer at all, which who asks must
take for the same.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from logagent.config_rules import host_and_port
from logagent.config_sections import Prometheus
from logagent.files import replace
from logagent.inputs import Report
from logagent.service.metrics import AlertCounts, exposition
from logagent.sinks import Alert

__all__ = ["FILE_SECONDS", "Metrics"]

FILE_SECONDS = 15.0
"""[s] Prometheus asks node_exporter as often, by its default or less."""

_TURN_SECONDS = 60.0
_ASK_SECONDS = 5.0
_ASKERS = 8
_REQUEST_BYTES = 4096
_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Status = Callable[[], dict[str, Any]]


class _Asker:
    """A connection whose request is read, then whose answer is written."""

    def __init__(self, connection: socket.socket, stop: float) -> None:
        self.connection = connection
        self.stop = stop
        self.request = b""
        self.answer: bytes | None = None


class Metrics:
    """Everything for Prometheus."""

    def __init__(self, config: Prometheus, report: Report) -> None:
        """Listen; where that fails, say so and do without."""
        self._file = config.textfile
        self._report = report
        self._alerts = AlertCounts()
        self._started = time.time()
        self._written = b""
        self._next_write = -math.inf
        self._trouble = ""
        self._turned = time.monotonic()
        self._longest_turn = 0.0  # lately
        self._askers: list[_Asker] = []
        self._listener: socket.socket | None = None
        if config.listen:
            self._listen(config.listen)

    def count(self, alerts: list[Alert]) -> None:
        """Count alerts that were delivered."""
        self._alerts.add(alerts)

    def descriptors(self) -> list[int]:
        """Return what becomes readable when somebody asks."""
        asking = [each.connection.fileno() for each in self._askers if each.answer is None]
        if self._listener is not None and len(self._askers) < _ASKERS:
            asking.append(self._listener.fileno())
        return asking

    def deadline(self) -> float:
        """Return when `serve` is due at the latest [s, monotonic]; ``math.inf`` if never."""
        due = min((each.stop for each in self._askers), default=math.inf)
        if any(each.answer is not None for each in self._askers):
            due = min(due, time.monotonic() + 0.05)  # its reader is slow
        return min(due, self._next_write) if self._file else due

    def serve(self, now: float, status: _Status) -> None:
        """Do what is due; to be called in every turn of the loop."""
        self._longest_turn, self._turned = now - self._turned, now
        if self._file and now >= self._next_write:
            self._next_write = now + FILE_SECONDS
            self._write(status)
        self._accept(now)
        for asker in list(self._askers):
            if not self._served(asker, status) and now < asker.stop:
                continue
            asker.connection.close()
            self._askers.remove(asker)

    def close(self) -> None:
        """Stop listening; the file stays."""
        for asker in self._askers:
            asker.connection.close()
        self._askers = []
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _listen(self, address: str) -> None:
        host, port = host_and_port(address, 0)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host or "127.0.0.1", port))
            listener.listen(_ASKERS)
        except OSError as error:
            listener.close()
            self._report("no-metrics", f"{address}: {error.strerror or error}; nobody can ask")
            return
        self._listener = listener

    @property
    def port(self) -> int:
        """The port listened on, 0 if none."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def _healthy(self, status: dict[str, Any]) -> bool:
        return self._longest_turn < _TURN_SECONDS and not status.get("blocked")

    def _text(self, status: _Status) -> bytes:
        found = status()
        return exposition(found, self._alerts, self._started, self._healthy(found))

    def _write(self, status: _Status) -> None:
        data = self._text(status)
        if data == self._written and os.path.exists(self._file):
            return
        try:
            replace(Path(self._file), data)
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._trouble:
                self._trouble = why
                self._report("no-metrics", f"{self._file}: {why}; trying again")
            return
        self._trouble, self._written = "", data

    def _accept(self, now: float) -> None:
        while self._listener is not None and len(self._askers) < _ASKERS:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody there (any more)
                return
            connection.setblocking(False)
            self._askers.append(_Asker(connection, now + _ASK_SECONDS))

    def _served(self, asker: _Asker, status: _Status) -> bool:
        """Go on with one; tell whether it is done with."""
        try:
            if asker.answer is None:
                data = asker.connection.recv(_REQUEST_BYTES)
                asker.request += data
                whole = b"\r\n\r\n" in asker.request or b"\n\n" in asker.request
                if not whole and data and len(asker.request) < _REQUEST_BYTES:
                    return False
                if not whole and not data:
                    return True
                asker.answer = self._answer(asker.request if whole else b"", status)
            asker.answer = asker.answer[asker.connection.send(asker.answer) :]
        except BlockingIOError:
            return False
        except OSError:
            return True
        if not asker.answer:
            with suppress(OSError):
                asker.connection.shutdown(socket.SHUT_WR)
        return not asker.answer

    def _answer(self, request: bytes, status: _Status) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        kind, body = "text/plain; charset=utf-8", b""
        if not rest:
            code = "400 Bad Request"
        elif method not in (b"GET", b"HEAD"):
            code = "405 Method Not Allowed"
        elif path == b"/metrics":
            code, kind, body = "200 OK", _TYPE, self._text(status)
        elif path == b"/healthz":
            healthy = self._healthy(status())
            code, body = ("200 OK", b"ok\n") if healthy else ("503 Service Unavailable", b"no\n")
        else:
            code, body = "404 Not Found", b"/metrics and /healthz are here\n"
        head = (
            f"HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode("ascii") + (b"" if method == b"HEAD" else body)
