r"""What lines a reply holds: each is taken whole, or not at all.

Read are a JSON object ``{"rows": […]}``, bare or in a code fence; objects of its rows one by one,
where the whole is cut or broken; and rows of tab-separated columns, in the order of the fields.

Guarantees: never raises, whatever the text; a line that is taken has printable characters only
(`logagent.sanitise`), no tab or line end, between `SHORTEST` and `LONGEST` characters, at least
two words, no placeholder, no word of its own label before it, and does not stand in the prompt.
What is not taken is counted by its reason. Leaves what lines are worth to `gathering`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from logagent.normalise import templates
from logagent.sanitise import printable

from logagent_build.corpora import CATEGORIES
from logagent_build.synthesize.anatomy import split

__all__ = ["FIELDS", "KINDS", "LONGEST", "SHORTEST", "Reading", "Row", "clean", "read", "schema"]

KINDS = ("normal", "hard", "anomalous", "pairs")
"""Kinds of lines; ``hard`` are normal lines that sound bad, ``pairs`` one of each class."""
FIELDS = {
    "plan": ("component", "example"),
    "normal": ("line",),
    "hard": ("line",),
    "anomalous": ("severity", "category", "line"),
    "pairs": ("severity", "normal", "anomalous"),
}
"""Fields of a row, by what was asked for; columns of the tab-separated form."""
SHORTEST = 8  # [characters] less is no line of a log
LONGEST = 500  # [characters] the longest line of the project's corpora has 478
_LONGEST_NAME = 60  # [characters] of a component
_ALIKE = 0.6  # least similarity of the members of a pair: `difflib`'s ratio over words
_MOST_ROWS = 2000  # of a reply; more is no answer to any prompt here
_MOST_BROKEN = 2000  # objects tried in a broken reply: bounds the time it may cost
_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_PLACEHOLDER = re.compile(
    r"(?i)<(?:time(?:stamp)?|date|host(?:name)?|pid|ip(?:v[46])?(?:[_ ]addr(?:ess)?)?|user(?:name)?"
    r"|number|num|n|id|path|port|level|message|\*)>|\{(?:time(?:stamp)?|date|host(?:name)?|pid|ip"
    r"|user(?:name)?|id|name|number|n)\}|\[(?:timestamp|hostname|pid)\]|YYYY|HH:MM|\bX{3,}\b|x\.x\.x"
)
_LABEL = re.compile(
    r"(?i)^\W{0,3}(?:(?:ab)?normal|anomal(?:y|ous)|hard|label|category)\W{0,3}"
    r"(?: ?\d{1,3})? ?[:|\t]"
    r"|^\W{0,3}severity:? ?[0-3]\b"
    r"|[#(\[]\W{0,3}(?:severity \d|(?:ab)?normal|anomal(?:y|ous)|routine|harmless)\W{0,3}$"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line, or a pair of them, or a component."""

    line: str
    """Whole line; of a pair the normal one; the example of a component."""
    severity: int = 0
    """0 to 3; of a pair that of the anomalous one."""
    category: str = ""
    """A value of `CATEGORIES`, or empty."""
    other: str = ""
    """The anomalous line of a pair; the name of a component."""


