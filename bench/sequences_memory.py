"""Memory and speed of open sequences: many sessions at a time, many events.

    python bench/sequences_memory.py --sessions 100000 --events 10000000

Lines of sessions that come and go, at random among as many as are open, go through
`logagent.sequences.sequencer`; RssAnon of the process is read on the way. Then a million sessions
of one line each, and one session that never ends. Nothing is judged here: what that costs is in
bench/sequences_cost.py. The lines are made, no log; what they hold does not matter for this.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

from logagent.blocks import Block
from logagent.sequences.events import EventReader
from logagent.sequences.rules import Rule, session_key
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.vocabulary import Vocabulary, event_keys

_WHATS = [f"{one} {two}" for one in ("open", "read", "write", "sync", "close") for two in
          ("begun", "done", "failed", "again", "refused", "queued")]  # fmt: skip
_LINES = 500  # of a block


def rss_anon() -> int:
    """Return the private memory of this process [bytes]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon")


def sequencer(sessions: int) -> Sequencer:
    lines = [f"INFO worker: job 1 {what}".encode() for what in _WHATS]
    keys, texts, _ = event_keys(lines)
    key = session_key(r"job (?P<session>\d+)")
    return Sequencer(EventReader(Vocabulary(keys, texts)), [Rule(key=key)], max_sessions=sessions)


def blocks(names: Iterator[int], total: int, rng: random.Random) -> Iterator[Block]:
    """Yield blocks of lines, one for each name."""
    offset = 0
    for first in range(1, total + 1, _LINES):
        lines = [
            b"INFO worker: job %d %s" % (next(names), rng.choice(_WHATS).encode())
            for _ in range(min(_LINES, total + 1 - first))
        ]
        block = Block(b"\n".join(lines), first, offset)
        offset += len(block.data) + 1
        yield block


def coming_and_going(sessions: int, rng: random.Random) -> Iterator[int]:
    """Yield names at random among `sessions`; each is replaced after 25 lines on average."""
    newest = sessions
    names = list(range(sessions))
    while True:
        at = rng.randrange(sessions)
        yield names[at]
        if rng.random() < 0.04:
            names[at] = newest = newest + 1


def measure(made: Sequencer, names: Iterator[int], events: int) -> dict[str, object]:
    """Run lines through; return what it took."""
    rng = random.Random(1)
    gc.collect()
    before = rss_anon()
    seconds = 0.0
    samples, ended, most_open, done = [], 0, 0, 0
    every = max(events // 20, 1)
    for block in blocks(names, events, rng):
        started = time.process_time()
        for _ in made.see("bench.log", b"bench-01", block):
            ended += 1
        seconds += time.process_time() - started
        done += block.line_count
        if done // every > (done - block.line_count) // every:
            most_open = max(most_open, made.open_sequences)
            samples.append(rss_anon() - before)
    return {
        "events": events,
        "cpu_seconds": round(seconds, 1),
        "cpu_microseconds_per_event": round(1e6 * seconds / events, 2),
        "sequences_ended": ended,
        "most_open": most_open,
        "mib_above_start": [round(each / 2**20, 1) for each in samples],
        "mib_second_half_min": round(min(samples[len(samples) // 2 :]) / 2**20, 1),
        "mib_second_half_max": round(max(samples[len(samples) // 2 :]) / 2**20, 1),
        "bytes_per_open_session": round(max(samples) / max(most_open, 1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    rng = random.Random(0)
    figures = {
        "what": "open sequences, made lines",
        "max_sessions": options.sessions,
        "coming_and_going": measure(
            sequencer(options.sessions), coming_and_going(options.sessions, rng), options.events
        ),
        "one_line_each": measure(
            sequencer(2_000), iter(range(10**9)), min(options.events, 1_000_000)
        ),
        "one_endless": measure(
            sequencer(2_000), (7 for _ in iter(int, 1)), min(options.events, 1_000_000)
        ),
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
