"""What the agent remembers: one whole version at every moment, nothing that cannot be trusted."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.errors import StateError
from logagent.service import state as state_module
from logagent.service.state import FORMAT, StateFolder

OLD = {"version": "1", "inputs": {"files": {"positions": [["/var/log/old", 1]]}}}
NEW = {"version": "1", "inputs": {"files": {"positions": [["/var/log/new", 2]]}}}


class Opened:
    """Opens state folders, one at a time, and hears what they report."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.reports: list[tuple[str, str]] = []
        self.folder: StateFolder | None = None

    def __call__(self) -> StateFolder:
        self.close()
        self.reports.clear()
        self.folder = StateFolder(
            self.path, lambda kind, message: self.reports.append((kind, message)), wall=lambda: 0.0
        )
        return self.folder

    def close(self) -> None:
        if self.folder is not None:
            self.folder.close()
            self.folder = None

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.reports]

    def aside(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.path.glob("*.unusable-*")}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def both(opened: Opened) -> Opened:
    """A folder with OLD as the previous state and NEW as the last one."""
    folder = opened()
    folder.save(OLD)
    folder.save(NEW)
    return opened


def packed(body: bytes, *, magic: str = "logagent state", version: object = FORMAT) -> bytes:
    return msgpack.packb([magic, version, zlib.crc32(body), body])


# ---- what is saved comes back ----


def test_at_the_first_start_there_is_nothing(opened: Opened) -> None:
    folder = opened()

    assert folder.load() is None
    assert not folder.set_aside
    assert [] == opened.reports


def test_what_was_saved_is_loaded(both: Opened) -> None:
    assert NEW == both().load()
    assert [] == both.reports


def test_the_previous_state_is_kept(both: Opened) -> None:
    os.unlink(both.path / "state")

    assert OLD == both().load()


def test_names_that_are_no_utf_8_come_back(opened: Opened) -> None:
    name = os.fsdecode(b"/var/log/n\xff\xfeme")
    opened().save({"inputs": {name: name}})

    assert {"inputs": {name: name}} == opened().load()


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text(),
            lambda each: st.lists(each) | st.dictionaries(st.text(), each),
            max_leaves=20,
        ),
        max_size=5,
    )
)
def test_any_state_comes_back(tmp_path_factory: pytest.TempPathFactory, state: Any) -> None:
    opened = Opened(tmp_path_factory.mktemp("state"))
    opened().save(state)

    assert state == opened().load()
    opened.close()


def test_only_the_owner_may_read_it(both: Opened) -> None:
    for path in both.path.iterdir():
        assert 0 == path.stat().st_mode & 0o077, path


def test_saving_leaves_three_files(both: Opened) -> None:
    both().save(OLD)

    assert {"lock", "state", "state.previous"} == set(os.listdir(both.path))


# ---- what cannot be trusted is set aside ----


def test_a_file_cut_at_any_byte_is_set_aside_and_the_previous_used(both: Opened) -> None:
    path = both.path / "state"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        folder = both()

        assert OLD == folder.load(), size
        assert not folder.set_aside
        assert ["state-unusable"] == both.kinds()
        assert not path.exists()
        assert whole[:size] in both.aside().values()
    assert len(whole) == len(both.aside())


