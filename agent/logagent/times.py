"""When a log line was written, if it says so.

A time stamp is never required: a line without one, or with an impossible one (31 February,
hour 99), gives None. `TimeParser.parse` knows the forms in `_FORMS`; the one that matched
last is tried first, so a log of one form costs one expression a line. A stamp must hold the
first clock (hh:mm) of the line, so that a date inside a message is not taken for one.

Guarantees: no input raises; only the first `WINDOW_BYTES` of a line are looked at,
`FIELDS_BYTES` of a line of fields (JSON, key=value), and no expression takes more than
linear time over them.

Left to others: what to do with lines that have no stamp of their own (a stack trace).
"""

import calendar
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal

__all__ = ["FIELDS_BYTES", "FUTURE_SECONDS", "WINDOW_BYTES", "Stamp", "TimeParser", "parse_since"]

WINDOW_BYTES = 96
"""[bytes] Where a stamp may start: 64 for a prefix (host, process, identity), 32 for itself."""

FIELDS_BYTES = 2048
"""[bytes] The same for lines of fields, where the time may stand after the message."""

FUTURE_SECONDS = 24 * 60 * 60
"""[s] A stamp without a year may lie this far ahead of now: clocks and time zones differ."""

FIRST_YEAR, LAST_YEAR = 1970, 2199
"""Years outside of this are not believed."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time a line carries."""

    seconds: float
    """[s] Since 1970-01-01 UTC for `epoch`, since the machine started for `uptime`."""

    kind: Literal["epoch", "uptime"]


_MONTHS: Final = {name.encode(): n for n, name in enumerate(calendar.month_abbr) if name}
_MON = rb"(?P<mon>(?i:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec))"
_CLOCK = rb"(?P<h>\d\d?):(?P<m>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?"
_ZONE = rb"(?: ?(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)(?![\w:]))?"
_DATE = rb"(?P<Y>\d{4})(?P<sep>[-/.:])(?P<M>\d\d)(?P=sep)(?P<D>\d\d)"
_ISO = _DATE + rb"(?:[T-]| (?:- | )?)" + _CLOCK + _ZONE
_UNIX = rb"(?P<e>\d{10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19})(?![\w.])"
_KEY = rb"(?:__realtime_|@|event_?)?(?:timestamp|time|ts|t|date|datetime)"
_IS = rb"(?:=\"?|\"\s?:\s?(?:\{\"\$date\":\s?)?\"?)"

_FORMS: Final[dict[str, re.Pattern[bytes]]] = {
    name: re.compile(form)
    for name, form in {
        # At the very start of the line; D, h, m, s: as in strftime, f: fraction, e: epoch.
        "dmesg": rb"^(?:<\d{1,3}>)?(?:[a-z][\w.-]{0,15})?\[ *(?P<up>\d{1,9}\.\d{3,9})[\]@]",
        "epoch": rb"^(?:[-A-Z0-9_]{1,16} )?\[?" + _UNIX,
        "hdfs": rb"^(?P<y>\d\d)(?P<M>\d\d)(?P<D>\d\d) (?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d)(?= )",
        "klog": rb"^(?:\[[\w.-]{1,16}\]:)?[IWEF](?P<M>\d\d)(?P<D>\d\d) " + _CLOCK,
        "proxifier": rb"^\[(?P<M>\d\d)\.(?P<D>\d\d) " + _CLOCK,
        "short year": rb"^\[?(?P<y>\d\d)[/-](?P<M>\d\d)[/-](?P<D>\d\d) " + _CLOCK,
        # Anywhere in the window.
        "iso": rb"(?<![\d.])" + _ISO,
        "android": rb"(?<![\w./-])(?P<M>\d\d)[-/](?P<D>\d\d)[ |]" + _CLOCK,
        "syslog": rb"(?<![A-Za-z])" + _MON + rb"[ /]{0,2}(?P<D>\d{1,2}),? (?:(?P<Y>\d{4}) )?"
        + _CLOCK + rb"(?: (?:(?:(?P<z>UTC|GMT|[+-]\d{4})|[A-Z]{3,5}) )?"
        rb"(?P<Y2>(?:19|20)\d\d)(?![\w:.-]))?",
        "common log": rb"(?<!\w)(?P<D>\d{1,2})[-/ ]" + _MON + rb"[-/ ](?P<Y>\d{4})[: ]" + _CLOCK
        + _ZONE,
        "day month": rb"(?<!\w)(?P<D>\d{1,2})[- ]" + _MON
        + rb" (?P<h>\d\d):(?P<m>\d\d)(?::(?P<s>\d\d))?",
        "health": rb"(?<![\w.-])(?P<Y>\d{4})(?P<M>\d\d)(?P<D>\d\d)[- ]"
        rb"(?P<h>\d\d?):(?P<m>\d\d?):(?P<s>\d\d?)(?::(?P<ms>\d{1,3}))?(?!\d)",
        "compact": rb"(?<![\w.-])(?P<Y>\d{4})(?P<M>\d\d)(?P<D>\d\d)[-T .]?"
        rb"(?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?" + _ZONE + rb"(?!\d)",
        "us date": rb"(?<![\w./])(?P<M>\d{1,2})/(?P<D>\d{1,2})/(?P<Y>\d{4})(?:,? |-| [-|] )"
        + _CLOCK + rb"(?: (?P<p>[AaPp])[Mm]\b)?",
        "european date": rb"(?<![\w./])(?P<D>\d{1,2})\.(?P<M>\d{1,2})\."
        rb"(?:(?P<Y>\d{4})|(?P<y>\d\d)),? " + _CLOCK,
        "bgl": rb"(?<![\w.])(?P<Y>\d{4})-(?P<M>\d\d)-(?P<D>\d\d)-"
        rb"(?P<h>\d\d)\.(?P<m>\d\d)\.(?P<s>\d\d)\.(?P<f>\d{1,9})",
        "two fields": rb"\bdate=(?P<Y>\d{4})-(?P<M>\d\d)-(?P<D>\d\d) time=" + _CLOCK,
        "fields": rb"(?:[\"{,\s]|^)(?i:" + _KEY + rb")" + _IS + rb"(?:" + _UNIX + rb"|" + _ISO
        + rb")",
        "audit": rb"\((?P<e>\d{10}\.\d{3}):\d",
        "bare epoch": rb"(?<![\w.:=-])(?P<e>1\d{9}(?:\.\d{1,9})?)(?![\w.:-])",
        "underscore": rb"(?<![\d.])" + _DATE + rb"_" + _CLOCK + _ZONE,
    }.items()
}  # fmt: skip

