"""Readers of labelled lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from logagent_build.corpora import read_corpora, read_loghub, read_pairs, read_phrases, read_targets


def test_lines_of_one_template_are_one_entry_with_the_mean_label(tmp_path: Path) -> None:
    """Digits do not tell lines apart."""
    (tmp_path / "x.tsv").write_bytes(
        b"0\t0\tread 12 bytes\n1\t3\tread 7 bytes\n1\t3\tpanic\twith a tab\n"
    )
    (domain,) = read_corpora(tmp_path)

    assert [b"read # bytes", b"panic\twith a tab"] == domain.templates
    assert [0.5, 1.0] == domain.soft.tolist()
    assert [2, 1] == domain.count.tolist()
    assert [[0.5, 1.0]] == domain.positive.tolist()


def test_minimal_pairs_are_no_domain(tmp_path: Path) -> None:
    """They are one more source of training lines."""
    (tmp_path / "minimal_pairs.tsv").write_bytes(b"0\t0\tlink up\n1\t2\tlink down\n")
    (tmp_path / "x.tsv").write_bytes(b"0\t0\ta\n")
    pairs = read_pairs(tmp_path)

    assert ["x"] == [domain.name for domain in read_corpora(tmp_path)]
    assert pairs is not None
    assert [b"link up", b"link down"] == pairs.templates


def test_a_folder_without_corpora_says_so(tmp_path: Path) -> None:
    """With the option that helps."""
    with pytest.raises(FileNotFoundError, match="--corpora"):
        read_corpora(tmp_path)


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    """File and line number."""
    (tmp_path / "x.tsv").write_bytes(b"0\t0\tfine\n1 2 spaces\n")
    with pytest.raises(ValueError, match=r"x\.tsv:2"):
        read_corpora(tmp_path)


def test_loghub_lines_take_the_labels_of_their_event(tmp_path: Path) -> None:
    """Both annotations are kept; events without a label are left out."""
    folder = tmp_path / "loghub" / "Demo"
    folder.mkdir(parents=True)
    (folder / "Demo_2k.log").write_bytes(b"disk ok\r\ndisk bad\r\ndisk odd\r\n")
    (folder / "Demo_2k.log_structured.csv").write_text("LineId,EventId\n1,E1\n2,E2\n3,E3\n")
    labels = tmp_path / "labels.tsv"
    labels.write_text(
        "domain\tline_number\tevent_id\tlabel_explicit\tlabel_operator\n"
        "Demo\t1\tE1\t0\t0\nDemo\t2\tE2\t0\t1\n"
    )
    (domain,) = read_loghub(tmp_path / "loghub", labels)

    assert [b"disk ok", b"disk bad"] == domain.templates
    assert [0.0, 0.5] == domain.soft.tolist()
    assert [[0.0, 0.0], [0.0, 1.0]] == domain.positive.tolist()


def test_phrases_carry_their_score(tmp_path: Path) -> None:
    """A phrase may hold anything but its last tab."""
    (tmp_path / "phrases.tsv").write_text("link is down\t1.8\nlink up\t-1\n")
    phrases = read_phrases(tmp_path)

    assert [("link is down", 1.8), ("link up", -1.0)] == [(p.text, p.score) for p in phrases]


def test_the_alert_tag_of_a_target_is_its_label_and_not_its_text(tmp_path: Path) -> None:
    """BGL's first column would give the answer away."""
    folder = tmp_path / "loghub" / "BGL"
    folder.mkdir(parents=True)
    (folder / "BGL_2k.log").write_bytes(b"- all fine\nKERNDTLB data TLB error interrupt\n")
    (target,) = read_targets(tmp_path)

    assert "BGL_2k" == target.name
    assert [b"all fine", b"data TLB error interrupt"] == target.templates
    assert [0, 1] == target.labels.tolist()
