"""The machine that is looked at, and the account whose rights count.

Everything a check reads goes through a `Machine`: files below its `root`, its clock, its
environment. So a folder with a few files stands in for a machine.

Left to others: what an account may do with a file (`logagent.doctor.access`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["Account", "Machine", "Mount", "this_machine"]

_READ_BYTES = 1024 * 1024  # [bytes] of a file below /proc, /etc, /sys; mountinfo may be long
_COMMAND_SECONDS = 5.0  # a systemctl that talks to a dead bus waits for 25 s
_OUTPUT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Account:
    """Who reads the logs."""

    name: str
    uid: int
    groups: frozenset[int] = frozenset()
    """Group ids, the primary one among them."""
    own: bool = False
    """Whether it is who runs this process: then the kernel is asked."""
    unit: bool = False
    """Whether it is the user of the systemd unit."""

    home: str = ""
    """Its home folder; empty where that is not known."""

    @property
    def who(self) -> str:
        """What it is called in a sentence."""
        return f"user {self.name}"

    @property
    def all_powerful(self) -> bool:
        """Whether permissions do not count."""
        return self.uid == 0


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system where it is mounted."""

    point: str
    kind: str
    source: str
    read_only: bool


def _no_environment() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Machine:
    """What can be found out about a machine."""

    account: Account
    root: str = "/"
    """Folder that stands for ``/``; another one than ``/`` is a stand-in and has no kernel."""
    environ: Mapping[str, str] = field(default_factory=_no_environment)
    now: Callable[[], float] = time.time
    """Its wall clock, seconds since 1970."""
    statvfs: Callable[[str], os.statvfs_result] = os.statvfs
    run: Callable[[Sequence[str]], tuple[int, str]] | None = None
    """Runs a command, returns exit code and output; None: by `subprocess`, in `real` ones only."""

    @property
    def real(self) -> bool:
        """Whether it is the one this process runs on, so that the kernel may be asked."""
        return self.root == "/"

    def at(self, path: str) -> str:
        """Return where a path of the machine is to be found."""
        path = os.path.abspath(path) if self.real else os.path.normpath(path)
        return path if self.real else self.root.rstrip("/") + "/" + path.lstrip("/")

    def name(self, place: str) -> str:
        """Return the path that a place has on the machine: the inverse of `at`."""
        base = self.root.rstrip("/")
        return place.removeprefix(base) or "/"

    def text(self, path: str) -> str | None:
        """Return what stands in a small file; None if it cannot be read."""
        try:
            with open(self.at(path), "rb") as file:
                return file.read(_READ_BYTES).decode(errors="replace")
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return the number that stands in a file; None if there is none."""
        try:
            return int((self.text(path) or "").split()[0])
        except (IndexError, ValueError):
            return None

    def exists(self, path: str) -> bool:
        """Tell whether there is something at a path."""
        return os.path.exists(self.at(path))

    def inside(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if it cannot be listed."""
        try:
            return sorted(os.listdir(self.at(path)))
        except OSError:
            return []

    def program(self, command: str) -> str | None:
        """Return the path of a program that can be run, looked for on PATH if it is a name."""
        folders = self.environ.get("PATH", os.defpath).split(os.pathsep)
        paths = [command] if "/" in command else [os.path.join(each, command) for each in folders]
        return next((path for path in paths if os.access(self.at(path), os.X_OK)), None)

    def output(self, command: Sequence[str]) -> tuple[int, str] | None:
        """Run a command for `_COMMAND_SECONDS` at most; None if it cannot be run."""
        if self.run is not None:
            return self.run(command)
        if not self.real:
            return None
        import subprocess  # noqa: PLC0415 - only here

        try:
            done = subprocess.run(  # the command is ours, found on PATH
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.returncode, done.stdout[:_OUTPUT_BYTES].decode(errors="replace")

    def group_name(self, gid: int) -> str:
        """Return a group's name, its number if it has none."""
        if self.real:
            import grp  # noqa: PLC0415

            with suppress(KeyError):
                return grp.getgrgid(gid).gr_name
        for line in (self.text("/etc/group") or "").splitlines():
            parts = line.split(":")
            if len(parts) > 2 and parts[2] == str(gid):
                return parts[0]
        return str(gid)

    def group_id(self, name: str) -> int | None:
        """Return a group's number."""
        if self.real:
            import grp  # noqa: PLC0415

            with suppress(KeyError):
                return grp.getgrnam(name).gr_gid
            return None
        for line in (self.text("/etc/group") or "").splitlines():
            parts = line.split(":")
            if len(parts) > 2 and parts[0] == name and parts[2].isdigit():
                return int(parts[2])
        return None

    def mounts(self) -> list[Mount]:
        """Return the mounted file systems, the one on top last."""
        found = []
        for line in (self.text("/proc/self/mountinfo") or "").splitlines():
            before, separator, after = line.partition(" - ")
            left, right = before.split(), after.split()
            if not separator or len(left) < 6 or len(right) < 3:
                continue
            options = {*left[5].split(","), *right[2].split(",")}
            found.append(
                Mount(_unescaped(left[4]), right[0], _unescaped(right[1]), "ro" in options)
            )
        return found

    def mount_of(self, path: str) -> Mount | None:
        """Return the file system that a path is on; the path need not exist."""
        place = self.name(os.path.realpath(self.at(path)))
        best = None
        for mount in self.mounts():
            point = mount.point.rstrip("/")
            if (place == point or place.startswith(point + "/")) and (
                best is None or len(point) >= len(best.point.rstrip("/"))
            ):
                best = mount
        return best

    def nearest(self, path: str) -> str:
        """Return the deepest folder above a path, or the path, that exists."""
        found = path
        while not self.exists(found) and os.path.dirname(found) != found:
            found = os.path.dirname(found)
        return found


def this_machine() -> Machine:
    """Return the machine that this process runs on, seen by who runs it."""
    uid = os.geteuid()
    groups = frozenset({os.getegid(), *os.getgroups()})
    return Machine(Account(_user_name(uid), uid, groups, own=True), environ=os.environ)


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _unescaped(text: str) -> str:
    r"""Return a name of mountinfo, where a space is ``\040``."""
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text
