"""Checks of what the kernel grants: inotify, open files, memory.

Guarantees: one inotify instance is opened and closed, on the machine itself only.
"""

from __future__ import annotations

from collections.abc import Iterator

from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, counted, found_ok, note, problem, warning
from logagent.doctor.machine import Machine
from logagent.report import size_text

__all__ = ["inotify", "memory", "open_files"]

_SPARE_DESCRIPTORS = 96  # as `logagent.service.parts` keeps for sockets, sinks, the bundle
_MIB = 1024 * 1024
_NEEDED_BYTES = {"numpy": 30 * _MIB, "onnxruntime": 45 * _MIB}
"""[bytes] Private memory with a few files, as docs/operations.md has it, and some room."""
_COMFORT_BYTES = 64 * _MIB  # [bytes] the unit's MemoryMax: with bursts and page cache
_UNLIMITED = 1 << 60  # [bytes] cgroup 1 writes a number near 2^63 for no limit


def inotify(case: Case) -> Iterator[Finding]:
    """Compare the limits of inotify with the folders to watch."""
    machine = case.machine
    folders = len(case.listing.folders) if case.paths else 0
    watches = machine.number("/proc/sys/fs/inotify/max_user_watches")
    instances = machine.number("/proc/sys/fs/inotify/max_user_instances")
    seconds = f"{case.chosen.watch.poll_seconds:g} s"
    if watches is None or instances is None:
        yield note(f"this kernel has no inotify, or hides it: files are looked at every {seconds}")
        return
    if instances < 1 or (reason := _refusal(machine)):
        said = "max_user_instances is 0" if instances < 1 else reason
        yield warning(
            f"{said}; files are looked at every {seconds}",
            f"sudo sysctl -w fs.inotify.max_user_instances={max(2 * instances, 128)}",
        )
        return
    said = (
        f"{counted(folders, 'folder')} to watch, "
        f"{watches:,} allowed to all of a user's programs together"
    )
    if folders > watches:
        yield warning(
            f"{said}; the rest is looked at every {seconds}",
            f"sudo sysctl -w fs.inotify.max_user_watches={max(2 * folders, 8192)}",
        )
    elif 2 * folders > watches:
        yield note(said, f"sudo sysctl -w fs.inotify.max_user_watches={max(4 * folders, 8192)}")
    else:
        yield found_ok(said)


def _refusal(machine: Machine) -> str:
    """Return why there is no instance to be had; empty if there is one, or nobody to ask."""
    if not (machine.real and machine.account.own):
        return ""
    from logagent.inputs.inotify import Inotify  # noqa: PLC0415

    said: list[str] = []
    instance = Inotify.open(said.append)
    if instance is not None:
        instance.close()
    return said[0] if said else ""


def open_files(case: Case) -> Iterator[Finding]:
    """Compare the limit of open files with the files to follow."""
    import resource  # noqa: PLC0415

    unit = case.unit
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    whose = "this session"
    if case.machine.account.unit and unit is not None:
        text = unit.values.get("LimitNOFILE", "").rpartition(":")[2]
        if text.isdigit():
            limit, whose = int(text), "the unit"
    files = len(case.listing.entries) if case.paths else 0
    shown = "any number" if limit == resource.RLIM_INFINITY else f"{limit:,}"
    said = f"{counted(files, 'file')} to follow, {whose} may open {shown}"
    if limit != resource.RLIM_INFINITY and limit < files + _SPARE_DESCRIPTORS:
        fix = f"systemctl edit logagent: [Service] LimitNOFILE={2 * files + _SPARE_DESCRIPTORS}"
        if whose != "the unit":
            fix = f"ulimit -n {2 * files + _SPARE_DESCRIPTORS}"
        yield warning(f"{said}; files are opened and closed in turns", fix)
    else:
        yield found_ok(said)


def memory(case: Case) -> Iterator[Finding]:
    """Compare the memory there is with what the agent takes."""
    machine = case.machine
    needed = _NEEDED_BYTES[_backend(case)]
    smaller = 'set [model] backend = "numpy" and watch fewer files'
    facts = _meminfo(machine)
    total, available = facts.get("MemTotal"), facts.get("MemAvailable", facts.get("MemFree"))
    wants = f"the agent takes about {size_text(needed)}"
    if total is None or available is None:
        yield note(f"/proc/meminfo tells nothing; {wants}")
    elif available < needed:
        yield (problem if total < needed else warning)(
            f"{size_text(available)} of {size_text(total)} available; {wants}", smaller
        )
    elif available < 2 * _COMFORT_BYTES and total < 4 * _COMFORT_BYTES:
        yield note(f"{size_text(available)} of {size_text(total)} available; {wants}", smaller)
    else:
        yield found_ok(f"{size_text(available)} of {size_text(total)} available; {wants}")
    for whose, limit in _limits(case):
        if limit < needed:
            yield problem(
                f"{whose} allows {size_text(limit)}; {wants}, so it would be killed",
                "systemctl edit logagent: [Service] MemoryMax=64M",
            )
        elif limit <= 4 * _COMFORT_BYTES:
            yield found_ok(f"{whose} allows {size_text(limit)}")


def _backend(case: Case) -> str:
    from importlib.util import find_spec  # noqa: PLC0415

    asked = case.chosen.model.backend
    if asked == "auto":
        return "onnxruntime" if find_spec("onnxruntime") else "numpy"
    return asked


def _meminfo(machine: Machine) -> dict[str, int]:
    """Return /proc/meminfo [bytes]."""
    found = {}
    for line in (machine.text("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            found[name] = int(number[0]) * 1024
    return found


def _limits(case: Case) -> Iterator[tuple[str, int]]:
    """Yield (who sets it, limit [bytes])."""
    if case.unit is not None:
        limit = _size(case.unit.values.get("MemoryMax", ""))
        if limit is not None:
            yield "the unit's MemoryMax", limit
    machine = case.machine
    for line in (machine.text("/proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in ("", "memory"):
            continue
        base = "/sys/fs/cgroup/memory" if controllers else "/sys/fs/cgroup"
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        parts = [part for part in path.split("/") if part]
        found = [
            limit
            for depth in range(len(parts) + 1)
            if (limit := machine.number("/".join([base, *parts[:depth], name]))) is not None
        ]
        if found and min(found) < _UNLIMITED:
            yield "the control group of this session", min(found)


def _size(text: str) -> int | None:
    """Return a size as systemd writes it [bytes]; None for no limit, or a share of the memory."""
    factor = {"K": 1024, "M": _MIB, "G": 1024 * _MIB}.get(text[-1:], 1)
    digits = text.rstrip("KMG")
    return int(digits) * factor if digits.isdigit() else None
