"""Labelled sequences from log lines: by the agent's own code, so both sides see the same.

Guarantees: a line's event and session are what the agent takes them to be; memory is that of the
sequences, and of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
from logagent.sanitise import printable
from logagent.sequences.episode import Episode
from logagent.sequences.events import EventReader
from logagent.sequences.rules import Rule
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.vocabulary import BUCKETS, MAX_EVENTS, Vocabulary
from logagent.sources import Limits, SourceProblem, open_all

from logagent_build.sequences.data import Sequences

__all__ = ["Gathered", "Sessions", "gather", "labelled", "numbered", "read_labels", "read_sessions"]

LEAST_SESSIONS = 2
"""Sessions that an event must be in to have a number of its own. What only one session says is an
unknown event already in training, or the model would never have seen one."""
MOST_NUMBERS = 2**14 - 1
"""Events of a vocabulary, unknown ones included. A tree asks for an event's count or for its share:
twice as many numbers, which a part of a bundle holds in 15 bits and a sign."""
_MAX_OPEN = 1_000_000  # sessions: the pipeline has room


class _Growing(Vocabulary):
    """Gives every event a number at first sight; the reader, which takes it for unknown, a text."""

    def __init__(self) -> None:
        super().__init__([], [], MAX_EVENTS)
        self.keys: dict[int, int] = {}

    def number(self, key: int) -> int:
        """Return the number of an event; beyond `MAX_EVENTS` one of those given."""
        if key not in self.keys:
            if len(self.keys) >= MAX_EVENTS:
                return key % MAX_EVENTS
            self.keys[key] = len(self.keys)
        return self.keys[key]


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of some logs."""

    vocabulary: Vocabulary
    """Of a model; an event of one session only is an unknown one in it."""
    keys: tuple[bytes, ...]
    """What the lines of each have in common, not sanitised."""
    events: tuple[npt.NDArray[np.int32], ...]
    """Events of each, numbered by the vocabulary: int32 (length,)."""
    seen: Sequences
    """The same with every event by its own name, as people and language models read them; none is
    anomalous in it."""
    counts: dict[str, int]
    """For the record."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the lines came to."""

    vocabulary: Vocabulary
    labelled: Sequences
    """Sequences with a label."""
    sessions: tuple[str, ...]
    """The session of each."""
    counts: dict[str, int]
    """Lines and sequences left out, for the record."""


def read_labels(path: Path) -> dict[bytes, bool]:
    """Return the label of each session: a session, a tab, 0 (normal) or 1, one to a line.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is none of these, or two labels of one session differ.
    """
    labels: dict[bytes, bool] = {}
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.rstrip(b"\r\n")
            session, tab, label = line.rpartition(b"\t")
            if number == 1 and line.lower() in (b"session\tlabel", b"session\tanomalous"):
                continue
            if not line:
                continue
            if not tab or label not in (b"0", b"1"):
                raise ValueError(
                    f"{path}:{number}: not a session, a tab, 0 or 1: {printable(line, 80)}"
                )
            if labels.setdefault(session, label == b"1") != (label == b"1"):
                raise ValueError(f"{path}:{number}: {printable(session, 80)} has both labels")
    if not labels:
        raise ValueError(f"{path}: has no labels")
    return labels


def read_sessions(
    logs: Sequence[str], rule: Rule, *, buckets: int = BUCKETS, name: str = "sessions"
) -> Sessions:
    """Read logs and make their sessions.

    Args:
        logs: paths as `logagent scan` takes them; one after the other.
        rule: how lines make sessions.
        buckets: unknown events that are told apart.
        name: of the result.

    Raises:
        ValueError: nothing could be read.
    """
    growing = _Growing()
    reader = EventReader(growing)
    sequencer = Sequencer(reader, [rule], max_sessions=_MAX_OPEN)
    episodes = list(_episodes(logs, sequencer))
    if not episodes:
        raise ValueError("no sessions in these logs: does the expression find anything?")
    vocabulary, numbers = _vocabulary(growing, reader, episodes, buckets)
    seen = Sequences(
        name,
        [each.events for each in episodes],
        np.zeros(len(episodes), bool),
        ("normal",) * len(episodes),
        tuple(printable(reader.text(number), 200) for number in range(len(growing.keys))),
    )
    counters = sequencer.counters
    counts = {
        "lines": counters.lines,
        "lines_without_session": counters.no_key,
        "malformed_keys": counters.malformed_keys,
        "sequences": len(episodes),
        "truncated": counters.truncated,
    }
    return Sessions(
        vocabulary,
        tuple(each.session for each in episodes),
        tuple(numbers[each.events] for each in episodes),
        seen,
        counts,
    )


