"""`logagent-build detect`: a language model asked about every line, beside the shipped detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")
pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from click.testing import Result
from logagent_build import cli
from logagent_build.annotate import choice, prompt_files
from logagent_build.annotate.endpoint import Endpoint
from logagent_build.annotate.fence import read_block
from typer.testing import CliRunner

from ..annotate.server import Model, Server, serving

WORDS = ("fan", "disk", "link", "cpu", "door", "pump", "lamp", "lock", "gate", "belt", "bell")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without the courier's process, which takes a second to start."""
    monkeypatch.setattr(choice, "Courier", lambda settings, _store, _run, _say: Endpoint(settings))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Four lines of each of 22 templates; half of them fail."""
    rows = [
        f"{label}\t{2 * label}\t{word} unit took {1000 + n} ms and {('works', 'fails')[label]}"
        for word in WORDS
        for n in range(4)
        for label in (0, 1)
    ]
    path = tmp_path / "site.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


def run(site: Path, annotator: str, *more: object) -> Result:
    words = ["detect", str(site), "--annotator", annotator, "-o", str(site.parent / "out.json")]
    return CliRunner().invoke(cli.app, [*words, *map(str, more)])


def served(site: Path, server: Server, *more: object) -> Result:
    return run(site, server.url, "--model", "gpt-4o-mini", "--prompt", "loggpt", *more)


def record(site: Path) -> Any:
    return json.loads((site.parent / "out.json").read_text())


def table(done: Result) -> list[list[str]]:
    """Return the cells of the printed rows, without the head."""
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


def test_a_right_simulation_finds_all_and_is_called_a_simulation(site: Path) -> None:
    done = run(site, f"simulated:{site}", "--prompt", "logprompt", "--prompt", "loggpt")

    assert 0 == done.exit_code, done.output
    assert "Simulation: no model was asked" in done.stdout
    rows = table(done)
    detectors = ["logprompt", "loggpt", "shipped detector (normal)"]
    assert [["site", each, "88"] for each in detectors] == [row[:3] for row in rows]
    for row in rows[:2]:
        assert ["1.000", "1.000", "1.000", "0", "0", "2"] == row[3:9]
        assert "price not known" == row[-1]
    assert ["0", "0", "0", "none"] == rows[2][-4:]
    assert record(site)["simulation"] is True
    assert record(site)["rows"][0]["dollars"] is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("site.txt", "1\tdisk fails\n0\t0\tdisk works\n"),
        ("site.txt", "# kin: other\n2h disk fails\n# remark\n0 disk works\n"),
        ("site.jsonl", '{"label": 1, "text": "disk fails"}\n{"label": 0, "text": "disk works"}\n'),
        ("site.tsv", "line\tlabel\ndisk fails\t1\ndisk works\t0\n"),
    ],
)
def test_labelled_files_come_in_several_formats(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "truth.tsv").write_text("1\tdisk fails\n0\tdisk works\n")
    (tmp_path / name).write_text(content)
    done = run(tmp_path / name, f"simulated:{tmp_path / 'truth.tsv'}")
    row = record(tmp_path / name)["rows"][0]

    assert 0 == done.exit_code, done.output
    assert (2, 1, 0, 0) == (row["lines"], row["true"], row["false"], row["missed"])


def test_a_file_without_labels_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "plain.log").write_text("disk fails\ndisk works\n")
    done = run(tmp_path / "plain.log", "recorded:/nowhere", "--model", "m")

    assert 4 == done.exit_code
    assert "has no labels that can be read" in done.stderr


def test_votes_are_asked_of_each(site: Path) -> None:
    with serving() as server:
        done = served(site, server, "--votes", 3)
        asked = sum(server.asked.values())

    assert 0 == done.exit_code, done.output
    assert 6 == asked == record(site)["rows"][0]["cost"]["requests"]
    assert 3 == record(site)["options"]["votes"]


def test_an_endpoint_that_is_down_is_waited_for_as_long_as_said(site: Path) -> None:
    with serving() as server:
        server.always = lambda exchange: exchange.error(503, "resting")
        done = served(site, server, "--patience", 0)

    assert 69 == done.exit_code
    assert "HTTP 503" in done.stderr


def test_errors_of_a_simulation_are_seen_in_lines(site: Path) -> None:
    """All normal lines misread: half of what is flagged is wrong."""
    run(site, f"simulated:{site},normal=1")
    row = record(site)["rows"][0]

    assert (44, 44, 0) == (row["true"], row["false"], row["missed"])
    assert (0.5, 1.0) == (row["precision"], row["recall"])
    assert 2 / 3 == pytest.approx(row["f1"])


def test_the_shipped_detector_sees_the_same_lines(site: Path) -> None:
    site.write_text(
        "1\tkernel: EXT4-fs error (device sda1): I/O error, data will be lost\n"
        "0\tsystemd[1]: Started Daily apt download activities.\n"
    )
    run(site, f"simulated:{site}")
    row = record(site)["rows"][1]

    assert (2, 1, 0, 0) == (row["lines"], row["true"], row["false"], row["missed"])
    assert row["cost"] is None
    assert row["dollars"] == 0


def test_a_model_has_its_price_and_done_again_it_pays_nothing(site: Path) -> None:
    with serving() as server:
        first = served(site, server)
        asked = sum(server.asked.values())
        before = record(site)
        again = served(site, server)

        assert asked == sum(server.asked.values()) == 2
    assert 0 == first.exit_code == again.exit_code, first.output
    assert first.stdout == again.stdout
    assert "2 requests, 2 of them answered before" in again.stderr
    after = record(site)
    assert before["rows"] == after["rows"]
    assert 0 < after["rows"][0]["dollars"] == pytest.approx(after["paid"]["dollars"])
    assert after["simulation"] is False


@pytest.mark.parametrize(
    ("isolation", "requests"), [("trusted", 2), ("checked", 12), ("alone", 22)]
)
def test_a_row_costs_what_was_paid(site: Path, isolation: str, requests: int) -> None:
    with serving() as server:
        served(site, server, "--isolation", isolation)
        asked = sum(server.asked.values())
    row, paid = record(site)["rows"][0], record(site)["paid"]

    assert requests == asked == row["cost"]["requests"] == paid["requests"]
    assert row["cost"]["input_tokens"] == paid["input_tokens"]
    assert row["cost"]["output_tokens"] == paid["output_tokens"]


def test_recorded_replies_answer_without_an_endpoint(site: Path) -> None:
    with serving() as server:
        first = served(site, server)
    store = site.parent / "out.json.replies.sqlite"
    again = run(site, f"recorded:{store}", "--model", "gpt-4o-mini", "--prompt", "loggpt")
    lacking = run(site, f"recorded:{store}", "--model", "gpt-4o-mini", "--prompt", "logprompt")

    assert first.stdout == again.stdout
    assert 69 == lacking.exit_code
    assert "lacks 2 replies" in lacking.stderr


def test_unclear_answers_are_counted_and_do_not_flag(site: Path) -> None:
    class Silent(Model):
        def labels(self, lines: dict[str, str]) -> dict[str, bool]:
            said = super().labels(lines)
            return {name: said[name] for name, line in lines.items() if "fan" not in line}

    with serving(Silent()) as server:
        done = served(site, server)
    row = record(site)["rows"][0]

    assert 0 == done.exit_code, done.output
    assert 2 == row["unanswered"]
    assert 10 == row["ambiguous"]  # both, at five temperatures
    assert (40, 0, 4) == (row["true"], row["false"], row["missed"])


def test_an_estimate_asks_nothing(site: Path) -> None:
    with serving() as server:
        done = served(site, server, "--prompt", "logprompt", "--estimate")

        assert 0 == len(server.asked)
    assert 0 == done.exit_code, done.output
    assert 4 == json.loads(done.stdout)["estimate"]["requests"]
    assert 0 < json.loads(done.stdout)["estimate"]["dollars"]
    assert not (site.parent / "out.json").exists()


def test_a_budget_stops_it_with_its_own_code(site: Path) -> None:
    with serving() as server:
        done = served(site, server, "--budget", "0.00001")

        assert 0 == len(server.asked)
    assert 10 == done.exit_code, done.output


def test_one_batch_file_has_the_requests_of_all(site: Path) -> None:
    other = site.with_name("other.tsv")
    other.write_text("0\tall is well\n1\tpower fails\n")
    requests, responses = site.parent / "ask.jsonl", site.parent / "told.jsonl"
    given = (f"batch:{requests}", other, "--model", "m", "--prompt", "loggpt", "--prompt", "plain")
    waits = run(site, *given)
    lines = []
    for each in map(json.loads, requests.read_text().splitlines()):
        asked = read_block(each["body"]["messages"][-1]["content"])
        text = Model().text(asked, {})
        if "response_format" not in each["body"]:
            labels = Model().labels(asked)
            text = "\n".join(f"{n}: {'anomalous' if v else 'normal'}" for n, v in labels.items())
        body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        response = {"status_code": 200, "body": body}
        lines.append(json.dumps({"custom_id": each["custom_id"], "response": response}))
    responses.write_text("\n".join(lines))
    done = run(site, *given, "--responses", responses)

    assert 75 == waits.exit_code
    assert 6 == len(lines)
    assert 0 == done.exit_code, done.output
    rows = table(done)
    assert ["site"] * 3 + ["other"] * 3 + ["all"] * 3 == [row[0] for row in rows]
    assert ["90", "1.000", "1.000", "1.000"] == rows[6][2:6]
    together = record(site)["rows"][6]
    assert (45, 24) == (together["true"], together["asked"])


def test_examples_are_not_what_is_measured(site: Path) -> None:
    examples = site.with_name("examples.tsv")
    examples.write_text("1\tfan unit took 7777 ms and fails\n")
    done = run(site, f"simulated:{site}", "--prompt", "fs", "--examples", examples)

    assert 0 == done.exit_code, done.output
    assert [84, 84] == [row["lines"] for row in record(site)["rows"]]
    assert "4 lines like those of the examples are left out" in done.stderr


def test_every_line_may_be_asked_instead_of_every_template(site: Path) -> None:
    run(site, f"simulated:{site}", "--each", "line")
    assert 88 == record(site)["rows"][0]["asked"]
    run(site, f"simulated:{site}")
    assert 22 == record(site)["rows"][0]["asked"]
    run(site, f"simulated:{site}", "--lines", 9)
    assert [9, 9] == [row["lines"] for row in record(site)["rows"]]


@pytest.fixture
def loghub(tmp_path: Path) -> Path:
    folder = tmp_path / "loghub"
    (folder / "BGL").mkdir(parents=True)
    (folder / "BGL" / "BGL_2k.log").write_text(
        "- 1117838570 2005.06.03 R02 RAS KERNEL INFO all is well\n"
        "KERNDTLB 1117838571 2005.06.03 R02 RAS KERNEL FATAL data TLB error interrupt\n"
    )
    (folder / "Linux").mkdir()
    (folder / "Linux" / "Linux_2k.log").write_text("session opened\nlogin failed\n")
    (folder / "Linux" / "Linux_2k.log_structured.csv").write_text("EventId\nE1\nE2\n")
    (tmp_path / "labels.tsv").write_text(
        "domain\tevent_id\tlabel_explicit\nLinux\tE1\t0\nLinux\tE2\t1\n"
    )
    return folder


def test_loghub_says_whose_labels_are_the_truth(site: Path, loghub: Path) -> None:
    truth = site.with_name("truth.tsv")
    truth.write_text(
        "0\t1117838570 2005.06.03 R02 RAS KERNEL INFO all is well\n"
        "1\t1117838571 2005.06.03 R02 RAS KERNEL FATAL data TLB error interrupt\n"
        "0\tsession opened\n1\tlogin failed\n" + site.read_text()
    )
    given = (f"simulated:{truth}", "--loghub", loghub, "--labels", loghub.parent / "labels.tsv")
    done = run(site, *given)

    assert 0 == done.exit_code, done.output
    rows = table(done)
    assert ["site", "BGL", "Linux", "all"] == [row[0] for row in rows[::2]]
    assert {"1.000"} == {row[5] for row in rows[::2]}
    assert "Truth of BGL: experts' tags." in done.stdout
    assert "Truth of Linux: a language model's labels." in done.stdout
    only = run(site, *given, "--system", "Linux")
    assert ["site", "Linux", "all"] == [row[0] for row in table(only)[::2]]


def test_a_corpus_the_detector_was_trained_on_is_marked(site: Path) -> None:
    known = site.rename(site.with_name("minimal_pairs.tsv"))
    done = run(known, f"simulated:{known}")

    assert ["logprompt", "shipped detector (normal) \\*"] == [row[1] for row in table(done)]
    assert "no fair comparison" in done.stdout


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--each", "word"), 7, "'word' is neither of template, line"),
        (("--prompt", "fs"), 7, "needs labelled examples"),
        (("--loghub", "/nowhere"), 7, "no labelled sample of any system"),
        (("/nowhere.tsv",), 4, "No such file"),
    ],
)
def test_what_cannot_be_is_one_line(
    site: Path, more: tuple[str, ...], code: int, said: str
) -> None:
    done = run(site, f"simulated:{site}", *more)

    assert code == done.exit_code
    assert said in done.stderr
    assert "Traceback" not in done.output


def test_two_prompts_of_one_name_are_refused(site: Path) -> None:
    own = site.with_name("own.toml")
    own.write_text((prompt_files.FOLDER / "loggpt.toml").read_text())
    done = run(site, f"simulated:{site}", "--prompt", "loggpt", "--prompt", own)

    assert 7 == done.exit_code
    assert "the same name" in done.stderr


def test_nothing_to_look_at_is_said(site: Path) -> None:
    words = ["detect", "--annotator", f"simulated:{site}", "-o", str(site.with_name("out.json"))]
    done = CliRunner().invoke(cli.app, words)

    assert 7 == done.exit_code
    assert "give labelled files" in done.stderr
