"""A progress line on a terminal's standard error while a scan works.

Guarantees: nothing is written unless the stream is a terminal; at most ten times a second; the
line is wiped before anything else is printed and at the end.
"""

from __future__ import annotations

import time
from typing import TextIO

from logagent.report import size_text
from logagent.sanitise import printable
from logagent.scan import Step, Totals

__all__ = ["Progress"]

_SECONDS = 0.1  # between two updates
_BAR = 24  # columns


class Progress:
    """Draws one line over and over: bar, source, speed, groups so far."""

    def __init__(self, stream: TextIO, *, enabled: bool, width: int = 100) -> None:
        self._stream = stream
        self._enabled = enabled
        self._width = width
        self._next = 0.0
        self._drawn = False

    def update(self, step: Step, totals: Totals, groups: int) -> None:
        """Show where the scan is, if it is time to."""
        if not self._enabled:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _SECONDS
        size = step.source.size_bytes
        bar = ""
        if size:
            done = min(step.source.position_bytes() / size, 1.0)
            bar = f"[{'#' * int(done * _BAR):<{_BAR}}] {done:4.0%}  "
        speed = totals.bytes / max(totals.seconds, 1e-6)
        text = (
            f"{bar}{printable(step.source.name, 40)}  {totals.lines:,} lines  "
            f"{size_text(speed)}/s  {groups:,} groups"
        )
        self._stream.write("\r\x1b[K" + text[: self._width - 1])
        self._stream.flush()
        self._drawn = True

    def wipe(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False
