"""A judge whose opinion one can read, a part made of examples, and shorthands for lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle, write_bundle
from logagent.sequences.arrays import packed
from logagent.sequences.ensemble import Carried, Judged
from logagent.sequences.episode import Episode
from logagent.sequences.events import EventReader
from logagent.sequences.features import counts_of
from logagent.sequences.part import PART, pack
from logagent.sequences.rules import Rule, session_key
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.silences import Silences
from logagent.sequences.vocabulary import Vocabulary, event_keys

NAMES = "abcdefghijklmnopqrstuvwxyz"
BEGIN, WORK, END = (f"job j1: {what}".encode() for what in ("begin", "work", "end"))
JOB = session_key(r"job (?P<session>j\d+):")


def line(session: int | str, what: str, second: int | None = None) -> bytes:
    """Return a line of a job, with a time or without."""
    head = "" if second is None else f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:"
    head += "" if second is None else f"{second % 60:02}Z "
    name = f"j{session}" if isinstance(session, int) else session
    return f"{head}job {name}: {what}".encode()


def block(*lines: bytes, first: int = 1, offset: int = 0) -> Block:
    return Block(b"\n".join(lines), first, offset)


def vocabulary(*texts: bytes, buckets: int = 4) -> Vocabulary:
    keys, told, _ = event_keys(texts)
    return Vocabulary(keys, told, buckets)


def reader(*texts: bytes) -> EventReader:
    return EventReader(vocabulary(*(texts or (BEGIN, WORK, END))))


def sequencer(*rules: Rule, wall: float = 0.0, **options: int) -> Sequencer:
    return Sequencer(reader(), rules or [Rule(key=JOB)], wall=lambda: wall, **options)


def seen(
    made: Sequencer, *lines: bytes, source: str = "a.log", first: int = 1, offset: int = 0
) -> list[Episode]:
    return list(made.see(source, b"finger-8", block(*lines, first=first, offset=offset)))


def sessions(episodes: Sequence[Episode]) -> list[tuple[str, int]]:
    return [(each.session.decode(), each.count) for each in episodes]


class MissingEnd:
    """Calls a sequence anomalous if event 2, the end, is missing; remembers what it was asked."""

    events = 7

    def __init__(self, *, order_free: bool = False) -> None:
        self.order_free = order_free
        self.asked: list[list[int]] = []

    def judge(self, events: np.ndarray) -> Judged:
        self.asked.append(events.tolist())
        bad = 2 not in events
        carried = [Carried("missing", 2, 0.9, [])] if bad else []
        unknown = [Carried("unexpected", int(e), 0.5, [at]) for at, e in enumerate(events) if e > 2]
        return Judged(0.9 if bad else 0.1, bad, {"fake": bad}, carried + (unknown if bad else []))


def lines_of(jobs: Sequence[Sequence[str]]) -> Iterator[bytes]:
    for number, job in enumerate(jobs):
        yield from (line(number, what) for what in job)


def part(rule: Rule | None = None, buckets: int = 4, silences: Silences | None = None) -> bytes:
    """Return a part that knows two kinds of jobs: whole ones, and anomalous ones without an end."""
    words = vocabulary(BEGIN, WORK, END, buckets=buckets)
    examples = [[0, 1, 2], [0, 1, 1, 2], [0, 2], [0, 1], [0], [0, 1, 1]]
    counts = counts_of([np.array(each, np.int32) for each in examples], len(words)).T
    voter = {
        "counts": packed(counts.astype("<u2")),
        "anomalous": packed(np.array([0, 0, 0, 1, 1, 1], "u1")),
        "neighbours": 1,
    }
    ensemble = {
        "format": 1,
        "events": len(words),
        "voters": {"knn": voter},
        "normal": packed(counts[:, :3].astype("<u2")),
    }
    return pack(words, ensemble, rule or Rule(key=JOB), {"data": "jobs"}, silences)


def bundle(path: Path, rule: Rule | None = None, silences: Silences | None = None) -> Path:
    """Write the shipped bundle with `part` in it."""
    shipped = Bundle.load(DEFAULT_BUNDLE)
    parts = {name: bytes(shipped.part(name)) for name in shipped.sizes() if name != "manifest"}
    write_bundle(path, shipped.manifest, parts | {PART: part(rule, silences=silences)})
    return path
