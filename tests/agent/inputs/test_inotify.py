"""Inotify: what happens in a watched folder is told, whatever the names."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from logagent.inputs import inotify
from logagent.inputs.inotify import Event, Inotify


@pytest.fixture
def watcher() -> Iterator[Inotify]:
    opened = Inotify.open()
    if opened is None:
        pytest.skip("no inotify here")
    yield opened
    opened.close()


def marks(events: list[Event], name: str) -> list[str]:
    """Give for each event of a name which of its marks are set."""
    shown = ("changed", "entries", "gone", "overflow")
    return [
        "+".join(mark for mark in shown if getattr(event, mark))
        for event in events
        if event.name == name
    ]


def test_writing_and_truncating_a_file_change_it(watcher: Inotify, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"old\n")
    wd = watcher.watch_folder(str(tmp_path))

    with (tmp_path / "log").open("ab") as log:
        log.write(b"new\n")
    assert [Event(wd, "log", True, False, False, False)] == watcher.read()

    os.truncate(tmp_path / "log", 0)
    assert ["changed"] == marks(watcher.read(), "log")


def test_making_moving_and_deleting_are_entries(watcher: Inotify, tmp_path: Path) -> None:
    watcher.watch_folder(str(tmp_path))

    (tmp_path / "a").touch()
    assert "entries" in marks(watcher.read(), "a")
    (tmp_path / "a").rename(tmp_path / "b")
    events = watcher.read()
    assert (["entries"], ["entries"]) == (marks(events, "a"), marks(events, "b"))
    (tmp_path / "b").chmod(0o600)
    assert ["entries"] == marks(watcher.read(), "b")
    (tmp_path / "b").unlink()
    assert ["entries"] == marks(watcher.read(), "b")


def test_many_writes_are_one_event_until_something_else_happens(
    watcher: Inotify, tmp_path: Path
) -> None:
    watcher.watch_folder(str(tmp_path))
    with (tmp_path / "a").open("wb", buffering=0) as a, (tmp_path / "b").open("wb") as b:
        watcher.read()
        for _ in range(5):  # the kernel itself joins only neighbours that are equal
            a.write(b"x")
            b.write(b"y")
            b.flush()
        events = watcher.read()
        assert (["changed"], ["changed"]) == (marks(events, "a"), marks(events, "b"))

        a.write(b"x")
        (tmp_path / "a").chmod(0o600)
        a.write(b"x")
        assert ["changed", "entries", "changed"] == marks(watcher.read(), "a")


def test_a_deleted_folder_is_gone(watcher: Inotify, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    wd = watcher.watch_folder(str(folder))
    folder.rmdir()

    events = watcher.read()
    assert any(event.gone and event.wd == wd for event in events)
    watcher.unwatch(wd)  # has ended already: nothing happens


def test_a_moved_folder_is_gone_and_can_be_unwatched(watcher: Inotify, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    wd = watcher.watch_folder(str(folder))
    folder.rename(tmp_path / "other")
    assert [True] == [event.gone for event in watcher.read()]

    watcher.unwatch(wd)
    assert [True] == [event.gone for event in watcher.read()]
    (tmp_path / "other" / "log").touch()
    assert [] == watcher.read()


def test_names_that_are_not_utf8_come_through(watcher: Inotify, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    watcher.watch_folder(os.fsdecode(folder))
    os.close(os.open(folder + b"/\xff.log", os.O_CREAT | os.O_WRONLY))

    assert "entries" in marks(watcher.read(), os.fsdecode(b"\xff.log"))


def test_the_descriptor_wakes_and_never_blocks(watcher: Inotify, tmp_path: Path) -> None:
    watcher.watch_folder(str(tmp_path))
    poll = select.poll()
    poll.register(watcher.fd, select.POLLIN)

    assert ([], []) == (poll.poll(0), watcher.read())
    (tmp_path / "log").touch()
    assert 1 == len(poll.poll(0))
    watcher.read()
    assert [] == poll.poll(0)
    assert fcntl.fcntl(watcher.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_what_one_read_does_not_hold_comes_with_the_next(
    watcher: Inotify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "READ_BYTES", 100)
    watcher.watch_folder(str(tmp_path))
    for number in range(20):
        os.mkdir(tmp_path / f"folder-{number}")
    seen: list[str] = []
    while events := watcher.read():
        seen += [event.name for event in events]

    assert [f"folder-{number}" for number in range(20)] == seen


@pytest.mark.parametrize("path", ["missing", "file", "a\0b"])
def test_what_is_no_folder_cannot_be_watched(watcher: Inotify, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((OSError, ValueError)):
        watcher.watch_folder(f"{tmp_path}/{path}")


def test_a_lost_event_is_told_as_overflow() -> None:
    """The kernel's own words for it: a full queue of 16,384 events is not made here."""
    receiving, sending = os.pipe()
    watcher = Inotify(ctypes.CDLL(None), receiving)
    try:
        os.write(sending, inotify._EVENT.pack(-1, 0x4000, 0, 0))
        assert [Event(-1, "", False, False, False, True)] == watcher.read()
    finally:
        os.close(sending)
        watcher.close()


def test_no_instance_left_is_said_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when fs.inotify.max_user_instances are in use: here, as when libc has none at all."""

    class NoLibc:
        def __init__(self, *_args: object, **_more: object) -> None:
            raise OSError("static")

    monkeypatch.setattr(ctypes, "CDLL", NoLibc)
    reasons: list[str] = []

    assert Inotify.open(reasons.append) is None
    assert ["the C library has no inotify: static"] == reasons


def test_closing_twice_is_harmless() -> None:
    watcher = Inotify.open()
    assert watcher is not None
    watcher.close()
    watcher.close()
