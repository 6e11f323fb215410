"""Lines of log files, and of files that say which of their lines are anomalous.

Guarantees: logs are read as the agent reads them: archives expanded, binary files left out, lines
of bounded length; trouble with one file is told and does not stop the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from logagent.paths import SourceProblem
from logagent.sanitise import printable
from logagent.sources import open_all

__all__ = ["Place", "labelled", "places"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line and where it stands."""

    line: bytes
    file: str
    number: int
    """Counted from 1."""


def places(path: Path, own: Path, say: Callable[[str], None]) -> Iterator[Place]:
    """Yield the lines of a file, or of all files of a folder, but for empty ones.

    Args:
        path: of the file or folder.
        own: table of labels; it, its record and its store are left out.
        say: told of files that cannot be read.
    """
    ours = str(own.absolute())
    for source in open_all([str(path)], on_problem=lambda trouble: say(_told(trouble))):
        name = os.path.abspath(source.name)
        if name == ours or name.startswith(f"{ours}."):
            continue
        shown = os.path.relpath(source.name, path) if path.is_dir() else path.name
        for block in source.blocks():
            for number, line in enumerate(block.lines(), block.first_line):
                if line:
                    yield Place(line, shown, number)


def _told(trouble: SourceProblem) -> str:
    return printable(f"{trouble.source}: {trouble.message}")


def labelled(path: Path) -> list[tuple[str, bool]]:
    """Read labelled lines: 0 or 1, a tab, perhaps a severity and a tab, and the line.

    Raises:
        OSError: the file cannot be read.
        ValueError: a row is malformed; names file and line.
    """
    rows = []
    for number, row in enumerate(path.read_text("utf-8", errors="replace").split("\n"), 1):
        if not row:
            continue
        match = re.fullmatch(r"([01])\t(?:[0-3]\t)?(.+)", row)
        if match is None:
            raise ValueError(f"{path}:{number}: expected 0 or 1, a tab and a line")
        rows.append((match[2], match[1] == "1"))
    return rows
