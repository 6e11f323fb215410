"""What was written and what was reported: lost, invented and repeated lines.

`Ledger` numbers the lines that the writers of the soak write and knows which of them are
anomalous. `Audit` is told every line of the alerts file as it appears, and every stop of the
agent, and compares. A line is lost when it was never reported, invented when a report's text is
not, whole and unchanged, a line that was written. Repeats are allowed after a kill only, of what
was reported since the position was last saved, and with the same id, by which a receiver drops
them.

Guarantees: exact; no report is trusted by its number alone. Memory: O(anomalous lines).
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numbered import line, number_of

GRACE_SECONDS = 2.0  # a busy machine saves, and this process notices, this much later than due
EXAMPLES = 20  # of each kind of finding that a result keeps


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an anomalous line was written."""

    file: str
    generation: int
    """Of the file, counted by rotations from 0."""
    place: str
    """``first`` or ``last`` of its generation, ``late``: to a renamed file, else ``inside``."""


class Ledger:
    """Numbers for lines. Several threads use it."""

    def __init__(self) -> None:
        self.lines = 0
        """Lines numbered so far; each is written by the writer that took its number."""
        self.marks: dict[int, Mark] = {}
        """The anomalous ones by number, entered before they are written."""
        self._lock = threading.Lock()

    def take(self, count: int) -> range:
        """The next `count` numbers, given to nobody else."""
        with self._lock:
            first = self.lines
            self.lines += count
        return range(first, first + count)


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of one run of the agent."""

    clean: bool
    """Whether it ended by itself after SIGTERM, so that its position is saved."""
    seconds: float
    """When, by the clock that the reports are stamped with."""


@dataclass(slots=True)
class Report:
    """The latest report of a line."""

    id: str
    run: int
    seconds: float


@dataclass(slots=True)
class Audit:
    """Compares reports with the ledger, one by one; `findings` sums up."""

    ledger: Ledger
    save_seconds: float
    """How often the agent saves its position."""
    reports: int = 0
    seen: dict[int, Report] = field(default_factory=dict)
    invented: list[str] = field(default_factory=list)
    """Texts that nobody wrote."""
    false_alarms: int = 0
    """Reports of normal lines that were written as reported."""
    torn: list[str] = field(default_factory=list)
    """Lines of the alerts file that are no record."""
    repeated: int = 0
    other_id: list[int] = field(default_factory=list)
    """Lines repeated with another id."""
    shared_id: list[tuple[int, int]] = field(default_factory=list)
    """Two lines with one id, of which a receiver would drop one."""
    unprovoked: list[int] = field(default_factory=list)
    """Lines repeated though no kill lay between."""
    too_old: list[int] = field(default_factory=list)
    """Lines repeated though the position must have been saved before the kill."""
    oldest_seconds: float = 0.0
    """The longest time from a report to the kill that made it be repeated."""
    stops: list[Stop] = field(default_factory=list)
    """One per run that has ended."""
    _by_id: dict[str, int] = field(default_factory=dict)

    def add(self, record: bytes, *, run: int, seconds: float) -> None:
        """Take one line of the alerts file, which appeared while the run lasted."""
        self.reports += 1
        try:
            found = json.loads(record)
            text, identity = str(found["text"]), str(found["id"])
        except (ValueError, TypeError, KeyError):
            self.torn.append(record.decode("utf-8", "replace"))
            return
        number = number_of(text)
        anomalous = number in self.ledger.marks
        if (
            number is None
            or number >= self.ledger.lines
            or text.encode() != line(number, anomalous=anomalous)
        ):
            self.invented.append(text)
        elif not anomalous:
            self.false_alarms += 1
        else:
            self._compare(number, identity, run, seconds)

    def _compare(self, number: int, identity: str, run: int, seconds: float) -> None:
        before = self.seen.get(number)
        self.seen[number] = Report(identity, run, seconds)
        first = self._by_id.setdefault(identity, number)
        if first != number:
            self.shared_id.append((first, number))
        if before is None:
            return
        self.repeated += 1
        if before.id != identity:
            self.other_id.append(number)
        stop = self.stops[before.run] if before.run < len(self.stops) else None
        if before.run == run or stop is None or stop.clean:
            self.unprovoked.append(number)
            return
        age = stop.seconds - before.seconds
        self.oldest_seconds = max(self.oldest_seconds, age)
        if age > self.save_seconds + GRACE_SECONDS:
            self.too_old.append(number)

    def stopped(self, *, clean: bool, seconds: float) -> None:
        """A run has ended, and all that it reported was added."""
        self.stops.append(Stop(clean, seconds))

    def lost(self) -> list[int]:
        """The anomalous lines that were never reported."""
        return sorted(self.ledger.marks.keys() - self.seen.keys())

    def findings(self) -> dict[str, Any]:
        """Counts and examples; `broken` names the promises that do not hold."""
        lost = self.lost()
        broken = {
            "lost": lost, "invented": self.invented, "torn": self.torn,
            "repeated with another id": self.other_id, "two lines with one id": self.shared_id,
            "repeated without a kill": self.unprovoked,
        }  # fmt: skip
        lines = self.ledger.lines
        return {
            "written": lines,
            "anomalous": len(self.ledger.marks),
            "reports": self.reports,
            "seen": len(self.seen),
            "lost": len(lost),
            "invented": len(self.invented),
            "torn_records": len(self.torn),
            "repeated": self.repeated,
            "repeated_with_other_id": len(self.other_id),
            "repeated_without_kill": len(self.unprovoked),
            "repeated_too_old": len(self.too_old),
            "oldest_repeat_seconds": round(self.oldest_seconds, 3),
            "shared_ids": len(self.shared_id),
            "false_alarms": self.false_alarms,
            "broken": [name for name, cases in broken.items() if cases],
            "examples": {
                name: [self._shown(case) for case in cases[:EXAMPLES]]  # type: ignore[index]
                for name, cases in broken.items()
                if cases
            },
            "lost_by_place": self._by(lost, lambda mark: f"{mark.file} {mark.place}"),
            "marks_by_place": self._by(list(self.ledger.marks), lambda mark: mark.place),
        }

    def _by(self, numbers: list[int], key: Callable[[Mark], str]) -> dict[str, int]:
        return dict(Counter(key(self.ledger.marks[number]) for number in numbers).most_common())

    def _shown(self, case: Any) -> str:
        if isinstance(case, int):
            mark = self.ledger.marks[case]
            return f"{case} in {mark.file}, generation {mark.generation}, {mark.place}"
        return str(case)[:300]
