"""Checks of the clock: is it set at all, does something keep it right, which zone.

What cannot be known is said to be unknown: a host, or a program that sets the clock now and then,
leaves no trace that the kernel could show.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import suppress

from logagent.bundle import Bundle
from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, found_ok, note, problem, warning
from logagent.doctor.software import bundle_date, package_date
from logagent.errors import LogagentError

__all__ = ["clock", "time_zone"]

_SLACK_SECONDS = 86400.0  # a day: zones, and clocks a little off, are no reason to complain
_TIMEX_BYTES = 512  # more than struct timex has on any machine (208 at most)
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_FIX = "sudo timedatectl set-ntp true (or run an NTP client: chrony, ntpd, busybox ntpd)"


def clock(case: Case) -> Iterator[Finding]:
    """Tell whether the clock can be right, and whether something keeps it so."""
    now = case.machine.now()
    shown = _shown(now)
    after = max(_days_past(case), key=lambda day: day[0], default=(0.0, ""))
    if now < after[0] - _SLACK_SECONDS:
        yield problem(
            f"{shown}, but {after[1]} is of {_shown(after[0])}: the clock is wrong, and so are "
            "the times of alerts",
            f'sudo date -s "YYYY-MM-DD HH:MM", then {_FIX}',
        )
    else:
        yield found_ok(shown)
    yield _synchronised(case)


def _shown(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "no date at all"


def _days_past(case: Case) -> Iterator[tuple[float, str]]:
    """Yield times that lie in the past for sure, and of what they are."""
    yield package_date(), "the installed logagent"
    if case.config is not None:
        with suppress(LogagentError):
            made = bundle_date(Bundle.load(case.bundle.path))
            if made is not None:
                yield made, "the model bundle"
        with suppress(OSError):
            yield os.stat(case.machine.at(f"{case.state_folder}/state")).st_mtime, "the saved state"


def _synchronised(case: Case) -> Finding:
    machine = case.machine
    if machine.exists("/run/systemd/timesync/synchronized"):
        return found_ok("synchronised by systemd-timesyncd")
    state = _kernel_state() if machine.real else None
    if state is None:
        return note("whether it is synchronised is unknown: the kernel does not tell", "date -u")
    if state != _TIME_ERROR:
        return found_ok("the kernel says that it is synchronised")
    said = "the kernel knows of nothing that keeps it right"
    if machine.exists("/.dockerenv") or machine.exists("/run/.containerenv"):
        return note(f"{said}; in a container that is the host's task")
    if machine.inside("/sys/class/rtc"):
        return note(f"{said}; a host, or a program that sets it now and then, may do so", _FIX)
    return warning(f"{said}, and there is no battery-backed clock: it starts wrong", _FIX)


def _kernel_state() -> int | None:
    """Return what adjtimex(2) says, asked to change nothing; None if it says nothing.

    Only its result is used: the structure differs between machines, and `modes`, which is 0, is
    its first field on all of them.
    """
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):  # a static interpreter; a libc without it
        return None
    return state if state >= 0 else None


def time_zone(case: Case) -> Iterator[Finding]:
    """Tell the zone that times of logs without one are taken to be in."""
    machine = case.machine
    given = machine.environ.get("TZ")
    local = time.localtime(machine.now())
    minutes = abs(local.tm_gmtoff) // 60
    offset = f"UTC{'-' if local.tm_gmtoff < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    if given:
        yield note(f"{offset}, from TZ={given!r}; a service does not have this variable")
        return
    name = ""
    with suppress(OSError):
        name = os.readlink(machine.at("/etc/localtime")).partition("zoneinfo/")[2]
    name = name or (machine.text("/etc/timezone") or "").strip()
    if name or machine.exists("/etc/localtime"):
        yield found_ok(f"{offset}, {name or '/etc/localtime'}")
    else:
        yield note(
            f"{offset}: no zone is set; times of logs that name none are taken for UTC",
            "sudo timedatectl set-timezone Europe/Berlin",
        )
