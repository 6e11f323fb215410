"""When a group of anomalous lines is told: at first, again, as a burst, when over, in a digest.

A state machine with a clock from outside, so that `logagent run` and `logagent replay` decide
alike. Lines are `enter`ed and `count`ed as they come; `due` says what is to be told now and changes
nothing; `told` remembers it, once it was delivered. So what no sink could take is due again.

The rules:

- A new group waits for `wait_seconds` of silence, five times that at most: the lines of one failure
  come together, and make one alert. Its lead is the first line among the gravest.
- While new groups keep coming, alerts about them come at growing distances, from 5 s to 5 min.
  Nothing is left out for that: each tells all groups that waited. What is `SEVERE` waits for 30 s
  at most.
- Within `grace_seconds` after a boot only what is severe is told at once.
- What a failure says in the minutes after its alert is no news (`aftermath`).
- A group that goes on is told again after growing waits, together with those that are nearly due;
  one that was silent for a day begins anew.
- A group that comes far more often than it used to is told as a burst, within its waits.
- Groups that differ in a name only are one family, counted as one (`family`).
- All of this within a budget (`budget`); what it holds back is in the digest, and in the status.

Memory: `max_groups` groups (`known`), the keys of twice as many members of families, and of
2,000 groups that were found to be too doubtful to tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

from logagent.overrides import Overrides
from logagent.policy.aftermath import Aftermath
from logagent.policy.budget import SEVERE, Budget, logit
from logagent.policy.family import nearest, words_of
from logagent.policy.known import Known, is_time, restored, stored

__all__ = [
    "BOOT",
    "MOST_GROUPS",
    "Adaptation",
    "Digest",
    "Policy",
    "Settings",
    "Telling",
    "Unadapted",
]

_MOST_WAITS = 5  # times `wait_seconds` that a group whose lines keep coming is waited for
MOST_GROUPS = 11
"""Groups of one alert; more make another one."""
_STORM_SECONDS = 5.0  # [s] between the first two alerts of new groups in a row; doubles
_STORM_MOST_SECONDS = 300.0  # [s]
_STORM_OVER_SECONDS = 600.0  # [s] without a new group
_SEVERE_SECONDS = 30.0  # [s] that a severe group waits for others at most
_SILENT_SECONDS = 86_400.0  # [s] after which a group that comes back begins anew
_BURST_SECONDS = 3600.0  # [s] after an alert in which a burst is no news
_BURST_AGAIN_SECONDS = 21_600.0  # [s] between two bursts of a group
_ESCALATION = 1.5  # [logits] by which a severe group outranks its family to be told by itself
_NEAR_TOP = 1.0  # [logits] from the highest rank within which the first group leads
_DISMISSED_SECONDS = 3600.0  # [s] until a doubtful group is looked at again
_DOUBTFUL = 2000  # such groups that are known
_SOONER = 7 / 8  # of its wait, after which a group joins others that are told again
BOOT = re.compile(rb"(?:kernel:|\]) Linux version \d")
"""What a kernel says first: what follows in that log is a machine starting."""
_COMPARED = 500  # of these, for likeness
_STUCK_SECONDS = 600.0  # [s] until what the budget holds back is looked at again
_ROUNDING = 1e-9  # [logits]


class Shift(NamedTuple):
    """What the habits of a host add to a group's rank."""

    logits: float = 0.0
    reason: str = ""


class Adaptation(Protocol):
    """What is known of the habits of this host."""

    def shift(self, source: str, key: bytes, score: float, now: float) -> tuple[float, str]:
        """Return what is added to the logit of a group's score, and why."""
        ...

    def see(
        self,
        source: str,
        key: bytes,
        template: bytes,
        text: bytes,
        score: float,
        count: int,
        now: float,
    ) -> None:
        """Take note of lines over the threshold, or not far below it."""
        ...


class Unadapted:
    """No habits are known."""

    def shift(self, source: str, key: bytes, score: float, now: float) -> tuple[float, str]:  # noqa: ARG002
        """See `Adaptation.shift`."""
        return Shift()

    def see(
        self,
        source: str,
        key: bytes,
        template: bytes,
        text: bytes,
        score: float,
        count: int,
        now: float,
    ) -> None:
        """See `Adaptation.see`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decides; the section ``alerts`` of the configuration."""

    wait_seconds: float = 2.0
    repeat_seconds: Sequence[float] = (86_400.0, 172_800.0, 345_600.0, 604_800.0)
    budget_per_day: int = 20
    grace_seconds: float = 60.0
    digest_seconds: float = 86_400.0
    """0: no digest."""
    clear_seconds: float = 0.0
    """Silence after which a group is told to be over; 0: never."""
    max_groups: int = 500


