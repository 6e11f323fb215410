"""What a reply says about which line: nothing is guessed.

Two forms are read: a JSON object ``{"labels": [{"id": "k3f8", "anomalous": true}, …]}``, bare or
in a code fence, and lines ``k3f8: anomalous``, after the marker where a prompt has one. Labels
are true, false, 0, 1, normal, anomalous and abnormal (FlexLog §4.3.2 takes the explicit ones
only). Guarantees: an id that was not asked for is ignored and counted; one that is named twice
with different labels has no answer, and is counted; one that is not named has none; a reply cut
at its limit has none at all, since no one knows what the last words would have been.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answers", "read"]

_WORDS = {
    "0": False,
    "1": True,
    "normal": False,
    "anomalous": True,
    "abnormal": True,
}
_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)
_LINE = re.compile(
    r"^[ \t]*(?:[-*] +)?[\[`*]{0,3}([a-z0-9]{4})[\]`*]{0,3} *(?::|=|->|—|-|\t) *"
    r"[`*]{0,2}(normal|anomalous|abnormal|[01])[`*]{0,2}(?: *(?:[,;:—-]|\() *(.*?))?[ .]*$",
    re.IGNORECASE | re.MULTILINE,
)
_LONGEST_REASON = 300  # characters kept


@dataclass(slots=True)
class Answers:
    """What a reply says."""

    labels: dict[str, bool] = field(default_factory=dict)
    """By id; True is anomalous."""
    reasons: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """``invented``, ``contradicted``, ``unclear`` (a label that is none), ``cut``, ``garbage``."""


def read(text: str, finish_reason: str, ids: Sequence[str], marker: str = "") -> Answers:
    """Read the labels of `ids` from a reply.

    Args:
        text: the reply.
        finish_reason: as the endpoint tells it.
        ids: asked for.
        marker: a line of this alone precedes the answers in the line form; earlier text is
            thinking aloud. Empty: all of the text counts.
    """
    answers = Answers()
    if finish_reason == "length":
        answers.counts["cut"] += 1
        return answers
    text = _THOUGHT.sub("", text)
    said = _from_json(text)
    if said is None:
        said = _from_lines(text, marker)
    if not said:
        answers.counts["garbage"] += 1
    wanted, against = set(ids), set[str]()
    for name, label, reason in said or ():
        if name not in wanted:
            answers.counts["invented"] += 1
        elif label is None:
            answers.counts["unclear"] += 1
            against.add(name)  # whatever else is said of it
        elif answers.labels.setdefault(name, label) != label:
            answers.counts["contradicted"] += 1
            against.add(name)
        elif reason:
            answers.reasons[name] = reason[:_LONGEST_REASON]
    for name in against:
        answers.labels.pop(name, None)
        answers.reasons.pop(name, None)
    return answers


_Said = tuple[str, bool | None, str]


def _from_json(text: str) -> list[_Said] | None:
    """Read the JSON form; None if the text is no JSON object."""
    fenced = _FENCED.findall(text)
    bare = (fenced[-1] if fenced else text).strip()
    if not bare.startswith("{"):
        return None
    try:
        whole = json.loads(bare, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    rows = whole.get("labels")
    if not isinstance(rows, list):
        return []
    return [_row(row) for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object whose names stand in it once."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        if made.setdefault(name, value) is not value:
            raise ValueError("a name twice")
    return made


def _row(row: dict[str, Any]) -> _Said:
    value = row.get("anomalous", row.get("label"))
    reason = row.get("reason")
    name = row["id"].strip().strip("[]")
    if isinstance(value, bool):
        label: bool | None = value
    else:
        label = _WORDS.get(str(value).strip().lower())
    return name, label, reason if isinstance(reason, str) else ""


def _from_lines(text: str, marker: str) -> list[_Said]:
    if marker:
        # The last one: earlier ones may be quoted, or be a first opinion.
        _, found, text = text.rpartition(marker)
        if not found:
            return []
    return [
        (match[1].lower(), _WORDS[match[2].lower()], match[3] or "")
        for match in _LINE.finditer(text)
    ]
