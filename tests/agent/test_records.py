"""Records: one line of valid JSON each, with the documented keys, whatever a log holds."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.explain import Word
from logagent.groups import Group, GroupTable, Sighting
from logagent.judge import NORMAL, Verdict
from logagent.kinds import Kind
from logagent.records import dumps, group_record, line_records, stamp_text
from logagent.scan import Step
from logagent.times import Stamp, TimeParser
from logagent.traces import Trace

TIMES = TimeParser(clock=lambda: datetime(2026, 6, 1, tzinfo=UTC).timestamp(), tz=UTC)
STAMPED = b"2026-03-14T07:16:01Z kernel: EXT4-fs error"
LATER = b"2026-03-14T07:17:02Z kernel: EXT4-fs error"
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # what a terminal acts upon or hides
PLACE_KEYS = ["id", "source", "line", "offset"]


class NamedSource:
    """As much of a source as a record needs."""

    def __init__(self, name: str) -> None:
        self.name = name


NOTHING = Kind()


def group(
    first: Sighting,
    last: Sighting,
    template: bytes = b"kernel: EXT-fs error",
    trace: Trace | None = None,
) -> Group:
    return Group("0123456789abcdef", template, 0.97123456, first, last, 12, trace or Trace())


def step(name: str, block: Block, verdicts: list[Verdict]) -> Step:
    return Step(NamedSource(name), b"fingerprint", block, verdicts, [])  # type: ignore[arg-type]


def one_line(record: dict[str, Any]) -> dict[str, Any]:
    """Write a record and read it back; it must be one line, for any reader of lines."""
    text = dumps(record)
    assert 1 == len(text.splitlines())
    assert not {unicodedata.category(character) for character in text} & HIDDEN
    read: dict[str, Any] = json.loads(text)
    assert record == read
    return read


def test_a_group_has_all_keys_where_there_is_something_to_say() -> None:
    first = Sighting("syslog.1", 120, 4000, STAMPED)
    last = Sighting("syslog", 31, 900, LATER)
    words = [Word("error", 1.23456), Word("fs", 0.2)]
    trace = Trace(31, b"Caused by: java.io.IOException: No space left on device ")
    kind = Kind("storage", ("kernel_fs", "nas_kernel"))

    assert {
        "id": "0123456789abcdef",
        "source": "syslog.1",
        "line": 120,
        "offset": 4000,
        "time": "2026-03-14T07:16:01+00:00",
        "score": 0.9712,
        "verdict": "anomaly",
        "rank": 0.5432,
        "count": 12,
        "last_line": 31,
        "last_source": "syslog",
        "last_time": "2026-03-14T07:17:02+00:00",
        "template": "kernel: EXT-fs error",
        "text": STAMPED.decode(),
        "trace_lines": 31,
        "cause": "Caused by: java.io.IOException: No space left on device",
        "why": [["error", 1.23], ["fs", 0.2]],
        "category": "storage",
        "like": ["kernel_fs", "nas_kernel"],
    } == one_line(group_record(group(first, last, trace=trace), TIMES, words, kind, 0.54321))


def test_keys_with_nothing_to_say_are_left_out() -> None:
    sighting = Sighting("syslog", 1, 0, b"no stamp")
    record = group_record(group(sighting, sighting), TIMES, [], NOTHING, 0.5)

    expected = [*PLACE_KEYS, "score", "verdict", "rank", "count", "last_line", "template", "text"]
    assert expected == list(one_line(record))


def test_a_trace_without_an_exception_has_no_cause() -> None:
    """A kernel oops names none."""
    sighting = Sighting("syslog", 1, 0, b"BUG: unable to handle page fault")
    each = group(sighting, sighting, trace=Trace(60))
    record = one_line(group_record(each, TIMES, [], NOTHING, 0.5))

    assert 60 == record["trace_lines"]
    assert "cause" not in record


def test_every_line_has_a_record_under_all() -> None:
    block = Block(STAMPED + b"\nall is well\n", 5, 1000)
    bad, good = Verdict(0.91239, True, b"bad"), Verdict(0.1, False, b"good")
    found = [one_line(r) for r in line_records(step("a.log", block, [bad, good, good]), TIMES)]

    keys = ["score", "verdict", "template", "text"]
    assert [
        [*PLACE_KEYS, "time", *keys],
        [*PLACE_KEYS, *keys],
        [*PLACE_KEYS, *keys],
    ] == [list(record) for record in found]
    assert [5, 6, 7] == [record["line"] for record in found]
    assert [1000, 1043, 1055] == [record["offset"] for record in found]
    assert ["anomaly", "normal", "normal"] == [record["verdict"] for record in found]
    assert [0.9124, 0.1, 0.1] == [record["score"] for record in found]
    assert [STAMPED.decode(), "all is well", ""] == [record["text"] for record in found]


def test_a_line_and_the_group_it_opens_have_one_id() -> None:
    block = Block(b"fine\nbroken", 1, 0)
    verdicts = [NORMAL, Verdict(0.9, True, b"broken")]
    (opened,) = GroupTable().add("a.log", b"fingerprint", block, verdicts)
    records = list(line_records(step("a.log", block, verdicts), TIMES))

    assert opened.id == records[1]["id"] != records[0]["id"]


@given(st.binary(max_size=300), st.binary(max_size=300), st.text(max_size=40), st.binary())
def test_any_bytes_give_one_line_of_valid_json(
    first: bytes, last: bytes, source: str, template: bytes
) -> None:
    start, end = Sighting(source, 1, 0, first), Sighting(source + "x", 2, 9, last)
    each = group(start, end, template, Trace(1, last))
    words = [Word(template.decode("utf-8", "replace"), 0.5)]

    record = one_line(group_record(each, TIMES, words, NOTHING, 0.5))
    assert all(len(value) <= 500 for value in record.values() if isinstance(value, str))


@given(st.lists(st.binary(max_size=80).filter(lambda line: b"\n" not in line), min_size=1))
def test_any_block_gives_one_record_per_line(lines: list[bytes]) -> None:
    block = Block(b"\n".join(lines), 1, 0)
    verdicts = [Verdict(0.5, False, line) for line in lines]
    found = [one_line(each) for each in line_records(step("log", block, verdicts), TIMES)]

    assert list(range(1, len(lines) + 1)) == [each["line"] for each in found]
    assert len(lines) == len({each["id"] for each in found})


@pytest.mark.parametrize(
    "hostile", [b"\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe\u2028".encode(), b"\xff\0\x9b31m"]
)
def test_no_control_character_gets_into_a_record(hostile: bytes) -> None:
    sighting = Sighting(hostile.decode("utf-8", "surrogateescape"), 1, 0, hostile)
    words = [Word(hostile.decode("utf-8", "replace"), 1.0)]

    each = group(sighting, sighting, hostile, Trace(1, b"Error: " + hostile))

    assert one_line(group_record(each, TIMES, words, NOTHING, 0.5))


def test_a_very_long_line_gives_a_record_of_bounded_size() -> None:
    sighting = Sighting("\U0001f525" * 5000, 1, 0, b"\xff" * 60_000)
    end = Sighting("\U0001f525" * 6000, 2, 0, b"\xff" * 60_000)
    words = [Word("\U0001f525" * 900, 1.0)] * 4
    each = group(sighting, end, b"\xff" * 512, Trace(200, b"\xff" * 60_000))
    kind = Kind(
        "configuration", ("a_name_as_long_as_any_system_has", "another_name_of_such_length")
    )
    record = group_record(each, TIMES, words, kind, 0.5)

    assert len(dumps(record).encode()) < 25_000  # \u escapes, six bytes for two


def test_stamps_are_in_utc_or_seconds_since_boot() -> None:
    assert "2026-03-14T07:16:01+00:00" == stamp_text(Stamp(1773472561.25, "epoch"))
    assert "+12.482s" == stamp_text(Stamp(12.4821, "uptime"))
