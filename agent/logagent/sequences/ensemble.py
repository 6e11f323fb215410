"""Judge a sequence of events by the vote of several small models (FlexLog §3.4, without its LLM).

Most voters see counts of events. The order voter, if the part has one, sees nothing else than
order: it may call a sequence anomalous that they call normal, never the other way round.

Holds: `Ensemble`, read from a part of a bundle, and what it says of a sequence. Guarantees: a part
is checked before it is used, and sizes before memory is taken; a sequence's verdict depends on it
alone; nothing is kept between calls (who wants a cache puts it before this). Leaves to others: what
an event is, and where a sequence begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from logagent.errors import BundleError
from logagent.sequences.arrays import array, entry, whole
from logagent.sequences.contrast import Carried, Contrast
from logagent.sequences.features import counts
from logagent.sequences.order import Order
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
    """Of the leading voter, in [0, 1]; 1 is anomalous. Without one, the mean of all voters. At
    least that of the order voter where it votes "anomalous"."""
    anomalous: bool
    """Vote of the leading voter; without one, the majority, a tie being normal (Eq. 6); or that of
    the order voter."""
    votes: dict[str, bool]
    """Vote of each voter by name; true is anomalous."""
    carried: list[Carried] = field(default_factory=list)
    """What carried it, the heaviest first; empty for a normal sequence, and where nothing stands
    out by itself."""


class Ensemble:
    """Voters and how they are counted. Memory: O(its part's arrays)."""

    def __init__(
        self,
        voters: Mapping[str, Voter],
        events: int,
        leader: str = "",
        contrast: Contrast | None = None,
        order: Order | None = None,
    ) -> None:
        self._voters = dict(voters)
        self._leader = leader
        self._contrast = contrast
        self._order = order
        self.events = events
        """Size of the vocabulary: events are 0 … events - 1, buckets of unknown ones included."""
        self.parameters = sum(voter.parameters for voter in voters.values())
        """Numbers held by all voters."""
        if order is not None:
            self.parameters += order.parameters

    @property
    def order_free(self) -> bool:
        """Whether score and votes are the same in any order of the events (`watch`)."""
        return self._order is None

    @property
    def voters(self) -> Mapping[str, Voter]:
        """The voters by name."""
        return self._voters

    def with_voters(self, voters: Mapping[str, Voter]) -> Ensemble:
        """Return the same ensemble with some voters replaced, by name: elsewhere they run."""
        made = copy(self)
        made._voters = self._voters | dict(voters)
        return made

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
            # A key of its own beside the voters: an agent that knows nothing of it goes by counts.
            order = Order(entry(part, "order"), events) if "order" in part else None
            ensemble = cls(voters, events, str(leader), Contrast(normal), order)
            if ensemble.parameters > MOST_PARAMETERS:
                raise ValueError(f"{ensemble.parameters} parameters, over {MOST_PARAMETERS}")
        except (ValueError, TypeError, OverflowError) as error:
            raise BundleError(f"unusable ensemble for sequences: {error}") from None
        return ensemble

    def judge(self, events: npt.NDArray[np.int32]) -> Judged:
        """Judge a sequence: `counted`, then `ordered`.

        Args:
            events: int32 (length,), each in [0, `events`).

        Raises:
            ValueError: an event is outside.
        """
        return self.ordered(events, self.counted(events))

    def ordered(self, events: npt.NDArray[np.int32], judged: Judged) -> Judged:
        """Add what the order voter says to what the others said of a sequence.

        Args:
            events: as `judge` takes them; checked already.
            judged: what `counted` returned, of these events in any order.

        Returns:
            `judged` itself where there is no such voter. What carried a verdict is what carried
            that on counts, if there is one: a failure is told alike, whether or not what it left
            is out of order, too.
        """
        if self._order is None:
            return judged
        violated = self._order.violated(events)
        score = self._order.score(violated)
        if score <= self._order.cut:
            return judged
        carried = judged.carried
        if not judged.anomalous:
            carried = self._order.carried(events, violated)
        return Judged(max(judged.score, score), True, judged.votes | {"order": True}, carried)

    def counted(self, events: npt.NDArray[np.int32]) -> Judged:
        """Judge a sequence by counts alone; arguments and errors as of `judge`.

        The order voter's vote, if there is one, is "normal" here.
        """
        seen = Seen(events, counts(events, self.events))
        scores = {name: voter.score(seen) for name, voter in self._voters.items()}
        votes = {name: scores[name] > voter.cut for name, voter in self._voters.items()}
        if self._leader:
            score, anomalous = scores[self._leader], votes[self._leader]
        else:
            score = sum(scores.values()) / len(scores)
            anomalous = 2 * sum(votes.values()) > len(votes)
        if self._order is not None:
            votes["order"] = False
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
