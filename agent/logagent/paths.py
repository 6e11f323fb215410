"""Which files to read: files, folders, patterns and standard input, each file once.

Guarantees: nothing is raised for a path that cannot be used: it becomes a `SourceProblem`.
Folders are walked without recursion and links to folders inside them are not followed, so
no loop is; memory is O(entries of the folders on the way down) and `MAX_SEEN_FILES`.

Left to others: opening the files (`sources`), and making names safe to show (`sanitise`):
names are as the file system gave them.
"""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

__all__ = [
    "MAX_SEEN_FILES",
    "STDIN",
    "SourceProblem",
    "expand",
    "find",
    "followed_name",
    "trouble",
]

STDIN = "-"
"""The path that means standard input."""

MAX_SEEN_FILES = 100_000
"""Files remembered so that none is read twice, about 16 MB; past this the oldest is forgotten."""

_SPECIAL = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """What went wrong with one source; the scan goes on."""

    source: str
    """The path or pattern, as given or found."""

    kind: str
    """A short word for machines: not-found, unreadable, vanished, shrunk, binary, tar,
    unsupported, truncated-archive, damaged-archive, trailing-data, expansion-limit,
    long-lines."""

    message: str
    """A sentence for people; may quote the source's name, so make it safe before showing it."""

    partial: bool
    """Whether something that should have been read was not."""


def followed_name(name: str) -> str:
    """Return what a file is called by an agent that follows it: rules and overrides go by that."""
    return name if name == STDIN else os.path.abspath(name)


def expand(paths: Sequence[str]) -> Iterator[str | SourceProblem]:
    """Yield the files of `paths`: files, folders, patterns, `-`; each file once, sorted by name.

    Folders are walked to the bottom, leaving out what is not a file. In a pattern `*`, `?` and
    `[` match within a name, but not a leading dot, and `**` matches any number of folders. A
    path that exists is never taken as a pattern. A path that is named may be a pipe.
    """
    for found in find(paths):
        yield found if isinstance(found, SourceProblem) else found[0]


def find(paths: Sequence[str]) -> Iterator[tuple[str, bool] | SourceProblem]:
    """Yield (file, whether it was named itself) as `expand` does."""
    seen: dict[tuple[int, int], None] = {}
    for path in paths:
        if path == STDIN:
            names: Iterator[tuple[str, bool]] = iter([(path, True)])
        elif _SPECIAL.search(path) and not os.path.lexists(path):
            names = ((match, False) for match in _matches(path))
            first = next(names, None)
            if first is None:
                yield SourceProblem(path, "not-found", "no file matches", partial=True)
                continue
            names = chain([first], names)
        else:
            names = iter([(path, True)])
        for name, named in names:
            for found in _walk(name, named):
                if isinstance(found, SourceProblem):
                    yield found
                    continue
                file, identity = found
                if identity not in seen:
                    seen[identity] = None
                    if len(seen) > MAX_SEEN_FILES:
                        del seen[next(iter(seen))]
                    yield file, named and file == name


def _walk(path: str, named: bool) -> Iterator[tuple[str, tuple[int, int]] | SourceProblem]:
    """Yield (file, identity) of a file, or of all files below a folder."""
    pending = [iter([path])]
    while pending:
        name = next(pending[-1], None)
        if name is None:
            pending.pop()
            continue
        top = len(pending) == 1  # the path itself, not something found below it
        try:
            status = os.fstat(0) if top and path == STDIN else os.stat(name)
            if stat.S_ISDIR(status.st_mode):
                if top or not os.path.islink(name):
                    pending.append(iter(_entries(name)))
                continue
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
            yield trouble(name, error, "not-found" if top else "vanished")
            continue
        pipe = stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)
        if stat.S_ISREG(status.st_mode) or (top and path == STDIN) or (top and named and pipe):
            yield name, (status.st_dev, status.st_ino)
        elif top and named:
            yield SourceProblem(name, "unreadable", "not a file, folder or pipe", partial=True)


def _matches(pattern: str) -> Iterator[str]:
    """Yield the paths that match, sorted, following no link to a folder for `**`."""
    base = "/" if pattern.startswith("/") else ""
    yield from _matches_in(base, [part for part in pattern.split("/") if part])


def _matches_in(base: str, parts: Sequence[str]) -> Iterator[str]:
    """Yield the paths below `base` that match the parts; recurses once per special part."""
    for place, part in enumerate(parts):
        if not _SPECIAL.search(part):
            base = os.path.join(base, part)
            continue
        rest = parts[place + 1 :]
        if part == "**":
            while rest and rest[0] == "**":
                rest = rest[1:]
            for folder in _folders(base) if rest else [base]:
                yield from _matches_in(folder, rest)
            return
        wanted = re.compile(fnmatch.translate(part)).match
        for path in _quiet_entries(base):
            name = os.path.basename(path)
            if wanted(name) and (part[0] == "." or name[0] != "."):
                if not rest:
                    yield path
                elif os.path.isdir(path):
                    yield from _matches_in(path, rest)
        return
    if os.path.lexists(base or "."):
        yield base or "."


def _folders(base: str) -> Iterator[str]:
    """Yield `base` and all folders below, following no link and into no hidden one."""
    pending = [iter([base])]
    while pending:
        folder = next(pending[-1], None)
        if folder is None:
            pending.pop()
            continue
        yield folder
        below = _quiet_entries(folder)
        pending.append(
            path
            for path in below
            if os.path.basename(path)[0] != "." and os.path.isdir(path) and not os.path.islink(path)
        )


def _entries(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder or "."))]


def _quiet_entries(folder: str) -> list[str]:
    """List the entries; none if the folder cannot be read, as in a shell's pattern."""
    try:
        return _entries(folder)
    except OSError:
        return []


def trouble(path: str, error: Exception, absent: str) -> SourceProblem:
    """Describe why a path could not be opened; `absent` is the kind for one that is not there."""
    if isinstance(error, OSError):
        kind = absent if error.errno == errno.ENOENT else "unreadable"
        return SourceProblem(path, kind, error.strerror or str(error), partial=True)
    return SourceProblem(path, "unreadable", str(error), partial=True)
