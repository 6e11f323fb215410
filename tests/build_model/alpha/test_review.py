"""The review page, the table of labels, and corrections fed back."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.corrections import FORMAT, read_review, template_key
from logagent_build.alpha.embeddings import embed
from logagent_build.alpha.labeller import Answer
from logagent_build.alpha.loop import Labelled, Settings, label_pool
from logagent_build.alpha.pool import Pool
from logagent_build.alpha.review import (
    HEADER,
    Place,
    Reviewable,
    apply,
    rows,
)
from logagent_build.alpha.review_page import page

from .fakes import encode

HOSTILE = b"<script>alert(1)</script>\"' </section>\x1b[2J\tx"


def labelled(lines: list[bytes], propagation: str = "belief") -> Labelled:
    pool = Pool.of(lines)

    def labeller(asked, _examples):
        return [Answer("bad" in line, "<b>reason</b>") for line in asked]

    settings = Settings(8, m=3, k=2, propagation=propagation)
    return label_pool(pool, embed(pool.templates, encode), labeller, settings)


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.links += [name for name, _ in attrs if name in {"src", "href"}]


def test_log_text_cannot_become_markup_on_the_page() -> None:
    text = page(Reviewable.of(labelled([HOSTILE, b"bad thing", b"good thing"]), "<i>me</i>"))
    tags = Tags()
    tags.feed(text)

    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert 1 == tags.found.count("script")
    assert not {"i", "b>reason"} & set(tags.found)
    assert [] == tags.links


def test_the_page_runs_its_own_script_only() -> None:
    import base64
    import hashlib

    text = page(Reviewable.of(labelled([b"bad thing", b"good thing"]), "me"))
    script = text.split("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text


def test_the_page_shows_labels_votes_and_doubts() -> None:
    lines = [b"bad thing", b"good thing", b"bad other", b"good other"]
    text = page(Reviewable.of(labelled(lines, "paper"), "me"))

    for line in lines:
        assert f"<code>{line.decode()}</code>" in text
        assert f"data-key={template_key(line)}" in text
    assert "votes say anomalous" in text


def test_a_cluster_in_doubt_comes_first() -> None:
    found = labelled([b"bad thing", b"good thing", b"good other", b"good more"], "paper")
    doubts = [each.doubtful for each in found.voted]
    assert any(doubts)  # or there is nothing to put first

    text = page(Reviewable.of(found, "me"))

    assert "in doubt" in text.split("<section", 2)[1]


def test_what_the_page_shows_survives_its_file(tmp_path: Path) -> None:
    seen = Reviewable.of(labelled([HOSTILE, b"bad thing"]), "me")
    path = tmp_path / "clusters.json"
    path.write_text(seen.as_json())

    assert seen == Reviewable.read(path)


def test_the_table_has_a_row_for_each_line_and_no_more_columns() -> None:
    found = labelled([HOSTILE, b"bad thing", b"bad thing"])
    places = [Place("a\tb", number) for number in range(1, 4)]

    table = list(rows(found, places))

    assert HEADER == table[0]
    assert 4 == len(table)
    assert {HEADER.count("\t")} == {row.count("\t") for row in table}
    assert all(row.endswith("\n") and row[:-1].isprintable for row in table)
    assert ["0", "1", "1"] == [row.split("\t")[0] for row in table[1:]]


def test_corrections_are_read_and_name_templates(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    pool = Pool.of([b"port 11", b"port 12", b"other"])
    labels = [{"template": template_key(pool.templates[0]), "label": 1}]
    path.write_text(json.dumps({"format": FORMAT, "labels": labels}))

    assert {0: True} == apply(pool, read_review(path))
    assert {1: True} == apply(Pool.of([b"new", b"port 99"]), read_review(path))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON of corrections"),
        ('{"format": "x"}', "not of the format"),
        (json.dumps({"format": FORMAT}), "no list"),
        (json.dumps({"format": FORMAT, "labels": [1]}), "entry 1"),
        (json.dumps({"format": FORMAT, "labels": [{"template": "x", "label": 1}]}), "entry 1"),
        (json.dumps({"format": FORMAT, "labels": [{"template": "0" * 16, "label": 2}]}), "entry 1"),
        (json.dumps({"format": FORMAT, "labels": [{"template": "0" * 16, "label": True}]}), "ent"),
    ],
)
def test_what_is_no_correction_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_text(content)

    with pytest.raises(ValueError, match=complaint):
        read_review(path)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '{"format": "logagent-alpha 1", "entries": [[1]]}',
        '{"format": "logagent-alpha 1", "annotator": "a", "calls": 1e999, "entries": []}',
    ],
)
def test_another_file_is_no_run(content: str, tmp_path: Path) -> None:
    path = tmp_path / "clusters.json"
    path.write_text(content)

    with pytest.raises(ValueError, match="run alpha again"):
        Reviewable.read(path)
