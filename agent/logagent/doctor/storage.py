"""Checks of disks, of the state folder and of what is in it.

Guarantees: nothing is written, no lock is taken; the saved state is decoded by what `logagent run`
decodes it with, and nothing of it is shown.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from logagent.doctor.access import WRITE
from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, counted, found_ok, note, problem, quoted, warning
from logagent.doctor.machine import Machine, Mount
from logagent.report import size_text

__all__ = ["disk", "overrides", "state"]

_STATE_BYTES = 2 * 1024 * 1024  # [bytes] two versions and a temporary one, of some 1,000 files
_LEAST_BYTES = 1024 * 1024  # [bytes] below, not even the state of an ordinary machine can be saved
_LEAST_INODES = 64  # state, spool and rotated files need a dozen
_VOLATILE = frozenset({"tmpfs", "ramfs", "rootfs"})
_FLASH = ("/dev/mmcblk", "/dev/mtdblock", "ubi", "mtd:")
_FLASH_KINDS = frozenset({"jffs2", "ubifs", "f2fs", "yaffs2"})
_OVERRIDES_PROBLEMS = 5  # of a file; they tend to have one cause


def disk(case: Case) -> Iterator[Finding]:
    """Look at the file systems that are written to."""
    sinks = case.chosen.sinks
    places = {case.state_folder: ("the state", _STATE_BYTES + sinks.spool_bytes)}
    if sinks.jsonl:
        folder = os.path.dirname(os.path.abspath(sinks.jsonl))
        room = sinks.jsonl_max_bytes * (sinks.jsonl_keep + 1)
        places.setdefault(folder, ("sinks.jsonl", room))
    if case.chosen.prometheus.textfile:
        folder = os.path.dirname(os.path.abspath(case.chosen.prometheus.textfile))
        places.setdefault(folder, ("prometheus.textfile", _LEAST_BYTES))
    for folder, (what, wanted) in places.items():
        there = case.machine.nearest(folder)
        yield from _room(case.machine, there, what, wanted)
        mount = case.machine.mount_of(there)
        if mount is not None:
            yield from _medium(mount, folder, what, case.chosen.state.save_seconds)


def _room(machine: Machine, folder: str, what: str, wanted: int) -> Iterator[Finding]:
    try:
        facts = machine.statvfs(machine.at(folder))
    except OSError as error:
        yield problem(f"{what}: {folder}: {error.strerror}", f"ls -ld {quoted(folder)}")
        return
    if facts.f_flag & os.ST_RDONLY:
        yield problem(
            f"{what}: {folder} is on a file system that is mounted read-only",
            "name another folder: --state-dir, [state] dir" if what == "the state"
            else f"name another one in [{what.replace('.', '] ')}",
        )  # fmt: skip
        return
    blocks = facts.f_bfree if machine.account.all_powerful else facts.f_bavail
    free = blocks * facts.f_frsize
    said = f"{what}: {size_text(free)} free at {folder}"
    cure = f"du -xh --max-depth=2 {quoted(folder)} | sort -h | tail; make room"
    if free < _LEAST_BYTES:
        yield problem(said, cure)
    elif free < wanted:
        yield warning(f"{said}; it may grow to {size_text(wanted)}", cure)
    else:
        yield found_ok(said)
    if facts.f_files and facts.f_favail < _LEAST_INODES:
        yield problem(
            f"{what}: only {facts.f_favail} inodes left at {folder}: no file can be made",
            f"df -i {quoted(folder)}; remove small files",
        )


def _medium(mount: Mount, folder: str, what: str, save_seconds: float) -> Iterator[Finding]:
    if mount.kind in _VOLATILE:
        lost = "positions and alerts that wait are" if what == "the state" else "it is"
        yield warning(
            f"{what}: {folder} is in memory ({mount.kind}): {lost} lost at a reboot",
            '[state] dir = "/var/lib/logagent", or any folder on a disk'
            if what == "the state"
            else f"a folder on a disk for {what}",
        )
    elif mount.kind == "overlay":
        yield note(
            f"{what}: {folder} is on an overlay, as in containers and read-only systems: it may be "
            "gone after a restart",
            f"mount a volume at {quoted(folder)}",
        )
    elif mount.source.startswith(_FLASH) or mount.kind in _FLASH_KINDS:
        yield note(
            f"{what}: {folder} is on flash ({mount.source}, {mount.kind}); the state is written at "
            f"most every {save_seconds:g} s, and only when it changed",
            "[state] save_seconds = 60 wears it less; after a crash that much is told twice",
        )


def state(case: Case) -> Iterator[Finding]:
    """Look at the state folder and what is saved in it."""
    machine, folder = case.machine, case.state_folder
    account = machine.account
    try:
        status = os.stat(machine.at(folder))
    except FileNotFoundError:
        yield from _absent(case, folder)
        return
    except OSError as error:
        yield note(f"{folder}: {error.strerror}; not looked at", "sudo logagent doctor")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield problem(f"{folder} is not a folder", f"ls -ld {quoted(folder)}")
        return
    obstacle = None if account.unit else case.access.obstacle(folder, WRITE)
    if obstacle is not None:
        yield problem(
            f"{folder}: {account.who} may not write it",
            f"sudo chown -R {quoted(account.name)} {quoted(folder)}, or --state-dir DIR",
        )
    elif status.st_mode & 0o077 and not account.unit:
        yield warning(
            f"{folder}: others may look into it (mode {stat.S_IMODE(status.st_mode):04o}); "
            "it holds lines of logs",
            f"sudo chmod 700 {quoted(folder)}",
        )
    else:
        yield found_ok(f"{folder} is there")
    yield from _saved(case, folder)
    yield from _holder(case, folder)


def _absent(case: Case, folder: str) -> Iterator[Finding]:
    if case.machine.account.unit:
        yield found_ok(f"{folder}: systemd makes it at the first start")
        return
    above = case.machine.nearest(folder)
    if case.access.obstacle(above, WRITE) is None:
        yield found_ok(f"{folder}: made at the first start")
    else:
        name = case.machine.account.name
        yield problem(
            f"{folder} is not there, and user {name} may not make it in {above}",
            f"sudo install -d -m 700 -o {quoted(name)} {quoted(folder)}, or --state-dir DIR",
        )


def _saved(case: Case, folder: str) -> Iterator[Finding]:
    """Tell when the state was saved, and whether it can be used."""
    from logagent.service import state as saved  # noqa: PLC0415 - with its own reader

    path = Path(case.machine.at(f"{folder}/state"))
    try:
        saved._decode(saved._read(path))
        age = case.machine.now() - path.stat().st_mtime
        yield found_ok(f"state saved {_ago(age)}; it loads")
    except FileNotFoundError:
        yield note("nothing saved yet: the next start is the first")
    except OSError as error:
        yield note(f"{folder}/state: {error.strerror}; not looked at", "sudo logagent doctor")
    except ValueError as error:
        yield warning(
            f"{folder}/state: {error}; the next start sets it aside and uses the one before it",
            "start logagent, then look at logagent status",
        )
    aside = [name for name in case.machine.inside(folder) if ".unusable-" in name]
    if aside:
        yield warning(
            f"{counted(len(aside), 'saved state')} set aside as unusable: {aside[-1]}",
            f"report it, then rm {quoted(folder)}/*.unusable-*",
        )


def _ago(seconds: float) -> str:
    if seconds < -1:
        return "in the future, by this clock"
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172800 else f"{seconds / 86400:.0f} days ago"


def _holder(case: Case, folder: str) -> Iterator[Finding]:
    pid = case.lock_holder
    if pid is None:
        yield found_ok("no agent uses it now")
    else:
        who = f"process {pid}" if pid else "a process of another container"
        status = f"logagent status --state-dir {quoted(folder)}"
        yield note(f"in use by a running agent, {who}; another one cannot start with it", status)


def overrides(case: Case) -> Iterator[Finding]:
    """Look at what the agent was taught: can it be read, how much of it is in force."""
    from logagent.override_entries import OverridesError, parse, read_bytes  # noqa: PLC0415

    file = f"{case.state_folder}/overrides.toml"
    try:
        data, facts = read_bytes(Path(case.machine.at(file)))
        entries = parse(data, file)
    except FileNotFoundError:
        yield found_ok("none; nothing was taught yet")
        return
    except OSError as error:
        yield note(f"{file}: {error.strerror}; not looked at", "sudo logagent doctor")
        return
    except OverridesError as error:
        for line in str(error).splitlines()[:_OVERRIDES_PROBLEMS]:
            yield problem(f"{line}; nothing of the file is in force", f"sudoedit {quoted(file)}")
        return
    now = case.machine.now()
    expired = sum(entry.expires <= now for entry in entries)
    said = f"in force: {len(entries) - expired}, expired: {expired}"
    if facts.st_mode & stat.S_IWOTH:
        yield warning(f"{said}; everybody may write it", f"sudo chmod o-w {quoted(file)}")
    else:
        yield found_ok(said)
