"""`scan --html`: one page that is complete, bounded, and inert whatever a log holds."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from logagent.explain import Word
from logagent.html_groups import Finding
from logagent.html_page import MAX_GROUPS, Facts, page
from logagent.kinds import Kind
from logagent.occurrences import Chronicle
from logagent.scan import Scan

from .fakes import KeywordScorer

PAGE = Path(sys.modules["logagent.html_page"].__file__ or "").parent / "page"
OOM = b"Mar 14 07:23:26 router kernel: Out of memory: Killed process 14388 (adblock.sh)\n"
QUIET = b"Mar 14 06:00:%02d router crond[1702]: USER root pid %d cmd /usr/bin/true\n"
FACTS = Facts(["/var/log"], "router", 1773446400.0, 0.5, "normal", "default 0123", "1.0")
EVIL = [
    b"<script>window.owned=1</script>",
    b"</script><script>window.owned=1</script>",
    b"--!><img src=x onerror=window.owned=1>",
    b"</style><svg onload=window.owned=1>",
    b'" onmouseover="window.owned=1" x="',
    b"' autofocus onfocus='window.owned=1",
    b"</title></textarea><iframe src=javascript:window.owned=1>",
    "\u202egnp\u2066 \u200b\ufeff".encode(),
    b"\x1b]0;owned\x07\x00\xff&lt;b&gt;",
]


class Reader(HTMLParser):
    """Notes what of a page could load, run or style something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.inside: str = ""
        self.blocks: dict[str, list[str]] = {"script": [], "style": []}
        self.depth: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.depth.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.blocks.get(self.depth[-1], self.text) if self.depth else self.text).append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert [] == reader.depth
    return reader


def made(
    folder: Path, kind: Kind | None = None, words: tuple[str, ...] = (), facts: Facts = FACTS
) -> str:
    """Return the page of all files in a folder, by the scorer of bad words."""
    scan = Scan(KeywordScorer(), threshold=0.5)
    scan.groups.capacity = 5000
    chronicle = Chronicle()
    for step in scan.steps([str(folder)]):
        chronicle.see(step, scan.groups)
    groups = scan.groups.ranked()
    findings = [
        Finding(
            group,
            [Word(word, 1.0) for word in words],
            kind or Kind(),
            group.rank(scan.groups.lines),
        )
        for group in groups
    ]
    return page(findings, len(groups), scan.groups, scan.totals, chronicle, facts)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "logagent", "scan", *map(str, arguments)],
        capture_output=True,
        timeout=120,
    )


def hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_the_two_blocks_of_the_page_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"disk failed\n")
    found = read(made(tmp_path))
    (policy,) = [
        each["content"]
        for tag, each in found.tags
        if tag == "meta" and each.get("http-equiv") == "Content-Security-Policy"
    ]

    (script,), (style,) = found.blocks["script"], found.blocks["style"]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert "'none'" == rules["default-src"] == rules["base-uri"] == rules["form-action"]
    assert f"'{hash_of(script)}'" == rules["script-src"]
    assert f"'{hash_of(style)}'" == rules["style-src"]


