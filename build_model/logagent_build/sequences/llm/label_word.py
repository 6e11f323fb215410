"""The one word of a reply: explicit labels only (FlexLog §4.3.2), nothing is guessed.

Taken are normal, anomalous, abnormal, 0 and 1, alone on the first line, perhaps after ``label:``
and within quotes or emphasis. Everything else is ambiguous, to be asked again.
"""

from __future__ import annotations

import re

__all__ = ["read_word"]

_WORDS = {"normal": False, "0": False, "anomalous": True, "abnormal": True, "1": True}
_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_WORD = re.compile(
    r"(?:label\s*:\s*)?[\"'`*\[]{0,3}(normal|anomalous|abnormal|0|1)[\"'`*\]]{0,3}\.?",
    re.IGNORECASE,
)


def read_word(text: str, finish_reason: str = "stop") -> bool | None:
    """Return whether a reply says anomalous; None if it is ambiguous.

    A reply cut at its limit counts only if a line ends after the word: no one knows what would
    have followed otherwise.
    """
    text = _THOUGHT.sub("", text).lstrip()
    first, ended, _ = text.partition("\n")
    if finish_reason == "length" and not ended:
        return None
    match = _WORD.fullmatch(first.strip())
    return None if match is None else _WORDS[match[1].lower()]
