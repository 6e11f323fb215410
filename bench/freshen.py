"""Turns a sample log line into a template that renders the line again with fresh values.

A repeated log is an unfair benchmark: any cache remembers it. So each copy of a line gets
advancing time stamps and new process ids, and on request a new value for every identifier:
UUIDs, hexadecimal ids, block ids, ports, byte counts, durations.

Guarantees: what is not one of these fields stays byte for byte; a value keeps its width and
its alphabet, and a number never turns into zero or gets a leading zero; equal identifiers
within a line stay equal; the same seed gives the same bytes on every machine.
Leaves alone on purpose: IP addresses, versions, HTTP status codes, percentages, single digits
and zeros, because changing them would change what a line says.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

START_SECONDS = 1_709_510_400  # [s since 1970] 2024-03-04 00:00 UTC, any fixed moment would do
STEP_MICROSECONDS = 40_000  # [us] the most time between two lines; 20 ms on average
TIME_REACH_BYTES = 160  # [bytes] a time stamp begins within these; later ones are content

_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = rb"(?:[01]?\d|2[0-3]):[0-5]?\d:[0-5]?\d"
_FREE = rb"(?<![0-9A-Fa-f:])"
_NO_MORE = rb"(?![0-9A-Fa-f:])"

_APART = rb"(?<![0-9A-Za-z])"  # not \b: an id may touch an underscore, as in <uuid>_del
_ENDED = rb"(?![0-9A-Za-z])"

# Time stamp layouts, most specific first: (pattern, strftime layout). The text matched is
# replaced by the clock in that layout. A layout ending in "~" goes on with the fraction that
# the pattern's group 1 holds, in the width of the original.
_TIMES: tuple[tuple[bytes, str], ...] = (
    (rb"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.(\d{6})", "%Y-%m-%d-%H.%M.%S.~"),  # BGL
    (rb"\b\d{8}-" + _CLOCK + rb":(\d{1,3})\b", "%Y%m%d-%H:%M:%S:~"),  # HealthApp
    (rb"^\d{6} \d{6}\b", "%y%m%d %H%M%S"),  # HDFS
    (rb"\b\d{4}\.\d\d\.\d\d\b", "%Y.%m.%d"),
    (rb"\b\d{4}-\d\d-\d\d", "%Y-%m-%d"),
    (rb"\b\d{4}/\d\d/\d\d\b", "%Y/%m/%d"),
    (rb"\b\d\d/\d\d/\d\d(?= \d\d:)", "%y/%m/%d"),  # Spark
    (rb"\b\d\d/" + _MONTH + rb"/\d{4}(?=:\d\d:)", "%d/%b/%Y"),  # web servers
    (rb"^\d\d-\d\d(?= \d\d:)", "%m-%d"),  # Android
    (rb"(?<=^\[)\d\d\.\d\d(?= \d\d:)", "%m.%d"),  # Proxifier
    (rb"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?=,? (?:" + _MONTH + rb"|\d))", "%a"),
    (rb"\b" + _MONTH + rb" [ 0-3]?\d(?=,? )", "%b %e"),
    (rb"(?<=:\d\d )(?:19|20)\d\d\b", "%Y"),  # ctime(3) has the year last
    (_FREE + _CLOCK + rb"[.,](\d{1,9})(?!\d)", "%H:%M:%S.~"),
    (_FREE + _CLOCK + _NO_MORE, "%H:%M:%S"),
    (rb"(?<=/\d{4}:)" + _CLOCK, "%H:%M:%S"),
    (rb"\b1\d{9}\b", "%s"),  # seconds since 1970
    (rb"(?<=\[)[ \d]{1,6}\d\.\d{6}(?=\])", "uptime"),  # kernel ring buffer
)
_TIME_PATTERNS = tuple((re.compile(pattern), layout) for pattern, layout in _TIMES)

# Process, thread and record ids; every group is a field of its own.
_PIDS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"\[([1-9]\d{1,6})\]",
        rb"\(([1-9]\d{1,6})\)",
        rb"\bpid[=: ]+([1-9]\d{1,6})\b",
        rb"\bchild ([1-9]\d{1,6})\b",
        rb"^\d\d-\d\d \S+ +([1-9]\d*) +([1-9]\d*) [VDIWEF] ",  # Android: process, thread
        rb"^\d{6} \d{6} ([1-9]\d*) ",  # HDFS: thread
        rb":\d\d\.\d{3} ([1-9]\d{1,6}) [A-Z]{4,8} ",  # OpenStack: process
        rb"^([1-9]\d*) \S+ \S+ \S+ 1\d{9} ",  # HPC: record
    )
)

# Every other identifier, most specific first: (pattern, kind). Error and status codes are no
# identifiers: a real log repeats the same few.
_IDS = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (_APART + rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}" + _ENDED, "uuid"),
        (_APART + rb"(?=\d*[a-f])[0-9a-f]{16,}" + _ENDED, "hex"),
        (rb"\b0x([0-9a-f]{3,})" + _ENDED, "hex"),
        (_APART + rb"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{6,15}" + _ENDED, "hex"),
        (rb"(?<=blk_)-?([1-9]\d+)", "number"),
        (rb"(?<=instance-)([0-9a-f]{8})\b", "hex"),
        (rb"(?<![\w.*])\d+\.([1-9]\d+)(?![\w.])", "number"),
        (
            rb'(?<![\w.*-])(?<!status: )(?<!error )(?<!code )(?<!" )([1-9]\d+)(?![\w.]\S|%)',
            "number",
        ),
    )
)


class Source:
    """Where fresh values come from: a clock that advances with each line, and chance."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._micros = 0
        self._second = -1
        self._parts = time.gmtime(START_SECONDS)
        self._shown: dict[str, bytes] = {}  # of the current second; bounded by the layouts

    def advance(self) -> None:
        """Move on by up to STEP_MICROSECONDS."""
        self._micros += 1 + int(self.rng.random() * STEP_MICROSECONDS)
        second = self._micros // 1_000_000
        if second != self._second:
            self._second = second
            self._parts = time.gmtime(START_SECONDS + second)
            self._shown.clear()

    def show(self, layout: str) -> bytes:
        """The current second in a strftime layout (C locale) or as "%s"."""
        shown = self._shown.get(layout)
        if shown is None:
            if layout == "%s":
                shown = b"%d" % (START_SECONDS + self._second)
            else:
                shown = time.strftime(layout, self._parts).encode("ascii")
            self._shown[layout] = shown
        return shown

    def fraction(self, width: int) -> bytes:
        """The fraction of the second in `width` digits."""
        digits = b"%06d" % (self._micros % 1_000_000)
        return digits[:width].ljust(width, b"0")

    def uptime(self, width: int) -> bytes:
        """Seconds and microseconds since start, as the kernel prints them."""
        return (b"%d.%06d" % divmod(self._micros, 1_000_000)).rjust(width)


