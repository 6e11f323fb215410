"""A language model's votes as training labels of any other voter.

FlexLog votes together (§3.4); where the model is too slow or dear to be asked about every
sequence, its votes on unlabelled ones can train the cheap voters instead.

Guarantees: a label given by people wins over a vote on the same sequence; what the model refused,
or never gave a clear reply to, is left out. Leaves training to others: a `Training` goes into any
voter that takes weights, its `data` alone into one that does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.votes import Vote

__all__ = ["Training", "distilled", "joined"]

_KIND = "voted anomalous"


@dataclass(frozen=True, slots=True)
class Training:
    """Sequences to train on."""

    data: Sequences
    weights: npt.NDArray[np.float64]
    """How much each counts: float64 (n,), positive."""


def distilled(
    unlabelled: Sequences,
    votes: Mapping[bytes, Vote],
    labelled: Sequences | None = None,
    *,
    soft: bool = False,
    sure: float = 0.0,
    weight: float = 1.0,
) -> Training:
    """Make training data of votes, and of labels if there are some.

    Args:
        unlabelled: sequences voted on; their labels are not looked at. Equal ones stay as many.
        votes: by key; sequences without one are left out.
        labelled: sequences with true labels, which come first and count 1 each.
        soft: a sequence whose replies disagree stands there twice, once with either label, each
            weighted with its share of the replies. Otherwise once, with the majority's label.
        sure: least share of the replies that the majority must have, in [0, 1]; others are left
            out. Of no use with one reply a sequence.
        weight: of a sequence voted on.
    """
    known = set() if labelled is None else set(keys(labelled))
    places: list[int] = []
    labels: list[bool] = []
    weights: list[float] = []
    for at, key in enumerate(keys(unlabelled)):
        vote = votes.get(key)
        if key in known or vote is None or vote.anomalous is None or not vote.votes:
            continue
        share = vote.share
        if max(share, 1 - share) < sure:
            continue
        shares = {True: share, False: 1 - share} if soft else {vote.anomalous: 1.0}
        for label, own in shares.items():
            if own:
                places.append(at)
                labels.append(label)
                weights.append(weight * own)
    part = unlabelled.only(places)
    voted = Sequences(
        f"{unlabelled.name}, voted",
        part.events,
        np.array(labels, dtype=np.bool_),
        tuple(_KIND if label else "normal" for label in labels),
        part.vocabulary,
    )
    if labelled is None:
        return Training(voted, np.array(weights, dtype=np.float64))
    both = np.concatenate([np.ones(len(labelled)), np.array(weights, dtype=np.float64)])
    return Training(joined(labelled, voted), both)


def joined(first: Sequences, second: Sequences) -> Sequences:
    """Put two data sets together; events are the same if their names are."""
    numbers = {name: at for at, name in enumerate(first.vocabulary)}
    renumbered = np.array(
        [numbers.setdefault(name, len(numbers)) for name in second.vocabulary], dtype=np.int32
    )
    return Sequences(
        f"{first.name} and {second.name}",
        [*first.events, *(renumbered[events] for events in second.events)],
        np.concatenate([first.anomalous, second.anomalous]),
        first.kinds + second.kinds,
        tuple(numbers),
    )
