"""`logagent-build label`, from files to labels, with a real server, batch files and simulations."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")
pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from click.testing import Result
from logagent.normalise import templates
from logagent_build import cli
from logagent_build.alpha.corrections import FORMAT, template_key
from logagent_build.annotate import choice
from logagent_build.annotate.endpoint import Endpoint
from logagent_build.annotate.fence import read_block
from typer.testing import CliRunner

from .server import Model, Server, serving

SECRET = "sk-very-secret"


@pytest.fixture(autouse=True)
def in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without the courier's process, which takes a second to start, but where it matters."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(
            choice, "Courier", lambda settings, _store, _run, _say: Endpoint(settings)
        )


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "deep").mkdir(parents=True)
    words = ("fan", "disk", "link", "cpu", "door", "pump", "lamp", "lock", "gate", "belt", "bell")
    for name in ("a.log", "deep/b.log"):
        rows = [
            f"{name[-5]} {word} unit took {1000 + n} ms and {'fails' if n % 2 else 'works'}"
            for word in words
            for n in range(4)
        ]
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


def run(logs: Path, annotator: str, *more: object, out: str = "labels.tsv") -> Result:
    words = ["label", str(logs), "--annotator", annotator, "--out", str(logs.parent / out)]
    return CliRunner().invoke(cli.app, [*words, *map(str, more)])


def table(logs: Path, out: str = "labels.tsv") -> list[dict[str, Any]]:
    with (logs.parent / out).open() as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def right(rows: list[dict[str, Any]]) -> bool:
    return all(row["label"] == ("1" if "fails" in row["line"] else "0") for row in rows)


def served(logs: Path, server: Server, *more: object, **out: str) -> Result:
    options = ("--model", "gpt-4o-mini", "--prompt", "loggpt", "--patience", 0, *more)
    return run(logs, server.url, *options, **out)


@pytest.mark.slow
def test_a_folder_is_labelled_and_the_record_says_how(logs: Path) -> None:
    with serving() as server:
        done = served(logs, server, "--budget", "1.00")
    rows = table(logs)
    record = json.loads((logs.parent / "labels.tsv.json").read_text())

    assert 0 == done.exit_code, done.output
    assert 88 == len(rows)
    assert right(rows)
    assert ("a.log", "2") == (rows[1]["file"], rows[1]["line_number"])
    assert "deep/b.log" == rows[-1]["file"]
    assert (88, 44) == (record["lines"], record["templates"])
    assert {"0": 22, "1": 22} == record["labels"]
    assert record["paid"]["requests"] == sum(server.asked.values()) == 16
    assert 0 < record["paid"]["dollars"] < record["estimate"]["dollars"]
    assert "loggpt" == record["prompt"]["name"]
    assert record["simulation"] is False
    assert "88 lines, 44 templates: 16 requests" in done.stderr


def test_done_again_it_pays_nothing(logs: Path) -> None:
    with serving() as server:
        served(logs, server)
        first = (logs.parent / "labels.tsv").read_bytes()
        again = served(logs, server)

        assert {1} == set(server.asked.values())
        assert "16 requests, 16 of them answered before" in again.stderr
    assert first == (logs.parent / "labels.tsv").read_bytes()
    store = logs.parent / "labels.tsv.replies.sqlite"
    alone = run(
        logs, f"recorded:{store}", "--model", "gpt-4o-mini", "--prompt", "loggpt", out="other.tsv"
    )
    assert 0 == alone.exit_code, alone.output
    assert table(logs) == table(logs, "other.tsv")


def test_a_budget_stops_it_with_its_own_code_and_more_goes_on(logs: Path) -> None:
    with serving() as server:
        stopped = served(logs, server, "--budget", "0.0009")
        paid = sum(server.asked.values())

        assert 10 == stopped.exit_code, stopped.output
        assert "higher --budget" in stopped.stderr
        assert not (logs.parent / "labels.tsv").exists()
        assert 0 == served(logs, server, "--budget", "1").exit_code
        assert {1} == set(server.asked.values())
    assert 0 < paid < 16
    assert right(table(logs))


def test_an_unknown_price_with_a_budget_is_asked_for(logs: Path) -> None:
    done = run(logs, "http://127.0.0.1:9/v1", "--model", "mine", "--budget", "1")

    assert 7 == done.exit_code
    assert "--prices FILE" in done.stderr


def test_an_endpoint_that_is_down_has_its_own_code(logs: Path) -> None:
    with serving() as server:
        server.always = lambda exchange: exchange.error(503, "resting")
        down = served(logs, server)
        server.always = None

        assert 69 == down.exit_code
        assert "HTTP 503" in down.stderr
        assert "Traceback" not in down.output
        assert 0 == served(logs, server).exit_code


@pytest.mark.slow
def test_the_key_is_sent_and_stands_nowhere(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    with serving() as server:
        done = served(logs, server, "--key-env", "MY_KEY")
        server.always = lambda exchange: exchange.error(401, f"bad key {SECRET}")
        refused = served(logs, server, "--key-env", "MY_KEY", "--seed", 1)

        assert {f"Bearer {SECRET}"} == {each["authorization"] for each in server.headers}
    assert (0, 69) == (done.exit_code, refused.exit_code)
    assert SECRET not in done.output + refused.output
    files = [path.read_bytes() for path in logs.parent.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in data for data in files)


def test_the_key_of_openai_goes_to_openai_alone(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with serving() as server:
        served(logs, server)

        assert SECRET not in str(server.headers)


def test_batch_files_go_out_and_come_in(logs: Path) -> None:
    requests, responses = logs.parent / "out.jsonl", logs.parent / "in.jsonl"
    given = (f"batch:{requests}", "--model", "m", "--prompt", "loggpt")
    waits = run(logs, *given)
    assert 75 == waits.exit_code
    assert "16 requests written to" in waits.stderr
    lines = []
    for row in map(json.loads, requests.read_text().splitlines()):
        text = Model().text(read_block(row["body"]["messages"][-1]["content"]), {})
        body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        response = {"status_code": 200, "body": body}
        lines.append(json.dumps({"custom_id": row["custom_id"], "response": response}))
    responses.write_text("\n".join(lines))
    done = run(logs, *given, "--responses", responses)

    assert 0 == done.exit_code, done.output
    assert right(table(logs))


def test_thinking_models_get_what_they_take_and_room_to_think(logs: Path) -> None:
    requests = logs.parent / "out.jsonl"
    run(logs, f"batch:{requests}", "--model", "gpt-5-mini", "--thinking-tokens", 5000)
    body = json.loads(requests.read_text().splitlines()[0])["body"]

    assert 5000 < body["max_completion_tokens"] < 7000
    assert not {"temperature", "max_tokens"} & body.keys()


def test_an_estimate_asks_nothing(logs: Path) -> None:
    with serving() as server:
        done = served(logs, server, "--estimate")

        assert 0 == len(server.asked)
    assert 0 == done.exit_code
    assert 16 == json.loads(done.stdout)["estimate"]["requests"]


def test_a_simulation_is_marked_as_one(logs: Path) -> None:
    lines = [line for path in sorted(logs.rglob("*.log")) for line in path.read_text().splitlines()]
    truth = logs.parent / "truth.tsv"
    truth.write_text("".join(f"{int('fails' in line)}\t{line}\n" for line in lines))
    done = run(logs, f"simulated:{truth},normal=1,anomalous=0,seed=3")
    record = json.loads((logs.parent / "labels.tsv.json").read_text())

    assert 0 == done.exit_code, done.output
    assert record["simulation"] is True
    assert "1 of normal" in record["model"]
    assert {"1": 44} == record["labels"]


@pytest.mark.parametrize(
    ("annotator", "code", "said"),
    [
        ("ftp://host", 7, "batch:FILE or simulated:FILE"),
        ("http://host:port/v1", 7, "no address such as"),
        ("http://[host/v1", 7, "no address such as"),
        ("recorded:/nowhere", 7, "no such store"),
        ("simulated:/nowhere", 4, "No such file"),
        ("simulated:/nowhere,colour=1", 7, "'colour' is none of"),
    ],
)
def test_what_cannot_be_is_one_line(logs: Path, annotator: str, code: int, said: str) -> None:
    done = run(logs, annotator, "--model", "m")

    assert code == done.exit_code
    assert said in done.stderr
    assert "Traceback" not in done.output


def test_own_output_within_the_folder_is_not_labelled(logs: Path) -> None:
    with serving() as server:
        served(logs, server, out="logs/labels.tsv")
        done = served(logs, server, out="logs/labels.tsv")

    assert 88 == len(table(logs, "logs/labels.tsv"))
    assert "left out" not in done.stderr
    left_out = json.loads((logs / "labels.tsv.json").read_text())["files_left_out"]
    assert {"own"} == left_out.keys()


def test_batch_files_within_the_folder_are_not_labelled(logs: Path) -> None:
    """Requests hold log lines: read as a log they would be asked about in the next exchange."""
    given = (f"batch:{logs / 'out.jsonl'}", "--model", "m", "--prompt", "loggpt")
    run(logs, *given)
    for name in ("out-2.jsonl", "in.jsonl"):
        (logs / name).write_bytes((logs / "out.jsonl").read_bytes())
    again = run(logs, *given, "--responses", logs / "in.jsonl")

    assert "88 lines, 44 templates: 16 requests" in again.stderr


def test_inputs_within_the_folder_are_not_labelled(logs: Path) -> None:
    (logs / "key").write_text(SECRET)
    (logs / "prices.toml").write_text("[m]\ninput = 1\noutput = 1\n")
    (logs / "examples.tsv").write_text("1\tit fails\n")
    with serving() as server:
        done = served(
            logs, server, "--key-file", logs / "key", "--prices", logs / "prices.toml",
            "--examples", logs / "examples.tsv", "--prompt", "fs",
        )  # fmt: skip

        assert SECRET not in str(server.bodies)
    assert 0 == done.exit_code, done.output
    record = json.loads((logs.parent / "labels.tsv.json").read_text())
    assert (88, {"own": 3}) == (record["lines"], record["files_left_out"])


def test_binary_files_are_left_out_and_counted(logs: Path) -> None:
    (logs / "core").write_bytes(random.Random(1).randbytes(30_000))
    (logs / "store").write_bytes(b"SQLite format 3\0" + bytes(100))
    (logs / "colour.log").write_bytes("\x1b[1mwärn\x1b[0m\tx fails\r\n".encode("latin-1") * 9)
    with serving() as server:
        done = served(logs, server)
    record = json.loads((logs.parent / "labels.tsv.json").read_text())

    for name in ("core", "store"):
        assert f"{logs / name}: binary file, left out" in done.stderr
    assert "--binary" not in done.stderr  # an option of the agent
    assert (97, {"binary": 2}) == (record["lines"], record["files_left_out"])


@pytest.mark.parametrize("out", ["logs", "logs/a.log/labels.tsv"])
def test_an_output_that_cannot_be_written_is_told_before_paying(logs: Path, out: str) -> None:
    with serving() as server:
        done = served(logs, server, out=out)

        assert 0 == len(server.asked)
    assert 4 == done.exit_code, done.output
    assert "Traceback" not in done.output


def reviewed(logs: Path, *lines: str) -> Path:
    """Write corrections that call the templates of lines anomalous."""
    keys = map(template_key, templates([line.encode() for line in lines]).templates)
    labels = [{"template": key, "label": 1} for key in keys]
    path = logs.parent / "review.json"
    path.write_text(json.dumps({"format": FORMAT, "labels": labels}))
    return path


def test_what_people_labelled_wins_and_is_not_asked(logs: Path) -> None:
    review = reviewed(logs, "a fan unit took 1000 ms and works", "never seen here")
    with serving() as server:
        done = served(logs, server, "--review", review)
    rows = table(logs)
    record = json.loads((logs.parent / "labels.tsv.json").read_text())
    base = sqlite3.connect(logs.parent / "labels.tsv.replies.sqlite")
    asked = str(base.execute("SELECT request FROM replies").fetchall())
    base.close()

    assert 0 == done.exit_code, done.output
    by_people = [row for row in rows if row["how"] == "reviewed"]
    assert ["a fan unit took 1000 ms and works", "a fan unit took 1002 ms and works"] == [
        row["line"] for row in by_people
    ]
    assert {("1", "0", "0")} == {
        (row["label"], row["votes"], row["votes_anomalous"]) for row in by_people
    }
    assert right([row for row in rows if row["how"] != "reviewed"])
    assert "b fan unit" in asked
    assert "a fan unit took 1000 ms and works" not in asked
    assert (44, 1) == (record["templates"], record["reviewed_templates"])
    assert {"0": 21, "1": 23} == record["labels"]
    assert "44 templates, 1 of them labelled by people" in done.stderr


def test_corrections_of_a_finished_labelling_cost_nothing(logs: Path) -> None:
    with serving() as server:
        served(logs, server)
        review = reviewed(logs, "a fan unit took 1000 ms and works")
        done = served(logs, server, "--review", review)

        assert {1} == set(server.asked.values())
        assert 16 == sum(server.asked.values())
    assert 0 == done.exit_code, done.output
    assert ["1", "1"] == [row["label"] for row in table(logs) if row["how"] == "reviewed"]


def test_nobody_is_asked_where_people_labelled_all(logs: Path) -> None:
    lines = [line for path in logs.rglob("*.log") for line in path.read_text().splitlines()]
    with serving() as server:
        done = served(logs, server, "--review", reviewed(logs, *lines))

        assert 0 == len(server.asked)
    assert 0 == done.exit_code, done.output
    assert {"1"} == {row["label"] for row in table(logs)}


def test_a_file_that_holds_no_corrections_is_one_line(logs: Path) -> None:
    done = run(logs, "recorded:/nowhere", "--model", "m", "--review", logs / "a.log")

    assert 4 == done.exit_code
    assert "no JSON of corrections" in done.stderr


def test_the_store_tells_what_was_asked(logs: Path) -> None:
    """For people who want to look, with any SQLite tool."""
    with serving() as server:
        served(logs, server)
    base = sqlite3.connect(logs.parent / "labels.tsv.replies.sqlite")
    rows = base.execute("SELECT tag, answered_by, request FROM replies").fetchall()
    base.close()

    assert {("label loggpt 1", "fake-1")} == {row[:2] for row in rows}
    assert "fan unit took" in str(rows)


def test_labels_are_never_written_over_the_replies_they_are_made_of(logs: Path) -> None:
    kept = logs.parent / "labels.tsv"
    kept.write_text("paid")
    for annotator, more in (
        ("http://127.0.0.1:9/v1", ("--store", kept)),
        (f"recorded:{kept}", ()),
        (f"batch:{kept}", ()),
    ):
        done = run(logs, annotator, "--model", "m", *more, out=str(kept))
        assert 7 == done.exit_code
        assert "would be written over" in done.stderr
    assert "paid" == kept.read_text()
