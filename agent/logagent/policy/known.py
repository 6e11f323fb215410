"""A group of anomalous lines as the alert policy knows it, and how it is saved.

Memory: about 3 kB while it waits to be told, 2 kB afterwards, when its context is let go.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from logagent.groups import Sighting
from logagent.policy.budget import SEVERE, logit
from logagent.policy.family import words_of
from logagent.policy.rate import Rate
from logagent.traces import Trace

__all__ = ["Context", "Known", "alert_id", "alert_ids", "is_time", "restored", "stored"]

_STORED_BYTES = 256  # [bytes] of a line or template kept in the saved state
_STORED_KEY_BYTES = 1024  # [bytes] longer ones are of no template
_RECENT = 20  # alerts of a group whose ids are known
_MOST = 2**63
_LATEST = 250_000_000_000.0  # [s since 1970] about the year 9892: later ones have no date


@dataclass(slots=True)
class Context:
    """Lines around the first one of a group."""

    before: list[bytes] = field(default_factory=list)
    after: list[bytes] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Known:
    """A group, and what was told of it. Times are seconds since 1970, of the policy's clock."""

    key: bytes
    """What its lines are grouped by."""
    id: str
    """Of its first line: 16 hexadecimal digits."""
    template: bytes
    score: float
    """The highest of its lines, in [0, 1]."""
    first: Sighting
    last: Sighting
    trace: Trace
    first_at: float
    last_at: float
    rate: Rate
    words: int = 0
    """See `logagent.policy.family`."""
    forced: bool = False
    """Whether the operator calls it anomalous, whatever the model says."""
    shift: float = 0.0
    """What habits of this host add to its rank [logits]."""
    shift_reason: str = ""
    count: int = 0
    variants: int = 0
    """Groups of the same family that are counted here."""
    pending_at: float | None = None
    """Since when it waits to be told; None: it does not."""
    held: bool = False
    """Whether the budget holds it back."""
    told: int = 0
    """Alerts so far, digests not counted."""
    told_at: float = 0.0
    """When the last of them was sent, or the digest that told it first."""
    told_count: int = 0
    """Lines they spoke of."""
    level: int = 0
    """How far its waits have grown."""
    digest_count: int = 0
    """Lines that the last digest spoke of."""
    burst_at: float = -math.inf
    cleared: bool = False
    """Whether its end was told."""
    context: Context = field(default_factory=Context)

    @property
    def rank(self) -> float:
        """Logit of the score, shifted by the habits of this host; infinite if forced."""
        return math.inf if self.forced else logit(self.score) + self.shift

    @property
    def severe(self) -> bool:
        """Whether it is told soon whatever else there is: a high score, or the operator's word."""
        return self.forced or self.score >= SEVERE


def alert_id(group: Known, kind: str, told: int | None = None) -> str:
    """Return the id of the next alert about a group, or of the one that was number `told`.

    After a crash the lines come again in other batches and at another time, so a later alert goes
    by its number: of which line it is told is chance.
    """
    number = group.told if told is None else told
    if not number and kind == "new":
        return group.id
    # It may be over more than once between two alerts.
    salt = b"over %d" % group.count if kind == "over" else b""
    return blake2b(
        number.to_bytes(8, "big") + salt, key=group.id.encode(), digest_size=8
    ).hexdigest()


def is_time(at: float) -> bool:
    """Tell whether a number can be a time of day [s since 1970]."""
    return 0 <= at < _LATEST


def alert_ids(group: Known) -> set[str]:
    """Return the ids under which a group was told lately, its own among them."""
    numbers = range(max(group.told - _RECENT, 0), group.told + 1)
    kinds = ("new", "again", "over")
    return {group.id, *(alert_id(group, kind, told) for kind in kinds for told in numbers)}


def stored(group: Known) -> list[Any]:
    """Return a group as msgpack types."""
    return [
        group.key[:_STORED_KEY_BYTES],
        group.id,
        group.template[:_STORED_BYTES],
        group.score,
        _stored_sighting(group.first),
        _stored_sighting(group.last),
        [group.trace.lines, group.trace.cause[:_STORED_BYTES]],
        [group.first_at, group.last_at, group.told_at, group.shift],
        [group.rate.began, group.rate.at, group.rate.fast, group.rate.slow],
        [
            group.count,
            group.told_count,
            group.told,
            group.level,
            group.digest_count,
            group.variants,
        ],
        [group.forced, group.held, group.cleared],
        -1.0 if group.pending_at is None else group.pending_at,
        group.shift_reason,
        max(group.burst_at, 0.0),
    ]


def restored(values: object) -> Known:
    """Return what `stored` made a list of.

    Raises:
        ValueError: it did not.
    """
    match values:
        case [
            bytes(key),
            str(id_),
            bytes(template),
            float(score),
            [*first],
            [*last],
            [int(lines), bytes(cause)],
            [float(first_at), float(last_at), float(told_at), float(shift)],
            [float(began), float(at), float(fast), float(slow)],
            [
                int(count),
                int(told_count),
                int(told),
                int(level),
                int(digest_count),
                int(variants),
            ],
            [bool(forced), bool(held), bool(cleared)],
            float(pending_at),
            str(reason),
            float(burst_at),
        ] if (
            re.fullmatch("[0-9a-f]{16}", id_)
            and 0 <= score <= 1
            and min(lines, count, told_count, told, level, digest_count, variants) >= 0
            and max(lines, count, told_count, told, level, digest_count, variants) < _MOST
            and all(map(is_time, (first_at, last_at, told_at, began, at, burst_at)))
            and (pending_at == -1 or is_time(pending_at))
            and all(map(math.isfinite, (shift, fast, slow)))
            and min(fast, slow) >= 0
        ):
            return Known(
                key,
                id_,
                template,
                score,
                _sighting(first),
                _sighting(last),
                Trace(lines, cause),
                first_at,
                last_at,
                Rate(began, at, fast, slow),
                words_of(key),
                forced,
                shift,
                reason[:200],
                count,
                variants,
                None if pending_at < 0 else pending_at,
                held,
                told,
                told_at,
                told_count,
                level,
                digest_count,
                burst_at or -math.inf,
                cleared,
            )
    raise ValueError("a group has other fields")


def _stored_sighting(sighting: Sighting) -> list[Any]:
    text = sighting.text[:_STORED_BYTES]
    return [sighting.source, sighting.line, sighting.offset, text]


def _sighting(values: list[Any]) -> Sighting:
    match values:
        case [str(source), int(line), int(offset), bytes(text)]:
            return Sighting(source, line, offset, text)
    raise ValueError("a group's line has other fields")
