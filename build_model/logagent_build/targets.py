"""Logs that a bundle is looked at with: raw lines, with labels or without; never trained on.

`find` turns a name (``bgl``, ``fail2ban``, …) or a file of the user into a `Target`. Files are told
apart by what is in them: JSON Lines with a label and a text, tab-separated rows whose first column
or ``label`` column is 0 or 1, the format of the computer failure data repository (CFDR: the first
word of a line is ``-`` or an alert's tag), or plain lines without labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["NAMES", "Target", "find", "known", "read_file", "tagged", "without_tag"]

_LABEL_KEYS = ("label", "match", "anomaly", "anomalous", "is_anomaly")
_TEXT_KEYS = ("line", "text", "message", "log", "content")
_TRUE = {"1", "true", "yes", "anomaly", "anomalous", "abnormal"}
_FALSE = {"0", "false", "no", "normal", "-"}
_CFDR = re.compile(rb"(?:-|[A-Z][A-Z0-9_/]*) \d{9,10} \d{4}\.\d\d\.\d\d ")
_SNIFFED_LINES = 50  # enough to tell a format; a log's first lines are of one kind


@dataclass(frozen=True, slots=True)
class Target:
    """The lines of a system that is only ever looked at."""

    name: str
    lines: list[bytes]
    """Raw lines, without newline; what a label column took is gone."""
    labels: npt.NDArray[np.int8] | None
    """0 normal, 1 anomalous; int8 (n,). None: nobody has judged them."""
    groups: list[str]
    """What a line belongs to inside the target (file, service); one per line."""
    healthy: bool = False
    """Whether all lines are of machines in good health: what is flagged is a false alarm."""

    def __post_init__(self) -> None:
        """Check that there is one label and one group per line."""
        if self.labels is not None and len(self.labels) != len(self.lines):
            raise ValueError(f"{self.name}: {len(self.labels)} labels, {len(self.lines)} lines")


def _lines(path: Path) -> list[bytes]:
    rows = path.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
    return [row for row in rows if row.strip()]


def _cfdr(name: str, rows: Sequence[bytes]) -> Target:
    tagged = [row.partition(b" ") for row in rows]
    labels = np.array([tag != b"-" for tag, _, _ in tagged], np.int8)
    return Target(name, [line for _, _, line in tagged], labels, [name] * len(tagged))


def _unlabelled(name: str, paths: Iterable[Path], *, healthy: bool) -> Target:
    lines, groups = [], []
    for path in paths:
        rows = _lines(path)
        lines += rows
        groups += [path.stem] * len(rows)
    return Target(name, lines, None, groups, healthy)


def _loghub_tagged(data: Path, system: str) -> Target:
    path = data / "loghub" / system / f"{system}_2k.log"
    return _cfdr(f"{system}_2k", _lines(path))


def _fail2ban(data: Path) -> Target:
    path = data / "targets" / "fail2ban" / "fail2ban_lines.jsonl"
    records = [json.loads(row) for row in path.read_text("utf-8").splitlines()]
    records = [record for record in records if record["match"] is not None]
    return Target(
        "fail2ban",
        [record["line"].encode("utf-8", "surrogateescape") for record in records],
        np.array([record["match"] for record in records], np.int8),
        [record["service"] for record in records],
    )


def _edge_judged(data: Path) -> Target:
    rows = [row.split(b"\t", 4) for row in _lines(data / "targets" / "edge_judged.tsv")[1:]]
    return Target(
        "edge_judged",
        [row[4] for row in rows],
        np.array([row[2] == b"1" for row in rows], np.int8),
        [row[0].decode() for row in rows],
    )


def _hdfs(data: Path) -> Target:
    return _unlabelled("HDFS_2k", [data / "loghub" / "HDFS" / "HDFS_2k.log"], healthy=True)


def _edge(folder: str, pattern: str) -> Callable[[Path], Target]:
    def read(data: Path) -> Target:
        paths = sorted((data / "edge" / folder).glob(pattern))
        paths = [path for path in paths if path.name != "SOURCE.txt"]
        if not paths:
            raise FileNotFoundError(data / "edge" / folder)
        return _unlabelled(f"edge/{folder}", paths, healthy=True)

    return read


NAMES: dict[str, Callable[[Path], Target]] = {
    "bgl": lambda data: _loghub_tagged(data, "BGL"),
    "thunderbird": lambda data: _loghub_tagged(data, "Thunderbird"),
    "fail2ban": _fail2ban,
    "edge_judged": _edge_judged,
    "hdfs": _hdfs,
    "rpi3": _edge("rpi3", "*.log"),
    "k8s_node": _edge("k8s_node", "*.txt"),
}
"""Known targets, by name: functions of the folder with ``loghub``, ``targets`` and ``edge``."""


def known(data: Path) -> list[Target]:
    """Return the known targets whose files are there."""
    found = []
    for read in NAMES.values():
        try:
            found.append(read(data))
        except FileNotFoundError:  # a partial download: what is there is looked at
            continue
    return found


def find(wanted: str, data: Path) -> Target:
    """Return a target by name or file.

    Raises:
        FileNotFoundError: neither a known name whose data are there, nor a file.
        ValueError: the file's labels cannot be read.
    """
    if wanted in NAMES:
        try:
            return NAMES[wanted](data)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"target {wanted}: {error.filename or error} is not there; give --data"
            ) from None
    path = Path(wanted)
    if not path.is_file():
        raise FileNotFoundError(
            f"target {wanted}: neither a file nor one of {', '.join(sorted(NAMES))}"
        )
    return read_file(path)


def read_file(path: Path) -> Target:
    """Read a labelled or plain file of the user; the format is told from its first lines.

    Raises:
        ValueError: it looks labelled, and a row's label cannot be read; names file and line.
    """
    rows = _lines(path)
    if not rows:
        raise ValueError(f"{path}: has no lines")
    head = rows[:_SNIFFED_LINES]
    if all(row.lstrip().startswith(b"{") for row in head) and _json_label(head[0]) is not None:
        return _from_json(path, rows)
    if all(b"\t" in row for row in head):
        columns = head[0].decode("utf-8", "replace").lower().split("\t")
        if any(name in columns for name in _LABEL_KEYS):
            return _from_table(path, rows, columns)
        if all(
            _truth(row.split(b"\t", 1)[0].decode("utf-8", "replace")) is not None for row in head
        ):
            return _from_rows(path, rows)
    if all(_CFDR.match(row) for row in head):
        return _cfdr(path.stem, rows)
    return Target(path.stem, rows, None, [path.stem] * len(rows))


def tagged(path: Path) -> bool:
    """Return whether the lines of a file begin with an alert's tag or ``-`` (CFDR).

    Raises:
        OSError: it cannot be read.
    """
    head = _lines(path)[:_SNIFFED_LINES]
    return bool(head) and all(_CFDR.match(row) for row in head)


def without_tag(line: bytes) -> bytes:
    """Return a line without the tag that it begins with, if it has one."""
    return line.partition(b" ")[2] if _CFDR.match(line) else line


def _truth(text: str) -> bool | None:
    value = text.strip().lower()
    return True if value in _TRUE else False if value in _FALSE else None


def _json_label(row: bytes) -> str | None:
    try:
        record = json.loads(row)
    except ValueError:
        return None
    has_text = isinstance(record, dict) and any(key in record for key in _TEXT_KEYS)
    return next((key for key in _LABEL_KEYS if key in record), None) if has_text else None


def _from_json(path: Path, rows: Sequence[bytes]) -> Target:
    lines, labels = [], []
    for number, row in enumerate(rows, 1):
        try:
            record = json.loads(row)
            text = next(str(record[key]) for key in _TEXT_KEYS if key in record)
            truth = next(_truth(str(record[key])) for key in _LABEL_KEYS if key in record)
        except (ValueError, StopIteration, TypeError):
            raise ValueError(f"{path}:{number}: no JSON with a label and a text") from None
        if truth is None:  # not judged: null in the file
            continue
        lines.append(text.encode("utf-8", "surrogateescape"))
        labels.append(truth)
    return Target(path.stem, lines, np.array(labels, np.int8), [path.stem] * len(lines))


def _from_table(path: Path, rows: Sequence[bytes], columns: list[str]) -> Target:
    label_at = next(columns.index(name) for name in _LABEL_KEYS if name in columns)
    text_at = next((columns.index(name) for name in _TEXT_KEYS if name in columns), None)
    if text_at is None:
        raise ValueError(f"{path}: has no column {', '.join(_TEXT_KEYS)}")
    last = text_at == len(columns) - 1  # then the text may hold tabs itself
    lines, labels = [], []
    for number, row in enumerate(rows[1:], 2):
        cells = row.split(b"\t", text_at if last else -1)
        truth = _truth(cells[label_at].decode("utf-8", "replace"))
        if truth is None or len(cells) <= text_at:
            raise ValueError(f"{path}:{number}: the label is not 0 or 1, or a column is missing")
        lines.append(cells[text_at])
        labels.append(truth)
    return Target(path.stem, lines, np.array(labels, np.int8), [path.stem] * len(lines))


def _from_rows(path: Path, rows: Sequence[bytes]) -> Target:
    lines, labels = [], []
    for number, row in enumerate(rows, 1):
        cells = row.split(b"\t")
        truth = _truth(cells[0].decode("utf-8", "replace"))
        if truth is None:
            raise ValueError(f"{path}:{number}: the label {cells[0]!r} is not 0 or 1")
        severity = len(cells) > 2 and cells[1].isdigit() and len(cells[1]) == 1
        lines.append(b"\t".join(cells[2 if severity else 1 :]))
        labels.append(truth)
    return Target(path.stem, lines, np.array(labels, np.int8), [path.stem] * len(lines))
