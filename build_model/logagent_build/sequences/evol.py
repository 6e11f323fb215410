"""LOGEVOL-U and SYNEVOL-U, for whoever has the data: it is not public in this form.

A folder holds one file for each system or version, JSON Lines, a session to a line::

    {"events": ["template", "template", …], "anomalous": false}

For LOGEVOL-U: ``hadoop2.jsonl``, ``hadoop3.jsonl``, ``spark2.jsonl``, ``spark3.jsonl``; the older
is trained on, the newer tested. For SYNEVOL-U: ``spark2.jsonl`` and
``spark2_{sequence,template}_{5,10,15,20,25,30}.jsonl``. Files that are missing are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from logagent_build.sequences.data import Sequences

__all__ = ["Configuration", "configurations"]

MOST_SESSIONS = 1_000_000
MOST_LENGTH = 10_000  # [events] of a session: the longest of LOGEVOL has 1,977
MOST_LINE = 16 * 1024 * 1024  # [characters]
_PAIRS = [("hadoop2", "hadoop3"), ("spark2", "spark3")] + [
    ("spark2", f"spark2_{level}_{share}")
    for level in ("sequence", "template")
    for share in (5, 10, 15, 20, 25, 30)
]


@dataclass(frozen=True, slots=True)
class Configuration:
    """An older system to train on, a newer one to test; both number the same templates alike."""

    name: str
    train: Sequences
    test: Sequences


def configurations(folder: Path) -> list[Configuration]:
    """Read the pairs of files there are.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is malformed, or there is no pair.
    """
    made = []
    for old, new in _PAIRS:
        paths = [folder / f"{name}.jsonl" for name in (old, new)]
        if all(path.is_file() for path in paths):
            numbers: dict[str, int] = {}
            both = [_read(path, numbers) for path in paths]
            vocabulary = tuple(numbers)
            train, test = (
                Sequences(each.name, each.events, each.anomalous, each.kinds, vocabulary)
                for each in both
            )
            made.append(Configuration(f"{old} to {new}", train, test))
    if not made:
        raise ValueError(f"{folder}: no pair such as hadoop2.jsonl and hadoop3.jsonl")
    return made


def _read(path: Path, numbers: dict[str, int]) -> Sequences:
    events, labels = [], []
    with open(path, encoding="utf-8", errors="replace") as file:
        for at, line in enumerate(iter(lambda: file.readline(MOST_LINE), ""), 1):
            if at > MOST_SESSIONS:
                raise ValueError(f"{path}: more than {MOST_SESSIONS:,} sessions")
            try:
                session = json.loads(line)
                names, anomalous = session["events"], session["anomalous"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ValueError(f"{path}: line {at} is no session") from None
            if (
                not isinstance(names, list)
                or not names
                or not all(isinstance(name, str) for name in names)
                or not isinstance(anomalous, bool)
            ):
                raise ValueError(f"{path}: line {at} needs events, texts, and anomalous, a boolean")
            numbered = [numbers.setdefault(name, len(numbers)) for name in names[:MOST_LENGTH]]
            events.append(np.array(numbered, dtype=np.int32))
            labels.append(anomalous)
    kinds = tuple("failure" if label else "normal" for label in labels)
    return Sequences(path.stem, events, np.array(labels, dtype=np.bool_), kinds, ())
