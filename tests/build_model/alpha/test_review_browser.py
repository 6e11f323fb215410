"""The pages in a real browser: nothing of a log runs or loads, and corrections come out."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from logagent_build.alpha.alerts import read_alerts
from logagent_build.alpha.corrections import read_review
from logagent_build.alpha.explain import explain
from logagent_build.alpha.explain_report import as_html
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


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Another machine, which no page may speak to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def hostile(elsewhere: socket.socket) -> list[str]:
    """Lines that would run, or load, wherever a page has forgotten to escape them."""
    there = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
    return [
        EVIL,
        f"</title></style></script><script src={there}/s.js></script>",
        f"</pre></details><img src={there}/i.png><iframe src={there}/f></iframe>",
        f"<link rel=stylesheet href={there}/c.css><style>@import '{there}/d.css';</style>",
        f"<meta http-equiv=refresh content='0;url={there}/r'><base href={there}>",
        f"'\" autofocus onfocus=window.owned=1 style=background:url({there}/b) x='\"",
        "<svg onload=window.owned=1><animate onbegin=window.owned=1></svg>",
        "<details open ontoggle=window.owned=1><input autofocus onfocus=window.owned=1>",
        "&lt;img src=x onerror=window.owned=1&gt; javascript:window.owned=1 {{7*7}} ${7*7}",
    ]


def harmless(browser: Any, elsewhere: socket.socket) -> bool:
    """Tell whether nothing of a page ran, loaded, or was even tried."""
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    refused = [row for row in browser.log() if "favicon" not in row["message"]]
    with pytest.raises(BlockingIOError):
        elsewhere.accept()
    foreign = "img, iframe, link, base, [autofocus], [onload], [onfocus], [onerror], [ontoggle]"
    found = browser.run(
        "return [window.owned === undefined, location.protocol,"
        " Array.from(document.querySelectorAll(arguments[0]), (one) => one.outerHTML)]",
        foreign,
    )
    return (refused, found) == ([], [True, "file:", []])


def test_a_report_of_hostile_lines_and_replies_runs_and_loads_nothing(
    browser: Any, elsewhere: socket.socket, tmp_path: Path
) -> None:
    lines = hostile(elsewhere)
    alerts = [
        {"text": line, "score": 0.9, "host": line, "source": line, "category": line}
        | {"why": [line], "like": [line], "context": {"before": [line], "after": [line]}}
        for line in lines
    ]
    (tmp_path / "alerts").write_text("".join(json.dumps(each) + "\n" for each in alerts))
    groups = read_alerts(tmp_path / "alerts")
    replies = [f"Causes:\n- {line}\nRecommendations:\n- {line}" for line in lines]
    path = tmp_path / "report.html"
    path.write_text(as_html(explain(groups, lambda made: replies[: len(made)]), EVIL))

    browser.open(path)

    assert len(groups) == browser.run("return document.querySelectorAll('article').length") > 5
    assert harmless(browser, elsewhere)


def test_a_review_of_hostile_lines_and_reasons_runs_and_loads_nothing(
    browser: Any, elsewhere: socket.socket, tmp_path: Path
) -> None:
    lines = hostile(elsewhere)
    entries = tuple(
        Entry(f"{n:016x}", line, 1, n, False, 0.0, "0", line, False) for n, line in enumerate(lines)
    )
    path = tmp_path / "review.html"
    path.write_text(page(Reviewable(EVIL, 3, entries)))

    browser.open(path)

    assert len(lines) == browser.run("return document.querySelectorAll('section').length")
    assert harmless(browser, elsewhere)


def test_corrections_for_other_logs_are_exported_again(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    entry = Entry("0" * 16, "t", 1, 0, False, 0.0, "", "", False)
    path.write_text(page(Reviewable("a", 3, (entry,), (), (("f" * 16, True), ("e" * 16, False)))))
    browser.open(path)
    browser.run("HTMLAnchorElement.prototype.click = function () { window.saved = this.href }")

    change(browser, "select[data-key='0000000000000000']", "1")

    assert {"0" * 16: True, "e" * 16: False, "f" * 16: True} == exported(browser, tmp_path)


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
