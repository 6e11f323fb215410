"""Labelled log lines as domains: one domain is one system, its lines grouped by template.

Holds the readers of everything a detector is trained on: the project's corpora, the large language
model's labels of loghub, the minimal pairs, the lexicon. Guarantees: reading order is sorted by
name, so that a run repeats; what the model sees are templates (`logagent.normalise`), never raw
lines. Leaves splitting to `splits`.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from logagent.normalise import templates

from logagent_build.headers import with_header

__all__ = [
    "CATEGORIES",
    "Domain",
    "Phrase",
    "data_hash",
    "read_corpora",
    "read_loghub",
    "read_pair_list",
    "read_pairs",
    "read_phrases",
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
MORE_PAIRS = "more_pairs"
CATEGORIES = {
    "h": "hardware",
    "s": "storage",
    "m": "memory",
    "n": "network",
    "a": "auth/attack",
    "r": "resource",
    "c": "crash",
    "f": "configuration",
    "p": "application",
}
"""Kinds of anomaly, by their letter in the corpora."""
_UNKNOWN = -1
_LOGHUB_CATEGORY = {  # names of loghub_llm.tsv that differ from ours; the others mean no kind
    "app": "application",
    "attack": "auth/attack",
    "auth": "auth/attack",
    "config": "configuration",
    "data": "storage",
    "timeout": "network",
}
_CODE = re.compile(rb"([01]|[23][hsmnarcfp]) (.*)", re.DOTALL)


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
    category: npt.NDArray[np.int8]
    """Index into `CATEGORIES` of anomalous templates, int8 (n,); -1 where it is not known."""
    kin: frozenset[str] = field(default_factory=frozenset)
    """Domains that hold lines of the same software: left out together."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A word or phrase with a language model's opinion of it."""

    text: str
    score: float
    """-3 (points to normal) … +3 (points to a problem)."""


def read_corpora(folder: Path) -> list[Domain]:
    """Read every corpus but the minimal pairs; one domain per file.

    Two formats: ``<system>.tsv`` with label, severity and whole line, tab-separated; and
    ``<system>.txt``, whose first line ``# kin: a, b`` names systems that share software with it
    and whose others are a code and a message: ``0``/``1`` normal, ``2h``/``3h`` anomalous, the
    digit being the severity and the letter one of `CATEGORIES`.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a row has neither format; names file and line.
    """
    paths = sorted((*folder.glob("*.tsv"), *folder.glob("*.txt")), key=lambda path: path.stem)
    paths = [path for path in paths if path.stem not in (PAIRS, MORE_PAIRS)]
    if not paths:
        raise FileNotFoundError(
            f"no corpora (*.tsv, *.txt) in {folder}; give the folder with --corpora"
        )
    return [_read_corpus(path, "corpora") for path in paths]


def read_pairs(folder: Path) -> Domain | None:
    """Read the minimal pairs as one more source of training lines, or None without the files."""
    rows = _pair_rows(folder)
    return _grouped(PAIRS, "pairs", rows) if rows else None


def read_pair_list(folder: Path) -> list[tuple[bytes, bytes]]:
    """Return the templates of every minimal pair: the normal member, then the anomalous one."""
    rows = _pair_rows(folder)
    masked = templates([row.line for row in rows]).templates
    return list(zip(masked[0::2], masked[1::2], strict=True))


