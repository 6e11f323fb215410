"""What operators have said of lines, in force: it wins over the model and over every cache.

`Overrides` is a set that never changes; `OverridesFile` watches the one file that holds them, and
gives a new set when it changed or an entry has expired.

Guarantees: an entry that has expired says nothing; of two that contradict each other the one
created later wins (of two of one second, the one further down in the file); a file that cannot be
used changes nothing, and is reported once. Nothing here waits. Memory: O(entries), of which there
are at most `MAX_ENTRIES`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from logagent.override_entries import (
    MAX_ENTRIES,
    Override,
    OverridesError,
    entries_of,
    group_text,
    parse,
    read_bytes,
)
from logagent.sanitise import printable
from logagent.sequence_overrides import is_about_sequences

if TYPE_CHECKING:
    from logagent.bounded_regex import BoundedRegex

__all__ = [
    "FILE_NAME",
    "MAX_ENTRIES",
    "Override",
    "Overrides",
    "OverridesError",
    "OverridesFile",
    "group_text",
]

FILE_NAME = "overrides.toml"
"""In the state folder."""

_REPORT_CHARS = 1000


class Overrides:
    """The entries in force at one time."""

    def __init__(self, entries: Iterable[Override] = (), now: float = -math.inf) -> None:
        """Sort out what is in force.

        Args:
            entries: good ones (`override_entries.problems_of`), in the order of their file.
            now: the time of day [s since 1970].
        """
        kept = sorted(
            (entry for entry in entries if now < entry.expires), key=lambda entry: entry.created
        )
        self.entries: tuple[Override, ...] = tuple(kept)
        """In force, those created first come first."""
        self.next_expiry = min((entry.expires for entry in kept), default=math.inf)
        """[s since 1970] When the first of them expires; infinity: never."""
        # Of each group the last one created: its place among all, and itself.
        self._groups: dict[str, tuple[int, Override]] = {}
        self._of_sources: dict[str, list[tuple[int, Override]]] = {}
        self._regexes: list[tuple[int, Override, BoundedRegex]] = []
        for place, entry in enumerate(kept):
            if is_about_sequences(entry):  # says nothing of lines
                continue
            if entry.group is None:
                self._regexes.append((place, entry, _compiled(entry)))
            elif entry.source is None:
                self._groups[entry.group] = place, entry
            else:
                self._of_sources.setdefault(entry.group, []).append((place, entry))
        self._regexes.reverse()
        for found in self._of_sources.values():
            found.reverse()

    @classmethod
    def load(cls, path: Path, now: float) -> Overrides:
        """Return what a file says; a file that is not there says nothing.

        Args:
            path: the file.
            now: the time of day [s since 1970].

        Raises:
            OverridesError: it cannot be read or used; one line per problem.
        """
        return cls(entries_of(path), now)

    @property
    def empty(self) -> bool:
        """Whether nothing is in force."""
        return not self.entries

    @property
    def looks_at_lines(self) -> bool:
        """Whether `hides` can ever say something."""
        return bool(self._regexes or self._of_sources)

    def forced(self, group: bytes) -> bool | None:
        """Return what was said of a group: True anomalous, False normal, None nothing.

        Entries with a source are left to `hides`.
        """
        entry = self.about(group)
        return None if entry is None else entry.verdict == "anomalous"

    def about(self, group: bytes) -> Override | None:
        """Return the entry that `forced` goes by."""
        if not self._groups:
            return None
        found = self._groups.get(group_text(group))
        return None if found is None else found[1]

    def hides(self, source: str, line: bytes, group: bytes) -> Override | None:
        """Return the entry that makes an anomalous line of a source normal, if there is one.

        Args:
            source: name of the file or input.
            line: the raw line.
            group: what it is grouped by.
        """
        if not self.looks_at_lines:
            return None
        text = group_text(group) if self._groups or self._of_sources else ""
        # What says that the group is anomalous holds against everything said before.
        least = self._groups[text][0] if text in self._groups else -1
        for place, entry in self._of_sources.get(text, ()):
            if place < least:
                break
            if _is_of(entry, source):
                return entry
        for place, entry, regex in self._regexes:
            if place < least:
                break
            if _is_of(entry, source) and regex.found_in(line):
                return entry
        return None


class OverridesFile:
    """The file, watched: costs one look at it (`os.stat`) as long as nothing changes."""

    def __init__(
        self, path: Path, report: Callable[[str, str], None] = lambda _kind, _message: None
    ) -> None:
        """Read nothing yet.

        Args:
            path: the file; it need not exist.
            report: is told the kind (``overrides``) and what is wrong with a file that cannot be
                used, once per change.
        """
        self.current = Overrides()
        """In force."""
        self._path = path
        self._report = report
        self._seen: tuple[int, ...] = ()  # what told this content from another; () for no file
        self._entries: tuple[Override, ...] = ()  # expired ones too: the clock may be set back
        self._looked = -math.inf

    def poll(self, now: float) -> Overrides | None:
        """Return what is in force if that has changed, else None.

        Args:
            now: the time of day [s since 1970].
        """
        try:
            seen = _identity(os.stat(self._path))
        except OSError as error:
            seen = () if isinstance(error, FileNotFoundError) else (error.errno or 0,)
        before = self.current
        if seen != self._seen:
            self._seen = seen
            self._read()
            self.current = Overrides(self._entries, now)
        elif not self._looked <= now < before.next_expiry:
            self.current = Overrides(self._entries, now)
        self._looked = now
        return None if self.current.entries == before.entries else self.current

    def _read(self) -> None:
        """Read the file again; one that cannot be used changes nothing."""
        try:
            data, facts = read_bytes(self._path)
            self._seen = _identity(facts)
            self._entries = parse(data, str(self._path))
        except FileNotFoundError:
            self._entries = ()
        except (OSError, OverridesError) as error:
            said = error.strerror if isinstance(error, OSError) else None
            problems = f"{self._path}: {said}" if said else "; ".join(str(error).splitlines())
            self._report(
                "overrides", printable(f"{problems}; what was in force stays so", _REPORT_CHARS)
            )


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    # The time of change, too: it tells that the file may be read now.
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino


def _is_of(entry: Override, source: str) -> bool:
    return entry.source is None or fnmatchcase(source, entry.source)


def _compiled(entry: Override) -> BoundedRegex:
    from logagent.bounded_regex import BoundedRegex  # noqa: PLC0415 - few have a regex

    return BoundedRegex.of(entry.regex or "")
