"""From candidates to queries: which kind of evidence, and which lines it consists of.

MaidLog §III-B2 and §IV-C: one of three kinds, drawn at random for each query. Induce shows four
normal and two anomalous examples, filter six normal ones, refine the line among its neighbours
in time. Examples are the nearest of the support (`retrieval`); those of one query stand in an
order drawn at random, so that a model which believes the last one most learns nothing from it.

Where a kind has nothing to show (no support of a label, a line without neighbours) another one
that has is taken; with none, the query is plain. Guarantees: the same state gives the same
queries; `Query.sample` is the round, so that the same question in another round is asked anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.labeller import Example
from logagent_build.alpha.pool import shown
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.queries import Kind, Query
from logagent_build.calibrate.retrieval import nearest

__all__ = ["KINDS", "Evidence", "plain", "queries"]

KINDS: tuple[Kind, ...] = ("induce", "filter", "refine")
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is shown; the paper's numbers (§IV-C)."""

    kinds: tuple[Kind, ...] = KINDS
    """Drawn from; fewer are ablations (Table IV)."""
    induce_normal: int = 4
    induce_anomalous: int = 2
    filter_normal: int = 6

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds of evidence: one or more of {', '.join(KINDS)}")
        if min(self.induce_normal, self.induce_anomalous, self.filter_normal) < 0:
            raise ValueError("numbers of examples are not negative")


def plain(entries: Entries) -> list[Query]:
    """Return the queries of the initial labelling: each line by itself."""
    return [Query(shown(line)) for line in entries.lines]


def queries(
    entries: Entries,
    candidates: Integers,
    anomalous: Bools,
    support: Bools,
    evidence: Evidence,
    round_: int,
    random: np.random.Generator,
) -> list[Query]:
    """Return a query for each candidate.

    Args:
        entries: all of them.
        candidates: int64 (c,).
        anomalous: labels of all entries, bool (n,).
        support: entries that may be examples, bool (n,).
        evidence: see there.
        round_: becomes `Query.sample`.
        random: what is drawn with.
    """
    lines = [shown(line) for line in entries.lines]
    normal = _nearest(entries, candidates, support & ~anomalous, evidence.filter_normal, evidence)
    worse = _nearest(entries, candidates, support & anomalous, evidence.induce_anomalous, evidence)
    drawn = random.permuted(
        np.tile(np.arange(len(evidence.kinds)), (len(candidates), 1)), axis=1
    )  # (c, kinds): in which order they are tried
    made = []
    for row, entry in enumerate(candidates.tolist()):
        good = [int(each) for each in normal[row] if each >= 0]
        bad = [int(each) for each in worse[row] if each >= 0]
        made.append(
            _query(
                [evidence.kinds[at] for at in drawn[row]],
                lines[entry],
                [(lines[each], False) for each in good],
                [(lines[each], True) for each in bad],
                _around(entries, entry),
                evidence,
                round_,
                random,
            )
        )
    return made


def _nearest(
    entries: Entries, candidates: Integers, among: Bools, size: int, evidence: Evidence
) -> Integers:
    size = max(size, evidence.induce_normal)
    return nearest(entries.vectors, entries.domain, candidates, np.flatnonzero(among), size)


def _query(
    order: Sequence[Kind],
    line: str,
    normal: list[Example],
    anomalous: list[Example],
    around: tuple[str, ...],
    evidence: Evidence,
    round_: int,
    random: np.random.Generator,
) -> Query:
    for kind in order:
        if kind == "refine":
            if len(around) > 1:
                return Query(line, kind, sequence=around, sample=round_)
            continue
        if kind == "induce":
            some = normal[: evidence.induce_normal] + anomalous[: evidence.induce_anomalous]
        else:
            some = normal[: evidence.filter_normal]
        if some:
            mixed = tuple(some[at] for at in random.permutation(len(some)))
            return Query(line, kind, mixed, sample=round_)
    return Query(line, sample=round_)


def _around(entries: Entries, entry: int) -> tuple[str, ...]:
    """Return the lines around an entry's first line, and it among them."""
    line = entries.variants[entry][0]
    whole = (*entries.before[entry], line, *entries.after[entry])
    return tuple(shown(each) for each in whole)
