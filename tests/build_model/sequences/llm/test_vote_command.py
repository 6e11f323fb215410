"""`logagent-build vote`, from sequences to votes: a real server, batch files, a simulation."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")
pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")
pytest.importorskip("sklearn", reason="needs the [build] extra")

from logagent_build import cli
from logagent_build.annotate import choice
from logagent_build.annotate.budget import Account
from logagent_build.annotate.endpoint import Endpoint
from logagent_build.annotate.wire import tokens_about
from logagent_build.sequences.llm import vote_command
from logagent_build.sequences.llm.prompt import read_sequence
from logagent_build.sequences.llm.sequence_files import read_sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.votes import Vote, write_votes
from typer.testing import CliRunner, Result

from ...annotate.server import Exchange, serving
from .sequences_of import Fake, reply


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without the courier's process, which takes a second to start."""
    monkeypatch.setattr(choice, "Courier", lambda settings, _store, _run, _say: Endpoint(settings))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def rows(count: int) -> str:
        made = []
        for at in range(count):
            names = ["open", f"step {at % 7} <*>", "execve" if at % 4 == 0 else "close"]
            made.append(json.dumps({"events": names, "label": int(at % 4 == 0)}) + "\n")
        return "".join(made)

    (tmp_path / "test.jsonl").write_text(rows(30))
    (tmp_path / "train.jsonl").write_text(rows(12))
    return tmp_path


def run(folder: Path, annotator: str, *more: object) -> Result:
    words = ["vote", str(folder / "test.jsonl"), "--annotator", annotator]
    words += ["-o", str(folder / "votes.jsonl"), *map(str, more)]
    return CliRunner().invoke(cli.app, words)


