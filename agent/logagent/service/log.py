"""The agent's own log: one line per event on standard error, limited in length, rate and memory.

Guarantees: a line is one write of at most PIPE_BUF bytes of printable text; a reader that hangs,
a full disk or a closed descriptor loses lines, which are counted, and neither blocks nor raises.
Repeats are held back (`logagent.service.rate_limit`). A terminal that stops in the middle of a
line can hold the agent; nothing else is known to.

Left to others: calling `AgentLog.tick`, so that a count is written though nothing else is; the
verdicts, which are data and have their own ways out (`logagent.sinks`).
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from logagent.sanitise import printable
from logagent.service.rate_limit import MESSAGE_CHARS, RateLimit, message_of

__all__ = ["AgentLog", "RateLimit", "Reporter", "set_up"]

MAX_COUNTED: Final = 64
"""Kinds that `Reporter` counts; further ones are counted as `other`."""

RECENT: Final = 20
"""Messages kept for `logagent status`: a screen."""

# With four bytes per character, MESSAGE_CHARS and what stands around them, a line stays within
# PIPE_BUF (4096 bytes), so that a pipe with room for one line takes it whole.
_EXCEPTION_CHARS: Final = 400
_NAME_CHARS: Final = 40

_OTHER: Final = "other"
_INNERMOST: Final = 5  # frames shown of an exception

_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Priorities of sd-daemon(3) and the least level of each; below all of them it is 7, debug."""


class AgentLog(logging.Handler):
    """The handler that writes to a descriptor. Made by `set_up`."""

    def __init__(
        self,
        descriptor: int | None,
        *,
        json_lines: bool,
        journal: bool,
        limit: RateLimit,
    ) -> None:
        super().__init__()
        self.written = 0
        """Lines written."""
        self.dropped = 0
        """Lines that could not be written."""
        self.limit = limit
        """What holds back repeats."""
        self._descriptor = descriptor
        self._json = json_lines
        self._journal = journal
        self._torn = False  # the last line was written in part
        self._restore: Callable[[], None] = lambda: None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the counts that are due, then the record if its kind was not too frequent."""
        try:
            passes = self.limit.filter(record)
            self.tick()
            if passes:
                self.emit(record)
        except Exception:  # a log that fails must not take the agent with it
            self.dropped += 1
            return False
        return passes

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._write(self._line(record).encode(errors="backslashreplace"))

    def tick(self) -> None:
        """Write how many records were suppressed in the windows that have closed."""
        for record in self.limit.summaries():
            self.emit(record)

    def close(self) -> None:
        """Write the counts that are left and take the handler away."""
        self._restore()
        self._restore = lambda: None
        self.limit.flush()
        self.tick()
        super().close()

    def _line(self, record: logging.LogRecord) -> str:
        priority = f"<{_priority(record.levelno)}>" if self._journal else ""
        level = record.levelname.lower()[:_NAME_CHARS]
        message = message_of(record)
        if not self._json:
            failed = _exception(record)
            said = f"{message} | {failed}" if failed else message
            if self._journal:  # which knows the time and the level
                return f"{priority}{said}\n"
            clock = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
            return f"{clock} {level}: {said}\n"
        event: dict[str, Any] = {
            "time": _utc(record.created),
            "level": level,
            "logger": printable(record.name, _NAME_CHARS),
            "message": message,
        }
        kind = getattr(record, "kind", None)
        if kind is not None:
            event["kind"] = printable(str(kind), _NAME_CHARS)
        if failed := _exception(record):
            event["exception"] = failed
        return f"{priority}{json.dumps(event, ensure_ascii=False)}\n"

    def _write(self, line: bytes) -> None:
        if self._descriptor is None:
            self.dropped += 1
            return
        if self._torn:
            line = b"\n" + line
        line = line[: select.PIPE_BUF - 1].rstrip(b"\n") + b"\n"
        try:
            ready = select.poll()
            ready.register(self._descriptor, select.POLLOUT)
            room = any(event & select.POLLOUT for _, event in ready.poll(0))
            taken = os.write(self._descriptor, line) if room else 0
        except OSError:  # whatever it is, there is nowhere to tell it
            taken = 0
        if taken:
            self._torn = taken < len(line)
        if taken == len(line):
            self.written += 1
        else:
            self.dropped += 1


class Reporter:
    """Takes the reports of inputs, sinks and the rest: counts each kind, logs it, keeps the last.

    An instance is a `logagent.inputs.Report`. Memory: O(`MAX_COUNTED` + `RECENT`).
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._logger = logger or logging.getLogger("logagent")
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._recent: deque[tuple[float, str, str]] = deque(maxlen=RECENT)

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each kind was reported since the start, whether or not it was written."""
        return self._counts

    def __call__(self, kind: str, message: str) -> None:
        """Report trouble; see `report`."""
        self.report(kind, message)

    def report(self, kind: str, message: str, level: int = logging.WARNING) -> None:
        """Count, keep and log one event. Never raises.

        Args:
            kind: a short word, such as ``unreadable``.
            message: a sentence; it may quote anything, in any length.
            level: one of `logging`.
        """
        kind = printable(kind, _NAME_CHARS)
        if kind not in self._counts and len(self._counts) >= MAX_COUNTED:
            kind = _OTHER
        self._counts[kind] = self._counts.get(kind, 0) + 1
        message = printable(message, MESSAGE_CHARS)
        self._recent.append((self._clock(), kind, message))
        self._logger.log(level, "%s", message, extra={"kind": kind})

    def recent(self) -> list[dict[str, str]]:
        """Return the last `RECENT` messages, the newest last: time (UTC), kind, message."""
        return [
            {"time": _utc(moment), "kind": kind, "message": message}
            for moment, kind, message in self._recent
        ]


def set_up(
    level: str = "info",
    format: str = "auto",  # noqa: A002  # the key of the configuration
    clock: Callable[[], float] = time.monotonic,
) -> AgentLog:
    """Send everything that is logged to standard error, until the result is closed.

    Args:
        level: the least severe to write: ``debug``, ``info``, ``warning`` or ``error``.
        format: ``json``, ``text``, or ``auto``: text on a terminal and in the journal, else json.
        clock: what the rate limit goes by [s].
    """
    # At the start of the interpreter: where descriptor 2 was closed, it may be any file by now.
    descriptor = None if sys.__stderr__ is None else 2
    journal = descriptor is not None and _is_journal(descriptor)
    text = format == "text" or (
        format == "auto" and (journal or (descriptor is not None and os.isatty(descriptor)))
    )
    handler = AgentLog(descriptor, json_lines=not text, journal=journal, limit=RateLimit(clock))
    root = logging.getLogger()
    before = root.level

    def restore() -> None:
        root.removeHandler(handler)
        root.setLevel(before)

    handler._restore = restore  # made here only
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler


def _is_journal(descriptor: int) -> bool:
    """Tell whether the descriptor is the journal's, as systemd.exec(5) says of $JOURNAL_STREAM."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _exception(record: logging.LogRecord) -> str:
    """Return the exception and the innermost places it came through, on one line."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    _, error, trace = record.exc_info
    places: deque[str] = deque(maxlen=_INNERMOST)
    while trace is not None:
        code = trace.tb_frame.f_code
        places.appendleft(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    said = printable(f"{type(error).__name__}: {error}", _EXCEPTION_CHARS // 2)
    return printable(f"{said} at {' < '.join(places)}", _EXCEPTION_CHARS)


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _utc(moment: float) -> str:
    whole, thousandths = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03d}Z"
