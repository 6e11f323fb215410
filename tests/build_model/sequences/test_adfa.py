from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from logagent_build.sequences import adfa, duplicates

REAL = Path(__file__).parents[4] / "shared" / "data" / "sequences" / "ADFA-LD.zip"


def archive(folder: Path, more: dict[str, str] | None = None) -> Path:
    """Write a small archive laid out as ADFA-LD: ten normal traces, two of each attack."""
    path = folder / "ADFA-LD.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("ADFA-LD/ADFA-LD+Syscall+List.txt", "#define __NR_io_setup 0\n")
        for at in range(10):
            part = ("Training", "Validation")[at % 2]
            made.writestr(f"ADFA-LD/{part}_Data_Master/U-{at}.txt", f"0 3 {at} 3 ")
        for kind in adfa.ATTACKS.values():
            for at in (1, 2):
                name = f"ADFA-LD/Attack_Data_Master/{kind}_{at}/U-{kind}-{at}.txt"
                made.writestr(name, f"11 {at} 11")
        for name, text in (more or {}).items():
            made.writestr(name, text)
    return path


def test_traces_have_their_kinds_and_calls_their_names(tmp_path: Path) -> None:
    more = {"ADFA-LD/Training_Data_Master/odd.txt": "4000 3"}
    data = adfa.read(archive(tmp_path, more))

    assert data.kinds.count("normal") == 11
    assert {kind: data.kinds.count(kind) for kind in adfa.ATTACKS} == dict.fromkeys(adfa.ATTACKS, 2)
    assert data.vocabulary[0] == "restart_syscall"  # not the list's io_setup, of other processors
    assert data.vocabulary[-1] == "call 4000"
    first = data.events[data.kinds.index("java")]
    assert [data.vocabulary[event] for event in first] == ["execve", "exit", "execve"]


def test_an_attack_left_out_is_in_the_test_alone(tmp_path: Path) -> None:
    made = adfa.configurations(adfa.read(archive(tmp_path)), seed=3)

    assert [each.name for each in made] == list(adfa.ATTACKS)
    for each in made:
        assert each.name not in each.train.kinds
        assert {kind for kind in each.test.kinds if kind != "normal"} == {each.name}
        assert len(each.train) + len(each.test) == 22


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ADFA-LD/Training_Data_Master/odd.txt", "3 four 5"),
        ("ADFA-LD/Training_Data_Master/odd.txt", "3 -4 5"),
        ("ADFA-LD/Training_Data_Master/odd.txt", ""),
        ("ADFA-LD/Attack_Data_Master/Other_1/odd.txt", "3 4 5"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|no system calls|unknown attack"):
        adfa.read(archive(tmp_path, {name: text}))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ADFA-LD.zip"
    path.write_bytes(b"not a zip")

    with pytest.raises(ValueError, match="not a zip"):
        adfa.read(path)


@pytest.mark.skipif(not REAL.is_file(), reason="ADFA-LD is not here")
def test_the_real_archive_gives_the_sizes_of_table_2() -> None:
    data = adfa.read(REAL)
    sizes = {each.name: (len(each.train), len(each.test)) for each in adfa.configurations(data, 0)}

    assert len(data) == 5951
    assert len(data.vocabulary) == 175
    assert int(np.max([len(each) for each in data.events])) == 4494
    assert sizes == {
        "java": (4786, 1165),
        "hydraSSH": (4734, 1217),
        "hydraFTP": (4748, 1203),
        "meter": (4835, 1116),
        "web": (4792, 1159),
        "adduser": (4819, 1132),
    }


def test_what_was_trained_on_is_left_out_of_the_test(tmp_path: Path) -> None:
    data = adfa.read(archive(tmp_path))
    normal = [at for at, kind in enumerate(data.kinds) if kind == "normal"]
    train, test = data.only(normal[:3]), data.only([normal[2], normal[3], normal[1]])

    assert duplicates.seen(test, train).tolist() == [True, False, True]
    assert len(duplicates.unseen(test, train)) == 1
    assert duplicates.ratio(test, train) == pytest.approx(2 / 3)
    assert duplicates.ratio(data.only([]), train) == 0
