"""A healthy log as one day, and failures planted into it.

`Kind` is an entry of failures.toml. `stretch` gives every line of a healthy log a time, `rendered`
writes a kind's lines in the manner of that log, `plant` puts them in between at their own pace.

Guarantees: pure; the same seed gives the same lines; no line of the log is lost or reordered, and
times never go back. Leaves to others: what is alerted of it.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from logagent.times import TimeParser

DAY_SECONDS: Final = 86400.0
START: Final = 1_715_040_000.0
"""[s since 1970] 2024-05-07 00:00 UTC: when the replayed day begins."""
FAILURES: Final = Path(__file__).with_name("failures.toml")
_LEAST_STAMPED = 0.5  # of the lines: fewer, and the log's own times say too little
_LARGEST_GAP = 0.25  # of the day: a clock that was set makes a log of two clumps

Style = Literal["syslog", "iso", "dmesg", "thunderbird", "logcat", "bare"]
"""How a log writes time, host and program before a message."""

STYLES: Final[tuple[Style, ...]] = ("syslog", "iso", "dmesg", "thunderbird", "logcat", "bare")


@dataclass(frozen=True, slots=True)
class Kind:
    """A failure, or a harmless event that looks like one."""

    name: str
    program: str
    category: str
    """Empty for a harmless one."""
    onset: int
    """Index of the first line that shows the failure."""
    lines: tuple[tuple[float, str, str], ...]
    """Seconds since the first line, program, message."""

    @property
    def harmless(self) -> bool:
        return not self.category


@dataclass(frozen=True, slots=True)
class Healthy:
    """A log of a machine that is well."""

    name: str
    style: Style
    """How a line of another program would look in it, or beside it on the same machine."""
    lines: tuple[bytes, ...]
    """In the order of time."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A line of the replayed day."""

    seconds: float
    """[s since 1970]"""
    source: str
    text: bytes
    index: int | None = None
    """Which line of the planted kind it is; None for one of the healthy log."""

    @property
    def row(self) -> tuple[float, str, bytes]:
        """What a replay takes."""
        return self.seconds, self.source, self.text


def read_kinds(path: Path = FAILURES) -> tuple[list[Kind], list[Kind]]:
    """Return the failures and the harmless look-alikes.

    Raises ValueError for a line that is not "+seconds program: message", times that go back, or
    an onset outside of the lines.
    """
    data = tomllib.loads(path.read_text("utf-8"))
    return [_kind(one) for one in data["failure"]], [_kind(one) for one in data["harmless"]]


_LINE = re.compile(r"\+(\d+(?:\.\d+)?) ([^:\s][^:]*): ?(.*)")


def _kind(entry: dict[str, object]) -> Kind:
    name = str(entry["name"])
    lines = []
    for row in str(entry["lines"]).strip("\n").split("\n"):
        match = _LINE.fullmatch(row)
        if match is None:
            raise ValueError(f"{name}: not '+seconds program: message': {row}")
        lines.append((float(match[1]), match[2], match[3]))
    onset = int(str(entry.get("onset", 0)))
    if not 0 <= onset < len(lines) or lines != sorted(lines, key=lambda line: line[0]):
        raise ValueError(f"{name}: onset outside of the lines, or times that go back")
    program, category = str(entry["program"]), str(entry.get("category", ""))
    return Kind(name, program, category, onset, tuple(lines))


def healthy_log(path: Path, style: Style) -> Healthy:
    """Read a healthy log; the older line first, and Thunderbird without its column of labels."""
    lines = path.read_bytes().rstrip(b"\n").split(b"\n")
    lines = [line.removesuffix(b"\r") for line in lines]
    if style == "thunderbird":
        lines = [line.split(b" ", 1)[1] for line in lines]
    if _backwards(lines):
        lines.reverse()
    name = "thunderbird" if style == "thunderbird" else f"{path.parent.name}/{path.stem}"
    return Healthy(name, style, tuple(lines))


def healthy_logs(edge: Path, loghub: Path) -> list[Healthy]:
    """Read all healthy logs: a Kubernetes node's, a Raspberry Pi's, a cluster's."""
    styles: dict[str, Style] = {
        "agent-logfmt": "iso", "calico": "syslog", "distributor-logfmt": "iso",
        "drone-json": "iso", "ingester-logfmt": "iso", "journald": "bare", "kafka": "iso",
        "kubernetes": "syslog", "vault": "iso", "dmesg": "dmesg", "logcat": "logcat",
    }  # fmt: skip
    paths = sorted(edge.glob("k8s_node/*.txt")) + sorted(edge.glob("rpi3/*.log"))
    logs = [healthy_log(path, styles[path.stem]) for path in paths if path.stem in styles]
    return [*logs, healthy_log(loghub / "Thunderbird" / "Thunderbird_2k.log", "thunderbird")]


def _backwards(lines: Sequence[bytes]) -> bool:
    """Tell whether a log has its newest line first, as some viewers export it."""
    stamps = [stamp for stamp in _own_seconds(lines) if stamp is not None]
    steps = [b - a for a, b in itertools.pairwise(stamps) if a != b]
    return sum(step < 0 for step in steps) > len(steps) // 2


