"""An alert policy with a clock that is told what time it is, and lines that come as asked."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgpack
from logagent.groups import Sighting
from logagent.policy.known import Known, alert_id
from logagent.policy.policy import Policy, Settings
from logagent.policy.rate import Rate
from logagent.traces import Trace

MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86_400.0, 365 * 86_400.0
NOON = 1_800_000_000.0
THRESHOLD = 0.9
WARNING, SEVERE = 0.93, 0.99
ALERTS = ("new", "again", "burst")
"""Tellings that ask for attention."""


def key(number: int) -> bytes:
    """Return the key of a group of its own: without words no two are one family."""
    return b"%d" % number


@dataclass(frozen=True, slots=True)
class Said:
    """A telling as it was when it was delivered."""

    at: float
    kind: str
    keys: list[bytes]
    ids: list[str]
    """Of the groups."""
    id: str
    """Of the alert."""
    counts: list[int]
    forced: bool


class Driven:
    """A policy, its clock, and all that it has told."""

    def __init__(self, now: float = NOON, adaptation: Any = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.now = now
        self.adaptation = adaptation
        self.policy = Policy(self.settings, THRESHOLD, now, adaptation)
        self.said: list[Said] = []
        self.entered: list[str] = []
        """Ids of all groups that there ever were."""
        self.lines = 0

    def take(
        self, key: bytes, score: float = WARNING, count: int = 1, *, forced: bool = False
    ) -> Known | None:
        """Take lines of a key as `GroupAlerts` does."""
        group = self.policy.lead(key)
        if group is None:
            group = self.policy.enter(
                key, score, forced, "/var/log/a", self.now, lambda: self._made(key, score)
            )
        if group is not None:
            self.policy.count(group, count, score, self.now)
        return group

    def _made(self, key: bytes, score: float) -> Known:
        self.lines += 1
        id_ = blake2b(b"%d" % self.lines, key=key[:64], digest_size=8).hexdigest()
        self.entered.append(id_)
        line = Sighting("/var/log/a", self.lines, 80 * self.lines, key[:200])
        trace, rate = Trace(0, b""), Rate(self.now, self.now)
        return Known(key, id_, key, score, line, line, trace, self.now, self.now, rate)

    def tell(self, *, ending: bool = False) -> list[Said]:
        """Deliver what is due now."""
        said = []
        for telling in self.policy.due(self.now, ending=ending):
            said.append(
                Said(
                    self.now,
                    telling.kind,
                    [group.key for group in telling.groups],
                    [group.id for group in telling.groups],
                    alert_id(telling.groups[0], telling.kind) if telling.groups else "",
                    [group.count for group in telling.groups],
                    any(group.forced for group in telling.groups),
                )
            )
            self.policy.told(telling)
        self.said += said
        return said

    def wait(self, seconds: float, every: float = 10.0) -> list[Said]:
        """Let time pass as the agent does: look when a group is due, and now and then."""
        end, said = self.now + seconds, self.tell()
        while self.now < end:
            step = min(max(self.policy.pending_seconds(self.now), 0.01), every, end - self.now)
            self.now += step
            said += self.tell()
        return said

    def alerts(self) -> list[Said]:
        return [said for said in self.said if said.kind in ALERTS]

    def restart(self) -> None:
        saved = msgpack.unpackb(msgpack.packb(self.policy.state()))
        self.policy = Policy(self.settings, THRESHOLD, self.now, self.adaptation)
        self.policy.load(saved)


def kinds(said: list[Said]) -> list[str]:
    return [each.kind for each in said]
