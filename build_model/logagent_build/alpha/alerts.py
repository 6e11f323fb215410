"""The groups of an agent's alert file: what there is to explain.

Reads the alert file of an agent, copied from any device (docs/cli.md, "Alert record"), and puts
equal groups together, however many devices and days they come from.

Guarantees: what is read from a file is bounded; log text is printable. Leaves asking to `explain`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logagent.normalise import templates
from logagent.sanitise import printable
from logagent.sequence_ids import description, is_name

__all__ = ["Group", "read_alerts"]

_MOST_LINE = 1 << 20  # [bytes] of one record; those of an agent are below 64 KiB
_MOST_RECORDS = 200_000  # of a file, and groups named in them; bounds memory
_MOST_LISTED = 50  # groups that one alert names; the agent names as many
_TEXT = 500  # [characters] of a log line in a prompt
_AROUND = 3  # context lines before and after; the agent keeps as many
_RELATED = 3  # related groups in a prompt


@dataclass(slots=True)
class Group:
    """Alerts that say the same: one template, from any host and time."""

    key: str
    """16 hexadecimal digits, of the template."""
    text: str
    """The line of the gravest alert."""
    score: float
    category: str = ""
    lines: int = 0
    """Lines of all alerts together, as far as they tell."""
    alerts: int = 0
    hosts: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    """Words that carried the decision."""
    like: str = ""
    """Systems that have such lines."""
    related: list[str] = field(default_factory=list)
    first: str = ""
    last: str = ""
    """Times of the first and last line, as the logs have them."""


def read_alerts(path: Path, *, problem: Callable[[str], None] = lambda _text: None) -> list[Group]:
    """Read an alert file and put equal groups together, gravest first.

    Also reads the line and group records of ``logagent scan --format jsonl``. Groups that are told
    only beside others (`related`), or in a digest or notice of the budget (`held`, `ongoing`), are
    groups as any other. A sequence's record is a group of its kind, with what carried it and its
    first and last line in place of a line. Records that name no group and records that are `normal`
    are left out; what cannot be read is reported and left out.

    Args:
        path: of JSON Lines.
        problem: told of each record that cannot be read; at most ten times.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no alert.
    """
    seen = _Seen()
    bad = 0
    with path.open("rb") as file:
        for number in range(1, _MOST_RECORDS + 1):
            row = file.readline(_MOST_LINE + 1)
            if not row:
                break
            if not row.strip():
                continue
            record = _record(row)
            while len(row) > _MOST_LINE and not row.endswith(b"\n"):  # the rest of an endless one
                row = file.readline(_MOST_LINE + 1)
                if not row:
                    break
            if record is None:
                bad += 1
                if bad <= 10:
                    problem(f"{path}:{number}: no record of an alert, left out")
            elif record.get("verdict") != "normal":
                if isinstance(record.get("text"), str):
                    seen.add(record)
                for each in _beside(record):
                    seen.add(each)
    groups = seen.groups
    if not groups:
        raise ValueError(
            f"{path}: holds no alerts; give the file an agent writes with format jsonl"
        )
    return sorted(groups.values(), key=lambda group: (-group.score, -group.lines, group.key))


def _record(row: bytes) -> dict[str, Any] | None:
    if len(row) > _MOST_LINE:
        return None
    try:
        record = json.loads(row)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _beside(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the groups that an alert tells beside its own, as if each had been told alone."""
    own = record.get("text")
    lead = [{"text": own}] if isinstance(own, str) else []
    for name in ("related", "held", "ongoing"):
        listed = [
            each
            for each in _list(record.get(name))[:_MOST_LISTED]
            if isinstance(each, dict) and isinstance(each.get("text"), str)
        ]
        for each in listed:
            more: dict[str, Any] = {"host": record.get("host")}
            if name == "related":  # of one moment; what a digest lists is of a day
                more["related"] = lead + [other for other in listed if other is not each]
            yield each | more


