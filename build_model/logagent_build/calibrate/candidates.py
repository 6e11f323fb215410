"""Which labels are asked again, and which may serve as examples: MaidLog §III-B1.

*Candidates* are marked in each domain and class (the class of the label) by two criteria: a share
of the entries whose verifier disagrees with the label, drawn at random; and the share with the
highest losses of those where it agrees. Marked entries are then cut to the same number in every
domain and class, the minimum observed. A domain without a label of a class has no group for it,
and does not count for the minimum.

*Support* is the complement of such a marking at a larger portion: every entry the verifier
disagrees with is out, and of the others those with the lowest losses stay, the `evidence` share.
Ours, and optional: an entry whose neighbours' initial labels contradict its label (`stopping`) is
no support either.

Guarantees: the same checks and random state give the same choice; candidates and support have
no entry in common. Leaves asking to `calibration`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.verifier import Checked

__all__ = ["Choice", "Portions", "choose"]

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Portions:
    """How much is marked; shares in [0, 1].

    The paper leaves the numbers to its repository, but for its advice (§IV-J): candidates decrease
    with the rounds, evidence is below one half.
    """

    disagreement: float = 0.5
    """Of the entries of a group the verifier disagrees with, in the first round."""
    confusion: float = 0.1
    """Of the entries of a group it agrees with, those of the highest losses, in the first round."""
    last: float = 0.4
    """What is left of both in the last round, linearly."""
    evidence: float = 0.4
    """Of the entries of a group it agrees with, those of the lowest losses that may be examples."""
    witnessed: bool = True
    """Whether examples need neighbours whose initial labels point the same way; False: paper."""
    fewest: int = 4
    """Entries a group may always have marked, however few the smallest group has. 1 is the paper's
    minimum; we differ, as one rare class of one system would hold up all others."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        shares = (self.disagreement, self.confusion, self.last, self.evidence)
        if not all(0 <= share <= 1 for share in shares) or self.fewest < 1:
            raise ValueError("portions are in [0, 1]; fewest is at least 1")

    def left(self, progress: float) -> float:
        """Return what is left of the candidates' portions at a share of the rounds."""
        return 1.0 - (1.0 - self.last) * min(1.0, max(0.0, progress))


@dataclass(frozen=True, slots=True)
class Choice:
    """What a round does with which entries."""

    candidates: Integers
    """Entries to be asked again, ascending: int64 (c,)."""
    disagreed: Bools
    """Of each candidate, whether it was marked for disagreement: bool (c,)."""
    support: Bools
    """Of every entry, whether it may be an example: bool (n,)."""


def choose(
    checked: Checked,
    anomalous: Bools,
    domain: Integers,
    portions: Portions,
    progress: float,
    random: np.random.Generator,
    eligible: Bools | None = None,
    trusted: Bools | None = None,
) -> Choice:
    """Choose candidates and support of a round.

    Args:
        checked: by the verifier, of all entries.
        anomalous: their labels, bool (n,).
        domain: their systems, int64 (n,).
        portions: see there.
        progress: share of the rounds that are done, in [0, 1].
        random: what is drawn with.
        eligible: entries that may be asked again, bool (n,); None: all.
        trusted: entries that may be support, bool (n,); None: all.
    """
    left = portions.left(progress)
    disagrees = checked.anomalous != anomalous
    support = np.zeros(len(anomalous), np.bool_)
    may = np.ones(len(anomalous), np.bool_) if eligible is None else eligible
    marked: list[Integers] = []
    for group in _groups(anomalous, domain):
        against = random.permutation(group[disagrees[group]])
        with_ = group[~disagrees[group]]
        with_ = with_[np.argsort(-checked.loss[with_], kind="stable")]
        support[with_[len(with_) - _share(portions.evidence, len(with_)) :]] = True
        against, with_ = against[may[against]], with_[may[with_]]
        some = against[: _share(portions.disagreement * left, len(against))]
        top = with_[: _share(portions.confusion * left, len(with_))]
        if len(some) + len(top):
            marked.append(np.concatenate([some, top]))
    most = max(portions.fewest, min(map(len, marked), default=0))
    candidates = np.sort(
        np.concatenate([random.permutation(each)[:most] for each in marked] or [np.empty(0, int)])
    ).astype(np.int64)
    support[candidates] = False
    if trusted is not None:
        support &= trusted
    return Choice(candidates, disagrees[candidates], support)


def _groups(anomalous: Bools, domain: Integers) -> Iterator[Integers]:
    """Yield the entries of each domain and class that has any."""
    for each in np.unique(domain):
        for label in (False, True):
            group = np.flatnonzero((domain == each) & (anomalous == label))
            if len(group):
                yield group


def _share(portion: float, size: int) -> int:
    """Return a share of a number, rounded up: a small group is no reason to mark nothing."""
    return int(np.ceil(portion * size - 1e-9))
