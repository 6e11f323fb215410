"""What the agent remembers between two runs: one small file, replaced atomically.

The file is msgpack: ``["logagent state", [1, 0], crc32, bin]``, where the bytes are msgpack again
and hold the inputs' positions, the groups and a few counters. The version before it is kept beside
it as ``state.previous``.

Guarantees: a reader sees one whole version; what cannot be trusted (torn, foreign, of another
format) is set aside under another name and said so, never used, never deleted; then the previous
version is used, which leads back a little further: lines may come twice, none is lost. One agent
at a time uses a folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from logagent.errors import StateError
from logagent.files import replace
from logagent.inputs import Report

__all__ = ["StateFolder"]

FORMAT = [1, 0]  # (major, minor): another major is set aside, a newer minor only adds keys
_MAGIC = "logagent state"
_MAX_BYTES = 64 * 1024 * 1024  # [bytes] largest file that is read: 50,000 positions are 15 MiB
_NAME, _PREVIOUS, _LOCK = "state", "state.previous", "lock"
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)


class StateFolder:
    """A folder that belongs to one running agent."""

    def __init__(
        self, folder: Path, report: Report, *, wall: Callable[[], float] = time.time
    ) -> None:
        """Create the folder if need be, and lock it.

        Raises:
            StateError: it cannot be created or read, or another agent uses it.
        """
        self.folder = folder
        self.set_aside = False
        """Whether a state was there that could not be used, nor the one before it."""
        self._report = report
        self._wall = wall
        self._lock = -1
        self._told_read_only = False
        self._rejected: set[str] = set()
        self._loaded = _NAME  # what `load` returned last
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.listdir(folder)
        except OSError as error:
            raise StateError(
                f"state folder {folder}: {error.strerror}; name another with --state-dir"
            ) from None
        self._take()

    def _take(self) -> None:
        try:
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise StateError(f"state folder {self.folder}: {error.strerror}") from None
            if not self._told_read_only:
                self._told_read_only = True
                self._report(
                    "state-read-only",
                    f"state folder {self.folder}: {error.strerror}; going on, but a restart will "
                    "repeat alerts until it can be written",
                )
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with suppress(OSError):
                os.close(self._lock)
            raise StateError(
                f"state folder {self.folder}: in use by another logagent; stop that one or name "
                "another folder with --state-dir"
            ) from None
        self._clean()

    def _clean(self) -> None:
        """Remove what a kill in the middle of a save left behind: at most one file each time."""
        for path in self.folder.glob(f".{_NAME}*.tmp"):
            with suppress(OSError):  # it takes room, no more
                path.unlink()

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last and not rejected; None if nothing (usable) was."""
        found = bool(self._rejected)
        for name in (_NAME, _PREVIOUS):
            if name in self._rejected:
                continue
            path = self.folder / name
            try:
                self._loaded = name
                return _decode(_read(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                found = True
                self._report("state-unreadable", f"{path}: {error.strerror}")
            except ValueError as error:
                found = True
                self._put_aside(path, str(error))
        self.set_aside = found
        return None

    def reject(self, reason: str) -> None:
        """Set aside what `load` returned: whole, but it made no sense to whoever asked for it."""
        self._put_aside(self.folder / self._loaded, reason)
        self._rejected.add(self._loaded)

    def _put_aside(self, path: Path, reason: str) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._wall()))
        aside = path.with_name(f"{path.name}.unusable-{stamp}")
        number = 0
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}.unusable-{stamp}-{number}")
        try:
            path.rename(aside)
            kept = f"kept as {aside.name}"
        except OSError as error:
            kept = f"left where it is ({error.strerror})"
        self._report("state-unusable", f"{path}: {reason}; {kept}, not used")

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state.

        Raises:
            OSError: it cannot be written; the old one is still there.
        """
        body = msgpack.packb(state, unicode_errors="surrogateescape")  # any bytes name a file
        data = msgpack.packb([_MAGIC, FORMAT, zlib.crc32(body), body])
        path, previous = self.folder / _NAME, self.folder / _PREVIOUS
        spare = self.folder / f".{_PREVIOUS}.tmp"
        if self._lock < 0:
            self._take()
        # A link, not a rename: at every moment there is a whole file under the first name.
        with suppress(FileNotFoundError):
            spare.unlink()
        try:
            os.link(path, spare)
            os.replace(spare, previous)
        except FileNotFoundError:  # the first save, or what was there is set aside
            pass
        except OSError:  # a file system without links (vfat): then the previous alone, briefly
            os.replace(path, previous)
        replace(path, data, mode=0o600)

    def close(self) -> None:
        """Let another agent use the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES} bytes")
    return data


def _decode(data: bytes) -> dict[str, Any]:
    """Return the state.

    Raises:
        ValueError: the bytes are no state, or not wholly.
    """
    match _unpacked(data):
        case [str(magic), [int(major), int()], int(checksum), bytes(body)] if magic == _MAGIC:
            pass
        case _:
            raise ValueError("not a state file")
    if major != FORMAT[0]:
        raise ValueError(f"format {major}, this agent reads format {FORMAT[0]}")
    if zlib.crc32(body) != checksum:
        raise ValueError("damaged (its checksum differs)")
    state = _unpacked(body)
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise ValueError("not a state file")
    return state


def _unpacked(data: bytes) -> object:
    try:
        return msgpack.unpackb(data, unicode_errors="surrogateescape")
    except Exception:  # msgpack raises several unrelated types on hostile bytes
        raise ValueError("not a state file, or damaged") from None
