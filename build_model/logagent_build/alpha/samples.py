"""The labelled lines that are there to measure with: loghub with experts' tags and recorded labels.

BGL and Thunderbird carry experts' alert tags. The fourteen other systems have labels that a
language model gave their events (`labels/loghub_llm.tsv`); a line takes its event's. These are
recorded labels, not a person's, and every figure made with them says so.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logagent_build.targets import NAMES

__all__ = ["LabelledLines", "joined", "read_samples", "recorded", "tagged"]


@dataclass(frozen=True, slots=True)
class LabelledLines:
    """Lines with their labels."""

    name: str
    lines: list[bytes]
    truth: npt.NDArray[np.bool_]
    """Whether a line is anomalous: bool (n,)."""

    def sample(self, size: int, seed: int) -> LabelledLines:
        """Draw lines without replacement, in the order of the log; all if there are fewer."""
        order = np.random.default_rng(seed).permutation(len(self.lines))
        return self.only(np.sort(order[:size]))

    def only(self, kept: npt.NDArray[np.int64]) -> LabelledLines:
        """Keep some lines, by index."""
        return LabelledLines(self.name, [self.lines[at] for at in kept], self.truth[kept])


def read_samples(data: Path, labels: Path) -> list[LabelledLines]:
    """Read what there is of both kinds; empty without any data."""
    return [*tagged(data), *recorded(data / "loghub", labels)]


def tagged(data: Path) -> list[LabelledLines]:
    """Read BGL and Thunderbird with experts' tags, if they are there."""
    found = []
    for name in ("bgl", "thunderbird"):
        try:
            target = NAMES[name](data)
        except FileNotFoundError:  # a partial download
            continue
        if target.labels is not None:
            found.append(LabelledLines(name, target.lines, target.labels.astype(np.bool_)))
    return found


def recorded(loghub: Path, labels: Path) -> list[LabelledLines]:
    """Read loghub's other systems with the recorded labels of their events (`explicit`)."""
    if not labels.is_file() or not loghub.is_dir():
        return []
    by_event: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            by_event[row["domain"]][row["event_id"]].append(int(row["label_explicit"]))
    found = []
    for name in sorted(by_event):
        log = next((loghub / name).glob("*.log"), None)
        table = next((loghub / name).glob("*structured*.csv"), None)
        if log is None or table is None:
            continue
        lines = log.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            events = [row["EventId"] for row in csv.DictReader(file)]
        known = [
            (line, float(np.mean(by_event[name][event])) >= 0.5)
            for line, event in zip(lines, events, strict=False)
            if event in by_event[name]
        ]
        truth = np.array([label for _, label in known], np.bool_)
        found.append(LabelledLines(name, [line for line, _ in known], truth))
    return found


def joined(name: str, parts: Sequence[LabelledLines]) -> LabelledLines:
    """Put several systems' lines together."""
    lines = [line for part in parts for line in part.lines]
    return LabelledLines(name, lines, np.concatenate([part.truth for part in parts]))