def test_nothing_on_the_page_loads_or_styles_inline(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"disk failed\n" * 3)
    text = made(tmp_path, Kind("storage", ("linux",)), ("failed",))
    found = read(text)

    for tag, attributes in found.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "image"}
        assert not {"style", "src", "srcset", "xlink:href"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?://", text)


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_text_becomes_text_wherever_it_stands(tmp_path: Path, evil: bytes) -> None:
    name = evil.decode(errors="replace").replace("/", "∕").replace("\0", "")
    (tmp_path / f"{name}.log").write_bytes(
        evil + b"\ndisk " + evil + b" failed\n\tat x\nCaused by: a.b.CError: " + evil + b"\n"
    )
    (tmp_path / "quiet.log").write_bytes(b"well\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "log").write_bytes(b"well\n")
    shown = evil.decode(errors="replace")
    kind = Kind(shown, (shown,))
    facts = Facts([shown], shown, 0.0, 0.5, shown, shown, shown)
    text = made(tmp_path, kind, (shown, "failed"), facts)
    found = read(text)
    (tmp_path / f"{name}.log").write_bytes(b"disk failed\n")
    plain = read(made(tmp_path, Kind("x", ("y",)), ("failed",)))

    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in plain.tags} | {"em"}
    assert {a for _, each in found.tags for a in each} <= {
        a for _, each in plain.tags for a in each
    }
    assert len(found.blocks["script"]) == len(found.blocks["style"]) == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", text)


def test_words_that_carried_the_decision_are_marked(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"EXT4-fs error <12kB> oom_score oom failed HTTP 503\n")
    text = made(tmp_path, None, ("EXT", "kB", "oom", "5xx"))
    (line,) = re.findall('<p class="line">(.*?)</p>', text)

    assert (
        "<mark>EXT4</mark>-fs error &lt;12<mark>kB</mark>&gt; oom_score <mark>oom</mark> failed "
        "HTTP <mark>503</mark>"
    ) == line


def test_a_group_shows_place_context_trace_and_cause(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(
        b"a\nb\nc\nd\nERROR failed\n"
        + b"\tat x.Y(Z.java:1)\n" * 20
        + b"Caused by: java.io.IOError: full\n"
    )
    text = made(tmp_path)

    assert f"{tmp_path}/log:5" in text
    assert "<li><span>2</span><code>b</code></li>" in text
    assert "<code>Caused by: java.io.IOError: full</code>" in text
    assert "12 more lines of trace" in text
    assert "+21 trace lines" in text


def test_without_time_stamps_the_order_of_lines_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"well\n" * 50 + b"disk failed\n" + b"well\n" * 50)
    text = made(tmp_path)

    assert 'data-axis="line"' in text
    assert 'class="plot on-line"' in text
    assert 'class="plot on-time"' not in text
    assert "Time covered" not in text


def test_an_empty_result_says_so_and_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "quiet.log").write_bytes(b"all is well\n" * 70)
    text = made(tmp_path)

    assert "<h1>Nothing found</h1>" in text
    assert "70 lines were read, and none reached the threshold of 0.50." in text
    assert f"<code>{tmp_path}/quiet.log</code>" in text
    assert 'class="card empty good"' in text


def test_nothing_read_is_not_called_good(tmp_path: Path) -> None:
    text = made(tmp_path / "missing")

    assert "No line was read" in text
    assert 'class="card empty unsure"' in text
    assert "No such file or directory" in text
    assert "something may be missing here" in text


def test_the_page_is_bounded_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    letters = "bcdfghjklmnpqrst"
    words = [a + b + c for a in letters for b in "aeiou" for c in letters][:800]
    evil = b'"' * 2000
    (tmp_path / "log").write_bytes(
        b"".join((evil + b"\n") * 3 + b"%s failed %s\n" % (word.encode(), evil) for word in words)
    )
    text = made(tmp_path)

    assert MAX_GROUPS == text.count('<li class="group"')
    assert f"The {MAX_GROUPS} most remarkable of 800 groups are shown." in text
    assert len(text.encode()) < 14e6  # every character escaped; 3 kB a group is usual


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, in [1, 21]."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


THEMES = [
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r"\{([^{}]*--text:[^{}]*)\}", (PAGE / "report.css").read_text())
]


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_and_every_mark_has_contrast_enough(theme: dict[str, str]) -> None:
    for ground in ("ground", "card", "sunk"):
        for text in ("text", "soft"):
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        for number in range(10):
            assert contrast(theme[f"c{number}"], theme[ground]) >= 3, (number, ground)
    assert contrast(theme["on-mark"], theme["mark"]) >= 4.5
    assert contrast(theme["on-warn"], theme["warn"]) >= 4.5


def test_dark_is_the_same_chosen_or_given() -> None:
    assert 4 == len(THEMES)  # light, dark chosen, dark given, print
    assert THEMES[1] == THEMES[2]
    assert contrast(THEMES[0]["on-accent"], THEMES[0]["accent"]) >= 4.5
    assert contrast(THEMES[1]["on-accent"], THEMES[1]["accent"]) >= 4.5


