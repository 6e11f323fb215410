"""Prompts as versioned files: `prompts/*.toml`, or the user's own.

Guarantees: a file with an unknown, missing or mistyped field, or without the places its purpose
needs, is refused with its name; places are filled in one pass, so that log text which looks like
a place stays text. A change of a prompt is a change of its `version`; records name both, and the
hash of the file.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from logagent.errors import ConfigError

__all__ = ["PromptFile", "load", "names"]

FOLDER = Path(__file__).with_name("prompts")
_PLACE = re.compile(r"\{([a-z_]+)\}")
_NEEDS = {
    "label": frozenset({"lines"}),
    "calibrate": frozenset({"lines"}),
    "explain": frozenset({"lines", "category", "context"}),
}
_KNOWS = {
    "label": frozenset({"lines", "examples"}),
    "calibrate": frozenset({"lines", "examples", "sequence"}),
    "explain": frozenset({"lines", "category", "context"}),
}


@dataclass(frozen=True, slots=True)
class PromptFile:
    """One prompt, as its file has it."""

    name: str
    version: int
    purpose: str
    """``label``, ``calibrate`` (a label of one line, with evidence) or ``explain``."""
    source: str
    """Where it comes from, for those who compare."""
    system: str
    user: str
    """With places ``{lines}``, ``{examples}``, …"""
    temperature: float
    """Of the first try, in [0, 2]."""
    answer: str
    """``json``, ``lines`` or ``text``: form of the reply."""
    thoughts: tuple[str, ...]
    """Names of what the reply holds before its labels, in order, such as ``reasoning``."""
    marker: str
    """Before the labels in replies that are no JSON; empty if they hold nothing else."""
    tokens_per_line: int
    """[tokens] of the longest reply, for each line asked."""
    tokens_fixed: int
    """[tokens] of the longest reply, for the rest."""
    few_shot: str
    """Whether examples are ``required``, ``optional``, or ``none``."""
    reasons: bool
    """Whether each label comes with a reason."""
    digest: str = field(default="")
    """SHA-256 of the file; not a field of the file."""

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """JSON schema of replies, or None if they are no JSON."""
        if self.answer != "json":
            return None
        row: dict[str, Any] = {"id": {"type": "string"}}
        if self.reasons:
            row["reason"] = {"type": "string"}  # before the label: it is to follow from it
        row["anomalous"] = {"type": "boolean"}
        whole: dict[str, Any] = {name: {"type": "string"} for name in self.thoughts}
        whole["labels"] = {"type": "array", "items": _object(row)}
        return _object(whole)

    def fill(self, places: Mapping[str, str]) -> str:
        """Return the user's message with its places filled."""
        return _PLACE.sub(lambda match: places.get(match[1], match[0]), self.user).strip()


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def names() -> list[str]:
    """Return the names of the prompts shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(wanted: str, purpose: str = "label") -> PromptFile:
    """Read a prompt by its name, or the path of a file ending in ``.toml``.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    path = Path(wanted) if wanted.endswith(".toml") else FOLDER / f"{wanted}.toml"
    if path.parent == FOLDER and wanted not in names():
        raise ConfigError(f"no prompt {wanted!r}; there are {', '.join(names())}, or give a .toml")
    try:
        data = path.read_bytes()
        raw = tomllib.loads(data.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    made = _checked(path, raw, hashlib.sha256(data).hexdigest())
    if made.purpose != purpose:
        raise ConfigError(f"{path}: a prompt to {made.purpose}, not to {purpose}")
    return made


_TYPES: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "version": int,
    "purpose": str,
    "source": str,
    "system": str,
    "user": str,
    "temperature": (int, float),
    "answer": str,
    "thoughts": list,
    "marker": str,
    "tokens_per_line": int,
    "tokens_fixed": int,
    "few_shot": str,
    "reasons": bool,
}


def _checked(path: Path, raw: dict[str, Any], digest: str) -> PromptFile:
    wanted = {each.name for each in fields(PromptFile)} - {"digest"}
    problems = [f"unknown field {name!r}" for name in sorted(raw.keys() - wanted)]
    problems += [f"field {name!r} is missing" for name in sorted(wanted - raw.keys())]
    problems += [
        f"{name}: {value!r} is no {_TYPES[name]}"
        for name, value in raw.items()
        if name in wanted
        and (
            not isinstance(value, _TYPES[name])
            or (isinstance(value, bool) and _TYPES[name] is not bool)
        )
    ]
    if not problems:
        raw["thoughts"] = tuple(map(str, raw["thoughts"]))
        problems = _values(raw)
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    return PromptFile(**raw, digest=digest)


def _values(raw: Mapping[str, Any]) -> list[str]:
    problems = []
    if raw["purpose"] not in _NEEDS:
        return [f"purpose: {raw['purpose']!r} is neither of {', '.join(_NEEDS)}"]
    places = set(_PLACE.findall(raw["user"]))
    missing = _NEEDS[raw["purpose"]] - places
    problems += [f"user: no place {{{name}}}" for name in sorted(missing)]
    problems += [
        f"user: unknown place {{{name}}}" for name in sorted(places - _KNOWS[raw["purpose"]])
    ]
    if raw["few_shot"] not in ("required", "optional", "none"):
        problems.append(f"few_shot: {raw['few_shot']!r} is neither of required, optional, none")
    elif (raw["few_shot"] != "none") != ("examples" in places):
        problems.append("few_shot: examples need a place {examples}, and the other way round")
    if raw["answer"] not in ("json", "lines", "text"):
        problems.append(f"answer: {raw['answer']!r} is neither of json, lines, text")
    if (raw["answer"] == "text") != (raw["purpose"] == "explain"):
        problems.append("answer: text goes with explain, json and lines go with labels")
    if not 0 <= raw["temperature"] <= 2:
        problems.append("temperature: not in [0, 2]")
    if raw["version"] < 1 or raw["tokens_per_line"] < 0 or raw["tokens_fixed"] < 1:
        problems.append("version and tokens_fixed are at least 1, tokens_per_line at least 0")
    if raw["answer"] == "lines" and raw["thoughts"] and not raw["marker"]:
        problems.append("marker: thoughts need one before the labels")
    return problems
