"""Labelled log lines as domains: one domain is one system, its lines grouped by template.

Holds the readers of everything a detector is trained or looked at on: the project's corpora, the
large language model's labels of loghub, the minimal pairs, the lexicon, and the targets, which
are never trained on. Guarantees: reading order is sorted by name, so that a run repeats; what the
model sees are templates (`logagent.normalise`), never raw lines. Leaves splitting to `splits`.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from logagent.normalise import templates

__all__ = [
    "Domain",
    "Phrase",
    "Target",
    "data_hash",
    "read_corpora",
    "read_loghub",
    "read_pairs",
    "read_phrases",
    "read_targets",
]

# Probability of "anomalous" for (label, severity) of the corpora: a failure (3) is certain, a mild
# warning that was labelled anomalous (1) less so, a warning labelled normal is not quite routine.
SOFT_LABEL = {
    (0, 0): 0.0,
    (0, 1): 0.1,
    (0, 2): 0.2,
    (1, 0): 0.8,
    (1, 1): 0.85,
    (1, 2): 0.97,
    (1, 3): 1.0,
}
PAIRS = "minimal_pairs"


@dataclass(frozen=True, slots=True)
class Domain:
    """The labelled lines of one system, grouped by template."""

    name: str
    """Name of the system, for example ``openwrt``."""
    source: str
    """Where it comes from: ``corpora``, ``loghub`` or ``pairs``."""
    templates: list[bytes]
    """Distinct templates, in order of first appearance."""
    soft: npt.NDArray[np.float32]
    """Probability that a line of the template is anomalous, float32 (n,), in [0, 1]."""
    count: npt.NDArray[np.int64]
    """Lines of each template, int64 (n,)."""
    positive: npt.NDArray[np.float32]
    """Share of the template's lines whose hard label is 1, per annotation: float32 (a, n)."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A word or phrase with a language model's opinion of it."""

    text: str
    score: float
    """-3 (points to normal) … +3 (points to a problem)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Labelled lines of a system that is only ever looked at."""

    name: str
    templates: list[bytes]
    """One per line."""
    labels: npt.NDArray[np.int8]
    """0 normal, 1 anomalous; int8 (n,)."""
    groups: list[str]
    """What a line belongs to inside the target (file, service); one per line."""


def read_corpora(folder: Path) -> list[Domain]:
    """Read every corpus but the minimal pairs; one domain per file."""
    paths = sorted(path for path in folder.glob("*.tsv") if path.stem != PAIRS)
    if not paths:
        raise FileNotFoundError(f"no corpora (*.tsv) in {folder}; give the folder with --corpora")
    return [_read_corpus(path, "corpora") for path in paths]


def read_pairs(folder: Path) -> Domain | None:
    """Read the minimal pairs as one more source of training lines, or None without the file."""
    path = folder / f"{PAIRS}.tsv"
    return _read_corpus(path, "pairs") if path.exists() else None


def _read_corpus(path: Path, source: str) -> Domain:
    lines, soft, hard = [], [], []
    for number, row in enumerate(path.read_bytes().splitlines(), 1):
        parts = row.split(b"\t", 2)
        if len(parts) != 3:
            raise ValueError(f"{path}:{number}: expected label, severity and line, tab-separated")
        label, severity = int(parts[0]), int(parts[1])
        lines.append(parts[2])
        soft.append(SOFT_LABEL[label, severity])
        hard.append((label,))
    return _grouped(path.stem, source, lines, soft, hard)


def _grouped(
    name: str,
    source: str,
    lines: Sequence[bytes],
    soft: Sequence[float],
    hard: Sequence[Sequence[int]],
) -> Domain:
    """Average the labels of lines that have the same template."""
    masked = templates(lines).templates
    index: dict[bytes, int] = {}
    of_line = np.array([index.setdefault(key, len(index)) for key in masked])
    count = np.bincount(of_line)
    mean = np.bincount(of_line, np.asarray(soft, np.float64)) / count
    positive = [np.bincount(of_line, column) / count for column in np.asarray(hard, float).T]
    return Domain(
        name,
        source,
        list(index),
        mean.astype(np.float32),
        count.astype(np.int64),
        np.array(positive, np.float32),
    )


def read_loghub(loghub: Path, labels: Path) -> list[Domain]:
    """Read the labelled loghub systems; two annotations per line, `explicit` and `operator`.

    A line takes the mean label of its EventId's labelled lines. Systems whose log is not there are
    skipped.

    Args:
        loghub: folder with one folder per system.
        labels: ``loghub_llm.tsv``.
    """
    by_event: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            pair = int(row["label_explicit"]), int(row["label_operator"])
            by_event[row["domain"]][row["event_id"]].append(pair)
    domains = []
    for name in sorted(by_event):
        log = next((loghub / name).glob("*.log"), None)
        if log is None:  # a partial download; the record names the domains that were there
            continue
        lines = log.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
        structured = next((loghub / name).glob("*structured*.csv"))
        with structured.open(newline="", encoding="utf-8", errors="replace") as file:
            events = [row["EventId"] for row in csv.DictReader(file)]
        kept, soft, hard = [], [], []
        for line, event in zip(lines, events, strict=False):
            pairs = by_event[name].get(event)
            if not pairs:
                continue
            mean = np.mean(pairs, axis=0)
            kept.append(line)
            soft.append(float(mean.mean()))
            hard.append([int(value >= 0.5) for value in mean])
        domains.append(_grouped(name, "loghub", kept, soft, hard))
    return domains


def read_phrases(folder: Path) -> list[Phrase]:
    """Read the words and phrases of the lexicon; empty without it."""
    phrases = []
    for path in sorted(folder.glob("*.tsv")):
        for row in path.read_text(encoding="utf-8").splitlines():
            text, _, score = row.rpartition("\t")
            phrases.append(Phrase(text, float(score)))
    return phrases


def read_targets(data: Path) -> list[Target]:
    """Read what is looked at but never trained on; skips what is not there.

    Args:
        data: folder with ``loghub`` and ``targets``.
    """
    targets = []
    for name in ("BGL", "Thunderbird"):
        for path in sorted((data / "loghub" / name).glob("*.log")):
            rows = [row for row in path.read_bytes().splitlines() if row.strip()]
            tagged = [row.split(b" ", 1) for row in rows]
            labels = [tag != b"-" for tag, _ in tagged]
            lines = [line for _, line in tagged]
            targets.append(_target(f"{name}_2k", lines, labels, [name] * len(lines)))
    fail2ban = data / "targets" / "fail2ban" / "fail2ban_lines.jsonl"
    if fail2ban.exists():
        records = [json.loads(row) for row in fail2ban.read_text("utf-8").splitlines()]
        records = [record for record in records if record["match"] is not None]
        targets.append(
            _target(
                "fail2ban",
                [record["line"].encode("utf-8", "surrogateescape") for record in records],
                [record["match"] for record in records],
                [record["service"] for record in records],
            )
        )
    judged = data / "targets" / "edge_judged.tsv"
    if judged.exists():
        rows_ = [row.split(b"\t", 4) for row in judged.read_bytes().splitlines()[1:]]
        targets.append(
            _target(
                "edge_judged",
                [row[4] for row in rows_],
                [row[2] == b"1" for row in rows_],
                [row[0].decode() for row in rows_],
            )
        )
    return targets


def _target(name: str, lines: Sequence[bytes], labels: Iterable[bool], groups: list[str]) -> Target:
    return Target(name, templates(lines).templates, np.array(list(labels), np.int8), groups)


def data_hash(paths: Iterable[Path]) -> str:
    """Return a SHA-256 over the names and contents of files, for the training record."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
