"""The order voter in a part for sequences: whether it is there, and what the record says of it.

Guarantees: a part never gets larger than an agent reads; a voter that is left out is named, with
the reason. Left to others: mining and the cut (`order`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from logagent.sequences.ensemble import MOST_PARAMETERS, Ensemble

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.order import Learnt, Order, learn

__all__ = ["MODES", "check", "choose", "with_order"]

MODES: Final = ("auto", "on", "off")
_EACH: Final = 6  # parameters of an invariant


def check(mode: str, *, sessions: bool = True) -> None:
    """Refuse what is no mode, or none for windows, before anything is read.

    Raises:
        ValueError: it is none.
    """
    if mode not in MODES:
        raise ValueError(f"--order {mode!r:.40}: none of {', '.join(MODES)}")
    if mode == "on" and not sessions:
        raise ValueError("--order on: only sessions have an order, windows begin anywhere")


def choose(
    part: dict[str, Any],
    data: Sequences,
    mode: str,
    *,
    known: int,
    false_alarms: float,
    sessions: bool = True,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Add an order voter to a part, or do not.

    Args:
        part: what `export.part` made.
        data: labelled sequences, equal ones as often as they come; the normal ones are looked at.
        mode: ``auto`` (kept if it finds exchanged blocks in held-out normal sequences within the
            false alarms), ``on`` (kept even if it finds few), ``off``.
        known: events below are known.
        sessions: whether these are sessions; windows begin and end anywhere, and the agent does
            not look at their order.
        false_alarms: share of distinct normal sequences that the ensemble may flag.
        seed: of everything random.

    Returns:
        The part; what the record holds; what people are told.

    Raises:
        ValueError: no such mode, or it is ``on`` and there is nothing to vote by.
    """
    check(mode, sessions=sessions)
    if mode == "off":
        return part, {"order": "off"}, "order: off"
    if not sessions:
        return part, {"order": "off"}, "order: off: windows begin anywhere"
    normal = [data.events[at] for at in np.flatnonzero(~data.anomalous).tolist()]
    learnt = learn(
        normal,
        len(data.vocabulary),
        false_alarms=false_alarms,
        known=known,
        seed=seed,
        forced=mode == "on",
    )
    made = None if learnt.order is None else with_order(part, learnt.order)
    if learnt.order is not None and made is None:
        learnt = Learnt(None, "no parameters are left for it")
    if made is None and mode == "on":
        raise ValueError(f"--order on: {learnt.why}")
    record: dict[str, Any] = {
        "order": "voter" if made is not None else "left out",
        "order_why": learnt.why,
        "order_false_alarms": round(learnt.false_alarms, 5),
        "order_simulated_found": round(learnt.found, 4),
    }
    return made or part, record, f"order: {record['order']}: {learnt.why}"


def with_order(part: dict[str, Any], order: Order) -> dict[str, Any] | None:
    """Add the voter to what `export.part` made: as many invariants as parameters are left for.

    Returns:
        None if there is room for none.
    """
    room = (MOST_PARAMETERS - Ensemble.read(part).parameters) // _EACH
    if room < 1:
        return None
    if room < len(order):
        names = ("a", "b", "kind", "held", "of", "margin")
        order = replace(order, **{name: getattr(order, name)[:room] for name in names})
    return part | {"order": order.part()}
