"""Labels by people that win over a model's: what the review page exports and any later run reads.

    {"format": "logagent-review 1", "labels": [{"template": "<16 hex digits>", "label": 0 or 1}]}

They name templates by hash, so they hold for other runs and other logs with the same templates.

Guarantees: what is read from a file is bounded and checked. Imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

__all__ = ["FORMAT", "KEY", "json_object", "read_review", "template_key"]

FORMAT = "logagent-review 1"
KEY = re.compile(r"[0-9a-f]{16}")
"""What a template key looks like."""
_MOST_BYTES = 64 << 20  # of a file of corrections: a million of them


def template_key(template: bytes) -> str:
    """Return the 16 hexadecimal digits that name a template."""
    return hashlib.sha256(template).hexdigest()[:16]


def read_review(path: Path) -> dict[str, bool]:
    """Read a person's corrections: label by template key; the last of equal keys counts.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no file of corrections; says what is wrong.
    """
    content = json_object(path, "corrections")
    if content.get("format") != FORMAT:
        raise ValueError(f"{path}: not of the format {FORMAT!r}; export it from the review page")
    listed = content.get("labels")
    if not isinstance(listed, list):
        raise ValueError(f"{path}: has no list of labels")
    found: dict[str, bool] = {}
    for number, each in enumerate(listed, 1):
        key = each.get("template") if isinstance(each, dict) else None
        label = each.get("label") if isinstance(each, dict) else None
        fine = isinstance(key, str) and KEY.fullmatch(key) is not None
        if not fine or isinstance(label, bool) or label not in (0, 1):
            raise ValueError(f"{path}: entry {number} has no template key with a label 0 or 1")
        found[str(key)] = label == 1
    return found


def json_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object from a file of bounded size; `what` says what it should hold.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger, or no object.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: larger than {_MOST_BYTES >> 20} MiB, no {what}")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: no JSON of {what}")
    return content