@dataclass(slots=True)
class Reading:
    """What a reply holds."""

    rows: list[Row] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """``cut`` and ``garbage`` replies, ``salvaged`` ones; rows broken by ``form``, ``control``,
    ``long``, ``short``, ``placeholder``, ``label``, ``echo``, ``severity``, ``unlike``; rows
    taken with ``tabs`` replaced, or of a ``category`` that is none."""
    broken: int = 0
    """Rows not taken."""


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of replies to what asks for `kind`."""
    types = {"severity": {"type": "integer"}}
    row = {name: types.get(name, {"type": "string"}) for name in FIELDS[kind]}
    return _object({"rows": {"type": "array", "items": _object(row)}})


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def read(kind: str, text: str, finish_reason: str, prompt: str = "") -> Reading:
    """Read the rows of a reply.

    Args:
        kind: ``plan`` or one of `KINDS`.
        text: the reply.
        finish_reason: as the endpoint tells it; of a reply that was cut the whole rows count.
        prompt: lines that stand in it are no answer.
    """
    found = Reading()
    found.counts["cut"] += finish_reason == "length"
    for raw in _raw(kind, _THOUGHT.sub("", text), found.counts):
        if len(found.rows) + found.broken == _MOST_ROWS:
            break
        row = _row(kind, raw, prompt, found.counts)
        if row is None:
            found.broken += 1
        else:
            found.rows.append(row)
    found.counts["garbage"] += not found.rows
    found.counts = +found.counts
    return found


def clean(text: object, prompt: str = "") -> tuple[str, str]:
    """Return a line and no reason, or no line and the reason why it is not taken."""
    if not isinstance(text, str):
        return "", "form"
    line = text.strip(" \t\r\n").replace("\t", " ")
    if len(line) > 2 and line[0] == line[-1] == "`":
        line = line.strip("` ")
    if len(line) > LONGEST:
        return "", "long"
    if printable(line, LONGEST) != line:
        return "", "control"
    reasons = (
        (len(line) < SHORTEST or len(_WORD.findall(line)) < 2, "short"),
        (_PLACEHOLDER.search(line) is not None, "placeholder"),
        (_LABEL.search(line) is not None, "label"),
        (line in prompt, "echo"),
    )
    reason = next((reason for wrong, reason in reasons if wrong), "")
    return ("", reason) if reason else (line, "")


def _row(kind: str, raw: object, prompt: str, counts: Counter[str]) -> Row | None:
    reason = ""
    severity, lines, name = 0, [""], ""
    if not isinstance(raw, Mapping):
        raw, reason = {}, "form"
    if not reason and "severity" in FIELDS[kind]:
        severity = _severity(raw.get("severity"), least=2 if kind == "pairs" else 1)
        reason = "" if severity else "severity"
    if not reason:
        lines, reason = _lines(kind, raw, prompt)
    if kind == "plan":
        name = printable(str(raw.get("component", "")), _LONGEST_NAME).strip()
        reason = reason or ("" if _WORD.search(name) else "short")
    if not reason and kind == "pairs" and not _alike(*lines):
        reason = "unlike"
    if reason:
        counts[reason] += 1
        return None
    counts["tabs"] += any("\t" in str(value).strip() for value in raw.values())
    category = str(raw.get("category", "")).strip().lower() if kind == "anomalous" else ""
    if category and category not in CATEGORIES.values():
        counts["category"] += 1
        category = ""
    return Row(lines[0], severity, category, name or (lines[1] if kind == "pairs" else ""))


def _lines(kind: str, raw: Mapping[str, object], prompt: str) -> tuple[list[str], str]:
    """Return the lines of a row, or the reason why one is not taken."""
    lines = []
    for name in FIELDS[kind]:
        if name in ("severity", "category", "component"):
            continue
        line, reason = clean(raw.get(name), prompt)
        if reason:
            return [], reason
        lines.append(line)
    return lines, ""


def _severity(value: object, least: int) -> int:
    if isinstance(value, str) and value.strip() in ("1", "2", "3"):
        value = int(value)
    fine = isinstance(value, int) and not isinstance(value, bool) and least <= value <= 3
    return value if fine else 0  # type: ignore[return-value]  # a number, as just seen


def _alike(normal: str, anomalous: str) -> bool:
    """Return whether two lines have one form of header, differ in little, and so that it counts."""
    parts = [split(line) for line in (normal, anomalous)]
    forms = {(each.prefix_shape, each.tail_shape) for each in parts}
    masked = templates([each.said.encode() for each in parts]).templates
    one, two = (template.decode(errors="replace") for template in masked)
    if one == two or len(forms) > 1:
        return False
    matcher = SequenceMatcher(None, one.split(), two.split(), autojunk=False)
    return matcher.ratio() >= _ALIKE


def _raw(kind: str, text: str, counts: Counter[str]) -> Iterator[object]:
    """Yield the rows of a text, not yet looked at."""
    text = _FENCE.sub("", text)
    whole = _loaded(text.strip())
    rows = whole.get("rows") if isinstance(whole, dict) else whole
    if isinstance(rows, list):
        yield from rows
        return
    salvaged = False
    for raw in _objects(text, FIELDS[kind][-1]):
        salvaged = True
        yield raw
    if salvaged:
        counts["salvaged"] += 1
        return
    width = len(FIELDS[kind])
    for line in text.split("\n"):
        cells = line.strip("\r ").split("\t")
        if width > 1 and len(cells) == width:
            yield dict(zip(FIELDS[kind], cells, strict=True))


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _objects(text: str, name: str) -> Iterator[object]:
    """Yield the objects with a field `name` of a text that is no JSON as a whole."""
    decoder = json.JSONDecoder()
    at = -1
    for _ in range(_MOST_BROKEN):
        at = text.find("{", at + 1)
        if at < 0:
            return
        try:
            raw, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if isinstance(raw, dict) and name in raw:
            yield raw
            at = end - 1
