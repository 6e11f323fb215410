"""Check of how sequences fare in the agent that runs: room, keys, lines that training did not have.

Guarantees: an agent that does not answer is waited for ten seconds at most. Left to others: whether
the bundle can judge sequences at all (`software.bundle`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, counted, found_ok, note, warning
from logagent.errors import StateError

__all__ = ["sequences"]

_LEAST_LINES: Final = 1000  # of which a share says something
_MOST_EVICTED: Final = 0.01  # of sequences; so many may be one flood long ago


def sequences(case: Case) -> Iterator[Finding]:
    """Look at the counters of the running agent, where sequences are enabled."""
    if not case.chosen.sequences.enabled:
        return
    from logagent.service.status import ask  # noqa: PLC0415 - few want it

    try:
        answer = ask(Path(case.machine.at(case.state_folder)))
    except StateError as error:
        absent = isinstance(error.__context__, FileNotFoundError | ConnectionRefusedError)
        said = "no agent runs; how they fare is told while one does" if absent else str(error)
        yield note(said, "" if absent else "sudo logagent doctor")
        return
    counts = answer.get("sequences")
    if not isinstance(counts, Mapping):
        yield warning(
            "enabled, but the running agent does not judge them",
            "logagent status, which says why; systemctl reload logagent",
        )
        return
    found = list(_counted(case, {key: _number(value) for key, value in counts.items()}))
    yield from found
    if not found:
        judged, anomalous = _number(counts.get("judged")), _number(counts.get("anomalous"))
        yield found_ok(f"{counted(judged, 'sequence')} judged, {anomalous:,} anomalous")


def _counted(case: Case, counts: Mapping[str, int]) -> Iterator[Finding]:
    get = counts.get
    judged, lines = get("judged", 0), get("lines", 0)
    if early := get("evicted", 0):
        said = (
            f"{early:,} of {counted(judged, 'sequence')} ended early for want of room since the "
            "agent started, and what came of them later was judged apart"
        )
        room = case.chosen.sequences.max_sessions
        fix = f"raise [sequences] max_sessions, now {room:,} (about 1 kB each)"
        yield (warning if early > _MOST_EVICTED * judged else note)(said, fix)
    if forgotten := get("kinds_forgotten", 0):
        yield warning(
            f"{counted(forgotten, 'kind')} of anomalous sequences found no room, and "
            "will not be told",
            "raise [sequences] alerts_per_day",
        )
    if lines < _LEAST_LINES:
        return
    if 2 * get("no_key", 0) > lines:
        yield warning(
            f"{get('no_key', 0) / lines:.0%} of {lines:,} lines have no session’s key",
            "name the logs that have sessions in sources of [[sequences.rules]], or mend its key",
        )
    if 10 * get("malformed_keys", 0) > lines:
        yield warning(
            f"the session’s key of {get('malformed_keys', 0) / lines:.0%} of {lines:,} lines is "
            "empty, or longer than 128 bytes",
            "mend key of [[sequences.rules]]",
        )
    if 2 * get("unknown_lines", 0) > lines:
        yield warning(
            f"{get('unknown_lines', 0) / lines:.0%} of {lines:,} lines are unlike any that the "
            "model was trained on",
            "train it on logs of this machine: logagent-build sequences; or name other logs in "
            "sources of [[sequences.rules]]",
        )


def _number(value: Any) -> int:
    """Return a counter of an answer, which may be of another version."""
    return value if isinstance(value, int) else 0
