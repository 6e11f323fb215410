"""From judged lines to alerts: one per anomalous line, or one per group of lines that say the same.

`plan` looks at a batch, `due` at the clock; both say what is to be told and change nothing, only
`commit` remembers it. So what no sink could take is told later, with the same ids, and nothing is
counted twice. Which group is told, and when, is decided in `logagent.policy`.

Guarantees: an alert's id is that of the first line of its lead, or comes of that and of how often
the group was told before, so it is equal after a restart. The agent's own lines, come back through
syslog, are no news, nor is what the operator told it to ignore. Memory: the policy's, and 1 KiB of
the last lines of `_TAILS` sources.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from logagent.groups import SAMPLE_BYTES, Sighting, record_id
from logagent.inputs import Batch
from logagent.judge import IGNORED, NORMAL, Verdict
from logagent.overrides import Overrides
from logagent.policy.adaptation import HostAdaptation
from logagent.policy.known import Known
from logagent.policy.policy import BOOT, Policy, Telling
from logagent.policy.rate import Rate
from logagent.policy.telling import Teller, severity_of
from logagent.records import dumps, line_record
from logagent.sanitise import printable
from logagent.service.own_lines import OWN_NAME, OwnLines
from logagent.sinks import Alert
from logagent.times import TimeParser
from logagent.traces import Trace, below

__all__ = ["Alerts", "GroupAlerts", "LineAlerts", "Plan"]

_TEXT_CHARS = 400  # of a line in an alert's text
_CONTEXT = 3  # lines before and after a group's first one that its alert shows
_CONTEXT_BYTES = 300  # [bytes] of each
_TAIL_BYTES = 1024  # [bytes] of a source's last lines, kept to be the context of the next
_TAILS = 256  # sources of which they are kept
_BOOT_BYTES = 8192  # [bytes] of a batch in which a boot is looked for: it is news if followed live
_LISTED = 1000  # groups in the status


@dataclass(frozen=True, slots=True)
class _Seen:
    """The lines of one verdict in a batch."""

    verdict: Verdict
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch, or the clock, would tell."""

    alerts: list[Alert]
    anomalous: int = 0
    """Lines over the threshold that are neither of the two below."""
    own: int = 0
    """Lines over the threshold that the agent itself wrote."""
    hidden: int = 0
    """Lines over the threshold that the operator's entries hide."""
    batch: Batch | None = None
    lines: int = 0
    """Of the batch."""
    seen: list[_Seen] = field(default_factory=list)
    tellings: list[Telling] = field(default_factory=list)


