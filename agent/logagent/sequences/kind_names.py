"""The name of a kind of anomalous sequences: those that the same events carried.

A name is a hash of what the events say and not of their numbers, so it is the same for every model
that finds the same events, on every machine, and after a restart; what was taught of a kind holds
on when the model is trained anew. It does not depend on the rule: the service may call a rule
otherwise than a scan, and a rule that was moved is the same rule.

Unknown events are told apart by their bucket only, as everywhere (`vocabulary`): a name that has
one stands for all lines of that bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

from logagent.sequences.ensemble import Carried
from logagent.sequences.vocabulary import Vocabulary

__all__ = ["MOST_NAMED", "events_of", "kind_name"]

MOST_NAMED: Final = 5
"""Events that make a kind, of the heaviest; the record shows as many."""


def kind_name(carried: Sequence[Carried], vocabulary: Vocabulary) -> str:
    """Return the name of the kind, 16 hexadecimal digits; empty if nothing carried the verdict.

    Args:
        carried: what did, the heaviest first.
        vocabulary: of the model.
    """
    if not carried:
        return ""
    words = [
        f"{each.kind} {' '.join(_text(event, vocabulary) for event in events_of(each))}"
        for each in carried[:MOST_NAMED]
    ]
    text = "\n".join(sorted(words)).encode()
    return blake2b(text, digest_size=8, person=b"sequence").hexdigest()


def events_of(carried: Carried) -> Iterator[int]:
    """Yield the numbers of all events that one thing was about.

    One, or where an event came ``before`` another that it should follow, the two in this order.
    """
    yield carried.event
    before: int = getattr(carried, "before", -1)  # not every voter looks at the order
    if before >= 0:
        yield before


def _text(event: int, vocabulary: Vocabulary) -> str:
    if event < vocabulary.known:
        return f"{vocabulary.key(event):016x}"
    return f"unknown {event - vocabulary.known}/{vocabulary.buckets}"
