"""The folders of the followed files, watched by inotify as far as there is one.

Guarantees: what is read off is only when to look; a folder that cannot be watched makes `blind`
true, and the caller looks more often. Memory: O(folders).
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from logagent.inputs import Report
from logagent.inputs.inotify import Inotify

__all__ = ["News", "Watches"]


@dataclass(slots=True)
class News:
    """What to look at."""

    names: bool = False
    """Files came, went, were renamed, or may be readable now."""
    everything: bool = False
    """Events were lost."""
    written: list[str] = field(default_factory=list)
    """Paths of files that were written."""


class Watches:
    """Folders by path."""

    def __init__(self, inotify: Inotify | None, report: Report, poll_seconds: float) -> None:
        """Watch nothing yet; `poll_seconds` is told to who hears that inotify does not help."""
        self.blind = inotify is None
        """Whether there are folders that are not watched."""
        self._inotify = inotify
        self._report = report
        self._poll_seconds = poll_seconds
        self._watches: dict[str, int] = {}

    def descriptors(self) -> list[int]:
        """Return what becomes readable when there is news."""
        return [] if self._inotify is None else [self._inotify.fd]

    def read(self) -> News:
        """Return what happened since, as far as one read goes."""
        news = News()
        if self._inotify is None:
            return news
        folders = {descriptor: folder for folder, descriptor in self._watches.items()}
        for event in self._inotify.read():
            if event.overflow:
                news.names = news.everything = True
                continue
            folder = folders.get(event.wd)
            if folder is None:
                continue
            if event.gone and folder in self._watches:
                # A folder that was moved would be watched on under its old name.
                self._inotify.unwatch(self._watches.pop(folder))
            news.names |= event.gone or event.entries
            if event.changed:
                news.written.append(os.path.join(folder, event.name))
        return news

    def watch(self, folders: set[str]) -> bool:
        """Watch these folders and no others; tell whether some are watched only from now on."""
        if self._inotify is None:
            return False
        for folder in set(self._watches) - folders:
            self._inotify.unwatch(self._watches.pop(folder))
        new = self.blind = False
        for folder in sorted(folders - set(self._watches)):
            try:
                self._watches[folder] = self._inotify.watch_folder(folder)
                new = True
            except OSError as error:
                self.blind = True
                if error.errno == errno.ENOSPC:
                    self._report(
                        "inotify-limit",
                        "too many folders for inotify, so files are looked at every "
                        f"{self._poll_seconds:g} s; raise fs.inotify.max_user_watches",
                    )
                    break
        return new

    def close(self) -> None:
        """End all watches."""
        if self._inotify is not None:
            self._inotify.close()
