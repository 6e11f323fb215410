"""A learning period that the operator asked for: what is routine here, and how sensitive to be.

Guarantees: at most `MAX_GROUPS` groups are held; those that tell least are let go and counted;
nothing is learnt from a period in which the agent was hardly there, and that is said. Memory:
about 1 kB a group, only while learning.

The threshold of a host is the least score, from the bundle's ``high`` to its ``low``, from which
the groups of a day are a quarter of the alerts allowed in a day:

    Σ days in which group g was seen, over all g with score ≥ threshold
    ─────────────────────────────────────────────────────────────────── ≤ budget / 4
    max(days watched, 1)

So a quiet host gets a threshold below ``normal`` and hears more, a noisy one a threshold above it,
and what is as clear as ``low`` asks for is told on any host.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from logagent.override_entries import group_text
from logagent.policy.facts import EXPIRE_SECONDS, MAX_ROUTINE, Facts, Routine, source_text
from logagent.policy.hours import HOUR_SECONDS, Age
from logagent.sanitise import printable

__all__ = ["MAX_GROUPS", "Learner"]

MAX_GROUPS: Final = 1000
"""Groups held; a host with more routine than that has none."""
_KEPT = 750  # of them, when room is made
_MAX_GAP_SECONDS = 600.0  # [s] between two signs of life; after a longer one the agent was off
_LEAST_LINES = 1000  # of the whole period, below which no threshold is learnt
_LEAST_SHARE = 0.1  # likewise, of the period that was watched
_ROUTINE_HOURS = 3  # distinct hours in which a group must be seen to be routine
_ROUTINE_SHARE = 0.1  # likewise, of the hours watched
_BUDGET_SHARE = 0.25  # the rest is for what is new
_SAMPLE_CHARS = 160
_GROUP_BYTES = 512  # [bytes] the judge cuts templates there; a longer one would not be listed
_SOURCE_CHARS = 256  # likewise: keeps the file small
_MOST_CHARS = 4 * _GROUP_BYTES  # of either as text: a byte is an escape of four characters at most
_MAX_COUNT = 2**53
_LAST_STAMP = 2.0**37  # [s since 1970] in the year 6325: TOML names years up to 9999


@dataclass(slots=True)
class _Seen:
    """One group in one source."""

    score: float
    sample: str
    count: int = 0
    hours: int = 0
    days: int = 0
    last_hour: int = -1
    last_day: int = -1


class Learner:
    """Watches for some time, then says what is routine."""

    def __init__(
        self,
        began: float,
        seconds: float,
        budget_per_day: float,
        thresholds: Mapping[str, float],
        *,
        old_threshold: float | None = None,
    ) -> None:
        """Start.

        Args:
            began: now [s since 1970].
            seconds: how long to learn [s], over 0.
            budget_per_day: alerts a day; 0: no limit, and then no threshold is learnt.
            thresholds: the bundle's, by name: ``high`` ≤ ``normal`` ≤ ``low``.
            old_threshold: in force now; `None`: ``normal``.

        Raises:
            KeyError: the bundle lacks one of them.
        """
        self.seconds = seconds
        """[s] How long is learnt."""
        self.evicted = 0
        """Groups let go for want of room."""
        self._budget = budget_per_day
        self._low, self._high = thresholds["low"], thresholds["high"]
        self._old = thresholds["normal"] if old_threshold is None else old_threshold
        self._age = Age()
        self._age.advance(began)
        self._watched = 0.0
        self._lines = 0
        self._groups: dict[tuple[str, str], _Seen] = {}  # by source and group, as texts

    def tick(self, now: float, lines: int = 0) -> None:
        """Hear that the agent is there; to be called every ten minutes or more often.

        Args:
            now: time of day [s since 1970].
            lines: lines judged since the last call, whatever their score.
        """
        before = self._age.seconds
        passed = self._age.advance(now) - before
        if passed <= _MAX_GAP_SECONDS:
            self._watched += passed
        self._lines = min(self._lines + lines, _MAX_COUNT)

    def see(
        self,
        source: str,
        group: bytes,
        template: bytes,
        text: bytes,
        score: float,
        count: int,
        now: float,
    ) -> None:
        """Note lines of a group; those below the threshold ``high`` are not looked at.

        Args:
            source: the log.
            group: what the lines have in common.
            template: of one of them, shown if the line is empty.
            text: one of them.
            score: the highest of them, in [0, 1].
            count: how many.
            now: time of day [s since 1970].
        """
        self.tick(now)
        if not score >= self._high or len(group) > _GROUP_BYTES:
            return
        if len(source) > _SOURCE_CHARS:
            return
        key = (source_text(source), group_text(group))
        seen = self._groups.get(key)
        if seen is None:
            if len(self._groups) >= MAX_GROUPS:
                self._make_room()
            sample = printable(text, _SAMPLE_CHARS) or printable(template, _SAMPLE_CHARS)
            seen = self._groups[key] = _Seen(float(score), sample)
        age = self._age.at(now)
        hour, day = int(age // HOUR_SECONDS), int(age // (24 * HOUR_SECONDS))
        seen.count = min(seen.count + count, _MAX_COUNT)
        seen.score = max(seen.score, float(score))
        if hour != seen.last_hour:
            seen.hours += 1
            seen.last_hour = hour
        if day != seen.last_day:
            seen.days += 1
            seen.last_day = day

    def _make_room(self) -> None:
        """Let go of groups of one hour and a low score: no routine, and no word on the bar."""
        ranked = sorted(
            self._groups.items(), key=lambda item: (item[1].hours > 1, item[1].score), reverse=True
        )
        self.evicted += len(ranked) - _KEPT
        self._groups = dict(ranked[:_KEPT])

    def done(self, now: float) -> bool:
        """Tell whether the period is over."""
        return self._age.at(now) >= self.seconds

    def left_seconds(self, now: float) -> float:
        """Return how long is still learnt [s]."""
        return max(self.seconds - self._age.at(now), 0.0)

    def finish(self, now: float, host: str = "", model: str = "") -> Facts:
        """Return what was learnt.

        Args:
            now: time of day [s since 1970].
            host: name of this machine; empty: as the kernel knows it.
            model: SHA-256 of the bundle whose scores were seen.
        """
        self.tick(now)
        learned_at = float(int(min(max(now, 0.0), _LAST_STAMP)))
        lines = max(self._lines, sum(seen.count for seen in self._groups.values()))
        notes = list(self._objections(lines))
        threshold = None if notes else self._threshold()
        if self.evicted:
            notes.append(f"{self.evicted:,} groups did not fit and were let go")
        return Facts(
            host=host or os.uname().nodename,
            learned_at=learned_at,
            expires=learned_at + EXPIRE_SECONDS,
            watched_seconds=round(self._watched, 1),
            lines=lines,
            threshold=threshold,
            old_threshold=self._old,
            routine=tuple(self._routine()),
            note="; ".join(notes),
            model=model,
        )

    def _objections(self, lines: int) -> Iterator[str]:
        """Say why the threshold stays as it is, if it does."""
        if lines < _LEAST_LINES:
            yield f"only {lines:,} lines, {_LEAST_LINES:,} are needed for a threshold"
        if self._watched < _LEAST_SHARE * self.seconds:
            yield (
                f"the agent was there for {self._watched / 3600:.1f} of {self.seconds / 3600:.1f} "
                "hours, too little for a threshold"
            )
        if not self._budget > 0:
            yield "there is no budget of alerts to learn a threshold for"

    def _threshold(self) -> float:
        left = self._budget * _BUDGET_SHARE * max(self._watched / 86_400, 1.0)
        for seen in sorted(self._groups.values(), key=lambda seen: seen.score, reverse=True):
            left -= seen.days
            if left < 0:  # just above the first that is too many
                above = (math.floor(seen.score * 1e4) + 1) / 1e4
                return min(max(above, self._high), self._low)
        return self._high

    def _routine(self) -> Iterator[Routine]:
        least = max(_ROUTINE_HOURS, _ROUTINE_SHARE * self._watched / HOUR_SECONDS)
        found = [
            (key, seen)
            for key, seen in self._groups.items()
            if seen.hours >= least and seen.score < self._low
        ]
        found.sort(key=lambda item: (item[1].hours, item[1].count), reverse=True)
        days = max(self._watched / 86_400, 1 / 24)
        for (source, group), seen in found[:MAX_ROUTINE]:
            yield Routine(
                group,
                source,
                round(seen.count / days, 2),
                seen.hours,
                round(seen.score, 4),
                seen.sample,
            )

    def state(self) -> list[Any]:
        """Return what `load` needs, msgpack types only."""
        return [
            self.seconds,
            self._age.state(),
            self._watched,
            [self._lines, self.evicted],
            [
                [
                    *key,
                    seen.score,
                    seen.sample,
                    [seen.count, seen.hours, seen.days, seen.last_hour, seen.last_day],
                ]
                for key, seen in self._groups.items()
            ],
        ]

    def load(self, saved: object) -> None:
        """Go on where another left off, for as long as that was to learn.

        Raises:
            ValueError: `saved` is not what `state` returned; nothing is changed.
        """
        match saved:
            case [
                float() | int() as seconds,
                age,
                float() | int() as watched,
                [int(lines), int(evicted)],
                list(groups),
            ] if (
                0 < seconds < math.inf
                and 0 <= watched < math.inf
                and min(lines, evicted) >= 0
                and max(lines, evicted) <= _MAX_COUNT
                and len(groups) <= MAX_GROUPS
            ):
                pass
            case _:
                raise ValueError("what was learnt so far has other fields")
        loaded = Age()
        loaded.load(age)
        self._groups = dict(map(_loaded, groups))
        self._age, self.seconds, self._watched = loaded, float(seconds), float(watched)
        self._lines, self.evicted = lines, evicted


def _loaded(saved: object) -> tuple[tuple[str, str], _Seen]:
    match saved:
        case [
            str(source),
            str(group),
            float(score),
            str(sample),
            [int(count), int(hours), int(days), int(last_hour), int(last_day)],
        ] if (
            0 <= score <= 1
            and len(sample) <= _SAMPLE_CHARS
            and max(len(source), len(group)) <= _MOST_CHARS
            and min(count, hours, days, last_hour, last_day) >= 0
            and max(count, hours, days, last_hour, last_day) <= _MAX_COUNT
        ):
            return (source, group), _Seen(score, sample, count, hours, days, last_hour, last_day)
    raise ValueError("a group learnt so far has other fields")
