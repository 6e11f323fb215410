"""Checks of the service: is the unit there, does it run, does its sandbox fit the settings.

Guarantees: systemctl is only asked, for five seconds at most, and only where systemd runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, found_ok, note, problem, quoted, warning
from logagent.doctor.units import UNIT, Unit

__all__ = ["sandbox", "service"]

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts")
_HOMES = ("/home/", "/root/", "/run/user/")  # what ProtectHome= hides, systemd.exec(5)
_MANY_RESTARTS = 3


def service(case: Case) -> Iterator[Finding]:
    """Tell whether the unit is installed, enabled and running."""
    unit = case.unit
    if not case.machine.exists("/run/systemd/system"):
        yield note("systemd does not run here: something else has to start `logagent run`")
        if unit is not None:
            yield found_ok(f"the unit is installed, {unit.file}")
        return
    if unit is None:
        yield note(
            f"{UNIT} is not installed",
            f"sudo cp systemd/{UNIT} /etc/systemd/system/ && sudo systemctl enable --now logagent",
        )
        return
    yield found_ok(f"the unit is installed, {unit.file}")
    answer = case.machine.output(
        ["systemctl", "show", UNIT, "--no-pager", f"--property={','.join(_PROPERTIES)}"]
    )
    if answer is None or answer[0]:
        yield note("systemctl does not answer", f"systemctl status {UNIT}")
        return
    facts = dict(line.split("=", 1) for line in answer[1].splitlines() if "=" in line)
    active, said = facts.get("ActiveState", "unknown"), facts.get("SubState", "")
    restarts = int(facts["NRestarts"]) if facts.get("NRestarts", "").isdigit() else 0
    if active == "failed":
        yield problem(
            "it failed", "sudo journalctl -u logagent -n 20; sudo systemctl restart logagent"
        )
    elif active in ("active", "reloading"):
        yield found_ok(f"it runs, process {facts.get('MainPID', '?')}")
    elif active == "activating":
        yield warning(f"it is being started ({said})", "sudo journalctl -u logagent -n 20")
    else:
        yield warning(f"it does not run ({active})", "sudo systemctl enable --now logagent")
    if restarts > _MANY_RESTARTS:
        yield warning(
            f"it was restarted {restarts} times", "sudo journalctl -u logagent -p warning"
        )
    if facts.get("UnitFileState") == "disabled":
        yield warning("it is not started at boot", "sudo systemctl enable logagent")


def sandbox(case: Case) -> Iterator[Finding]:
    """Tell where the unit keeps the agent from what its configuration asks for."""
    unit = case.unit
    if unit is None:
        return
    found = [*_hidden_logs(case, unit), *_no_network(case, unit), *_write_protected(case, unit)]
    found += _groups(case, unit)
    yield from found or [found_ok("the unit allows what the configuration asks for")]


def _groups(case: Case, unit: Unit) -> Iterator[Finding]:
    """Tell of groups without which the service does not start."""
    names = unit.words("SupplementaryGroups")
    missing = [each for each in names if case.machine.group_id(each) is None]
    if missing:
        yield problem(
            f"the unit joins groups that are not there: {', '.join(missing)}; it will not start",
            "systemctl edit logagent: [Service] SupplementaryGroups= (empty), then those there are",
        )


def _hidden_logs(case: Case, unit: Unit) -> Iterator[Finding]:
    home = unit.values.get("ProtectHome", "no")
    shown = [each.lstrip("-").partition(":")[0] for each in unit.words("BindReadOnlyPaths")]
    shown += [each.lstrip("-").partition(":")[0] for each in unit.words("BindPaths")]
    hidden = [
        path
        for path in case.paths
        if path.startswith(_HOMES) and not any(_below(path, each) for each in shown)
    ]
    if hidden and home.lower() in ("yes", "true", "on", "1", "tmpfs"):
        yield problem(
            f"ProtectHome={home} hides {', '.join(hidden[:3])}",
            f"systemctl edit logagent: ProtectHome=tmpfs, BindReadOnlyPaths=-{hidden[0]} "
            "(see systemd/logagent-paths.conf)",
        )


def _no_network(case: Case, unit: Unit) -> Iterator[Finding]:
    config = case.chosen
    wants = {
        "sinks.syslog": "://" in config.sinks.syslog,
        "webhook": bool(config.webhook.url or config.webhook.url_file),
        "mqtt": bool(config.mqtt.address),
        "syslog": bool(config.syslog.udp or config.syslog.tcp),
        "prometheus.listen": bool(config.prometheus.listen),
    }
    wanting = [name for name, on in wants.items() if on]
    if wanting and unit.is_set("PrivateNetwork"):
        yield problem(
            f"PrivateNetwork=yes, but {', '.join(wanting)} needs the network",
            "install systemd/logagent-network.conf as a drop-in, then systemctl daemon-reload",
        )


def _write_protected(case: Case, unit: Unit) -> Iterator[Finding]:
    config = case.chosen
    if unit.values.get("ProtectSystem") != "strict":
        return
    allowed = [each.lstrip("-+") for each in unit.words("ReadWritePaths")]
    state = unit.values.get("StateDirectory", "").split()
    allowed += [f"{base}/{each}" for each in state for base in ("/var/lib", "/var/lib/private")]
    allowed += ["/tmp", "/var/tmp", "/dev", "/proc"]  # noqa: S108 - its own, PrivateTmp=
    for key, path in (
        ("sinks.jsonl", config.sinks.jsonl),
        ("prometheus.textfile", config.prometheus.textfile),
        ("state.dir", config.state.dir),
    ):
        if path and not any(_below(os.path.abspath(path), each) for each in allowed):
            folder = path if key == "state.dir" else os.path.dirname(os.path.abspath(path))
            yield problem(
                f"{key}: the unit may not write {path}",
                f"systemctl edit logagent: [Service] ReadWritePaths={quoted(folder)}",
            )


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
