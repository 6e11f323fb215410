"""`logagent scan --html FILE`: collects while the scan runs, writes the page when it ends.

Guarantees: a file that cannot be written is known before anything is read, as far as that can be
known; the page is written whole or not at all (`files.replace`); standard output is not touched.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from logagent import __version__, files
from logagent.bundle import Bundle
from logagent.errors import OutputError
from logagent.explain import Word
from logagent.groups import Group
from logagent.html_groups import Finding
from logagent.html_page import MAX_GROUPS, Facts, page
from logagent.kinds import Kind
from logagent.occurrences import Chronicle
from logagent.scan import Scan, Step

if TYPE_CHECKING:
    from logagent.html_sequences import Sequences
    from logagent.sequences.scanning import ScanSequences

__all__ = ["HtmlReport"]


@dataclass(slots=True)
class HtmlReport:
    """The page of one scan."""

    path: Path
    paths: Sequence[str]
    threshold: float
    sensitivity: str | None
    bundle: Bundle
    explain: Callable[[Group], tuple[list[Word], Kind]]
    _chronicle: Chronicle

    @classmethod
    def to(
        cls,
        path: Path,
        paths: Sequence[str],
        *,
        threshold: float,
        sensitivity: str | None,
        bundle: Bundle,
        explain: Callable[[Group], tuple[list[Word], Kind]],
    ) -> HtmlReport:
        """Prepare a report.

        Args:
            path: the file to write or replace; a link is followed.
            paths: what is scanned, as given.
            threshold: score from which lines are anomalous.
            sensitivity: what the threshold is called; None if it was given as a number.
            bundle: the model.
            explain: gives the words that carried a group's decision, and its kind.

        Raises:
            OutputError: there is no such folder, or the path is not an ordinary file's.
        """
        real = Path(os.path.realpath(path))
        try:
            if not stat.S_ISDIR(os.stat(real.parent).st_mode):
                raise OutputError(f"{path}: {real.parent} is not a folder")
            if os.path.lexists(real) and not stat.S_ISREG(os.stat(real).st_mode):
                raise OutputError(f"{path}: not an ordinary file; --html writes to files only")
            if not os.access(real.parent, os.W_OK | os.X_OK):
                raise OutputError(f"{path}: no permission to write to {real.parent}")
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}") from None
        return cls(real, paths, threshold, sensitivity, bundle, explain, Chronicle())

    def see(self, step: Step, scan: Scan) -> None:
        """Take in one judged block."""
        self._chronicle.see(step, scan.groups)

    def write(
        self, scan: Scan, sequences: ScanSequences | None = None, *, interrupted: bool
    ) -> None:
        """Write the page.

        Args:
            scan: what was found.
            sequences: what was found of them; None: they were not looked for.
            interrupted: whether the scan was.

        Raises:
            OutputError: it cannot be written.
        """
        ranked = scan.groups.ranked()
        findings = []
        for group in ranked[:MAX_GROUPS]:
            words, kind = self.explain(group)
            findings.append(Finding(group, words, kind, group.rank(scan.groups.lines)))
        facts = Facts(
            paths=self.paths,
            host=os.uname().nodename,
            made=time.time(),
            threshold=self.threshold,
            sensitivity=self.sensitivity,
            model=f"{self.bundle.manifest.name} {self.bundle.sha256[:12]}",
            version=__version__,
            interrupted=interrupted,
        )
        part = None if sequences is None else _part(sequences)
        text = page(findings, len(ranked), scan.groups, scan.totals, self._chronicle, facts, part)
        try:
            files.replace(self.path, text.encode(), _mode())
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(f"{self.path}: cannot write the report: {reason}") from None


def _part(found: ScanSequences) -> Sequences:
    """Return the part of the page; its modules are loaded only for those who look for sequences."""
    from logagent.html_sequences import Found, Sequences  # noqa: PLC0415

    return Sequences(Found(found.kinds(), found.let_go, found.counts(), found.reader))


def _mode() -> int:
    """Return the mode that any new file of this process gets."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
