"""Which file is of which system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from logagent.errors import ConfigError
from logagent_build.folder import systems as module
from logagent_build.folder.systems import find_systems


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a line\n")
    return folder


def named(folder: Path, mapping: str | None = None, **more) -> dict[str, list[str]]:
    path = None
    if mapping is not None:
        path = folder.parent / "mapping.toml"
        path.write_text(mapping)
    found = find_systems(folder, path, **more)
    return {
        each.name: [str(Path(file).relative_to(folder)) for file in each.files] for each in found
    }


def test_sub_folders_are_systems_and_so_are_loose_files(tmp_path: Path) -> None:
    folder = made(
        tmp_path / "d", "nginx/access.log", "nginx/deep/error.log", "boot.log", "messages"
    )

    assert {
        "boot": ["boot.log"],
        "messages": ["messages"],
        "nginx": ["nginx/access.log", "nginx/deep/error.log"],
    } == named(folder)


def test_folders_whose_names_look_alike_stay_apart(tmp_path: Path) -> None:
    """Names that are long, have spaces around them, or are no UTF-8."""
    names = ["L" * 100 + "1", "L" * 100 + "2", "sp", " sp"]
    folder = made(tmp_path / "d", *(f"{name}/x" for name in names), "sp.log")
    for raw in (b"\xff", b"\xfe"):
        os.mkdir(os.fsencode(folder) + b"/bad" + raw)
        Path(os.fsdecode(os.fsencode(folder) + b"/bad" + raw + b"/x")).write_text("a line\n")
    found = named(folder)

    assert 6 == len(found)
    assert all(len(name) <= 80 for name in found)
    assert [" sp/x"] == found["sp"]
    assert {"sp/x", "sp.log"} == set(found["sp (2)"])


def test_a_mapping_fits_linked_files_and_folders_named_as_patterns(tmp_path: Path) -> None:
    """A file is its system's by any of its names."""
    folder = made(tmp_path / "logs[1]", "pods/x.log", "web/a.log")
    (folder / "containers").mkdir()
    (folder / "containers" / "x.log").symlink_to(folder / "pods" / "x.log")
    told: list[str] = []
    found = named(folder, '[systems]\n"pods/*" = "k8s"\n"web/a.log" = "web"\n', say=told.append)

    assert {"k8s": ["containers/x.log"], "web": ["web/a.log"]} == found
    assert not told


def test_copies_of_a_rotated_log_are_one_system_oldest_first(tmp_path: Path) -> None:
    names = ("syslog", "syslog.1", "syslog.2.gz", "syslog.10.gz", "app-20240131.log", "app.log")
    found = named(made(tmp_path / "d", *names))

    assert ["syslog.10.gz", "syslog.2.gz", "syslog.1", "syslog"] == found["syslog"]
    assert {"app-20240131.log", "app.log"} == set(found["app"])


def test_names_that_are_nothing_but_a_suffix_stay(tmp_path: Path) -> None:
    assert {"20240131", ".log"} >= named(made(tmp_path / "d", "20240131", ".log")).keys()


def test_a_mapping_says_what_belongs_together_and_the_first_pattern_wins(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", "web1/access.log", "web2/access.log", "web2/error.log", "db/x")
    told: list[str] = []
    found = named(
        folder,
        '[systems]\n"web*/access*" = "nginx"\n"web2/**" = "rest"\n[kin]\nnginx = ["apache"]\n',
        say=told.append,
    )

    assert {"nginx": ["web1/access.log", "web2/access.log"], "rest": ["web2/error.log"]} == found
    assert ["1 files fit no pattern of the mapping and are left out"] == told
    systems = {each.name: each.kin for each in find_systems(folder, tmp_path / "mapping.toml")}
    assert {"nginx": frozenset(["apache"]), "rest": frozenset()} == systems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("systems", "mapping.toml"),
        ("[sytems]\n", "sytems"),
        ("[systems]\n", "needs"),
        ('[systems]\n"x" = 3\n', "every name"),
        ('[systems]\n"nothing*" = "x"\n', "no file fits"),
        ('[systems]\n"*" = "x"\n[kin]\ny = ["z"]\n', "no such system"),
        ('[systems]\n"*" = "x"\n[kin]\nx = "z"\n', "list of names"),
    ],
)
def test_a_mapping_that_cannot_be_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        named(made(tmp_path / "d", "a.log"), text)


def test_our_own_files_are_no_logs(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", "a.log", "my.bundle", "my.bundle.run/labels.tsv")

    own = (folder / "my.bundle", folder / "my.bundle.run")
    assert ["a"] == list(named(folder, without=own))
    with pytest.raises(ConfigError, match="no files"):
        find_systems(folder, without=(folder,))


def test_folders_that_are_not_there_and_too_many_systems_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        find_systems(tmp_path / "none")
    monkeypatch.setattr(module, "MOST_SYSTEMS", 2)
    with pytest.raises(ConfigError, match="3 systems"):
        find_systems(made(tmp_path / "d", "a", "b", "c"))


def test_hostile_names_are_made_printable(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", "a\x1b[2Jb\n/x.log")

    assert all(name.isprintable() for name in named(folder))
