"""Who can be named on the command line as a labeller: known labels, or a simulation.

Leaves language models to `asking`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from logagent.normalise import templates

from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.pool import shown
from logagent_build.alpha.simulated import ErrorModel, Simulated

__all__ = ["Known", "by_name", "read_labelled"]

_ROW = re.compile(rb"([01])\t(?:[0-3]\t)?(.+)")
_FIELDS = {"normal": "wrong_normal", "anomalous": "wrong_anomalous", "template": "by_template"}


class Known:
    """A labeller that knows labels: of lines, and else of their templates; no answer otherwise."""

    def __init__(self, labelled: Sequence[tuple[bytes, bool]]) -> None:
        masked = templates([line for line, _ in labelled]).templates
        self._template = {key: label for key, (_, label) in zip(masked, labelled, strict=True)}
        self._line = {shown(line): label for line, label in labelled}

    def __call__(self, lines: Sequence[str], _examples: Sequence[Example], /) -> list[Answer]:
        """Answer from what is known."""
        masked = templates([line.encode() for line in lines]).templates
        return [
            Answer(self._line.get(line, self._template.get(key)))
            for line, key in zip(lines, masked, strict=True)
        ]


def read_labelled(path: Path) -> list[tuple[bytes, bool]]:
    """Read labelled lines: 0 or 1, a tab, perhaps a severity and a tab, and the line.

    Raises:
        OSError: the file cannot be read.
        ValueError: a row is malformed (names file and line), or there is none.
    """
    found = []
    for number, row in enumerate(path.read_bytes().replace(b"\r\n", b"\n").split(b"\n"), 1):
        if not row:
            continue
        match = _ROW.fullmatch(row)
        if match is None:
            raise ValueError(f"{path}:{number}: expected 0 or 1, a tab and a line")
        found.append((match[2], match[1] == b"1"))
    if not found:
        raise ValueError(f"{path}: has no labelled lines")
    return found


def by_name(spec: str) -> tuple[LabelLines, str]:
    """Return a labeller and what to call it in records.

    Args:
        spec: ``labels:FILE``, or ``simulated:FILE,normal=0.2,anomalous=0.2,template=0.5,seed=0``
            over a file of labelled lines.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is neither.
    """
    kind, _, rest = spec.partition(":")
    if kind == "labels":
        return Known(read_labelled(Path(rest))), f"labels of {Path(rest).name}"
    if kind != "simulated":
        raise ValueError(f"annotator {spec!r}: give labels:FILE or simulated:FILE[,normal=RATE,…]")
    name, *given = rest.split(",")
    values: dict[str, float] = {}
    seed = 0
    for pair in given:
        key, _, value = pair.partition("=")
        if key == "seed":
            seed = int(value)
        elif key in _FIELDS:
            values[_FIELDS[key]] = float(value)
        else:
            raise ValueError(f"simulated: {key!r} is none of {', '.join(_FIELDS)}, seed")
    truth = {shown(line): label for line, label in read_labelled(Path(name))}
    simulated = Simulated(truth, ErrorModel(**values), seed)
    return simulated, simulated.name
