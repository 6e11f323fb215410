"""Every alert to every sink: in order, at least once, however long a sink is down.

Guarantees: an alert that `deliver` returned from is in each sink or in its spool (of a spool that
is full the oldest are dropped, counted and reported); each sink gets the alerts in order; a sink
that is down holds up the others only by its wait limit once per pause, as long as its spool can be
written; one sink's coming and going is reported once each. When nothing can take an alert,
`Blocked` says so and nothing is lost: whoever calls keeps the batch and its position.

How to call: for each alert of a batch `deliver`; after the last one `accepted`. On `Blocked` keep
the batch and give all of it again later, meanwhile going on with `tick` as `deadline` asks; sinks
and spools that took an alert of it do not get it twice. `sync` comes before positions are saved.

Repeats, with the same id: after a kill, what was taken since positions were last saved or, from a
spool, since it was last synced; after a sink failed to sync, what its spool gave it since the sync
before. What a sink took directly since the last `sync` that worked may be lost with the power;
the positions on disk then lead back to it.
Memory: the ids of one batch, and what the spools hold.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from logagent.sinks import Alert, Sink
from logagent.sinks.lane import Blocked, Lane
from logagent.sinks.spool import Spool

if TYPE_CHECKING:
    from logagent.sinks.backoff import RandomNumbers

__all__ = ["Blocked", "Channel", "Delivery"]

_TICK_ALERTS = 200
_TICK_SECONDS = 0.25
"""Most alerts that one `tick` drains, of all spools together, and after how long [s] it begins no
more: the inputs have to be read in between."""

_SETTLE_SECONDS = 0.02
"""[s] Between looks at what is on its way, when the agent stops."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A sink and where its alerts wait while it is down."""

    sink: Sink
    spool: Spool | None
    """None where none can be kept: then the whole agent waits for this sink."""


class Delivery:
    """All channels. One thread uses it."""

    def __init__(
        self,
        channels: Sequence[Channel],
        report: Callable[[str, str], None],
        rng: RandomNumbers,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Touch no sink yet.

        Args:
            channels: their sinks' names must differ.
            report: (kind, message) is told when a sink goes down (``sink-down``), when it is back
                and has all that waited (``sink-up``), when in an outage its spool overflows for
                the first time (``alerts-dropped``), and when its spool is found damaged
                (``spool-damaged``); may be called from here already.
            rng: jitter of the pauses.
            clock: monotonic, that of `tick` and `deadline` [s].
            wall: for `status` [s since 1970].
        """
        self._lanes = [Lane(each.sink, each.spool, report, rng, clock, wall) for each in channels]
        self._clock = clock
        self._first = 0  # lane that `tick` serves first

    def deliver(self, alert: Alert) -> None:
        """Hand `alert` to every sink or its spool.

        Raises:
            Blocked: some sink is down and its spool cannot be written; the others have the alert,
                and do not get it again when it is delivered again before `accepted`.
        """
        _all(partial(lane.deliver, alert) for lane in self._lanes)

    def accepted(self) -> None:
        """Take note that no alert delivered so far will be delivered again."""
        for lane in self._lanes:
            lane.accepted()

    def tick(self, now: float) -> None:
        """Drain the spools of sinks that are due; bounded, `deadline` tells whether there is more.

        A sink that takes nothing costs its wait limit once per pause.
        """
        stop = self._clock() + _TICK_SECONDS
        budget = _TICK_ALERTS
        for lane in self._lanes:
            lane.idle(now)
        # They share the budget: who was served first comes last next time.
        order = self._lanes[self._first :] + self._lanes[: self._first]
        self._first = (self._first + 1) % max(len(order), 1)
        for lane in order:
            if budget and lane.waiting and lane.due <= now:
                budget -= lane.drain(budget, stop)

    def deadline(self, now: float) -> float:
        """Return when `tick` is due, in the past if it has work now; ``math.inf`` if it never is.

        Where a sink is down and nothing waits (it has no spool, or that could not be written), the
        end of its pause is given while it is ahead: `deliver` is then worth another try.
        """
        dues = (lane.due for lane in self._lanes if lane.waiting or lane.pauses(now))
        return min(dues, default=math.inf)

    def settle(self, seconds: float) -> None:
        """Wait for what sinks have begun, at most `seconds`: when the agent stops.

        What is not acknowledged by then stays in its spool and goes out at the next start.
        """
        stop = self._clock() + seconds
        self.tick(self._clock())
        while any(lane.pending and lane.due < stop for lane in self._lanes):
            if self._clock() >= stop:
                break
            time.sleep(_SETTLE_SECONDS)
            self.tick(self._clock())

    def sync(self) -> None:
        """Make durable all that was delivered: call before the positions of the inputs are saved.

        Raises:
            Blocked: some sink or spool could not; the positions must stay as they are on disk.
        """
        _all(lane.sync for lane in self._lanes)

    def status(self) -> list[dict[str, Any]]:
        """Return one JSON-able dict per sink.

        Keys: name, state (``up`` or ``down``), since [s since 1970, of that state], delivered,
        spooled, spooled_bytes, dropped, damaged (alerts lost in the spool), rejected (by the
        receiver), last_error (or None).
        """
        return [lane.status() for lane in self._lanes]

    def close(self) -> None:
        """Close sinks and spools; `sync` comes before."""
        for lane in self._lanes:
            lane.close()


def _all(actions: Iterable[Callable[[], None]]) -> None:
    """Do all of them, then raise what blocked any."""
    reasons = []
    for action in actions:
        try:
            action()
        except Blocked as blocked:
            reasons.append(blocked.reason)
    if reasons:
        raise Blocked("; ".join(reasons))
