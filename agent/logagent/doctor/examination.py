"""All checks, in the order in which they are told, and what becomes of one that fails itself.

Guarantees: nothing is raised, whatever a check comes across; a check that needs a configuration is
not begun without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from logagent.doctor.case import Case
from logagent.doctor.clock import clock, time_zone
from logagent.doctor.findings import Finding, Status
from logagent.doctor.kernel import inotify, memory, open_files
from logagent.doctor.listeners import journal, listeners
from logagent.doctor.outlets import reachable, sinks
from logagent.doctor.sequences import sequences
from logagent.doctor.settings import configuration
from logagent.doctor.software import backend, bundle, versions
from logagent.doctor.storage import disk, overrides, state
from logagent.doctor.systemd import sandbox, service
from logagent.doctor.watched import inputs

__all__ = ["CHECKS", "Check", "examine"]

Check = Callable[[Case], Iterator[Finding]]

CHECKS: Final[tuple[tuple[str, Check, bool], ...]] = (
    ("versions", versions, False),
    ("configuration", configuration, False),
    ("bundle", bundle, True),
    ("backend", backend, True),
    ("inputs", inputs, True),
    ("journal", journal, True),
    ("listeners", listeners, True),
    ("inotify", inotify, True),
    ("open-files", open_files, True),
    ("clock", clock, False),
    ("time-zone", time_zone, False),
    ("disk", disk, True),
    ("memory", memory, True),
    ("state", state, True),
    ("overrides", overrides, True),
    ("sequences", sequences, True),
    ("sinks", sinks, True),
    ("network", reachable, True),
    ("service", service, False),
    ("sandbox", sandbox, True),
)
"""Name, function, whether it needs a configuration that can be used."""


def examine(case: Case) -> Iterator[Finding]:
    """Yield what every check finds, as it is found."""
    skipped = []
    for name, check, needs_config in CHECKS:
        if needs_config and case.config is None:
            skipped.append(name)
            continue
        yield from (replace(finding, check=name) for finding in _tried(check, case))
    if skipped:
        said = f"not looked at without a configuration: {', '.join(skipped)}"
        yield Finding("configuration", Status.note, said)


def _tried(check: Check, case: Case) -> Iterator[Finding]:
    try:
        yield from check(case)
    except PermissionError as error:
        said = f"could not look: {error.strerror}" + (
            f": {error.filename}" if error.filename else ""
        )
        yield Finding("", Status.warning, said, "sudo logagent doctor")
    except Exception as error:  # a check must not keep the others from being made
        said = f"could not look: {type(error).__name__}: {error}"
        yield Finding("", Status.warning, said, "report it, please, with `logagent doctor --json`")
