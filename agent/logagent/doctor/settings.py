"""Check of the configuration itself: which file, is it good, what does it set.

Guarantees: names of keys are told, never their values.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from logagent.config import default_file
from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, found_ok, note, problem, quoted, warning

__all__ = ["configuration"]

_PROBLEMS = 10  # of a file; `logagent config check` has all
_KEYS = 40


def configuration(case: Case) -> Iterator[Finding]:
    """Tell what is wrong with the configuration, or what it sets."""
    if case.config is None:
        lines = str(case.config_error).splitlines()
        for line in lines[:_PROBLEMS]:
            yield problem(line, "logagent config check, with the same --config")
        if len(lines) > _PROBLEMS:
            yield note(f"… and {len(lines) - _PROBLEMS} more problems", "logagent config check")
        return
    config = case.config
    if config.file is None:
        yield found_ok(f"{default_file()}: not there; the defaults are in force")
        return
    keys = sorted(key for key, origin in config.origins.items() if origin == "file")
    shown = ", ".join(keys[:_KEYS]) + (", …" if len(keys) > _KEYS else "")
    yield found_ok(f"{config.file}: good; sets {shown or 'nothing'}")
    with suppress(OSError):
        obstacle = case.access.obstacle(str(config.file)) if case.machine.real else None
        if obstacle is not None:
            yield problem(
                f"{case.machine.account.who} cannot read it: {obstacle.path}: {obstacle.reason}",
                f"sudo chmod a+rX {quoted(obstacle.path)}",
            )
        if os.stat(config.file).st_mode & stat.S_IWOTH:
            yield warning(
                "everybody may change it, and so what the agent runs and where it sends",
                f"sudo chmod o-w {quoted(str(config.file))}",
            )
