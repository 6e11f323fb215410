"""Being woken when something in a watched folder changes: Linux's inotify.

Three calls of libc by ctypes, which numpy has imported anyway; `watchdog` and `inotify_simple`
would be a dependency for the same three. `Inotify.open` gives None where there is no inotify (an
old kernel, a sandbox) or no instance left: the caller then looks on a timer, as it has to now and
then all the same, for network file systems tell nothing.

Guarantees: nothing here waits; one `read` takes at most `READ_BYTES`; the descriptor stays
readable until all was read. Names of any bytes go through `os.fsdecode` and `os.fsencode`.

Left to others: what an event means. The kernel drops events when its queue is full; `overflow`
says so, and everything watched has to be looked at again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["READ_BYTES", "Event", "Inotify"]

READ_BYTES = 64 * 1024
"""[bytes] One read: 4,096 events without a name, 240 of the longest names."""

_EVENT: Final = struct.Struct("iIII")  # wd, mask, cookie, length of the name with its NULs

_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_UNMOUNT: Final = 0x2000
_Q_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x1000000

_ENTRIES: Final = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO | _ATTRIB
_GONE: Final = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_WATCHED: Final = _MODIFY | _ENTRIES | _DELETE_SELF | _MOVE_SELF


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a watched folder, or to `name` in it."""

    wd: int
    """The watch, as `Inotify.watch_folder` gave it; -1 for an overflow."""
    name: str
    """The file in the folder; empty for the folder itself."""
    changed: bool
    """Its content was written or truncated."""
    entries: bool
    """It was created, deleted, moved in or out, or its owner, mode or times changed: a file that
    could not be read may be readable now."""
    gone: bool
    """The folder was deleted, moved or unmounted: the watch has ended, or should be."""
    overflow: bool
    """Events were dropped by the kernel."""


def _ignore(_reason: str) -> None:
    return None


class Inotify:
    """One inotify instance; make it by `open`, close it.

    Memory: O(READ_BYTES) while reading; the kernel's, about 1 KiB per watched folder.
    """

    def __init__(self, libc: ctypes.CDLL, fd: int) -> None:
        """Take over `fd`; see `open`."""
        self.fd = fd
        """Non-blocking, closed on exec; readable when `read` has something to give."""
        self._libc = libc

    @classmethod
    def open(cls, explain: Callable[[str], None] = _ignore) -> Inotify | None:
        """Return a new instance, or None after telling `explain` why there is none."""
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.inotify_init1.argtypes = [ctypes.c_int]
            libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
            libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
        except (OSError, AttributeError) as error:  # a static interpreter; a libc without inotify
            explain(f"the C library has no inotify: {error}")
            return None
        fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:  # ENOSYS: no inotify in the kernel; EMFILE: fs.inotify.max_user_instances
            code = ctypes.get_errno()
            hint = "; raise fs.inotify.max_user_instances" if code == errno.EMFILE else ""
            explain(f"no inotify: {os.strerror(code)}{hint}")
            return None
        return cls(libc, fd)

    def watch_folder(self, path: str) -> int:
        """Watch a folder, not what is below its subfolders; return the watch descriptor.

        Watching the same folder again, by any path, gives the same descriptor.

        Raises:
            OSError: no such folder, no permission, or no watch left (ENOSPC:
                fs.inotify.max_user_watches).
            ValueError: a NUL byte in the path.
        """
        encoded = os.fsencode(path)
        if b"\0" in encoded:  # C would take the part before it for the path
            raise ValueError("embedded null byte")
        wd = self._libc.inotify_add_watch(self.fd, encoded, _WATCHED | _ONLYDIR)
        if wd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
        return int(wd)

    def unwatch(self, wd: int) -> None:
        """End a watch; nothing happens if it has ended already. An event `gone` still comes."""
        self._libc.inotify_rm_watch(self.fd, wd)  # EINVAL: the kernel was quicker

    def read(self) -> list[Event]:
        """Return what happened, in order, at most `READ_BYTES` of it; empty if nothing did.

        A file written many times gives one event, until something else happens to it.
        """
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return []
        events = []
        written: set[tuple[int, bytes]] = set()
        at = 0
        while at < len(data):
            wd, mask, _cookie, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            raw = data[at - length : at].rstrip(b"\0")
            if mask & _MODIFY:
                if (wd, raw) in written:
                    continue
                written.add((wd, raw))
            else:
                written.discard((wd, raw))
            events.append(
                Event(
                    wd,
                    os.fsdecode(raw),
                    changed=bool(mask & _MODIFY),
                    entries=bool(mask & _ENTRIES),
                    gone=bool(mask & _GONE),
                    overflow=bool(mask & _Q_OVERFLOW),
                )
            )
        return events

    def close(self) -> None:
        """End all watches. May be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
