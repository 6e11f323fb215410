"""What logrotate and its kin do to a log file: rename, copy and truncate, compress, swap links.

Guarantees: the same steps in the same order as the tools, each visible to whoever looks at the
folder meanwhile: a half-written copy, a `.gz` beside its original, a moment without the file. A
rotated file keeps its time stamp when it is compressed, as gzip does it.
Leaves to others: to stop writing where a step loses data by itself (see `copy_truncate`).
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

Name = Callable[[Path], Path]
"""Frees the name that the next rotated file gets, and returns it."""
_COPY_BYTES = 16 * 1024  # [bytes] at a time, so that a copy is seen half-written now and then
_FIRST_DAY = date(2024, 3, 4)


def numbered(path: Path) -> Path:
    """`log.1`, after `log.1` has become `log.2` and so on; likewise with `.gz`."""
    for number, found in sorted(_numbers(path), reverse=True):
        suffix = ".gz" if found.name.endswith(".gz") else ""
        found.rename(path.with_name(f"{path.name}.{number + 1}{suffix}"))
    return path.with_name(f"{path.name}.1")


def dated(path: Path) -> Path:
    """`log-20240304`, the day after that of the newest one that is there (`dateext`)."""
    days = [int(found.name[len(path.name) + 1 :][:8]) for found in _dates(path)]
    newest = max(days, default=0)
    day = _FIRST_DAY if not newest else date.fromisoformat(str(newest)) + timedelta(days=1)
    return path.with_name(f"{path.name}-{day:%Y%m%d}")


def rotated(path: Path) -> list[Path]:
    """The rotated files of a log, the oldest first."""
    by_number = [found for _, found in sorted(_numbers(path), reverse=True)]
    return sorted(_dates(path)) + by_number


def rename(path: Path, name: Name = numbered) -> Path:
    """Rename the log; whoever has it open goes on writing to what it became."""
    target = name(path)
    path.rename(target)
    return target


def copy_truncate(path: Path, name: Name = numbered) -> Path:
    """Copy the log, then cut it to nothing (`copytruncate`).

    What is written between the copy and the cut is lost by copytruncate itself, whoever reads
    the log: the caller does not write meanwhile.
    """
    target = name(path)
    with path.open("rb") as source, target.open("wb") as copy:
        while block := source.read(_COPY_BYTES):
            copy.write(block)
            copy.flush()
    os.truncate(path, 0)
    return target


def compress(path: Path) -> Path:
    """Write `path.gz` where it is found at once, then remove `path`, as gzip does it."""
    target = path.with_name(path.name + ".gz")
    seen = path.stat()
    with path.open("rb") as source, gzip.open(target, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(source, packed, _COPY_BYTES)
    os.utime(target, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    path.unlink()
    return target


def swap_link(link: Path, target: Path) -> None:
    """Point a symbolic link elsewhere, in one step."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.symlink_to(target.name)
    fresh.replace(link)


def _numbers(path: Path) -> list[tuple[int, Path]]:
    found = []
    for sibling in path.parent.glob(f"{path.name}.*"):
        number = sibling.name[len(path.name) + 1 :].removesuffix(".gz")
        if number.isdigit():
            found.append((int(number), sibling))
    return found


def _dates(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}-" + "[0-9]" * 8 + "*"))
