"""The questions that may be asked about an entry, and the examples that go with them.

Examples are entries whose labels are likely (MaidLog's support set, §III-B1), the nearest of each
class by inner product (Eq. 2); here of any system, as likeness is what helps. A prompt with
examples may be answered as its nearest example is labelled, so which label that is goes with it
(`Support.near_anomalous`): `reliance` tells such answers apart.

Guarantees: no randomness; ties go to the first entry; no entry is its own example. Memory:
O(entries + `_MOST` · block).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.labeller import Example
from logagent_build.alpha.pool import shown
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.queries import Query

__all__ = ["SHOTS", "Support", "query"]

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

SHOTS = 3
"""Examples of a class in a prompt."""
_MOST = 1500  # entries of a class that may be examples: 20,000 entries are then compared in seconds
_BLOCK = 2000  # entries compared at a time


@dataclass(frozen=True, slots=True)
class Support:
    """The examples nearest to each entry."""

    normal: Integers
    """int64 (n, up to `SHOTS`), nearest first; no column where no entry is likely normal."""
    anomalous: Integers
    """Likewise."""
    near_anomalous: Bools
    """Whether the nearest of both is anomalous: bool (n,)."""

    @classmethod
    def of(cls, entries: Entries, likely: Bools, anomalous: Bools) -> Support:
        """Find them.

        Args:
            entries: all.
            likely: entries whose label is likely right: bool (n,).
            anomalous: labels: bool (n,).
        """
        normal, how_normal = _nearest(entries, np.flatnonzero(likely & ~anomalous))
        other, how_other = _nearest(entries, np.flatnonzero(likely & anomalous))
        return cls(normal, other, how_other > how_normal)


def query(
    entries: Entries, entry: int, kind: str, before: int, of_kind: int, support: Support | None
) -> Query:
    """Return the next question of a kind about an entry.

    Each has another text of the entry, as long as there are any: how one line is read may not
    change with the prompt. What stood around is known of the first text only, so ``refine`` has
    that one, and the others begin with the second.

    Args:
        entries: all.
        entry: the one asked about.
        kind: see `queries.Query`.
        before: questions asked about it.
        of_kind: those of this kind.
        support: for examples; not needed for ``plain`` and ``refine``.
    """
    sample, variant = divmod(before + 1, len(entries.variants[entry]))
    line = shown(entries.variants[entry][variant])
    if kind == "plain":
        return Query(line, sample=sample)
    if kind == "refine":
        first = entries.variants[entry][0]
        around = (*entries.before[entry], first, *entries.after[entry])
        return Query(shown(first), "refine", sequence=tuple(map(shown, around)), sample=of_kind)
    if support is None:
        raise ValueError(f"{kind} needs examples")
    examples = _shown(entries, support.normal[entry], anomalous=False)
    if kind == "filter":
        return Query(line, "filter", examples, sample=sample)
    examples += _shown(entries, support.anomalous[entry], anomalous=True)
    return Query(line, "induce", examples, sample=sample)


def _shown(entries: Entries, chosen: Integers, *, anomalous: bool) -> tuple[Example, ...]:
    return tuple((shown(entries.variants[at][0]), anomalous) for at in chosen if at >= 0)


def _nearest(entries: Entries, among: Integers) -> tuple[Integers, npt.NDArray[np.float32]]:
    """Return the nearest of each entry, and how near the first is; -1 fills up."""
    n = len(entries)
    if len(among) > _MOST:  # those that stand for most lines
        among = np.sort(among[np.argsort(-entries.count[among], kind="stable")[:_MOST]])
    shots = min(SHOTS, len(among))
    found = np.full((n, shots), -1, np.int64)
    nearest = np.full(n, -2.0, np.float32)
    if not shots:
        return found, nearest
    table = entries.vectors[among]
    own = np.full(n, -1, np.int64)
    own[among] = np.arange(len(among))
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        like = entries.vectors[rows] @ table.T
        itself = own[rows] >= 0
        like[np.flatnonzero(itself), own[rows[itself]]] = -2.0
        for shot in range(shots):  # argmax, not a sort: a few of many
            best = np.argmax(like, axis=1)
            how = like[np.arange(len(rows)), best]
            found[rows, shot] = np.where(how > -2.0, among[best], -1)
            like[np.arange(len(rows)), best] = -2.0
            if not shot:
                nearest[rows] = how
    return found, nearest