def test_a_file_with_any_byte_changed_is_never_taken_for_another_state(both: Opened) -> None:
    path = both.path / "state"
    whole = path.read_bytes()
    trusted = []
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
            path.write_bytes(changed)
            loaded = both().load()

            if path.exists():
                trusted.append(at)
                assert NEW == loaded
            else:
                assert OLD == loaded
                assert changed in both.aside().values()
    # The number of the minor version may be any, and true is 1 in Python.
    minor = whole.index(b"\x92\x01\x00") + 2
    assert set(trusted) <= {minor}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 4096,
        b"PK\3\4 something else",
        msgpack.packb({"inputs": {}}),
        msgpack.packb(["logagent state"]),
        packed(msgpack.packb({}), magic="another program"),
        packed(msgpack.packb({}), version=[2, 0]),
        packed(msgpack.packb({}), version=[0, 9]),
        packed(msgpack.packb({}), version=1),
        packed(msgpack.packb([])),
        packed(msgpack.packb({1: 2})),
        packed(msgpack.packb({b"inputs": 2})),
        packed(b"\xdf\xff\xff\xff\xff"),
        packed(b"\xdd\xff\xff\xff\xff"),
        packed(b"\x91" * 100_000),
        packed(b"\xd6\xff\xff\xff\xff\xff"),
        packed(b""),
        packed(msgpack.packb({}) * 2),
        b"\x94" * 100_000,
    ],
    ids=lambda data: data[:24].hex(),
)
def test_a_foreign_file_is_set_aside(both: Opened, data: bytes) -> None:
    (both.path / "state").write_bytes(data)
    folder = both()

    assert OLD == folder.load()
    assert ["state-unusable"] == both.kinds()
    assert [data] == list(both.aside().values())


def test_another_major_format_is_named(both: Opened) -> None:
    (both.path / "state").write_bytes(packed(msgpack.packb({}), version=[2, 0]))
    both().load()

    ((_, message),) = both.reports
    assert "format 2, this agent reads format 1" in message
    assert "state.unusable-19700101T000000" in message


def test_a_newer_minor_format_is_read(both: Opened) -> None:
    (both.path / "state").write_bytes(packed(msgpack.packb({"more": 1}), version=[1, 7]))

    assert {"more": 1} == both().load()


def test_a_file_that_is_too_large_is_not_read_into_memory(
    both: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "_MAX_BYTES", 10_000)
    with open(both.path / "state", "r+b") as file:
        file.truncate(1 << 40)

    assert OLD == both().load()
    ((_, message),) = both.reports
    assert "larger than 10000 bytes" in message
    assert [1 << 40] == [path.stat().st_size for path in both.path.glob("*.unusable-*")]


def test_without_any_usable_state_that_is_known(both: Opened) -> None:
    for name in ("state", "state.previous"):
        (both.path / name).write_bytes(b"broken")
    folder = both()

    assert folder.load() is None
    assert folder.set_aside
    assert 2 == len(both.aside())


def test_nothing_set_aside_overwrites_what_was_set_aside_before(both: Opened) -> None:
    for number in range(3):
        (both.path / "state").write_bytes(b"broken %d" % number)
        both().load()  # at the same second each time

    assert {b"broken 0", b"broken 1", b"broken 2"} == set(both.aside().values())


def test_a_state_that_makes_no_sense_to_the_agent_gives_way_to_the_previous(both: Opened) -> None:
    whole = (both.path / "state").read_bytes()
    folder = both()
    assert NEW == folder.load()
    folder.reject("has no inputs")

    assert OLD == folder.load()
    assert not folder.set_aside
    assert [whole] == list(both.aside().values())
    assert "has no inputs" in both.reports[0][1]


def test_the_previous_state_may_be_rejected_too(both: Opened) -> None:
    kept = {(both.path / name).read_bytes() for name in ("state", "state.previous")}
    folder = both()
    folder.load()
    folder.reject("no")
    folder.load()
    folder.reject("no")

    assert folder.load() is None
    assert folder.set_aside
    assert kept == set(both.aside().values())


