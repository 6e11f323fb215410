"""Mine what normal sequences always have in one order, and decide whether that may vote.

Invariants of pairs of events, as Synoptic (Beschastnikh et al. 2011) and CSight (2014) mine them
from logs of concurrent systems; `logagent.sequences.order` says what they are and judges by them.
Only normal sequences are looked at: no anomalous example is needed.

An event whose neighbours come on either side of it is interleaved (several threads, or machines
whose lines a log mixes), and an exchange within a few places says nothing: it must have changed
sides by `MARGIN` places. The cut is set on normal sequences that the invariants
were mined without (cross-fitting): at most a share of them lies above. Whether the voter is worth
having is asked of the same ones with two blocks of events exchanged, a *simulation*.

Guarantees: equal sequences are never on both sides of a fold; work and memory are bounded
(`MOST_SEQUENCES`, `MOST_EVENTS`); a seed repeats the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from logagent.sequences import order as agent
from logagent.sequences.arrays import packed

from logagent_build.sequences.data import Events
from logagent_build.sequences.duplicates import key

__all__ = ["Learnt", "Order", "learn", "mine", "swapped"]

COPIES: Final = 100
"""Times that equal sequences count at most: each is a session of its own, but those of one burst
are not independent. As many as `LEAST_NORMAL`, as one kind of job may be all there is."""
SUPPORT: Final = 20  # normal sequences with both events: 3 / 20, a weak invariant, weighs little
TOLERATED: Final = 0.002  # share of them out of order: labels are wrong once in a while
HELD: Final = 0.95  # least share in order: the rest is exchanged within the margin
MARGIN: Final = 5  # [places] of an interleaved event
INTERLEAVED: Final = 0.05  # share of its neighbours seen on the other side, too, that makes it one
FOLDS: Final = 5
LEAST_NORMAL: Final = 100  # sequences, copies counted: fewer say too little of false alarms
SHARE: Final = 0.1
"""Of the false alarms allowed, what the order may add: at 0.5 it cost F1 on changed sequences of
SynHDFS-U, at 0.1 it found nearly as much (seeds 101 and 102)."""
LEAST_FOUND: Final = 0.1  # of held-out sequences with two blocks exchanged, for a voter to be kept
MOST_SEQUENCES: Final = 20_000  # distinct ones looked at
MOST_EVENTS: Final = 512  # of the vocabulary, those in most sequences: tables have their square
SLACK: Final = 1.0
"""Evidence demanded above what held-out normal sequences break, if they break anything: one
invariant more. On HDFS none of eight times 5,000 normal sessions was flagged so, without it 0 to 2
of each (seeds 101 to 108)."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Order:
    """Mined invariants, as `logagent.sequences.order.Order` reads them."""

    a: Counts
    """The event that comes first in normal sequences: (n,)."""
    b: Counts
    """The other one: (n,)."""
    kind: Counts
    """Index into `logagent.sequences.order.KINDS`: (n,)."""
    held: Counts
    """Normal sequences that have the two in order: (n,)."""
    of: Counts
    """Normal sequences that have both: (n,)."""
    margin: Counts
    """Places by which the two must have changed sides to be out of order: (n,)."""
    normal: int
    """Normal sequences, copies counted up to `COPIES`."""
    cut: float = 0.0
    """Evidence / (1 + evidence), in [0, 1)."""

    def __len__(self) -> int:
        """Return the number of invariants."""
        return len(self.a)

    def part(self) -> dict[str, Any]:
        """Return the map that a bundle's part holds."""
        return {
            "a": packed(self.a.astype("<u2")),
            "b": packed(self.b.astype("<u2")),
            "kind": packed(self.kind.astype("|u1")),
            "held": packed(self.held.astype("<u4")),
            "of": packed(self.of.astype("<u4")),
            "margin": packed(self.margin.astype("|u1")),
            "normal": self.normal,
            "cut": self.cut,
        }

    def voter(self, width: int) -> agent.Order:
        """Return the agent's voter: verdicts are its own on both sides."""
        return agent.Order(self.part(), width)


@dataclass(frozen=True, slots=True)
class Learnt:
    """A voter, or why there is none."""

    order: Order | None
    why: str
    """For people: what was found, or what was missing."""
    false_alarms: float = 0.0
    """Share of distinct held-out normal sequences above the cut."""
    found: float = 0.0
    """Share of these that are found with two blocks exchanged (simulation)."""


def learn(
    normal: Sequence[Events],
    width: int,
    *,
    false_alarms: float,
    known: int | None = None,
    seed: int = 0,
    forced: bool = False,
) -> Learnt:
    """Mine normal sequences, and set the cut; leave the voter out if it is of no use.

    Args:
        normal: normal sequences, equal ones as often as they come.
        width: events of the vocabulary.
        false_alarms: share of distinct normal sequences that the whole ensemble may flag; `SHARE`
            of it is the order's.
        known: events below are known; those above, which many texts share, are left out.
        seed: of folds and exchanges.
        forced: keep a voter that finds little.
    """
    distinct, times = _distinct(normal, seed)
    if int(times.sum()) < LEAST_NORMAL:
        return Learnt(None, f"fewer than {LEAST_NORMAL} normal sequences")
    events = width if known is None else known
    margins = _margins(distinct, times, width)
    made = mine(distinct, times, events, margins)
    if not len(made):
        return Learnt(None, "no two events have an order in normal sequences")
    random = np.random.default_rng([seed, 6])
    fold = random.permutation(len(distinct)) % FOLDS
    changed = [swapped(each, random) for each in distinct]
    plain, moved = np.zeros(len(distinct)), np.zeros(len(distinct))
    for part in range(min(FOLDS, len(distinct)) if len(distinct) > 1 else 0):
        inside = np.flatnonzero(fold != part)
        held_out = mine([distinct[at] for at in inside], times[inside], events, margins)
        if not len(held_out):
            continue  # what is left stands at 0: nothing is flagged, nothing is found
        voter = held_out.voter(width)
        for at in np.flatnonzero(fold == part).tolist():
            plain[at] = voter.score(voter.violated(distinct[at]))
            moved[at] = voter.score(voter.violated(changed[at]))
    cut = _cut(plain, SHARE * false_alarms)
    if len(distinct) == 1:  # nothing to hold out: all sequences are equal
        voter = made.voter(width)
        moved[0] = voter.score(voter.violated(changed[0]))
    flagged, found = float((plain > cut).mean()), float((moved > cut).mean())
    said = (
        f"{len(made):,} invariants, {int((made.margin == 1).sum()):,} without a margin; of "
        f"{len(distinct):,} distinct held-out normal sequences {flagged:.2%} flagged, with two "
        f"blocks exchanged (simulation) {found:.1%}"
    )
    if found < LEAST_FOUND and not forced:
        return Learnt(None, said, flagged, found)
    return Learnt(replace(made, cut=cut), said, flagged, found)


