"""What the agent would have told, had it read these logs as they came: `logagent replay`.

    Scan → events (anomalous lines, with times) → sorted by time → Policy → alerts

The same policy as in `logagent run` decides, by the times in the logs instead of the clock. All
logs are read first, because their lines come one after another and happened side by side.

Guarantees: an alert is told at the time at which the agent would have told it, to within the ten
seconds in which it looks at its groups; memory does not grow with the logs: beyond `MOST_EVENTS`
events, those of a group are merged minute by minute, which moves no first line. A line without a
time stamp has that of the last one before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from logagent.blocks import Block
from logagent.groups import SAMPLE_BYTES, Sighting, record_id
from logagent.judge import IGNORED, NORMAL, Verdict
from logagent.overrides import Overrides
from logagent.policy.known import Context, Known
from logagent.policy.policy import BOOT, Adaptation, Policy, Settings, Telling
from logagent.policy.rate import Rate
from logagent.policy.telling import Teller
from logagent.sinks import Alert
from logagent.times import TimeParser
from logagent.traces import Trace, below

__all__ = ["MOST_EVENTS", "Event", "Events", "Replay", "Told"]

MOST_EVENTS = 200_000
"""Events kept, about 60 MB."""
_MERGE_SECONDS = 60.0  # [s] within which events of a group are merged when there are too many
_CONTEXT = 3  # lines before and after the first one of a group
_CONTEXT_BYTES = 300  # [bytes] of each
_LOOK_SECONDS = 10.0  # [s] between looks of the agent at its groups
_MOST_BOOTS = 10_000


@dataclass(slots=True)
class Event:
    """Lines of one group at one time."""

    at: float
    """[s since 1970]"""
    verdict: Verdict
    sighting: Sighting
    """The last of the lines."""
    id: str
    trace: Trace
    context: Context
    count: int = 1
    lines_before: int = 0
    """Lines read in this source since the event before."""


class Events:
    """Gathers the anomalous lines of blocks, in whatever order these are read."""

    def __init__(self) -> None:
        self.lines = 0
        self.anomalous = 0
        self.first_at = math.inf
        """Time of the earliest line [s since 1970]."""
        self.last_at = -math.inf
        self.unstamped: dict[str, int] = {}
        """Sources whose lines bear no time, with how many there are."""
        self.left_out = 0
        """Lines of groups that were too many; the gravest are kept."""
        self.boots: list[float] = []
        """When machines started [s since 1970], in the order of reading."""
        self._events: list[Event] = []
        self._times = TimeParser()
        self._source = ""
        self._at: float | None = None  # of the last stamped line of this source
        self._unread = 0  # lines since the last event

    def add(
        self,
        source: str,
        fingerprint: bytes,
        block: Block,
        verdicts: list[Verdict],
        joined: int = 0,
        *,
        time_of: Callable[[int], float] | None = None,
        fallback: float = 0.0,
    ) -> None:
        """Take a judged block.

        Args:
            source: name of the log; its blocks come in order, without others in between.
            fingerprint: part of record ids.
            block: the lines.
            verdicts: one per line, traces joined.
            joined: lines that were joined to a trace.
            time_of: gives the time of a line by its index [s since 1970]; else it is parsed.
            fallback: time of lines before any time stamp [s since 1970].
        """
        if source != self._source:
            self._source, self._at = source, None
        self.lines += len(verdicts)
        self.anomalous += joined
        stamp = time_of or self._stamps(block, fallback)
        if not len(verdicts):
            return
        self._span(stamp(0))
        boots = _boots(block)
        calm = verdicts.count(NORMAL) == len(verdicts)
        if boots or not calm:
            for index, verdict in enumerate(verdicts):
                if index in boots and len(self.boots) < _MOST_BOOTS:
                    self.boots.append(stamp(index))
                if verdict is NORMAL or verdict is IGNORED:
                    self._unread += 1
                    continue
                self.anomalous += verdict.anomalous
                self._unread += 1
                self._add(source, fingerprint, block, index, verdict, stamp(index))
        else:
            self._unread += len(verdicts)
        self._span(stamp(len(verdicts) - 1))
        if self._at is None and time_of is None:
            self.unstamped[source] = self.unstamped.get(source, 0) + len(verdicts)

    @property
    def began(self) -> float:
        """Time of the earliest line [s since 1970]; 0 where there is none."""
        return self.first_at if math.isfinite(self.first_at) else 0.0

    def _span(self, at: float) -> None:
        if at:
            self.first_at, self.last_at = min(self.first_at, at), max(self.last_at, at)

    def _stamps(self, block: Block, fallback: float) -> Callable[[int], float]:
        """Return what gives the time of lines; asked in order, and for few of them."""
        looked = [0]

        def time_of(index: int) -> float:
            # The line itself, or the nearest stamped one before it that nobody has looked at.
            for at in range(index, max(looked[0], index - 20) - 1, -1):
                stamp = self._times.parse(block.line(at)[:SAMPLE_BYTES])
                if stamp is not None and stamp.kind == "epoch":
                    self._at = stamp.seconds
                    break
            looked[0] = index
            return fallback if self._at is None else self._at

        return time_of

    def _add(
        self, source: str, fingerprint: bytes, block: Block, index: int, verdict: Verdict, at: float
    ) -> None:
        line = block.line(index)
        before = [block.line(each) for each in range(max(index - _CONTEXT, 0), index)]
        last = min(index + 1 + _CONTEXT, block.line_count)
        after = [block.line(each) for each in range(index + 1, last)]
        trace = below(block, index)
        offset = block.line_offset(index)
        self._events.append(
            Event(
                at,
                verdict,
                Sighting(source, block.first_line + index, offset, line[:SAMPLE_BYTES]),
                record_id(fingerprint, offset, line),
                Trace(trace.lines, trace.cause[:SAMPLE_BYTES]),
                Context(
                    [each[:_CONTEXT_BYTES] for each in before],
                    [each[:_CONTEXT_BYTES] for each in after],
                ),
                lines_before=self._unread,
            )
        )
        self._unread = 0
        if len(self._events) > MOST_EVENTS:
            self._merge()

    def _merge(self) -> None:
        """Make fewer of them: those of a group within a minute become one."""
        kept: list[Event] = []
        latest: dict[bytes, Event] = {}
        for event in self.sorted():
            key = event.verdict.group or event.verdict.template
            earlier = latest.get(key)
            if earlier is not None and event.at - earlier.at < _MERGE_SECONDS:
                earlier.count += event.count
                earlier.lines_before += event.lines_before
            else:
                latest[key] = event
                kept.append(event)
        # Where that does not help, a group comes every minute for months: every other one goes.
        if len(kept) > MOST_EVENTS // 2:
            kept = _halved(kept)
        # Where that does not help either, almost every line is a group: the gravest are kept.
        if len(kept) > 3 * MOST_EVENTS // 4:
            kept.sort(key=lambda event: event.verdict.score, reverse=True)
            self.left_out += sum(event.count for event in kept[MOST_EVENTS // 2 :])
            del kept[MOST_EVENTS // 2 :]
        self._events = kept

    def sorted(self) -> list[Event]:
        """Return the events by time; in the order of the log where that is equal."""
        return sorted(self._events, key=lambda event: event.at)


def _boots(block: Block) -> list[int]:
    """Return the indices of lines that a starting kernel says first."""
    data = block.data
    if b" Linux version " not in data:
        return []
    return [data.count(b"\n", 0, found.start()) for found in BOOT.finditer(data)]


def _halved(events: list[Event]) -> list[Event]:
    """Merge pairs of successive events of a group; the first of each group stays."""
    kept: list[Event] = []
    open_: dict[bytes, Event | None] = {}
    for event in events:
        key = event.verdict.group or event.verdict.template
        if key not in open_:
            kept.append(event)
            open_[key] = None
        elif (pair := open_[key]) is None:
            kept.append(event)
            open_[key] = event
        else:
            pair.count += event.count
            pair.lines_before += event.lines_before
            open_[key] = None
    return kept


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that would have been sent."""

    at: float
    """When [s since 1970]."""
    kind: str
    """As `Telling.kind`."""
    alert: Alert
    keys: list[bytes] = field(default_factory=list)
    """Of the groups it tells, the lead first."""
    onset: float = 0.0
    """Time of the first line it is about [s since 1970]."""


