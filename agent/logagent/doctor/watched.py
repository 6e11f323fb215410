"""Checks of the watched files: are they there, may the account read them, can they be followed.

Guarantees: at most `MAX_FILES` are looked at; of an unreadable kind `_SHOWN` are named; of a file
at most its first bytes are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from logagent.doctor.access import READ, Obstacle
from logagent.doctor.case import MAX_FILES, Case
from logagent.doctor.findings import Finding, counted, found_ok, note, problem, quoted, warning
from logagent.inputs.rotated import packed
from logagent.paths import STDIN, SourceProblem, find

__all__ = ["inputs"]

_SHOWN = 3  # names of a kind
_KINDS = 8  # different obstacles of one watched path that are told
_HEAD_BYTES = 4096  # [bytes] looked at to tell text from binary
_RECORDS = frozenset({"btmp", "wtmp", "utmp", "lastlog", "faillog", "tallylog"})
"""Logs of logins in binary, and their rotated copies, empty or not: no group is joined for them."""

_NETWORKED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "glusterfs", "lustre", "ncpfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "virtiofs", "vboxsf"}
)
"""File systems whose files other machines write, of which inotify hears nothing."""


@dataclass(slots=True)
class _Tally:
    """What became of the files of one watched path."""

    readable: int = 0
    binary: list[str] = field(default_factory=list)
    stopped: dict[Obstacle, list[str]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


def inputs(case: Case) -> Iterator[Finding]:
    """Look at every watched path."""
    machine, watch = case.machine, case.chosen.watch
    account = machine.account
    if account.all_powerful and case.paths:
        who = "logagent" if case.unit is not None else "NAME"
        yield note(
            "looked at as root, who may read everything; a service with a user of its own may not",
            f"sudo logagent doctor --user {who}",
        )
    if STDIN in watch.paths:
        yield found_ok("standard input is read")
    total = 0
    for path in case.paths:
        tally = _tallied(case, path)
        total += tally.readable
        yield from _told(case, path, tally)
        yield from _file_system(case, path)
    if not case.paths:
        return
    listing = case.listing
    logs = sum(not entry.rotated for entry in listing.entries.values())
    copies = len(listing.entries) - logs
    more = f", and {counted(copies, 'rotated file')} beside them" if copies else ""
    said = f"{counted(logs, 'log')} in {counted(len(listing.folders), 'folder')}{more}"
    if listing.dropped:
        yield warning(
            f"{said}; {listing.dropped:,} more than the {MAX_FILES:,} that are followed",
            "name fewer in [watch] paths, or leave some out with [watch] exclude",
        )
    elif total or STDIN in watch.paths:
        yield found_ok(said)
    elif case.chosen.journal.enabled or case.chosen.syslog.udp or case.chosen.syslog.tcp:
        yield warning(
            f"no file that {account.who} can follow", "sudo logagent doctor, which sees them all"
        )
    else:
        yield problem(
            f"no file that {account.who} can follow, and no other input is on",
            "set [watch] paths, or [journal] enabled = true",
        )


def _tallied(case: Case, path: str) -> _Tally:
    machine, tally = case.machine, _Tally()
    top = _folder_of(path) if not machine.exists(path) else path
    for found in islice(find([machine.at(path)]), MAX_FILES):
        if isinstance(found, SourceProblem):
            name = machine.name(found.source)
            if found.kind == "unreadable" and not case.left_out(name):
                _stop(case, tally, name)
                continue
            if found.kind == "unreadable":
                continue
            tally.odd.append(f"{name}: {found.message}")
            continue
        name = machine.name(found[0])
        if case.left_out(name) or packed(name):
            continue
        try:
            status = os.stat(found[0])
            if not stat.S_ISREG(status.st_mode):
                tally.odd.append(f"{name}: only regular files can be followed; give - for a pipe")
            elif _binary(found[0]):  # first: what is not text needs no permission
                tally.binary.append(name)
            elif (obstacle := _obstacle(case, name, top)) is not None:
                tally.stopped.setdefault(_kind(obstacle), []).append(obstacle.path)
            else:
                tally.readable += 1
        except OSError:  # gone meanwhile
            continue
    return tally


def _obstacle(case: Case, name: str, top: str) -> Obstacle | None:
    """Return what keeps the account from a file, or from finding it by listing the folders above.

    Args:
        case: what is looked at.
        name: the file.
        top: the watched path, or the deepest folder above a pattern.
    """
    folder = os.path.dirname(name)
    while name != top and (folder == top or folder.startswith(top.rstrip("/") + "/")):
        obstacle = case.access.obstacle(folder, READ)
        if obstacle is not None:
            return obstacle
        if folder == top:
            break
        folder = os.path.dirname(folder)
    return case.access.obstacle(name)


def _stop(case: Case, tally: _Tally, name: str) -> None:
    """Note a path that we could not look into ourselves."""
    try:
        obstacle = case.access.obstacle(name)
    except OSError as error:
        tally.odd.append(f"{name}: {error.strerror}")
        return
    if obstacle is None:
        tally.odd.append(f"{name}: not a file or folder")
    else:
        tally.stopped.setdefault(_kind(obstacle), []).append(obstacle.path)


def _folder_of(pattern: str) -> str:
    """Return the deepest folder above a pattern that is none itself."""
    folder = os.path.dirname(pattern)
    while any(sign in folder for sign in "*?["):
        folder = os.path.dirname(folder)
    return folder or "/"


def _kind(obstacle: Obstacle) -> Obstacle:
    """Return what stands for all obstacles of this kind: files with the same group and reason."""
    return Obstacle(
        "", obstacle.wanted, obstacle.folder, obstacle.group, obstacle.group_helps, obstacle.seen
    )


def _binary(place: str) -> bool:
    if os.path.basename(place).replace("-", ".").partition(".")[0] in _RECORDS:
        return True
    from logagent.inputs.tail import why_skipped  # noqa: PLC0415 - its codecs cost memory

    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # we may not, the account may
        return False
    try:
        head = os.pread(descriptor, _HEAD_BYTES, 0)
    finally:
        os.close(descriptor)
    return bool(head) and bool(why_skipped(head))


def _told(case: Case, path: str, tally: _Tally) -> Iterator[Finding]:
    machine = case.machine
    name = machine.account.who
    stopped = sum(map(len, tally.stopped.values()))
    nothing = not (tally.readable or tally.binary or stopped or tally.odd)
    if nothing or (tally.odd and not (tally.readable or stopped or tally.binary)):
        said = "; ".join(tally.odd[:_SHOWN]) or f"{path}: no log in it"
        yield (warning if _may_come(case, path) else problem)(
            said, f"ls -la {quoted(machine.nearest(_folder_of(path)))}; then mend [watch] paths"
        )
        return
    if tally.readable:
        yield found_ok(f"{path}: {counted(tally.readable, 'file')} that {name} can read")
    for obstacle, paths in islice(tally.stopped.items(), _KINDS):
        first = Obstacle(
            paths[0], obstacle.wanted, obstacle.folder, obstacle.group,
            obstacle.group_helps, obstacle.seen,
        )  # fmt: skip
        several = list(dict.fromkeys(paths))
        what = ", ".join(several[:_SHOWN])
        more = f" and {len(several) - _SHOWN:,} more" if len(several) > _SHOWN else ""
        kind = "folder" if obstacle.folder else "file"
        count = counted(len(several), kind)
        yield (warning if tally.readable else problem)(
            f"{path}: {count} that {name} cannot read: {what}{more} ({obstacle.reason})",
            first.fix(machine),
        )
    if tally.binary:
        what = ", ".join(os.path.basename(each) for each in tally.binary[:_SHOWN])
        more = ", …" if len(tally.binary) > _SHOWN else ""
        yield note(f"{path}: {counted(len(tally.binary), 'file')} left out, not text: {what}{more}")
    for each in tally.odd[:_SHOWN]:
        yield note(each)


def _may_come(case: Case, path: str) -> bool:
    """Tell whether a path that matches nothing is no reason to stop: others are read."""
    return bool(case.listing.entries) or case.chosen.journal.enabled is True or "*" in path


def _file_system(case: Case, path: str) -> Iterator[Finding]:
    """Tell of a network file system."""
    mount = case.machine.mount_of(case.machine.nearest(path))
    if mount is not None and mount.kind in _NETWORKED:
        seconds = case.chosen.watch.poll_seconds
        yield note(
            f"{path}: on {mount.kind}; inotify does not tell what other machines write there, so "
            f"files are looked at every {seconds:g} s",
            "run logagent on the machine that writes these logs",
        )