def _own_seconds(lines: Sequence[bytes]) -> list[float | None]:
    parser = TimeParser(clock=lambda: START, tz=UTC)
    stamps = [parser.parse(line) for line in lines]
    return [None if stamp is None else stamp.seconds for stamp in stamps]


def stretch(
    lines: Sequence[bytes], seconds: float = DAY_SECONDS, start: float = START
) -> list[float]:
    """Return for every line when it comes, so that the log lasts `seconds` from `start` on.

    Its own stamps are scaled, if at least half of the lines have one and no gap between two would
    last a quarter of the day; otherwise the lines are spread evenly. Times never go back.
    """
    even = [start + seconds * at / max(1, len(lines)) for at in range(len(lines))]
    own: list[float] = []
    known = 0
    for stamp in _own_seconds(lines):
        known += stamp is not None
        last = own[-1] if own else None
        if stamp is None or (last is not None and stamp < last):
            own.append(last if last is not None else float("-inf"))
        else:
            own.append(stamp)
    stamped = [stamp for stamp in own if stamp != float("-inf")]
    if not lines or known < _LEAST_STAMPED * len(lines) or stamped[0] == stamped[-1]:
        return even
    first, span = stamped[0], stamped[-1] - stamped[0]
    gap = max(b - a for a, b in itertools.pairwise(stamped))
    if gap > _LARGEST_GAP * span:
        return even
    return [start + seconds * (max(stamp, first) - first) / span for stamp in own]


def rendered(kind: Kind, style: Style, start: float, host: str = "edge-7") -> list[bytes]:
    """Return a kind's lines as a log of that style has them, the first of them at `start`."""
    return [
        _header(style, start + after, host, program) + _filled(message, start + after, host)
        for after, program, message in kind.lines
    ]


def _header(style: Style, seconds: float, host: str, program: str) -> bytes:
    when = datetime.fromtimestamp(seconds, UTC)
    clock = f"{when:%b} {when.day:2d} {when:%H:%M:%S}"
    text = {
        "syslog": f"{clock} {host} {program}: ",
        "iso": f"{when.isoformat(timespec='microseconds')} {host} {program}: ",
        "dmesg": f"[{seconds - START + 100:12.6f}] " + (f"{program}: " if _user(program) else ""),
        "thunderbird": f"{int(seconds)} {when:%Y.%m.%d} {host} {when:%b} {when.day} "
        f"{when:%H:%M:%S} {host}/{host} {program}: ",
        "logcat": f"{when:%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}   311   311 I {program}: ",
        "bare": "",
    }[style]
    return text.encode()


def _user(program: str) -> bool:
    return program != "kernel"


def _filled(message: str, seconds: float, host: str) -> bytes:
    """Put time and host where a program writes them itself."""
    when = datetime.fromtimestamp(seconds, UTC)
    milli = f"{when.microsecond // 1000:03d}"
    for name, text in {
        "{klog}": f"{when:%m%d %H:%M:%S}.{when.microsecond:06d}",
        "{iso}": f"{when:%Y-%m-%dT%H:%M:%S}.{milli}Z",
        "{pg}": f"{when:%Y-%m-%d %H:%M:%S}.{milli} UTC",
        "{mariadb}": f"{when:%Y-%m-%d} {when.hour:2d}:{when:%M:%S}",
        "{nginx}": f"{when:%Y/%m/%d %H:%M:%S}",
        "{host}": host,
    }.items():
        message = message.replace(name, text)
    return message.encode()


def day(log: Healthy, start: float = START, seconds: float = DAY_SECONDS) -> list[Planted]:
    """Return the healthy log as one day."""
    times = stretch(log.lines, seconds, start)
    return [Planted(at, log.name, line) for at, line in zip(times, log.lines, strict=True)]


def plant(
    host: Iterable[Planted], kind: Kind, style: Style, starts: Iterable[float], source: str
) -> Iterator[Planted]:
    """Yield the lines of `host` with those of a kind in between, once per start.

    Starts are in order and so far apart that occurrences do not overlap; both inputs may be
    longer than fits in memory.
    """
    grown = (
        Planted(start + line[0], source, text, index)
        for start in starts
        for index, (line, text) in enumerate(
            zip(kind.lines, rendered(kind, style, start), strict=True)
        )
    )
    return heapq.merge(host, grown, key=lambda line: line.seconds)


def one_start(log: Healthy, kind: Kind, seed: int) -> float:
    """Return a random time at which the whole kind fits into the middle of the day."""
    rng = random.Random(f"{seed} {log.name} {kind.name}")
    return START + rng.uniform(0.1, 0.9) * (DAY_SECONDS - kind.lines[-1][0])


def planted_day(log: Healthy, kind: Kind, seed: int = 0) -> list[Planted]:
    """Return the healthy day with the kind planted once at a seeded random time."""
    return list(plant(day(log), kind, log.style, [one_start(log, kind, seed)], log.name))


def days(log: Healthy, count: int) -> Iterator[Planted]:
    """Yield the healthy day again and again."""
    once = day(log)
    for number in range(count):
        for line in once:
            yield replace(line, seconds=line.seconds + number * DAY_SECONDS)
