"""An alert as a syslog message: RFC 5424 for the network, the older form for the local socket.

Guarantees: one line of printable characters, at most `limit` bytes, whatever the alert holds.

Local sockets get `<PRI>Mmm dd hh:mm:ss logagent[pid]: text`, RFC 3164 without a host name: it is
what glibc's syslog() and util-linux' `logger` send there, and small daemons (busybox syslogd, old
sysklogd) parse nothing else. Over the network `logger` sends RFC 5424, and so do we.

We differ from RFC 5424, 6.4 in sending no byte order mark before UTF-8 text: receivers show it.
The time is that of sending: an alert has none of its own outside its text.
"""

from __future__ import annotations

import time

from logagent.sanitise import CUT, printable
from logagent.sinks import Alert

__all__ = ["FACILITIES", "local_message", "network_message"]

FACILITIES = {
    name: code
    for code, name in enumerate(
        (
            *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news"),
            *("uucp", "cron", "authpriv", "ftp", "ntp", "security", "console", "solaris-cron"),
            *("local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
        )
    )
}
"""Names of syslog.conf and their codes (RFC 5424, 6.2.1)."""

_APP = "logagent"
_MSGID = "anomaly"
_SD_ID = "logagent@32473"  # 32473 is the number reserved for examples (RFC 5612); we have none
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"  # three letters each, whatever the locale
_HOSTNAME_MAX = 255  # [characters] RFC 5424, 6
_ID_MAX = 64  # [characters] of an alert's id; it has 16


def network_message(
    alert: Alert, *, facility: int, hostname: str, pid: int, now: float, limit: int
) -> bytes:
    """Return RFC 5424 with the alert's id as structured data; `now` in seconds since 1970."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    host = "".join(c for c in hostname if "!" <= c <= "~")[:_HOSTNAME_MAX] or "-"
    header = (
        f"<{_priority(alert, facility)}>1 {stamp}.{int(now % 1 * 1_000_000):06d}Z {host} {_APP} "
        f'{pid} {_MSGID} [{_SD_ID} id="{_parameter(alert.id)}"] '
    )
    return _fit(header, alert.text, limit)


def local_message(alert: Alert, *, facility: int, pid: int, now: float, limit: int) -> bytes:
    """Return the form for /dev/log, in local time as daemons there take it."""
    moment = time.localtime(now)
    clock = f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    month = _MONTHS[moment.tm_mon * 3 - 3 : moment.tm_mon * 3]
    stamp = f"{month} {moment.tm_mday:2d} {clock}"
    return _fit(f"<{_priority(alert, facility)}>{stamp} {_APP}[{pid}]: ", alert.text, limit)


def _priority(alert: Alert, facility: int) -> int:
    return facility * 8 + min(max(alert.severity, 0), 7)


def _parameter(value: str) -> str:
    """Return `value` as it stands inside the quotes of structured data (RFC 5424, 6.3.3)."""
    shown = printable(value, _ID_MAX)
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _fit(header: str, text: str, limit: int) -> bytes:
    """Return header and text in at most `limit` bytes of whole characters."""
    head = header.encode()
    room = max(limit - len(head), 0)
    body = printable(text, room).encode() if room else b""
    if len(body) > room:
        kept = body[: max(room - len(CUT.encode()), 0)].decode(errors="ignore")
        body = f"{kept}{CUT}".encode()
    return head + body