def test_the_script_builds_nothing_from_text() -> None:
    script = (PAGE / "report.js").read_text()

    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|fetch|XMLH", script
    )


def test_the_command_writes_the_page_beside_its_usual_results(tmp_path: Path) -> None:
    log, out = tmp_path / "a.log", tmp_path / "report.html"
    log.write_bytes(b"".join(QUIET % (n, n) for n in range(50)) + OOM)
    without = command(log)
    result = command(log, "--html", out)
    text = out.read_text("utf-8")

    assert 0 == result.returncode
    assert without.stdout == result.stdout
    assert json.loads(result.stdout)["id"] in text
    assert "<h1>1 anomaly group</h1>" in text
    assert ["a.log", "report.html"] == sorted(os.listdir(tmp_path))


def test_a_report_of_last_time_is_not_read_as_a_log(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(OOM)
    out = tmp_path / "report.html"
    command(tmp_path, "--html", out, "--quiet")
    again = command(tmp_path, "--html", out, "--stats", "json", "--quiet")

    assert 1 == json.loads(again.stderr)["lines"]
    assert "<h1>1 anomaly group</h1>" in out.read_text("utf-8")


@pytest.mark.parametrize("place", ["missing/report.html", "folder", "/dev/null"])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.log").write_bytes(OOM)
    result = command(tmp_path / "a.log", "--html", tmp_path / place)

    assert 6 == result.returncode
    assert b"" == result.stdout
    assert 1 == len(result.stderr.splitlines())
    assert os.path.exists("/dev/null")


def test_a_full_disk_leaves_the_page_of_last_time(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(OOM)
    out = tmp_path / "report.html"
    out.write_bytes(b"old")
    result = subprocess.run(
        [sys.executable, "-m", "logagent", "scan", str(tmp_path / "a.log"), "--html", str(out)],
        capture_output=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )

    assert 6 == result.returncode
    assert b"cannot write the report: File too large" in result.stderr
    assert b"adblock" in result.stdout
    assert b"old" == out.read_bytes()
    assert ["a.log", "report.html"] == sorted(os.listdir(tmp_path))


def test_ctrl_c_writes_what_was_found_until_then(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    process = subprocess.Popen(
        [sys.executable, "-m", "logagent", "scan", "-", "--html", str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(OOM)
        process.stdin.flush()
        process.stdout.readline()  # the group: the scan is running now
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    text = out.read_text("utf-8")

    assert 130 == process.returncode
    assert "The scan was interrupted" in text
    assert "standard input:1" in text


def test_names_that_are_no_text_and_every_line_printed_make_the_same_page(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.log"
    with open(path, "wb") as log:
        log.write(QUIET % (1, 1) + OOM)
    out = tmp_path / "report.html"
    result = command(tmp_path, "--all", "--html", out)

    assert 0 == result.returncode
    assert 2 == len(result.stdout.splitlines())
    assert "\\udcff\\udcfe.log:2" in out.read_text("utf-8")


def test_a_link_is_followed_and_the_usual_mode_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(OOM)
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    (tmp_path / "real.html").write_bytes(b"old")
    command(tmp_path / "a.log", "--html", tmp_path / "link.html", "--quiet")

    mask = os.umask(0o022)
    os.umask(mask)
    assert (tmp_path / "link.html").is_symlink()
    assert b"<!DOCTYPE html>" == (tmp_path / "real.html").read_bytes()[:15]
    assert 0o666 & ~mask == (tmp_path / "real.html").stat().st_mode & 0o777


def test_nothing_of_it_is_loaded_without_the_option(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(OOM)
    program = (
        "import sys; sys.argv = ['logagent', 'scan', sys.argv[1], '--quiet']\n"
        "from logagent.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if 'html' in m or m == 'logagent.occurrences'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.log")], capture_output=True, timeout=60
    )

    assert b"[]" == done.stdout.strip()
