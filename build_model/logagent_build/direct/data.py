"""The labelled lines that detectors are compared on.

Files of the user's have the columns of the corpora: label, perhaps a severity, line; or the codes
of the corpora's ``.txt`` files; or any other format with labels that `targets` reads. loghub's
samples have experts' tags (BGL, Thunderbird) or labels that a language model gave their events
(the others); each data set says which, as agreeing with a model is not being right.

Guarantees: lines of templates that stand in few-shot examples can be left out, for everybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from logagent.errors import ConfigError
from logagent.normalise import templates

from logagent_build.alpha.samples import LabelledLines, recorded
from logagent_build.annotate.log_lines import labelled
from logagent_build.targets import read_file

__all__ = ["DataSet", "read_files", "read_loghub", "without"]

_TAGGED = ("BGL", "Thunderbird")
_TABBED = re.compile(rb"[01]\t.")
_CODED = re.compile(rb"([01]|[23][a-z]) (.+)")  # of corpora/*.txt, see `corpora.read_corpora`


@dataclass(frozen=True, slots=True)
class DataSet:
    """Lines, their labels, and who gave them."""

    labelled: LabelledLines
    truth: str
    """Where labels come from, for tables."""

    @property
    def name(self) -> str:
        """Name of the file or system."""
        return self.labelled.name


def read_files(paths: Sequence[Path]) -> list[DataSet]:
    """Read labelled files; each is a data set named after its file.

    Raises:
        OSError: a file cannot be read.
        ValueError: a row is malformed, or there is none; names the file.
    """
    stems = [path.stem for path in paths]
    found = []
    for path in paths:
        name = path.stem if stems.count(path.stem) == 1 else path.as_posix()
        found.append(DataSet(_read(path, name), "labels of the file"))
    return found


def _read(path: Path, name: str) -> LabelledLines:
    """Read one file in whichever of the formats it is in."""
    rows = path.read_bytes().split(b"\n")
    first = next((row for row in rows if row.strip()), b"")
    if not first:
        raise ValueError(f"{path}: has no labelled lines")
    if first.startswith(b"# kin:"):
        coded = [_decoded(path, at, row) for at, row in enumerate(rows, 1) if _counts(row)]
        if not coded:
            raise ValueError(f"{path}: has no labelled lines")
        truth = np.array([label for _, label in coded], np.bool_)
        return LabelledLines(name, [line for line, _ in coded], truth)
    if _TABBED.match(first) is None:
        target = read_file(path)
        if target.labels is None or not target.lines:
            raise ValueError(
                f"{path}: has no labels that can be read; give rows of 0 or 1, a tab and the line, "
                "or JSON Lines with a label and a text"
            )
        return LabelledLines(name, target.lines, target.labels.astype(np.bool_))
    tabbed = labelled(path)
    truth = np.array([label for _, label in tabbed], np.bool_)
    return LabelledLines(name, [line.encode() for line, _ in tabbed], truth)


def _counts(row: bytes) -> bool:
    return bool(row.strip()) and not row.startswith(b"#")


def _decoded(path: Path, number: int, row: bytes) -> tuple[bytes, bool]:
    match = _CODED.fullmatch(row.rstrip(b"\r"))
    if match is None:
        raise ValueError(f"{path}:{number}: expected a code (0, 1, 2h, 3s, …), a blank and a line")
    return match[2], match[1][:1] in b"23"


def read_loghub(loghub: Path, labels: Path, systems: Sequence[str] = ()) -> list[DataSet]:
    """Read loghub's samples, those named or all that have labels.

    Raises:
        ConfigError: there are none, or one that was named is not there.
        OSError: a file cannot be read.
    """
    found = []
    for name in _TAGGED:
        path = loghub / name / f"{name}_2k.log"
        target = read_file(path) if path.is_file() else None
        if target is not None and target.labels is not None:
            lines = LabelledLines(name, target.lines, target.labels.astype(np.bool_))
            found.append(DataSet(lines, "experts' tags"))
    found += [DataSet(each, "a language model's labels") for each in recorded(loghub, labels)]
    names = [each.name for each in found]
    missing = [name for name in systems if name not in names]
    if missing or not found:
        raise ConfigError(
            f"{loghub}: no labelled sample of {', '.join(missing) or 'any system'}; "
            f"there are {', '.join(names) or 'none'}"
        )
    return [each for each in found if not systems or each.name in systems]


def without(data: DataSet, examples: Sequence[str]) -> DataSet:
    """Leave out the lines whose template stands in the prompt as an example."""
    if not examples:
        return data
    shown = set(templates([line.encode() for line in examples]).templates)
    masked = templates(data.labelled.lines).templates
    kept = np.array([at for at, each in enumerate(masked) if each not in shown], np.int64)
    return DataSet(data.labelled.only(kept), data.truth)
