"""From the id that an alert showed to the kind of sequences that it was about.

Holds how a kind is described for people, and where kinds are found: in the answer of the running
agent, in the state that it saved, in records. Guarantees: what reads otherwise than expected is
passed over; descriptions are printable and bounded. Left to others: who is asked, and in which
order (`logagent.alert_ids`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from logagent.sanitise import printable

__all__ = [
    "UNNAMED",
    "KnownKind",
    "description",
    "is_name",
    "kinds_of_answer",
    "kinds_of_state",
    "of_record",
]

UNNAMED: Final = (
    "nothing in this sequence stands out by itself, so it is of no kind, and to call it normal "
    "would be to call all such sequences normal; leave out its sessions with `logagent ignore "
    "--session RE`"
)
"""Why such an alert cannot be taught."""

_KIND = re.compile("[0-9a-f]{16}")
_DESCRIBED: Final = 3  # events of a kind that its description names
_EVENT_CHARS: Final = 100  # of each
_DESCRIPTION_CHARS: Final = 400
_MOST_KINDS: Final = 1000  # looked at; an agent knows fewer


@dataclass(frozen=True, slots=True)
class KnownKind:
    """A kind of sequences that alerts were about."""

    name: str
    """16 hexadecimal digits; empty where nothing carried the verdict."""
    ids: frozenset[str]
    """Its name and ids of its alerts."""
    about: str = ""
    """What it is, for people: printable and bounded."""
    unknown: bool = False
    """Whether one of its events is a line that training did not have."""


def is_name(text: str) -> bool:
    """Tell whether a text looks like the name of a kind (`sequences.kind_names`)."""
    return _KIND.fullmatch(text) is not None


def description(carried: object) -> tuple[str, bool]:
    """Return what a kind is, for people, and whether one of its events is unknown.

    Args:
        carried: of the record of one of its sequences.
    """
    events = [each for each in carried if isinstance(each, dict)] if type(carried) is list else []
    said = [
        f"{printable(str(each.get('what', '')), 40)}: "
        f"{printable(str(each.get('template', '')), _EVENT_CHARS)}"
        + (f" before: {printable(str(each['before']), _EVENT_CHARS)}" if "before" in each else "")
        for each in events[:_DESCRIBED]
    ]
    if len(events) > _DESCRIBED:
        said.append(f"and {len(events) - _DESCRIBED} more")
    about = printable("; ".join(said), _DESCRIPTION_CHARS)
    return about, any(each.get("unknown") is True for each in events)


def of_record(record: Any) -> KnownKind | None:
    """Return the kind of a sequence's record; None for any other record."""
    match record:
        case {"kind": "sequence", "id": str(id_)}:
            name = str(record.get("group", ""))
            if name and not is_name(name):
                return None
            ids = frozenset({id_, name} - {""})
            return KnownKind(name, ids, *description(record.get("carried")))
    return None


def kinds_of_answer(answer: object) -> Iterator[KnownKind]:
    """Yield the kinds in an answer of the running agent (`known_sequences`)."""
    kinds = answer.get("known_sequences") if isinstance(answer, dict) else None
    for each in kinds[:_MOST_KINDS] if isinstance(kinds, list) else ():
        match each:
            case {"id": str(name), "about": str(about), "unknown": bool(unknown)}:
                yield _known(name, each.get("alert_ids"), about, unknown=unknown)


def kinds_of_state(state: object) -> Iterator[KnownKind]:
    """Yield the kinds in a state that the agent saved (`service.sequencing`)."""
    match state:
        case {"sequences": {"told_kinds": dict(kinds)}}:
            for name, said in list(kinds.items())[:_MOST_KINDS]:
                match name, said:
                    case str(), [str(about), bool(unknown), [*ids]]:
                        yield _known(name, ids, about, unknown=unknown)


def _known(name: str, ids: object, about: str, *, unknown: bool) -> KnownKind:
    more = [each for each in ids if isinstance(each, str)] if isinstance(ids, list) else []
    name = name if is_name(name) else ""
    return KnownKind(
        name, frozenset([*more, *([name] if name else [])]), printable(about, 500), unknown
    )
