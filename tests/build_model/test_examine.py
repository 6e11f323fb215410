"""A bundle looked at with a target, the way the agent would score it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.normalise import templates
from logagent.scorer import Scorer

pytest.importorskip("sklearn", reason="needs the [build] extra")

from logagent_build.examine import best_f1, examine, figures
from logagent_build.targets import Target

LINES = [
    b"Mar  4 06:12:01 nas kernel: EXT4-fs error (device sda1): reading directory lblock 0",
    b"Mar  4 06:12:02 nas CRON[812]: (root) CMD (run-parts /etc/cron.hourly)",
    b"Mar  4 06:12:03 nas kernel: Out of memory: Killed process 812 (mysqld)",
    b"Mar  4 06:12:04 nas CRON[813]: (root) CMD (run-parts /etc/cron.hourly)",
] * 300
LABELS = np.array([1, 0, 1, 0] * 300, np.int8)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(DEFAULT_BUNDLE)


def test_scores_are_those_of_the_agent(bundle: Bundle) -> None:
    """One per raw line, more lines than a block holds."""
    seen = examine(bundle, Target("t", LINES, LABELS, ["t"] * len(LINES)))
    expected = Scorer(bundle).scores(templates(LINES[:4]).templates)

    assert len(LINES) == len(seen.scores)
    assert seen.scores[:4] == pytest.approx(expected, abs=1e-6)
    assert 1.0 == figures(seen)["auroc"]


def test_groups_are_counted_once_however_often_they_come(bundle: Bundle) -> None:
    """As `logagent scan` would report them."""
    seen = examine(bundle, Target("t", LINES, None, ["t"] * len(LINES), healthy=True))
    found = figures(seen)

    assert 2 == found["high"]["groups"]
    assert 0.5 == found["high"]["flagged_share"]
    named = found["flagged_at_normal"]
    assert [300] * found["normal"]["groups"] == [row["lines"] for row in named]


def test_the_oracles_threshold_takes_ties_together() -> None:
    """Two lines of one score are flagged both or not at all."""
    found = best_f1(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.5, 0.5, 0.1]))

    assert {"f1": 0.8, "threshold": 0.5} == found


def test_the_page_is_self_contained_and_escapes_log_text(bundle: Bundle, tmp_path: Path) -> None:
    """A log line must not become markup."""
    pytest.importorskip("matplotlib", reason="needs the [build] extra")
    from logagent_build.html_report import page

    hostile = b"kernel: panic <script>alert(1)</script> \x1b[31m fatal error: disk failure"
    healthy = Target("odd <b>", [hostile] * 3, None, ["t"] * 3, healthy=True)
    labelled = Target("t", LINES, LABELS, ["t"] * len(LINES))
    text = page(bundle, [examine(bundle, labelled), examine(bundle, healthy)])

    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "odd &lt;b&gt;" in text
    assert "\x1b" not in text
    assert 4 == text.count("<svg")
    for loader in ("src=", "<link", "@import", 'href="http'):
        assert loader not in text.replace('xlink:href="#', "")
    (tmp_path / "x.html").write_text(text)


def test_as_many_labels_as_lines() -> None:
    """A target that does not fit is refused when it is made."""
    with pytest.raises(ValueError, match="2 labels, 1 lines"):
        Target("t", [b"x"], np.array([0, 1], np.int8), ["t"])
