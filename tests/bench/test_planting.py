"""A healthy log as one day, and failures planted into it: nothing lost, nothing out of order."""

from __future__ import annotations

from pathlib import Path

import planting
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planting import DAY_SECONDS, START, STYLES, Healthy, Kind

LINE = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" "))
KIND = Kind("k", "p", "storage", 1, ((0.0, "kernel", "a"), (0.5, "sshd[7]", "b"), (30.0, "c", "d")))


def test_the_shipped_kinds_are_read_whole() -> None:
    failures, harmless = planting.read_kinds()

    assert len(failures) >= 36
    assert len(harmless) >= 10
    assert all(4 <= len(kind.lines) <= 12 for kind in [*failures, *harmless])
    assert sum(kind.onset > 0 for kind in failures) >= 5
    assert len({kind.name for kind in [*failures, *harmless]}) == len(failures) + len(harmless)


@pytest.mark.parametrize("style", STYLES)
def test_no_placeholder_is_left_in_a_rendered_line(style: planting.Style) -> None:
    failures, harmless = planting.read_kinds()
    text = b"\n".join(
        line for kind in [*failures, *harmless] for line in planting.rendered(kind, style, START)
    )

    for name in (b"{klog}", b"{iso}", b"{pg}", b"{mariadb}", b"{nginx}", b"{host}", b"{t}"):
        assert name not in text


def test_a_line_without_seconds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "failures.toml"
    path.write_text('harmless = []\n[[failure]]\nname = "n"\nprogram = "p"\nlines = "kernel: x"\n')

    with pytest.raises(ValueError, match="seconds"):
        planting.read_kinds(path)


def test_an_onset_behind_the_last_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "failures.toml"
    entry = 'name = "n"\nprogram = "p"\nonset = 1\nlines = "+0 kernel: x"\n'
    path.write_text(f"harmless = []\n[[failure]]\n{entry}")

    with pytest.raises(ValueError, match="onset"):
        planting.read_kinds(path)


@given(st.lists(LINE, max_size=60))
def test_times_of_any_log_stay_within_the_day_and_never_go_back(lines: list[bytes]) -> None:
    times = planting.stretch(lines)

    assert len(lines) == len(times)
    assert times == sorted(times)
    assert all(START <= at <= START + DAY_SECONDS for at in times)


def test_stamps_of_a_log_are_scaled() -> None:
    lines = [b"[    1.000000] a", b"[    1.500000] b", b"no stamp", b"[    2.000000] c"]
    lines += [b"[    3.000000] d", b"[    2.500000] late", b"[    4.000000] e", b"[    5.000000] f"]

    assert [0.0, 12.5, 12.5, 25.0, 50.0, 50.0, 75.0, 100.0] == planting.stretch(lines, 100.0, 0.0)


def test_a_log_without_stamps_is_spread_evenly() -> None:
    assert [0.0, 25.0, 50.0, 75.0] == planting.stretch([b"a", b"b", b"c", b"d"], 100.0, 0.0)


def test_a_clock_that_was_set_does_not_leave_half_the_day_empty() -> None:
    lines = [b"[1.000] a", b"[2.000] b", b"[9000.000] c", b"[9001.000] d"]

    assert [0.0, 25.0, 50.0, 75.0] == planting.stretch(lines, 100.0, 0.0)


def test_a_log_with_its_newest_line_first_is_turned_around(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("2024-05-07 10:00:02 c\n2024-05-07 10:00:01 b\n2024-05-07 10:00:00 a\n")

    found = planting.healthy_log(path, "iso")

    assert [b"a", b"b", b"c"] == [line[-1:] for line in found.lines]


def test_the_column_of_labels_is_no_part_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tbird.log"
    path.write_text("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond: x\n")

    assert planting.healthy_log(path, "thunderbird").lines[0].startswith(b"1131566461 2005")


def test_headers_are_those_of_the_style() -> None:
    first, second, _ = planting.rendered(KIND, "syslog", START + 3600.0, host="h")

    assert (b"May  7 01:00:00 h kernel: a", b"May  7 01:00:00 h sshd[7]: b") == (first, second)
    assert [b"a", b"b", b"d"] == planting.rendered(KIND, "bare", START)
    assert [b"[  100.000000] a", b"[  100.500000] sshd[7]: b"] == planting.rendered(
        KIND, "dmesg", START
    )[:2]


def test_a_failure_is_planted_whole_and_in_order_among_the_lines_of_the_log() -> None:
    log = Healthy("host", "syslog", tuple(b"line %d" % number for number in range(2000)))

    mixed = planting.planted_day(log, KIND, seed=3)

    assert list(log.lines) == [line.text for line in mixed if line.index is None]
    assert [0, 1, 2] == [line.index for line in mixed if line.index is not None]
    assert [line.seconds for line in mixed] == sorted(line.seconds for line in mixed)
    at = [place for place, line in enumerate(mixed) if line.index is not None]
    assert at[1] == at[0] + 1  # half a second apart
    assert at[2] > at[1]


def test_the_same_seed_plants_at_the_same_time() -> None:
    log = Healthy("host", "bare", tuple(b"line %d" % number for number in range(200)))

    assert planting.planted_day(log, KIND, 1) == planting.planted_day(log, KIND, 1)
    assert planting.one_start(log, KIND, 1) != planting.one_start(log, KIND, 2)


def test_a_week_is_the_day_seven_times() -> None:
    log = Healthy("host", "bare", (b"a", b"b"))

    week = list(planting.days(log, 7))

    assert [b"a", b"b"] * 7 == [line.text for line in week]
    assert START + 6.5 * DAY_SECONDS == week[-1].seconds
