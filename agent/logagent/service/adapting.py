"""From what was learnt of this host to the judge and the policy that go by it.

Guarantees: a threshold in the configuration goes before one that was learnt; facts that cannot be
used are reported and left alone, and the agent goes on as if nothing had been learnt.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from logagent.config import Config
from logagent.errors import LogagentError
from logagent.inputs import Report
from logagent.judge import Judge
from logagent.overrides import Overrides
from logagent.policy.adaptation import HostAdaptation, lowest_score
from logagent.policy.facts import FILE_NAME, Facts, load
from logagent.policy.habits import asked_to_forget
from logagent.policy.learning import Learner
from logagent.service.parts import Model

__all__ = ["adapted", "is_to_forget", "load_facts", "make_adaptation"]

_CLEAR = 1.0  # where a bundle names no threshold ``low``


def load_facts(folder: Path, model: Model, report: Report) -> Facts | None:
    """Return what was learnt of this host, None if nothing that can be used was."""
    try:
        facts = load(folder / FILE_NAME, time.time())
    except LogagentError as error:
        report("facts", f"{error}; the agent goes on as if nothing had been learnt")
        return None
    return None if facts is None else facts.for_model(model.scorer.bundle.sha256)


def is_to_forget(folder: Path, report: Report) -> bool:
    """Tell whether the operator asked for the habits to be forgotten, once."""
    try:
        return asked_to_forget(folder)
    except OSError as error:
        report("facts", f"habits are forgotten at every start: {error.strerror}")
        return True


def make_adaptation(
    config: Config, model: Model, facts: Facts | None, report: Report
) -> HostAdaptation | None:
    """Return what goes by the habits of this host; None where nobody wants that."""
    thresholds = model.scorer.bundle.manifest.thresholds
    asked = config.adapt.learn_seconds > 0 and facts is None
    if not config.alerts.group or not (config.adapt.habits or asked or facts):
        return None
    learner = None
    if asked and not {"low", "normal", "high"} <= thresholds.keys():
        report("learning", "the bundle names no thresholds to choose between: nothing is learnt")
    elif asked:
        learner = Learner(
            time.time(),
            config.adapt.learn_seconds,
            config.alerts.budget_per_day,
            thresholds,
            old_threshold=model.threshold,
        )
    return HostAdaptation(float(thresholds.get("low", _CLEAR)), facts, learner)


def adapted(
    model: Model, config: Config, adaptation: HostAdaptation | None, overrides: Overrides
) -> Model:
    """Return the model with the judge that this host needs."""
    threshold, floor = model.threshold, None
    if adaptation is not None:
        facts = adaptation.facts
        if facts is not None and facts.threshold is not None and config.model.threshold is None:
            threshold = facts.threshold
        floor = lowest_score(threshold)
        if adaptation.learner is not None:
            high = model.scorer.bundle.manifest.thresholds.get("high", floor)
            floor = min(floor, float(high))
    judge = Judge(model.scorer, threshold, overrides=overrides, floor=floor)
    return replace(model, judge=judge, threshold=threshold)
