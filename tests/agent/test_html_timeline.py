"""The axes and the drawing: bounded, readable, and not fooled by one wrong clock."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from logagent.html_timeline import MAX_COLUMNS, lane, line_axis, on_axis, plot, time_axis
from logagent.occurrences import UPTIME_ORIGIN, Chronicle

DAY = 1773446400  # 2026-03-14T00:00:00Z


def chronicle(*times: int, lines: int | None = None) -> Chronicle:
    known = Chronicle()
    for time in times:
        known.volume.add(time)
    known.timed_lines = len(times)
    known.lines = len(times) if lines is None else lines
    return known


TIMES = st.lists(st.integers(0, 7_258_118_399), min_size=1, max_size=60)


@given(TIMES, st.integers(-14 * 4, 14 * 4))
def test_an_axis_is_bounded_and_counts_what_it_draws(times: list[int], quarters: int) -> None:
    known = chronicle(*times)
    axis = time_axis(known, timezone(timedelta(minutes=15 * quarters)))

    assert axis is not None
    assert 1 <= axis.columns <= MAX_COLUMNS
    assert len(times) == sum(on_axis(axis, known.volume)) + axis.strays
    assert len(axis.ticks()) <= 8
    assert all(0 <= share <= 1 for share, _ in axis.ticks())
    assert all(axis.label(column) for column in range(axis.columns))


@given(st.integers(0, 10**12))
def test_the_axis_of_lines_holds_them_all(lines: int) -> None:
    axis = line_axis(lines)

    assert axis.start == 0
    assert axis.end >= lines
    assert axis.columns <= MAX_COLUMNS


def test_a_board_that_booted_in_1970_is_drawn_where_its_lines_are() -> None:
    times = [5, 6, 7, *range(DAY, DAY + 36000, 60)]
    axis = time_axis(chronicle(*times), UTC)

    assert axis is not None
    assert (DAY, 3) == (axis.first, axis.strays)
    assert axis.width <= 600


def test_two_boots_of_which_both_have_many_lines_are_both_drawn() -> None:
    times = [*range(DAY, DAY + 100), *range(DAY + 10**7, DAY + 10**7 + 100)]
    axis = time_axis(chronicle(*times), UTC)

    assert axis is not None
    assert 0 == axis.strays


def test_with_few_stamps_there_is_no_time_line() -> None:
    assert time_axis(chronicle(), UTC) is None
    assert time_axis(chronicle(DAY, DAY + 60, lines=1000), UTC) is None


def test_seconds_since_boot_have_an_axis_of_their_own() -> None:
    axis = time_axis(chronicle(*(UPTIME_ORIGIN + second for second in range(0, 500, 7))), UTC)

    assert axis is not None
    assert "uptime" == axis.kind
    assert "0 to 5 s after boot" == axis.label(0)


def test_columns_begin_at_round_times_in_the_zone_shown() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    axis = time_axis(chronicle(*range(DAY, DAY + 8 * 3600, 60)), zone)

    assert axis is not None
    assert 300 == axis.width
    assert "2026-03-14 05:30 to 05:35" == axis.label(0)
    assert {"00"} == {text[-2:] for _, text in axis.ticks()}


def test_a_plot_is_well_formed_has_no_style_and_escapes_names() -> None:
    axis = line_axis(100)
    counts = [1] * axis.columns
    text = plot(axis, counts, [("<b>&", "c1", counts)], 1, [(50, "a\"'<script>")])
    ET.fromstring(text)  # noqa: S314 - our own text

    assert "<script" not in text
    assert "<b>" not in text
    assert "style=" not in text


def test_a_single_line_is_seen_beside_a_million() -> None:
    axis = line_axis(40)
    counts = [1_000_000] + [1] * (axis.columns - 1)
    text = plot(axis, [], [("x", "c1", counts)], 1_000_000)
    heights = [float(each) for each in re.findall(r"h\.84v([\d.]+)h", text)]

    assert min(heights) >= 3
    assert 'd=""' not in lane(counts, "c1", "time")
    assert 'd=""' in lane([0, 0], "c1", "time")
