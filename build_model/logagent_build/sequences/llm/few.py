"""Have a few sequences voted on: drawn at random, or those that look most anomalous so far.

Nearly all distinct sequences of a system are normal, so votes on some drawn at random are mostly
votes on normal ones. `choosing.asked` draws a few, trains a forest on what was said of them, asks
about those it finds most anomalous, and so on; here it is a language model that says. Of one that
errs, wrong votes draw the next questions to their like.

Guarantees: the same sequences, seed and replies give the same choice, so that a run stopped
anywhere goes on with a store in front. A round is one exchange of batch files: one, or eight.
Memory: two numbers of four bytes for each of `MOST_ROWS` sequences and `MOST_EVENTS` events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from zlib import crc32

import numpy as np
import numpy.typing as npt

from logagent_build.sequences import choosing
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.votes import Vote

__all__ = ["MOST_EVENTS", "MOST_ROWS", "drawn", "folded", "votes_in_rounds"]

MOST_ROWS = 20_000
"""Distinct sequences that are chosen among; of more, as many are drawn."""
MOST_EVENTS = 2_000
"""Events that a choice looks at, the most common ones; it is made by what sequences share."""
_UNKNOWN = 16  # events that all others are taken for, as in a model's vocabulary

Ask = Callable[[Sequences], list[Vote]]


def votes_in_rounds(data: Sequences, most: int, seed: int, ask: Ask) -> list[Vote]:
    """Have those voted on that look most anomalous so far.

    Args:
        data: the sequences; their labels are not looked at.
        most: how many distinct ones are asked about.
        seed: of the choice.
        ask: votes on sequences, in order; called once a round.

    Returns:
        Votes on the chosen, in the order in which they were asked about.
    """
    distinct = drawn(data, MOST_ROWS, seed)
    votes: list[Vote] = []

    def label(which: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        said = ask(distinct.only(which))
        votes.extend(said)
        return np.array([bool(vote.anomalous) for vote in said], dtype=np.bool_)

    choosing.asked(folded(distinct), most, seed, label, common=1)
    return votes


def drawn(data: Sequences, most: int, seed: int) -> Sequences:
    """Draw distinct sequences at random; all of them if there are no more."""
    rows = choosing.distinct(data)
    return data.only(np.random.default_rng([seed, 5]).permutation(rows)[:most])


def folded(data: Sequences) -> Sequences:
    """Take events of one sequence only, and those beyond `MOST_EVENTS`, for a few unknown ones.

    Unknown by the hash of the name: what a choice is made by must not hang on the order of a file.
    """
    held: Counter[int] = Counter()
    for events in data.events:
        held.update(np.unique(events).tolist())
    names = data.vocabulary
    common = sorted(
        (number for number, count in held.items() if count > 1),
        key=lambda number: (-held[number], names[number]),
    )[:MOST_EVENTS]
    numbers = np.array(
        [len(common) + crc32(name.encode(errors="replace")) % _UNKNOWN for name in names], np.int32
    )
    numbers[common] = np.arange(len(common), dtype=np.int32)
    return Sequences(
        data.name,
        [numbers[events] for events in data.events],
        data.anomalous,
        data.kinds,
        (*(names[number] for number in common), *(f"unknown {at}" for at in range(_UNKNOWN))),
    )
