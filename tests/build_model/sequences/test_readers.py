from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from logagent_build.sequences import evol, hdfs


def hdfs_folder(folder: Path) -> Path:
    """Write the four files of HDFS, small: 60 normal sessions and 30 anomalous ones."""
    (folder / "HDFS_templates_ait.csv").write_text("<*>Served block<*>to<*>\n<*>cannot<*>\n")
    (folder / "hdfs_train").write_text("1 1 1 \n" * 40)
    with gzip.open(folder / "hdfs_test_abnormal.gz", "wt") as file:
        file.write("1 2 \n" * 30)
    with gzip.open(folder / "hdfs_lines_2pct.tsv.gz", "wt") as file:
        for block in range(20):
            file.write(f"0\tb{block}\tt\tINFO\tc\t10.0.0.1 Served block b to /10.0.0.2\n")
            file.write(f"0\tb{block}\tt\tINFO\tc\twhat no template says\n")
        file.write("1\tbad\tt\tWARN\tc\tfile cannot be read\n")
    return folder


def test_sessions_come_from_numbers_and_from_lines(tmp_path: Path) -> None:
    data = hdfs.read(hdfs_folder(tmp_path))

    assert len(data) == 90
    assert int(data.anomalous.sum()) == 30
    assert data.events[0].tolist() == [1, 1, 1]
    assert data.events[40].tolist() == [1, 0]
    assert data.events[-1].tolist() == [1, 2]
    assert data.vocabulary[1] == "<*>Served block<*>to<*>"


def test_test_and_training_sessions_are_apart(tmp_path: Path) -> None:
    (folder := hdfs_folder(tmp_path)).joinpath("hdfs_train").write_text(
        "\n".join(" ".join("1" * (1 + at % 29)) for at in range(600))
    )
    made = hdfs.configuration(hdfs.read(folder), 0)

    assert len(made.train) + len(made.test) <= 650
    assert 0 < made.test.anomalous.sum() < made.train.anomalous.sum() + len(made.test)
    assert max(map(len, made.test.events)) <= hdfs.LONGEST


@pytest.mark.parametrize("line", ["1 x", "1 99", "-1"])
def test_an_event_without_a_template_is_refused(tmp_path: Path, line: str) -> None:
    folder = hdfs_folder(tmp_path)
    (folder / "hdfs_train").write_text(f"1 1\n{line}\n")

    with pytest.raises(ValueError, match="line 2"):
        hdfs.read(folder)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = hdfs_folder(tmp_path) / "hdfs_test_abnormal.gz"
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(ValueError, match="hdfs_test_abnormal"):
        hdfs.read(tmp_path)


def write(path: Path, *sessions: object) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in sessions))


def test_an_older_version_is_trained_on_and_a_newer_one_tested(tmp_path: Path) -> None:
    write(tmp_path / "spark2.jsonl", {"events": ["a", "b"], "anomalous": False})
    write(tmp_path / "spark3.jsonl", {"events": ["b", "c"], "anomalous": True})
    write(tmp_path / "hadoop2.jsonl", {"events": ["a"], "anomalous": False})
    (made,) = evol.configurations(tmp_path)

    assert made.name == "spark2 to spark3"
    assert made.train.events[0].tolist() == [0, 1]
    assert made.test.events[0].tolist() == [1, 2]
    assert made.train.vocabulary == made.test.vocabulary == ("a", "b", "c")
    assert made.test.anomalous.tolist() == [True]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"events": [1], "anomalous": true}', '{"events": ["a"]}', "1", "null"]
)
def test_what_is_no_session_is_refused(tmp_path: Path, line: str) -> None:
    write(tmp_path / "spark2.jsonl", {"events": ["a"], "anomalous": False})
    (tmp_path / "spark3.jsonl").write_text(line + "\n")

    with pytest.raises(ValueError, match="line 1"):
        evol.configurations(tmp_path)


def test_without_a_pair_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pair"):
        evol.configurations(tmp_path)
