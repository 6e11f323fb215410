"""One sink at work: write to it, or keep the alert in its spool and try again later.

Guarantees: alerts reach the sink in order; its spool gives one up only after the sink has synced
it; going down and coming back are told once each. A sink that says `Pending` is not down: the
alert waits in the spool and is offered again. See `delivery`, the only caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from logagent.sinks import Alert, Pending, Sink, SinkError
from logagent.sinks.backoff import Backoff
from logagent.sinks.spool import Spool, SpoolError

if TYPE_CHECKING:
    from logagent.sinks.backoff import RandomNumbers

__all__ = ["Blocked", "Lane"]

_FIRST_PAUSE_SECONDS = 1.0
_LAST_PAUSE_SECONDS = 300.0
"""[s] Between tries of a sink that is down: its restart is noticed soon, and an outage of a day
costs some 400 tries."""

_LAST_UNSPOOLED_PAUSE_SECONDS = 5.0
"""[s] Likewise for a sink without a spool: while that one is down, the agent stands still."""

_LONGEST_WAIT_SECONDS = 3600.0
"""[s] Most that a receiver may ask us to wait."""


class Blocked(Exception):  # noqa: N818 - a state the caller goes on from, no fault
    """An alert can be neither delivered nor spooled, or not be made durable; try again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """What is wrong, for the operator."""


