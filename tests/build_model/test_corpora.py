"""Readers of labelled lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent_build.corpora import (
    CATEGORIES,
    read_corpora,
    read_loghub,
    read_pairs,
    read_phrases,
)
from logagent_build.headers import with_header


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


def test_the_short_format_has_codes_kin_and_headers(tmp_path: Path) -> None:
    """One row per message; what stands before a message in a real file is added."""
    rows = "# kin: dnsmasq, router\n0 lease given\n1 nothing to renew\n2n link lost\n3s disk died\n"
    (tmp_path / "x.txt").write_text(rows)
    (domain,) = read_corpora(tmp_path)

    assert {"dnsmasq", "router"} == domain.kin
    assert [0.0, 0.1, 0.97, 1.0] == pytest.approx(domain.soft.tolist())
    assert [[0.0, 0.0, 1.0, 1.0]] == domain.positive.tolist()
    names = list(CATEGORIES.values())
    assert [-1, -1, names.index("network"), names.index("storage")] == domain.category.tolist()
    for template, message in zip(domain.templates, rows.splitlines()[1:], strict=True):
        assert template.endswith(message.split(" ", 1)[1].encode())


def test_a_broken_code_is_named(tmp_path: Path) -> None:
    """File and line number."""
    (tmp_path / "x.txt").write_text("# kin:\n0 fine\n3 no category\n")
    with pytest.raises(ValueError, match=r"x\.txt:3"):
        read_corpora(tmp_path)


def test_more_pairs_join_the_first(tmp_path: Path) -> None:
    """They are one source; they are no domain either."""
    (tmp_path / "minimal_pairs.tsv").write_bytes(b"0\t0\tlink up\n1\t2\tlink down\n")
    (tmp_path / "more_pairs.txt").write_text("0 fan turns\n2h fan stands\n")
    (tmp_path / "x.tsv").write_bytes(b"0\t0\ta\n")
    pairs = read_pairs(tmp_path)

    assert ["x"] == [domain.name for domain in read_corpora(tmp_path)]
    assert pairs is not None
    assert 4 == len(pairs.templates)


@given(st.binary(max_size=40), st.text("abc_", max_size=8), st.integers(0, 500))
def test_a_header_leaves_the_message_and_knows_no_label(
    line: bytes, system: str, number: int
) -> None:
    """The same place gives the same header, whatever the message."""
    headed = with_header(line, system, number)

    assert headed.endswith(line.removeprefix(b"kernel: "))
    assert headed == with_header(line, system, number)
    assert b"\n" not in headed.removesuffix(line)
