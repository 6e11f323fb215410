"""Adding and removing entries of ``overrides.toml``, which people edit as well.

Guarantees: what else the file holds (other entries, comments, blank lines) survives byte for byte;
the file is replaced whole, and only by one that was read back and says what it should; two commands
at a time wait for each other; everybody may read the file, and where root writes into the folder of
a service's user, the file is that user's.

Left to others: an editor that has the file open may still overwrite what was added.
"""

from __future__ import annotations

import codecs
import dataclasses
import fcntl
import math
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from logagent.errors import EXIT_USAGE
from logagent.files import replace
from logagent.override_entries import (
    Override,
    OverridesError,
    canonical_group,
    parse,
    problems_of,
    read_bytes,
)
from logagent.sanitise import printable

__all__ = ["LOCK_SECONDS", "UnknownOverrideError", "add", "new_id", "remove"]

LOCK_SECONDS: Final = 5.0
"""[s] that another command is waited for; it takes milliseconds."""

_MODE = 0o644
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read for another
_ID_LETTERS = 6
_HEADER = re.compile(
    rb"[ \t]*\[\[[ \t]*(?:override|\"override\"|'override')[ \t]*\]\][ \t]*(?:#.*)?"
)


class UnknownOverrideError(OverridesError):
    """There is no entry with this id."""

    exit_code = EXIT_USAGE


def new_id(taken: Iterable[str] = ()) -> str:
    """Return a short id that none of `taken` is."""
    known = set(taken)
    while True:
        id_ = "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(_ID_LETTERS))
        if id_ not in known:
            return id_


def add(path: Path, override: Override) -> Override:
    """Append an entry and return it as it was written; the file is made if need be.

    It counts as the last one created, also where the clock was set back: it is what somebody
    wants now.

    Raises:
        OverridesError: the entry is not allowed, the file as it is cannot be used, or it cannot be
            written.
    """
    override = _as_read_back(override)
    if problems := list(problems_of(override)):
        raise OverridesError("\n".join(printable(each, 500) for each in problems))
    with _locked(path):
        old = _read(path)
        entries = parse(old, str(path))
        latest = max((entry.created for entry in entries), default=-math.inf)
        override = dataclasses.replace(override, created=max(override.created, latest))
        gap = b"" if not old else b"\n" if old.endswith(b"\n") else b"\n\n"
        _write(path, old + gap + override.to_toml().encode(), (*entries, override))
    return override


def remove(path: Path, *ids: str) -> None:
    """Cut entries out, each from its header to its last key, and a blank line before it.

    Raises:
        UnknownOverrideError: there is no such entry; then nothing is removed.
        OverridesError: the file as it is cannot be used or written.
    """
    with _locked(path):
        old = _read(path)
        entries = parse(old, str(path))
        known = [entry.id for entry in entries]
        for id_ in ids:
            if id_ not in known:
                raise UnknownOverrideError(
                    f"no entry {printable(id_, 40)}; `logagent ignore list` shows all"
                )
        left = tuple(entry for entry in entries if entry.id not in ids)
        _write(path, _without(old, {known.index(id_) for id_ in ids}), left)


def _as_read_back(entry: Override) -> Override:
    """Return the entry with whole seconds and printable characters."""
    return dataclasses.replace(
        entry,
        group=None if entry.group is None else canonical_group(entry.group),
        author=_one_line(entry.author),
        reason=_one_line(entry.reason),
        created=float(math.floor(entry.created)),
        expires=entry.expires if math.isinf(entry.expires) else float(math.floor(entry.expires)),
    )


def _one_line(text: str) -> str:
    return printable(text, len(text) * 10)


def _without(data: bytes, numbers: set[int]) -> bytes:
    """Return a file's text without the entries of these numbers, from 0."""
    lines = data.splitlines(keepends=True)
    headers = [
        at
        for at, line in enumerate(lines)
        if _HEADER.fullmatch(line.rstrip(b"\r\n").removeprefix(codecs.BOM_UTF8))
    ]
    cut: set[int] = set()
    for number in numbers & set(range(len(headers))):
        start = headers[number]
        end = headers[number + 1] if number + 1 < len(headers) else len(lines)
        # What stands below the last key (comments, blank lines) belongs to what comes next.
        while end - 1 > start and lines[end - 1].strip()[:1] in (b"", b"#"):
            end -= 1
        cut.update(range(start, end))
        if start and not lines[start - 1].strip():
            cut.add(start - 1)
    return b"".join(line for at, line in enumerate(lines) if at not in cut)


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)[0]
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise OverridesError(f"{printable(str(path), 1000)}: {error.strerror or error}") from None


def _write(path: Path, data: bytes, wanted: tuple[Override, ...]) -> None:
    """Replace the file, if the new one says what it should.

    Raises:
        OverridesError: it does not, or it cannot be written.
    """
    name = printable(str(path), 1000)
    try:
        good = parse(data, str(path)) == wanted
    except OverridesError as error:
        if "not TOML" not in str(error):
            raise
        good = False
    if not good:
        raise OverridesError(
            f"{name}: is written in a way that is not understood well enough to change it; begin "
            "each entry with a line [[override]], or change it by hand"
        )
    try:
        replace(path, data, _MODE)
        _give_to_owner_of_folder(path)
    except OSError as error:
        raise OverridesError(f"{name}: {error.strerror or error}") from None


def _give_to_owner_of_folder(path: Path) -> None:
    """Where root writes for a service's user, make the file that user's.

    The folder is the user's, who may put another file there meanwhile: a link to one of root's must
    not be given away.
    """
    if os.geteuid() != 0:
        return
    folder = os.stat(path.parent)
    if folder.st_uid == 0:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid == 0:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other commands from writing.

    Raises:
        OverridesError: there is no such folder, it cannot be written, or another command does not
            end.
    """
    folder = path.parent
    try:
        # The folder itself: a lock file of root's would be in the way of the folder's owner.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise OverridesError(
            f"{printable(str(folder), 1000)}: no such folder; is it the state folder of the "
            "agent? Name it with --state-dir, or the agent's configuration with --config"
        ) from None
    except OSError as error:
        raise OverridesError(f"{printable(str(folder), 1000)}: {error.strerror}") from None
    try:
        stop = time.monotonic() + LOCK_SECONDS
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > stop:
                raise OverridesError(f"{printable(str(path), 1000)}: another command is writing it")
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
