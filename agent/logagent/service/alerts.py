"""From judged lines to alerts: one per anomalous line, or one per group of lines that say the same.

`plan` looks at a batch and says what is to be told; only `commit` remembers it. So a batch that no
sink could take is planned again, with the same ids, and nothing is counted twice.

Guarantees: an alert's id is that of the first line it is about, or comes of that and of how often
the group was told before, so it is equal after a restart; at most `max_groups` groups are known,
the one seen least recently is forgotten first, and counted. The agent's own lines, come back
through syslog, are no news. Memory: about 2 kB a group.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from logagent.explain import words_that_count
from logagent.groups import SAMPLE_BYTES, Group, Sighting, record_id
from logagent.inputs import Batch
from logagent.judge import NORMAL, Verdict
from logagent.kinds import Kinds
from logagent.records import dumps, group_record, line_record
from logagent.sanitise import printable
from logagent.scorer import Scorer
from logagent.service.own_lines import OwnLines
from logagent.sinks import Alert
from logagent.times import TimeParser
from logagent.traces import Trace, below

__all__ = ["Alerts", "GroupAlerts", "LineAlerts", "Plan"]

_STORED_BYTES = 256  # [bytes] of a line or template kept in the saved state
_TEXT_CHARS = 400  # of a line in an alert's text
_CRITICAL, _ERROR, _WARNING = 2, 3, 4  # RFC 5424, 6.2.1
_SEVERE = 0.97  # score from which an alert is called an error


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch would tell."""

    alerts: list[Alert]
    changes: list[_Change] = field(default_factory=list)
    anomalous: int = 0
    """Lines over the threshold."""
    own: int = 0
    """Of these, lines that the agent itself wrote."""


class Alerts(Protocol):
    """How anomalous lines become alerts."""

    def plan(self, batch: Batch, verdicts: list[Verdict], joined: int) -> Plan:
        """Say what a batch tells; change nothing."""
        ...

    def commit(self, plan: Plan) -> None:
        """The alerts were taken: remember."""
        ...

    def due(self) -> Plan:
        """Say what is to be told now though no new line came; bounded."""
        ...

    def counts(self) -> dict[str, int]:
        """Return what is known of groups, for the status."""
        ...

    def state(self) -> list[Any]:
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

    def __init__(self, host: str, own: OwnLines) -> None:
        self._host = host
        self._own = own
        self._times = TimeParser()

    def plan(self, batch: Batch, verdicts: list[Verdict], joined: int) -> Plan:  # noqa: ARG002
        """See `Alerts.plan`."""
        alerts = []
        own = anomalous = 0
        if verdicts.count(NORMAL) == len(verdicts):
            return Plan([])
        for index, verdict in enumerate(verdicts):
            if not verdict.anomalous:
                continue
            line = batch.block.line(index)
            if self._own.holds(line):
                own += 1
                continue
            anomalous += 1
            sighting = sighting_of(batch, index)
            id_ = line_id(batch, index, line)
            record = {"id": id_, "host": self._host}
            record |= line_record(sighting, verdict, self._times)
            text = f"{printable(sighting.source, 200)}: {printable(line, _TEXT_CHARS)}"
            alerts.append(Alert(id_, dumps(record).encode(), text, severity_of(verdict.score)))
        return Plan(alerts, [], anomalous, own)

    def commit(self, plan: Plan) -> None:
        """See `Alerts.commit`."""

    def due(self) -> Plan:
        """See `Alerts.due`."""
        return Plan([])

    def counts(self) -> dict[str, int]:
        """See `Alerts.counts`."""
        return {}

    def state(self) -> list[Any]:
        """See `Alerts.state`."""
        return []

    def load(self, saved: object) -> None:
        """See `Alerts.load`."""


@dataclass(slots=True)
class _Known:
    """A group that was told."""

    id: str
    template: bytes
    score: float
    first: Sighting
    last: Sighting
    trace: Trace
    count: int
    told_count: int
    """Lines that the alerts so far spoke of."""
    told_at: float
    """[s since 1970] When the last alert was sent; wall clock, as it must outlive a restart."""
    told: int
    """Alerts so far."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What a plan does to a group."""

    key: bytes
    group: _Known
    """The group as it is afterwards."""