_ANY_CLOCK = re.compile(rb"(?<![\d_:])\d\d?:\d\d:\d\d(?!:?\d)")
"""A clock, not a part of a network address; after `_` it is part of a file's name."""

_CLOCKLESS: Final = frozenset(
    {"dmesg", "epoch", "hdfs", "common log", "day month", "health", "compact", "bgl"}
    | {"fields", "audit", "bare epoch", "underscore"}
)
"""Forms that `_ANY_CLOCK` does not see, or that are certain without it."""


class TimeParser:
    """Reads the stamps of one log; remembers which form the last line had.

    Memory: O(1).
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        default_year: int | None = None,
        tz: tzinfo | None = None,
    ) -> None:
        """Say how to complete stamps that leave something out.

        `clock` gives now [s since 1970]: a stamp without a year is put in the last year in
        which it is not in the future, unless `default_year` is given. `tz` is the zone of
        stamps without one; None is the machine's own.
        """
        self._clock = clock
        self._default_year = default_year
        self._tz = tz
        self._last: str | None = None

    def parse(self, line: bytes) -> Stamp | None:
        """Return the line's stamp, None if it has none that is known and possible."""
        clock = _ANY_CLOCK.search(line, 0, WINDOW_BYTES)
        start = clock.start() if clock else -1
        last = self._last
        if line[:1] == b"{" and last != "fields":
            stamp = self._try("fields", line, start)
            if stamp is not None:
                self._last = "fields"
                return stamp
        stamp = self._try(last, line, start) if last else None
        if stamp is not None:
            return stamp
        for name in _FORMS:
            if name != last:
                stamp = self._try(name, line, start)
                if stamp is not None:
                    self._last = name
                    return stamp
        return None

    def _try(self, name: str, line: bytes, clock: int) -> Stamp | None:
        """Read the line as one form; `clock` is where its first clock starts, -1 for none."""
        certain = name in _CLOCKLESS
        if clock < 0 and not certain:
            return None
        if name == "fields":
            if b"=" not in line and b'":' not in line and b'" :' not in line:
                return None
            match = _FORMS[name].search(line, 0, FIELDS_BYTES)
        else:
            match = _FORMS[name].search(line, 0, WINDOW_BYTES)
        if match is None or not (certain or match.start() <= clock < match.end()):
            return None
        parts = match.groupdict()
        if "up" in parts:
            return Stamp(float(parts["up"]), "uptime")
        if parts.get("e") is not None:
            seconds = _unix_seconds(parts["e"])
        else:
            seconds = self._calendar_seconds(parts)
        return None if seconds is None else Stamp(seconds, "epoch")

    def _calendar_seconds(self, parts: dict[str, bytes]) -> float | None:
        """Return seconds since 1970 of a date and clock, None for an impossible one."""
        get = parts.get
        year = get("Y") or get("Y2")
        month = _MONTHS[parts["mon"].title()] if get("mon") else int(parts["M"])
        day, hour, minute = int(parts["D"]), int(parts["h"]), int(parts["m"])
        second = int(get("s") or 0)
        if get("p"):
            hour = hour % 12 + (12 if parts["p"] in b"Pp" else 0)
        fraction = int(get("ms") or 0) / 1000
        if digits := get("f"):
            fraction = int(digits) / 10 ** len(digits)
        leap = second == 60  # POSIX has no leap second: 23:59:60 is 00:00:00
        clock = (hour, minute, 59 if leap else second)
        try:
            zone = _zone(get("z")) or self._tz
            if year:
                date_and_clock = (int(year), month, day, *clock)
                if month > 12 and "p" in parts:  # day/month/year, seen in the US form
                    date_and_clock = (int(year), day, month, *clock)
                whole = _seconds(date_and_clock, zone)
            elif get("y"):
                short = 2000 + int(parts["y"])
                date_and_clock = (short, month, day, *clock)
                if month > 12 or day > 31:  # month/day/year, in the form of year/month/day
                    date_and_clock = (2000 + day, int(parts["y"]), month, *clock)
                whole = _seconds(date_and_clock, zone)
            else:
                whole = self._without_year(month, day, clock, zone)
        except (ValueError, OverflowError, OSError):  # OSError: the C library's range
            return None
        return whole + leap + fraction

    def _without_year(
        self, month: int, day: int, clock: tuple[int, int, int], zone: tzinfo | None
    ) -> float:
        """Return seconds since 1970 in the last year that has this day, not in the future."""
        if self._default_year is not None:
            return _seconds((self._default_year, month, day, *clock), zone)
        now = self._clock()
        # Tomorrow's year: on 31 December the zone of the log may already be in January.
        year = datetime.fromtimestamp(now + FUTURE_SECONDS, zone).year
        leap_day = (month, day) == (2, 29)
        for candidate in range(year, year - 9, -1):  # 8 years are the most between leap days
            if leap_day and not calendar.isleap(candidate):
                continue
            seconds = _seconds((candidate, month, day, *clock), zone)
            if seconds <= now + FUTURE_SECONDS:
                return seconds
        raise ValueError("no year fits")


