"""Which bundle is in force, and the folder in which an update puts another one in its place.

In force is the bundle that the configuration names (`model.bundle`); else ``current.bundle`` in
``STATE/models``, put there by an update; else the shipped one. Beside ``current.bundle`` lies
``previous.bundle``, what was in force before, unless that was the shipped one.

A swap has three steps, each one change of a name, each synced before the next:

1. *put aside*: ``aside.bundle`` becomes a second name of ``current.bundle``, or an empty file where
   the shipped one is in force;
2. *swap*: another file is renamed over ``current.bundle``;
3. *finish*: ``aside.bundle`` is renamed over ``previous.bundle``; an empty one is removed, and
   ``previous.bundle`` with it.

Between 2 and 3 the running agent is asked to take the bundle; if it does not, `Store.undo` goes
back to what was there before 1.

Guarantees: at every moment `in_force` leads to a whole bundle, the old or the new one; no bundle
is written in place, a running agent has it mapped; what a crash has left is finished (if the swap
was done) or forgotten (if not) when the store is opened next; one process at a time swaps.

Left to others: whether a bundle is any good.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from logagent.bundle import DEFAULT_BUNDLE
from logagent.errors import BundleError, StateError

if TYPE_CHECKING:
    from logagent.config import Config

__all__ = ["InForce", "Store", "in_force"]

_FOLDER, _LOCK = "models", "lock"
_CURRENT, _PREVIOUS = "current.bundle", "previous.bundle"
_STAGED, _ASIDE = "staged.bundle", "aside.bundle"
_COMPARE_BYTES = 1 << 20  # [bytes] held twice while two files are compared
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # vfat and its like


@dataclass(frozen=True, slots=True)
class InForce:
    """The bundle that `logagent run` uses."""

    path: Path
    why: Literal["configured", "updated", "shipped"]
    """Whether the configuration or a flag names it, an update has put it in the state folder, or
    it came with the program."""


def in_force(config: Config) -> InForce:
    """Return which bundle is in force; it need not be usable.

    Raises:
        BundleError: nobody can tell: the state folder may not be looked into.
    """
    if config.model.bundle:
        return InForce(Path(config.model.bundle), "configured")
    current = config.state.folder() / _FOLDER / _CURRENT
    try:
        current.stat()
    except (FileNotFoundError, NotADirectoryError):
        return InForce(DEFAULT_BUNDLE, "shipped")
    except OSError as error:
        raise BundleError(
            f"bundle {current}: {error.strerror}; run this as the agent's user or as root"
        ) from None
    return InForce(current, "updated")


class Store:
    """The folder ``models`` in the state folder, held by one process while it is open.

    Memory: O(1); a bundle's bytes are the caller's.
    """

    def __init__(self, state: Path, *, after: Callable[[str], None] = lambda _step: None) -> None:
        """Touch nothing yet.

        Args:
            state: the state folder.
            after: told the name of every change that was made to the folder, after it.
        """
        self.folder = state / _FOLDER
        self.current = self.folder / _CURRENT
        self.previous = self.folder / _PREVIOUS
        self.staged = self.folder / _STAGED
        """Where `stage` puts a bundle."""
        self._aside = self.folder / _ASIDE
        self._after = after
        self._lock = -1
        self._took_previous = False  # by the swap that is not finished

    def __enter__(self) -> Store:
        """Make the folder if need be, lock it, and put right what a crash has left.

        Raises:
            StateError: it cannot be made or written, or another process swaps just now.
        """
        with self._told():
            self._make()
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._lock = os.open(self.folder / _LOCK, flags, 0o600)
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StateError(
                    f"{self.folder}: another `logagent model` changes it just now; wait for that"
                ) from None
            with self._told():
                self._put_right()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let others use it; what was staged and not taken is removed."""
        with suppress(OSError):
            self.staged.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = -1

    def stage(self, data: bytes) -> Path:
        """Write a bundle beside the one in force, durably; return where it is.

        Raises:
            StateError: it cannot be written.
        """
        from logagent.files import replace  # noqa: PLC0415  # the running agent never stages

        with self._told():
            replace(self.staged, data)
        self._after("staged")
        return self.staged

    def behind(self) -> InForce | None:
        """Return what `roll_back` would put in force; None if there is nothing to go back to."""
        if self.previous.exists():
            return InForce(self.previous, "updated")
        return InForce(DEFAULT_BUNDLE, "shipped") if self.current.exists() else None

    def take_staged(self) -> None:
        """Put the staged bundle in force; `finish` or `undo` must follow.

        Raises:
            StateError: it cannot be done; everything is as it was.
        """
        self._took_previous = False
        with self._or_undone():
            self._put_aside()
            self._rename(self.staged, self.current, "swapped")

    def roll_back(self) -> None:
        """Put in force what `behind` returns; `finish` or `undo` must follow.

        Raises:
            BundleError: there is nothing to go back to.
            StateError: it cannot be done; everything is as it was.
        """
        if self.behind() is None:
            raise BundleError(
                "nothing to go back to: the shipped bundle is in force, and no update was before it"
            )
        self._took_previous = self.previous.exists()
        with self._or_undone():
            if self._took_previous:
                self._put_aside()
                self._rename(self.previous, self.current, "swapped")
            else:
                self._rename(self.current, self._aside, "swapped")

    def finish(self) -> None:
        """Keep what was in force before as the previous one.

        Raises:
            StateError: it cannot be done now; it will be when the store is opened next.
        """
        with self._told():
            self._finish()

    def undo(self) -> None:
        """Go back to what was there before `take_staged` or `roll_back`.

        Raises:
            StateError: the disk does not let us.
        """
        with self._told():
            if not self._aside.exists():
                return
            if not self._swapped():
                self._remove(self._aside, "forgotten")
            elif self._aside.stat().st_size:
                if self._took_previous:
                    self._second_name(self.current, self.previous)
                    self._sync("named again")
                self._rename(self._aside, self.current, "swapped back")
            else:
                if self._took_previous:
                    self._rename(self.current, self.previous, "swapped back")
                else:
                    self._remove(self.current, "swapped back")
                self._remove(self._aside, "forgotten")

    # -- the steps

    def _put_aside(self) -> None:
        from logagent.files import replace  # noqa: PLC0415  # likewise

        if self.current.exists():
            self._second_name(self.current, self._aside)
        else:
            replace(self._aside, b"")
        self._sync("put aside")

    def _finish(self) -> None:
        if self._aside.stat().st_size:
            self._rename(self._aside, self.previous, "finished")
        else:
            self._remove(self.previous, "previous removed")
            self._remove(self._aside, "finished")

    def _put_right(self) -> None:
        """Finish or forget what a crash has left."""
        for left in (*self.folder.glob(".*.tmp"), self.staged):
            left.unlink(missing_ok=True)
        if self._aside.exists():
            if self._swapped():
                self._finish()
            else:
                self._remove(self._aside, "forgotten")

    def _swapped(self) -> bool:
        """Tell whether what is put aside is not in force any more."""
        if not self._aside.stat().st_size:
            return self.current.exists()
        return not (self.current.exists() and _same(self.current, self._aside))

    def _second_name(self, path: Path, name: Path) -> None:
        try:
            os.link(path, name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            from logagent.files import replace  # noqa: PLC0415  # likewise

            replace(name, path.read_bytes())

    def _rename(self, path: Path, name: Path, step: str) -> None:
        os.replace(path, name)
        self._sync(step)

    def _remove(self, path: Path, step: str) -> None:
        path.unlink(missing_ok=True)
        self._sync(step)

    def _sync(self, step: str) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # some file systems cannot sync folders
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._after(step)

    def _make(self) -> None:
        state = self.folder.parent
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.folder.mkdir(mode=0o755)
        except FileExistsError:
            return
        if os.geteuid() == 0:  # the agent's user owns what is in its state folder
            owner = state.stat()
            os.chown(self.folder, owner.st_uid, owner.st_gid, follow_symlinks=False)

    @contextmanager
    def _or_undone(self) -> Iterator[None]:
        with self._told():
            try:
                yield
            except (Exception, KeyboardInterrupt):
                self.undo()
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror or error}") from None


def _same(one: Path, other: Path) -> bool:
    """Tell whether two files are one, or hold the same bytes."""
    if os.path.samefile(one, other):
        return True
    with open(one, "rb") as first, open(other, "rb") as second:
        while True:
            part = first.read(_COMPARE_BYTES)
            if part != second.read(_COMPARE_BYTES):
                return False
            if not part:
                return True