class GroupAlerts:
    """One alert for a group of lines that say the same, and one now and then while it goes on."""

    def __init__(
        self,
        scorer: Scorer,
        host: str,
        own: OwnLines,
        *,
        repeat_seconds: Sequence[float],
        max_groups: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Know no group yet.

        Args:
            scorer: explains.
            host: name of this machine, part of every record.
            own: what to leave out.
            repeat_seconds: waits before a group that goes on is told again; the last one repeats.
            max_groups: groups known at most.
            wall: the time of day [s since 1970].
        """
        self.forgotten = 0
        """Groups let go for want of room; one that comes back is told as new."""
        self._scorer = scorer
        self._kinds = Kinds(scorer.bundle)
        self._host = host
        self._own = own
        self._waits = list(repeat_seconds) or [float("inf")]
        self._max_groups = max_groups
        self._wall = wall
        self._times = TimeParser()
        self._groups: dict[bytes, _Known] = {}  # seen least recently first

    def __len__(self) -> int:
        return len(self._groups)

    def plan(self, batch: Batch, verdicts: list[Verdict], joined: int) -> Plan:
        """See `Alerts.plan`."""
        if verdicts.count(NORMAL) == len(verdicts):
            return Plan([], [], joined)
        counts = Counter([verdict for verdict in verdicts if verdict is not NORMAL])
        # The last line of each verdict: later entries replace earlier ones, in one pass in C.
        last = dict(zip(verdicts, range(len(verdicts)), strict=True))
        changes: dict[bytes, _Known] = {}
        anomalous, own, now = joined, 0, self._wall()
        for verdict, count in counts.items():
            if not verdict.anomalous:
                continue
            first, final, others = verdicts.index(verdict), last[verdict], count
            if self._own.holds(batch.block.line(first)):
                # Somebody else may have written lines of the same form: look at each.
                news = [
                    index
                    for index, each in enumerate(verdicts)
                    if each is verdict and not self._own.holds(batch.block.line(index))
                ]
                others = len(news)
                own += count - others
                if not news:
                    continue
                first, final = news[0], news[-1]
            anomalous += others
            key = verdict.group or verdict.template
            sighting = sighting_of(batch, final)
            known = changes.get(key) or self._groups.get(key)
            if known is None:
                known = _first(batch, first, verdict)
            if key in changes and changes[key].last.offset > sighting.offset:
                sighting = changes[key].last  # two verdicts of one group in a batch
            changes[key] = _with(known, others, sighting, verdict.score)
        alerts = []
        for key, group in changes.items():
            if not self._is_due(group, now):
                continue
            alerts.append(self._alert(group))
            changes[key] = _told(group, now)
        return Plan(alerts, [_Change(*pair) for pair in changes.items()], anomalous, own)

    def due(self) -> Plan:
        """See `Alerts.due`: groups that went on since they were told, and then fell silent."""
        now = self._wall()
        alerts, changes = [], []
        for key, group in self._groups.items():
            if group.count > group.told_count and self._is_due(group, now):
                alerts.append(self._alert(group))
                changes.append(_Change(key, _told(group, now)))
                if len(alerts) >= 100:
                    break
        return Plan(alerts, changes)

    def commit(self, plan: Plan) -> None:
        """See `Alerts.commit`."""
        groups = self._groups
        for change in plan.changes:
            groups.pop(change.key, None)
            groups[change.key] = change.group
        while len(groups) > self._max_groups:
            del groups[next(iter(groups))]
            self.forgotten += 1

    def _is_due(self, group: _Known, now: float) -> bool:
        if not group.told:
            return True
        wait = self._waits[min(group.told, len(self._waits)) - 1]
        # A clock that was set back must not silence a group for as long.
        return not 0 <= now - group.told_at < wait

    def _alert(self, group: _Known) -> Alert:
        id_ = _alert_id(group)
        words = words_that_count(self._scorer, group.template)
        kind = self._kinds.of(self._scorer.embedding.embed([group.template])[0])
        shown = Group(group.id, group.template, group.score, group.first, group.last)
        shown.count, shown.trace = group.count, group.trace
        record: dict[str, Any] = {"id": id_, "host": self._host}
        record |= {"group": group.id, "alert": "again" if group.told else "new"}
        if group.told:
            record["since_told"] = group.count - group.told_count
        details = group_record(shown, self._times, words, kind, None)
        del details["id"]
        times = f" ×{group.count}" if group.count > 1 else ""
        told = "still: " if group.told else ""
        about = f" [{kind.category}]" if kind.category else ""
        text = (
            f"{told}{printable(group.first.source, 200)}{times}{about}: "
            f"{printable(group.last.text, _TEXT_CHARS)}"
        )
        return Alert(id_, dumps(record | details).encode(), text, severity_of(group.score))

    def counts(self) -> dict[str, int]:
        """See `Alerts.counts`."""
        return {"known": len(self._groups), "forgotten": self.forgotten}

    def state(self) -> list[Any]:
        """See `Alerts.state`."""
        return [
            [
                key,
                group.id,
                group.template[:_STORED_BYTES],
                group.score,
                _stored(group.first),
                _stored(group.last),
                [group.trace.lines, group.trace.cause[:_STORED_BYTES]],
                [group.count, group.told_count, group.told],
                group.told_at,
            ]
            for key, group in self._groups.items()
        ]

    def load(self, saved: object) -> None:
        """See `Alerts.load`."""
        if not isinstance(saved, list):
            raise ValueError("has no list of groups")
        for values in saved[-self._max_groups :]:
            match values:
                case [
                    bytes(key),
                    str(id_),
                    bytes(template),
                    float(score),
                    [*first],
                    [*last],
                    [int(lines), bytes(cause)],
                    [int(count), int(told_count), int(told)],
                    float(told_at),
                ] if (
                    re.fullmatch("[0-9a-f]{16}", id_)
                    and 0 <= score <= 1
                    and min(lines, count, told_count, told) >= 0
                    and max(lines, count, told_count, told) < 2**63
                    and math.isfinite(told_at)
                ):
                    self._groups[key] = _Known(
                        id_,
                        template,
                        score,
                        _sighting(first),
                        _sighting(last),
                        Trace(lines, cause),
                        count,
                        told_count,
                        told_at,
                        told,
                    )
                case _:
                    raise ValueError("a group has other fields")


def _first(batch: Batch, index: int, verdict: Verdict) -> _Known:
    sighting = sighting_of(batch, index)
    trace = below(batch.block, index)
    cut = Trace(trace.lines, trace.cause[:SAMPLE_BYTES])
    id_ = line_id(batch, index, batch.block.line(index))
    return _Known(id_, verdict.template, verdict.score, sighting, sighting, cut, 0, 0, 0.0, 0)


def _with(group: _Known, count: int, last: Sighting, score: float) -> _Known:
    """Return the group after `count` more lines."""
    return _Known(
        group.id,
        group.template,
        max(group.score, score),
        group.first,
        last,
        group.trace,
        group.count + count,
        group.told_count,
        group.told_at,
        group.told,
    )


def _alert_id(group: _Known) -> str:
    """Return the id of the next alert about a group.

    After a crash the lines come again in other batches and at another time, so a later alert goes
    by its number: of which line it is told is chance.
    """
    if not group.told:
        return group.id
    told = group.told.to_bytes(8, "big")
    return blake2b(told, key=group.id.encode(), digest_size=8).hexdigest()


def _told(group: _Known, now: float) -> _Known:
    told = _with(group, 0, group.last, group.score)
    told.told_count, told.told_at, told.told = group.count, now, group.told + 1
    return told


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


def severity_of(score: float) -> int:
    """Return the severity of a score, as in RFC 5424, 6.2.1."""
    return _ERROR if score >= _SEVERE else _WARNING


def _stored(sighting: Sighting) -> list[Any]:
    text = sighting.text[:_STORED_BYTES]
    return [sighting.source, sighting.line, sighting.offset, text]


def _sighting(values: list[Any]) -> Sighting:
    match values:
        case [str(source), int(line), int(offset), bytes(text)]:
            return Sighting(source, line, offset, text)
    raise ValueError("a group's line has other fields")
