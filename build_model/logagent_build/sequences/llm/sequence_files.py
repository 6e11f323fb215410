"""Sequences as JSON Lines: ``{"events": ["open", "read"], "label": 1, "kind": "web"}``.

``label`` (0, 1, true, false) and ``kind`` may be missing. Guarantees: events are numbered in the
order of their first appearance; a malformed line is named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from logagent.errors import ConfigError

from logagent_build.sequences.data import Sequences

__all__ = ["SequenceFile", "read_sequences"]


@dataclass(frozen=True, slots=True)
class SequenceFile:
    """What a file holds."""

    data: Sequences
    """Sequences without a label are normal in it."""
    known: npt.NDArray[np.bool_]
    """Whether each has a label: bool (n,)."""

    def labelled(self) -> Sequences:
        """Return those with a label.

        Raises:
            ConfigError: there is none.
        """
        if not self.known.any():
            raise ConfigError(f"{self.data.name}: no sequence has a label")
        return self.data.only(np.flatnonzero(self.known))


def read_sequences(path: Path) -> SequenceFile:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, holds no sequence, or a line is none.
    """
    numbers: dict[str, int] = {}
    events = []
    labels: list[bool | None] = []
    kinds: list[str] = []
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            names, label, kind = _row(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(
                f'{path}:{at}: expected {{"events": [names], "label": 0 or 1}}, label optional'
            ) from None
        events.append(
            np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int32)
        )
        labels.append(label)
        kinds.append(kind)
    if not events:
        raise ConfigError(f"{path}: no sequences")
    data = Sequences(
        path.name,
        events,
        np.array([bool(label) for label in labels], dtype=np.bool_),
        tuple(kinds),
        tuple(numbers),
    )
    return SequenceFile(data, np.array([label is not None for label in labels], dtype=np.bool_))


def _row(raw: dict[str, Any]) -> tuple[list[str], bool | None, str]:
    names = raw["events"]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError("events are names")
    label = raw.get("label")
    if label not in (None, 0, 1):
        raise ValueError("a label is 0 or 1")
    known = None if label is None else bool(label)
    kind = raw.get("kind", "anomalous" if known else "normal")
    if not isinstance(kind, str):
        raise ValueError("a kind is a name")
    return names, known, kind
