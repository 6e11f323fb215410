"""The systemd unit of the agent, as it is installed, and the account that it runs as.

Read from its file and drop-ins; of systemd's syntax what this needs: sections, keys, lists that an
empty value resets, continued lines.

Left to others: whether it runs (`logagent.doctor.systemd`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from logagent.doctor.machine import Account, Machine
from logagent.errors import ConfigError
from logagent.sanitise import printable

__all__ = ["UNIT", "Unit", "account_of", "installed_unit"]

UNIT: Final = "logagent.service"

_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""systemd.unit(5), highest first."""

_DYNAMIC_UID = 61184  # first of those for DynamicUser=: owns nothing that was there before
_LISTS = {
    "SupplementaryGroups",
    "ReadWritePaths",
    "BindReadOnlyPaths",
    "BindPaths",
    "AmbientCapabilities",
    "Environment",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """The [Service] section in force."""

    file: str
    """The unit's file, on the machine."""
    values: dict[str, str] = field(default_factory=dict)

    def words(self, key: str) -> list[str]:
        """Return the words of a list; none if it is not set."""
        return self.values.get(key, "").split()

    def is_set(self, key: str) -> bool:
        """Tell whether a switch is on."""
        return self.values.get(key, "").lower() in ("yes", "true", "on", "1")


def installed_unit(machine: Machine) -> Unit | None:
    """Return the unit with its drop-ins; None if it is not installed."""
    file = next((f"{each}/{UNIT}" for each in _FOLDERS if machine.exists(f"{each}/{UNIT}")), None)
    if file is None:
        return None
    drop_ins: dict[str, str] = {}
    for folder in reversed(_FOLDERS):
        for name in machine.inside(f"{folder}/{UNIT}.d"):
            if name.endswith(".conf"):
                drop_ins[name] = f"{folder}/{UNIT}.d/{name}"
    values: dict[str, str] = {}
    for each in (file, *(path for _, path in sorted(drop_ins.items()))):
        _read(machine.text(each) or "", values)
    return Unit(file, values)


def _read(text: str, values: dict[str, str]) -> None:
    section = ""
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        key, found, value = line.partition("=")
        if section != "[Service]" or not found or line.startswith(("#", ";")):
            continue
        key, value = key.strip(), value.strip()
        if key in _LISTS and value:
            value = f"{values.get(key, '')} {value}".strip()
        values[key] = value


def account_of(machine: Machine, name: str, unit: Unit | None) -> Account:
    """Return the account of that name; the unit's has the unit's groups, too.

    ``logagent`` is the unit's user where that exists only while it runs (``DynamicUser=``).

    Raises:
        ConfigError: there is no such user.
    """
    dynamic = unit is not None and unit.is_set("DynamicUser")
    units_name = "" if unit is None else unit.values.get("User") or ("logagent" if dynamic else "")
    is_unit = bool(units_name) and name == units_name
    found = _user(machine, name)
    if found is None and not (is_unit and dynamic):
        said = f"no such user; a user of this machine, such as {machine.account.name}"
        raise ConfigError(f"--user {printable(name, 100)}: {said}, is needed")
    uid, groups, home = found or (_DYNAMIC_UID, {_DYNAMIC_UID}, "")
    if is_unit and unit is not None:
        joined = (machine.group_id(each) for each in unit.words("SupplementaryGroups"))
        groups |= {gid for gid in joined if gid is not None}
    return Account(name, uid, frozenset(groups), unit=is_unit, home=home)


def _user(machine: Machine, name: str) -> tuple[int, set[int], str] | None:
    """Return a user's number, groups and home."""
    if machine.real:
        import os  # noqa: PLC0415
        import pwd  # noqa: PLC0415

        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):  # ValueError: a NUL in the name
            return None
        return entry.pw_uid, set(os.getgrouplist(name, entry.pw_gid)), entry.pw_dir
    for line in (machine.text("/etc/passwd") or "").splitlines():
        parts = line.split(":")
        if len(parts) > 3 and parts[0] == name and parts[2].isdigit() and parts[3].isdigit():
            groups = {int(parts[3])}
            for each in (machine.text("/etc/group") or "").splitlines():
                row = each.split(":")
                if len(row) > 3 and name in row[3].split(",") and row[2].isdigit():
                    groups.add(int(row[2]))
            return int(parts[2]), groups, parts[5] if len(parts) > 5 else ""
    return None
