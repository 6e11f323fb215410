"""What is said of a build holds whatever logs and folders are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="reports need the [build] extra")
pytest.importorskip("torch", reason="labels come with the [build] extra")

from logagent_build.calibrate.entries import Entries
from logagent_build.folder import card, report
from logagent_build.folder.strategies import Labels

NAMES = ["<img src=x onerror=alert(1)>", "a | b $x_1$ `c`\u202e", "日本"]


def record(*, simulation: bool = False) -> dict[str, Any]:
    point = {"threshold": 0.9, "flagged_lines": 1, "groups": 1, "flagged_labelled_normal": 0}
    row = {"lines": 5, "templates": 1, **dict.fromkeys(("low", "normal", "high"), point)}
    curve = {"threshold": 0.9, "false_alarm_share": 0.01, "recall": 0.5}
    return {
        "bundle": {"name": "x<y", "bytes": 10, "sha256": "00"},
        "simulation": simulation,
        "read": {
            "lines": 15,
            "problems": {"binary": 2},
            "systems": [
                {
                    "name": name,
                    "files": 1,
                    "lines": 5,
                    "new_keys": 2,
                    "templates": 1,
                    "let_go_templates": 0,
                }
                for name in NAMES
            ],
        },
        "label": {
            "annotator": "model <b>",
            "strategy": "alpha",
            "calls": 3,
            "calls_allowed": 4,
            "templates": 3,
            "unlabelled_templates": 1,
            "unanswered": 2,
            "left_out_templates": 7,
            "left_out_lines": 9,
            "anomalous_templates": 1,
            "anomalous_lines": 5,
            "reviewed_templates": 0,
            "expected_wrong_lines": 1.0,
            "paid": {"requests": 1, "input_tokens": 2, "output_tokens": 3, "dollars": 0.5},
        },
        "train": {
            "commit": "c",
            "base": "shipped",
            "systems": NAMES,
            "templates": 3,
            "all_systems": 9,
            "all_templates": 30,
            "held_out": {"rule": "folds", "auroc_mean": 0.9, "auroc": dict.fromkeys(NAMES, 0.8)},
            "thresholds": {"held_out": {"low": curve}},
        },
        "verify": {
            "systems": dict.fromkeys(NAMES, row),
            "checks": [{"name": "n", "value": None, "limit": 1.0, "holds": True}],
        },
    }


def test_hostile_names_and_lines_stay_text() -> None:
    lines = [b"</table><script>alert(1)</script>", b"\x1b[2J\x00 ok", b"&amp; <b>"]
    entries = Entries(
        lines,
        np.arange(3),
        NAMES,
        [(line,) for line in lines],
        [()] * 3,
        [()] * 3,
        np.array([1, 2, 3]),
        np.zeros((3, 2), np.float32),
    )
    labels = Labels(np.array([True, False, False]), np.full(3, 0.5), np.full(3, 0.5), 3, 1)
    page = report.page(record(), entries, labels)

    assert page.isprintable() or all(x.isprintable() for x in page.replace("\n", ""))
    for forbidden in ("<script", "<img", "<b>alert", "\x1b", "\u202e", "http://evil"):
        assert forbidden not in page
    assert "&lt;script&gt;" in page
    assert "&lt;img src=x" in page
    assert "2 of 3 templates labelled" in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_systems_whose_names_are_cut_alike_have_a_bar_each() -> None:
    own = {"x" * 30 + end: 0.1 * place for place, end in enumerate("abc", 5)}
    axes = report.Figure().add_subplot()
    report._areas(axes, own)

    assert [0, 1, 2] == [round(bar.get_y() + bar.get_height() / 2) for bar in axes.patches]


def test_names_do_not_break_the_tables_of_the_card() -> None:
    text = card.card(record(simulation=True))
    rows = [row for row in text.splitlines() if "onerror" in row or r"a \| b" in row]

    assert "simulation" in text.split("\n## ")[0]
    assert len(rows) == 6
    assert "<img" not in text
    assert "7 more were left out" in text
    assert "2 templates have labels" in text
    assert "2 lines were asked about without an answer; 1 templates have no label" in text
    assert "$0.5000" in text
