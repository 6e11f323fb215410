"""Checks of what comes in otherwise than from files: the journal, and syslog of other machines.

Guarantees: an address is bound for a moment and let go, nothing is received; a name is looked up
only if the network may be used.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator

from logagent.config_rules import host_and_port
from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, found_ok, note, problem, warning
from logagent.sinks.lookup import Address, Lookup, look_up, numeric

__all__ = ["journal", "listeners", "wants_journal"]

_PERSISTENT, _VOLATILE = "/var/log/journal", "/run/log/journal"
_SYSTEM_LOGS = ("/var/log/syslog", "/var/log/messages")  # as `logagent.service.parts` has them
_PRIVILEGED_PORT = 1024  # ports below need a capability, unless the kernel was told otherwise
_LOOK_UP_SECONDS = 3.0
_GROUPS = ("systemd-journal", "adm", "wheel")
"""Whose members may read the system's journal; systemd-journald.service(8)."""


def journal(case: Case) -> Iterator[Finding]:
    """Tell whether there is a journal, whether it is read, and whether it may be."""
    machine, settings = case.machine, case.chosen.journal
    wanted = wants_journal(case)
    program = machine.program(settings.command)
    folder = next((each for each in (_PERSISTENT, _VOLATILE) if machine.inside(each)), None)
    if program is None:
        said = f"{settings.command} is not installed"
        if wanted:
            yield problem(f"{said}, but [journal] enabled is true", "set [journal] enabled = false")
        else:
            yield found_ok(f"{said}; the journal is not read")
        return
    if folder is None:
        said = "there is no journal here"
        if case.chosen.journal.enabled == "auto" and wanted:
            yield note(f"{said} yet; it would be read", "sudo systemctl start systemd-journald")
            return
        yield (
            warning(
                f"{said}, but [journal] enabled is true", "sudo systemctl start systemd-journald"
            )
            if wanted
            else found_ok(f"{said}; it is not read")
        )
        return
    if folder == _VOLATILE:
        yield note(
            "the journal is kept in memory: what was logged before a reboot is gone",
            "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
        )
    else:
        yield found_ok("the journal is kept on disk")
    if not wanted:
        yield found_ok("it is not read: " + _why_not(case))
        return
    yield found_ok(f"it is read, by {program}")
    yield _readable(case, folder)


def wants_journal(case: Case) -> bool:
    """Tell whether `logagent run` would read the journal, as `logagent.service.parts` decides."""
    machine, config = case.machine, case.chosen
    if config.journal.enabled != "auto":
        return bool(config.journal.enabled)
    return (
        config.origins.get("watch.paths") is None
        and not any(map(machine.exists, _SYSTEM_LOGS))
        and any(map(machine.exists, (_VOLATILE, _PERSISTENT)))
        and machine.program(config.journal.command) is not None
    )


def _why_not(case: Case) -> str:
    config = case.chosen
    if config.journal.enabled is False:
        return "[journal] enabled = false"
    if config.origins.get("watch.paths") is not None:
        return "[watch] paths are set ([journal] enabled = true reads both)"
    return "a syslog daemon writes the same lines below /var/log"


def _readable(case: Case, folder: str) -> Finding:
    """Tell whether the account may read the system's journal, by the rights of its newest file."""
    machine, account = case.machine, case.machine.account
    members = [
        name for name in _GROUPS if (gid := machine.group_id(name)) and gid in account.groups
    ]
    for below in machine.inside(folder):
        path = f"{folder}/{below}/system.journal"
        if machine.exists(path):
            obstacle = case.access.obstacle(path)
            if obstacle is None:
                return found_ok(f"{account.who} may read all of it")
            return _locked_out(case)
    if account.all_powerful or members:
        which = "as root" if account.all_powerful else f"as a member of {members[0]}"
        return found_ok(f"{account.who} may read all of it, {which}")
    return _locked_out(case)