def record(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((folder / "votes.jsonl.json").read_text())
    return made


def word(exchange: Exchange) -> None:
    exchange.good("anomalous" if "execve" in (read_sequence(exchange.prompt) or "") else "normal")


@pytest.mark.parametrize("rounds", [(), ("--in-rounds",)])
def test_a_few_are_asked_about_once_each_and_the_estimate_is_of_as_many(
    folder: Path, rounds: tuple[str, ...]
) -> None:
    options = ("--model", "gpt-4o-mini", "--most", "6", *rounds)
    with serving() as server:
        server.always = word
        done = run(folder, server.url, *options)
        again = run(folder, server.url, *options)
        assert [1] * 6 == list(server.asked.values())
    assert 0 == done.exit_code == again.exit_code, done.output
    assert "6 requests" in done.stderr
    made = record(folder)
    assert 6 == made["paid"]["requests"]
    assert 6 == len((folder / "votes.jsonl").read_text().splitlines())
    assert sum(made["right"].values()) >= 6  # sequences of the file that equal one asked about


def test_a_real_server_votes_and_done_again_it_is_asked_nothing(folder: Path) -> None:
    options = ("--model", "gpt-4o-mini", "--examples", folder / "train.jsonl", "--budget", "1")
    with serving() as server:
        server.always = word
        done = run(folder, server.url, *options)
        first = (folder / "votes.jsonl").read_bytes()
        again = run(folder, server.url, *options)

        assert {1} == set(server.asked.values())
    assert 0 == done.exit_code == again.exit_code, done.output
    assert first == (folder / "votes.jsonl").read_bytes()
    made = record(folder)
    assert {"true_positives": 8, "true_negatives": 22} == {
        name: count for name, count in made["right"].items() if count
    }
    assert (30, 14, 14) == (made["sequences"], made["distinct"], made["paid"]["requests"])
    assert 0 < made["paid"]["dollars"] < made["estimate"]["dollars"]
    assert made["simulation"] is False
    assert "14 requests, 14 of them answered before" in again.stderr


def test_a_budget_and_a_server_that_is_down_have_their_own_codes_and_it_goes_on(
    folder: Path,
) -> None:
    options = ("--model", "gpt-4o-mini", "--patience", 0)
    with serving() as server:
        server.always = lambda exchange: exchange.error(503, "resting")
        assert 69 == run(folder, server.url, *options).exit_code
        server.always = word
        stopped = run(folder, server.url, *options, "--budget", "0.0006")
        assert 10 == stopped.exit_code, stopped.output
        assert not (folder / "votes.jsonl").exists()
        assert 0 == run(folder, server.url, *options).exit_code
    assert 14 == record(folder)["paid"]["requests"]


def test_batch_files_are_one_exchange(folder: Path) -> None:
    requests, responses = folder / "requests.jsonl", folder / "responses.jsonl"
    options = ("--model", "m", "--meanings", "none")
    assert 75 == run(folder, f"batch:{requests}", *options).exit_code
    answers = []
    for line in requests.read_text().splitlines():
        asked = json.loads(line)
        text = read_sequence(asked["body"]["messages"][-1]["content"]) or ""
        message = {"content": "1" if "execve" in text else "0"}
        body = {"choices": [{"message": message, "finish_reason": "stop"}]}
        response = {"status_code": 200, "body": body}
        answers.append(json.dumps({"custom_id": asked["custom_id"], "response": response}) + "\n")
    responses.write_text("".join(answers))

    assert 0 == run(folder, f"batch:{requests}", *options, "--responses", responses).exit_code
    assert 14 == len(answers)
    assert {"anomalous": 8, "normal": 22} == record(folder)["votes"]


def test_a_simulation_says_so_and_needs_labels(folder: Path) -> None:
    simulated = "simulated:normal=0.5,anomalous=0,alike=0,seed=2"
    done = run(folder, simulated)

    assert 0 == done.exit_code, done.output
    made = record(folder)
    assert made["simulation"] is True
    assert made["model"].startswith("simulated: 0.5 of normal")
    assert 0 == made["right"]["false_negatives"]
    assert 3 < made["right"]["false_positives"] < 19
    (folder / "test.jsonl").write_text('{"events": ["a"]}\n')
    without = run(folder, simulated)
    assert 7 == without.exit_code
    assert "needs the label of every sequence" in without.stderr


def test_an_estimate_asks_nothing(folder: Path) -> None:
    with serving() as server:
        done = run(folder, server.url, "--model", "gpt-4o-mini", "--estimate")
        assert 0 == sum(server.asked.values())
    estimate = json.loads(done.stdout)["estimate"]
    assert 14 == estimate["requests"]
    assert estimate["dollars"] > 0


def test_templates_are_described_by_the_model_before_they_are_judged(folder: Path) -> None:
    with serving() as server:
        server.always = meaning_or_word
        options = ("--model", "m", "--meanings", "system-calls", "--meanings", "ask")
        done = run(folder, server.url, *options)
        judged = [body["messages"][-1]["content"] for body in server.bodies[1:]]

    assert 0 == done.exit_code, done.output
    assert 7 == record(folder)["counts"]["described"]
    assert all("step 0 <*>: tells of step 0" in text for text in judged if '"step 0' in text)
    assert all("execve: replaces the program" in text for text in judged if "execve]" in text)


def meaning_or_word(exchange: Exchange) -> None:
    """Answer as a model that is asked for meanings and for votes."""
    if "log template" not in exchange.prompt:
        word(exchange)
        return
    lines = [line for line in exchange.prompt.split("\n") if line.startswith("[")]
    exchange.good("\n".join(f"{line[1:5]}: tells of {line[7:13]}" for line in lines))


def test_what_meanings_may_cost_is_told_first_and_is_no_less_than_it_comes_to(folder: Path) -> None:
    options = ("--model", "gpt-4o-mini", "--meanings", "ask")
    with serving() as server:
        server.always = meaning_or_word
        estimate = json.loads(run(folder, server.url, *options, "--estimate").stdout)["estimate"]
        assert not server.bodies
        done = run(folder, server.url, *options)
        asked = sum(
            tokens_about(message["content"])
            for body in server.bodies
            for message in body["messages"]
        )
        again = run(folder, server.url, *options, "--estimate")

    assert 0 == done.exit_code, done.output
    assert 1 + 14 == estimate["requests"] == len(server.bodies)
    assert estimate == record(folder)["estimate"]
    assert asked < estimate["input_tokens"] < 2 * asked
    assert 1 + 14 == record(folder)["counts"]["prompts"]
    # All is in the store: what it says is exact now.
    assert "15 requests, 15 of them answered before" in again.stderr
    assert asked == json.loads(again.stdout)["estimate"]["input_tokens"]


def test_the_estimate_is_told_before_anything_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(lambda _prompt: reply("normal"))
    opened = choice.Opened(fake, Account(None, None), None)
    monkeypatch.setattr(vote_command, "opened", lambda _choice, _say: nullcontext(opened))
    asked: list[int] = []
    request = vote_command.Request(
        folder / "test.jsonl",
        folder / "votes.jsonl",
        choice.Choice("http://nobody/v1", "run", folder / "store"),
        meanings=("ask",),
    )
    vote_command.run(request, lambda *_: None, lambda _text: asked.append(len(fake.prompts)))

    assert [0] == asked
    assert 14 < len(fake.prompts)


def test_without_retrieval_prompts_are_the_same_but_for_the_meanings(folder: Path) -> None:
    """The paper's ablation (Table 13); no meaning that is not shown is paid for."""
    made: dict[str, list[str]] = {}
    for name, more in (
        ("with", ("--meanings", "system-calls")),
        ("none", ("--meanings", "none")),
        ("zero", ("--meanings", "ask", "--most-meanings", "0")),
    ):
        requests = folder / f"{name}.jsonl"
        run(folder, f"batch:{requests}", "--model", "m", *more)
        made[name] = [
            json.loads(line)["body"]["messages"][-1]["content"]
            for line in requests.read_text().splitlines()
        ]

    assert made["none"] == made["zero"]
    cut = re.compile(r"Relevant information.*?END EVENTS \w+\n\n", re.DOTALL)
    assert made["none"] == [cut.sub("", text) for text in made["with"]] != made["with"]


def corrections(folder: Path, *rows: tuple[list[str], int]) -> Path:
    path = folder / "review.jsonl"
    path.write_text(
        "".join(json.dumps({"events": names, "label": label}) + "\n" for names, label in rows)
    )
    return path


def test_what_people_say_wins_is_not_asked_and_is_forgotten_with_its_line(folder: Path) -> None:
    """§3.2: query, add, update, delete; the store of replies is the cache."""
    options = ("--model", "m", "--meanings", "ask", "--examples", folder / "train.jsonl")
    first = ["open", "step 0 <*>", "execve"]  # the model says anomalous, and is right; twice there
    with serving() as server:
        server.always = meaning_or_word
        assert 0 == run(folder, server.url, *options).exit_code
        before, votes = record(folder), (folder / "votes.jsonl").read_text()
        asked = len(server.bodies)
        review = corrections(folder, (first, 0), (["elsewhere"], 1))
        assert 0 == run(folder, server.url, *options, "--review", review).exit_code
        corrected = record(folder)
        rows = [json.loads(line) for line in (folder / "votes.jsonl").read_text().splitlines()]
        assert 0 == run(folder, server.url, *options).exit_code

        assert asked == len(server.bodies)  # nor are meanings asked anew
    assert votes == (folder / "votes.jsonl").read_text()
    assert {
        "queries": 30,
        "hits_equal": 16,
        "hits_reviewed": 0,
        "hits_answered_before": 0,
        "misses": 14,
    } == before["cache"]
    assert {
        "queries": 30,
        "hits_equal": 16,
        "hits_reviewed": 1,
        "hits_answered_before": 13,
        "misses": 0,
    } == corrected["cache"]
    assert [(False, 1, 0, 0)] == [
        (row["vote"], row["votes"], row["anomalous"], row["asked"])
        for row in rows
        if row["how"] == "reviewed"
    ]
    assert (8, 6) == (before["votes"]["anomalous"], corrected["votes"]["anomalous"])
    assert 30 - 2 == sum(corrected["right"].values())  # a person's vote is no merit of the model


def test_with_a_label_of_a_person_for_every_sequence_nobody_is_asked(folder: Path) -> None:
    with serving() as server:
        options = ("--model", "m", "--meanings", "ask", "--review", folder / "test.jsonl")
        done = run(folder, server.url, *options)

        assert 0 == done.exit_code, done.output
        assert not server.bodies
    assert {"anomalous": 8, "normal": 22} == record(folder)["votes"]
    assert record(folder)["right"] is None


def test_corrections_that_say_nothing_or_both_are_refused(folder: Path) -> None:
    path = corrections(folder, (["a"], 1), (["b"], 0), (["a"], 0))
    done = run(folder, "simulated:", "--review", path)
    assert 7 == done.exit_code
    assert "both labels" in done.stderr
    path.write_text('{"events": ["a"], "label": 1}\n\n{"events": ["b"]}\n')
    done = run(folder, "simulated:", "--review", path)
    assert 7 == done.exit_code
    assert "sequence 2 has no label" in done.stderr


def test_a_model_is_asked_as_it_was_fine_tuned_also_on_votes(folder: Path) -> None:
    """The same events are rare in both: what is explained, and what stays of long sequences."""
    rows = [["common", "step <*>", f"rare {at % 3}", *["x", "y"] * 30, "end"] for at in range(24)]
    rows += [["common", "step <*>", "end"]] * 9  # neither labelled nor voted on: they tell, too
    own = folder / "own.jsonl"
    own.write_text(
        "".join(
            json.dumps({"events": [*names, f"last {at}"]} | ({"label": at % 2} if at < 6 else {}))
            + "\n"
            for at, names in enumerate(rows)
        )
    )
    table = folder / "meanings.tsv"
    names = ("common", "step <*>", "rare 0", "rare 1", "rare 2", "x", "end")
    table.write_text("".join(f"{name}\tmeans {name}\n" for name in names))
    shown = ["--meanings", str(table), "--most-meanings", "2"]
    shown += ["--longest", "40", "--keep", "informative"]
    recorded = [
        Vote(key, at % 2 == 0, 1, int(at % 2 == 0), "agreed", 1)
        for at, key in enumerate(keys(read_sequences(own).data))
        if at < 24
    ]
    write_votes(folder / "own.votes", recorded)
    words = ["finetune-data", str(own), "--votes", str(folder / "own.votes"), *shown]
    done = CliRunner().invoke(cli.app, [*words, "-o", str(folder / "examples.jsonl")])
    assert 0 == done.exit_code, done.output

    (folder / "test.jsonl").write_text(own.read_text())
    requests = folder / "requests.jsonl"
    run(folder, f"batch:{requests}", "--model", "m", "--examples", own, "--shots", 0, *shown)

    trained = [
        json.loads(line)["messages"][:-1]
        for line in (folder / "examples.jsonl").read_text().splitlines()
    ]
    asked = [json.loads(line)["body"]["messages"] for line in requests.read_text().splitlines()]
    assert 24 == len(trained)
    assert all(messages in asked for messages in trained)


def test_examples_without_labels_tell_what_is_rare_where_none_is_shown(folder: Path) -> None:
    (folder / "train.jsonl").write_text('{"events": ["open", "close"]}\n')
    words = ("batch:" + str(folder / "r"), "--model", "m", "--examples", folder / "train.jsonl")

    assert 75 == run(folder, *words, "--shots", 0).exit_code
    assert "no sequence has a label" in run(folder, *words).stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", ":1: expected"), ('{"events": []}', ":1: expected"), ("", "no sequences"),
        ('{"events": ["a"], "label": 2}', ":1: expected"), ('{"events": "ab"}', ":1: expected"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_sequences_is_refused(folder: Path, line: str, said: str) -> None:
    (folder / "test.jsonl").write_text(line + "\n")
    done = run(folder, "simulated:")

    assert 7 == done.exit_code
    assert said in done.stderr


def test_options_that_do_not_go_together_are_refused(folder: Path) -> None:
    for words, said in (
        (("simulated:", "--meanings", "ask"), "knows no meanings"),
        (("simulated:", "--adapter", folder), "goes with --annotator local"),
        (("simulated:", "--prompt", "plain"), "to label, not to sequence"),
        (("http://127.0.0.1:9/v1",), "--model"),
    ):
        done = run(folder, *words)
        assert 7 == done.exit_code, done.output
        assert said in done.stderr


@pytest.mark.parametrize(
    "more",
    [
        ("-o", "test.jsonl"),
        ("-o", "train.jsonl", "--examples", "train.jsonl"),
        ("-o", "train", "--meanings", "train.json"),
        ("-o", "train.jsonl", "--review", "train.jsonl"),
        ("--annotator", "batch:test.jsonl"),
    ],
)
def test_what_is_read_is_never_written_over(
    folder: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "train.json").write_text("open\topens a file\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}

    done = run(folder, "batch:requests.jsonl", "--model", "m", *more)

    assert 7 == done.exit_code
    assert "would be written over" in done.output
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_in_the_place_of_the_votes_is_told_before_anything_is_paid(folder: Path) -> None:
    (folder / "votes.jsonl").mkdir()
    with serving() as server:
        server.always = word
        done = run(folder, server.url, "--model", "m")

    assert 4 == done.exit_code
    assert "a folder" in done.output
    assert not server.bodies


def test_data_for_fine_tuning_never_replaces_what_it_is_made_of(folder: Path) -> None:
    path = folder / "train.jsonl"
    before = path.read_bytes()

    done = CliRunner().invoke(cli.app, ["finetune-data", str(path), "-o", str(path)])

    assert 7 == done.exit_code
    assert before == path.read_bytes()


@pytest.mark.parametrize("made", ["store", "batch", "recorded", "record"])
def test_replies_that_were_paid_for_are_not_written_over(folder: Path, made: str) -> None:
    votes, kept = folder / "votes.jsonl", folder / "votes.jsonl.json"
    votes.write_text("paid")
    kept.write_text("paid, too")
    given: dict[str, tuple[object, ...]] = {
        "store": ("http://127.0.0.1:9/v1", "--store", votes),
        "batch": (f"batch:{votes}",),
        "recorded": (f"recorded:{votes}",),
        "record": ("http://127.0.0.1:9/v1", "--store", kept),
    }
    done = run(folder, str(given[made][0]), "--model", "m", *given[made][1:])
    assert 7 == done.exit_code
    assert "would be written over" in done.stderr
    assert ("paid", "paid, too") == (votes.read_text(), kept.read_text())


def test_responses_that_nobody_takes_are_refused(folder: Path) -> None:
    done = run(folder, "http://127.0.0.1:9/v1", "--model", "m", "--responses", folder / "x")
    assert (7, True) == (done.exit_code, "go with --annotator batch:FILE" in done.stderr)
