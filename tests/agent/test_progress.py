"""The progress line: on a terminal only, wiped, never wider than it."""

from __future__ import annotations

import io

import pytest
from logagent.blocks import Block
from logagent.progress import Progress
from logagent.scan import Step, Totals

WIPE = "\r\x1b[K"


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


class FakeSource:
    """A source of a known size, half read."""

    def __init__(self, name: str = "syslog", size: int | None = 1000) -> None:
        self.name = name
        self.size_bytes = size

    def position_bytes(self) -> int:
        return 500


def step(name: str = "syslog", size: int | None = 1000) -> Step:
    return Step(FakeSource(name, size), b"", Block(b"x", 1, 0), [], [])  # type: ignore[arg-type]


TOTALS = Totals(lines=12_000, bytes=3_000_000, seconds=1.5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("logagent.progress.time", made)
    return made


def test_nothing_is_written_when_not_enabled(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, enabled=False)
    progress.update(step(), TOTALS, 3)
    progress.wipe()

    assert "" == stream.getvalue()


def test_it_tells_how_far_where_how_fast_and_how_much_was_found(clock: Clock) -> None:
    stream = io.StringIO()
    Progress(stream, enabled=True).update(step(), TOTALS, 3)

    assert (
        f"{WIPE}[{'#' * 12}{' ' * 12}]  50%  syslog  12,000 lines  2.0 MB/s  3 groups"
        == stream.getvalue()
    )


def test_a_pipe_has_no_bar(clock: Clock) -> None:
    stream = io.StringIO()
    Progress(stream, enabled=True).update(step("-", None), TOTALS, 0)

    assert f"{WIPE}-  12,000 lines  2.0 MB/s  0 groups" == stream.getvalue()


def test_it_is_drawn_at_most_ten_times_a_second(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, enabled=True)
    for tick in range(100):
        clock.seconds = 100 + tick / 64  # exact in binary
        progress.update(step(), TOTALS, 3)

    assert 2 <= stream.getvalue().count(WIPE) <= 16


def test_it_is_wiped_once_and_drawn_again(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, enabled=True)
    progress.wipe()
    assert "" == stream.getvalue()

    progress.update(step(), TOTALS, 3)
    progress.wipe()
    progress.wipe()
    assert stream.getvalue().endswith(f"groups{WIPE}")
    assert 2 == stream.getvalue().count(WIPE)

    clock.seconds += 1
    progress.update(step(), TOTALS, 4)
    assert stream.getvalue().endswith("4 groups")


@pytest.mark.parametrize("width", [10, 40, 80])
def test_it_is_narrower_than_the_terminal(clock: Clock, width: int) -> None:
    stream = io.StringIO()
    Progress(stream, enabled=True, width=width).update(step("x" * 300), TOTALS, 3)

    assert len(stream.getvalue().removeprefix(WIPE)) < width


def test_a_hostile_file_name_draws_nothing_of_its_own(clock: Clock) -> None:
    stream = io.StringIO()
    Progress(stream, enabled=True).update(step("\x1b[2J\n\u202eevil"), TOTALS, 3)

    assert stream.getvalue().removeprefix(WIPE).isprintable()
