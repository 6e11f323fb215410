"""What `logagent doctor` does: look at the machine as `logagent run` would find it, and say so.

Guarantees: nothing is changed; what is printed is printable; the exit code is `EXIT_UNWELL` if
there is a problem, 0 otherwise, warnings or not.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from logagent.config import Config, load
from logagent.doctor import Case, Finding, Machine, Status, examine
from logagent.doctor.machine import this_machine
from logagent.doctor.units import account_of, installed_unit
from logagent.errors import EXIT_OK, EXIT_UNWELL, ConfigError

__all__ = ["doctor_command", "lines"]

_COLOURS = {Status.ok: "32", Status.note: "36", Status.warning: "33", Status.problem: "1;31"}
_STATUS_CHARS = max(len(status) for status in Status)
_CHECK_CHARS = 13  # the longest name of a check


def doctor_command(
    config: Path | None,
    state_dir: Path | None,
    user: str | None,
    *,
    as_json: bool = False,
    network: bool = False,
    machine: Machine | None = None,
) -> int:
    """Examine a machine, print what was found.

    Args:
        config: configuration file; None: the one that `logagent run` reads.
        state_dir: state folder instead of the configured one.
        user: whose rights count; None: those of who runs this.
        as_json: print one JSON list.
        network: names may be looked up and addresses connected to.
        machine: another one than this.

    Returns:
        `EXIT_OK`, or `EXIT_UNWELL` if there is a problem.

    Raises:
        ConfigError: there is no such user.
    """
    machine = this_machine() if machine is None else machine
    unit = installed_unit(machine)
    if user is not None:
        account = account_of(machine, user, unit)
        own = account.uid == machine.account.uid and machine.account.own and not account.unit
        machine = replace(machine, account=machine.account if own else account)
    if config is None and machine.account.unit:  # the unit's CONFIGURATION_DIRECTORY
        there = Path("/etc/logagent/logagent.toml")
        config = there if machine.exists(str(there)) else None
    chosen, wrong = _configuration(config, state_dir)
    findings = examine(Case(machine, chosen, wrong, network=network))
    if as_json:
        every = list(findings)
        sys.stdout.write(json.dumps([each.record() for each in every], indent=2) + "\n")
        return _code(every)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    seen: list[Finding] = []
    for finding in findings:  # as they come: a look over the network takes seconds
        seen.append(finding)
        for line in lines([finding], colour=colour):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    sys.stdout.write(_total(seen) + "\n")
    return _code(seen)


def _configuration(
    file: Path | None, state_dir: Path | None
) -> tuple[Config | None, ConfigError | None]:
    overrides = {"state.dir": None if state_dir is None else str(state_dir)}
    try:
        return load(file, overrides), None
    except ConfigError as error:
        return None, error


def _code(findings: Iterable[Finding]) -> int:
    unwell = any(finding.status is Status.problem for finding in findings)
    return EXIT_UNWELL if unwell else EXIT_OK


def lines(findings: Iterable[Finding], *, colour: bool) -> Iterator[str]:
    """Yield what people read: a line per finding, below it what to do."""
    indent = " " * (_STATUS_CHARS + _CHECK_CHARS + 2)
    for finding in findings:
        status = f"{finding.status.value:<{_STATUS_CHARS}}"
        if colour:
            status = f"\x1b[{_COLOURS[finding.status]}m{status}\x1b[0m"
        yield f"{status} {finding.check:<{_CHECK_CHARS}} {finding.found}"
        if finding.fix:
            yield f"{indent}fix: {finding.fix}"


def _total(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.status for finding in findings)
    parts = []
    for status in (Status.problem, Status.warning, Status.note, Status.ok):
        plural = "" if status is Status.ok or counts[status] == 1 else "s"
        parts.append(f"{counts[status]} {status.value}{plural}")
    return ", ".join(parts)
