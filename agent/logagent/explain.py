"""Why a template was flagged: the words whose absence lowers its score most.

Occlusion: the template is scored again once per distinct word with that word taken out. Exact for
the model as it is (no gradients, works on every backend), and cheap enough for the few groups that
are reported: about 15 extra scores each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from logagent.judge import TemplateScorer
from logagent.model import Floats

__all__ = ["Word", "words_that_count"]

_WORD = re.compile(rb"[A-Za-z\x80-\xff_]{2,}|(?<![\w#*])(?:\d+|\dxx)(?![\w])")
_IN_WORD = frozenset(
    bytes([byte]) for byte in range(128) if chr(byte).isalnum() or byte == ord("_")
)
_MAX_WORDS = 48  # a template has 10-20; bounds the cost for hostile ones
_LEAST_DROP = 0.15  # [logits] a smaller drop explains nothing
_EDGE = 1e-6  # keeps the logit finite


@dataclass(frozen=True, slots=True)
class Word:
    """A word that carried the decision."""

    text: str
    drop: float
    """How much the score's logit falls without the word."""


def words_that_count(scorer: TemplateScorer, template: bytes, limit: int = 4) -> list[Word]:
    """Return the words that carried the decision, the weightiest first.

    Args:
        scorer: the model that gave the score.
        template: a masked line.
        limit: at most so many words.
    """
    words = list(dict.fromkeys(_WORD.findall(template)))[:_MAX_WORDS]
    if not words:
        return []
    variants = [template, *(_without(template, word) for word in words)]
    logits = _logit(scorer.scores(variants))
    drops = logits[0] - logits[1:]
    best = np.argsort(-drops, kind="stable")[:limit]
    return [
        Word(words[index].decode("utf-8", "replace"), float(drops[index]))
        for index in best.tolist()
        if drops[index] >= _LEAST_DROP
    ]


def _without(template: bytes, word: bytes) -> bytes:
    """Return the template with every whole occurrence of the word taken out.

    By hand: an expression per word would fill the cache of compiled ones, 0.4 MiB.
    """
    kept, start, at = [], 0, template.find(word)
    while at >= 0:
        end = at + len(word)
        before, after = template[max(at - 1, 0) : at], template[end : end + 1]
        if before not in _IN_WORD and after not in _IN_WORD:
            kept.append(template[start:at])
            start = end
        at = template.find(word, max(start, at + 1))
    return b"".join((*kept, template[start:]))


def _logit(scores: Floats) -> Floats:
    clipped = np.clip(scores, np.float32(_EDGE), np.float32(1 - _EDGE))
    return np.log(clipped / (np.float32(1) - clipped))
