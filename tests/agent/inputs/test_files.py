"""Following files: every kind of rotation, while running and while stopped."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from logagent.inputs.inotify import Inotify

from tests.agent.inputs.followed import Followed


def write(path: Path, *numbers: int, mode: str = "a", end: str = "\n") -> None:
    with path.open(mode) as file:
        file.write("".join(f"line {number} of the log{end}" for number in numbers))


def expected(*numbers: int) -> list[str]:
    return [f"line {number} of the log" for number in numbers]


def pack(path: Path) -> None:
    """Compress as gzip does: the copy beside the original, which goes last."""
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    write(path, *range(50))
    return path


@pytest.fixture
def followed(log: Path) -> Iterator[Followed]:
    reader = Followed(log)
    assert reader.lines() == expected(*range(50))
    yield reader
    reader.files.close()


def test_what_is_appended_is_read_once(log: Path, followed: Followed) -> None:
    write(log, 50, 51)
    assert followed.lines() == expected(50, 51)
    assert followed.lines() == []


def test_a_line_is_read_when_its_newline_is_there(log: Path, followed: Followed) -> None:
    with log.open("a") as file:
        file.write("half a ")
        file.flush()
        assert followed.lines() == []
        file.write("line\n")
    assert followed.lines() == ["half a line"]


def test_copytruncate_while_running(tmp_path: Path, log: Path, followed: Followed) -> None:
    write(log, 50, 51)  # not yet read: only the copy will have them
    shutil.copy(log, tmp_path / "app.log.1")
    os.truncate(log, 0)
    write(log, *range(52, 60))
    assert sorted(followed.lines()) == sorted(expected(*range(50, 60)))
    write(log, *range(60, 160))
    assert followed.lines() == expected(*range(60, 160))


def test_a_copy_that_is_seen_before_the_truncation_is_not_read_twice(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    shutil.copy(log, tmp_path / "app.log.1")
    assert followed.lines() == []
    write(log, 50)
    assert followed.lines() == expected(50)
    os.truncate(log, 0)
    assert followed.lines() == []
    write(log, 51)
    assert followed.lines() == expected(51)


def test_a_file_refilled_beyond_the_old_offset_is_read_from_its_start(
    log: Path, followed: Followed
) -> None:
    write(log, *range(100, 300), mode="w")
    assert followed.lines() == expected(*range(100, 300))


def test_rename_and_create_with_late_lines_to_the_old_file(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    with log.open("a") as late:
        log.rename(tmp_path / "app.log.1")
        write(log, 60, 61)
        late.write("late line\n")
        late.flush()
        assert followed.lines() == ["late line", *expected(60, 61)]
        late.write("later line\n")
        late.flush()
        assert followed.lines() == ["later line"]


def test_a_stopped_agent_repeats_nothing(followed: Followed) -> None:
    followed.restart()
    assert followed.lines() == []


def test_rotation_while_stopped(tmp_path: Path, log: Path, followed: Followed) -> None:
    write(log, *range(50, 70))
    followed.restart()
    log.rename(tmp_path / "app.log.1")
    write(log, 70, 71)
    assert followed.lines() == expected(*range(50, 72))


def test_rotation_twice_while_stopped(tmp_path: Path, log: Path, followed: Followed) -> None:
    write(log, 50)
    followed.restart()
    log.rename(tmp_path / "app.log.2")
    write(tmp_path / "app.log.1", 51, 52)
    write(log, 53)
    assert followed.lines() == expected(*range(50, 54))


def test_rotation_and_compression_while_stopped(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    write(log, 50)
    followed.restart()
    log.rename(tmp_path / "app.log.2")
    pack(tmp_path / "app.log.2")
    write(tmp_path / "app.log.1", 51, 52)
    pack(tmp_path / "app.log.1")
    write(log, 53)
    assert followed.lines() == expected(*range(50, 54))
    followed.restart()
    assert followed.lines() == []


def test_copytruncate_while_stopped(tmp_path: Path, log: Path, followed: Followed) -> None:
    write(log, 50)
    followed.restart()
    shutil.copy(log, tmp_path / "app.log.1")
    write(log, *range(60, 200), mode="w")
    assert sorted(followed.lines()) == sorted(expected(50, *range(60, 200)))


def test_a_crash_repeats_lines_with_equal_ids(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    followed.save()
    write(log, 50, 51)
    assert followed.lines() == expected(50, 51)
    before = followed.ids[-2:]
    log.rename(tmp_path / "app.log.1")
    write(log, 52)
    assert followed.lines() == expected(52)
    before += followed.ids[-1:]
    followed.restart(save=False)
    assert followed.lines() == expected(50, 51, 52)
    assert followed.ids[-3:] == before


def test_no_two_lines_have_the_same_id_though_all_files_begin_alike(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    for turn in range(3):
        log.rename(tmp_path / f"app.log.{9 - turn}")
        write(log, *range(50))
        assert followed.lines() == expected(*range(50))
    assert len(set(followed.ids)) == len(followed.ids) == 200


def test_an_inode_that_is_used_again_is_another_file(tmp_path: Path, followed: Followed) -> None:
    log = tmp_path / "app.log"
    inode = log.stat().st_ino
    followed.restart()
    for attempt in range(200):  # the file system gives the same inode sooner or later
        log.unlink()
        log.write_text("line 0 of the log\n" + "".join(f"other {n} than that\n" for n in range(80)))
        if log.stat().st_ino == inode:
            break
        (tmp_path / f"filler{attempt}").touch()
    else:
        pytest.skip("this file system does not use an inode again so soon")
    assert followed.lines() == ["line 0 of the log", *(f"other {n} than that" for n in range(80))]


def test_a_deleted_file_is_read_to_its_end(log: Path, followed: Followed) -> None:
    with log.open("a") as file:
        log.unlink()
        file.write("last words\n")
    write(log, 70)
    assert followed.lines() == ["last words", *expected(70)]


def test_a_link_that_is_swapped(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a-1.txt", tmp_path / "b-2.txt", tmp_path / "current"
    write(first, 1)
    link.symlink_to(first)
    followed = Followed(link)
    assert followed.lines() == expected(1)
    write(first, 2)
    write(second, 3)
    new = tmp_path / "new"
    new.symlink_to(second)
    new.replace(link)
    assert followed.lines() == expected(2, 3)
    write(first, 4)
    write(second, 5)
    assert sorted(followed.lines()) == expected(4, 5)
    followed.files.close()


def test_a_link_that_is_swapped_while_stopped(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a-1.txt", tmp_path / "b-2.txt", tmp_path / "current"
    write(first, 1)
    link.symlink_to(first)
    followed = Followed(link)
    assert followed.lines() == expected(1)
    followed.restart()
    write(first, 2)
    write(second, 3)
    link.unlink()
    link.symlink_to(second)
    assert sorted(followed.lines()) == expected(2, 3)
    followed.files.close()


def test_new_files_of_a_folder_are_read_from_their_start(tmp_path: Path) -> None:
    followed = Followed(tmp_path, from_start=False)
    assert followed.lines() == []
    write(tmp_path / "old.log", 1)
    assert followed.lines() == expected(1)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write(tmp_path / "deep" / "er" / "new.log", 2)
    assert followed.lines() == expected(2)
    followed.files.close()


def test_a_glob_reads_a_renamed_file_once(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, 1)
    followed = Followed(tmp_path / "*")
    assert followed.lines() == expected(1)
    log.rename(tmp_path / "app.log.1")
    write(log, 2)
    assert followed.lines() == expected(2)
    (tmp_path / "app.log.1").rename(tmp_path / "app.log.2")
    pack(tmp_path / "app.log.2")
    log.rename(tmp_path / "app.log.1")
    write(log, 3)
    assert followed.lines() == expected(3)
    followed.restart()
    assert followed.lines() == []
    followed.files.close()


def test_what_is_there_at_the_first_start_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, 1, 2)
    write(tmp_path / "app.log.1", 0)
    followed = Followed(log, from_start=False)
    assert followed.lines() == []
    write(log, 3)
    assert followed.lines() == expected(3)
    followed.files.close()


def test_a_log_that_is_watched_from_now_on_is_begun_at_its_end(tmp_path: Path) -> None:
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    write(old, 1)
    write(new, 2)
    followed = Followed(old, from_start=False)
    followed.lines()
    followed.patterns.append(str(new))
    followed.restart()
    write(old, 3)
    assert followed.lines() == expected(3)
    write(new, 4)
    assert followed.lines() == expected(4)
    followed.files.close()


def test_a_batch_that_is_not_accepted_comes_again(log: Path, followed: Followed) -> None:
    write(log, 50, 51)
    assert followed.lines(accept=False) == expected(50, 51)
    assert followed.lines(accept=False) == expected(50, 51)
    assert followed.lines() == expected(50, 51)
    assert followed.lines() == []


def test_the_hole_that_copytruncate_leaves_is_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with log.open("w") as writer:  # not in append mode
        writer.write("".join(f"line {number} of the log\n" for number in range(20_000)))
        writer.flush()
        followed = Followed(log)
        assert len(followed.lines()) == 20_000
        shutil.copy(log, tmp_path / "app.log.1")
        os.truncate(log, 0)
        writer.write("line 20000 of the log\n")
        writer.flush()
        assert log.read_bytes()[0] == 0
        assert followed.lines() == expected(20_000)
    followed.files.close()


def test_an_over_long_line_is_cut_and_the_next_one_is_whole(log: Path, followed: Followed) -> None:
    with log.open("a") as file:
        file.write("x" * 300_000 + "\nafter\n")
    lines = followed.lines()
    assert [len(line) for line in lines] == [64 * 1024, 5]
    assert lines[1] == "after"
    assert followed.files.status()[0]["cut_lines"] == 1


def test_binary_files_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "wtmp").write_bytes(b"\x07\0\0\0" * 1000)
    write(tmp_path / "app.log", 1)
    followed = Followed(tmp_path)
    assert followed.lines() == expected(1)
    assert "skipped" in followed.kinds()
    assert "wtmp" in followed.reports[-1][1]
    followed.files.close()


def test_a_trace_stays_in_one_block(log: Path, followed: Followed) -> None:
    trace = "ERROR cannot save\njava.io.IOException: disk\n" + "\tat a.B.c(D.java:1)\n" * 30
    with log.open("a") as file:
        file.write("before\n" + trace)
        file.flush()
        assert followed.lines(1.0) == ["before"]  # more of it may come
        file.write("\tat last.One(E.java:2)\n")
    assert len(followed.lines()) == 33


def test_a_trace_is_not_cut_by_the_end_of_a_block(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    head = "x" * 1023 + "\n"
    trace = "ERROR cannot save\njava.io.IOException: disk\n" + "\tat a.B.c(D.java:1)\n" * 150
    log.write_text(head * 63 + trace + head)
    followed = Followed(log)
    blocks = []
    for _ in range(5):
        followed.files.wants_save = False
        for batch in followed.files.poll(1.0):
            blocks.append(batch.block.data.decode())
            followed.files.accepted(batch)
    assert [len(block) for block in blocks] == [63 * 1024 - 1, len(trace) + 1023]
    followed.files.close()


def test_a_truncation_without_a_copy_is_reported(log: Path, followed: Followed) -> None:
    write(log, 90, mode="w")
    assert followed.lines() == expected(90)
    followed.lines(100)
    assert {"truncated", "not-found-again"} <= followed.kinds()


def test_no_more_files_are_open_than_allowed(tmp_path: Path) -> None:
    logs = [tmp_path / f"{letter}.log" for letter in "abcdefghij"]
    for log in logs:
        write(log, 1)
    followed = Followed(tmp_path, max_open=3)
    assert followed.lines() == expected(1) * 10
    for log in logs:
        write(log, 2)
    assert followed.lines() == expected(2) * 10
    assert sum(tail.open for tail in followed.files._census.tails.values()) <= 3
    logs[0].rename(tmp_path / "a.log.1")
    write(logs[0], 3)
    assert followed.lines() == expected(3)
    followed.files.close()


def test_a_saved_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    for saved in ({}, {"patterns": [], "positions": [[1]]}, {"patterns": 3, "positions": []}):
        with pytest.raises(ValueError, match=r"has no|position"):
            Followed(tmp_path, saved=saved)


def test_a_trace_is_given_when_its_wait_is_over(log: Path, followed: Followed) -> None:
    write(log, 50)
    with log.open("a") as file:
        file.write("\tat a.B.c(D.java:1)\n")
    assert followed.lines(1.0) == []
    due = followed.files.deadline(followed.now)
    assert due <= followed.now + 0.6
    batch = next(followed.files.poll(due))
    assert batch.block.line_count == 2


def test_a_copy_of_a_log_that_goes_on_is_not_read_after_a_restart(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    shutil.copy(log, tmp_path / "app.log.bak")
    followed.restart()
    assert followed.lines() == []


def test_a_copy_of_a_rotated_copy_is_not_read(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    log.rename(tmp_path / "app.log.1")
    write(log, 50)
    assert followed.lines() == expected(50)
    assert followed.lines() == []
    shutil.copy(tmp_path / "app.log.1", tmp_path / "app.log.bak")
    assert followed.lines() == []
    pack(tmp_path / "app.log.1")
    assert followed.lines() == []
    shutil.copy(tmp_path / "app.log.1.gz", tmp_path / "app.log.bak.gz")
    assert followed.lines() == []


def test_what_only_the_copy_has_is_read_though_it_was_seen_before_the_truncation(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    write(log, 50, 51)
    assert followed.lines(accept=False) == expected(50, 51)
    shutil.copy(log, tmp_path / "app.log.1")
    followed.now += 20
    assert followed.lines(accept=False) == expected(50, 51)  # with a listing
    os.truncate(log, 0)
    assert followed.lines() == expected(50, 51)


def test_more_copies_than_are_remembered_are_not_read_again(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    for number in range(100, 130):
        packed = tmp_path / f"app.log-2026{number:04}"
        log.rename(packed)
        pack(packed)
        write(log, number)
        assert followed.lines() == expected(number)
    followed.restart()
    assert followed.lines() == []


def test_a_copy_that_begins_as_every_generation_does_is_read(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    banner = "".join(f"[    0.000000] step {step} of the boot\n" for step in range(50))
    log.write_text(banner + "line 1\n")
    followed = Followed(log)
    assert followed.lines()[50:] == ["line 1"]
    log.rename(tmp_path / "app.log.2")
    (tmp_path / "app.log.1").write_text(banner + "line 2\n")
    log.write_text(banner + "line 3\n")
    lines = followed.lines()
    assert [lines[50], lines[101]] == ["line 2", "line 3"]
    followed.files.close()


def test_a_crash_keeps_the_ids_of_a_log_that_was_compressed_before_the_next_save(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    log.rename(tmp_path / "app.log.1")
    write(log, 50, 51)
    followed.files.wants_save = False
    for _ in range(20):  # as the agent does: save when asked to, before lines are read
        followed.now += 1
        for batch in followed.files.poll(followed.now):
            followed.ids.append((batch.fingerprint, batch.block.offset))
            followed.files.accepted(batch)
        if followed.files.wants_save:
            followed.save()
            followed.files.wants_save = False
    read = followed.ids[-1]
    log.rename(tmp_path / "app.log.2")
    pack(tmp_path / "app.log.2")
    followed.restart(save=False)
    assert followed.lines() == expected(50, 51)
    assert followed.ids[-2] == read


def test_nothing_is_read_before_new_ids_are_saved(log: Path) -> None:
    followed = Followed(log)
    while not followed.files.wants_save:
        assert not list(followed.files.poll(1000.0))
    assert list(followed.files.poll(1001.0)) == []
    followed.files.close()


def test_a_binary_file_that_is_there_at_the_first_start_stays_unread(tmp_path: Path) -> None:
    wtmp = tmp_path / "wtmp"
    wtmp.write_bytes(b"\x07\0\0\0" * 1000)
    followed = Followed(tmp_path, from_start=False)
    assert followed.lines() == []
    with wtmp.open("ab") as file:
        file.write(b"\x07\0root\0\n" * 100)
    assert followed.lines() == []
    followed.files.close()


def test_a_text_in_the_place_of_a_binary_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"\x07\0\0\0" * 1000)
    followed = Followed(path)
    assert followed.lines() == []
    write(path, 1, mode="w")
    assert followed.lines() == expected(1)
    followed.files.close()


def test_a_compressed_copy_that_begins_with_a_hole_is_read(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    followed.restart()
    copy = tmp_path / "app.log.1"
    copy.write_bytes(bytes(100_000) + b"line 50 of the log\n")
    pack(copy)
    assert followed.lines() == expected(50)


def test_a_compressed_copy_that_is_not_whole_gives_no_part_of_a_line(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    text = "".join(f"line {number} of the log, {os.urandom(20).hex()}\n" for number in range(2000))
    data = gzip.compress(text.encode())
    copy = tmp_path / "app.log.2.gz"
    copy.write_bytes(data[: len(data) // 2])
    half = followed.lines()
    assert 0 < len(half) < 2000
    copy.write_bytes(data)
    assert half + followed.lines() == text.splitlines()


def test_dated_copies_are_read_in_the_order_of_their_dates(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    followed.restart()
    log.rename(tmp_path / "app.log-2026-11-19")
    for day in (22, 20, 21):
        path = tmp_path / f"app.log-2026-11-{day}"
        write(path, day)
        os.utime(path, (100 - day, 100 - day))
    write(log, 23)
    assert followed.lines() == expected(20, 21, 22, 23)


def test_a_folder_behind_a_link_that_is_swapped_while_stopped(tmp_path: Path) -> None:
    first, second, link = tmp_path / "first", tmp_path / "second", tmp_path / "logs"
    first.mkdir()
    second.mkdir()
    link.symlink_to(first)
    write(first / "app.log", 1)
    followed = Followed(link / "app.log")
    assert followed.lines() == expected(1)
    followed.restart()
    write(first / "app.log", 2)
    write(second / "app.log", 3)
    link.unlink()
    link.symlink_to(second)
    assert sorted(followed.lines()) == expected(2, 3)
    followed.files.close()


def test_a_folder_that_is_moved_away_and_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "app.log", 1)
    followed = Followed(folder)
    assert followed.lines() == expected(1)
    folder.rename(tmp_path / "away")
    assert followed.lines() == []
    write(tmp_path / "away" / "app.log", 2)
    (tmp_path / "away").rename(folder)
    assert followed.lines() == expected(2)
    followed.files.close()


def test_an_old_file_that_never_stops_growing_does_not_starve_the_new_one(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    with log.open("a") as old:
        log.rename(tmp_path / "app.log.1")
        write(log, 50)
        got: list[str] = []
        for _ in range(10):
            old.write("x" * 63 + "\n")
            old.write(("x" * 63 + "\n") * 40_000)  # more than one turn takes
            old.flush()
            followed.now += 5
            followed.files.wants_save = False
            for batch in followed.files.poll(followed.now):
                got += [line.decode() for line in batch.block.lines()]
                followed.files.accepted(batch)
    assert expected(50)[0] in got


def test_the_old_file_comes_first_though_it_takes_many_turns(
    tmp_path: Path, log: Path, followed: Followed
) -> None:
    followed.restart()
    write(log, *range(50, 200_000))
    log.rename(tmp_path / "app.log.1")
    write(log, 200_000)
    assert followed.lines()[-2:] == expected(199_999, 200_000)


def test_descriptors_that_run_out_cost_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from logagent.inputs import files

    opened = 0

    def scarce(path: str) -> int:
        nonlocal opened
        if sum(tail.open for tail in followed.files._census.tails.values()) >= 3:
            raise OSError(errno.EMFILE, "Too many open files")
        opened += 1
        return real(path)

    real = files.open_regular
    monkeypatch.setattr(files, "open_regular", scarce)
    for letter in "abcdefgh":
        write(tmp_path / f"{letter}.log", *range(5))
    followed = Followed(tmp_path)
    assert sorted(followed.lines()) == sorted(expected(*range(5)) * 8)
    assert opened
    followed.files.close()


def test_a_log_replaced_by_a_pipe_and_back(log: Path, followed: Followed) -> None:
    log.unlink()
    os.mkfifo(log)
    assert followed.lines() == []
    assert "not-a-file" in followed.kinds()
    log.unlink()
    write(log, 60)
    assert followed.lines() == expected(60)
    log.unlink()
    log.mkdir()
    assert followed.lines() == []


def test_two_names_of_one_file_are_read_once(tmp_path: Path, log: Path) -> None:
    os.link(log, tmp_path / "other.log")
    followed = Followed(tmp_path)
    assert followed.lines() == expected(*range(50))
    log.rename(tmp_path / "app.log.1")
    write(log, 50)
    assert followed.lines() == expected(50)
    followed.files.close()


def test_a_refill_of_the_same_size_and_times_is_seen_by_the_kernels_own(
    log: Path, followed: Followed
) -> None:
    status = log.stat()
    log.write_bytes(log.read_bytes().replace(b"line", b"LINE"))
    os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [line[:4] for line in followed.lines()] == ["LINE"] * 50


def test_a_trace_that_a_sink_did_not_take_comes_again(log: Path, followed: Followed) -> None:
    with log.open("a") as file:
        file.write("ERROR cannot save\n\tat a.B.c(D.java:1)\n")
    assert followed.lines(1.0) == []
    batch = next(followed.files.poll(followed.files.deadline(followed.now)))
    assert len(followed.lines()) == batch.block.line_count == 2


def test_inotify_tells_of_lines_and_of_new_names_at_once(tmp_path: Path) -> None:
    inotify = Inotify.open()
    if inotify is None:
        pytest.skip("no inotify here")
    log = tmp_path / "app.log"
    write(log, 1)
    followed = Followed(tmp_path, inotify=inotify)
    assert followed.lines(0.0) == expected(1)
    write(log, 2)
    assert followed.lines(0.0) == expected(2)
    log.rename(tmp_path / "app.log.1")
    write(log, 3)
    write(tmp_path / "new.log", 4)
    assert sorted(followed.lines(0.0)) == expected(3, 4)
    followed.files.close()


def test_inotify_that_tells_nothing_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inotify = Inotify.open()
    if inotify is None:
        pytest.skip("no inotify here")
    monkeypatch.setattr(Inotify, "read", lambda self: [])
    log = tmp_path / "app.log"
    write(log, 1)
    followed = Followed(tmp_path, inotify=inotify)
    assert followed.lines() == expected(1)
    write(log, 2)
    assert followed.lines(1.0) == expected(2)
    log.rename(tmp_path / "app.log.1")
    write(log, 3)
    assert followed.lines(10.0) == expected(3)
    followed.files.close()