Maker = Callable[[Source], bytes]


@dataclass(frozen=True, slots=True)
class Template:
    """A line with fields: literal text around values made anew for each copy."""

    literal: bytes
    """A %-format with one %b per field."""
    makers: tuple[Maker, ...]
    """One per distinct value."""
    fields: tuple[int, ...]
    """For each field, which maker's value it shows; empty when each maker has one field."""

    def render(self, source: Source) -> bytes:
        """One fresh copy of the line."""
        source.advance()
        values = [make(source) for make in self.makers]
        if self.fields:
            values = [values[field] for field in self.fields]
        return self.literal % tuple(values)


def compile_line(line: bytes, *, ids: bool) -> Template:
    """The template of a sample line; with `ids` every identifier is a field, else only
    time stamps and process ids are."""
    spans: dict[int, tuple[int, bytes, Maker]] = {}  # start -> (end, key, maker)
    for start, end, key, maker in _fields(line, ids):
        if not any(start < other_end and other < end for other, (other_end, _, _) in spans.items()):
            spans[start] = (end, key, maker)
    literal: list[bytes] = []
    makers: list[Maker] = []
    fields: list[int] = []
    index: dict[bytes, int] = {}
    position = 0
    for start in sorted(spans):
        end, key, maker = spans[start]
        if key not in index:
            index[key] = len(makers)
            makers.append(maker)
        fields.append(index[key])
        literal += [line[position:start].replace(b"%", b"%%"), b"%b"]
        position = end
    literal.append(line[position:].replace(b"%", b"%%"))
    one_each = len(fields) == len(makers)
    return Template(b"".join(literal), tuple(makers), () if one_each else tuple(fields))


def _fields(line: bytes, ids: bool) -> Iterator[tuple[int, int, bytes, Maker]]:
    """Fields of a line, (start, end, key, maker), in order of precedence; equal keys share
    one value."""
    head = line[:TIME_REACH_BYTES]
    for pattern, layout in _TIME_PATTERNS:
        for match in pattern.finditer(head):
            start, end = match.span()
            yield start, end, b"time %d" % start, _time_maker(layout, match)
    for pattern in _PIDS:
        for match in pattern.finditer(line):
            for group in range(1, pattern.groups + 1):
                start, end = match.span(group)
                yield start, end, b"number " + line[start:end], _number_maker(end - start)
    if not ids:
        return
    for pattern, kind in _IDS:
        for match in pattern.finditer(line):
            start, end = match.span(pattern.groups)
            key = kind.encode() + b" " + line[start:end]
            yield start, end, key, _id_maker(kind, end - start)


def _time_maker(layout: str, match: re.Match[bytes]) -> Maker:
    if layout == "uptime":
        width = len(match[0])
        return lambda source: source.uptime(width)
    if layout == "%b %e" and not re.search(rb" [ \d]\d$", match[0]):  # "Nov 9": not padded
        return lambda source: source.show("%b %e").replace(b"  ", b" ")
    if layout == "%b %e" and match[0][-2:-1] == b"0":
        layout = "%b %d"
    if not layout.endswith("~"):
        return lambda source: source.show(layout)
    width = len(match[1])
    separator = match[0][-width - 1 : -width].decode("ascii")
    second = layout[:-2] + separator
    return lambda source: source.show(second) + source.fraction(width)


def _number_maker(width: int) -> Maker:
    low, span = 10 ** (width - 1), 9 * 10 ** (width - 1)
    if width > 15:  # a float's 53 bits are not enough to reach every value
        return lambda source: b"%d" % source.rng.randrange(low, low + span)
    return lambda source: b"%d" % (low + int(source.rng.random() * span))


def _id_maker(kind: str, width: int) -> Maker:
    if kind == "number":
        return _number_maker(width)
    if kind == "hex":
        bits = 4 * width
        return lambda source: b"%0*x" % (width, source.rng.getrandbits(bits))
    return _uuid


def _uuid(source: Source) -> bytes:
    text = b"%032x" % source.rng.getrandbits(128)
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
