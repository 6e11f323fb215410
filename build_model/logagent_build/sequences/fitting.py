"""Train the ensemble of a bundle on labelled sequences, and refuse what would be of no use.

Guarantees: the table that is trained on is bounded; of equal sequences with different labels the
majority's counts; a model that would flag nothing, or most of what is normal, is not returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from logagent.sequences.ensemble import MOST_PARAMETERS
from logagent.sequences.rules import Rule

from logagent_build.sequences import choosing, training
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.voted import Voted

__all__ = ["Fitted", "fitted"]

WINDOW_LEAF = 2
"""Windows in a leaf of the forest, at least: nearly all windows are distinct, and a leaf for each
learns them by heart."""


_CLEARLY = 0.5
"""Score from which a session is taken for anomalous where the forest is cut, whatever was voted or
however common it is: half of the trees."""
_MOST_NORMAL = 0.5
"""Share of distinct normal sequences of the training that a model may tell: with more it is of no
use, and `false_alarms` did not hold."""
_BLOCK_WINDOWS = 8
"""Windows in a row, counted without those that overlap, that are left out of training together
where the cut is set: neighbours share lines, or what was going on."""
_MOST_COUNTS = 250_000_000
"""Counts and shares in the table that is trained on: 1 GB. Of more sequences some are drawn."""
_LEAST_BLOCKS = 20  # or blocks are made shorter; those left out are a fifth


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was trained, and on how much."""

    trained: training.Trained
    distinct: int
    """Distinct sequences."""
    taken: int
    """Of these, how many it was trained on."""


def fitted(
    data: Sequences,
    rule: Rule,
    voted: Voted | None,
    rare: float | None,
    false_alarms: float,
    seed: int,
    say: Callable[[str], None],
) -> Fitted:
    """Train on distinct sequences.

    Args:
        data: labelled sequences.
        rule: how they were made of lines.
        voted: what the labels are of, if some are votes.
        rare: share by which they were labelled, if that is how.
        false_alarms: share of distinct normal sequences that may be flagged.
        seed: of everything random.
        say: told what is left out.

    Raises:
        ValueError: nothing of use can be learnt from these labels.
    """
    # Equal sequences say the same: the neighbours' table would only be larger.
    first, odd = choosing.agreed(data)
    bad = odd[first]
    if bad.all() or not bad.any():
        raise ValueError(
            "equal sequences have different labels, and by their majority all are "
            f"{'anomalous' if bad.any() else 'normal'}: their events do not tell them apart"
        )
    distinct = len(first)
    most = _MOST_COUNTS // (2 * len(data.vocabulary))
    if most < distinct:
        say(f"{distinct:,} distinct sequences, of which {most:,} are drawn to be trained on")
        first = _drawn(first, bad, most, seed)
    once = data.only(first).labelled(odd[first])
    blocks = None
    settings = training.Settings(most_parameters=MOST_PARAMETERS, false_alarms=false_alarms)
    if rule.key is None:
        row = min(_BLOCK_WINDOWS * rule.steps, len(data) // _LEAST_BLOCKS)
        blocks = first // max(rule.steps, row)
        settings = replace(settings, least_leaf=WINDOW_LEAF)
    if voted is not None or rare is not None:
        settings = replace(settings, clearly=_CLEARLY)
    trained = training.train(once, settings, seed, voted.rest if voted else None, blocks=blocks)
    if trained.forest.cut >= 1:
        raise ValueError(
            "too many normal sequences look like anomalous ones: with --false-alarms "
            f"{false_alarms:g} nothing would be flagged; check the labels, or allow more"
        )
    normal = once.only(np.flatnonzero(~once.anomalous))
    told = float((trained.forest.score(normal) > trained.forest.cut).mean())
    if told > _MOST_NORMAL:
        raise ValueError(
            f"{told:.0%} of the distinct normal sequences of the training would be told: anomalous "
            "ones have the same events, perhaps in another order, and counts cannot tell them "
            "apart; check the labels, or leave such sequences without one"
        )
    return Fitted(trained, distinct, len(once))


def _drawn(
    rows: npt.NDArray[np.int64], bad: npt.NDArray[np.bool_], most: int, seed: int
) -> npt.NDArray[np.int64]:
    """Draw some of the rows, sorted; of the rarer label all, as far as half of the room goes."""
    random = np.random.default_rng([seed, 7]).permutation(len(rows))
    rarer = bad[random] == (2 * int(bad.sum()) < len(bad))
    few, many = random[rarer], random[~rarer]
    few = few[: max(most // 2, most - len(many))]
    return np.sort(rows[np.concatenate([few, many[: most - len(few)]])])