class Lane:
    """A sink, its spool and its pauses."""

    def __init__(
        self,
        sink: Sink,
        spool: Spool | None,
        report: Callable[[str, str], None],
        rng: RandomNumbers,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.name = sink.name
        self.due = -math.inf
        """When to try the sink again [s, `clock`]."""
        self._sink, self._spool = sink, spool
        self._report, self._clock, self._wall = report, clock, wall
        last = _LAST_UNSPOOLED_PAUSE_SECONDS if spool is None else _LAST_PAUSE_SECONDS
        self._backoff = Backoff(_FIRST_PAUSE_SECONDS, last, rng)
        self._longest_wait = _LONGEST_WAIT_SECONDS if spool is not None else last
        self._idle: Callable[[float], None] = getattr(sink, "idle", lambda _now: None)
        self._pending = False  # the sink is at it
        self._unsynced = False  # written, and not from the spool
        self._taken: set[str] = set()  # ids since `accepted`
        self._up = True
        self._since = wall()
        self._error: str | None = None
        self._delivered = 0
        self._drained = 0  # delivered from the spool in this outage
        self._dropped = 0  # what the spool had dropped before this outage
        self._dropping = False  # told in this outage
        self._damaged = 0  # told so far
        self._look_at_spool()

    @property
    def waiting(self) -> int:
        """How many alerts wait in the spool."""
        return 0 if self._spool is None else len(self._spool)

    def pauses(self, now: float) -> bool:
        """Tell whether the sink is down and its next try is ahead."""
        return not self._up and self.due > now

    @property
    def pending(self) -> bool:
        """Whether the sink is up and has begun on an alert."""
        return self._up and self._pending

    def idle(self, now: float) -> None:
        """Let the sink look after its connection."""
        self._idle(now)

    def deliver(self, alert: Alert) -> None:
        """Write or spool `alert`, unless that was done since `accepted`.

        Raises:
            Blocked: neither works.
        """
        if alert.id in self._taken:
            return
        if not self._written(alert):
            self._keep(alert)
        self._taken.add(alert.id)

    def accepted(self) -> None:
        """Forget which alerts were taken."""
        self._taken.clear()

    def drain(self, budget: int, stop: float) -> int:
        """Give the sink at most `budget` waiting alerts, none after the time `stop` but one.

        Returns how many it was given.
        """
        spool = self._spool
        if spool is None:
            return 0
        given = 0
        error: SinkError | None = None
        try:
            while given < budget and (not given or self._clock() < stop):
                alert = spool.peek()
                if alert is None:
                    break
                self._sink.write(alert)
                spool.pop()
                given += 1
        except SinkError as failure:
            error = failure
        except SpoolError as failure:
            error = SinkError(str(failure))
        done = given
        try:
            if given:
                self._sink.sync()
                self._unsynced = False
        except SinkError as failure:
            error = failure
            spool.rewind()
            done = 0
        spool.acknowledge()
        self._look_at_spool()
        self._delivered += done
        self._drained += done
        if done:
            self._backoff.reset()
        self._pending = isinstance(error, Pending)
        if isinstance(error, Pending):
            self.due = self._clock() + error.wait_seconds
        elif error is not None:
            self._failed(error)
        elif self.waiting:
            self.due = -math.inf
        else:
            self._worked()
        return given

    def sync(self) -> None:
        """Make durable what sink and spool have.

        Raises:
            Blocked: one of them could not.
        """
        errors = []
        try:
            self._sink.sync()
            self._unsynced = False
        except Pending as failure:
            if self._unsynced:  # what came from the spool is still there
                errors.append(str(failure))
        except SinkError as failure:
            self._failed(failure)
            errors.append(str(failure))
        try:
            if self._spool is not None:
                self._spool.sync()
        except SpoolError as failure:
            errors.append(str(failure))
        if errors:
            raise Blocked(f"sink {self.name}: {'; '.join(errors)}")

    def status(self) -> dict[str, Any]:
        """Return what `Delivery.status` documents."""
        spool = self._spool
        return {
            "name": self.name,
            "state": "up" if self._up else "down",
            "since": self._since,
            "delivered": self._delivered,
            "spooled": self.waiting,
            "spooled_bytes": spool.size_bytes if spool is not None else 0,
            "dropped": spool.dropped if spool is not None else 0,
            "damaged": spool.damaged if spool is not None else 0,
            "rejected": getattr(self._sink, "rejected", 0),
            "last_error": self._error,
        }

    def close(self) -> None:
        """Close sink and spool."""
        self._sink.close()
        if self._spool is not None:
            self._spool.close()

    def _written(self, alert: Alert) -> bool:
        """Write `alert` if it is its turn and the sink is thought to work."""
        if self.waiting or self.pauses(self._clock()):
            return False
        try:
            self._sink.write(alert)
        except Pending as failure:
            self._pending = True
            self._error = str(failure) if self._spool is None else self._error
            self.due = self._clock() + failure.wait_seconds
            return False
        except SinkError as failure:
            self._failed(failure)
            return False
        self._unsynced = True
        self._delivered += 1
        self._worked()
        return True

    def _keep(self, alert: Alert) -> None:
        """Put `alert` into the spool."""
        if self._spool is None:
            state = "is at work" if self._pending else "is down"
            raise Blocked(f"sink {self.name} {state} and has no spool: {self._error}")
        try:
            self._spool.append(alert)
        except SpoolError as failure:
            raise Blocked(f"sink {self.name} has to wait, and {failure}") from failure
        finally:
            self._look_at_spool()

    def _failed(self, failure: SinkError) -> None:
        reason = self._error = str(failure)
        self._pending = False
        wait = min(failure.wait_seconds, self._longest_wait)
        self.due = self._clock() + max(self._backoff.next_seconds(), wait)
        if not self._up:
            return
        self._up = False
        self._since = self._wall()
        self._drained = 0
        kept = "its alerts wait" if self._spool is not None else "the agent waits for it"
        self._report("sink-down", f"sink {self.name} is down, {kept}: {reason}")

    def _worked(self) -> None:
        """All that waited is delivered."""
        self._pending = False
        self._backoff.reset()
        self.due = -math.inf
        self._dropping = False
        dropped = self._spool.dropped - self._dropped if self._spool is not None else 0
        self._dropped += dropped
        if self._up:
            return
        self._up = True
        self._since = self._wall()
        lost = f", {dropped} were dropped" if dropped else ""
        self._report(
            "sink-up",
            f"sink {self.name} is back: {self._drained} alerts that waited are delivered{lost}",
        )

    def _look_at_spool(self) -> None:
        """Report what the spool has lost, once in an outage."""
        spool = self._spool
        if spool is None:
            return
        if spool.damaged > self._damaged:
            lost = spool.damaged - self._damaged
            self._damaged = spool.damaged
            self._report("spool-damaged", f"sink {self.name}: {lost} alerts in its spool are lost")
        if spool.dropped > self._dropped and not self._dropping:
            self._dropping = True
            self._report(
                "alerts-dropped",
                f"sink {self.name}: its spool is full, {spool.dropped - self._dropped} of the "
                "oldest alerts were dropped and more will be; the count is in the status",
            )
