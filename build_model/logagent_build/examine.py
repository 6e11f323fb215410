"""Look at a bundle with a target, through the agent's own scoring path: raw lines in, verdicts out.

What the agent would do with the file: blocks, keys, caches, templates, model, groups. Figures are
weighted by lines unless they say otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from logagent.blocks import Block
from logagent.bundle import Bundle
from logagent.groups import GroupTable
from logagent.judge import Judge
from logagent.scorer import Scorer
from logagent.traces import Joiner

from logagent_build.evaluate import auroc, average_precision, calibration_error
from logagent_build.targets import Target

__all__ = ["Examination", "examine", "figures"]

Floats = npt.NDArray[np.float64]
_BLOCK_LINES = 500  # about 64 kB, as the agent reads
_ANYTHING = 2.0  # no score reaches it: every verdict is kept with its score, none is anomalous
_SHOWN = 12  # flagged templates named in the figures


@dataclass(frozen=True, slots=True)
class Examination:
    """Scores of a target's lines."""

    target: Target
    scores: Floats
    """Of each line, float64 (n,), in [0, 1], 1 is anomalous."""
    templates: list[bytes]
    """Of each line, as the agent masks it."""
    thresholds: dict[str, float]
    """The bundle's, by sensitivity."""
    groups: dict[str, int]
    """Groups that `logagent scan` would report, by sensitivity."""


def examine(bundle: Bundle, target: Target, backend: str = "auto") -> Examination:
    """Score a target's lines with the agent's own code.

    Raises:
        LogagentError: the bundle or the backend cannot be used.
    """
    scorer = Scorer(bundle, backend)
    judge = Judge(scorer, _ANYTHING, keep_normal=True)
    scores, masked = [], []
    for block in _blocks(target.lines):
        for verdict in judge.judge(block):
            scores.append(verdict.score)
            masked.append(verdict.template)
    thresholds = {name: float(value) for name, value in bundle.manifest.thresholds.items()}
    groups = {}
    for name, threshold in thresholds.items():
        strict, joiner = Judge(scorer, threshold), Joiner()
        table = GroupTable(capacity=1_000_000)
        for block in _blocks(target.lines):
            table.add(target.name, b"", block, *joiner.join(block, strict.judge(block)))
        groups[name] = len(table)
    return Examination(target, np.array(scores, np.float64), masked, thresholds, groups)


def _blocks(lines: Sequence[bytes]) -> list[Block]:
    blocks, offset = [], 0
    for at in range(0, len(lines), _BLOCK_LINES):
        data = b"\n".join(line.replace(b"\n", b" ") for line in lines[at : at + _BLOCK_LINES])
        blocks.append(Block(data, at + 1, offset))
        offset += len(data) + 1
    return blocks


def figures(seen: Examination) -> dict[str, Any]:
    """Return what the lines' scores and labels say of the bundle."""
    target, scores = seen.target, seen.scores
    result: dict[str, Any] = {"lines": len(scores), "distinct_templates": len(set(seen.templates))}
    if target.labels is not None:
        labels = target.labels.astype(np.float64)
        result["anomalous"] = int(labels.sum())
        if 0 < labels.sum() < len(labels):
            result |= {
                "auroc": round(auroc(labels, 1 - labels, scores), 4),
                "auroc_distinct": round(_distinct_auroc(seen), 4),
                "average_precision": round(average_precision(labels, 1 - labels, scores), 4),
                "brier": round(float(((scores - labels) ** 2).mean()), 4),
                "expected_calibration_error": round(calibration_error(scores, labels >= 0.5), 4),
                "best_f1": best_f1(labels, scores),
            }
    for name, threshold in seen.thresholds.items():
        flagged = scores >= threshold
        entry: dict[str, Any] = {
            "threshold": round(threshold, 4),
            "flagged_share": round(float(flagged.mean()), 4),
            "groups_per_10000_lines": round(seen.groups[name] * 10_000 / len(scores), 1),
            "groups": seen.groups[name],
        }
        if target.labels is not None:
            entry |= _confusion(flagged, target.labels == 1)
        result[name] = entry
    if target.labels is None or target.healthy or not target.labels.any():
        normal = seen.thresholds.get("normal", 0.5)
        result["flagged_at_normal"] = _flagged(seen, normal)
    return result


def _confusion(
    flagged: npt.NDArray[np.bool_], anomalous: npt.NDArray[np.bool_]
) -> dict[str, float | None]:
    true = int((flagged & anomalous).sum())
    precision = true / flagged.sum() if flagged.any() else None
    recall = true / anomalous.sum() if anomalous.any() else None
    both = precision is not None and recall is not None and precision + recall > 0
    return {
        "precision": None if precision is None else round(float(precision), 4),
        "recall": None if recall is None else round(float(recall), 4),
        "f1": round(2 * float(precision * recall) / float(precision + recall), 4)  # type: ignore[operator]  # both are numbers
        if both
        else (None if recall is None else 0.0),
        "false_alarm_share": round(float(flagged[~anomalous].mean()), 4)
        if (~anomalous).any()
        else None,
    }


def best_f1(labels: Floats, scores: Floats) -> dict[str, float]:
    """Return the best F1 of any threshold, and that threshold: an oracle, to compare with."""
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(labels[order])
    f1 = 2 * true / (np.arange(1, len(order) + 1) + labels.sum())
    ends = np.append(scores[order][1:] != scores[order][:-1], True)  # ties stand or fall together
    best = int(np.argmax(np.where(ends, f1, -1.0)))
    return {"f1": round(float(f1[best]), 4), "threshold": round(float(scores[order][best]), 4)}


def _distinct_auroc(seen: Examination) -> float:
    """Return the AUROC over distinct templates: a chatty message counts once."""
    labels = seen.target.labels
    if labels is None:
        raise ValueError("no labels")
    index: dict[bytes, int] = {}
    at = np.array([index.setdefault(template, len(index)) for template in seen.templates])
    count = np.bincount(at)
    positive = np.bincount(at, labels.astype(np.float64)) / count
    scores = np.bincount(at, seen.scores) / count
    return auroc(positive, 1 - positive, scores)


def _flagged(seen: Examination, threshold: float) -> list[dict[str, Any]]:
    """Name the templates flagged most often, to be read by a person."""
    hot = np.flatnonzero(seen.scores >= threshold).tolist()
    counts = Counter(seen.templates[index] for index in hot)
    first = {seen.templates[index]: index for index in reversed(hot)}
    return [
        {
            "lines": count,
            "score": round(float(seen.scores[first[template]]), 3),
            "text": seen.target.lines[first[template]][:300].decode("utf-8", "replace"),
        }
        for template, count in counts.most_common(_SHOWN)
    ]
