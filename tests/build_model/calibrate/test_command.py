"""From logs to a folder of calibrated labels: online, by batch files, stopped and gone on with."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="calibration needs the [build] extra")
pytest.importorskip("openai", reason="calibration needs the [build] extra")

from logagent.errors import ConfigError, StateError
from logagent_build.annotate.choice import Choice
from logagent_build.annotate.errors import WaitForResponses
from logagent_build.calibrate import command, state
from logagent_build.calibrate.calibration import Settings
from logagent_build.calibrate.candidates import Portions
from logagent_build.calibrate.command import Request, run
from logagent_build.calibrate.verifier import Verifying

from ..annotate.server import Model, serving

FEW = Verifying(hidden=(16,), startup_epochs=2, batch=20, learning_rate=4e-3)
WORDS = ("disk", "fan", "link", "clock", "mail", "job")
STATES = ("fail", "started", "idle", "closed")


def encode(texts):
    """Bags of words."""
    known = {word: at for at, word in enumerate((*WORDS, *STATES))}
    rows = np.full((len(texts), len(known)), 0.01, np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.split():
            if word in known:
                row[known[word]] = 1.0
    return rows


class Unsure(Model):
    """Misreads a few lines when they stand alone, and one never answers clearly."""

    def labels(self, lines):
        said = super().labels(lines)
        return {name: label ^ ("mail" in lines[name]) for name, label in said.items()}

    def text(self, lines, body):
        if any("clock idle" in line for line in lines.values()):
            return "hard to say"
        prompt = body["messages"][-1]["content"]
        if "BEGIN EXAMPLES" in prompt or "BEGIN SEQUENCE" in prompt:
            return Model.text(Model(), lines, body)
        return super().text(lines, body)


def logs(folder: Path) -> list[Path]:
    paths = []
    for system in ("one", "two"):
        rows = [f"{system} {word} {each}" for word in WORDS for each in STATES]
        path = folder / f"{system}.log"
        path.write_text("\n".join(rows) + "\n")
        paths.append(path)
    return paths


def settings(**changed) -> Settings:
    return Settings(**({"rounds": 3, "verifying": FEW, "portions": Portions(fewest=2)} | changed))


def request(folder: Path, who: str, given=(), responses=(), **changed) -> Request:
    choice = Choice(who, "calibration", folder / "replies.sqlite", "m", responses=responses)
    return Request(given, folder, choice, settings(**changed.pop("settings", {})), **changed)


def told(*_args) -> None:
    pass


def calibrate(folder: Path, who: str, given=(), **changed):
    return run(request(folder, who, given, **changed), told, told, encode=encode)


def answered(requests: Path, model: Model, to: Path) -> None:
    """Answer a batch file as an endpoint would."""
    rows = []
    for line in requests.read_text().splitlines():
        asked = json.loads(line)
        from logagent_build.annotate.fence import read_block

        text = model.text(read_block(asked["body"]["messages"][-1]["content"]), asked["body"])
        message = {"role": "assistant", "content": text}
        body = {
            "model": "fake-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }
        response = {"status_code": 200, "body": body}
        rows.append(json.dumps({"custom_id": asked["custom_id"], "response": response}))
    to.write_text("\n".join(rows) + "\n")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch) -> None:
    """They take longer than all the rest; the online run draws its own."""
    monkeypatch.setattr(command, "course_plot", lambda *_args: "<svg/>")


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """A calibration asked over HTTP, and copies of its folder after every round."""
    folder = tmp_path_factory.mktemp("online")
    given = logs(folder)
    out = folder / "out"
    copies = []

    def say(text: str) -> None:
        if text.startswith(("initial", "round")):
            copies.append(shutil.copytree(out, folder / f"copy {len(copies)}"))

    with serving(Unsure()) as server:
        record = run(request(out, server.url, given), told, say, encode=encode)
        asked = dict(server.asked)
    return given, out, record, copies, asked


def labels(out: Path) -> bytes:
    return (out / "labels.tsv").read_bytes()


def test_an_online_run_writes_labels_tables_and_a_picture(online) -> None:
    _, out, record, _, asked = online

    assert record["templates"] == 48
    assert len(record["rounds"]) == 4
    assert max(asked.values()) == 1
    assert b"<svg" in (out / "course.svg").read_bytes()
    assert "| induce |" in (out / "tables.md").read_text()
    assert json.loads((out / "record.json").read_text())["finished"]
    assert labels(out).count(b"\n") == 49
    for name in ("labels.tsv", state.ENTRIES, state.STATE):
        assert (out / name).stat().st_mode & 0o77 == 0


def test_a_line_without_a_clear_answer_has_no_label(online) -> None:
    _, out, _, _, _ = online
    rows = [row.split("\t") for row in labels(out).decode().splitlines()]

    assert {row[0] for row in rows if "clock idle" in row[-1]} == {"?"}


def test_batch_files_give_the_same_labels_bit_for_bit(online, tmp_path: Path) -> None:
    given, out, _, _, _ = online
    folder = tmp_path / "here"
    batch, responses = tmp_path / "requests.jsonl", tmp_path / "responses.jsonl"
    waits = 0
    while True:
        try:
            calibrate(
                folder,
                f"batch:{batch}",
                given if not waits else (),
                responses=[responses] if waits else [],
            )
            break
        except WaitForResponses:
            waits += 1
            answered(batch, Unsure(), responses)
            moved = tmp_path / f"machine {waits}"  # the folder goes where the answers come in
            folder = folder.rename(moved)

    assert waits >= 4
    assert labels(folder) == labels(out)
    assert (folder / state.STATE).read_bytes() == (out / state.STATE).read_bytes()


def test_whatever_round_it_was_killed_after_it_ends_with_the_same_labels(
    online, tmp_path: Path
) -> None:
    """State files are replaced whole: killed at any moment leaves one of these folders."""
    _, out, _, copies, _ = online
    assert len(copies) == 4
    for number, copy in enumerate(copies):
        folder = shutil.copytree(copy, tmp_path / str(number))
        (folder / "labels.tsv").unlink(missing_ok=True)
        calibrate(folder, f"recorded:{out / 'replies.sqlite'}")
        assert labels(folder) == labels(out)


def test_a_verifier_that_goes_on_is_part_of_the_folder(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    carry = {"carry_on": True, "stopping": None}
    calibrate(tmp_path / "whole", who, given, settings=carry)
    calls = json.loads((tmp_path / "whole/record.json").read_text())["rounds"][1]["asked"]
    calibrate(tmp_path / "parts", who, given, settings=carry | {"calls": calls})
    part = json.loads((tmp_path / "parts/record.json").read_text())
    calibrate(tmp_path / "parts", who, settings=carry)

    assert part["calls"] == calls
    assert labels(tmp_path / "parts") == labels(tmp_path / "whole")


def simulation(folder: Path) -> tuple[list[Path], str]:
    path = folder / "known.tsv"
    path.write_text("".join(f"{int(s == 'fail')}\t{w} {s}\n" for w in WORDS for s in STATES))
    return [path], f"simulated:{path},normal=0.2,anomalous=0.2,template=0,evidence=0.9"


def test_labelled_lines_are_the_truth_of_the_record(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)

    record = calibrate(tmp_path / "out", who, given)

    assert record["simulation"]
    assert 0.5 < record["rounds"][0]["quality"]["f1"] < 1
    assert "simulated" in (tmp_path / "out/tables.md").read_text()


def test_a_table_of_labels_is_begun_with(tmp_path: Path) -> None:
    given = logs(tmp_path)
    lines = [line for path in given for line in path.read_text().splitlines()]
    rows = [f"{int('fail' in line)}\tagreed\t{line}\n" for line in lines]
    (tmp_path / "labels.tsv").write_text("label\thow\tline\n" + "".join(rows))
    who = f"batch:{tmp_path / 'requests.jsonl'}"
    none, initial = {"rounds": 0}, tmp_path / "labels.tsv"

    record = calibrate(tmp_path / "out", who, given, initial=initial, settings=none)

    assert record["anomalous"] == 12
    assert not (tmp_path / "requests.jsonl").exists()


def test_an_estimate_asks_nothing(tmp_path: Path) -> None:
    asked = request(tmp_path / "out", f"batch:{tmp_path / 'requests.jsonl'}", logs(tmp_path))

    said = run(asked, told, told, encode=encode, only_estimate=True)

    assert said["estimate"]["requests"] == 48
    assert not (tmp_path / "requests.jsonl").exists()


def test_other_lines_other_options_and_no_folder_are_refused(online, tmp_path: Path) -> None:
    given, out, _, _, _ = online
    folder = shutil.copytree(out, tmp_path / "out")
    other = tmp_path / "other.log"
    other.write_text("something else\n")

    with pytest.raises(StateError, match="of other lines"):
        calibrate(folder, "http://127.0.0.1:1/v1", [other])
    with pytest.raises(StateError, match="has seed 0, not 1"):
        calibrate(folder, "http://127.0.0.1:1/v1", settings={"seed": 1})
    with pytest.raises(ConfigError, match="give log files"):
        calibrate(tmp_path / "empty", "http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="whose files are read as logs"):
        calibrate(tmp_path / "empty", "http://127.0.0.1:1/v1", [tmp_path])
    (folder / state.STATE).write_bytes(b"x")
    with pytest.raises(StateError, match=r"calibration\.msgpack"):
        calibrate(folder, "http://127.0.0.1:1/v1", given)


def test_every_damaged_byte_of_a_state_file_is_noticed(online, tmp_path: Path) -> None:
    """Most of them would only make other labels."""
    _, out, _, _, _ = online
    for name in (state.ENTRIES, state.STATE):
        whole = (out / name).read_bytes()
        folder = shutil.copytree(out, tmp_path / name)
        for at in range(3, len(whole), len(whole) // 40):
            (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(StateError, match="msgpack"):
                state.load(folder)
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StateError, match="msgpack"):
            state.load(folder)


def test_a_state_of_other_lines_is_refused(online, tmp_path: Path) -> None:
    _, out, _, _, _ = online
    folder = shutil.copytree(out, tmp_path / "out")
    given, who = simulation(tmp_path)
    calibrate(tmp_path / "other", who, given, settings={"rounds": 0})
    shutil.copy(tmp_path / "other" / state.ENTRIES, folder)

    with pytest.raises(StateError, match="is not of the lines in"):
        state.load(folder)


def test_the_record_names_all_who_answered(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    calibrate(tmp_path / "out", who, given, settings={"calls": 1, "stopping": None})
    out = tmp_path / "out"

    record = calibrate(out, f"{who},seed=7", settings={"stopping": None})

    assert "seed 0, then simulated" in record["model"]
    assert record["model"].endswith("seed 7")
    assert record["model"] in (out / "tables.md").read_text()
    with pytest.raises(StateError, match="do not mix"):
        calibrate(out, f"batch:{tmp_path / 'requests.jsonl'}", settings={"stopping": None})


def test_what_a_calibration_began_with_stays(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    none = {"rounds": 0}
    first, other = tmp_path / "first.tsv", tmp_path / "other.tsv"
    first.write_text("1\tdisk fail\n0\tfan idle\n")
    other.write_text("0\tdisk fail\n")
    prompt = tmp_path / "mine.toml"
    shipped = Path(command.__file__).parents[1] / "annotate/prompts/logprompt.toml"
    prompt.write_text(shipped.read_text("utf-8") + "# mine\n", "utf-8")

    calibrate(tmp_path / "out", who, given, initial=first, settings=none)

    assert calibrate(tmp_path / "out", who, settings=none)["initial"] == str(first)
    with pytest.raises(StateError, match=r"did not begin with .*other\.tsv"):
        calibrate(tmp_path / "out", who, initial=other, settings=none)
    with pytest.raises(StateError, match="other prompts"):
        calibrate(tmp_path / "out", who, prompt=str(prompt), settings=none)


def test_a_template_without_a_label_is_no_example_and_has_none_for_training(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    initial = tmp_path / "initial.tsv"
    initial.write_text("1\tdisk fail\n0\tdisk idle\n0\tfan idle\n0\tlink idle\n")
    said: list[str] = []

    asked = request(tmp_path / "out", who, given, initial=initial, settings={"stopping": None})
    record = run(asked, told, said.append, encode=encode)

    assert "20 templates have no label, and count as normal until one is given" in said
    assert all(row["support"] <= 4 + record["calls"] for row in record["rounds"])
    assert record["rounds"][1]["support"] <= 4
    rows = [row.split("\t") for row in labels(tmp_path / "out").decode().splitlines()]
    assert {row[1] == "?" for row in rows if row[0] == "?"} == {True}


def test_labels_to_begin_with_that_contradict_each_other_are_outvoted(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    initial = tmp_path / "initial.tsv"
    initial.write_text(2 * "1\tdisk fail\n" + "0\tdisk fail\n")

    calibrate(tmp_path / "out", who, given, initial=initial, settings={"rounds": 0})

    assert b"\n1\t1.0000\t1\t1\tknown\tdisk fail\n" in labels(tmp_path / "out")


def test_a_file_of_which_a_part_is_labelled_is_refused(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    given[0].write_text("1\tdisk fail\nfan idle\n")

    with pytest.raises(ValueError, match=r"known\.tsv:2: expected 0 or 1"):
        calibrate(tmp_path / "out", who, given)


def test_files_of_the_calibration_are_no_logs(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    _, who = simulation(folder)
    (folder / "one.log").write_text("disk fail\nfan idle\n")

    record = calibrate(tmp_path / "out", who, [folder], settings={"rounds": 0})

    assert record["lines"] == 2


def test_any_name_of_a_file_will_do(tmp_path: Path, monkeypatch) -> None:
    _, who = simulation(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    odd = Path(os.fsdecode(b"odd\xff.log"))
    odd.write_text("disk fail\n")

    record = calibrate(tmp_path / "out", who, [Path(), odd], settings={"rounds": 0})

    assert record["systems"] == ["here", "odd\\udcff"]
    with pytest.raises(ConfigError, match="no such file"):
        calibrate(tmp_path / "none", who, [tmp_path / "missing.log"])


def test_an_estimate_with_another_seed_leaves_no_trace(tmp_path: Path) -> None:
    given, who = simulation(tmp_path)
    run(request(tmp_path / "a", who, given), told, told, encode=encode, only_estimate=True)

    for name in ("a", "b"):
        calibrate(tmp_path / name, who, given, settings={"seed": 1, "rounds": 1})

    assert (tmp_path / "a" / state.STATE).read_bytes() == (
        tmp_path / "b" / state.STATE
    ).read_bytes()
