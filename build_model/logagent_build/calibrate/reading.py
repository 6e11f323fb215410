"""What a calibration reads: the lines of systems, and labels to begin with.

A file is taken as labelled lines if each of its rows is one: 0 or 1, a tab, perhaps a severity and
a tab, the line. Guarantees: no file is taken for a log of which a part is labelled lines. Leaves
finding log files to `annotate.log_lines`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from logagent.errors import ConfigError
from logagent.normalise import templates
from logagent.sanitise import printable

from logagent_build.annotate.log_lines import Own, places
from logagent_build.calibrate.entries import Entries

__all__ = ["LONGEST_TEXT", "initial_labels", "read_systems"]

LONGEST_TEXT = 2000
"""[characters] of a line in a table of labels; what `label` writes."""
_LABELLED = re.compile(rb"([01])\t(?:[0-3]\t)?(.+)")
_Key = TypeVar("_Key", str, bytes)


def read_systems(
    logs: Sequence[Path], own: Own, say: Callable[[str], None]
) -> tuple[dict[str, list[bytes]], dict[str, list[bool] | None]]:
    """Read the lines of each system, and the labels of those that are labelled.

    Args:
        logs: a file of labelled lines, a log file or a folder of logs each.
        own: files that are no logs.
        say: told of files that cannot be read, or are binary.

    Raises:
        ConfigError: there is no such file, or it has no lines.
        ValueError: some rows of a file of labelled lines are none.
    """
    systems: dict[str, list[bytes]] = {}
    labels: dict[str, list[bool] | None] = {}
    for path in logs:
        if not path.exists():
            raise ConfigError(f"{path}: there is no such file or folder")
        whole = Path(os.path.abspath(path)).name or str(path)  # "." has no name of its own
        name = printable(whole.partition(".")[0] or whole)
        while name in systems:
            name += "'"
        told = _labelled(path)
        if told is not None:
            systems[name], labels[name] = [line for line, _ in told], [each for _, each in told]
            continue
        systems[name] = [place.line for place in places(path, own, say)]
        labels[name] = None
        if not systems[name]:
            raise ConfigError(f"{path}: no lines to label")
    return systems, labels


def _labelled(path: Path) -> list[tuple[bytes, bool]] | None:
    """Read labelled lines; None if the file begins with anything else.

    Raises:
        ValueError: a later row is none: as logs, the labels of the others would be read aloud.
    """
    if not path.is_file() or path.suffix != ".tsv":
        return None
    found = []
    rows = path.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
    for number, row in enumerate(rows, 1):
        match = _LABELLED.fullmatch(row)
        if match is not None:
            found.append((match[2], match[1] == b"1"))
        elif row and found:
            raise ValueError(
                f"{path}:{number}: expected 0 or 1, a tab and a line, as in the rows before; if "
                "it is a log, call it otherwise than .tsv"
            )
        elif row:
            return None
    return found or None


def initial_labels(path: Path, entries: Entries) -> list[bool | None]:
    """Return the label that a file gives each entry: by its line, else by its template.

    Raises:
        ValueError: it is neither a table of `label` nor labelled lines, or labels nothing here.
    """
    told = _labelled(path) or _table(path)
    said = [label for _, label in told]
    by_line = _most([printable(line, LONGEST_TEXT) for line, _ in told], said)
    by_template = _most(templates([line for line, _ in told]).templates, said)
    found = [
        by_line.get(printable(line, LONGEST_TEXT), by_template.get(template))
        for line, template in zip(entries.lines, entries.templates, strict=True)
    ]
    if all(label is None for label in found):
        raise ValueError(f"{path}: labels none of the lines")
    return found


def _most(keys: Sequence[_Key], labels: Sequence[bool]) -> dict[_Key, bool]:
    """Return the label that most of each key's have; anomalous where as many say so (Eq. 3)."""
    counted: Counter[_Key] = Counter()
    for key, label in zip(keys, labels, strict=True):
        counted[key] += 1 if label else -1
    return {key: votes >= 0 for key, votes in counted.items()}


def _table(path: Path) -> list[tuple[bytes, bool]]:
    """Read the table that `label` wrote; rows without a label are left out."""
    header, *rows = path.read_text("utf-8", "replace").split("\n")
    names = header.split("\t")
    if names[:1] != ["label"] or names[-1] != "line":
        raise ValueError(f"{path}: neither a table of `logagent-build label` nor labelled lines")
    found = []
    for number, row in enumerate(rows, 2):
        cells = row.split("\t", len(names) - 1)
        if not row:
            continue
        if len(cells) != len(names) or cells[0] not in ("0", "1", "?"):
            raise ValueError(f"{path}:{number}: not a row of a table of labels")
        if cells[0] != "?":
            found.append((cells[-1].encode(), cells[0] == "1"))
    return found
