"""`logagent status`: what people read, and what a hostile name cannot do to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from logagent import status_command as module
from logagent.errors import ConfigError, StateError
from logagent.status_command import status_command

ANSWER: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 77,
    "uptime_seconds": 93_784.5,
    "state_dir": "/var/lib/logagent",
    "lines": 1_234_567,
    "bytes": 98_765_432,
    "anomalous_lines": 1024,
    "alerts": 12,
    "blocked": False,
    "lag_bytes": 4096,
    "cache": {"fast_key_hits": 0.987},
    "memory": {"rss_anon_bytes": 24_000_000},
    "model": {
        "name": "default", "sha256": "0123456789abcdef" * 4, "backend": "numpy", "threshold": 0.895
    },
    "sinks": [
        {"name": "stdout", "state": "up", "delivered": 12, "spooled": 0, "dropped": 0,
         "last_error": None},
        {"name": "syslog", "state": "down", "delivered": 3, "spooled": 9, "dropped": 2,
         "last_error": "connection refused"},
    ],
    "problems": {"unreadable": 3, "blocked": 1},
    "recent_problems": [
        {"time": "2026-03-14T07:16:01.000Z", "kind": "unreadable", "message": "/var/log/x: no"}
    ],
    "source_count": 3,
    "sources": [
        {"source": "/var/log/a", "lines": 10, "bytes": 2048, "lag_bytes": 4096, "lag_seconds": 1.5},
        {"source": "/var/log/a", "lines": 5, "bytes": 5, "state": "rotated", "file": "/var/log/1"},
        {"source": "/var/log/b", "state": "skipped", "reason": "not text"},
    ],
}  # fmt: skip


class Agent:
    """Stands in for the running agent."""

    def __init__(self) -> None:
        self.answer: Any = dict(ANSWER)
        self.asked: list[Path] = []

    def ask(self, folder: Path) -> Any:
        self.asked.append(folder)
        return self.answer


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    made = Agent()
    monkeypatch.setattr(module, "ask", made.ask)
    return made


@pytest.fixture
def shown(agent: Agent, capsys: pytest.CaptureFixture[str]) -> Any:
    def show(**changes: Any) -> list[str]:
        agent.answer |= changes
        assert 0 == status_command(None, Path("/state"), as_json=False)
        return capsys.readouterr().out.splitlines()

    return show


def test_a_screen_says_how_the_agent_is(shown: Any) -> None:
    assert [
        "logagent 0.1.0, process 77, up 1 d 2 h, 24.0 MB private memory",
        "model     default 0123456789ab, backend numpy, threshold 0.895",
        "read      1,234,567 lines, 98.8 MB; 1,024 anomalous, 12 alerts; 98.7% of lines known by "
        "key",
        "behind    4.1 kB",
        "sink      stdout: up, 12 delivered",
        "sink      syslog: down (connection refused), 3 delivered, 9 waiting, 2 DROPPED",
        "source    /var/log/a: 10 lines, 2.0 kB, behind by 4.1 kB for 1.5 s",
        "source    /var/log/a: 5 lines, 5 B, rotated (/var/log/1)",
        "source    /var/log/b: 0 lines, 0 B, skipped: not text",
        "problem   blocked: 1",
        "problem   unreadable: 3",
        "          2026-03-14T07:16:01.000Z unreadable: /var/log/x: no",
    ] == shown()


def test_a_screen_tells_of_sequences_where_they_are_judged(shown: Any) -> None:
    assert not [each for each in shown(sequences=None) if each.startswith("sequences")]
    counts = {"open": 1200, "judged": 30, "anomalous": 2, "told": 4, "kinds_held_back": 1}
    counts |= {"lines": 100, "no_key": 50, "unknown_lines": 3, "evicted": 0}
    said = "sequences 1,200 open, 30 judged, 2 anomalous"
    told = "; 4 alerts, 1 kind held back"
    assert said + told in shown(sequences=counts)
    assert f"{said}, 7 ended early for want of room{told}" in shown(
        sequences=counts | {"evicted": 7}
    )
    assert f"{said}{told}; 51% of lines in no session" in shown(sequences=counts | {"no_key": 51})
    cut = shown(sequences=counts | {"cut": 9})
    assert f"{said}, 9 perhaps begun before what was read{told}" in cut


def test_a_screen_tells_of_sequences_that_are_wanted_and_not_judged(shown: Any) -> None:
    said = "sequences NOT JUDGED, see problems"
    assert said in shown(sequences=None, sequences_enabled=True)
    assert said not in shown(sequences=None, sequences_enabled=False)


def test_an_agent_that_stands_still_says_so(shown: Any) -> None:
    assert "behind    4.1 kB; BLOCKED, see problems" in shown(blocked=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"), (172_800, "2 d 0 h")],
)
def test_ages_are_short(shown: Any, seconds: float, text: str) -> None:
    assert f"up {text}," in shown(uptime_seconds=seconds)[0]


@pytest.mark.parametrize("name", ["-", "journal", "syslog:udp:0.0.0.0:514"])
def test_sources_that_are_no_files_are_shown(shown: Any, name: str) -> None:
    """Standard input, the journal and syslog are named likewise."""
    row = {"source": name, "lines": 3, "bytes": 30, "lag_bytes": 0, "cut_lines": 0}

    assert f"source    {name}: 3 lines, 30 B" in shown(sources=[row])


def test_many_sources_are_cut_to_a_screen(shown: Any) -> None:
    rows = [{"source": f"/var/log/{number}"} for number in range(1000)]
    lines = shown(sources=rows, source_count=12_345)

    assert 20 == sum(line.startswith("source ") for line in lines)
    assert "          … and 12,325 more (--json)" in lines


def test_an_answer_with_nothing_in_it_is_shown(agent: Agent, shown: Any) -> None:
    agent.answer = {}

    assert 4 == len(shown())


def test_no_name_reaches_the_terminal_as_it_is(agent: Agent, shown: Any) -> None:
    evil = "\x1b]0;owned\x07\n\r\u202e\udcff" + "x" * 5000

    def poisoned(value: Any) -> Any:
        match value:
            case dict():
                return {key: poisoned(each) for key, each in value.items()} | {evil: evil}
            case list():
                return [poisoned(each) for each in value]
            case str():
                return evil
        return value

    agent.answer = poisoned(ANSWER) | {"problems": {evil: 1}}
    for line in shown():
        assert line.isprintable()
        assert len(line) <= 320


def test_json_has_everything_and_is_ascii(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answer["sources"] = [{"source": "/var/log/\x1b[31m\udcff\u202e"}]
    assert 0 == status_command(None, Path("/state"), as_json=True)

    out = capsys.readouterr().out
    assert agent.answer == json.loads(out)
    assert out.isascii()
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": "many"},
        {"uptime_seconds": None},
        {"uptime_seconds": float("nan")},
        {"uptime_seconds": float("inf")},
        {"cache": []},
        {"model": {"threshold": "high"}},
        {"sinks": 7},
        {"sinks": [{}]},
        {"sinks": ["stdout"]},
        {"sources": [{}]},
        {"sources": {"a": 1}},
        {"source_count": "3"},
        {"problems": ["x"]},
        {"recent_problems": [{}]},
        {"lag_bytes": "x"},
        {"memory": {"rss_anon_bytes": []}},
    ],
    ids=str,
)
def test_an_answer_of_another_version_is_one_clear_error(
    shown: Any, changes: dict[str, Any]
) -> None:
    with pytest.raises(StateError, match="another version"):
        shown(**changes)


def test_the_folder_is_that_of_the_configuration(agent: Agent, tmp_path: Path) -> None:
    file = tmp_path / "logagent.toml"
    file.write_text('[state]\ndir = "/from/the/file"\n')
    status_command(file, None, as_json=True)
    status_command(file, Path("/from/the/flag"), as_json=True)

    assert [Path("/from/the/file"), Path("/from/the/flag")] == agent.asked


def test_a_configuration_that_cannot_be_read_is_an_error(agent: Agent, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        status_command(tmp_path / "none.toml", None, as_json=True)
    assert [] == agent.asked
