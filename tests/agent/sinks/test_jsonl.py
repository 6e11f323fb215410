"""The rotating file: full disks, power cuts, other people's logrotate."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sinks import SinkError
from logagent.sinks.jsonl import JsonlSink

from .fakes import Clock, FullDisk, alert

LINE = len(alert(0).record) + 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alerts.jsonl"


def records(path: Path) -> list[bytes]:
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data
    return data.splitlines()


def numbers(*paths: Path) -> list[int]:
    return [int(line[7:23], 16) for path in paths for line in records(path)]


def test_records_are_appended_to_what_is_there(path: Path) -> None:
    for number in (1, 2):
        with closing(JsonlSink(str(path))) as sink:
            sink.write(alert(number))

    assert [1, 2] == numbers(path)


def test_others_may_not_read_the_file(path: Path) -> None:
    with closing(JsonlSink(str(path))) as sink:
        sink.write(alert(1))

    assert 0 == path.stat().st_mode & 0o137


def test_a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    with closing(JsonlSink(str(tmp_path / "none" / "file"))) as sink:
        with pytest.raises(SinkError, match=r"the folder .*none does not exist"):
            sink.write(alert(1))
        assert [] == list(tmp_path.iterdir())

        (tmp_path / "none").mkdir()
        sink.write(alert(1))
    assert [1] == numbers(tmp_path / "none" / "file")


def test_a_fifo_does_not_hold_up_the_agent(path: Path) -> None:
    os.mkfifo(path)
    with closing(JsonlSink(str(path))) as sink, pytest.raises(SinkError, match="not a regular"):
        sink.write(alert(1))


@pytest.mark.parametrize("torn", [b'{"id":"12', b"{", b"\0" * 5000, b'{"a":' + b"x" * 200_000])
def test_a_record_torn_by_a_power_cut_is_cut_off(path: Path, torn: bytes) -> None:
    path.write_bytes(alert(1).record + b"\n" + torn)
    told: list[str] = []
    sink = JsonlSink(str(path), report=lambda kind, message: told.append(kind))
    with closing(sink):
        sink.write(alert(2))

    assert [1, 2] == numbers(path)
    assert 1 == sink.torn
    assert ["torn"] == told


def test_a_file_that_is_nothing_but_a_torn_record_is_emptied(path: Path) -> None:
    path.write_bytes(b'{"id')
    with closing(JsonlSink(str(path))) as sink:
        sink.write(alert(2))

    assert [2] == numbers(path)


@pytest.mark.parametrize("before", [b"a\nmy notes", b"my notes", b"{" + b"x" * 2_000_000])
def test_what_is_no_torn_record_of_ours_stays(path: Path, before: bytes) -> None:
    path.write_bytes(before)
    with closing(JsonlSink(str(path))) as sink:
        sink.write(alert(2))

    assert before + b"\n" + alert(2).record + b"\n" == path.read_bytes()
    assert 0 == sink.torn


def test_the_search_for_a_torn_record_reads_a_bounded_part_of_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 33)  # sparse
    asked = 0
    pread = os.pread

    def counted(descriptor: int, count: int, offset: int) -> bytes:
        nonlocal asked
        asked += count
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", counted)
    with closing(JsonlSink(str(path), max_bytes=0)) as sink:
        sink.write(alert(1))

    assert asked < 2 * 1024 * 1024


@given(room=st.integers(0, 4 * LINE))
def test_a_full_disk_leaves_whole_records_and_takes_the_rest_later(
    tmp_path_factory: pytest.TempPathFactory, room: int
) -> None:
    path = tmp_path_factory.mktemp("full") / "file"
    with pytest.MonkeyPatch.context() as patch, closing(JsonlSink(str(path))) as sink:
        disk = FullDisk(patch, path.parent, room)
        for number in range(4):
            try:
                sink.write(alert(number))
            except SinkError:
                assert 0 == disk.room
                assert list(range(number)) == numbers(path)
                disk.room = 10_000
                sink.write(alert(number))
        assert [0, 1, 2, 3] == numbers(path)
        assert 0 == sink.torn


def test_a_real_limit_of_the_file_size_is_a_full_disk(path: Path) -> None:
    """The kernel writes a part, then refuses: the short write is taken back."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(JsonlSink(str(path))) as sink:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LINE + 10, before[1]))
        try:
            sink.write(alert(1))
            with pytest.raises(SinkError, match="File too large"):
                sink.write(alert(2))
            assert [1] == numbers(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sink.write(alert(2))

    assert [1, 2] == numbers(path)


def test_a_torn_record_that_cannot_be_taken_back_is_cut_off_at_the_next_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(JsonlSink(str(path))) as sink:
        sink.write(alert(1))
        with monkeypatch.context() as patch:
            FullDisk(patch, path.parent, room=10)

            def refuse(descriptor: int, length: int) -> None:
                raise OSError(5, "Input/output error")

            patch.setattr(os, "ftruncate", refuse)
            with pytest.raises(SinkError, match="No space left"):
                sink.write(alert(2))
        sink.write(alert(2))

    assert [1, 2] == numbers(path)
    assert 1 == sink.torn


def test_rotation_keeps_the_last_files(path: Path) -> None:
    with closing(JsonlSink(str(path), max_bytes=2 * LINE, keep=2)) as sink:
        for number in range(9):
            sink.write(alert(number))

    older = [path.with_name("alerts.jsonl.2"), path.with_name("alerts.jsonl.1")]
    assert [4, 5, 6, 7, 8] == numbers(*older, path)
    assert {path, *older} == set(path.parent.iterdir())


def test_a_record_larger_than_a_file_may_be_gets_one_of_its_own(path: Path) -> None:
    with closing(JsonlSink(str(path), max_bytes=10)) as sink:
        sink.write(alert(1))
        sink.write(alert(2))

    assert [1, 2] == numbers(path.with_name("alerts.jsonl.1"), path)


def test_zero_never_rotates(path: Path) -> None:
    with closing(JsonlSink(str(path), max_bytes=0)) as sink:
        for number in range(50):
            sink.write(alert(number))

    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("failing", range(4))
def test_a_rotation_that_fails_anywhere_loses_nothing_and_is_told_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    clock = Clock()
    told: list[str] = []
    sink = JsonlSink(str(path), 2 * LINE, 4, report=lambda kind, _: told.append(kind), clock=clock)
    with closing(sink):
        for number in range(8):  # .1 .2 .3 and the file itself
            sink.write(alert(number))
        rename = os.rename
        calls = 0

        def broken(source: str, target: str) -> None:
            nonlocal calls
            calls += 1
            if calls > failing:
                raise PermissionError(13, "Permission denied")
            rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", broken)
            for number in range(8, 12):
                sink.write(alert(number))
                failed = sink.rotations_failed
                sink.write(alert(100 + number))
                assert failed == sink.rotations_failed, "tried again at once"
                clock.now += 61
                calls = failing
        assert ["rotation"] == told
        assert 4 == sink.rotations_failed
        kept = sorted(path.parent.iterdir(), key=lambda each: each.suffix, reverse=True)
        assert [*range(12), *range(108, 112)] == sorted(numbers(*kept))

        clock.now += 61
        sink.write(alert(12))
        assert [12] == numbers(path)


def test_a_rotation_is_durable_before_the_next_record(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    for name in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, name, lambda descriptor, name=name: events.append(name))
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda *paths: (events.append("rename"), rename(*paths)))
    with closing(JsonlSink(str(path), max_bytes=LINE)) as sink:
        sink.write(alert(1))
        sink.write(alert(2))

        assert ["fdatasync", "rename", "fsync"] == events


