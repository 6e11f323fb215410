"""The proof on boards notices when a verdict differs, a line is missed or an agent does not get on.

The proof itself needs root, emulators and minutes: packaging/prove-arm64 and prove-armhf.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from board_follow import follow
from board_root import BoardError
from board_verdicts import compare_alerts, compare_scans, records

RECORD: dict[str, Any] = {
    "id": "a",
    "source": "logs/x.log",
    "line": 3,
    "offset": 40,
    "score": 0.9,
    "verdict": "anomaly",
    "count": 1,
    "template": "disk #",
    "text": "disk 1",
}


def test_equal_scans_are_equal_in_any_order() -> None:
    other = RECORD | {"id": "b", "line": 4}

    assert (0.0, []) == compare_scans([RECORD, other], [other, RECORD])


def test_a_score_may_differ_in_its_fourth_decimal_and_no_more() -> None:
    assert not compare_scans([RECORD], [RECORD | {"score": 0.9001}])[1]
    assert compare_scans([RECORD], [RECORD | {"score": 0.9003}])[1]


@pytest.mark.parametrize(
    "change", [{"verdict": "normal"}, {"count": 2}, {"text": "disk 2"}, {"id": "other"}]
)
def test_any_other_difference_is_told(change: dict[str, Any]) -> None:
    assert compare_scans([RECORD], [RECORD | change])[1]


def test_an_alert_that_came_twice_counts_once() -> None:
    assert (0.0, []) == compare_alerts([RECORD], [RECORD, RECORD])


def test_a_missed_alert_is_told() -> None:
    other = RECORD | {"id": "b", "text": "disk 2"}

    assert ["2 alerts and 1"] == compare_alerts([RECORD, other], [RECORD])[1]


AGENT = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[2])))
print("watching", file=sys.stderr, flush=True)
seen = set()
while True:
    for log in sorted(folder.glob("app.log*")):
        for line in log.read_text().splitlines():
            if line not in seen:
                with (folder / "alerts.jsonl").open("a") as out:
                    out.write('{"id": "%s"}\\n' % line)
                seen.add(line)
    time.sleep(0.01)
"""


@pytest.mark.slow
def test_all_lines_are_written_through_rotations_and_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("board_follow.QUIET_SECONDS", 0.3)
    lines = [b"%d\n" % number for number in range(40)]

    done = follow([sys.executable, "-c", AGENT, str(tmp_path), "0"], tmp_path, lines, 0.4)

    assert {str(number) for number in range(40)} == {one["id"] for one in records(done.alerts)}
    assert {"app.log", "app.log.1", "app.log.2"} == {one.name for one in tmp_path.glob("app*")}
    assert 0 == done.exit_code
    assert done.rss_anon_bytes > 0


def test_an_agent_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such bundle')"]

    with pytest.raises(BoardError, match="no such bundle"):
        follow(command, tmp_path, [b"line\n"], 0.1)
