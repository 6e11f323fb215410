"""Sequences to findings: what the ensemble says of those that have ended.

Guarantees: every sequence is judged once; equal sequences are judged by the model once as long as
they are remembered (FlexLog §3.2: the cache's key is the sequence itself). Where the model counts
events and leaves their order aside, sequences of equal events share a verdict if that is "normal";
of an anomalous one it is also said where its events are. Where it looks at order besides
(`OrderJudge`), what it says of counts is shared so, and only the order is looked at for each order
there is. The order of what begins or ends anywhere (a window, a session that was cut short or too
long to be kept whole) is not looked at. Memory: the sequencer's, and two caches of fixed capacity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from logagent.blocks import Block
from logagent.cache import TwoGenerationCache
from logagent.sequences.ensemble import Judged
from logagent.sequences.episode import Episode
from logagent.sequences.rests import judged_in_part
from logagent.sequences.sequencer import Sequencer

__all__ = ["Finding", "Hides", "OrderJudge", "SequenceJudge", "Watch"]

_CAPACITY: Final = 2_700  # verdicts per generation, two thirds of 4,096


class SequenceJudge(Protocol):
    """What is needed of a model; `logagent.sequences.ensemble.Ensemble` is the real one."""

    @property
    def order_free(self) -> bool:
        """Whether a verdict's score and votes are the same in any order of the events."""
        ...

    def judge(self, events: npt.NDArray[np.int32]) -> Judged:
        """Judge a sequence, int32 (length,)."""
        ...

    @property
    def normal(self) -> npt.NDArray[np.uint16]:
        """Counts of normal sequences, (events, n): how a part of a sequence may go on."""
        ...


