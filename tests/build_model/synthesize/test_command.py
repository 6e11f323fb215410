"""`logagent-build synthesize`, from names of systems to corpora: stores, batch files, a server."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")
pytest.importorskip("sklearn", reason="synthesizing needs the [build] extra")
pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from click.testing import Result
from logagent import files
from logagent.errors import ConfigError
from logagent_build import cli
from logagent_build.annotate import choice
from logagent_build.annotate.endpoint import Endpoint
from logagent_build.annotate.recorded import Recorded, Store
from logagent_build.corpora import read_corpora
from logagent_build.synthesize.command import STORE, System, named
from logagent_build.synthesize.gathering import Settings, gather
from logagent_build.synthesize.questions import Questions, prompts_by_kind
from typer.testing import CliRunner

from ..annotate.server import Exchange, serving
from .fakes import MODEL, Writer, written

WANTED = {"normal": 20, "hard": 6, "anomalous": 14, "pairs": 4}
SYSTEMS = "openwrt, pg=PostgreSQL 16"
ONE = {"model": "gpt-4o-mini", "systems": "openwrt"}
BATCH = [SYSTEMS, "-o", "x", "--annotator", "batch:x", "--model", "m"]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without the courier's process, which takes a second to start."""
    monkeypatch.setattr(choice, "Courier", lambda settings, _store, _run, _say: Endpoint(settings))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replies of the writer without a model, as a run with one would have stored them."""
    path = tmp_path_factory.mktemp("recorded") / "replies.sqlite"
    with Store(path) as store:
        questions = Questions(named(SYSTEMS), prompts_by_kind())
        gather(Recorded(store, Writer()), questions, 2, Settings(WANTED))
    return path


def run(
    out: Path, annotator: str, *more: object, model: str = MODEL, systems: str = SYSTEMS
) -> Result:
    words = ["synthesize", systems, "-o", str(out), "--annotator", annotator, "--model", model]
    for kind, count in WANTED.items():
        words += [f"--{kind}", str(count)]
    return CliRunner().invoke(cli.app, [*words, *map(str, more)])


def corpora(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tsv"))}


def record(folder: Path, name: str = "openwrt") -> Any:
    return json.loads((folder / f"{name}.record.json").read_text())


def test_recorded_replies_give_the_same_bytes_each_time(recorded: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = run(tmp_path / name, f"recorded:{recorded}")
        assert 0 == done.exit_code, done.output
    one, two = tmp_path / "one", tmp_path / "two"

    assert ["openwrt.tsv", "pg.tsv"] == list(corpora(one))
    assert corpora(one) == corpora(two)
    assert record(one) == record(two)
    assert corpora(one)["openwrt.tsv"] != corpora(one)["pg.tsv"]


def test_what_is_written_is_a_corpus_and_says_how_it_was_made(
    recorded: Path, tmp_path: Path
) -> None:
    run(tmp_path, f"recorded:{recorded}", systems="openwrt")
    (openwrt,) = read_corpora(tmp_path)
    told = record(tmp_path)

    assert "openwrt" == openwrt.name
    assert sum(told["lines"].values()) == openwrt.count.sum()
    assert 0 < openwrt.soft.mean() < 1
    assert told["simulation"] is True
    assert MODEL == told["model"]
    assert {"normal", "hard", "anomalous", "pairs", "plan"} == told["prompts"].keys()
    assert 64 == len(told["prompts"]["plan"]["sha256"])
    assert {"header": True, "level": True} == {n: told["passed"][n] for n in ("header", "level")}
    assert told["leaks_before"]["level"] > 0.9
    assert told["tokens"]["output"] > 0
    rows = (tmp_path / "openwrt.tsv").read_text().splitlines()
    assert [["0", "0"], ["1", "3"]] * told["written"]["pairs"] == [
        row.split("\t")[:2] for row in rows[-2 * told["written"]["pairs"] :]
    ]


def test_batch_files_give_the_identical_corpus(recorded: Path, tmp_path: Path) -> None:
    run(tmp_path / "direct", f"recorded:{recorded}")
    requests, responses = tmp_path / "requests.jsonl", tmp_path / "responses.jsonl"
    responses.touch()
    exchanges = 0
    while True:
        done = run(tmp_path / "batch", f"batch:{requests}", "--responses", responses)
        if done.exit_code != 75:
            break
        exchanges += 1
        rows = [json.loads(line) for line in requests.read_text().splitlines()]
        responses.write_text("".join(json.dumps(answered(row)) + "\n" for row in rows))

    assert 0 == done.exit_code, done.output
    assert exchanges > 1
    assert corpora(tmp_path / "direct") == corpora(tmp_path / "batch")


def answered(request: dict[str, Any]) -> dict[str, Any]:
    key = request["custom_id"]
    text = written(request["body"]["messages"][-1]["content"], key)
    body = {
        "model": MODEL,
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": len(text) // 3},
    }
    return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


def test_a_server_that_often_speaks_garbage_is_asked_until_there_is_a_corpus(
    tmp_path: Path,
) -> None:
    def often(exchange: Exchange) -> None:
        text = written(exchange.prompt, hashlib.sha256(exchange.key.encode()).hexdigest())
        turn = sum(exchange.server.asked.values()) % 6
        if turn == 1:
            exchange.good("As a language model I cannot\x1b[2J know your logs.\n\t\t")
        elif turn == 2:
            exchange.good(text[: len(text) // 2], "length")
        elif turn == 3:
            exchange.good(text.replace("router1", "rou\\nter\\t1"))
        else:
            exchange.good(text)

    with serving() as server:
        server.always = often
        first = run(tmp_path, server.url, "--concurrency", 1, **ONE)
        asked = sum(server.asked.values())
        before = corpora(tmp_path)
        second = run(tmp_path, server.url, "--concurrency", 1, **ONE)

        assert 0 == first.exit_code == second.exit_code, first.output
        assert asked == sum(server.asked.values())  # all of it was in the store
    assert before == corpora(tmp_path)
    told = record(tmp_path)
    assert told["simulation"] is False
    assert told["counts"]["garbage"] > 0
    assert told["counts"]["control"] > 0
    assert told["paid_by_all_systems"]["requests"] == asked
    assert told["tokens"]["dollars"] > 0
    for data in before.values():
        assert re.fullmatch(rb"(?:[01]\t[0-3]\t[^\t\r\n\x00-\x1f]+\n)+", data)


def test_a_budget_stops_it_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    with serving() as server:
        server.always = lambda e: e.good(
            written(e.prompt, hashlib.sha256(e.key.encode()).hexdigest())
        )
        stopped = run(tmp_path, server.url, "--budget", 0.003, **ONE)
        assert 10 == stopped.exit_code, stopped.output
        assert {} == corpora(tmp_path)
        asked = sum(server.asked.values())
        done = run(tmp_path, server.url, "--budget", 5, **ONE)

        assert 0 == done.exit_code, done.output
        assert 0 < asked < sum(server.asked.values())
        assert 1 == max(server.asked.values())


def test_a_store_that_lacks_replies_says_so(tmp_path: Path, recorded: Path) -> None:
    done = run(tmp_path, f"recorded:{recorded}", "--seed", 1)

    assert 69 == done.exit_code
    assert "lacks" in done.output


def test_an_estimate_asks_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, f"batch:{tmp_path / 'r.jsonl'}", "--estimate", model="gpt-4o-mini")

    assert 0 == done.exit_code, done.output
    estimate = json.loads(done.stdout)["estimate"]
    assert 2 * (1 + 2 + 1 + 1 + 1) == estimate["requests"]
    assert 0 < estimate["dollars"] < 0.05
    assert not (tmp_path / "r.jsonl").exists()


@pytest.mark.parametrize("name", ["openwrt.tsv", "openwrt.txt"])
def test_a_corpus_of_others_is_not_replaced(tmp_path: Path, recorded: Path, name: str) -> None:
    (tmp_path / name).write_text("0\t0\tmine\n")
    done = run(tmp_path, f"recorded:{recorded}")

    assert 7 == done.exit_code
    assert "my_openwrt=openwrt" in done.output
    assert "0\t0\tmine\n" == (tmp_path / name).read_text()


def test_a_corpus_that_people_changed_is_not_replaced(tmp_path: Path, recorded: Path) -> None:
    first = run(tmp_path, f"recorded:{recorded}", systems="openwrt")
    again = run(tmp_path, f"recorded:{recorded}", systems="openwrt")
    corpus = tmp_path / "openwrt.tsv"
    corpus.write_bytes(corpus.read_bytes().partition(b"\n")[2])
    mine = corpus.read_bytes()

    done = run(tmp_path, f"recorded:{recorded}", systems="openwrt")

    assert [0, 0, 7] == [first.exit_code, again.exit_code, done.exit_code]
    assert "was changed since" in done.output
    assert mine == corpus.read_bytes()


def test_a_run_killed_between_record_and_corpus_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = files.replace

    def stopped(path: Path, data: bytes) -> None:
        if path.suffix == ".tsv":
            raise OSError("disk full")
        replace(path, data)

    with serving() as server:
        server.always = lambda e: e.good(
            written(e.prompt, hashlib.sha256(e.key.encode()).hexdigest())
        )
        assert 0 == run(tmp_path, server.url, **ONE).exit_code
        before = corpora(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(files, "replace", stopped)
            assert 4 == run(tmp_path, server.url, "--seed", 1, **ONE).exit_code
        assert before == corpora(tmp_path)

        assert 0 == run(tmp_path, server.url, "--seed", 1, **ONE).exit_code
    assert before != corpora(tmp_path)


def test_replies_without_a_line_are_told_and_are_no_success(tmp_path: Path) -> None:
    with serving() as server:
        server.always = lambda exchange: exchange.good('{"rows": []}')
        done = run(tmp_path, server.url, **ONE)

    assert 69 == done.exit_code
    assert "no line of openwrt could be used" in done.output
    assert '"garbage"' in done.output
    assert {} == corpora(tmp_path)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving() as server:
        done = run(tmp_path / "file", server.url, "--store", tmp_path / "store.sqlite", **ONE)

    assert 4 == done.exit_code
    assert not server.bodies


def test_the_budget_does_not_begin_anew_when_systems_change_places(tmp_path: Path) -> None:
    with serving() as server:
        server.always = lambda e: e.good(
            written(e.prompt, hashlib.sha256(e.key.encode()).hexdigest())
        )
        first = run(tmp_path, server.url, model="gpt-4o-mini", systems="openwrt, pg=PostgreSQL")
        assert 0 == first.exit_code, first.output
        paid = record(tmp_path)["paid_by_all_systems"]
        again = run(tmp_path, server.url, model="gpt-4o-mini", systems="pg=PostgreSQL, openwrt")

    assert 0 == again.exit_code, again.output
    assert 0 < paid["requests"] == record(tmp_path)["paid_by_all_systems"]["requests"]


def test_the_store_lies_in_the_folder_and_is_no_corpus(tmp_path: Path) -> None:
    done = run(tmp_path, f"batch:{tmp_path / 'r.jsonl'}")

    assert 75 == done.exit_code
    assert (tmp_path / STORE).is_file()


def test_systems_are_named_by_commas_and_equals() -> None:
    assert [
        System("openwrt", "OpenWrt"),
        System("pg", "PostgreSQL 16"),
        System("red_hat_7_x", "Red Hat 7.x"),
    ] == named("OpenWrt, pg=PostgreSQL 16 ,,Red Hat 7.x")


@pytest.mark.parametrize("text", ["", " , ", "../x=a", "=a", "漢字", "a, A", "minimal_pairs"])
def test_names_that_no_file_can_have_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        named(text)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([SYSTEMS, "-o", "x"], 7),
        ([SYSTEMS, "--annotator", "batch:x"], 7),
        ([SYSTEMS, "-o", "x", "--annotator", "simulated:x"], 7),
        ([*BATCH, "--prompt", "normal=no"], 7),
        ([*BATCH, "--prompt", "nought=x"], 7),
        ([*BATCH, "--prompt", "normal"], 7),
    ],
)
def test_options_that_cannot_be_are_refused(words: list[str], code: int) -> None:
    done = CliRunner().invoke(cli.app, ["synthesize", *words])

    assert code == done.exit_code, done.output


def test_a_check_tells_what_corpora_give_away(tmp_path: Path) -> None:
    leaky = [
        f"{n % 2}\t0\t2024-01-02 03:04:{n:02} {('DEBUG', 'ERROR')[n % 2]} thing {w} said so"
        for n, w in enumerate("abcdefghijklmnopqrstuvwxyz")
    ]
    (tmp_path / "leaky.tsv").write_text("\n".join(leaky) + "\n")
    short = [f"{('0', '2n')[n % 2]} thing {w} said so" for n, w in enumerate("abcdefghijklmnop")]
    (tmp_path / "short.txt").write_text("# kin: leaky\n" + "\n".join(short) + "\n")
    out = tmp_path / "check.json"

    done = CliRunner().invoke(cli.app, ["synthesize", "--check", str(tmp_path), "-o", str(out)])

    assert 0 == done.exit_code, done.output
    rows = [row for row in done.stdout.splitlines() if row.startswith("| `")]
    assert 2 == len(rows)
    assert rows[0].startswith("| `leaky.tsv` | 13 | 13 | **1.00** | **1.00** |")
    assert "| above the limit of `.tsv` | | | 1 | 1 | 0 | | |" in done.stdout
    assert "0 of 1 `.tsv` are within all limits." in done.stdout
    assert "1 of 1 `.txt` are within all limits." in done.stdout
    first, second = json.loads(out.read_text())["corpora"]
    assert {"header": False, "level": False, "length": True} == first["fine"]
    assert 8 == second["normal"] == second["anomalous"]


def test_a_check_names_the_row_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("0\t0\tfine\nnot so\n")
    done = CliRunner().invoke(cli.app, ["synthesize", "--check", str(tmp_path)])

    assert 4 == done.exit_code
    assert "x.tsv:2" in done.output


def test_a_check_never_replaces_a_corpus(tmp_path: Path) -> None:
    corpus = tmp_path / "x.tsv"
    corpus.write_text("0\t0\tfine it is\n")
    words = ["synthesize", "--check", str(tmp_path), "-o", str(corpus)]

    assert 7 == CliRunner().invoke(cli.app, words).exit_code
    assert "0\t0\tfine it is\n" == corpus.read_text()
