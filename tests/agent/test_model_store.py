"""Which bundle is in force, whatever happens while it is being changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from logagent.bundle import DEFAULT_BUNDLE
from logagent.config import Config, load
from logagent.errors import BundleError, StateError
from logagent.model_store import InForce, Store, in_force

OLD, OLDER, NEW = b"old bundle", b"older bundle", b"new bundle"
BEFORE = [(None, None), (None, OLDER), (OLD, None), (OLD, OLDER)]
Change = Callable[[Store], None]


class Crash(BaseException):
    """Nothing of ours runs after it."""


class After:
    """Lets so many changes happen, then crashes."""

    def __init__(self, changes: int) -> None:
        self.left = changes
        self.steps: list[str] = []

    def __call__(self, step: str) -> None:
        self.steps.append(step)
        self.left -= 1
        if self.left == 0:
            raise Crash


def config(state: Path, bundle: str = "") -> Config:
    return load(None, {"state.dir": str(state), "model.bundle": bundle or None})


def prepare(state: Path, current: bytes | None, previous: bytes | None) -> None:
    folder = state / "models"
    folder.mkdir(parents=True)
    for name, content in (("current", current), ("previous", previous)):
        if content is not None:
            (folder / f"{name}.bundle").write_bytes(content)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def both(state: Path) -> tuple[bytes | None, bytes | None]:
    folder = state / "models"
    return content(folder / "current.bundle"), content(folder / "previous.bundle")


def install(store: Store) -> None:
    store.stage(NEW)
    store.take_staged()
    store.finish()


def install_and_undo(store: Store) -> None:
    store.stage(NEW)
    store.take_staged()
    store.undo()


def go_back(store: Store) -> None:
    store.roll_back()
    store.finish()


def go_back_and_undo(store: Store) -> None:
    store.roll_back()
    store.undo()


def done(state: Path, change: Change) -> tuple[bytes | None, bytes | None]:
    with Store(state) as store:
        change(store)
    assert {"lock"} >= set(os.listdir(state / "models")) - {"current.bundle", "previous.bundle"}
    return both(state)


# ---- which one ----


def test_without_an_update_the_shipped_one_is_in_force(tmp_path: Path) -> None:
    assert InForce(DEFAULT_BUNDLE, "shipped") == in_force(config(tmp_path / "state"))


def test_an_updated_one_goes_before_the_shipped_one(tmp_path: Path) -> None:
    prepare(tmp_path, OLD, None)

    assert InForce(tmp_path / "models/current.bundle", "updated") == in_force(config(tmp_path))


def test_a_configured_one_goes_before_all(tmp_path: Path) -> None:
    prepare(tmp_path, OLD, None)

    assert InForce(Path("/a.bundle"), "configured") == in_force(config(tmp_path, "/a.bundle"))


def test_a_folder_that_cannot_be_looked_into_is_no_shipped_bundle(tmp_path: Path) -> None:
    # A name that is too long fails for root as well, whom no mode keeps out.
    with pytest.raises(BundleError, match="too long"):
        in_force(config(tmp_path / ("x" * 300)))


# ---- swaps ----


@pytest.mark.parametrize("before", BEFORE)
def test_an_update_keeps_what_was_in_force_as_the_previous_one(
    tmp_path: Path, before: tuple[bytes | None, bytes | None]
) -> None:
    prepare(tmp_path, *before)

    assert (NEW, before[0]) == done(tmp_path, install)


@pytest.mark.parametrize("before", BEFORE[1:])
def test_going_back_twice_goes_forward_again(
    tmp_path: Path, before: tuple[bytes | None, bytes | None]
) -> None:
    prepare(tmp_path, *before)

    assert before[::-1] == done(tmp_path, go_back)
    assert before == done(tmp_path, go_back)


def test_what_going_back_leads_to_is_known_before(tmp_path: Path) -> None:
    found = []
    for number, before in enumerate(BEFORE):
        state = tmp_path / str(number)
        prepare(state, *before)
        with Store(state) as store:
            behind = store.behind()
            found.append(behind and behind.path.name)

    assert [None, "previous.bundle", "default.bundle", "previous.bundle"] == found


@pytest.mark.parametrize(
    ("before", "change"),
    [(before, install_and_undo) for before in BEFORE]
    + [(before, go_back_and_undo) for before in BEFORE[1:]],
)
def test_undone_all_is_as_it_was(
    tmp_path: Path, before: tuple[bytes | None, bytes | None], change: Change
) -> None:
    prepare(tmp_path, *before)

    assert before == done(tmp_path, change)


def test_with_nothing_to_go_back_to_nothing_changes(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nothing to go back to"):
        done(tmp_path, go_back)

    assert ["lock"] == os.listdir(tmp_path / "models")


def test_a_running_agent_keeps_the_bytes_it_has_mapped(tmp_path: Path) -> None:
    prepare(tmp_path, OLD, None)
    with open(tmp_path / "models/current.bundle", "rb") as mapped:
        done(tmp_path, install)
        done(tmp_path, go_back)
        done(tmp_path, install)

        assert OLD == mapped.read()


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize(
    ("before", "change"),
    [(before, change) for before in BEFORE for change in (install, install_and_undo)]
    + [(before, change) for before in BEFORE[1:] for change in (go_back, go_back_and_undo)],
)
def test_a_crash_after_any_change_leaves_the_old_or_the_new_bundle_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[bytes | None, bytes | None],
    links: bool,
    change: Change,
) -> None:
    if not links:

        def link(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
    prepare(tmp_path / "whole", *before)
    after = done(tmp_path / "whole", change)
    wholes = {before, after, *([(NEW, before[0])] if change is install_and_undo else [])}
    if change is go_back_and_undo:
        wholes.add(before[::-1])
    shown = {pair[0] for pair in wholes}
    crashes = 0
    while True:
        state = tmp_path / str(crashes)
        prepare(state, *before)
        crash = After(crashes + 1)
        store = Store(state, after=crash)
        store.__enter__()
        try:
            change(store)
        except Crash:
            crashes += 1
        else:
            break
        finally:
            os.close(store._lock)  # as the kernel does; no code of ours runs
        found = in_force(config(state))
        assert (content(found.path) if found.why == "updated" else None) in shown, crash.steps

        with Store(state):
            pass
        assert both(state) in wholes, crash.steps
        assert {"lock"} >= set(os.listdir(state / "models")) - {"current.bundle", "previous.bundle"}
    assert crashes >= (2 if before[1] is None else 3)


def test_a_failure_in_the_middle_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, OLD, OLDER)
    rename = os.replace

    def full(path: Path, name: Path) -> None:
        if Path(name).name == "current.bundle":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(path, name)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StateError, match="No space left"):
        done(tmp_path, install)

    assert (OLD, OLDER) == both(tmp_path)
    assert {"current.bundle", "lock", "previous.bundle"} == set(os.listdir(tmp_path / "models"))


def test_what_was_staged_and_not_taken_is_gone(tmp_path: Path) -> None:
    assert (None, None) == done(tmp_path, lambda store: store.stage(NEW) and None)


def test_one_process_at_a_time_changes_it(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(StateError, match="another"), Store(tmp_path):
        pass


def test_a_store_that_cannot_be_made_says_so_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(StateError, match=r"models: Not a directory"),
        Store(tmp_path / "file/state"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is another's")
def test_what_root_makes_belongs_to_the_agent(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    done(tmp_path, install)

    made = (tmp_path / "models").stat()
    assert (12345, 12346) == (made.st_uid, made.st_gid)
    assert 0o644 == (tmp_path / "models/current.bundle").stat().st_mode & 0o777