def gather(
    logs: Sequence[str],
    rule: Rule,
    labels: Mapping[bytes, bool],
    *,
    buckets: int = BUCKETS,
    name: str = "sessions",
) -> Gathered:
    """Read logs, make their sessions, and give each its label.

    Args:
        logs: see `read_sessions`.
        rule: likewise.
        labels: by session; sessions without one only serve for the vocabulary.
        buckets: unknown events that are told apart.
        name: of the result.

    Raises:
        ValueError: nothing could be read, or no session has a label.
    """
    return labelled(read_sessions(logs, rule, buckets=buckets, name=name), labels)


def labelled(sessions: Sessions, labels: Mapping[bytes, bool]) -> Gathered:
    """Give sessions their labels; see `gather`."""
    kept = [at for at, key in enumerate(sessions.keys) if key in labels]
    if not kept:
        example = printable(sessions.keys[0], 80)
        raise ValueError(f"no session has a label; the first session is {example}")
    anomalous = np.array([labels[sessions.keys[at]] for at in kept], bool)
    found = {sessions.keys[at] for at in kept}
    return Gathered(
        sessions.vocabulary,
        numbered(sessions, kept, anomalous),
        tuple(printable(sessions.keys[at], 200) for at in kept),
        sessions.counts
        | {
            "sequences_without_label": len(sessions.keys) - len(kept),
            "labels_without_session": len(labels.keys() - found),
        },
    )


def numbered(
    sessions: Sessions, kept: Sequence[int], anomalous: npt.NDArray[np.bool_]
) -> Sequences:
    """Return some sessions as a model sees them, by index, with labels: bool (kept,)."""
    vocabulary = sessions.vocabulary
    return Sequences(
        sessions.seen.name,
        [sessions.events[at] for at in kept],
        anomalous,
        tuple("anomalous" if bad else "normal" for bad in anomalous),
        (
            *(printable(vocabulary.text(number), 200) for number in range(vocabulary.known)),
            *(f"unknown {number}" for number in range(vocabulary.buckets)),
        ),
    )


def _episodes(logs: Sequence[str], sequencer: Sequencer) -> Iterator[Episode]:
    problems: list[SourceProblem] = []
    before = None
    for source in open_all(logs, Limits(), problems.append):
        if before is not None:
            yield from sequencer.end(before)
        before = source.name
        fingerprint = blake2b(source.name.encode(errors="surrogateescape"), digest_size=8).digest()
        for block in source.blocks():
            yield from sequencer.see(source.name, fingerprint, block)
    yield from sequencer.close()
    for problem in problems:
        if problem.partial:
            raise ValueError(printable(f"{problem.source}: {problem.message}", 500))


def _vocabulary(
    growing: _Growing, reader: EventReader, episodes: Sequence[Episode], buckets: int
) -> tuple[Vocabulary, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Return the vocabulary, and by the number at first sight the number in it."""
    keys = list(growing.keys)
    sessions: Counter[int] = Counter()
    for each in episodes:
        sessions.update(np.unique(each.events).tolist())
    order = [
        number
        for number in sorted(range(len(keys)), key=lambda at: (-sessions[at], reader.text(at)))
        if sessions[number] >= LEAST_SESSIONS
    ][: MOST_NUMBERS - buckets]
    vocabulary = Vocabulary(
        [keys[number] for number in order], [reader.text(number) for number in order], buckets
    )
    numbers = np.array([vocabulary.number(key) for key in keys] or [0], np.int32)
    return vocabulary, numbers