@runtime_checkable
class OrderJudge(SequenceJudge, Protocol):
    """One that judges in two steps, the first of which is the same in any order of the events."""

    def counted(self, events: npt.NDArray[np.int32]) -> Judged:
        """Judge a sequence by its counts."""
        ...

    def ordered(self, events: npt.NDArray[np.int32], judged: Judged) -> Judged:
        """Add what its order says; `judged` itself if that is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """A sequence that is anomalous."""

    episode: Episode
    judged: Judged


class Hides(Protocol):
    """What operators have said; `logagent.sequences.taught.Taught` is the real one."""

    def hides(self, finding: Finding) -> object | None:
        """Return what calls an anomalous sequence normal; None if nothing does."""
        ...


class Watch:
    """Judges the sequences of all lines it sees."""

    def __init__(self, sequencer: Sequencer, judge: SequenceJudge) -> None:
        self.sequencer = sequencer
        self.judged = 0
        """Sequences judged."""
        self.anomalous = 0
        """Of these, how many are anomalous and not taught."""
        self.taught = 0
        """Of these, how many the model finds anomalous and an operator calls normal."""
        self.spared = 0
        """Sequences that would be anomalous if they had no more than what was read of them."""
        self.misses = 0
        """Judged ones that the model was asked about; by a look at their order alone: none."""
        self._judge = judge
        self._said: Hides | None = None
        self._ask = judge.judge
        self._order_free = judge.order_free
        self._verdicts: TwoGenerationCache[Judged] = TwoGenerationCache(_CAPACITY)
        self._in_order: OrderJudge | None = None
        if not judge.order_free and isinstance(judge, OrderJudge):
            self._in_order, self._ask = judge, judge.counted
        # Orders are many: they would drive what was said of counts out of its cache.
        self._orders: TwoGenerationCache[Judged] = TwoGenerationCache(_CAPACITY)

    def teach(self, said: Hides | None) -> None:
        """Go by what operators have said; it holds from the next sequence that ends."""
        self._said = said

    def see(self, source: str, fingerprint: bytes, block: Block) -> Iterator[Finding]:
        """Take in the next lines of a source; yield what is anomalous. Take all of it."""
        return self._findings(self.sequencer.see(source, fingerprint, block))

    def end(self, source: str) -> Iterator[Finding]:
        """Yield what is anomalous of what a source that is over leaves open. Take all of it."""
        return self._findings(self.sequencer.end(source))

    def tick(self) -> Iterator[Finding]:
        """Yield what is anomalous of what ends though no line comes. Take all of it."""
        return self._findings(self.sequencer.tick())

    def close(self) -> Iterator[Finding]:
        """Yield what is anomalous of all that is open. Take all of it."""
        return self._findings(self.sequencer.close())

    def _findings(self, episodes: Iterable[Episode]) -> Iterator[Finding]:
        for episode in episodes:
            self.judged += 1
            in_part = episode.cut or episode.unfinished
            # Python seeds its hash of bytes at random: nobody makes two the same on purpose.
            exactly = hash(episode.events.tobytes())
            if self._in_order is not None and not in_part and _whole(episode):
                verdict = self._of_both(self._in_order, exactly, episode.events)
            elif self._in_order is None and not self._order_free:
                verdict = self._verdict(exactly, episode.events)
            else:
                verdict = self._in_any_order(exactly, episode.events)
            if verdict.anomalous and in_part:
                verdict = self._part_of_one(exactly, episode.events, verdict)
                self.spared += not verdict.anomalous
            if verdict.anomalous:
                finding = Finding(episode, verdict)
                if self._said is not None and self._said.hides(finding) is not None:
                    self.taught += 1
                    continue
                self.anomalous += 1
                yield finding

    def _of_both(self, judge: OrderJudge, exactly: int, events: npt.NDArray[np.int32]) -> Judged:
        """Return the verdict on a sequence by its events, and on their order."""
        verdict = self._orders.get(exactly)
        if verdict is None:
            verdict = judge.ordered(events, self._in_any_order(exactly, events))
            self._orders.add(exactly, verdict)
        return verdict

    def _in_any_order(self, exactly: int, events: npt.NDArray[np.int32]) -> Judged:
        """Return the verdict on a sequence by its events; if it is anomalous, on it exactly."""
        key = hash(np.sort(events).tobytes())
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdict(key, events)
            if verdict.anomalous:
                self._verdicts.add(hash((key, exactly)), verdict)
        elif verdict.anomalous:
            verdict = self._verdict(hash((key, exactly)), events)
        return verdict

    def _part_of_one(self, exactly: int, events: npt.NDArray[np.int32], stands: Judged) -> Judged:
        """Return the verdict on a sequence of which a part was not read.

        If it is anomalous, what of the verdict on it as it `stands` is not missing is said to have
        carried it: a completion is only a guess, and sequences of one kind are to be told as one.
        """
        key = hash(("part", exactly))
        verdict = self._verdicts.get(key)
        if verdict is None:
            self.misses += 1
            verdict = judged_in_part(events, self._judge.normal, self._ask)
            there = [each for each in stands.carried if each.kind != "missing"]
            if verdict.anomalous and there:
                verdict = replace(verdict, carried=there)
            self._verdicts.add(key, verdict)
        return verdict

    def _verdict(self, key: int, events: npt.NDArray[np.int32]) -> Judged:
        verdict = self._verdicts.get(key)
        if verdict is None:
            self.misses += 1
            verdict = self._ask(events)
            self._verdicts.add(key, verdict)
        return verdict

    def counts(self) -> dict[str, Any]:
        """Return the counters, for ``--stats`` and the status; JSON-able."""
        sequencer = self.sequencer
        counters = sequencer.counters
        late, jumps = sequencer.counts_of_clocks()
        return {
            "open": sequencer.open_sequences,
            "judged": self.judged,
            "anomalous": self.anomalous,
            "taught": self.taught,
            "misses": self.misses,
            "lines": counters.lines,
            "unknown_lines": sequencer.reader.unknown_lines,
            "no_key": counters.no_key,
            "malformed_keys": counters.malformed_keys,
            "cut": counters.cut,
            "unfinished": counters.unfinished,
            "spared": self.spared,
            "evicted": counters.evicted,
            "truncated": counters.truncated,
            "late_lines": late,
            "clock_jumps": jumps,
            "unjudged_lines": counters.unjudged_lines,
            "ended": dict(counters.ended),
        }


def _whole(episode: Episode) -> bool:
    """Tell whether an order means something: of a session all of which is there.

    Of one that was too long the middle is missing: what is first in its end was perhaps not first.
    """
    ended = episode.ended in ("end", "idle")
    return bool(episode.session) and ended and episode.count == len(episode.events)
