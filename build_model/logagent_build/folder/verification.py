"""Stage 4: would the agent run this bundle, and what would it say of the user's own logs?

Everything goes through the agent's own loader, backends, judge and groups. A line's score is a
function of its template, so all templates that were read, weighed with their lines, stand for the
whole log; a sample of raw lines shows that the way there is right.

Guarantees: a bundle that fails a check is named with the check and its limit, and is not handed
out. The agreement with labels is with those it was trained on: that it has learnt, not how good it
is; that is what the systems left out say.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from logagent.blocks import Block
from logagent.bundle import Bundle
from logagent.errors import BundleError
from logagent.judge import Judge, group_key
from logagent.scorer import Scorer

from logagent_build.calibrate.entries import Entries
from logagent_build.evaluate import auroc
from logagent_build.folder.strategies import Labels

__all__ = ["Check", "Verified", "refuse", "verify"]

Floats = npt.NDArray[np.float64]
_SAMPLE = 2_000  # raw lines judged one by one
_BACKENDS = 1e-4  # largest difference of a score between onnxruntime and numpy
_RAW = 1e-5  # … between a line and its template: float32, other batches
_QUANTISED = 0.02  # loss of AUROC by int8; the shipped bundle loses 0.00002
_LEARNT = 0.6  # AUROC on the labels it was trained on; 0.5 is chance
_ANYTHING = 2.0  # no score reaches it
_BLOCK_LINES = 500


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    value: float | None
    """What was found; None if it could not be measured here."""
    limit: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """What a bundle does on the logs it was made of."""

    checks: tuple[Check, ...]
    systems: dict[str, dict[str, Any]]
    """Lines, templates, and what is flagged at each sensitivity, per system."""
    scores: Floats
    """Of each entry, float64 (n,), in [0, 1], 1 is anomalous."""

    @property
    def fine(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return it for the record, without scores."""
        return {"checks": [asdict(check) for check in self.checks], "systems": self.systems}


def verify(
    path: Path, entries: Entries, labels: Labels, parity: dict[str, float | None]
) -> Verified:
    """Check a bundle on the entries it was trained on.

    Args:
        path: of the bundle.
        entries: of the user's systems.
        labels: theirs.
        parity: what training found, see `export.parity`; None for what could not be measured.

    Raises:
        LogagentError: the agent cannot load it.
    """
    bundle = Bundle.load(path)
    scorer = Scorer(bundle, "numpy")
    scores = scorer.scores(entries.templates).astype(np.float64)
    other = Scorer(bundle, "onnxruntime").scores(entries.templates)
    finite = bool(np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all())
    weight = entries.count.astype(np.float64)
    known = labels.wrong < 0.5
    anomalous = labels.anomalous.astype(np.float64)
    area = auroc(anomalous[known], (1 - anomalous)[known], scores[known])
    checks = [
        Check("share of scores that are numbers in [0, 1]", float(finite), 1.0, finite),
        _at_most("onnxruntime against numpy", float(np.abs(other - scores).max()), _BACKENDS),
        _at_most("raw lines against templates", _raw_lines(scorer, entries, scores), _RAW),
        _at_most("AUROC lost by int8", parity["auroc, torch - int8"], _QUANTISED),
        Check(
            "AUROC on the labels trained on",
            None if math.isnan(area) else area,
            _LEARNT,
            math.isnan(area) or area >= _LEARNT,
        ),
    ]
    thresholds = {name: float(value) for name, value in bundle.manifest.thresholds.items()}
    groups = [group_key(template) for template in entries.templates]
    systems = {}
    for number, name in enumerate(entries.names):
        here = np.flatnonzero(entries.domain == number)
        row: dict[str, Any] = {
            "lines": int(weight[here].sum()),
            "templates": len(here),
            "labelled_anomalous_lines": int(weight[here][labels.anomalous[here]].sum()),
            "labelled_anomalous_templates": int(labels.anomalous[here].sum()),
        }
        for sensitivity, threshold in thresholds.items():
            hot = here[scores[here] >= threshold]
            row[sensitivity] = {
                "threshold": round(threshold, 4),
                "flagged_lines": int(weight[hot].sum()),
                "groups": len({groups[at] for at in hot.tolist()}),
                "flagged_labelled_normal": int((~labels.anomalous[hot]).sum()),
            }
        systems[name] = row
    return Verified(tuple(checks), systems, scores)


def refuse(verified: Verified, where: Path) -> None:
    """Raise if a check does not hold.

    Raises:
        BundleError: with the check, its value and its limit.
    """
    failed = [check for check in verified.checks if not check.holds]
    if failed:
        told = "; ".join(f"{c.name}: {c.value} (limit {c.limit:g})" for c in failed)
        raise BundleError(f"the new bundle fails, and is not handed out ({where}): {told}")


def _at_most(name: str, value: float | None, limit: float) -> Check:
    if value is None or math.isnan(value):  # of one class only
        return Check(name, None, limit, True)
    return Check(name, value, limit, value <= limit)


def _raw_lines(scorer: Scorer, entries: Entries, scores: Floats) -> float:
    """Return the largest difference between lines judged as the agent does and their templates."""
    step = max(1, len(entries) // _SAMPLE)
    chosen = list(range(0, len(entries), step))
    judge = Judge(scorer, _ANYTHING, keep_normal=True)
    worst = 0.0
    for at in range(0, len(chosen), _BLOCK_LINES):
        part = chosen[at : at + _BLOCK_LINES]
        block = Block(b"\n".join(entries.variants[each][0] for each in part), at + 1, 0)
        for each, verdict in zip(part, judge.judge(block), strict=True):
            if entries.templates[each].startswith(verdict.template):  # no look-alike's, see `keys`
                worst = max(worst, abs(verdict.score - float(scores[each])))
    return worst
