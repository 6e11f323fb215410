"""What an account may do with a file, and what stands in its way.

For who runs this process the kernel is asked, which knows everything; for another account the
answer is worked out from owner, group, mode and POSIX access lists, folder by folder from the root
down. That leaves out what security modules (SELinux, AppArmor) and network file systems add.

Guarantees: reads nothing but metadata. Memory: O(folders asked about).
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass

from logagent.doctor.findings import quoted
from logagent.doctor.machine import Machine

__all__ = ["READ", "SEARCH", "WRITE", "Access", "Obstacle"]

READ, WRITE, SEARCH = 4, 2, 1
"""As in a mode: may be read (a folder: listed), written, a folder: passed through."""

_ACL = "system.posix_acl_access"
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id; acl(5), linux/posix_acl_xattr.h
_OWNER, _USER, _OWNING_GROUP, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 0x10, 0x20
_WORDS = {READ: "read", WRITE: "write", SEARCH: "pass through"}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A file or folder whose permissions stop an account."""

    path: str
    """On the machine."""
    wanted: int
    """What was wanted of it."""
    folder: bool
    group: str
    """Name of the group it belongs to."""
    group_helps: bool
    """Whether members of that group may."""
    seen: bool = True
    """False: we could not look at it ourselves."""

    @property
    def reason(self) -> str:
        """What is not allowed, in a few words."""
        if not self.seen:
            return "cannot be looked at from here"
        word = "list" if self.folder and self.wanted == READ else _WORDS[self.wanted]
        if self.group_helps:
            return f"only its owner and group {self.group} may {word} it"
        return f"only its owner may {word} it"

    def fix(self, machine: Machine) -> str:
        """Return the command that removes it."""
        account, path = machine.account, quoted(self.path)
        if not self.seen:
            return "sudo logagent doctor"
        if self.group_helps and self.group not in ("root", "0"):
            if account.unit:
                return (
                    f"systemctl edit logagent: [Service] SupplementaryGroups={self.group}, then "
                    "systemctl restart logagent"
                )
            return (
                f"sudo usermod -aG {quoted(self.group)} {quoted(account.name)}, then log in again"
            )
        rights = {READ: "rx" if self.folder else "r", WRITE: "wx", SEARCH: "x"}[self.wanted]
        if account.unit:
            return f"sudo setfacl -m g:adm:{rights} {path}"
        return f"sudo setfacl -m u:{quoted(account.name)}:{rights} {path}"


class Access:
    """Answers for one account; folders are looked at once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._folders: dict[str, Obstacle | None] = {}
        self._listed: dict[tuple[str, int], Obstacle | None] = {}

    def obstacle(self, path: str, wanted: int = READ) -> Obstacle | None:
        """Return what keeps the account from a path; None if nothing does.

        Args:
            path: on the machine; links are followed.
            wanted: `READ` or `WRITE`; of a folder `READ` is listing and entering it.

        Raises:
            OSError: there is nothing at that path.
        """
        machine = self._machine
        place = os.path.realpath(machine.at(path))
        if (place, wanted) in self._listed:
            return self._listed[place, wanted]
        above = self._passing(os.path.dirname(place))
        if above is not None:
            return above
        try:
            status = os.stat(place)
        except PermissionError:
            return Obstacle(machine.name(place), wanted, False, "", False, seen=False)
        folder, found = stat.S_ISDIR(status.st_mode), None
        for each in (wanted, SEARCH) if folder else (wanted,):
            if found is None and not self._may(place, status, each):
                found = self._made(place, status, each)
        if folder:
            self._listed[place, wanted] = found
        return found

    def _passing(self, place: str) -> Obstacle | None:
        """Return what keeps the account from passing through a folder and all above it."""
        if place in self._folders:
            return self._folders[place]
        root = self._machine.root.rstrip("/") or "/"
        found = None
        if place != root and len(place) > len(root):
            found = self._passing(os.path.dirname(place))
        if found is None:
            try:
                status = os.stat(place)
                if not self._may(place, status, SEARCH):
                    found = self._made(place, status, SEARCH)
            except PermissionError:
                found = Obstacle(self._machine.name(place), SEARCH, True, "", False, seen=False)
        self._folders[place] = found
        return found

    def _may(self, place: str, status: os.stat_result, wanted: int) -> bool:
        account = self._machine.account
        if account.own and self._machine.real:
            asked = {READ: os.R_OK, WRITE: os.W_OK, SEARCH: os.X_OK}[wanted]
            return os.access(place, asked, effective_ids=True)
        return account.all_powerful or bool(
            _rights(_entries(place, status), status, account.uid, account.groups) & wanted
        )

    def _made(self, place: str, status: os.stat_result, wanted: int) -> Obstacle:
        machine = self._machine
        entries = _entries(place, status)
        group, helps = machine.group_name(status.st_gid), False
        mask = next((rights for tag, rights, _ in entries if tag == _MASK), 7)
        for tag, rights, who in entries:
            if tag in (_OWNING_GROUP, _GROUP) and rights & mask & wanted:
                member = status.st_gid if tag == _OWNING_GROUP else who
                if member not in machine.account.groups:
                    group, helps = machine.group_name(member), True
                    break
        return Obstacle(machine.name(place), wanted, stat.S_ISDIR(status.st_mode), group, helps)


def _entries(place: str, status: os.stat_result) -> list[tuple[int, int, int]]:
    """Return (tag, rights, id) of the access list; the mode's three where there is none."""
    mode = status.st_mode
    plain = [
        (_OWNER, mode >> 6 & 7, 0),
        (_OWNING_GROUP, mode >> 3 & 7, 0),
        (_OTHER, mode & 7, 0),
    ]
    try:
        data = os.getxattr(place, _ACL)
    except OSError:  # none, or a file system without them
        return plain
    if len(data) < 4 or (len(data) - 4) % _ENTRY.size:
        return plain
    return list(_ENTRY.iter_unpack(data[4:]))


def _rights(
    entries: list[tuple[int, int, int]], status: os.stat_result, uid: int, groups: frozenset[int]
) -> int:
    """Return what an account may, by the algorithm of acl(5)."""
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), 7)
    if uid == status.st_uid:
        return next((rights for tag, rights, _ in entries if tag == _OWNER), 0)
    for tag, rights, who in entries:
        if tag == _USER and who == uid:
            return rights & mask
    fitting = [
        rights & mask
        for tag, rights, who in entries
        if (tag == _OWNING_GROUP and status.st_gid in groups) or (tag == _GROUP and who in groups)
    ]
    if fitting:
        granted = 0
        for rights in fitting:
            granted |= rights
        return granted
    return next((rights for tag, rights, _ in entries if tag == _OTHER), 0)
