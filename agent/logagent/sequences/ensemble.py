"""Judge a sequence of events by the vote of several small models (FlexLog §3.4, without its LLM).

Holds: `Ensemble`, read from a part of a bundle, and what it says of a sequence. Guarantees: a part
is checked before it is used, and sizes before memory is taken; a sequence's verdict depends on it
alone; nothing is kept between calls (who wants a cache puts it before this). Leaves to others: what
an event is, and where a sequence begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from logagent.errors import BundleError
from logagent.sequences.arrays import array, entry, whole
from logagent.sequences.contrast import Carried, Contrast
from logagent.sequences.features import counts
from logagent.sequences.voters import Forest, Neighbours, Network, Seen, Voter

__all__ = ["Carried", "Ensemble", "Judged"]

FORMAT = 1
MOST_EVENTS = 30_000  # of a vocabulary; trees hold an event's number in 16 bits
MOST_PARAMETERS = 400_000  # in all voters together: 1.6 MB as float32

_VOTERS: dict[str, Callable[[Mapping[str, Any], int], Voter]] = {
    "knn": Neighbours,
    "tree": Forest,
    "forest": Forest,
    "network": Network,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the ensemble says of a sequence."""

    score: float
    """Of the leading voter, in [0, 1]; 1 is anomalous. Without one, the mean of all voters."""
    anomalous: bool
    """Vote of the leading voter; without one, the majority, a tie being normal (Eq. 6)."""
    votes: dict[str, bool]
    """Vote of each voter by name; true is anomalous."""
    carried: list[Carried] = field(default_factory=list)
    """What carried it, the heaviest first; empty for a normal sequence, and where nothing stands
    out by itself."""


class Ensemble:
    """Voters and how they are counted. Memory: O(its part's arrays)."""

    order_free = True
    """Voters see counts: score and votes are the same in any order of the events (`watch`)."""

    def __init__(
        self,
        voters: Mapping[str, Voter],
        events: int,
        leader: str = "",
        contrast: Contrast | None = None,
    ) -> None:
        self._voters = dict(voters)
        self._leader = leader
        self._contrast = contrast
        self.events = events
        """Size of the vocabulary: events are 0 … events - 1, buckets of unknown ones included."""
        self.parameters = sum(voter.parameters for voter in voters.values())
        """Numbers held by all voters."""

    @classmethod
    def read(cls, part: Mapping[str, Any]) -> Ensemble:
        """Read what `logagent_build.sequences.export.part` made.

        Raises:
            BundleError: it is not such a part, or larger than an ensemble may be.
        """
        try:
            if whole(part, "format", 0, 1000) != FORMAT:
                raise ValueError(f"format {part['format']}, this agent reads {FORMAT}")
            events = whole(part, "events", 1, MOST_EVENTS)
            parts = entry(part, "voters")
            if not parts or set(parts) - set(_VOTERS):
                raise ValueError("no voters this agent knows")
            voters = {str(name): _VOTERS[name](entry(parts, name), events) for name in parts}
            leader = part.get("leader", "")
            if leader != "" and leader not in voters:
                raise ValueError(f"leader {leader!r:.40} is no voter")
            normal = array(part, "normal", "<u2", (events, -1))
            ensemble = cls(voters, events, str(leader), Contrast(normal))
            if ensemble.parameters > MOST_PARAMETERS:
                raise ValueError(f"{ensemble.parameters} parameters, over {MOST_PARAMETERS}")
        except (ValueError, TypeError, OverflowError) as error:
            raise BundleError(f"unusable ensemble for sequences: {error}") from None
        return ensemble

    def judge(self, events: npt.NDArray[np.int32]) -> Judged:
        """Judge a sequence.

        Args:
            events: int32 (length,), each in [0, `events`).

        Raises:
            ValueError: an event is outside.
        """
        seen = Seen(events, counts(events, self.events))
        scores = {name: voter.score(seen) for name, voter in self._voters.items()}
        votes = {name: scores[name] > voter.cut for name, voter in self._voters.items()}
        if self._leader:
            score, anomalous = scores[self._leader], votes[self._leader]
        else:
            score = sum(scores.values()) / len(scores)
            anomalous = 2 * sum(votes.values()) > len(votes)
        carried: list[Carried] = []
        if anomalous and self._contrast is not None:
            carried = self._contrast.of(events, seen.counts, self._scores)
        return Judged(score, anomalous, votes, carried)

    @property
    def normal(self) -> npt.NDArray[np.uint16]:
        """Counts of normal sequences: uint16 (events, n)."""
        if self._contrast is None:
            return np.zeros((self.events, 0), np.uint16)
        return self._contrast.normal

    def _scores(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Score rows of counts, (n, events), by the leading voter or the mean of all."""
        names = [self._leader] if self._leader else list(self._voters)
        held: npt.NDArray[np.float64] = np.mean(
            [self._voters[name].scores(rows) for name in names], axis=0
        )
        return held