def _locked_out(case: Case) -> Finding:
    account = case.machine.account
    fix = f"sudo usermod -aG systemd-journal {account.name}, then log in again"
    if account.unit:
        fix = "systemctl edit logagent: [Service] SupplementaryGroups=systemd-journal"
    return problem(f"{account.who} may not read the system's journal, only entries of its own", fix)


def listeners(case: Case) -> Iterator[Finding]:
    """Try every address that is listened on."""
    config = case.chosen
    wanted = [
        ("syslog.udp", config.syslog.udp, socket.SOCK_DGRAM),
        ("syslog.tcp", config.syslog.tcp, socket.SOCK_STREAM),
        ("prometheus.listen", config.prometheus.listen, socket.SOCK_STREAM),
    ]
    found = False
    for key, address, kind in wanted:
        if address:
            found = True
            yield _tried(case, key, address, kind)
    if not found:
        yield found_ok("the agent listens on no port")


def _tried(case: Case, key: str, address: str, kind: socket.SocketKind) -> Finding:
    said = f"{key} {address}"
    host, port = host_and_port(address, 0)
    if (refusal := _privileged(case, port)) is not None:
        return problem(
            f"{said}: {refusal}",
            "listen on a port above 1023, or: systemctl edit logagent: "
            "AmbientCapabilities=CAP_NET_BIND_SERVICE (see systemd/logagent-network.conf)",
        )
    where = _address(case, key, host, port, kind)
    if not isinstance(where, tuple):
        return where
    try:
        with socket.socket(where[0], kind) as trial:
            if kind == socket.SOCK_STREAM:  # as the agent does: not in the way of old connections
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where[3])
    except OSError as error:
        return _refused(case, said, port, kind, error)
    return found_ok(f"{said}: can be listened on")


def _privileged(case: Case, port: int) -> str | None:
    """Return why another account than ours may not listen on a port; None: nothing is known."""
    machine = case.machine
    if machine.account.own or machine.account.all_powerful or not port:
        return None
    first = machine.number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    capable = case.unit is not None and "CAP_NET_BIND_SERVICE" in case.unit.words(
        "AmbientCapabilities"
    )
    if port < (_PRIVILEGED_PORT if first is None else first) and not (
        machine.account.unit and capable
    ):
        return f"{machine.account.who} may not listen on a port below {first or _PRIVILEGED_PORT}"
    return None


def _address(
    case: Case, key: str, host: str, port: int, kind: socket.SocketKind
) -> Address | Finding:
    if not host:
        host = "127.0.0.1" if key == "prometheus.listen" else "0.0.0.0"  # noqa: S104 - as asked
    if found := numeric(host, port, kind):
        return found[0]
    if not case.network and host != "localhost":
        return note(f"{key}: {host} is a name, not looked up", "logagent doctor --network")
    answer = Lookup(lambda: look_up(host, port, kind)).wait(time.monotonic() + _LOOK_UP_SECONDS)
    if isinstance(answer, list):
        return answer[0]
    return problem(f"{key}: {host} has no address", f"getent ahosts {host}; or name an address")


def _refused(case: Case, said: str, port: int, kind: socket.SocketKind, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if case.lock_holder is not None:
            return found_ok(f"{said}: in use, by the running agent as it seems")
        letter = "u" if kind == socket.SOCK_DGRAM else "t"
        return problem(
            f"{said}: in use by another program", f"sudo ss -ln{letter}p 'sport = :{port}'"
        )
    if error.errno == errno.EACCES:
        return problem(
            f"{said}: {case.machine.account.who} may not listen on a port below {_PRIVILEGED_PORT}",
            "listen on 5514, say, or give the service CAP_NET_BIND_SERVICE "
            "(see systemd/logagent-network.conf)",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return problem(f"{said}: no such address on this machine", "ip -brief address")
    return problem(f"{said}: {error.strerror or error}", "ip -brief address")