@pytest.fixture
def followed(path: Path) -> Iterator[tuple[JsonlSink, Clock]]:
    clock = Clock()
    with closing(JsonlSink(str(path), clock=clock)) as sink:
        sink.write(alert(1))
        yield sink, clock


def test_a_file_renamed_by_logrotate_is_followed_within_a_second(
    path: Path, followed: tuple[JsonlSink, Clock]
) -> None:
    sink, clock = followed
    old = path.rename(path.with_name("old"))
    clock.now += 0.5
    sink.write(alert(2))
    clock.now += 0.6
    sink.write(alert(3))

    assert [1, 2] == numbers(old)
    assert [3] == numbers(path)


def test_a_renamed_file_is_always_noticed_by_sync(
    path: Path, followed: tuple[JsonlSink, Clock]
) -> None:
    sink, _ = followed
    path.rename(path.with_name("old"))
    sink.sync()
    sink.write(alert(2))

    assert [2] == numbers(path)


def test_a_deleted_file_is_made_anew_at_once(path: Path, followed: tuple[JsonlSink, Clock]) -> None:
    sink, _ = followed
    path.unlink()
    sink.write(alert(2))

    assert [2] == numbers(path)


def test_a_file_truncated_by_logrotate_gets_no_hole(
    path: Path, followed: tuple[JsonlSink, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, _ = followed
    os.truncate(path, 0)
    with monkeypatch.context() as patch:
        FullDisk(patch, path.parent, room=10)
        with pytest.raises(SinkError):
            sink.write(alert(2))
    sink.write(alert(3))

    assert [3] == numbers(path)


def test_sync_syncs_only_what_was_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append("file"))
    monkeypatch.setattr(os, "fsync", lambda _: synced.append("folder"))
    with closing(JsonlSink(str(path))) as sink:
        sink.sync()
        assert [] == synced
        sink.write(alert(1))
        sink.sync()
        assert ["file", "folder"] == synced
        sink.sync()
        sink.write(alert(2))
        sink.sync()
        assert ["file", "folder", "file"] == synced


def test_data_lost_while_the_file_was_changed_fails_the_next_sync(
    path: Path, followed: tuple[JsonlSink, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, clock = followed

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    path.rename(path.with_name("old"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        clock.now += 2
        sink.write(alert(2))
    with pytest.raises(SinkError, match="cannot be synced: Input/output error"):
        sink.sync()
    sink.sync()


@pytest.mark.parametrize("options", [{"max_bytes": -1}, {"keep": 0}])
def test_senseless_limits_are_refused(path: Path, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keep at least 1"):
        JsonlSink(str(path), **options)
