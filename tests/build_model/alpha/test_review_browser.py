"""The review page in a real browser: nothing of a log runs, and corrections come out."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.corrections import read_review
from logagent_build.alpha.review import Entry, Reviewable
from logagent_build.alpha.review_page import MOST_SHOWN, page

_PATH = Path(__file__).parents[2] / "agent" / "browser.py"
_SPEC = importlib.util.spec_from_file_location("alpha_browser", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["alpha_browser"] = _MODULE
_SPEC.loader.exec_module(_MODULE)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(_MODULE.missing()), reason=_MODULE.missing()),
]
EVIL = "</code></section><img src=x onerror=window.owned=1><script>window.owned=1</script>"
MANY = MOST_SHOWN + 5


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with _MODULE.Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Any:
    """A sure cluster of two templates, and one in doubt of more than are shown."""
    few = [Entry(f"{n:016x}", EVIL, 5, 0, False, 0.0, "0", EVIL, False) for n in range(2)]
    many = [
        Entry(f"{n:016x}", f"t {n}", 1, 1, True, 0.3, "", "", False) for n in range(9, 9 + MANY)
    ]
    path = tmp_path / "review.html"
    path.write_text(page(Reviewable(EVIL, 3, (*few, *many))))
    browser.open(path)
    browser.run("HTMLAnchorElement.prototype.click = function () { window.saved = this.href }")
    return browser


def change(browser: Any, selector: str, value: str) -> None:
    browser.run(
        "const box = document.querySelector(arguments[0]); box.value = arguments[1];"
        "box.dispatchEvent(new Event('change'))",
        selector,
        value,
    )


def exported(browser: Any, folder: Path) -> dict[str, bool]:
    browser.click("#export")
    text = browser.run("return decodeURIComponent(window.saved.split(',').slice(1).join(','))")
    path = folder / "exported.json"
    path.write_text(text)
    json.loads(text)
    return read_review(path)


def test_nothing_of_a_log_runs(opened: Any) -> None:
    assert opened.run("return window.owned === undefined")
    assert 0 == opened.run("return document.images.length")
    assert 2 == opened.run("return document.querySelectorAll('section').length")


def test_a_changed_label_is_exported(opened: Any, tmp_path: Path) -> None:
    change(opened, "select[data-key='0000000000000001']", "1")

    assert {"0000000000000001": True} == exported(opened, tmp_path)
    assert "1 changes" == opened.run("return document.getElementById('changes').textContent")


def test_a_label_changed_back_is_no_correction(opened: Any, tmp_path: Path) -> None:
    for value in ("1", "0"):
        change(opened, "select[data-key='0000000000000001']", value)

    assert {} == exported(opened, tmp_path)


def test_corrections_of_an_earlier_round_are_exported_again(browser: Any, tmp_path: Path) -> None:
    seen = [
        Entry(f"{n:016x}", f"t {n}", 1, 0, n % 2 == 1, 0.0, "", "", n > MANY - 3)
        for n in range(MANY)
    ]
    path = tmp_path / "review.html"
    path.write_text(page(Reviewable("a", 3, tuple(seen))))
    browser.open(path)
    browser.run("HTMLAnchorElement.prototype.click = function () { window.saved = this.href }")

    change(browser, "select[data-key='0000000000000001']", "0")

    kept = {f"{n:016x}": n % 2 == 1 for n in (MANY - 2, MANY - 1)}
    assert {f"{1:016x}": False} | kept == exported(browser, tmp_path)


def test_a_cluster_changes_all_its_templates_those_not_shown_too(
    opened: Any, tmp_path: Path
) -> None:
    change(opened, "section.doubtful select[data-cluster]", "0")

    assert {f"{n:016x}": False for n in range(9, 9 + MANY)} == exported(opened, tmp_path)


def test_doubtful_clusters_come_first_and_can_be_shown_alone(opened: Any) -> None:
    assert opened.run("return document.querySelector('section').classList.contains('doubtful')")

    opened.click("#only")

    assert 1 == opened.run("return document.querySelectorAll('section:not([hidden])').length")
