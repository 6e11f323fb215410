"""The page of `scan --html` in a real browser: nothing of a log runs, and the controls work."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from logagent.html_sequences import Found, Sequences
from logagent.sequences.ensemble import Carried

from .browser import Browser, missing
from .sequences.fakes import reader
from .test_html_report import EVIL, OOM, QUIET
from .test_html_sequences import COUNTS, finding, whole

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

ESCAPE = "\ue00c"  # WebDriver's names of keys
ENTER, RIGHT, END = "\ue007", "\ue014", "\ue010"
DISK = b"Mar 14 07:55:01 router kernel: EXT4-fs error (device sda1): I/O error, aborting journal\n"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    quiet = b"".join(QUIET % (number % 60, number + 100) for number in range(60))
    hostile = b"".join(
        b"Mar 14 07:%02d:26 router kernel: Out of memory: Killed process 1 (%s)\n" % (minute, evil)
        for minute, evil in enumerate(EVIL)
    )
    (folder / "<img src=x onerror=window.owned=1>\"'.log").write_bytes(
        quiet + hostile + DISK * 3 + quiet + OOM
    )
    out = tmp_path_factory.mktemp("out") / "report.html"
    command = [sys.executable, "-m", "logagent", "scan", str(folder), "--html", str(out), "-q"]
    subprocess.run([*command, str(folder / "missing<script>window.owned=1</script>")], timeout=60)
    return out


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of sequences alone, of hostile sessions and lines."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "jobs.log").write_bytes(b"well\n")
    carried = [Carried("unexpected", 1, 0.9, [1]), Carried("missing", 2, 0.5, [])]
    kinds = [
        finding([0, 1, *range(2, n)], carried, session=EVIL[n % 9], text=EVIL[n % 9])
        for n in range(2, 17)
    ]
    found = Found([(each, 2) for each in kinds], 0, COUNTS, reader())
    out = folder / "report.html"
    out.write_text(whole(folder, Sequences(found)))
    return out


@pytest.fixture
def opened(browser: Browser, report: Path) -> Browser:
    browser.open(report)
    browser.log()
    return browser


def shown(browser: Browser) -> list[int]:
    """Return the places of the groups that can be seen, in the order they stand."""
    script = (
        "return [...document.querySelectorAll('.group')].filter(g => g.checkVisibility())"
        ".map(g => +g.dataset.place)"
    )
    return list(browser.run(script))


def test_nothing_of_a_log_runs_and_nothing_is_loaded(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.click("#all")

    assert browser.run("return window.owned === undefined")
    assert [] == browser.log()
    assert [] == browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert 1 == browser.run("return document.scripts.length")
    assert 0 == browser.run("return document.images.length")
    text = browser.run("return document.body.innerText")
    assert "<script>window.owned=1</script>" in text
    assert "onerror=window.owned=1" in text


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<b>x</b>'",
        "element.setAttribute('onclick', 'window.owned = 1')",
        "const s = document.createElement('script'); s.text = 'window.owned = 1'",
    ],
)
def test_not_even_the_own_script_could_run_text(opened: Browser, attempt: str) -> None:
    with pytest.raises(RuntimeError, match=r"Trusted|Content Security Policy|unsafe-eval"):
        opened.run(f"const element = document.body; {attempt}")
    assert opened.run("return window.owned === undefined")


def test_the_policy_refuses_styles_and_addresses(opened: Browser) -> None:
    colour = opened.run(
        "const p = document.createElement('p'); p.setAttribute('style', 'color: rgb(9, 9, 9)');"
        "const i = document.createElement('img'); i.src = 'https://example.org/x.png';"
        "document.body.append(p, i); return getComputedStyle(p).color"
    )
    told = opened.run("return fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    refused = [entry for entry in opened.log() if "Content Security Policy" in entry["message"]]

    assert "rgb(9, 9, 9)" != colour
    assert "refused" == told
    assert len(refused) >= 3


def test_a_group_unfolds_by_its_button_by_its_head_and_all_at_once(opened: Browser) -> None:
    count = len(shown(opened))
    visible = (
        "return [...document.querySelectorAll('.detail')].filter(d => d.checkVisibility()).length"
    )

    assert 0 == opened.run(visible)
    opened.click(".group:nth-of-type(1) .toggle")
    opened.click(".group:nth-of-type(2) .figures")
    assert 2 == opened.run(visible)
    opened.click("#all")
    assert count == opened.run(visible)
    opened.click("#all")
    assert 0 == opened.run(visible)


def test_the_keyboard_alone_unfolds_and_filters_by_time(opened: Browser) -> None:
    opened.type(".group:nth-of-type(1) .toggle", ENTER)
    assert "true" == opened.run("return document.querySelector('.toggle').ariaExpanded")

    everything = shown(opened)
    opened.type("#chart", END + ENTER)
    some = shown(opened)
    assert 0 < len(some) < len(everything)
    assert not opened.run("return document.getElementById('span').hidden")
    opened.type("#chart", ESCAPE)
    assert everything == shown(opened)


def test_words_categories_and_scores_filter(opened: Browser) -> None:
    everything = shown(opened)
    opened.type("#filter", "ext4 JOURNAL")
    (disk,) = shown(opened)
    assert f"1 of {len(everything)} groups" == opened.run("return shown.textContent")
    opened.type("#filter", "nowhere")
    assert [] == shown(opened)
    assert opened.run("return none.checkVisibility()")
    opened.run("filter.value = ''; filter.dispatchEvent(new Event('input'))")

    opened.click(".chip[data-category='storage']")
    assert disk in shown(opened)
    assert len(shown(opened)) < len(everything)
    opened.click(".chip[data-category='storage']")
    assert everything == shown(opened)

    opened.type("#score", END)
    least = float(opened.run("return least.textContent"))
    scores = opened.run("return [...document.querySelectorAll('.group')].map(g => g.dataset.score)")
    assert sum(float(score) >= least for score in scores) == len(shown(opened))


def test_groups_are_sorted_as_asked(opened: Browser) -> None:
    everything = shown(opened)
    choose = "sort.value = arguments[0]; sort.dispatchEvent(new Event('change'))"

    opened.run(choose, "count")
    counts = opened.run(
        "return [...document.querySelectorAll('.group')].map(g => +g.dataset.count)"
    )
    assert counts == sorted(counts, reverse=True)
    assert 3 == counts[0]
    opened.run(choose, "first")
    firsts = opened.run(
        "return [...document.querySelectorAll('.group')].map(g => +g.dataset.first)"
    )
    assert firsts == sorted(firsts)
    opened.run(choose, "place")
    assert everything == shown(opened)


def test_the_drawing_switches_between_time_and_lines(opened: Browser) -> None:
    drawn = "return [...document.querySelectorAll('.plot')].map(p => p.checkVisibility())"

    assert [True, False] == opened.run(drawn)
    opened.click(".switch [data-axis=line]")
    assert [False, True] == opened.run(drawn)


def test_the_id_is_copied(opened: Browser) -> None:
    opened.click(".group:nth-of-type(1) .toggle")
    allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    opened.command("Browser.grantPermissions", permissions=allowed)
    opened.click(".group:nth-of-type(1) .copy")
    id_, label = opened.run(
        "const b = document.querySelector('.copy');"
        "if (b.textContent === 'Copy') await new Promise(done =>"
        " new MutationObserver(done).observe(b, {childList: true}));"
        "return [b.dataset.copy, b.textContent]"
    )

    assert "Copied" == label
    assert re.fullmatch("[0-9a-f]{16}", id_)
    assert id_ == opened.run("return navigator.clipboard.readText()")


def test_light_and_dark_follow_the_system_until_the_button_is_used(opened: Browser) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    colours = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        opened.command("Emulation.setEmulatedMedia", features=[feature])
        colours.append(opened.run(ground))
    opened.click("#theme")
    chosen = opened.run(ground)
    opened.run("localStorage.clear()")
    opened.command("Emulation.setEmulatedMedia", features=[])

    assert colours[0] != colours[1]
    assert colours[0] == chosen


def test_on_paper_everything_is_unfolded_and_no_control_is_left(opened: Browser) -> None:
    opened.click("#theme")  # dark: paper stays white
    opened.command("Emulation.setEmulatedMedia", media="print")
    state = opened.run(
        "return {open: [...document.querySelectorAll('.detail')].every(d => d.checkVisibility()),"
        "controls: [...document.querySelectorAll('input, select, .toggle, #all, #theme')]"
        ".some(c => c.checkVisibility()), ground: getComputedStyle(document.body).backgroundColor}"
    )
    opened.run("localStorage.clear()")
    opened.command("Emulation.setEmulatedMedia", media="")

    assert {"open": True, "controls": False, "ground": "rgb(255, 255, 255)"} == state


@pytest.mark.parametrize("width", [320, 390, 768, 1600])
def test_no_width_makes_the_page_scroll_sideways(opened: Browser, width: int) -> None:
    opened.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=width < 700,
    )
    opened.click("#all")
    found = opened.run("return [document.documentElement.scrollWidth, innerWidth]")
    opened.command("Emulation.clearDeviceMetricsOverride")

    assert found[0] <= width == found[1]


def test_without_script_everything_can_be_read(browser: Browser, report: Path) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report)
        text = browser.command(
            "DOM.getOuterHTML", nodeId=browser.command("DOM.getDocument")["root"]["nodeId"]
        )["outerHTML"]
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)

    assert '<html lang="en" data-axis="time">' in text  # the script has not marked it
    assert 'class="group open"' not in text


def test_sequences_unfold_and_all_of_them_are_shown_when_asked_for(
    browser: Browser, sequences: Path
) -> None:
    browser.open(sequences)
    kinds = "return [...document.querySelectorAll('.sequence')].filter(k => k.checkVisibility())"
    details = kinds.replace("k.check", "k.querySelector('.detail').check")

    assert browser.run("return window.owned === undefined && document.images.length === 0")
    assert 10 == len(browser.run(kinds))
    assert 0 == len(browser.run(details))
    browser.click("#more")
    assert not browser.run("return more.checkVisibility()")
    assert 15 == len(browser.run(kinds))
    browser.click(".sequence:nth-of-type(1) .toggle")
    browser.click(".sequence:nth-of-type(12) .figures")
    assert 2 == len(browser.run(details))
    assert "unexpected" in browser.run("return document.querySelector('.detail').innerText")
    assert [] == browser.log()


@pytest.mark.parametrize("width", [320, 1600])
def test_no_width_makes_sequences_scroll_sideways(
    browser: Browser, sequences: Path, width: int
) -> None:
    browser.open(sequences)
    browser.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=width < 700,
    )
    browser.run("document.querySelectorAll('.sequence .toggle').forEach(b => b.click())")
    found = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    browser.command("Emulation.clearDeviceMetricsOverride")

    assert found[0] <= width == found[1]


def test_on_paper_every_sequence_is_unfolded(browser: Browser, sequences: Path) -> None:
    browser.open(sequences)
    browser.command("Emulation.setEmulatedMedia", media="print")
    unfolded = browser.run(
        "return [...document.querySelectorAll('.detail')].every(d => d.checkVisibility())"
    )
    browser.command("Emulation.setEmulatedMedia", media="")

    assert unfolded