def test_a_rejected_state_that_cannot_be_renamed_is_not_offered_again(
    both: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = both()
    folder.load()

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    folder.reject("no")

    assert OLD == folder.load()
    assert "left where it is" in both.reports[0][1]


def test_after_a_state_was_set_aside_the_previous_one_stays_until_the_next_is_whole(
    both: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    (both.path / "state").write_bytes(b"broken")
    folder = both()
    assert OLD == folder.load()
    refuse_replace(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        folder.save(NEW)

    assert OLD == both().load()


# ---- crashes and trouble while saving ----


class Crash(BaseException):
    """The power is gone."""


def refuse_replace(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(state_module, "replace", refuse)


STEPS = ("unlink", "link", "replace", "fsync", "open")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_between_any_two_steps_leaves_a_whole_state(
    both: Opened, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """Each call of `step` in turn is the last that is done, or the first that is not."""
    newest, third = {"number": 3}, 0
    for number in range(1, 10):
        folder = both()
        before = folder.load()
        calls = 0
        real = getattr(os, step)

        def crashing(*args: Any, real: Any = real, last: int = number, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last and not after:
                raise Crash
            result = real(*args, **named)
            if calls == last:
                if step == "open":
                    os.close(result)
                raise Crash
            return result

        crashed = False
        with monkeypatch.context() as patch:
            patch.setattr(os, step, crashing)
            try:
                folder.save(newest)
            except Crash:
                crashed = True
        loaded = both().load()
        assert loaded in (before, newest)
        assert [] == both.reports
        assert state_module._decode((both.path / "state").read_bytes()) == loaded
        previous = state_module._decode((both.path / "state.previous").read_bytes())
        assert previous in (OLD, NEW, newest)
        third += crashed
        if not crashed:
            break
    assert third or step == "unlink"  # the step exists


def test_a_file_system_without_links_still_keeps_the_previous(
    both: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    both().save({"number": 3})

    assert {"number": 3} == both().load()
    os.unlink(both.path / "state")
    assert NEW == both().load()


def test_without_links_a_crash_before_the_new_state_leads_to_the_previous(
    both: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    folder = both()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", no_links)
        refuse_replace(patch, Crash())
        with pytest.raises(Crash):
            folder.save({"number": 3})

    assert NEW == both().load()


def test_a_full_disk_leaves_the_old_state(both: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = both()
    with monkeypatch.context() as patch:
        refuse_replace(patch, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match="No space"):
            folder.save({"number": 3})
        assert NEW == both().load()
        with pytest.raises(OSError, match="No space"):
            both().save({"number": 3})
    assert NEW == both().load()

    both().save({"number": 4})
    assert {"number": 4} == both().load()


# ---- whose folder it is ----


def test_a_second_agent_is_refused(opened: Opened) -> None:
    opened()
    with pytest.raises(StateError, match="in use by another logagent"):
        StateFolder(opened.path, lambda *_: None)

    opened.close()
    StateFolder(opened.path, lambda *_: None).close()


def test_a_place_where_no_folder_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(StateError, match="name another with --state-dir"):
            StateFolder(path, lambda *_: None)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_told_once_and_used_later(
    both: Opened, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """We may be root, whom no mode holds back: so `os.open` refuses instead."""
    both.close()
    real = os.open

    def read_only(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(code, os.strerror(code))
        return real(path, flags, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        folder = both()
        assert NEW == folder.load()
        for _ in range(3):
            with pytest.raises(OSError, match=os.strerror(code)):
                folder.save({"number": 3})
        assert ["state-read-only"] == both.kinds()
    folder.save({"number": 3})

    with pytest.raises(StateError, match="in use"):  # it has the lock now
        StateFolder(both.path, lambda *_: None)
    assert {"number": 3} == both().load()


def test_a_state_that_cannot_be_read_is_reported_and_the_previous_used(
    both: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = state_module._read

    def damaged(path: Path) -> bytes:
        if path.name == "state":
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(state_module, "_read", damaged)

    assert OLD == both().load()
    assert ["state-unreadable"] == both.kinds()


def test_what_a_kill_in_the_middle_of_a_save_left_is_removed(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened().save(OLD)
    for name in (".state.812-0.tmp", ".state.previous.tmp"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "mine.tmp").touch()
    assert OLD == opened().load()
    opened.close()
    assert {"lock", "mine.tmp", "state"} == {path.name for path in tmp_path.iterdir()}
