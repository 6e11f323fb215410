"""How often the agent's own log says the same: a few times, then how many times more.

Guarantees: of each kind of message at most `BURST` pass in `WINDOW_SECONDS`; none that was held
back goes uncounted, but for kinds beyond `MAX_KINDS` that were never collected. Memory:
O(`MAX_KINDS`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from logagent.sanitise import CUT, printable

__all__ = ["BURST", "MAX_KINDS", "MESSAGE_CHARS", "WINDOW_SECONDS", "RateLimit", "message_of"]

BURST: Final = 5
"""Messages of a kind in a window: enough to see what they have in common."""

WINDOW_SECONDS: Final = 60.0
"""[s] How long the count of a kind goes on."""

MAX_KINDS: Final = 256
"""Kinds whose rate is known at a time; the one begun longest ago is closed early."""

MESSAGE_CHARS: Final = 500
"""[characters] What is shown of a message."""


class RateLimit(logging.Filter):
    """Lets `BURST` records of a kind pass in `WINDOW_SECONDS` and counts the others.

    A kind is the logger's name and the record's `kind`, or its message before the arguments are
    put in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.suppressed = 0
        """Records held back, all told."""
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}  # in the order in which they close
        self._closed: list[_Window] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is written."""
        now = self._clock()
        self._close(now)
        kind = (record.name, str(getattr(record, "kind", record.msg))[:MESSAGE_CHARS])
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= MAX_KINDS:
                self._retire(next(iter(self._windows)))
            window = self._windows[kind] = _Window(record, now + WINDOW_SECONDS)
        window.seen += 1
        if window.seen <= BURST:
            return True
        self.suppressed += 1
        return False

    def summaries(self) -> list[logging.LogRecord]:
        """Return one record for each window that has closed on suppressed ones, once."""
        self._close(self._clock())
        closed, self._closed = self._closed, []
        return [window.summary() for window in closed]

    def flush(self) -> None:
        """Close all windows now."""
        for kind in list(self._windows):
            self._retire(kind)

    def _close(self, now: float) -> None:
        while self._windows:
            kind = next(iter(self._windows))
            if self._windows[kind].closes > now:
                return
            self._retire(kind)

    def _retire(self, kind: tuple[str, str]) -> None:
        window = self._windows.pop(kind)
        if window.seen > BURST and len(self._closed) < MAX_KINDS:
            self._closed.append(window)


class _Window:
    """What is known of one kind for a while."""

    __slots__ = ("closes", "kind", "level", "name", "seen", "text")

    def __init__(self, record: logging.LogRecord, closes: float) -> None:
        self.closes = closes
        self.seen = 0
        self.name = record.name
        self.level = record.levelno
        self.kind = getattr(record, "kind", None)
        self.text = message_of(record)[:100]

    def summary(self) -> logging.LogRecord:
        more = self.seen - BURST
        about = str(self.kind) if self.kind is not None else self.text
        text = f"{CUT} {more} more suppressed: {about}"
        record = logging.LogRecord(self.name, self.level, "", 0, text, None, None)
        if self.kind is not None:
            record.kind = self.kind
        return record


def message_of(record: logging.LogRecord) -> str:
    """Return what a record says: printable, at most `MESSAGE_CHARS`. Never raises."""
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the message
        message = str(record.msg)
    return printable(message, MESSAGE_CHARS)
