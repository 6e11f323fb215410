"""What operators have said of sequences, in force: which anomalous ones are not told.

Guarantees: what is not hidden by an entry is told, and nothing is said of lines. A session's key is
searched with the operator's expression as far as that is safe (`logagent.bounded_regex`). Memory:
O(entries).
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from logagent.bounded_regex import BoundedRegex
from logagent.override_entries import Override
from logagent.overrides import Overrides
from logagent.sequence_overrides import is_about_sequences, kind_of, session_logs
from logagent.sequences.kind_names import kind_name
from logagent.sequences.vocabulary import Vocabulary
from logagent.sequences.watch import Finding

__all__ = ["Taught"]


class Taught:
    """The entries about sequences that are in force at one time."""

    def __init__(
        self,
        overrides: Overrides,
        vocabulary: Vocabulary,
        name_of: Callable[[str], str] = lambda source: source,
    ) -> None:
        """Sort them out.

        Args:
            overrides: all entries in force.
            vocabulary: of the model whose findings are looked at.
            name_of: what entries call a source.
        """
        self._vocabulary, self._name_of = vocabulary, name_of
        self._kinds: dict[str, Override] = {}
        self._sessions: list[tuple[str, BoundedRegex, Override]] = []
        for entry in overrides.entries:  # the one created last is the one that is named
            if (kind := kind_of(entry)) is not None:
                if kind:  # where nothing stands out there is no kind: it would be all of them
                    self._kinds[kind] = entry
            elif (logs := session_logs(entry)) is not None and entry.regex is not None:
                self._sessions.append((logs, BoundedRegex.of(entry.regex), entry))

    @classmethod
    def of(
        cls,
        overrides: Overrides | None,
        vocabulary: Vocabulary,
        name_of: Callable[[str], str] = lambda source: source,
    ) -> Taught | None:
        """Return what entries say of sequences; None if they say nothing of them."""
        if overrides is None or not any(map(is_about_sequences, overrides.entries)):
            return None
        return cls(overrides, vocabulary, name_of)

    def about(self, kind: str) -> Override | None:
        """Return the entry that calls a kind of sequences normal, if there is one."""
        return self._kinds.get(kind)

    def hides(self, finding: Finding) -> Override | None:
        """Return the entry that makes an anomalous sequence normal, if there is one."""
        if self._kinds:
            name = kind_name(finding.judged.carried, self._vocabulary)
            if name in self._kinds:
                return self._kinds[name]
        session, source = finding.episode.session, self._name_of(finding.episode.first.source)
        if session:
            for logs, regex, entry in self._sessions:
                if fnmatchcase(source, logs) and regex.found_in(session):
                    return entry
        return None