def _seconds(when: tuple[int, ...], zone: tzinfo | None) -> float:
    """Return seconds since 1970 of (year, month, day, hour, minute, second) in the zone."""
    year, month, day, hour, minute, second = when
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError("year out of range")
    return datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()


def _unix_seconds(digits: bytes) -> float | None:
    """Return seconds of a count in s, ms, us or ns, told apart by its length."""
    whole = len(digits.partition(b".")[0])
    seconds = float(digits) / 10 ** (whole - 10)
    # Ten digits of seconds start in 2001; the range is that of the calendar.
    return seconds if seconds < (LAST_YEAR - 1970) * 365.25 * 86400 else None


def _zone(text: bytes | None) -> tzinfo | None:
    """Return the zone that a stamp names, None if it names none."""
    if not text:
        return None
    if text in (b"Z", b"UTC", b"GMT"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[:1] == b"-" else minutes))


_AGO = re.compile(
    r"(\d{1,9})\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)"
)
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_since(text: str, now: float, tz: tzinfo | None = None) -> float:
    """Return the time that an operator means by `text` [s since 1970], at `now`.

    Takes ISO dates with or without a time and a zone (`2024-06-14`, `2024-06-14T10:00+02:00`),
    ages (`30m`, `2h`, `3d`, `1h30m`, `2 hours ago`), `@1718355600`, `now`, `today` and
    `yesterday`. Days start at midnight in `tz`; None is the machine's own zone.

    Raises ValueError, with what is accepted, for anything else.
    """
    wanted = text.strip().lower()
    try:
        if wanted == "now":
            return now
        if wanted in ("today", "yesterday"):
            day = datetime.fromtimestamp(now, tz).date()
            if wanted == "yesterday":
                day -= timedelta(days=1)
            return _midnight(day, tz)
        age = wanted.removesuffix("ago").strip()
        if age and not _AGO.sub("", age).strip():
            return now - sum(int(n) * _UNIT_SECONDS[unit[0]] for n, unit in _AGO.findall(age))
        if re.fullmatch(r"@\d{1,11}(\.\d{1,9})?", wanted, re.ASCII):
            return float(wanted[1:])
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=tz)).timestamp()
    except (ValueError, OverflowError, OSError):  # OSError: the C library's range
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise ValueError(
            f"cannot read {shown!r} as a time; give a date (2024-06-14 or 2024-06-14T10:00), "
            "an age (30m, 2h, 3d), today or yesterday"
        ) from None


def _midnight(day: date, tz: tzinfo | None) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=tz).timestamp()
