"""Which sequences of a training set are labelled, if only some can be.

`drawn` is the paper's: at random, as they come (§4.2.2). `asked` is ours: distinct ones only, a
few at random, then always those that the forest of the moment finds most anomalous. Nearly all of a
system's sequences are normal and alike; a label is worth most where an anomaly is likely, and
whether it is one is then known. With few labels in all, and anomalies that are no rarity, it is the
normal ones that are lacking: then `asked` draws. Both read no label but those that they return.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from logagent.sequences import features
from sklearn.ensemble import ExtraTreesClassifier

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.duplicates import key

__all__ = ["agreed", "asked", "distinct", "drawn", "hidden", "rest"]

Indices = npt.NDArray[np.int64]

FIRST = 0.3  # share drawn at random before the first forest: without anomalies it knows nothing
FEW = 500  # labels up to which normal ones are worth more, where anomalies are no rarity
COMMON = 0.1  # share of anomalies among what is known from which they are none
ROUNDS = 7  # forests, one after each tenth: more rounds gained nothing
TREES = 50  # for an order of what to ask, fewer than for verdicts


def drawn(size: int, most: int, seed: int) -> Indices:
    """Draw `most` of `size` sequences at random."""
    return np.random.default_rng([seed, 1]).permutation(size)[:most]


def distinct(data: Sequences) -> Indices:
    """Return the first of each group of equal sequences."""
    first = dict[bytes, int]()
    for at, events in enumerate(data.events):
        first.setdefault(key(events), at)
    return np.array(sorted(first.values()), dtype=np.int64)


def agreed(data: Sequences) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Return the first of each group of equal sequences, and by index what most of a group are.

    Labels by time, or of lines that the events do not tell apart, differ within a group. As many
    of either: anomalous.
    """
    keys = [key(events) for events in data.events]
    sums: dict[bytes, int] = {}
    for each, bad in zip(keys, data.anomalous.tolist(), strict=True):
        sums[each] = sums.get(each, 0) + (1 if bad else -1)
    return distinct(data), np.array([sums[each] >= 0 for each in keys], np.bool_)


def asked(
    data: Sequences,
    most: int,
    seed: int,
    label: Callable[[Indices], npt.NDArray[np.bool_]] | None = None,
    common: float = COMMON,
) -> Indices:
    """Choose `most` distinct sequences to label, in the order in which they are asked.

    Args:
        data: the sequences; their labels are read where `label` is not given, and only of those
            that are returned.
        most: how many.
        seed: of the first draw and of the forests.
        label: a labeller: indices to labels.
        common: of up to `FEW` sequences a step is drawn at random while the share of anomalies
            among the known ones is above; with 1 anomalies are always asked for.
    """
    answer = label or (lambda which: data.anomalous[which])
    rows = np.random.default_rng([seed, 2]).permutation(distinct(data))
    few, step = _steps(most)
    chosen, left = rows[:few], rows[few:]
    known = answer(chosen)
    table = features.both_of(data.events, len(data.vocabulary))
    while len(chosen) < most and len(left):
        order = np.arange(len(left))
        if known.any() and not known.all() and not _at_random(known, most, common):
            model = ExtraTreesClassifier(TREES, random_state=seed).fit(table[chosen], known)
            order = np.argsort(-model.predict_proba(table[left])[:, 1], kind="stable")
        taken = order[: min(step, most - len(chosen))]
        chosen, known = (
            np.concatenate([chosen, left[taken]]),
            np.concatenate([known, answer(left[taken])]),
        )
        left = np.delete(left, taken)
    return chosen[:most]


def rest(data: Sequences, chosen: Indices) -> Sequences:
    """Return what equals none of the chosen sequences."""
    known = {key(data.events[at]) for at in chosen.tolist()}
    return data.only([at for at, events in enumerate(data.events) if key(events) not in known])


def hidden(data: Sequences, chosen: Indices) -> int:
    """Estimate how many anomalies are among the distinct sequences that `asked` did not choose.

    The first ones that it chose are a fair sample of the distinct ones; what their share of
    anomalies promises of all, less those that are known, is hidden. Of more than `FEW` it is 0:
    those that score high have been asked about then, and what is hidden scores as normal ones do.

    Args:
        data: what `asked` chose from; only labels of the chosen are read.
        chosen: what `asked` returned, in its order.
    """
    known = data.anomalous[chosen]
    if len(chosen) > FEW:
        return 0
    random, step = _steps(len(chosen))
    while random < len(known) and _at_random(known[:random], len(known), COMMON):
        random += step
    many = len(distinct(data))
    expected = round(float(known[:random].mean()) * many) - int(known.sum())
    return max(0, min(expected, many - len(chosen)))


def _at_random(known: npt.NDArray[np.bool_], most: int, common: float) -> bool:
    return bool(most <= FEW and known.mean() > common)


def _steps(most: int) -> tuple[int, int]:
    """Return how many are drawn first, and how many are added at a time."""
    few = max(2, round(most * FIRST))
    return few, max(1, -(-(most - few) // ROUNDS))
