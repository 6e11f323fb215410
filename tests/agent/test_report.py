"""The report for people: safe to show, no wider than the terminal, complete."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.explain import Word
from logagent.groups import Group, Sighting
from logagent.kinds import Kind
from logagent.report import Style, group_lines, size_text, totals_line
from logagent.scan import Totals
from logagent.times import TimeParser
from logagent.traces import Trace

TIMES = TimeParser(clock=lambda: datetime(2026, 6, 1, tzinfo=UTC).timestamp(), tz=UTC)
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # what a terminal acts upon or hides
ERROR = b"2026-03-14T07:16:01Z router kernel: EXT4-fs error (device sda1)"


def group(
    first: bytes = ERROR,
    last: bytes | None = None,
    *,
    count: int = 1,
    score: float = 0.97,
    sources: tuple[str, str] = ("syslog", "syslog"),
    trace: Trace | None = None,
) -> Group:
    start = Sighting(sources[0], 120, 0, first)
    end = start if last is None else Sighting(sources[1], 310, 9000, last)
    return Group("0" * 16, b"template", score, start, end, count, trace or Trace())


def shown(
    each: Group, *words: str, kind: Kind | None = None, style: Style | None = None
) -> list[str]:
    named = [Word(word, 1.0) for word in words]
    return group_lines(1, each, named, kind or Kind(), TIMES, replace(style or Style(), tz=UTC))


def test_one_line_tells_score_count_place_and_time() -> None:
    assert [
        "  1  0.97  ×1  syslog:120  2026-03-14 07:16:01",
        "      2026-03-14T07:16:01Z router kernel: EXT4-fs error (device sda1)",
        "      because of: error, device",
    ] == shown(group(), "error", "device")


def test_a_group_of_many_lines_tells_from_where_to_where() -> None:
    head = shown(group(last=ERROR.replace(b"07:16:01", b"07:17:02"), count=1234))[0]

    assert "×1,234" in head
    assert "syslog:120 … 310" in head
    assert "2026-03-14 07:16:01 … 07:17:02" in head


def test_a_group_over_two_files_names_both() -> None:
    head = shown(group(last=ERROR, sources=("syslog.1", "syslog")))[0]

    assert "syslog.1:120 … syslog:310" in head
    assert 1 == head.count("2026-03-14 07:16:01")  # equal times are shown once


def test_without_a_time_or_words_nothing_is_made_up() -> None:
    assert ["  1  0.97  ×1  syslog:120", "      no stamp here"] == shown(group(b"  no stamp here "))


@pytest.mark.parametrize(
    ("kind", "words", "reason"),
    [
        (Kind("storage", ("kernel_fs", "nas_kernel")), ("error", "reading"), None),
        (Kind("storage"), ("error",), "storage; because of: error"),
        (Kind("", ("kernel_fs",)), ("error",), "because of: error; like kernel_fs"),
        (Kind("storage", ("kernel_fs",)), (), "storage; like kernel_fs"),
        (Kind(), ("error", "reading"), "because of: error, reading"),
    ],
)
def test_the_last_line_of_a_group_tells_category_words_and_systems(
    kind: Kind, words: tuple[str, ...], reason: str | None
) -> None:
    reason = reason or "storage; because of: error, reading; like kernel_fs, nas_kernel"

    assert [f"      {reason}"] == shown(group(), *words, kind=kind)[2:]


def test_the_trace_below_a_line_is_counted_and_its_cause_is_named() -> None:
    trace = Trace(31, b"Caused by: java.io.IOException: No space left on device\r")

    assert [
        "      2026-03-14T07:16:01Z router kernel: EXT4-fs error (device sda1)",
        "      +31 lines of trace: Caused by: java.io.IOException: No space left on device",
        "      because of: error",
    ] == shown(group(trace=trace), "error")[1:]


def test_a_trace_without_an_exception_is_only_counted() -> None:
    assert ["      +1 line of trace"] == shown(group(trace=Trace(1)))[2:]
    assert ["      +60 lines of trace"] == shown(group(trace=Trace(60)))[2:]


def test_seconds_since_boot_are_shown_as_such() -> None:
    assert shown(group(b"[   12.482013] mmc0: error -110"))[0].endswith("+12.482s")


@given(st.binary(max_size=400), st.text(max_size=80), st.integers(20, 200), st.booleans())
def test_hostile_text_brings_no_escape_and_no_line_break(
    text: bytes, source: str, width: int, again: bool
) -> None:
    below = Trace(3, text) if again else None
    each = group(text, text if again else None, sources=(source, f"{source}2"), trace=below)
    lines = shown(each, text.decode("utf-8", "replace"), style=Style(width))

    assert len(lines) in {3, 4, 5} if again else {2, 3, 4}
    for line in lines:
        assert not {unicodedata.category(character) for character in line} & HIDDEN
        assert 1 == len(line.splitlines())


def test_colours_come_only_when_asked_for() -> None:
    plain = shown(group(), "error", style=Style(colour=False))
    painted = shown(group(), "error", style=Style(colour=True))

    assert not any("\x1b" in line for line in plain)
    assert plain == [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted]
    assert "\x1b[31;1m0.97\x1b[0m" in painted[0]
    assert "\x1b[33;1m0.85\x1b[0m" in shown(group(score=0.85), style=Style(colour=True))[0]


@pytest.mark.parametrize("width", [26, 40, 80, 100, 250])
def test_text_and_words_are_cut_to_the_width(width: int) -> None:
    words = [f"word{number}" * 9 for number in range(40)]
    each = group(b"an error " * 500, trace=Trace(7, b"Caused by: x.Error: " + b"y" * 500))
    kind = Kind("storage", ("a_system_of_a_long_name", "another_system_of_a_long_name"))
    _, *text, below, because = shown(each, *words, kind=kind, style=Style(width))

    assert 2 == len(text)
    assert width == len(below)
    assert below.startswith("      +7 lines of tr")
    assert below.endswith("…")
    assert max(map(len, text)) <= width
    assert width == len(because)
    assert text[-1].endswith(" …")
    assert because.endswith("…")


def test_a_group_over_midnight_names_both_days() -> None:
    head = shown(group(last=ERROR.replace(b"03-14", b"03-15")))[0]

    assert "2026-03-14 07:16:01 … 2026-03-15 07:16:01" in head


def test_the_first_line_of_a_group_is_cut_to_the_width() -> None:
    each = group(last=ERROR, sources=("a" * 60, "b" * 60))

    assert max(map(len, shown(each, style=Style(80)))) <= 80


def test_the_totals_tell_lines_bytes_speed_and_groups() -> None:
    totals = Totals(lines=12_000, bytes=3_400_000, seconds=0.5)

    assert (
        "12,000 lines, 3.4 MB in 0.50 s (24,000 lines/s); 1 anomaly group, 7 lines"
        == totals_line(totals, 1, 7, 0)
    )
    assert "2 anomaly groups, 7 lines" in totals_line(totals, 2, 7, 0)


def test_the_totals_tell_everything_that_was_not_kept_or_not_read() -> None:
    totals = Totals(lines=1, skipped_lines=5000, cut_lines=3, problem_count=2)
    line = totals_line(totals, 1000, 9000, 4321)

    assert [
        "4,321 lowest-ranked groups not kept",
        "5,000 older lines left out",
        "3 over-long lines cut",
        "2 problems with sources",
    ] == line.split("; ")[2:]


def test_no_time_at_all_is_no_division_by_zero() -> None:
    assert totals_line(Totals(), 0, 0, 0).startswith("0 lines, 0 B in 0.00 s (0 lines/s)")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (51_589, "51.6 kB"),
        (4_642_897, "4.6 MB"),
        (2.5e9, "2.5 GB"),
        (7e13, "70.0 TB"),
    ],
)
def test_sizes_are_in_powers_of_ten(size: float, text: str) -> None:
    assert text == size_text(size)