def mine(sequences: Sequence[Events], times: Counts, events: int, margins: Counts) -> Order:
    """Return the invariants of normal sequences, those of most support first.

    Args:
        sequences: distinct ones.
        times: how often each counts, (n,).
        events: those below are looked at.
        margins: of each event the places by which it must have changed sides to be out of order,
            (at least `events`,); of two events the greater one counts.
    """
    common = _common(sequences, times, events)
    rank = np.full(max((int(each.max(initial=0)) for each in sequences), default=0) + 1, -1)
    rank[common] = np.arange(len(common))
    shape = len(agent.KINDS), len(common), len(common)
    held, broken = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    of = np.zeros(shape[1:], np.int64)
    margin = np.maximum(margins[common][:, None], margins[common][None, :])
    for sequence, often in zip(sequences, times.tolist(), strict=True):
        numbers = rank[sequence]
        places = np.flatnonzero(numbers >= 0)
        which, first = np.unique(numbers[places], return_index=True)
        last = len(places) - 1 - np.unique(numbers[places][::-1], return_index=True)[1]
        first, last = places[first], places[last]
        grid = np.ix_(which, which)
        of[grid] += often
        for at, (ends, begins) in enumerate(((first, first), (last, last), (last, first))):
            apart = begins[None, :] - ends[:, None]
            held[at][grid] += often * (apart > 0)
            broken[at][grid] += often * (apart <= -margin[grid])
    good = (held >= np.maximum(SUPPORT, HELD * of)) & (broken <= TOLERATED * of)
    good[:2] &= ~good[2]  # every a before any b: it says both
    kind, a, b = np.nonzero(good)
    order = np.lexsort((b, a, kind, -of[a, b]))[: agent.MOST_INVARIANTS]
    kind, a, b = kind[order], a[order], b[order]
    total = max(int(times.sum()), 4)
    return Order(common[a], common[b], kind, held[kind, a, b], of[a, b], margin[a, b], total)


def swapped(events: Events, random: np.random.Generator) -> Events:
    """Exchange two blocks of events that stand side by side; all that a sequence has, it keeps."""
    if len(events) < 2:
        return events
    start, middle, stop = np.sort(random.choice(len(events) + 1, 3, replace=False)).tolist()
    return np.concatenate(
        [events[:start], events[middle:stop], events[start:middle], events[stop:]]
    )


def _distinct(normal: Sequence[Events], seed: int) -> tuple[list[Events], Counts]:
    times = Counter(key(each) for each in normal)
    first = {key(each): each for each in reversed(normal)}
    kept = list(times)
    if len(kept) > MOST_SEQUENCES:
        drawn = np.random.default_rng([seed, 5]).permutation(len(kept))[:MOST_SEQUENCES]
        kept = [kept[at] for at in np.sort(drawn).tolist()]
    counted = np.array([min(times[each], COPIES) for each in kept], np.int64)
    return [first[each] for each in kept], counted


def _common(sequences: Sequence[Events], times: Counts, events: int) -> Counts:
    """Return the events in most sequences, at least `SUPPORT`: sorted."""
    seen: Counter[int] = Counter()
    for each, often in zip(sequences, times.tolist(), strict=True):
        for event in np.unique(each).tolist():
            seen[event] += often
    kept = sorted(
        (event for event, often in seen.items() if often >= SUPPORT and event < events),
        key=lambda event: (-seen[event], event),
    )
    return np.array(sorted(kept[:MOST_EVENTS]), np.int64)


def _margins(sequences: Sequence[Events], times: Counts, width: int) -> Counts:
    """Return the margin of each event: `MARGIN` if its neighbours come on either side: (width,)."""
    seen: Counter[int] = Counter()
    for each, often in zip(sequences, times.tolist(), strict=True):
        pairs = each[:-1].astype(np.int64) * width + each[1:]
        for pair in pairs[each[:-1] != each[1:]].tolist():
            seen[pair] += often
    both, total = np.zeros(width), np.zeros(width)
    for pair, often in seen.items():
        one, other = divmod(pair, width)
        for event in (one, other):
            both[event] += min(often, seen.get(other * width + one, 0))
            total[event] += often
    return np.where(both >= INTERLEAVED * np.maximum(total, 1), MARGIN, 1)


def _cut(scores: npt.NDArray[np.float64], share: float) -> float:
    """Return the score above which at most a share of held-out normal sequences lies."""
    highest = np.sort(scores)[::-1]
    score = float(highest[int(share * len(scores))])
    if not score:
        return 0.0
    evidence = score / (1 - score) + SLACK
    return evidence / (1 + evidence)