@dataclass(frozen=True, slots=True)
class Digest:
    """What a digest tells besides its groups."""

    since: float
    until: float
    lines: int
    anomalous: int
    alerts: int
    forgotten: int


@dataclass(frozen=True, slots=True)
class Telling:
    """One alert to be sent; or, as ``held`` and ``aftermath``, none."""

    kind: str
    """``new``, ``again``, ``burst``, ``over``, ``digest`` or ``budget``; without an alert
    ``aftermath`` or ``held``."""
    groups: list[Known]
    """The lead first. Of a digest: what was held back, then what goes on."""
    at: float
    digest: Digest | None = None
    bar: float = 0.0
    """Of a ``budget``: the logit that is asked for from now on."""


class _Dismissed(NamedTuple):
    """A group that is too doubtful to be told."""

    again_at: float
    """[s since 1970] When it is looked at again."""
    words: int
    score: float


@dataclass(slots=True)
class _Period:
    """What happened since the last digest."""

    since: float
    lines: int = 0
    anomalous: int = 0
    alerts: int = 0
    forgotten: int = 0


class Policy:
    """Decides what is told, and when."""

    def __init__(
        self,
        settings: Settings,
        threshold: float,
        now: float,
        adaptation: Adaptation | None = None,
        categorise: Callable[[bytes], str] = lambda _template: "",
    ) -> None:
        """Know no group yet.

        Args:
            settings: what the operator decides.
            threshold: score from which on a line is anomalous on this host.
            now: [s since 1970].
            adaptation: the habits of this host.
            categorise: names what a template is about; empty: nothing stands out. Asked rarely.
        """
        self.settings = settings
        self.threshold = threshold
        self.budget = Budget(settings.budget_per_day)
        self.forgotten = 0
        """Groups let go for want of room; one that comes back is told as new."""
        self._adaptation = adaptation or Unadapted()
        self._waits = list(settings.repeat_seconds) or [math.inf]
        self._groups: dict[bytes, Known] = {}  # seen least recently first
        self._pending: dict[bytes, Known] = {}
        self._family: dict[bytes, bytes] = {}  # key of a member → key of its group
        self._dismissed: dict[bytes, _Dismissed] = {}  # latest last
        self._period = _Period(now)
        self._grace_until = -math.inf
        self._storm_at = -math.inf  # when new groups were told last
        self._storm_seconds = 0.0
        self._budget_told_at = self._spent_told_at = -math.inf
        self._ignored: list[tuple[bytes, int]] = []
        self._aftermath = Aftermath(categorise)

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._groups.values())

    # -- what comes in

    def lead(self, key: bytes) -> Known | None:
        """Return the group that lines of this key are counted in."""
        group = self._groups.get(key)
        if group is None and (family := self._family.get(key)) is not None:
            group = self._groups.get(family)
        return group

    def enter(
        self,
        key: bytes,
        score: float,
        forced: bool,
        source: str,
        now: float,
        make: Callable[[], Known],
    ) -> Known | None:
        """Return the group of a key that has none: a new one, that of its family, or None.

        None means that the lines are too doubtful to be told, or that there is no room for more.
        """
        if not forced and score < SEVERE and self._is_dismissed(key, score, now):
            return None
        logits, reason = self._adaptation.shift(source, key, score, now)
        if not forced and self._is_doubtful(key, logit(score), logits):
            self._dismiss(key, score, now)
            return None
        if not forced and score < SEVERE and nearest(words_of(key), self._ignored) is not None:
            self._dismiss(key, score, now)
            return None
        if (group := self._relative(key, score, forced)) is not None:
            group.variants += 1
            if score >= SEVERE:
                group.level = 0  # another disk or service: not to be told next week
            return group
        group = make()
        group.words, group.forced = words_of(key), forced
        group.shift, group.shift_reason = logits, reason
        group.pending_at = now
        self._groups[key] = self._pending[key] = group
        self._make_room()
        return group if key in self._groups else None

    def _is_doubtful(self, key: bytes, log_odds: float, shift: float) -> bool:
        """Tell whether lines are not told, unless an operator says so.

        A name makes a template new, so lines that are told only for being new must be unlike
        other doubtful ones.
        """
        least = logit(self.threshold) - _ROUNDING
        if log_odds + shift < least:
            return True
        if log_odds >= least:
            return False
        latest = islice(reversed(self._dismissed.items()), _COMPARED)
        return nearest(words_of(key), ((each, said.words) for each, said in latest)) is not None

    def _is_dismissed(self, key: bytes, score: float, now: float) -> bool:
        """Tell whether lines were found too doubtful lately that were no less clear."""
        said = self._dismissed.get(key)
        return (
            said is not None
            and score <= said.score
            and now < said.again_at <= now + _DISMISSED_SECONDS
        )

    def _dismiss(self, key: bytes, score: float, now: float) -> None:
        self._dismissed.pop(key, None)
        self._dismissed[key] = _Dismissed(now + _DISMISSED_SECONDS, words_of(key), score)
        if len(self._dismissed) > _DOUBTFUL:
            del self._dismissed[next(iter(self._dismissed))]

    def _relative(self, key: bytes, score: float, forced: bool) -> Known | None:
        if forced:
            return None
        known = ((other.key, other.words) for other in self._groups.values())
        found = nearest(words_of(key), known)
        if found is None:
            return None
        group = self._groups[found]
        if score >= SEVERE and logit(score) >= group.rank + _ESCALATION:
            return None
        self._family[key] = found
        if len(self._family) > 2 * self.settings.max_groups:
            del self._family[next(iter(self._family))]
        return group

    def count(self, group: Known, lines: int, score: float, now: float) -> None:
        """Count lines of a group; its sightings are the caller's."""
        if group.told and (group.cleared or now - group.last_at > _SILENT_SECONDS):
            group.level = 0
        if group.cleared:  # people were told that it is over
            group.told_at = min(group.told_at, now - self._waits[0])
        group.count += lines
        group.score = max(group.score, score)
        group.last_at = now
        group.cleared = False
        group.rate.count(lines, now)
        if group.shift < 0:  # it may have become too clear, or too frequent, to be routine
            source = group.first.source
            logits, reason = self._adaptation.shift(source, group.key, group.score, now)
            if logits > group.shift:
                group.shift, group.shift_reason = logits, reason
        self._groups.pop(group.key, None)
        self._groups[group.key] = group

    def note(
        self,
        source: str,
        key: bytes,
        template: bytes,
        text: bytes,
        score: float,
        count: int,
        now: float,
    ) -> None:
        """Tell the habits of lines over the threshold, or not far below it."""
        self._adaptation.see(source, key, template, text, score, count, now)

    def passed(self, lines: int, anomalous: int) -> None:
        """Count lines read, for the digest."""
        self._period.lines += lines
        self._period.anomalous += anomalous

    def booted(self, now: float) -> None:
        """The machine, or one whose log this is, starts: much is told that means little."""
        self._grace_until = now + self.settings.grace_seconds

    def heed(self, overrides: Overrides) -> None:
        """Go by what the operator has said, from the next line on."""
        self.ignore(
            (
                entry.group.encode()
                for entry in overrides.entries
                if entry.group is not None and entry.source is None and entry.verdict == "normal"
            ),
            lambda key: overrides.forced(key) is False,
        )
        for group in self._groups.values():
            group.forced = overrides.forced(group.key) is True
        # What is called anomalous is told by itself.
        self._family = {
            key: lead for key, lead in self._family.items() if not overrides.forced(key)
        }

    def ignore(self, ignored: Iterable[bytes], keys: Callable[[bytes], bool]) -> None:
        """Forget what the operator calls normal, and every doubt.

        Args:
            ignored: what such groups are keyed by; the rest of their families is ignored as well,
                unless it is severe.
            keys: tells whether a key is of such a group.
        """
        self._ignored = [(key, words_of(key)) for key in ignored]
        for key in [key for key in self._groups if keys(key)]:
            del self._groups[key]
            self._pending.pop(key, None)
        self._family = {
            key: lead
            for key, lead in self._family.items()
            if lead in self._groups and not keys(key)
        }
        self._dismissed.clear()

    def _make_room(self) -> None:
        """Forget the group seen longest ago; what is still to be told goes later, severe last."""
        while len(self._groups) > self.settings.max_groups:
            groups = self._groups.values()
            group = (
                next(filter(self._may_go, groups), None)
                or next((each for each in groups if not each.severe), None)
                or next(iter(groups))
            )
            del self._groups[group.key]
            self._pending.pop(group.key, None)
            self.forgotten += 1
            self._period.forgotten += not group.told_at

    def _may_go(self, group: Known) -> bool:
        return group.pending_at is None and not group.held

    # -- what goes out

    def due(self, now: float, *, ending: bool = False) -> list[Telling]:
        """Return what is to be told now; change nothing.

        Args:
            now: [s since 1970].
            ending: nothing will come any more: what waits need not wait.
        """
        news = list(self._news(now, ending))
        coming = sum(telling.kind == "new" for telling in news)
        tellings = [*news, *self._reminders(now, coming)]
        if (digest := self._digest(now)) is not None:
            tellings.append(digest)
        return tellings

    def _passes(self, groups: list[Known], now: float, coming: int) -> bool:
        """Tell whether the budget has an alert for groups, beside those that are coming."""
        rank = max(group.rank for group in groups)
        return rank >= self.budget.bar(self.threshold, now, coming)

    def _news(self, now: float, ending: bool) -> Iterator[Telling]:
        if not self._pending or not (ending or now >= self._ready_at() or self._is_early(now)):
            return
        pending = list(self._pending.values())
        if all(self._aftermath.holds(group) for group in pending):
            yield Telling("aftermath", pending, now)
            return
        told: list[list[Known]] = []
        held: list[list[Known]] = []
        for groups in _shared_out(pending):
            (told if self._passes(groups, now, len(told)) else held).append(groups)
        for groups in told:
            yield Telling("new", groups, now)
        if held:
            back = [group for groups in held for group in groups]
            yield Telling("held", back, now)
            bar = self.budget.bar(self.threshold, now, len(told))
            # That not even what is severe is told any more is worth a notice of its own.
            severe = bar == math.inf and any(group.severe for group in back)
            told_at = self._spent_told_at if severe else self._budget_told_at
            if not 0 <= now - told_at < _SILENT_SECONDS:
                yield Telling("budget", back, now, bar=bar)

    def _is_early(self, now: float) -> bool:
        """Tell whether the clock was set back, or there are too many to wait any longer."""
        early = now < min(group.pending_at or 0.0 for group in self._pending.values())
        return early or len(self._pending) > self.settings.max_groups // 2

    def _ready_at(self) -> float:
        """Return when the pending groups are to be told."""
        groups = self._pending.values()
        began = min(group.pending_at or 0.0 for group in groups)
        latest = max(group.last_at for group in groups)
        wait = self.settings.wait_seconds
        ready = min(latest + wait, began + _MOST_WAITS * wait)
        # At most that long after they came: a clock that was set back must not silence them.
        storm = min(self._storm_at, began) + self._storm_seconds
        grace = min(self._grace_until, began + self.settings.grace_seconds)
        if any(group.severe for group in groups):
            return max(ready, min(storm, began + _SEVERE_SECONDS))
        return max(ready, storm, grace)

    def _reminders(self, now: float, coming: int) -> Iterator[Telling]:
        """Yield what is told of known groups, beside as many alerts that are coming."""
        back, again, soon, over = [], [], [], []
        for group in self._groups.values():
            if group.pending_at is not None:
                continue
            if group.held:
                if now - group.last_at < _SILENT_SECONDS:
                    back.append(group)
            elif self._is_burst(group, now) and self._passes([group], now, coming):
                coming += 1
                yield Telling("burst", [group], now)
            elif self._is_again(group, now):
                again.append(group)
            elif self._is_again(group, now, _SOONER):
                soon.append(group)
            elif self._is_over(group, now):
                over.append(group)
        # Groups told minutes apart would make as many alerts again: they go together.
        again += soon if again else []
        for kind, found in (("new", back), ("again", again)):
            bar = self.budget.bar(self.threshold, now, coming)
            for groups in _shared_out([group for group in found if group.rank >= bar]):
                if self._passes(groups, now, coming):
                    coming += 1
                    yield Telling(kind, groups, now)
        for groups in _shared_out(over):
            yield Telling("over", groups, now)

    def _is_burst(self, group: Known, now: float) -> bool:
        return (
            group.told > 0
            and group.count > group.told_count
            and now - group.told_at >= _BURST_SECONDS
            and not 0 <= now - group.burst_at < _BURST_AGAIN_SECONDS
            and group.rate.is_burst(now)
        )

    def _wait(self, group: Known) -> float:
        return self._waits[min(group.level, len(self._waits) - 1)]

    def _is_again(self, group: Known, now: float, share: float = 1.0) -> bool:
        """Tell whether a group went on for its wait, or for a share of that."""
        said = group.told_count if share < 1 else max(group.told_count, group.digest_count)
        if group.count <= said or not group.told_at:
            return False
        # A clock that was set back must not silence a group for as long.
        return not 0 <= now - group.told_at < share * self._wait(group)

    def _is_over(self, group: Known, now: float) -> bool:
        silence = self.settings.clear_seconds
        return (
            silence > 0 and group.told > 0 and not group.cleared and now - group.last_at >= silence
        )

    def _digest(self, now: float) -> Telling | None:
        period = self._period
        every = self.settings.digest_seconds
        if not every or 0 <= now - period.since < every:
            return None
        held = [group for group in self._groups.values() if group.held]
        ongoing = [group for group in self._groups.values() if _goes_on(group)]
        held.sort(key=lambda group: -group.rank)
        ongoing.sort(key=lambda group: -group.rank)
        told = Digest(
            period.since, now, period.lines, period.anomalous, period.alerts, period.forgotten
        )
        return Telling("digest", held + ongoing, now, told)

    def told(self, telling: Telling) -> None:
        """Remember that a telling was delivered."""
        now = telling.at
        match telling.kind:
            case "digest":
                self._digested(telling)
            case "budget":
                self._budget_told_at = now
                if telling.bar == math.inf:
                    self._spent_told_at = now
            case "held" | "aftermath":
                for group in telling.groups:
                    self._settle(group)
                    group.held = telling.kind == "held"
                    # An aftermath is told by the alert before; the digest has the rest.
                    group.told_at = group.told_at if group.held else now
            case "over":
                for group in telling.groups:
                    group.cleared = True
            case _:
                self._alerted(telling)

    def _digested(self, telling: Telling) -> None:
        for group in telling.groups:
            group.digest_count = group.count
            if group.held:
                group.held = False
                group.told_at, group.told_count, group.level = telling.at, group.count, 0
        self._period = _Period(telling.at)

    def _alerted(self, telling: Telling) -> None:
        kind, now = telling.kind, telling.at
        for group in telling.groups:
            self._settle(group)
            group.held = False
            if kind == "again":
                group.level = min(group.level + 1, len(self._waits))
            elif kind == "burst":
                group.burst_at = now
            group.told += 1
            group.told_at, group.told_count = now, group.count
        if kind == "new" and now != self._storm_at:  # once for all that is told together
            storm = now - self._storm_at < _STORM_OVER_SECONDS
            doubled = min(self._storm_seconds * 2, _STORM_MOST_SECONDS)
            self._storm_seconds = doubled if storm else _STORM_SECONDS
            self._storm_at = now
        if kind != "again":
            self._aftermath.told(telling.groups, now)
        self.budget.spend(now)
        self._period.alerts += 1

    def _settle(self, group: Known) -> None:
        group.pending_at = None
        group.context.before, group.context.after = [], []
        self._pending.pop(group.key, None)

    def pending_seconds(self, now: float) -> float:
        """Return in how many seconds a group that waits is to be told; infinite if none waits."""
        if not self._pending:
            return math.inf
        return 0.0 if self._is_early(now) else max(self._ready_at() - now, 0.0)

    def deadline(self, now: float) -> float:
        """Return when `due` may have something new though no line comes [s since 1970].

        To be asked after a look; what waits to be told is up to `pending_seconds`. What the budget
        holds back is to be looked at again every ten minutes.
        """
        times = []
        if self.settings.digest_seconds:
            times.append(self._period.since + self.settings.digest_seconds)
        for group in self._groups.values():
            if group.held:
                if now - group.last_at < _SILENT_SECONDS:
                    times.append(now)
            elif group.pending_at is None and group.told_at:
                if group.count > max(group.told_count, group.digest_count):
                    times.append(group.told_at + self._wait(group))
                if group.count > group.told_count and now - group.last_at < _BURST_SECONDS:
                    burst = (group.told_at, group.burst_at + _BURST_AGAIN_SECONDS - _BURST_SECONDS)
                    times.append(max(*burst, group.rate.began) + _BURST_SECONDS)
                if self.settings.clear_seconds and group.told and not group.cleared:
                    times.append(group.last_at + self.settings.clear_seconds)
        return min((at if at > now else now + _STUCK_SECONDS for at in times), default=math.inf)

    # -- what is known

    def counts(self) -> dict[str, int]:
        """Return how many groups there are, of which kind."""
        return {
            "known": len(self._groups),
            "pending": len(self._pending),
            "held": sum(group.held for group in self._groups.values()),
            "variants": sum(group.variants for group in self._groups.values()),
            "forgotten": self.forgotten,
        }

    def state(self) -> dict[str, Any]:
        """Return what `load` needs, msgpack types only."""
        period = self._period
        return {
            "groups": [stored(group) for group in self._groups.values()],
            "family": [[key, lead] for key, lead in self._family.items()],
            "budget": self.budget.state(),
            "period": [
                period.since,
                period.lines,
                period.anomalous,
                period.alerts,
                period.forgotten,
            ],
            "storm": [_finite(self._storm_at), self._storm_seconds],
            "budget_told": _finite(self._budget_told_at),
            "spent_told": _finite(self._spent_told_at),
        }

    def load(self, saved: object) -> None:
        """Take over what `state` returned.

        Raises:
            ValueError: it did not.
        """
        if isinstance(saved, dict):  # agents from before did not save it
            saved = {"spent_told": 0.0} | saved
        match saved:
            case {
                "groups": [*groups],
                "family": [*family],
                "budget": budget,
                "period": [float(since), int(lines), int(anomalous), int(alerts), int(forgotten)],
                "storm": [float(storm_at), float(storm_seconds)],
                "budget_told": float(budget_told),
                "spent_told": float(spent_told),
            } if (
                all(map(is_time, (since, storm_at, budget_told, spent_told)))
                and math.isfinite(storm_seconds)
                and all(0 <= number < 2**63 for number in (lines, anomalous, alerts, forgotten))
            ):
                pass
            case _:
                raise ValueError("the alerts have other fields")
        for values in groups[-self.settings.max_groups :]:
            group = restored(values)
            self._groups[group.key] = group
            if group.pending_at is not None:
                self._pending[group.key] = group
        for pair in family[-2 * self.settings.max_groups :]:
            match pair:
                case [bytes(key), bytes(lead)]:
                    self._family[key] = lead
                case _:
                    raise ValueError("a family has other fields")
        self.budget.load(budget)
        self._period = _Period(since, lines, anomalous, alerts, forgotten)
        self._storm_at = storm_at or -math.inf
        self._storm_seconds = min(max(storm_seconds, 0.0), _STORM_MOST_SECONDS)
        self._budget_told_at = budget_told or -math.inf
        self._spent_told_at = spent_told or -math.inf


def _shared_out(groups: list[Known]) -> Iterator[list[Known]]:
    """Yield groups in as many alerts as can show them all, the gravest first, each with its lead.

    The lead is the first group to appear among those that are nearly as grave as the gravest: what
    comes first is nearer to the cause.
    """
    # By the place of its first line where that decides nothing: equal after a restart.
    ordered = sorted(groups, key=lambda group: (-group.rank, _place(group)))
    for start in range(0, len(ordered), MOST_GROUPS):
        part = ordered[start : start + MOST_GROUPS]
        near = [group for group in part if group.rank >= part[0].rank - _NEAR_TOP]
        lead = min(near, key=_place)
        yield [lead, *(group for group in part if group is not lead)]


def _place(group: Known) -> tuple[float, str, int]:
    return group.first_at, group.first.source, group.first.offset


def _goes_on(group: Known) -> bool:
    return (
        group.pending_at is None
        and not group.held
        and group.count > max(group.told_count, group.digest_count)
    )


def _finite(at: float) -> float:
    return at if math.isfinite(at) else 0.0
