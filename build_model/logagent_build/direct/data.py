"""The labelled lines that detectors are compared on.

Files of the user's have the columns of the corpora: label, perhaps a severity, line. loghub's
samples have experts' tags (BGL, Thunderbird) or labels that a language model gave their events
(the others); each data set says which, as agreeing with a model is not being right.

Guarantees: lines of templates that stand in few-shot examples can be left out, for everybody.
"""

from __future__ import annotations

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
        rows = labelled(path)
        if not rows:
            raise ValueError(f"{path}: has no labelled lines")
        name = path.stem if stems.count(path.stem) == 1 else path.as_posix()
        truth = np.array([label for _, label in rows], np.bool_)
        lines = LabelledLines(name, [line.encode() for line, _ in rows], truth)
        found.append(DataSet(lines, "labels of the file"))
    return found


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
