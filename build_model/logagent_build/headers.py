"""What stands before a message in a real file: time, host, priority.

The project's corpora in the short format (`*.txt`) hold messages alone. A detector must read past
whatever a system puts before them, so each gets one of a few headers that its system uses, or none.

Guarantees: the same system, number and line give the same bytes; a header never depends on the
label, so that nothing can be learnt from it: its priorities are drawn at random.
"""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["with_header"]

_BARE = 0.3  # share of lines without any header, as from `journalctl -o cat` or an application
_STYLES = 3  # headers one system uses
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOSTS = (
    *(
        "nas",
        "gw",
        "router",
        "srv1",
        "web01",
        "db-2",
        "edge-gw",
        "OpenWrt",
        "raspberrypi",
        "node17",
    ),
    *(
        "mail",
        "backup",
        "pve",
        "ip-10-0-4-118",
        "r3-c12",
        "lab-pc",
        "localhost",
        "kiosk-4",
        "cn042",
    ),
    *("fw1.example.org", "worker-3", "homeserver", "core-sw", "build7", "storage-a", "ubuntu"),
)
_FACILITIES = ("daemon", "kern", "user", "local0", "syslog", "authpriv", "cron")
_PRIORITIES = ("info", "notice", "warn", "err", "debug", "crit")


def _clock(pick: random.Random) -> str:
    return f"{pick.randrange(24):02}:{pick.randrange(60):02}:{pick.randrange(60):02}"


def _date(pick: random.Random) -> str:
    return f"{pick.randrange(2018, 2027)}-{pick.randrange(1, 13):02}-{pick.randrange(1, 29):02}"


def _syslog(pick: random.Random) -> str:
    month, day = pick.choice(_MONTHS), pick.randrange(1, 29)
    return f"{month} {day:2} {_clock(pick)} {pick.choice(_HOSTS)} "


def _iso(pick: random.Random) -> str:
    zone = pick.choice(("Z", "+00:00", "+02:00"))
    return f"{_date(pick)}T{_clock(pick)}.{pick.randrange(10**6):06}{zone} {pick.choice(_HOSTS)} "


def _java(pick: random.Random) -> str:
    return f"{_date(pick)} {_clock(pick)},{pick.randrange(1000):03} "


def _plain(pick: random.Random) -> str:
    return f"{_date(pick)} {_clock(pick)} "


def _bracketed(pick: random.Random) -> str:
    return f"[{_date(pick)} {_clock(pick)}] "


def _uptime(pick: random.Random) -> str:
    return f"[{pick.randrange(400000):5}.{pick.randrange(10**6):06}] "


def _openwrt(pick: random.Random) -> str:
    day = f"{pick.choice(_DAYS)} {pick.choice(_MONTHS)} {pick.randrange(1, 29):2}"
    priority = f"{pick.choice(_FACILITIES)}.{pick.choice(_PRIORITIES)}"
    return f"{day} {_clock(pick)} {pick.randrange(2018, 2027)} {priority} "


def _network(pick: random.Random) -> str:
    return f"<{pick.randrange(192)}>{_syslog(pick)}"


def _container(pick: random.Random) -> str:
    stream = pick.choice(("stdout", "stderr"))
    return f"{_date(pick)}T{_clock(pick)}.{pick.randrange(10**9):09}Z {stream} F "


def _epoch(pick: random.Random) -> str:
    return f"{pick.randrange(1_400_000_000, 1_790_000_000)}.{pick.randrange(1000):03} "


def _short(pick: random.Random) -> str:
    return f"{pick.randrange(1, 13):02}-{pick.randrange(1, 29):02} {_clock(pick)}.123 "


def _common(pick: random.Random) -> str:
    month = pick.choice(_MONTHS)
    return (
        f"[{pick.randrange(1, 29):02}/{month}/{pick.randrange(2018, 2027)}:{_clock(pick)} +0000] "
    )


def _time_only(pick: random.Random) -> str:
    return f"{_clock(pick)} "


def _priority(pick: random.Random) -> str:
    return f"{pick.choice(_HOSTS)} {pick.choice(_FACILITIES)}.{pick.choice(_PRIORITIES)}: "


_Style = Callable[[random.Random], str]
_ALL: tuple[_Style, ...] = (
    *(_syslog, _syslog, _syslog, _iso, _java, _plain, _bracketed, _uptime, _openwrt),
    *(_network, _container, _epoch, _short, _common, _time_only, _priority),
)


def with_header(line: bytes, system: str, number: int) -> bytes:
    """Return a message with one of its system's headers before it, or without.

    Args:
        line: the message.
        system: name of its system, which settles the headers to choose from.
        number: of the line in its file.
    """
    styles = random.Random(system).sample(_ALL, _STYLES)  # noqa: S311  # no secret hangs on it
    pick = random.Random(f"{system}/{number}")  # noqa: S311  # likewise
    if pick.random() < _BARE:
        return line
    style = pick.choice(styles)
    if style is _uptime and line.startswith(b"kernel: "):
        line = line.removeprefix(b"kernel: ")  # dmesg has no program's name
    return style(pick).encode() + line
