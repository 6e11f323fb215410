"""Checks of the sinks: where alerts go, and what that needs: files, programs, secrets, addresses.

Guarantees: a secret is read only to see that it is one, and neither it nor an address that is a
secret is in a finding; names are looked up and ports connected to only if the network may be used,
`_NETWORK_SECONDS` each at most; nothing is sent.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from logagent.config import Config
from logagent.config_rules import host_and_port, mqtt_address, web_address
from logagent.doctor.access import WRITE
from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, counted, found_ok, note, problem, quoted, warning
from logagent.sinks.lookup import Lookup, look_up
from logagent.sinks.secret_files import read_secret, told_to_others

__all__ = ["reachable", "sinks"]

_NETWORK_SECONDS = 3.0  # for a name, and for a connection
_CERTIFICATE = b"-----BEGIN "  # what every object of a PEM file begins with
_CA_BYTES = 4 * 1024 * 1024  # [bytes] looked at; all authorities there are take 250 KiB


def sinks(case: Case) -> Iterator[Finding]:
    """Tell which sinks are on, and look at the files and programs they need."""
    config = case.chosen
    yield found_ok("alerts go to " + ", ".join(_names(config)))
    yield from _files(case)
    if config.sinks.syslog == "local" and not case.machine.exists("/dev/log"):
        yield problem("sinks.syslog: nobody listens at /dev/log", "install rsyslog, or use another")
    if config.sinks.journal and not case.machine.exists("/run/systemd/journal/socket"):
        yield problem("sinks.journal: there is no journald", "set [sinks] journal = false")
    if config.mail.to and case.machine.program(config.mail.command) is None:
        yield problem(
            f"mail.command: {config.mail.command} is not there, or no program",
            "sudo apt install msmtp-mta, or name yours in [mail] command",
        )
    if config.webhook.token_file and config.webhook.url.startswith("http://"):
        yield warning("webhook.token_file: its token goes over http:// unencrypted", "use https://")
    for key, path in config.secret_files().items():
        yield from _secret(case, key, path)
    for key, path in _authorities(config).items():
        if path:
            yield from _authority(case, key, path)


def _names(config: Config) -> list[str]:
    """Return what the sinks that are on are called."""
    wanted = {
        "standard output": config.sinks.stdout,
        f"the file {config.sinks.jsonl}": config.sinks.jsonl,
        f"syslog ({config.sinks.syslog})": config.sinks.syslog,
        "the journal": config.sinks.journal,
        "a webhook": config.webhook.url or config.webhook.url_file,
        f"MQTT ({config.mqtt.address})": config.mqtt.address,
        f"mail ({counted(len(config.mail.to), 'recipient')})": config.mail.to,
    }
    return [name for name, on in wanted.items() if on]


def _files(case: Case) -> Iterator[Finding]:
    """Look at the folders of files that are written, and whether the unit lets them be."""
    config, machine = case.chosen, case.machine
    for key, path in (
        ("sinks.jsonl", config.sinks.jsonl),
        ("prometheus.textfile", config.prometheus.textfile),
    ):
        if not path:
            continue
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(machine.at(folder)):
            yield problem(f"{key}: there is no folder {folder}", f"sudo mkdir -p {quoted(folder)}")
            continue
        obstacle = case.access.obstacle(folder, WRITE)
        if obstacle is not None and not folder.startswith(case.state_folder):
            yield problem(
                f"{key}: {machine.account.who} may not write into {folder} ({obstacle.reason})",
                obstacle.fix(machine),
            )


def _secret(case: Case, key: str, path: str) -> Iterator[Finding]:
    machine = case.machine
    place = machine.at(path)
    try:
        obstacle = case.access.obstacle(path)
    except OSError as error:
        yield problem(
            f"{key}: {path}: {error.strerror}",
            f"sudo install -m 600 /dev/null {quoted(path)}, then write the secret into it",
        )
        return
    if obstacle is not None:
        yield problem(
            f"{key}: {path}: {machine.account.who} cannot read it ({obstacle.reason})",
            "systemctl edit logagent: LoadCredential=, see docs/operations.md"
            if machine.account.unit
            else f"sudo chown {quoted(machine.account.name)} {quoted(path)}",
        )
        return
    if told_to_others(place):
        mode = stat.S_IMODE(os.stat(place).st_mode)
        yield warning(
            f"{key}: {path}: holds a secret, and others may read it (mode {mode:04o})",
            f"sudo chmod o-rwx {quoted(path)}",
        )
    try:
        read_secret(place)
    except PermissionError:
        yield note(f"{key}: {path}: not looked at", "sudo logagent doctor")
    except OSError as error:  # names the file, and nothing of what is in it
        yield problem(f"{key}: {error.strerror}", f"write the secret alone into {quoted(path)}")
    else:
        yield found_ok(f"{key}: {path} holds a secret")


def _authorities(config: Config) -> dict[str, str]:
    return {
        "sinks.syslog_ca_file": config.sinks.syslog_ca_file,
        "webhook.ca_file": config.webhook.ca_file,
        "mqtt.ca_file": config.mqtt.ca_file,
    }


def _authority(case: Case, key: str, path: str) -> Iterator[Finding]:
    try:
        obstacle = case.access.obstacle(path)
        if obstacle is not None:
            yield problem(f"{key}: {path}: {obstacle.reason}", obstacle.fix(case.machine))
            return
        with open(case.machine.at(path), "rb") as file:
            data = file.read(_CA_BYTES)
    except OSError as error:
        yield problem(f"{key}: {path}: {error.strerror}", f"ls -l {quoted(path)}")
        return
    if _CERTIFICATE not in data:
        yield problem(
            f"{key}: {path}: holds no certificate in PEM form",
            f"openssl x509 -inform DER -in {quoted(path)} -out {quoted(path)}.pem",
        )
    else:
        yield found_ok(f"{key}: {path} holds certificates")


@dataclass(frozen=True, slots=True)
class _Target:
    """Who is to be reached."""

    key: str
    host: str
    port: int
    datagrams: bool = False
    secret: bool = False
    """Whether its address must not be shown."""

    @property
    def shown(self) -> str:
        return "the address in its file" if self.secret else f"{self.host}, port {self.port}"


def reachable(case: Case) -> Iterator[Finding]:
    """Look up and connect to where alerts go over the network, if that is allowed."""
    targets = list(_targets(case))
    if not targets:
        return
    if not case.network:
        yield note(
            f"not tried, as nothing is without being asked: {', '.join(t.key for t in targets)}",
            "logagent doctor --network",
        )
        return
    if case.unit is not None and case.machine.account.own:
        yield note("tried from here; the unit may have less network than this session")
    for target in targets:
        yield _reached(target)


def _targets(case: Case) -> Iterator[_Target]:
    config = case.chosen
    scheme, _, rest = config.sinks.syslog.partition("://")
    if rest:
        host, port = host_and_port(rest)
        yield _Target("sinks.syslog", host, port, datagrams=scheme == "udp")
    if config.webhook.url:
        _, host, port, _ = web_address(config.webhook.url)
        yield _Target("webhook.url", host, port)
    elif config.webhook.url_file:
        with suppress(OSError, ValueError):  # told by `_secret`
            url = read_secret(case.machine.at(config.webhook.url_file))
            _, host, port, _ = web_address(url)
            yield _Target("webhook.url_file", host, port, secret=True)
    if config.mqtt.address:
        _, host, port = mqtt_address(config.mqtt.address)
        yield _Target("mqtt.address", host, port)


def _reached(target: _Target) -> Finding:
    kind = socket.SOCK_DGRAM if target.datagrams else socket.SOCK_STREAM
    answer = Lookup(lambda: look_up(target.host, target.port, kind)).wait(
        time.monotonic() + _NETWORK_SECONDS
    )
    name = "HOST" if target.secret else target.host
    if not isinstance(answer, list):
        why = "no answer" if answer is None else answer.strerror or "no address"
        return problem(f"{target.key}: {target.shown}: {why}", f"getent ahosts {name}")
    if target.datagrams:
        return found_ok(f"{target.key}: {target.shown}: has an address; datagrams are not answered")
    deadline = time.monotonic() + _NETWORK_SECONDS
    why = ""
    for family, type_, protocol, where in answer:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            with socket.socket(family, type_, protocol) as connection:
                connection.settimeout(left)
                connection.connect(where)
                return found_ok(f"{target.key}: {target.shown}: takes connections")
        except OSError as error:
            why = error.strerror or "no answer"
    return problem(f"{target.key}: {target.shown}: {why or 'no answer'}",
                   f"nc -vz {name} {'PORT' if target.secret else target.port}")  # fmt: skip
