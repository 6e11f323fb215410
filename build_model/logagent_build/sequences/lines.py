"""Labelled sequences from log lines: by the agent's own code, so both sides see the same.

Guarantees: a line's event and session are what the agent takes them to be; memory is that of the
sequences, and of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
from logagent.blocks import Block
from logagent.sanitise import printable
from logagent.sequences.episode import Episode
from logagent.sequences.events import EventReader
from logagent.sequences.rules import Rule
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.sessions import Counters
from logagent.sequences.vocabulary import BUCKETS, MAX_EVENTS, Vocabulary
from logagent.sources import Limits, SourceProblem, open_all

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.line_labels import WindowLabels

__all__ = ["Gathered", "Sessions", "gather", "labelled", "numbered", "read_labels", "read_sessions"]

LEAST_SESSIONS = 2
"""Sessions that an event must be in to have a number of its own. What only one session says is an
unknown event already in training, or the model would never have seen one."""
MOST_NUMBERS = 2**14 - 1
"""Events of a vocabulary, unknown ones included. A tree asks for an event's count or for its share:
twice as many numbers, which a part of a bundle holds in 15 bits and a sign."""
_MAX_OPEN = 1_000_000  # sessions: the pipeline has room
_MOST_KINDS = (
    300_000  # of events that are counted: their texts take 60 MB; what comes later is rare
)


class _Growing(Vocabulary):
    """Gives every event a number at first sight; the reader, which takes it for unknown, a text.

    Two bytes hold an event's number, so a log with more kinds is read again: then the most
    frequent ones are known from the start, and the rest share the numbers from `MAX_EVENTS` on,
    one for each bucket.
    """

    def __init__(self, buckets: int, kept: Iterable[int] = ()) -> None:
        """Know some events already; with any, no other one gets a number of its own."""
        super().__init__([], [], MAX_EVENTS)
        self.keys: dict[int, int] = {key: number for number, key in enumerate(kept)}
        self._full = bool(self.keys)
        self._buckets = buckets

    def number(self, key: int) -> int:
        """Return the number of an event."""
        found = self.keys.get(key)
        if found is None:
            if self._full:
                return MAX_EVENTS + key % self._buckets
            if len(self.keys) >= _MOST_KINDS:
                return _MOST_KINDS
            found = self.keys[key] = len(self.keys)
        return found


class _Counting(EventReader):
    """Counts the lines of every event."""

    def __init__(self, vocabulary: _Growing) -> None:
        super().__init__(vocabulary)
        self.lines: Counter[int] = Counter()

    def read(self, block: Block) -> list[int]:
        """Return the number of every line's event, at most `MAX_EVENTS`."""
        numbers = super().read(block)
        self.lines.update(numbers)
        if max(numbers) < MAX_EVENTS:
            return numbers
        return [min(number, MAX_EVENTS) for number in numbers]


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions, or the windows, of some logs."""

    vocabulary: Vocabulary
    """Of a model; an event of one session only is an unknown one in it."""
    keys: tuple[bytes, ...]
    """What the lines of each have in common, not sanitised; empty of a window."""
    places: tuple[str, ...]
    """Of each: its session, or its lines; for people."""
    windows: tuple[bool | None, ...]
    """What labels of lines or times say of each window; None where they say nothing."""
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
    logs: Sequence[str],
    rule: Rule,
    windows: WindowLabels | None = None,
    *,
    buckets: int = BUCKETS,
    name: str = "sessions",
) -> Sessions:
    """Read logs and make their sessions or windows.

    Args:
        logs: paths as `logagent scan` takes them; one after the other.
        rule: how lines make sequences.
        windows: what labels windows; it has to see the lines as they are read.
        buckets: unknown events that are told apart.
        name: of the result.

    Raises:
        ValueError: nothing could be read, or no label is of any window.
    """
    growing = _Growing(buckets)
    counting = _Counting(growing)
    reader: EventReader = counting
    found, counters = _read(logs, rule, reader, windows)
    too_many = len(growing.keys) - MAX_EVENTS
    if too_many > 0:
        if "-" in logs:
            raise ValueError(
                f"over {MAX_EVENTS:,} kinds of events, so the logs have to be read twice: give "
                "files, not standard input"
            )
        known = growing.keys
        keys = sorted(known, key=lambda key: (-counting.lines[known[key]], key))
        growing = _Growing(buckets, keys[:MAX_EVENTS])
        reader = EventReader(growing)
        found, counters = _read(logs, rule, reader, windows)
    if not found:
        raise ValueError(
            "no lines in these logs"
            if rule.key is None or not counters.lines
            else "no sessions in these logs: does the expression find anything?"
        )
    episodes = [episode for episode, _ in found]
    vocabulary, numbers = _vocabulary(growing, reader, episodes, buckets)
    if windows is not None and (trouble := windows.trouble()):
        raise ValueError(trouble)
    texts = [printable(reader.text(number), 200) for number in range(len(growing.keys))]
    if too_many > 0:
        texts += [f"(rare {number})" for number in range(buckets)]
    counts = {
        "lines": counters.lines,
        "lines_without_session": counters.no_key,
        "malformed_keys": counters.malformed_keys,
        "sequences": len(episodes),
        "truncated": counters.truncated,
        "evicted": counters.evicted,
    }
    if too_many > 0:
        counts["rare_kinds_of_events"] = too_many
    if windows is not None:
        counts |= windows.counts()
    return Sessions(
        vocabulary,
        tuple(each.session for each in episodes),
        tuple(printable(each.session, 200) or _place(each) for each in episodes),
        tuple(label for _, label in found),
        tuple(numbers[each.events] for each in episodes),
        Sequences(
            name,
            [each.events for each in episodes],
            np.zeros(len(episodes), bool),
            ("normal",) * len(episodes),
            tuple(texts),
        ),
        counts,
    )


def gather(
    logs: Sequence[str],
    rule: Rule,
    labels: Mapping[bytes, bool] | WindowLabels,
    *,
    buckets: int = BUCKETS,
    name: str = "sessions",
) -> Gathered:
    """Read logs, make their sessions or windows, and give each its label.

    Args:
        logs: see `read_sessions`.
        rule: likewise.
        labels: by session, or what labels windows; sequences without one only serve for the
            vocabulary.
        buckets: unknown events that are told apart.
        name: of the result.

    Raises:
        ValueError: nothing could be read, or no sequence has a label.
    """
    if isinstance(labels, Mapping):
        return labelled(read_sessions(logs, rule, buckets=buckets, name=name), labels)
    return labelled(read_sessions(logs, rule, labels, buckets=buckets, name=name))


def labelled(sessions: Sessions, labels: Mapping[bytes, bool] | None = None) -> Gathered:
    """Give sessions their labels, or windows, of which the labels are known; see `gather`."""
    said = sessions.windows if labels is None else [labels.get(key) for key in sessions.keys]
    known = {at: label for at, label in enumerate(said) if label is not None}
    if not known:
        raise ValueError(
            "no window has a label"
            if labels is None
            else f"no session has a label; the first session is {sessions.places[0][:80]}"
        )
    counts = sessions.counts | {"sequences_without_label": len(said) - len(known)}
    if labels is not None:
        found = {sessions.keys[at] for at in known}
        counts["labels_without_session"] = len(labels.keys() - found)
    kept = list(known)
    return Gathered(
        sessions.vocabulary,
        numbered(sessions, kept, np.array(list(known.values()), bool)),
        tuple(sessions.places[at] for at in kept),
        counts,
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


def _place(window: Episode) -> str:
    return f"{printable(window.first.source, 200)}:{window.first.line} … {window.last.line}"


def _read(
    logs: Sequence[str], rule: Rule, reader: EventReader, windows: WindowLabels | None
) -> tuple[list[tuple[Episode, bool | None]], Counters]:
    """Return the sequences of logs; windows with their labels."""
    sequencer = Sequencer(reader, [rule], max_sessions=_MAX_OPEN)
    found: list[tuple[Episode, bool | None]]
    if windows is None:
        found = [(each, None) for each in _episodes(logs, sequencer)]
    else:  # a label is asked for while its log is the one that is read
        found = [(each, windows.of(each)) for each in _episodes(logs, sequencer, windows.read)]
    return found, sequencer.counters


def _episodes(
    logs: Sequence[str],
    sequencer: Sequencer,
    read: Callable[[str, Block], Block] = lambda _source, block: block,
) -> Iterator[Episode]:
    problems: list[SourceProblem] = []
    before = None
    for source in open_all(logs, Limits(), problems.append):
        if before is not None:
            yield from sequencer.end(before)
        before = source.name
        fingerprint = blake2b(source.name.encode(errors="surrogateescape"), digest_size=8).digest()
        for block in source.blocks():
            yield from sequencer.see(source.name, fingerprint, read(source.name, block))
    yield from sequencer.close()
    for problem in problems:
        if problem.partial:
            raise ValueError(printable(f"{problem.source}: {problem.message}", 500))


def _vocabulary(
    growing: _Growing, reader: EventReader, episodes: Sequence[Episode], buckets: int
) -> tuple[Vocabulary, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Return the vocabulary, and by the number at first sight the number in it."""
    keys = list(growing.keys)
    sessions = _occurrences(episodes)
    order = [
        number
        for number in sorted(range(len(keys)), key=lambda at: (-sessions[at], reader.text(at)))
        if sessions[number] >= LEAST_SESSIONS
    ][: MOST_NUMBERS - buckets]
    vocabulary = Vocabulary(
        [keys[number] for number in order], [reader.text(number) for number in order], buckets
    )
    numbers = [vocabulary.number(key) for key in keys] or [0]
    if len(keys) == MAX_EVENTS:  # those that there is no room for have numbers after these
        numbers += range(vocabulary.known, len(vocabulary))
    return vocabulary, np.array(numbers, np.int32)


def _occurrences(episodes: Sequence[Episode]) -> Counter[int]:
    """Count the sequences that each event is in; of windows that overlap one, not all."""
    counts: Counter[int] = Counter()
    over: dict[int, tuple[str, int]] = {}  # where the last window that counted for an event ends
    for each in episodes:
        for event in np.unique(each.events).tolist():
            if not each.session:
                source, line = over.get(event, ("", 0))
                if source == each.first.source and each.first.line <= line:
                    continue
                over[event] = each.last.source, each.last.line
            counts[event] += 1
    return counts