class Alerts(Protocol):
    """How anomalous lines become alerts."""

    def plan(self, batch: Batch, verdicts: list[Verdict], joined: int) -> Plan:
        """Say what a batch tells; change nothing."""
        ...

    def commit(self, plan: Plan) -> None:
        """The alerts were taken: remember."""
        ...

    def due(self, *, ending: bool = False) -> Plan:
        """Say what is to be told now though no new line came; bounded.

        Args:
            ending: no line will come any more.
        """
        ...

    def wait_seconds(self) -> float:
        """Return in how many seconds a group that waits to be told is due; infinite if none."""
        ...

    def teach(self, overrides: Overrides) -> None:
        """Go by other entries of the operator from the next line on."""
        ...

    def counts(self) -> dict[str, int]:
        """Return what is known of groups, for the status."""
        ...

    def known_groups(self) -> list[dict[str, Any]]:
        """Return the groups seen latest, for the status; JSON-able."""
        ...

    def state(self) -> Any:
        """Return what `load` needs, msgpack types only."""
        ...

    def load(self, saved: object) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it did not.
        """
        ...


class LineAlerts:
    """One alert for every anomalous line."""

    def __init__(self, host: str, own: OwnLines, overrides: Overrides | None = None) -> None:
        self._host = host
        self._own = own
        self._overrides = overrides
        self._times = TimeParser()

    def plan(self, batch: Batch, verdicts: list[Verdict], joined: int) -> Plan:  # noqa: ARG002
        """See `Alerts.plan`."""
        alerts = []
        own = hidden = anomalous = 0
        if verdicts.count(NORMAL) == len(verdicts):
            return Plan([])
        for index, verdict in enumerate(verdicts):
            if not verdict.anomalous:
                hidden += verdict is IGNORED
                continue
            line = batch.block.line(index)
            if self._own.holds(line):
                own += 1
                continue
            if self._overrides is not None and self._overrides.hides(
                batch.source, line, verdict.group or verdict.template
            ):
                hidden += 1
                continue
            anomalous += 1
            sighting = sighting_of(batch, index)
            id_ = line_id(batch, index, line)
            record = {"id": id_, "host": self._host}
            record |= line_record(sighting, verdict, self._times)
            text = f"{printable(sighting.source, 200)}: {printable(line, _TEXT_CHARS)}"
            alerts.append(Alert(id_, dumps(record).encode(), text, severity_of(verdict.score)))
        return Plan(alerts, anomalous, own, hidden)

    def commit(self, plan: Plan) -> None:
        """See `Alerts.commit`."""

    def due(self, *, ending: bool = False) -> Plan:  # noqa: ARG002
        """See `Alerts.due`."""
        return Plan([])

    def wait_seconds(self) -> float:
        """See `Alerts.wait_seconds`."""
        return math.inf

    def teach(self, overrides: Overrides) -> None:
        """See `Alerts.teach`."""
        self._overrides = overrides

    def counts(self) -> dict[str, int]:
        """See `Alerts.counts`."""
        return {}

    def known_groups(self) -> list[dict[str, Any]]:
        """See `Alerts.known_groups`."""
        return []

    def state(self) -> Any:
        """See `Alerts.state`."""
        return []

    def load(self, saved: object) -> None:
        """See `Alerts.load`."""


class GroupAlerts:
    """One alert for a group of lines that say the same, when the policy says so."""

    def __init__(
        self,
        teller: Teller,
        own: OwnLines,
        policy: Policy,
        *,
        overrides: Overrides | None = None,
        adaptation: HostAdaptation | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Know no group yet.

        Args:
            teller: says it.
            own: what to leave out.
            policy: decides what is told, and when.
            adaptation: the habits of this host, which the policy asks; to be saved with it.
            overrides: what the operator has said.
            wall: the time of day [s since 1970].
        """
        self.policy = policy
        self.adaptation = adaptation
        self.teller = teller
        self._own = own
        self._overrides = overrides
        if overrides is not None:
            self.teach(overrides)
        self._wall = wall
        self._tails: dict[str, bytes] = {}
        self._wanting: dict[str, list[tuple[Known, int]]] = {}

    def __len__(self) -> int:
        return len(self.policy)

    def teach(self, overrides: Overrides) -> None:
        """Go by other entries of the operator from the next line on."""
        self._overrides = overrides
        self.policy.heed(overrides)

    def plan(self, batch: Batch, verdicts: list[Verdict], joined: int) -> Plan:
        """See `Alerts.plan`; groups are told by `due`, so this tells nothing."""
        if verdicts.count(NORMAL) == len(verdicts):
            return Plan([], joined, batch=batch, lines=len(verdicts))
        places: dict[Verdict, list[int]] = {}
        for index in [at for at, verdict in enumerate(verdicts) if verdict is not NORMAL]:
            places.setdefault(verdicts[index], []).append(index)
        hidden = len(places.pop(IGNORED, ()))
        seen: list[_Seen] = []
        anomalous, own = joined, 0
        line = batch.block.line
        hides = self._overrides is not None and self._overrides.looks_at_lines
        for verdict, found in places.items():
            indices = found
            # By the template first: finding a line costs as much as all else here.
            if hides or (OWN_NAME in verdict.template and self._own.holds(line(found[0]))):
                # Somebody else may have written lines of the same form: look at each.
                others = [index for index in found if not self._own.holds(line(index))]
                indices = [
                    index for index in others if not self._hides(batch.source, line(index), verdict)
                ]
                own += len(found) - len(others)
                hidden += len(others) - len(indices)
                if not indices:
                    continue
            if verdict.anomalous:
                anomalous += len(indices)
            seen.append(_Seen(verdict, indices[0], indices[-1], len(indices)))
        return Plan([], anomalous, own, hidden, batch, len(verdicts), seen)

    def _hides(self, source: str, line: bytes, verdict: Verdict) -> bool:
        if self._overrides is None:
            return False
        group = verdict.group or verdict.template
        return self._overrides.hides(source, line, group) is not None

    def commit(self, plan: Plan) -> None:
        """See `Alerts.commit`."""
        for telling in plan.tellings:
            self.policy.told(telling)
        if plan.batch is None:
            return
        now = self._wall()
        self.policy.passed(plan.lines, plan.anomalous)
        if self.adaptation is not None:
            self.adaptation.passed(plan.lines)
        data = plan.batch.block.data
        if data.find(b" Linux version ", 0, _BOOT_BYTES) >= 0 and BOOT.search(data):
            self.policy.booted(now)
        if self._wanting:
            self._context_after(plan.batch)
        for seen in plan.seen:
            self._take(plan.batch, seen, now)
        source, tail = plan.batch.source, data[-_TAIL_BYTES:]
        earlier = self._tails.pop(source, None)
        if earlier and len(tail) < _TAIL_BYTES:  # a log is followed line by line
            tail = (earlier + b"\n" + tail)[-_TAIL_BYTES:]
        self._tails[source] = tail
        if len(self._tails) > _TAILS:
            del self._tails[next(iter(self._tails))]

    def _take(self, batch: Batch, seen: _Seen, now: float) -> None:
        verdict, policy = seen.verdict, self.policy
        key = verdict.group or verdict.template
        group = policy.lead(key)
        if group is None:
            group = policy.enter(
                key,
                verdict.score,
                verdict.forced,
                batch.source,
                now,
                lambda: self._first(batch, seen, key, now),
            )
        learning = self.adaptation is not None and self.adaptation.learner is not None
        text = batch.block.line(seen.last) if group is not None or learning else b""
        policy.note(batch.source, key, verdict.template, text, verdict.score, seen.count, now)
        if group is None:
            return
        group.last = sighting_of(batch, seen.last)
        policy.count(group, seen.count, verdict.score, now)

    def _first(self, batch: Batch, seen: _Seen, key: bytes, now: float) -> Known:
        block, index, verdict = batch.block, seen.first, seen.verdict
        sighting = sighting_of(batch, index)
        trace = below(block, index)
        group = Known(
            key,
            line_id(batch, index, block.line(index)),
            verdict.template,
            verdict.score,
            sighting,
            sighting,
            Trace(trace.lines, trace.cause[:SAMPLE_BYTES]),
            now,
            now,
            Rate(now, now),
        )
        before = [block.line(at) for at in range(max(index - _CONTEXT, 0), index)]
        if len(before) < _CONTEXT and (tail := self._tails.get(batch.source)):
            earlier = tail.split(b"\n")[-_CONTEXT:]
            before = [*earlier, *before][-_CONTEXT:]
        after = [
            block.line(at) for at in range(index + 1, min(index + 1 + _CONTEXT, block.line_count))
        ]
        group.context.before = [line[:_CONTEXT_BYTES] for line in before]
        group.context.after = [line[:_CONTEXT_BYTES] for line in after]
        if len(after) < _CONTEXT:
            wanting = self._wanting.setdefault(batch.source, [])
            wanting.append((group, _CONTEXT - len(after)))
            if len(self._wanting) > _TAILS:
                del self._wanting[next(iter(self._wanting))]
        return group

    def _context_after(self, batch: Batch) -> None:
        """Give groups that wait to be told the lines that came after their first one."""
        wanting = self._wanting.pop(batch.source, ())
        lines = batch.block.data.split(b"\n", _CONTEXT)[:_CONTEXT] if wanting else []
        for group, missing in wanting:
            if group.pending_at is None:
                continue
            group.context.after += [line[:_CONTEXT_BYTES] for line in lines[:missing]]
            if missing > len(lines):
                left = self._wanting.setdefault(batch.source, [])
                left.append((group, missing - len(lines)))

    def due(self, *, ending: bool = False) -> Plan:
        """See `Alerts.due`."""
        tellings = self.policy.due(self._wall(), ending=ending)
        if not tellings:
            return Plan([])
        alerts = [self.teller.alert(telling) for telling in tellings]
        told = [alert for alert in alerts if alert is not None]
        return Plan(told, tellings=tellings)

    def wait_seconds(self) -> float:
        """See `Alerts.wait_seconds`."""
        now = self._wall()
        return self.policy.pending_seconds(now)

    def counts(self) -> dict[str, int]:
        """See `Alerts.counts`."""
        return self.policy.counts()

    def known_groups(self) -> list[dict[str, Any]]:
        """See `Alerts.known_groups`."""
        latest = islice(reversed(list(self.policy)), _LISTED)
        return [self.teller.known(group) for group in latest]

    def state(self) -> Any:
        """See `Alerts.state`."""
        habits = None if self.adaptation is None else self.adaptation.state()
        return {"policy": self.policy.state(), "adaptation": habits}

    def load(self, saved: object) -> None:
        """See `Alerts.load`."""
        match saved:
            case {"policy": policy, "adaptation": habits}:
                self.policy.load(policy)
                if self.adaptation is not None and habits is not None:
                    self.adaptation.load(habits)
                if self._overrides is not None:
                    self.teach(self._overrides)  # something was said while nobody listened
            case [*groups] if all(isinstance(group, list) for group in groups):
                pass  # of a first start, of `LineAlerts`, or of an agent without a policy
            case _:
                raise ValueError("the alerts have other fields")


def sighting_of(batch: Batch, index: int) -> Sighting:
    """Return one line of a batch as a sighting; line 0 if its number is not known."""
    block = batch.block
    return Sighting(
        batch.source,
        block.first_line + index if block.first_line else 0,
        block.line_offset(index),
        block.line(index)[:SAMPLE_BYTES],
    )


def line_id(batch: Batch, index: int, line: bytes) -> str:
    """Return the stable id of a line of a batch."""
    return record_id(batch.fingerprint, batch.block.line_offset(index), line)
