"""The queue on disk: killed at any byte, damaged, full, and empty again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sinks import Alert
from logagent.sinks.frames import frame_of
from logagent.sinks.spool import Spool, SpoolError

from .fakes import FullDisk, alert

START = 12  # [bytes] magic and token of a segment
FRAME = len(frame_of(alert(0)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


def spooled(folder: Path, numbers: range, segment_bytes: int = 1 << 18) -> None:
    """Append alerts as a process that is killed at once does: nothing is synced."""
    with closing(Spool(folder, segment_bytes=segment_bytes)) as spool:
        for number in numbers:
            spool.append(alert(number))


def drained(spool: Spool) -> list[int]:
    found = []
    while (each := spool.peek()) is not None:
        assert alert(int(each.id, 16)).record == each.record
        found.append(int(each.id, 16))
        spool.pop()
    return found


def waiting(folder: Path) -> list[int]:
    """What another process finds."""
    with closing(Spool(folder)) as spool:
        expected = len(spool)
        found = drained(spool)
        assert expected == len(found)
        return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.frames"))


def test_alerts_come_back_as_they_were(folder: Path) -> None:
    given_alert = Alert("é", b"\x00\xff{}", "text \U0001f600", 2)
    with closing(Spool(folder)) as spool:
        assert 0 == spool.append(given_alert)
    with closing(Spool(folder)) as spool:
        assert given_alert == spool.peek()
        assert given_alert == spool.peek()
        assert 1 == len(spool)


def test_an_empty_spool_writes_nothing(folder: Path) -> None:
    with closing(Spool(folder)) as spool:
        assert spool.peek() is None
        spool.acknowledge()
        spool.sync()
        assert (0, 0) == (len(spool), spool.size_bytes)

    assert not folder.parent.exists()


def test_a_drained_spool_leaves_no_file_and_goes_on(folder: Path) -> None:
    with closing(Spool(folder, segment_bytes=3 * FRAME)) as spool:
        for start in (0, 100):
            for number in range(start, start + 10):
                spool.append(alert(number))
            spool.peek()
            spool.pop()
            spool.acknowledge()
            spool.sync()
            assert (folder / "position").exists()
            assert list(range(start + 1, start + 10)) == drained(spool)
            spool.acknowledge()
            spool.sync()
            assert [] == list(folder.iterdir())
            assert 0 == spool.size_bytes


def test_others_may_not_read_it(folder: Path) -> None:
    with closing(Spool(folder)) as spool:
        spool.append(alert(1))
        spool.append(alert(2))
        spool.peek()
        spool.pop()
        spool.acknowledge()
        spool.sync()

    assert [0] * 3 == [each.stat().st_mode & 0o77 for each in [folder, *folder.iterdir()]]


def test_killed_at_any_byte_the_spool_gives_every_whole_frame_and_goes_on(folder: Path) -> None:
    spooled(folder, range(6), segment_bytes=3 * FRAME)
    first, last = segments(folder)
    whole = last.read_bytes()
    ends = [START + FRAME * n for n in range(4)]
    kept = folder.parent / "kept"
    for length in range(len(whole) + 1):
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept)
        os.truncate(kept / last.name, length)
        survivors = 3 + sum(end <= length for end in ends[1:])
        expected = list(range(survivors))

        with closing(Spool(kept)) as spool:
            assert 0 == spool.damaged
            assert survivors == len(spool)
            spool.append(alert(100))
        assert [*expected, 100] == waiting(kept)
    assert first.exists()


@given(
    at=st.integers(0, START + 3 * FRAME - 1),
    value=st.integers(1, 255),
    segment=st.integers(0, 2),
)
def test_a_damaged_byte_costs_at_most_the_rest_of_its_segment(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, segment: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spooled(folder, range(9), segment_bytes=3 * FRAME)
    path = segments(folder)[segment]
    data = bytearray(path.read_bytes())
    data[at] ^= value
    path.write_bytes(data)
    in_token = 4 <= at < 12
    intact = 3 if in_token else 0 if at < 4 else (at - START) // FRAME
    survivors = [n for n in range(9) if n // 3 != segment or n % 3 < intact]

    with closing(Spool(folder)) as spool:
        spool.append(alert(100))
        assert [*survivors, 100] == drained(spool)
        in_length = at >= START and (at - START) % FRAME < 4
        if segment < 2 or not in_length:  # a length that reaches beyond the end looks torn
            assert int(not in_token) == spool.damaged
        spool.acknowledge()
        assert [] == list(folder.iterdir())


def test_damage_that_comes_while_we_run_is_counted_and_skipped(folder: Path) -> None:
    with closing(Spool(folder, segment_bytes=3 * FRAME)) as spool:
        for number in range(6):
            spool.append(alert(number))
        with segments(folder)[0].open("r+b") as file:
            file.seek(START + FRAME + 20)
            file.write(b"?")
        assert [0, 3, 4, 5] == drained(spool)
        assert 2 == spool.damaged


@pytest.mark.parametrize("victim", [0, 1])
def test_a_segment_that_somebody_deletes_is_counted_and_skipped(folder: Path, victim: int) -> None:
    with closing(Spool(folder, segment_bytes=3 * FRAME)) as spool:
        for number in range(6):
            spool.append(alert(number))
        segments(folder)[victim].unlink()
        found = drained(spool)
        spool.append(alert(100))
        assert [*found, 100] == [[3, 4, 5], [0, 1, 2]][victim] + drained(spool)
        assert 3 == spool.damaged


def test_zeros_left_by_a_power_cut_are_no_alerts(folder: Path) -> None:
    spooled(folder, range(2))
    with segments(folder)[0].open("ab") as file:
        file.write(bytes(5000))
    with closing(Spool(folder)) as spool:
        assert 0 == spool.damaged
        spool.append(alert(2))

    assert [0, 1, 2] == waiting(folder)


def test_what_was_popped_comes_again_after_a_kill_until_it_is_acknowledged(folder: Path) -> None:
    spooled(folder, range(5))
    with closing(Spool(folder)) as spool:
        assert [0, 1, 2, 3, 4] == drained(spool)
        spool.sync()
    assert [0, 1, 2, 3, 4] == waiting(folder)

    with closing(Spool(folder)) as spool:
        for _ in range(2):
            spool.peek()
            spool.pop()
        spool.acknowledge()
        spool.sync()
        spool.peek()
        spool.pop()
    assert [2, 3, 4] == waiting(folder)


def test_rewind_gives_again_what_was_not_acknowledged(folder: Path) -> None:
    with closing(Spool(folder, segment_bytes=2 * FRAME)) as spool:
        for number in range(6):
            spool.append(alert(number))
        spool.peek()
        spool.pop()
        spool.acknowledge()
        assert [1, 2, 3, 4, 5] == drained(spool)
        spool.rewind()
        assert 5 == len(spool)
        assert [1, 2, 3, 4, 5] == drained(spool)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xc1", b"x" * 100_000, b"\x93\x01\x02\x03"])
def test_a_position_that_makes_no_sense_gives_all_again(folder: Path, content: bytes) -> None:
    spooled(folder, range(3))
    (folder / "position").write_bytes(content)

    assert [0, 1, 2] == waiting(folder)


@pytest.mark.parametrize("offset", [START, START + 1, START + 2 * FRAME, 1 << 40, -1, "1"])
def test_a_position_between_two_frames_gives_all_again(folder: Path, offset: object) -> None:
    spooled(folder, range(3))
    token = segments(folder)[0].read_bytes()[4:START]
    (folder / "position").write_bytes(msgpack.packb([token, offset, 1]))
    assert [0, 1, 2] == waiting(folder)

    (folder / "position").write_bytes(msgpack.packb([token, START + FRAME, 1]))
    assert [1, 2] == waiting(folder)


def test_a_position_of_another_segment_is_not_believed(folder: Path) -> None:
    """The old segment was deleted, the position outlived it, the number was used again."""
    spooled(folder, range(3))
    with closing(Spool(folder)) as spool:
        spool.peek()
        spool.pop()
        spool.acknowledge()
        spool.sync()
    old = (folder / "position").read_bytes()
    shutil.rmtree(folder)
    spooled(folder, range(5, 8))  # frames of the same lengths
    (folder / "position").write_bytes(old)

    assert [5, 6, 7] == waiting(folder)


def test_a_full_spool_drops_the_oldest_and_counts_them(folder: Path) -> None:
    limit = 40 * FRAME
    with closing(Spool(folder, limit)) as spool:
        dropped = 0
        for number in range(500):
            dropped += spool.append(alert(number))
            assert spool.size_bytes <= limit
            assert sum(each.stat().st_size for each in segments(folder)) == spool.size_bytes
        assert dropped == spool.dropped > 0
        assert list(range(dropped, 500)) == drained(spool)
        assert 500 - dropped >= 25


def test_what_the_sink_already_has_is_not_counted_as_dropped(folder: Path) -> None:
    with closing(Spool(folder, 16 * FRAME)) as spool:
        taken = []
        for number in range(100):
            spool.append(alert(number))
            if number % 3 == 0 and (each := spool.peek()) is not None:
                taken.append(int(each.id, 16))
                spool.pop()
        taken += drained(spool)
        assert sorted(set(taken)) == taken
        assert 100 == len(taken) + spool.dropped


def test_an_alert_that_never_fits_is_dropped_and_counted(folder: Path) -> None:
    with closing(Spool(folder, 4096)) as spool:
        assert 1 == spool.append(alert(1, size=5000))
        assert 0 == spool.append(alert(2))
        assert (1, 1) == (len(spool), spool.dropped)


@given(room=st.integers(0, 8 * FRAME))
def test_a_full_disk_loses_nothing_that_was_taken_and_takes_the_rest_later(
    tmp_path_factory: pytest.TempPathFactory, room: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(Spool(folder, segment_bytes=3 * FRAME)) as spool,
    ):
        disk = FullDisk(patch, folder, room)
        for number in range(7):
            try:
                spool.append(alert(number))
            except SpoolError:
                assert 0 == disk.room
                assert number == len(spool)
                assert list(range(number)) == waiting(folder)
                disk.room = 1 << 20
                spool.append(alert(number))
        assert list(range(7)) == waiting(folder)
        assert list(range(7)) == drained(spool)
        assert 0 == spool.damaged


@pytest.mark.parametrize("room", [0, 5, START + 5])
def test_a_segment_that_cannot_be_begun_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    FullDisk(monkeypatch, folder, room)
    with closing(Spool(folder)) as spool, pytest.raises(SpoolError, match="No space left"):
        spool.append(alert(0))

    assert [] == segments(folder)


def test_a_torn_frame_that_cannot_be_taken_back_is_never_appended_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Spool(folder)) as spool:
        spool.append(alert(0))
        with monkeypatch.context() as patch:
            FullDisk(patch, folder, room=10)

            def refuse(descriptor: int, length: int) -> None:
                raise OSError(5, "Input/output error")

            patch.setattr(os, "ftruncate", refuse)
            with pytest.raises(SpoolError):
                spool.append(alert(1))
        spool.append(alert(1))

    assert [0, 1] == waiting(folder)


def test_foreign_files_are_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    foreign = [folder / name for name in ("notes.txt", "1.frames", ".hidden", "x.frames")]
    for path in foreign:
        path.write_bytes(b"mine")
    left_over = folder / ".position.abc.tmp"
    left_over.write_bytes(b"")
    spooled(folder, range(3))
    with closing(Spool(folder)) as spool:
        assert [0, 1, 2] == drained(spool)
        spool.acknowledge()
        assert 0 == spool.damaged

    assert sorted(foreign) == sorted(folder.iterdir())


def test_a_folder_that_is_a_file_is_an_error(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_bytes(b"")
    with pytest.raises(SpoolError, match="Not a directory"):
        Spool(folder)


def test_sync_makes_frames_and_names_durable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    with closing(Spool(folder, segment_bytes=2 * FRAME)) as spool:
        for number in range(3):
            spool.append(alert(number))
        spool.sync()
        spool.sync()
    first, second = map(str, segments(folder))

    assert [str(folder.parent), first, second, str(folder)] == synced


def test_a_failing_sync_is_an_error_and_a_position_that_cannot_be_saved_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with closing(Spool(folder)) as spool:
        spool.append(alert(0))
        spool.append(alert(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            with pytest.raises(SpoolError, match="Input/output error"):
                spool.sync()
        spool.sync()
        spool.peek()
        spool.pop()
        spool.acknowledge()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            spool.sync()
        assert [0, 1] == waiting(folder)
        spool.sync()
        assert [1] == waiting(folder)


STEPS = st.lists(st.sampled_from(["append", "pop", "acknowledge", "sync", "rewind", "kill"]))


@given(steps=STEPS)
def test_whatever_happens_alerts_come_in_order_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, segment_bytes=2 * FRAME)
    appended = given_out = acknowledged = 0
    try:
        for step in steps:
            if step == "append":
                spool.append(alert(appended))
                appended += 1
            elif step == "pop":
                each = spool.peek()
                assert (None if given_out == appended else alert(given_out)) == each
                if each is not None:
                    spool.pop()
                    given_out += 1
            elif step == "acknowledge":
                spool.acknowledge()
                acknowledged = given_out
            elif step == "sync":
                spool.sync()
            elif step == "rewind":
                spool.rewind()
                given_out = acknowledged
            else:
                spool.close()
                spool = Spool(folder, segment_bytes=2 * FRAME)
                each = spool.peek()
                first = appended if each is None else int(each.id, 16)
                assert first <= acknowledged, "an alert nobody acknowledged is gone"
                given_out = acknowledged = first
            assert appended - given_out == len(spool)
        assert list(range(given_out, appended)) == drained(spool)
        spool.acknowledge()
        assert [] == list(folder.iterdir())
    finally:
        spool.close()


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert len(before) >= len(set(os.listdir("/proc/self/fd")))