def _pair_rows(folder: Path) -> list[_Row]:
    rows: list[_Row] = []
    for name in (PAIRS, MORE_PAIRS):
        for suffix in (".tsv", ".txt"):
            path = folder / f"{name}{suffix}"
            if path.exists():
                rows += _rows(path)
    if [row.hard for row in rows] != [(0,), (1,)] * (len(rows) // 2):
        raise ValueError(f"minimal pairs in {folder}: not a normal row, then an anomalous one")
    return rows


@dataclass(frozen=True, slots=True)
class _Row:
    line: bytes
    soft: float
    hard: tuple[int, ...]
    category: int = _UNKNOWN


def _read_corpus(path: Path, source: str) -> Domain:
    kin = frozenset[str]()
    if path.suffix == ".txt":
        with path.open(encoding="utf-8") as file:
            kin = frozenset(file.readline().removeprefix("# kin:").replace(",", " ").split())
    return _grouped(path.stem, source, _rows(path), kin)


def _rows(path: Path) -> list[_Row]:
    rows = path.read_bytes().split(b"\n")
    read = _coded if path.suffix == ".txt" else _tabbed
    return [
        read(path, number, row)
        for number, row in enumerate(rows, 1)
        if row.strip() and not (path.suffix == ".txt" and row.startswith(b"#"))
    ]


def _tabbed(path: Path, number: int, row: bytes) -> _Row:
    parts = row.rstrip(b"\r").split(b"\t", 2)
    if len(parts) != 3:
        raise ValueError(f"{path}:{number}: expected label, severity and line, tab-separated")
    label, severity = int(parts[0]), int(parts[1])
    return _Row(parts[2], SOFT_LABEL[label, severity], (label,))


def _coded(path: Path, number: int, row: bytes) -> _Row:
    found = _CODE.fullmatch(row.rstrip(b"\r"))
    if found is None:
        raise ValueError(f"{path}:{number}: expected a code (0, 1, 2h, 3s, …), a blank and a line")
    severity = int(found[1][:1])
    label = int(severity >= 2)
    letter = found[1][1:].decode()
    category = list(CATEGORIES).index(letter) if letter else _UNKNOWN
    line = with_header(found[2], path.stem, number)
    return _Row(line, SOFT_LABEL[label, severity], (label,), category)


def _grouped(
    name: str, source: str, rows: Sequence[_Row], kin: frozenset[str] = frozenset()
) -> Domain:
    """Average the labels of lines that have the same template."""
    masked = templates([row.line for row in rows]).templates
    index: dict[bytes, int] = {}
    of_line = np.array([index.setdefault(key, len(index)) for key in masked])
    count = np.bincount(of_line)
    mean = np.bincount(of_line, np.array([row.soft for row in rows])) / count
    hard = np.array([row.hard for row in rows], float).T
    positive = [np.bincount(of_line, column) / count for column in hard]
    votes: list[Counter[int]] = [Counter() for _ in index]
    for at, row in zip(of_line, rows, strict=True):
        if row.category != _UNKNOWN:
            votes[at][row.category] += 1
    category = [each.most_common(1)[0][0] if each else _UNKNOWN for each in votes]
    return Domain(
        name,
        source,
        list(index),
        mean.astype(np.float32),
        count.astype(np.int64),
        np.array(positive, np.float32),
        np.array(category, np.int8),
        kin,
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
    kinds: dict[tuple[str, str], int] = {}
    names = list(CATEGORIES.values())
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            pair = int(row["label_explicit"]), int(row["label_operator"])
            by_event[row["domain"]][row["event_id"]].append(pair)
            for column in ("category_explicit", "category_operator"):
                kind = _LOGHUB_CATEGORY.get(row.get(column, ""), row.get(column, ""))
                if kind in names:
                    kinds[row["domain"], row["event_id"]] = names.index(kind)
    domains = []
    for name in sorted(by_event):
        log = next((loghub / name).glob("*.log"), None)
        if log is None:  # a partial download; the record names the domains that were there
            continue
        lines = log.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
        structured = next((loghub / name).glob("*structured*.csv"))
        with structured.open(newline="", encoding="utf-8", errors="replace") as file:
            events = [row["EventId"] for row in csv.DictReader(file)]
        rows: list[_Row] = []
        for line, event in zip(lines, events, strict=False):
            pairs = by_event[name].get(event)
            if not pairs:
                continue
            mean = np.mean(pairs, axis=0)
            hard = tuple(int(value >= 0.5) for value in mean)
            kind_ = kinds.get((name, event), _UNKNOWN) if any(hard) else _UNKNOWN
            rows.append(_Row(line, float(mean.mean()), hard, kind_))
        domains.append(_grouped(name, "loghub", rows))
    return domains


def read_phrases(folder: Path) -> list[Phrase]:
    """Read the words and phrases of the lexicon; empty without it."""
    phrases = []
    for path in sorted(folder.glob("*.tsv")):
        for row in path.read_text(encoding="utf-8").splitlines():
            text, _, score = row.rpartition("\t")
            phrases.append(Phrase(text, float(score)))
    return phrases


def data_hash(paths: Iterable[Path]) -> str:
    """Return a SHA-256 over the names and contents of files, for the training record."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
