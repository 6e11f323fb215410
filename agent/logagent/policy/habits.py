"""How often this host says what, and how far that moves a group's rank.

`Habits` remembers, in fixed memory and with a half-life of a week, in how many distinct hours a
group was seen in a source. `shift` turns that, and what a learning period told (`Facts`), into an
amount in logits that is added to the logit of a group's score.

The rule: **a real failure that repeats must not be learnt away.** Hence:

a. a group with a score of `clear_score` or more is never lowered;
b. frequency alone never lowers: only a group that was there during a learning period that the
   operator asked for, and that was listed when it ended, can be. What begins later keeps its rank,
   if it repeats for months;
c. a group is lowered by `ROUTINE` logits at most;
d. facts expire, and a routine group that comes `TOO_OFTEN` times as often as learnt is not lowered;
e. all that is learnt is told once, when learning ends (`logagent.policy.facts.told`).

Guarantees: `shift` is within [-`ROUTINE`, `FIRST_EVER`]. Memory: 60 KiB, and `_RECENT` keys.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from logagent.files import replace
from logagent.override_entries import canonical_group, group_text
from logagent.policy.facts import MAX_ROUTINE, Facts, Routine
from logagent.policy.hours import HOUR_SECONDS, Age, HourSketch

__all__ = [
    "FIRST_EVER",
    "ROUTINE",
    "TOO_OFTEN",
    "Habits",
    "Shift",
    "ask_to_forget",
    "asked_to_forget",
    "shift",
]

FIRST_EVER: Final = 0.7
"""[logits] A group that this host never said before is raised by at most this: odds double."""
ROUTINE: Final = 1.5
"""[logits] A routine group is lowered by at most this: from the threshold `normal` to `high`."""
TOO_OFTEN: Final = 10.0
"""Times the learnt lines of a day from which on a routine group is no routine any more."""
_KNOWN_SECONDS = 86_400.0  # [s] before that, everything is new, and nothing is remarkable for it
_WELL_KNOWN_SECONDS = 7 * 86_400.0  # [s] a host that does something weekly has done it
_FORGOTTEN_HOURS = 2.0**-5  # one hour, five half-lives ago: as good as never
_ROUTINE_HOURS = 48.0  # decayed hours from which a routine group is lowered in full: days, not one
_RECENT = 1024  # keys seen in this hour, so that a busy group costs one look-up
_DAY_SECONDS = 86_400.0
_MAX_LINES = 2**62
_FORGET_NAME = "forget-habits"


class Shift(NamedTuple):
    """How far a group's rank is moved."""

    logits: float
    """Added to the logit of its score; in [-`ROUTINE`, `FIRST_EVER`]."""
    reason: str
    """Why, in a few words without anything from a log; empty if there is nothing to say."""


