"""Open sequences in the state file, so that an agent from before goes on with them, too.

It knows nothing of sessions that were read in part, and takes a row with more fields than it knows
for no state at all: with what is open it would let go of what waits to be told. So what it does not
know stands beside, and it passes that over.

Guarantees: `together` gives back what `apart` took; what does not fit is left out, as if an agent
from before had written the state. Left to others: what the fields mean (`logagent.sequences`).
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["apart", "together"]

_OPEN_FIELDS: Final = 7  # of an open sequence, as every agent knows them; then: whether it was cut


def apart(state: Any) -> tuple[Any, list[object]]:
    """Take a sequencer's state apart.

    Returns:
        What every agent reads, and for each log what is beside: how far its sources were read, and
        which of its sessions, by number, were cut.
    """
    names, logs = state
    plain, beside = [], list[object]()
    for name, text, clock, table, reading in logs:
        cut = []
        if table and isinstance(table[0], list) and not _is_session(table[0]):
            pieces, *more = table  # a window's: none of them is cut
            rows = [[piece[:_OPEN_FIELDS] for piece in pieces], *more]
        else:
            cut = [at for at, (_, opened) in enumerate(table) if opened[_OPEN_FIELDS:] == [True]]
            rows = [[key, opened[:_OPEN_FIELDS]] for key, opened in table]
        plain.append([name, text, clock, rows])
        beside.append([reading, cut])
    return [names, plain], beside


def together(state: object, beside: object) -> object:
    """Return the sequencer's state from the two parts; `state` as it is where they do not fit."""
    match state, beside:
        case [names, [*logs]], [*more] if logs and len(logs) == len(more):
            pass
        case _:
            return state
    whole = []
    for log, known in zip(logs, more, strict=True):
        match log, known:
            case [name, text, clock, [*table]], [reading, [*cut]]:
                was_cut = {at for at in cut if isinstance(at, int)}
                rows = [_cut(row) if at in was_cut else row for at, row in enumerate(table)]
                whole.append([name, text, clock, rows, reading])
            case _:
                return state
    return [names, whole]


def _is_session(row: list[object]) -> bool:
    return len(row) == 2 and isinstance(row[0], bytes)


def _cut(row: object) -> object:
    """Return a session's row with that it was cut."""
    match row:
        case [bytes(key), [*fields]] if len(fields) == _OPEN_FIELDS:
            return [key, [*fields, True]]
    return row