class _Seen:
    """Groups read so far. Memory: O(groups), which `_MOST_RECORDS` bounds."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._lines: dict[tuple[str, str], int] = {}
        self._records = 0

    def add(self, record: dict[str, Any]) -> None:
        """Take in what a record says of one group."""
        self._records += 1
        if self._records > _MOST_RECORDS:
            return
        text = printable(record["text"], _TEXT)
        key = ""
        if record.get("kind") == "sequence":  # its first line may be as harmless as its last
            text = _of_sequence(record)
            kind = record.get("group")
            key = kind if isinstance(kind, str) and is_name(kind) else ""
        if not key:
            key = hashlib.sha256(templates([text.encode()]).templates[0]).hexdigest()[:16]
        host, of_host = record.get("host"), record.get("group")
        named = (host, of_host) if isinstance(host, str) and isinstance(of_host, str) else None
        if named is not None:
            # Later alerts of a group may cut its line shorter, which would be another template.
            key = self._keys.setdefault(named, key)
        score = _number(record.get("score"))
        group = self.groups.setdefault(key, Group(key, text, score))
        context = record.get("context")
        told = context if isinstance(context, dict) else {}
        if score > group.score or not (group.before or group.after):
            group.before = _texts(told.get("before"))[-_AROUND:] or group.before
            group.after = _texts(told.get("after"))[:_AROUND] or group.after
        if score > group.score:
            group.text, group.score = text, score
        group.category = group.category or _name(record.get("category"))
        group.why = group.why or _words(record.get("why"))
        group.like = group.like or ", ".join(_words(record.get("like")))
        group.related = group.related or [
            printable(each["text"], _TEXT)
            for each in _list(record.get("related"))[:_RELATED]
            if isinstance(each, dict) and isinstance(each.get("text"), str)
        ]
        group.lines += self._fresh(record, named)
        group.alerts += 1
        for kept, name in ((group.hosts, "host"), (group.sources, "source")):
            if isinstance(record.get(name), str) and len(kept) < 50:
                kept.add(printable(record[name], 200))
        times = [record[at] for at in ("time", "last_time") if isinstance(record.get(at), str)]
        for time in (printable(each, 40) for each in times):
            group.first = min(group.first or time, time)
            group.last = max(group.last, time)

    def _fresh(self, record: dict[str, Any], named: tuple[str, str] | None) -> int:
        """Return the lines that are new with this record.

        A group that is held back is told of by the budget and by every digest; what they count
        may be the same lines. So no more are added than the group has in all.
        """
        fewest = 0 if "since_told" in record else 1  # a group that fell silent has none
        fresh = max(fewest, int(_number(record.get("since_told", record.get("count", 1)), 1.0)))
        if named is None:
            return fresh
        before = self._lines.get(named, 0)
        if "count" in record:
            fresh = min(fresh, max(0, int(_number(record["count"], 1.0)) - before))
        self._lines[named] = before + fresh
        return fresh


def _of_sequence(record: dict[str, Any]) -> str:
    """Return what a sequence's record is about, in place of a line: no line of it need be wrong."""
    about, _ = description(record.get("carried"))
    lines = int(_number(record.get("lines"), 1.0))
    first, last = (
        printable(each, _TEXT // 3) if isinstance(each, str) else ""
        for each in (record.get("text"), record.get("last_text"))
    )
    parts = [f"a sequence of {lines:,} line{'' if lines == 1 else 's'}, anomalous as a whole"]
    parts += [said for said in (about, f"first line: {first}", f"last line: {last}") if said]
    return "; ".join(parts)


def _number(value: object, default: float = 0.0) -> float:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if fine else default  # type: ignore[arg-type]  # a number, as just seen


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [printable(each, _TEXT) for each in _list(value) if isinstance(each, str)]


def _name(value: object) -> str:
    found = value.get("name") if isinstance(value, dict) else value
    return printable(found, 60) if isinstance(found, str) else ""


def _words(value: object) -> list[str]:
    rows = [
        each.get("word", each.get("system", each.get("name"))) if isinstance(each, dict) else each
        for each in (_list(value) or [value])
    ]
    rows = [each[0] if isinstance(each, list) and each else each for each in rows]
    return [printable(each, 60) for each in rows if isinstance(each, str)][:8]
