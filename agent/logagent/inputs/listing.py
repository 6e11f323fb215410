"""Which files are there: those that are watched, and the rotated copies beside them.

Guarantees: each file (device, inode) once; trouble with a path is reported, never raised; files of
the agent's own are left out. Memory: O(files).
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from logagent.inputs import Report
from logagent.inputs.rotated import base_of, packed
from logagent.inputs.texts import Stamp
from logagent.paths import SourceProblem, find

__all__ = ["Entry", "Listing", "excluding", "list_files"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that is there now."""

    path: str
    """Where it is: absolute, links followed."""
    log: str
    """The watched path that it is, or is a rotated copy of."""
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    rotated: bool
    """Whether it is named like a rotated copy of `log`."""
    pattern: str
    """The watched path, folder or pattern that led to it."""

    @property
    def identity(self) -> tuple[int, int]:
        """The file: (device, inode)."""
        return self.device, self.inode

    @property
    def stamp(self) -> Stamp:
        """What tells that the file has changed."""
        return self.size, self.modified_ns, self.changed_ns

    @property
    def packed(self) -> bool:
        """Whether its name says that it is compressed."""
        return packed(self.path)


@dataclass(slots=True)
class Listing:
    """What was found."""

    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    """Where changes of names matter."""
    dropped: int = 0
    """Files beyond the limit, which are not followed."""


@dataclass(slots=True)
class _Found:
    path: str
    status: os.stat_result
    pattern: str
    real: str


def list_files(
    patterns: Sequence[str],
    excluded: Callable[[str], bool],
    report: Report,
    max_files: int,
    known: Iterable[str] = (),
) -> Listing:
    """List the files of `patterns` and their rotated copies.

    Args:
        patterns: absolute paths of files and folders, or globs.
        excluded: tells which paths to leave out.
        report: hears of paths that cannot be used.
        max_files: followed at most; more are counted.
        known: logs that were there before; their copies are looked for though they are gone.
    """
    listing = Listing()
    watched: dict[str, _Found] = {}
    real = _Folders()
    names = {real.path(log): log for log in known}
    """What leads to a log: where its path leads."""
    for pattern in patterns:
        folder = os.path.isdir(pattern)
        listing.folders.add(os.path.realpath(pattern if folder else _folder_of(pattern)))
        if not folder and not any(sign in pattern for sign in "*?["):
            names[real.path(pattern)] = pattern  # may be gone just now, with its copies in place
        for found in _files(pattern, real, report):
            if not excluded(found.path):
                listing.folders.add(os.path.dirname(found.real))
                listing.folders.add(os.path.dirname(real.path(found.path)))
                watched.setdefault(found.path, found)
    names |= {found.real: path for path, found in watched.items()}
    names |= {real.path(path): path for path in watched}
    rotated: list[Entry] = []
    for found in watched.values():
        log = _base(found.real, names)
        if log is None and packed(found.path):
            continue  # a compressed file that belongs to no watched log: `logagent scan` reads it
        entry = _entry(found, log or found.path, rotated=log is not None)
        if log is None:
            listing.entries.setdefault(entry.identity, entry)
        else:
            rotated.append(entry)
    rotated += _copies(names, watched, excluded)
    places = {entry.path for entry in (*listing.entries.values(), *rotated)}
    for entry in rotated:
        # While a file is being compressed both are there, and the compressed one is not whole.
        if not (entry.packed and os.path.splitext(entry.path)[0] in places):
            listing.entries.setdefault(entry.identity, entry)
    if len(listing.entries) > max_files:
        listing.dropped = len(listing.entries) - max_files
        for identity in list(listing.entries)[max_files:]:
            del listing.entries[identity]
    return listing


class _Folders:
    """Where the links in folders' paths lead, each found out once."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def path(self, path: str) -> str:
        """Return a file's path with the links above it followed, but not one that it is."""
        folder, name = os.path.split(path)
        real = self._real.get(folder)
        if real is None:
            real = self._real[folder] = os.path.realpath(folder)
        return os.path.join(real, name)


def _files(pattern: str, folders: _Folders, report: Report) -> Iterator[_Found]:
    for path in find([pattern]):
        if isinstance(path, SourceProblem):
            if path.kind not in ("vanished", "not-found"):
                report(path.kind, f"{path.source}: {path.message}")
            continue
        name = path[0]
        try:
            status, real = os.lstat(name), folders.path(name)
            if stat.S_ISLNK(status.st_mode):
                status, real = os.stat(name), os.path.realpath(name)
        except OSError:  # gone meanwhile
            continue
        if stat.S_ISREG(status.st_mode):
            yield _Found(name, status, pattern, real)
        else:
            report("not-a-file", f"{name}: only regular files can be followed; give - for a pipe")


def _copies(
    names: Mapping[str, str], watched: Mapping[str, _Found], excluded: Callable[[str], bool]
) -> Iterator[Entry]:
    """Yield the rotated copies that no pattern led to."""
    for folder in dict.fromkeys(map(os.path.dirname, names)):
        try:
            inside = os.listdir(folder)
        except OSError:  # may be read by name only: x without r
            continue
        for name in inside:
            path = os.path.join(folder, name)
            if path in names or (log := _base(path, names)) is None or excluded(path):
                continue
            try:
                status = os.lstat(path)
            except OSError:  # gone meanwhile
                continue
            if stat.S_ISREG(status.st_mode):
                pattern = watched[log].pattern if log in watched else log
                yield _entry(_Found(path, status, pattern, path), log, rotated=True)


def _base(path: str, names: Mapping[str, str]) -> str | None:
    """Return the watched path that `path` is named like a rotated copy of."""
    folder, name = os.path.split(path)
    for base in base_of(name):
        log = names.get(os.path.join(folder, base))
        if log is not None:
            return log
    return None


def _entry(found: _Found, log: str, *, rotated: bool) -> Entry:
    status = found.status
    return Entry(
        found.real,
        log,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        rotated,
        found.pattern,
    )


def _folder_of(pattern: str) -> str:
    """Return the deepest folder above a path or a pattern that is no pattern itself."""
    folder = os.path.dirname(pattern)
    while any(sign in folder for sign in "*?["):
        folder = os.path.dirname(folder)
    return folder or "/"


def excluding(globs: Sequence[str], own: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells the paths to leave out.

    Args:
        globs: matched against the whole path and against the name.
        own: files and folders of the agent itself; copies of such a file are left out as well.
    """
    wanted = [re.compile(fnmatch.translate(glob)).match for glob in globs]

    def excluded(path: str) -> bool:
        name = os.path.basename(path)
        if any(match(path) or match(name) for match in wanted):
            return True
        return any(
            path == mine or path.startswith((mine + "/", mine + ".", mine + "-")) for mine in own
        )

    return excluded
