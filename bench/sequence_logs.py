"""Logs of two more kinds for bench/sequences_cost.py, with labels; only costs count here.

`requests` is made: requests to a service under fresh UUIDs, two hundred at a time, every fifth line
of none. `logins` is a sample of OpenSSH's log, over and over with other process numbers. A label
says whether a request was not completed, or a login was tried from a name that maps back to none.
"""

from __future__ import annotations

import random
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

_STEPS = (
    "GET /v1/items/{n} from 10.2.{n}.7",
    "auth: token of user {n} accepted",
    "cache: miss for item {n}",
    "db: 1 row in {n} ms",
    "render: template item.html, {n} bytes",
    "completed with 200 in {n} ms",
)
_RETRY = "db: connection lost, trying again in {n} ms"
_ELSE = ("health: ok, {n} connections", "gc: {n} MB freed", "metrics: {n} points sent")
_PID = re.compile(rb"sshd\[(\d+)\]")
_OPEN = 200


@dataclass(frozen=True)
class Made:
    """A log and how its sessions are found."""

    log: Path
    labels: Path
    key: str
    timeout_seconds: int


def requests(folder: Path, lines: int) -> Made:
    """Write a log of so many lines."""
    rng = random.Random(0)
    labels: dict[str, int] = {}
    going: list[tuple[str, list[str]]] = []
    log = folder / "requests.log"
    with log.open("w") as file:
        for number in range(lines):
            while len(going) < _OPEN:
                steps = list(_STEPS)
                if rng.random() < 0.1:
                    steps.insert(3, _RETRY)
                bad = rng.random() < 0.03
                steps = steps[: rng.randrange(2, 5)] if bad else steps
                name = str(uuid.UUID(int=rng.getrandbits(128), version=4))
                labels[name] = int(bad)
                going.append((name, steps))
            stamp = f"2026-03-01T{number // 180000 % 24:02}:{number // 3000 % 60:02}:"
            stamp += f"{number // 50 % 60:02}.{number % 50 * 20:03}Z INFO api[812]: "
            if rng.random() < 0.2:
                file.write(stamp + rng.choice(_ELSE).format(n=rng.randrange(250)) + "\n")
                continue
            at = rng.randrange(len(going))
            name, steps = going[at]
            file.write(f"{stamp}[{name}] {steps.pop(0).format(n=rng.randrange(250))}\n")
            if not steps:
                going[at] = going[-1]
                going.pop()
    return Made(
        log, _labels(folder / "requests.tsv", labels), r"\[(?P<session>[0-9a-f-]{36})\]", 30
    )


def logins(folder: Path, sample: Path, lines: int) -> Made:
    """Write a log of at least so many lines."""
    data = sample.read_bytes().replace(b"\r", b"").rstrip(b"\n")
    log, written, turn = folder / "logins.log", 0, 0
    labels: dict[str, int] = {}
    with log.open("wb") as file:
        while written < lines:
            more = 10_000 * turn
            again = _PID.sub(lambda found, more=more: b"sshd[%d]" % (int(found[1]) + more), data)
            file.write(again + b"\n")
            for line in again.split(b"\n"):
                if found := _PID.search(line):
                    name = found[1].decode()
                    labels[name] = labels.get(name, 0) | (b"POSSIBLE BREAK-IN" in line)
            written += again.count(b"\n") + 1
            turn += 1
    return Made(log, _labels(folder / "logins.tsv", labels), r"sshd\[(?P<session>\d+)\]", 0)


def _labels(path: Path, labels: dict[str, int]) -> Path:
    path.write_text("".join(f"{name}\t{label}\n" for name, label in labels.items()))
    return path
