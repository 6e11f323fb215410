"""Sequences in the running agent: from accepted batches to alerts, once for each kind.

A batch is taken in after it was accepted, so nothing of it has to be undone. What it ends is judged
at once; what is anomalous is told once for all sequences that the same events carry, and again when
`repeat_seconds` have passed, with how many there were. What an operator calls normal is counted and
not told (`teach`). More than `alerts_per_day` wait for the next
day; nothing is dropped without being counted.

Guarantees: open sequences and what waits to be told are saved with the positions of the logs, so a
killed agent goes on where both were: an alert comes twice at most, with the same id. Memory: the
sequencer's, and `_KINDS` kinds with their latest record.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from logagent.blocks import Block
from logagent.bundle import Bundle
from logagent.config import Config
from logagent.errors import BundleError
from logagent.inputs import Batch, Report
from logagent.overrides import Overrides
from logagent.policy.telling import severity_of
from logagent.records import dumps
from logagent.sanitise import printable
from logagent.sequence_ids import description, is_name
from logagent.sequences.events import EventReader
from logagent.sequences.finding_records import finding_record, finding_text
from logagent.sequences.kind_names import kind_name
from logagent.sequences.onnx_voters import with_backend
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule, configured
from logagent.sequences.sequencer import AT_ONCE, Sequencer
from logagent.sequences.taught import Taught
from logagent.sequences.watch import Finding, Watch
from logagent.service.own_lines import OWN_NAME, OwnLines
from logagent.service.sequence_counters import grown
from logagent.service.sequence_state import apart, together
from logagent.sinks import Alert
from logagent.times import TimeParser

__all__ = ["SequenceAlerts", "at_rest", "make_sequences"]

_KINDS: Final = 200  # kinds of anomalous sequences that are remembered, 4 kB each
_IDS: Final = 8  # of a kind's alerts, by which `feedback` knows it; those told last
_DAY_SECONDS: Final = 86400.0
_ERROR: Final = 3  # RFC 5424, 6.2.1
_NOTHING_OPEN: Final[list[object]] = [[], []]  # the state of a sequencer that has seen no line
IDLE_SECONDS: Final = _DAY_SECONDS
"""[s] A session that nothing else ends is over when it was silent for so long: a log that is
followed has no end. A silence that is taken for the end makes two halves of a session, and both
lack something; too long a wait only tells of it later, and room is bounded by other means."""


@dataclass(slots=True)
class _Kind:
    """Sequences that the same events carried."""

    count: int
    """Seen so far."""
    told_count: int
    """Of these, how many were told."""
    told_at: float
    """When they were told last [s since 1970]; 0: never."""
    latest: Alert | None
    """The latest that was not told."""
    about: str = ""
    """What carried them, for people."""
    unknown: bool = False
    """Whether one of these events is a line that training did not have."""
    ids: deque[str] = field(default_factory=lambda: deque(maxlen=_IDS))
    """Of its alerts."""


def make_sequences(
    config: Config,
    bundle: Bundle,
    host: str,
    report: Report,
    saved: object,
    own: OwnLines | None = None,
    *,
    wall: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
) -> SequenceAlerts:
    """Make what judges sequences, and go on where the last run stopped.

    Args:
        config: in force; sequences are enabled.
        bundle: the model.
        host: name of this machine, for records.
        report: hears of what was let go.
        saved: what `SequenceAlerts.state` returned; None at first.
        own: lines to leave out.
        wall: the time of day [s since 1970].
        steady: a clock that nobody sets [s].

    Raises:
        BundleError: the bundle cannot judge sequences, or a rule does not fit what it was
            trained with.
        BackendError: onnxruntime was asked for, and cannot run the part for it.
    """
    model = SequenceModel.of(bundle)
    ensemble = with_backend(model.ensemble, bundle, config.model.backend)
    model = replace(model, ensemble=ensemble)
    trained = ends = model.rule
    if not (trained.timeout_seconds or trained.longest_seconds):
        ends = replace(trained, timeout_seconds=IDLE_SECONDS)
    try:
        rules = [
            configured(table, number, ends if trained.key or "key" in table else trained)
            for number, table in enumerate(config.sequences.rules, 1)
        ] or [ends if trained.key else trained]
    except ValueError as error:
        raise BundleError(f"sequences.rules: {error}") from None

    def made() -> SequenceAlerts:
        return SequenceAlerts(
            model, rules, config, host, identity=bundle.sha256, own=own, wall=wall, steady=steady
        )

    alerts = made()
    if saved is not None:
        try:
            for trouble in alerts.load(saved):
                report("sequences-let-go", trouble)
        except ValueError as error:  # of another version; the positions beside it are still good
            report("sequences-let-go", f"open sequences were let go: {error}")
            alerts = made()
    return alerts


def at_rest(saved: object) -> object:
    """Return what is kept of a state while nobody judges: what was told, and what waits to be.

    What was open is let go: lines that nobody reads would be missing in it.
    """
    return saved | {"open": _NOTHING_OPEN} if isinstance(saved, dict) else None


class SequenceAlerts:
    """Judges sequences of accepted batches and holds the alerts that wait to be delivered."""

    def __init__(
        self,
        model: SequenceModel,
        rules: list[Rule],
        config: Config,
        host: str,
        *,
        identity: str = "",
        own: OwnLines | None = None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold nothing yet.

        Args:
            model: what judges.
            rules: which lines make sequences.
            config: how much is told.
            host: name of this machine.
            identity: of the model; open sequences are those of one model.
            own: lines to leave out: an alert that comes back names the session that it is about.
            wall: the time of day [s since 1970].
            steady: a clock that nobody sets [s].
        """
        self._own = own
        self.rules = rules
        self._reader = EventReader(model.vocabulary)
        sequencer = Sequencer(
            self._reader,
            rules,
            max_sessions=config.sequences.max_sessions,
            wall=wall,
            steady=steady,
            silences=model.silences,
        )
        self.watch = Watch(sequencer, model.ensemble)
        self._vocabulary = model.vocabulary
        self._taught: Taught | None = None
        self.hashes = self._reader.hashes
        """For the judge of the same lines."""
        self._per_day = config.sequences.alerts_per_day
        self._repeat_seconds = config.sequences.repeat_seconds
        self._host = host
        self._identity = identity
        self._wall = wall
        self._times = TimeParser()
        self._kinds: dict[str, _Kind] = {}  # the one seen least lately first
        self._told: deque[float] = deque(maxlen=self._per_day)
        self._waiting: deque[Alert] = deque()
        self._forgotten = 0
        self._told_count = 0
        self.before: dict[str, Any] = {}
        """Counters of what judged before a reload; `counts` goes on from them."""

    def teach(self, overrides: Overrides) -> None:
        """Go by other entries of the operator, from the next sequence that ends.

        What waits to be told of a kind that is normal now is let go.
        """
        taught = self._taught = Taught.of(overrides, self._vocabulary)
        self.watch.teach(taught)
        if taught is None:
            return
        for name, kind in self._kinds.items():
            if kind.latest is not None and taught.about(name) is not None:
                kind.latest, kind.told_count = None, kind.count
        self._waiting = deque(
            alert
            for alert in self._waiting
            if taught.about(str(json.loads(alert.record).get("group", ""))) is None
        )

    def see(self, batch: Batch) -> None:
        """Take in an accepted batch."""
        for block in self._others(batch.block):
            self._take(self.watch.see(batch.source, batch.fingerprint, block))

    def tick(self) -> bool:
        """Judge what ends though no line comes; queue what may be told by now.

        Returns whether there may be more: ask again soon.
        """
        before = self.watch.judged
        self._take(self.watch.tick())
        now = self._wall()
        for kind in self._kinds.values():
            if kind.latest is not None:
                self._tell(kind, now)
        return self.watch.judged - before >= AT_ONCE

    def close(self) -> None:
        """Judge all that is open: no line will come any more."""
        self._take(self.watch.close())

    def take(self, findings: Iterable[Finding]) -> None:
        """Queue what may be told by now of anomalous sequences that somebody else made."""
        self._take(findings)

    def due_at(self) -> float:
        """Return when one of the kinds that wait may be told [s since 1970]; infinite: none waits.

        `tick` tells it.
        """
        waits = (
            kind.told_at + self._repeat_seconds if kind.told_at else -math.inf
            for kind in self._kinds.values()
            if kind.latest is not None
        )
        full = len(self._told) == self._per_day
        return max(min(waits, default=math.inf), self._told[0] + _DAY_SECONDS if full else 0.0)

    def next_alert(self) -> Alert | None:
        """Return the alert to be delivered next; `delivered` moves on."""
        return self._waiting[0] if self._waiting else None

    def delivered(self) -> None:
        """The alert was taken."""
        self._waiting.popleft()

    def _others(self, block: Block) -> Iterator[Block]:
        """Yield what of a block others wrote."""
        if self._own is None or OWN_NAME not in block.data:
            yield block
            return
        start = 0
        lines = block.lines()
        ends = [at for at, line in enumerate(lines) if self._own.holds(line)]
        for end in [*ends, len(lines)]:
            if start < end:
                number = block.first_line + start if block.first_line else 0
                yield Block(b"\n".join(lines[start:end]), number, block.line_offset(start))
            start = end + 1

    def _take(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            name = kind_name(finding.judged.carried, self._vocabulary)
            kind = self._kinds.pop(name, None) or _Kind(0, 0, 0.0, None)
            self._kinds[name] = kind
            if len(self._kinds) > _KINDS:
                self._forget()
            kind.count += 1
            kind.latest = self._alert(finding, kind)
            self._tell(kind, self._wall())

    def _forget(self) -> None:
        """Let go of a kind: of those that were told if there are any."""
        names = list(self._kinds)[:-1]
        name = next((each for each in names if self._kinds[each].latest is None), names[0])
        self._forgotten += self._kinds[name].latest is not None
        del self._kinds[name]

    def _tell(self, kind: _Kind, now: float) -> None:
        """Queue the latest alert of a kind if it may be told now."""
        if kind.told_at > now:  # a clock that was put back ends waits, it makes none longer
            kind.told_at = now - self._repeat_seconds
        if kind.latest is None or (kind.told_at and now - kind.told_at < self._repeat_seconds):
            return
        if len(self._told) == self._per_day and 0 <= now - self._told[0] < _DAY_SECONDS:
            return
        self._told.append(now)
        self._told_count += 1
        self._waiting.append(kind.latest)
        kind.ids.append(kind.latest.id)
        kind.latest, kind.told_at, kind.told_count = None, now, kind.count

    def _alert(self, finding: Finding, kind: _Kind) -> Alert:
        record = finding_record(finding, self._reader, self._times)
        id_ = str(record.pop("id"))
        kind.about, kind.unknown = description(record["carried"])
        severity = severity_of(finding.judged.score)
        head: dict[str, Any] = {"id": id_, "host": self._host, "alert": "sequence"}
        head["severity"] = "error" if severity <= _ERROR else "warning"
        text = finding_text(finding, self._reader)
        if kind.count > 1:
            head["count"] = kind.count
            head["since_told"] = since = kind.count - kind.told_count
            text += f" (×{kind.count:,} of this kind, {since:,} since told)"
        return Alert(id_, dumps(head | record).encode(), text, severity)

    def counts(self) -> dict[str, Any]:
        """Return the counters, for the status; JSON-able."""
        held = sum(kind.latest is not None for kind in self._kinds.values())
        counts = self.watch.counts() | {
            "told": self._told_count,
            "kinds": len(self._kinds),
            "kinds_held_back": held,
            "kinds_forgotten": self._forgotten,
        }
        return grown(counts, self.before)

    def known(self) -> list[dict[str, Any]]:
        """Return the kinds, the one seen last first, for the status; JSON-able."""
        said = []
        for name, kind in reversed(self._kinds.items()):
            taught = self._taught is not None and self._taught.about(name) is not None
            state = "taught" if taught else "told" if kind.latest is None else "held"
            ids = [*kind.ids, *([] if kind.latest is None else [kind.latest.id])]
            row: dict[str, Any] = {"id": name, "alert_ids": ids, "state": state}
            row |= {"count": kind.count, "since_told": kind.count - kind.told_count}
            if kind.told_at:
                told = datetime.fromtimestamp(kind.told_at, UTC)
                row["last_told"] = told.isoformat(timespec="seconds")
            said.append(row | {"about": kind.about, "unknown": kind.unknown})
        return said

    def state(self) -> Any:
        """Return what `load` takes: msgpack types, bounded."""
        open_, beside = apart(self.watch.sequencer.state())
        return {
            "model": self._identity,
            "open": open_,
            "open_beside": beside,
            "kinds": [
                [name, kind.count, kind.told_count, kind.told_at, _saved(kind.latest)]
                for name, kind in self._kinds.items()
            ],
            # Beside the kinds and not among them: an agent from before reads those.
            "told_kinds": {
                name: [kind.about, kind.unknown, list(kind.ids)]
                for name, kind in self._kinds.items()
            },
            "told": list(self._told),
            "waiting": [_saved(alert) for alert in self._waiting],
        }

    def load(self, saved: object) -> list[str]:
        """Go on where another run stopped; call it once, at first.

        Returns:
            What was let go, a sentence each.

        Raises:
            ValueError: `saved` is no such state.
        """
        match saved:
            case {
                "model": str(identity),
                "open": open_,
                "kinds": [*kinds],
                "told": [*told],
                "waiting": [*waiting],
            } if all(isinstance(each, float) for each in told):
                pass
            case _:
                raise ValueError("the sequences have other fields")
        for each in kinds[-_KINDS:]:
            match each:
                case [str(name), int(count), int(told_count), float(told_at), latest]:
                    # What has no name of today is of an agent from before: it waits, or is over.
                    if name == "" or is_name(name) or latest is not None:
                        kind = _Kind(count, told_count, told_at, _restored(latest))
                        self._kinds[name] = kind
                case _:
                    raise ValueError("a kind of sequences has other fields")
        self._describe(saved)
        self._told.extend(told)
        self._waiting.extend(alert for each in waiting if (alert := _restored(each)) is not None)
        if identity != self._identity:
            if open_ == _NOTHING_OPEN:
                return []
            return ["open sequences were let go: they were of another model"]
        beside = saved.get("open_beside") if isinstance(saved, dict) else None
        # A rule once, not each of its logs.
        lost = dict.fromkeys(self.watch.sequencer.load(together(open_, beside)))
        return [f"open sequences of {printable(name, 80)} were let go" for name in lost]

    def _describe(self, saved: object) -> None:
        """Take over what the kinds are; a state from before does not say."""
        kinds = saved.get("told_kinds") if isinstance(saved, dict) else None
        for name, said in kinds.items() if isinstance(kinds, dict) else ():
            match said:
                case [str(about), bool(unknown), [*ids]] if name in self._kinds:
                    kind = self._kinds[name]
                    kind.about, kind.unknown = about, unknown
                    kind.ids.extend(str(each) for each in ids)


def _saved(alert: Alert | None) -> list[object] | None:
    return None if alert is None else [alert.id, alert.record, alert.text, alert.severity]


def _restored(saved: object) -> Alert | None:
    match saved:
        case None:
            return None
        case [str(id_), bytes(record), str(text), int(severity)] if 0 <= severity <= 7:
            return Alert(id_, record, text, severity)
    raise ValueError("an alert of a sequence has other fields")
