"""Targets: raw lines and their labels, whatever file they come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from logagent_build.targets import find, known, read_file


def test_the_alert_tag_of_a_target_is_its_label_and_not_its_text(tmp_path: Path) -> None:
    """BGL's first column would give the answer away."""
    folder = tmp_path / "loghub" / "BGL"
    folder.mkdir(parents=True)
    (folder / "BGL_2k.log").write_bytes(b"- all fine\nKERNDTLB data TLB error interrupt\n")
    (target,) = known(tmp_path)

    assert "BGL_2k" == target.name
    assert [b"all fine", b"data TLB error interrupt"] == target.lines
    assert target.labels is not None
    assert [0, 1] == target.labels.tolist()


@pytest.mark.parametrize(
    "content",
    [
        "0\tlink up\n1\tlink down\tfor good\n",
        "0\t0\tlink up\n1\t3\tlink down\tfor good\n",
        "source\tlabel\tline\na\t0\tlink up\na\t1\tlink down\tfor good\n",
        '{"match": false, "line": "link up"}\n{"match": true, "line": "link down\\tfor good"}\n',
        '{"label": 0, "text": "link up"}\n{"label": "anomaly", "text": "link down\\tfor good"}\n',
        "- 1117838570 2005.06.03 link up\nAPPREAD 1117838570 2005.06.03 link down\tfor good\n",
    ],
    ids=["rows", "rows with severity", "table", "json match", "json label", "cfdr"],
)
def test_labelled_files_are_known_by_what_is_in_them(tmp_path: Path, content: str) -> None:
    """No option says which format a file has."""
    path = tmp_path / "mine"
    path.write_text(content)
    target = read_file(path)

    assert target.labels is not None
    assert [0, 1] == target.labels.tolist()
    assert target.lines[0].endswith(b"link up")
    assert target.lines[1].endswith(b"link down\tfor good")


def test_a_plain_log_has_no_labels(tmp_path: Path) -> None:
    """Its lines are scored, nothing else can be said."""
    path = tmp_path / "syslog"
    path.write_bytes(b"Mar 4 nas kernel: link up\r\n\nMar 4 nas kernel: link down\n")
    target = find(str(path), tmp_path)

    assert target.labels is None
    assert [b"Mar 4 nas kernel: link up", b"Mar 4 nas kernel: link down"] == target.lines


def test_a_line_nobody_judged_is_left_out(tmp_path: Path) -> None:
    """``null`` is neither normal nor anomalous."""
    path = tmp_path / "x.jsonl"
    rows = [
        {"match": True, "line": "a"},
        {"match": None, "line": "b"},
        {"match": False, "line": "c"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert [b"a", b"c"] == read_file(path).lines


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("0\ta\n" * 60 + "maybe\tb\n", ":61"),
        ("label\tline\n0\ta\nmaybe\tb\n", ":3"),
        ('{"label": 0, "text": "a"}\n{"label": 0}\n', ":2"),
        ("", "no lines"),
    ],
)
def test_a_label_that_cannot_be_read_is_named(tmp_path: Path, content: str, place: str) -> None:
    """File and line number, never a guess."""
    path = tmp_path / "x"
    path.write_text(content)
    with pytest.raises(ValueError, match=place):
        read_file(path)


def test_an_unknown_target_lists_the_known_ones(tmp_path: Path) -> None:
    """So that the next try is right."""
    with pytest.raises(FileNotFoundError, match="bgl, edge_judged"):
        find("blue_gene", tmp_path)
    with pytest.raises(FileNotFoundError, match="--data"):
        find("bgl", tmp_path)
