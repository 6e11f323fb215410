"""`logagent-build sessions`: the sessions of logs as JSON Lines, for `vote` or a person to judge.

A line has ``events`` (what each says, in order), ``session`` (the first that is so) and ``count``
(how many are), and ``label`` if labels are given. Guarantees: sessions are made by the agent's own
code; equal ones are one line, the most frequent first; the file is replaced whole, and is its
owner's alone, as it holds what logs say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from logagent import files
from logagent.sanitise import printable
from logagent.sequences.rules import Rule

from logagent_build.annotate.outputs import writable
from logagent_build.sequences.duplicates import key
from logagent_build.sequences.lines import Sessions, read_labels, read_sessions

__all__ = ["write"]


def write(
    logs: Sequence[str], rule: Rule, labels: Path | None, out: Path, say: Callable[[str], None]
) -> dict[str, int]:
    """Write the sessions of some logs; return counts.

    Args:
        logs: paths as `logagent scan` takes them.
        rule: how their lines make sessions.
        labels: file with labels of sessions, as `logagent-build sequences` takes it; None: none.
        out: file to write.
        say: told what was written.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the logs or labels cannot be used.
    """
    paths = [Path(log) for log in logs]
    writable(out, [labels, *paths], folders=paths)
    known = read_labels(labels) if labels else {}
    sessions = read_sessions(logs, rule)
    rows = _rows(sessions, known)
    files.replace(out, "".join(json.dumps(row) + "\n" for row in rows).encode(), mode=0o600)
    torn = sum("torn" in row for row in rows)
    lost = len(known.keys() - set(sessions.keys))
    counts = sessions.counts | {
        "distinct": len(rows),
        "torn": torn,
        "labels_without_session": lost,
    }
    said = f"{out}: {len(rows):,} distinct of {len(sessions.keys):,} sessions"
    if torn:
        said += f"; {torn:,} have sessions of both labels, so they have none"
    if lost:
        said += f"; {lost:,} labels without a session"
    for name in ("lines_without_session", "malformed_keys", "evicted"):
        if counts[name]:
            said += f"; {counts[name]:,} {name.replace('_', ' ')}"
    say(said)
    return counts


def _rows(sessions: Sessions, labels: Mapping[bytes, bool]) -> list[dict[str, object]]:
    times: Counter[bytes] = Counter()
    first: dict[bytes, int] = {}
    said: dict[bytes, set[bool]] = {}
    for at, events in enumerate(sessions.seen.events):
        same = key(events)
        times[same] += 1
        first.setdefault(same, at)
        if (label := labels.get(sessions.keys[at])) is not None:
            said.setdefault(same, set()).add(label)
    rows = []
    for same, count in times.most_common():
        at = first[same]
        row: dict[str, object] = {
            "session": printable(sessions.keys[at], 200),
            "count": count,
            "events": [sessions.seen.vocabulary[number] for number in sessions.seen.events[at]],
        }
        match sorted(said.get(same, ())):
            case [label]:
                row["label"] = int(label)
            case [_, _]:
                row["torn"] = True
        rows.append(row)
    return rows