class Replay:
    """The policy, run over events."""

    def __init__(
        self,
        teller: Teller,
        settings: Settings,
        threshold: float,
        began: float,
        *,
        adaptation: Adaptation | None = None,
        overrides: Overrides | None = None,
    ) -> None:
        """Start the policy.

        Args:
            teller: makes the alerts.
            settings: what the operator decides.
            threshold: score from which on a line is anomalous.
            began: time of the first line [s since 1970].
            adaptation: the habits of the host.
            overrides: what the operator has said.
        """
        self.policy = Policy(settings, threshold, began, adaptation, teller.category)
        if overrides is not None:
            self.policy.heed(overrides)
        self.held: dict[bytes, Known] = {}
        """Groups that the budget held back at some time."""
        self._teller = teller
        self._now = self._began = began
        self._looked = True  # since the last event

    def run(
        self,
        events: Iterable[Event],
        until: float = -math.inf,
        boots: Iterable[float] = (),
    ) -> Iterator[Told]:
        """Yield what would have been told, by time.

        Args:
            events: by time.
            until: time of the last line of all [s since 1970]; the policy runs that far.
            boots: when machines started [s since 1970].
        """
        starts = sorted(boots, reverse=True)
        for event in events:
            while starts and starts[-1] <= event.at:
                yield from self._advance(starts.pop())
                self.policy.booted(self._now)
            if event.at > self._now:
                yield from self._advance(event.at)
            self._take(self.policy, event, self._now)
            self._looked = False
        while starts and starts[-1] <= until:  # after the last event: what waits still heeds them
            yield from self._advance(starts.pop())
            self.policy.booted(self._now)
        yield from self._advance(until)
        yield from self._tell(ending=True)

    def _advance(self, to: float) -> Iterator[Told]:
        """Stop at each time up to `to` at which something may be due."""
        while True:
            now = self._now
            look = self._look_at(self.policy.deadline(now) if self._looked else now)
            at = min(now + self.policy.pending_seconds(now), look)
            if at > to:
                break
            self._now, self._looked = at, self._looked or at == look
            yield from self._tell()
        self._now = max(self._now, to)

    def _look_at(self, due: float) -> float:
        """Return when the agent looks at its groups next, from the time on that something is due.

        It looks every ten seconds, after it began.
        """
        if math.isinf(due):
            return due
        passed = max(due, self._now + 1e-3) - self._began
        return self._began + math.ceil(passed / _LOOK_SECONDS) * _LOOK_SECONDS

    def _take(self, policy: Policy, event: Event, now: float) -> None:
        verdict = event.verdict
        key = verdict.group or verdict.template
        policy.passed(event.lines_before, event.count * verdict.anomalous)
        group = policy.lead(key)
        source = event.sighting.source
        if group is None:
            group = policy.enter(
                key, verdict.score, verdict.forced, source, now, lambda: _known(event, key, now)
            )
        policy.note(
            source, key, verdict.template, event.sighting.text, verdict.score, event.count, now
        )
        if group is not None:
            group.last = event.sighting
            policy.count(group, event.count, verdict.score, now)

    def _tell(self, *, ending: bool = False) -> Iterator[Told]:
        for telling in self.policy.due(self._now, ending=ending):
            if telling.kind == "held":
                self.held |= {group.key: group for group in telling.groups}
            alert = self._teller.alert(telling)
            if alert is not None:
                yield _told(telling, alert)
            self.policy.told(telling)


def _told(telling: Telling, alert: Alert) -> Told:
    onset = min((group.first_at for group in telling.groups), default=telling.at)
    return Told(telling.at, telling.kind, alert, [group.key for group in telling.groups], onset)


def _known(event: Event, key: bytes, now: float) -> Known:
    group = Known(
        key,
        event.id,
        event.verdict.template,
        event.verdict.score,
        event.sighting,
        event.sighting,
        event.trace,
        now,
        now,
        Rate(now, now),
    )
    group.context = event.context
    return group
