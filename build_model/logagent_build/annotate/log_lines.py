"""Lines of log files, and of files that say which of their lines are anomalous.

Guarantees: logs are read as the agent reads them: archives expanded, lines of bounded length;
trouble with one file is told and does not stop the others. Binary files are left out, also those
without the signatures and zeros that the agent goes by: here each line may cost money. So are files
of the labelling's own that lie among the logs. Both are counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from logagent.paths import SourceProblem
from logagent.sanitise import printable
from logagent.sources import open_all

__all__ = ["Own", "Place", "labelled", "no_text", "places"]

_BESIDE = (".", "-wal", "-shm", "-journal")  # what records, stores and their locks are called
_HEAD_BYTES = 8 * 1024  # [bytes] looked at to tell text; as many as the agent looks at
# Few are in text; a tenth of random bytes. Zeros are left to the agent: crashes leave them.
_CONTROL = bytes(set(range(1, 32)) - set(b"\t\n\v\f\r\b\x1b")) + b"\x7f"
_MOST_CONTROL = 0.05  # share of the head
_WITHOUT_ADVICE = {
    "binary": "binary file, left out",
    "tar": "a tar archive, left out; unpack it first",
}
_NO_TEXT = frozenset({"binary", "tar", "unsupported"})


@dataclass(frozen=True, slots=True)
class Place:
    """A line and where it stands."""

    line: bytes
    file: str
    number: int
    """Counted from 1."""


@dataclass(frozen=True, slots=True)
class Own:
    """Files of the labelling itself, which are no logs even if they lie among them."""

    outputs: Sequence[Path] = ()
    """Also what lies beside them under their name: records, stores, locks."""
    inputs: Sequence[Path] = ()
    """Responses, examples, corrections, prices, and the key."""
    requests: Path | None = None
    """A batch file; its further parts have a dash and a number in their names."""

    def has(self, name: str) -> bool:
        """Tell whether a file is one of them."""
        real = os.path.realpath(name)
        if any(real == os.path.realpath(path) for path in self.inputs):
            return True
        for path in map(os.path.realpath, self.outputs):
            if real == path or real.startswith(tuple(path + more for more in _BESIDE)):
                return True
        if self.requests is None:
            return False
        stem, suffix = self.requests.stem, self.requests.suffix or ".jsonl"
        folder, file = os.path.split(real)
        return folder == os.path.realpath(self.requests.parent) and bool(
            re.fullmatch(rf"{re.escape(stem)}(-[0-9]+)?{re.escape(suffix)}", file)
        )


def places(
    path: Path,
    own: Own,
    say: Callable[[str], None],
    left_out: Counter[str] | None = None,
) -> Iterator[Place]:
    """Yield the lines of a file, or of all files of a folder, but for empty ones.

    Args:
        path: of the file or folder.
        own: files that are no logs.
        say: told of files that cannot be read, or are binary.
        left_out: files left out are added to it: ``binary`` and ``own``.
    """
    counted: Counter[str] = Counter() if left_out is None else left_out

    def trouble(found: SourceProblem) -> None:
        if own.has(found.source):
            counted["own"] += 1
            return
        counted["binary"] += found.kind in _NO_TEXT
        say(_told(found))

    for source in open_all([str(path)], on_problem=trouble):
        if own.has(source.name):
            counted["own"] += 1
            continue
        shown = os.path.relpath(source.name, path) if path.is_dir() else path.name
        for block in source.blocks():
            if block.first_line == 1 and no_text(block.data):
                counted["binary"] += 1
                say(printable(f"{source.name}: binary file, left out"))
                break
            for number, line in enumerate(block.lines(), block.first_line):
                if line:
                    yield Place(line, shown, number)


def no_text(data: bytes) -> bool:
    """Tell whether a file that begins so holds too many control characters for text."""
    head = data[:_HEAD_BYTES]
    return len(head) - len(head.translate(None, _CONTROL)) > _MOST_CONTROL * len(head)


def _told(trouble: SourceProblem) -> str:
    """Say it without the advice of the agent, whose options are not here."""
    said = _WITHOUT_ADVICE.get(trouble.kind, trouble.message)
    return printable(f"{trouble.source}: {said}")


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