class Habits:
    """What this host says, and how often."""

    def __init__(self, half_life_seconds: float = 7 * 86_400.0) -> None:
        """Know nothing.

        Args:
            half_life_seconds: an hour so long ago counts half [s].
        """
        self.began: float | None = None
        """[s since 1970] When something was seen first, by the clock of then."""
        half_life_hours = half_life_seconds / HOUR_SECONDS
        self._half_life_hours = half_life_hours
        self._age = Age()
        self._by_source = HourSketch(4, 2048, half_life_hours)
        self._anywhere = HourSketch(4, 1024, half_life_hours)
        self._hour = 0
        # Keys seen in this hour; of routine groups with what their lines are counted by.
        self._recent: dict[int, bytes | None] = {}
        self._facts: Facts | None = None
        self._lines: dict[bytes, list[int]] = {}  # routine groups: day, its lines, those before

    def see(self, source: str, group: bytes, now: float, count: int = 1) -> None:
        """Note that a group was seen.

        Args:
            source: the log it was in.
            group: what its lines have in common.
            now: time of day [s since 1970]; may jump.
            count: lines; a routine group that comes far more often is not lowered any more.
        """
        if self.began is None and math.isfinite(now):
            self.began = now
        age = self._age.advance(now)
        hour = int(age // HOUR_SECONDS)
        if hour != self._hour:
            self._hour = hour
            self._recent.clear()
        recent = hash((source, group))
        if recent not in self._recent:
            if len(self._recent) >= _RECENT:
                self._recent.clear()  # the sketches know as well what they counted in this hour
            routine = None if self._facts is None else self._facts.routine_of(source, group)
            self._recent[recent] = None if routine is None else _line_key(routine)
            self._by_source.add(_key(source, group), hour)
            self._anywhere.add(_group_key(group), hour)
        if (key := self._recent[recent]) is not None:
            self._count(key, age, count)

    def _count(self, key: bytes, age: float, count: int) -> None:
        days = self._lines.setdefault(key, [int(age // _DAY_SECONDS), 0, 0])
        _turn(days, age)
        days[1] = min(days[1] + count, _MAX_LINES)

    def hours(self, source: str, group: bytes, now: float) -> float:
        """Return in how many distinct hours a group was seen in a source, decayed, or more."""
        return self._by_source.hours(_key(source, group), self._hour_at(now))

    def hours_anywhere(self, group: bytes, now: float) -> float:
        """Likewise, in any source."""
        return self._anywhere.hours(_group_key(group), self._hour_at(now))

    def day_lines(self, routine: Routine, now: float) -> int:
        """Return the lines of a routine group today or yesterday, whichever are more.

        0 if it is none that is followed. Days are counted from when knowledge began.
        """
        days = list(self._lines.get(_line_key(routine), (0, 0, 0)))
        _turn(days, self._age.at(now))
        return max(days[1:])

    def known_seconds(self, now: float) -> float:
        """Return how long this host has been known [s]; a clock that is set does not count."""
        return self._age.at(now)

    def follow(self, facts: Facts | None) -> None:
        """Count the lines of these facts' routine groups from now on, and no others'."""
        if facts is self._facts:
            return
        self._facts = facts
        self._recent.clear()
        keys = set() if facts is None else set(map(_line_key, facts.routine))
        self._lines = {key: days for key, days in self._lines.items() if key in keys}

    def _hour_at(self, now: float) -> int:
        return int(self._age.at(now) // HOUR_SECONDS)

    def state(self) -> list[Any]:
        """Return what `load` needs, msgpack types only; at most 72 KiB."""
        return [
            self._half_life_hours,
            self.began,
            self._age.state(),
            self._by_source.state(),
            self._anywhere.state(),
            [[key, *days] for key, days in self._lines.items()],
        ]

    def load(self, saved: object) -> None:
        """Take over what `state` returned; on an error nothing is changed.

        Raises:
            ValueError: it did not, or with another half-life. It is safe to begin anew then.
        """
        match saved:
            case [
                float() | int() as half_life,
                float() | int() | None as began,
                age,
                by_source,
                anywhere,
                list(lines),
            ] if (
                half_life == self._half_life_hours
                and math.isfinite(began or 0)
                and len(lines) <= MAX_ROUTINE
            ):
                pass
            case _:
                raise ValueError("habits have other fields")
        other = Habits(self._half_life_hours * HOUR_SECONDS)
        other._age.load(age)
        other._by_source.load(by_source)
        other._anywhere.load(anywhere)
        counts = dict(map(_loaded_count, lines))
        self.began = began
        self._age, self._by_source, self._anywhere = other._age, other._by_source, other._anywhere
        self._hour = -1
        self._recent.clear()
        self._lines = counts
        facts, self._facts = self._facts, None
        if facts is not None:
            self.follow(facts)


def shift(
    habits: Habits,
    facts: Facts | None,
    source: str,
    group: bytes,
    score: float,
    now: float,
    clear_score: float,
) -> Shift:
    """Say how far a group's rank is moved on this host, and why.

    To be asked before `Habits.see` hears of the lines: afterwards the group is not new any more.

    Raised is a group that was never seen on a host that has been known for a day or more: by half
    of `FIRST_EVER` after a day, by all of it after a week. Lowered is a routine group, by the share
    of `ROUTINE` that its hours are of 48; see the rule above for what is not.

    Args:
        habits: of this host.
        facts: what was learnt of it; None if nothing was.
        source: the log that the group is in.
        group: what its lines have in common.
        score: the highest of its lines, in [0, 1].
        now: time of day [s since 1970].
        clear_score: score from which nothing is lowered: the bundle's threshold ``low``.
    """
    habits.follow(facts)
    routine = None if facts is None else facts.routine_of(source, group)
    if facts is None or routine is None:
        return _raised(habits, group, now)
    if not score < clear_score:
        return Shift(0.0, "routine on this host, but too clear a failure to be ranked lower")
    if now >= facts.expires:
        return Shift(0.0, "was routine on this host; what was learnt has expired")
    lines = habits.day_lines(routine, now)
    if lines >= TOO_OFTEN * max(routine.per_day, 1.0):
        return Shift(0.0, "routine on this host, but comes far more often than it did")
    share = min(habits.hours(source, group, now) / _ROUTINE_HOURS, 1.0)
    if not share:
        return Shift(0.0, "")
    return Shift(-ROUTINE * share, "routine on this host since it was learnt")


def _raised(habits: Habits, group: bytes, now: float) -> Shift:
    known = habits.known_seconds(now)
    if known < _KNOWN_SECONDS or habits.hours_anywhere(group, now) >= _FORGOTTEN_HOURS:
        return Shift(0.0, "")
    grown = (known - _KNOWN_SECONDS) / (_WELL_KNOWN_SECONDS - _KNOWN_SECONDS)
    days = int(known // _DAY_SECONDS)
    return Shift(
        FIRST_EVER * min(0.5 + 0.5 * grown, 1.0),
        f"first time on this host, known for {days} day{'s' if days > 1 else ''}",
    )


def ask_to_forget(folder: Path) -> None:
    """Leave a note in the state folder: the agent drops its habits at its next start or reload.

    Raises:
        OSError: the note cannot be written.
    """
    replace(folder / _FORGET_NAME, b"habits are dropped at the next start or reload\n")


def asked_to_forget(folder: Path) -> bool:
    """Tell whether there is such a note, and remove it.

    Raises:
        OSError: it is there and cannot be removed.
    """
    try:
        (folder / _FORGET_NAME).unlink()
    except FileNotFoundError:
        return False
    return True


def _key(source: str, group: bytes) -> bytes:
    name = source.encode("utf-8", "surrogatepass")
    return b"%d:%b%b" % (len(name), name, _group_key(group))


def _group_key(group: bytes) -> bytes:
    """Return a group's key without the month and weekday of a time stamp: it is no news in May."""
    return group_text(group).encode()


def _line_key(routine: Routine) -> bytes:
    key = f"{routine.source}\0{canonical_group(routine.group)}".encode(errors="surrogatepass")
    return blake2b(key, digest_size=8).digest()


def _turn(days: list[int], age: float) -> None:
    """Begin a new day, if it is one."""
    day = int(age // _DAY_SECONDS)
    if day != days[0]:
        days[:] = [day, 0, days[1] if day == days[0] + 1 else 0]


def _loaded_count(saved: object) -> tuple[bytes, list[int]]:
    match saved:
        case [bytes(key), int(day), int(today), int(before)] if (
            len(key) == 8 and min(day, today, before) >= 0 and max(day, today, before) <= _MAX_LINES
        ):
            return key, [day, today, before]
    raise ValueError("a count of lines has other fields")
