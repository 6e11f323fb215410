"""`logagent-build build` end to end on tiny logs, without a sentence encoder."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

from logagent.bundle import Bundle
from logagent.scorer import Scorer
from logagent_build import cli, evaluate
from logagent_build.alpha.corrections import FORMAT, template_key
from logagent_build.annotate.fence import read_block
from logagent_build.folder import command, strategies, training
from logagent_build.folder.systems import System
from typer.testing import CliRunner

from ..alpha.fakes import encode
from ..annotate.server import Model

GOOD = ["link is up", "session opened", "service started", "job done", "cache warm"]
BAD = ["link is down", "kernel panic now", "read failed badly", "disk is full", "out of memory"]
SYSTEMS = ("one", "two", "three", "four")
HOSTILE = "<script>alert(1)</script> \x1b[2J | `x` failed"


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four systems, one compressed, one with a hostile line; and labels of all lines."""
    rows = []
    for name in SYSTEMS:
        lines = [f"{name} {text} {n}" for n in range(10, 14) for text in (*GOOD, *BAD)]
        rows += [f"{int(text in BAD)}\t{name} {text} 7" for text in (*GOOD, *BAD)]
        if name == "one":
            lines.append(HOSTILE)
        (tmp_path / "logs" / name).mkdir(parents=True)
        data = "".join(f"{line}\n" for line in lines).encode()
        if name == "two":
            (tmp_path / "logs" / name / "x.log.gz").write_bytes(gzip.compress(data))
        else:
            (tmp_path / "logs" / name / "x.log").write_bytes(data)
    (tmp_path / "labels.tsv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(
        training,
        "word_vectors",
        lambda words, cache: np.random.default_rng(0).normal(size=(len(words), 4)).astype("f4"),
    )
    real = training.Config
    small = {"token_dim": 7, "bigram_rows": 500, "hidden": (8, 6), "discriminator": 4}
    monkeypatch.setattr(
        training,
        "Config",
        lambda **given: dataclasses.replace(real(**given), **small, groups=2, batch_lines=16),
    )
    monkeypatch.setattr(command, "MiniLM", lambda: encode)
    return tmp_path / "logs"


def build(logs: Path, *more: str, out: str = "my.bundle", who: str = "labels") -> Any:
    folder = logs.parent
    annotator = {"labels": f"labels:{folder / 'labels.tsv'}"}.get(who, who)
    return CliRunner().invoke(
        cli.app,
        [
            *("build", str(logs), "-o", str(folder / out), "--annotator", annotator),
            *("--base=none", "--quick", "--jobs=1", *more),
        ],
    )


def record_of(logs: Path, out: str = "my.bundle") -> dict[str, Any]:
    return json.loads((logs.parent / f"{out}.run" / "record.json").read_text())


@pytest.mark.slow
def test_a_folder_becomes_a_verified_bundle_with_record_card_and_report(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = build(logs)
    assert 0 == done.exit_code, done.output
    run = logs.parent / "my.bundle.run"
    bundle = Bundle.load(logs.parent / "my.bundle")
    record = record_of(logs)

    assert sorted(SYSTEMS) == bundle.manifest.systems == record["train"]["systems"]
    assert 161 == record["read"]["lines"]
    assert {"one": 11, "two": 10, "three": 10, "four": 10} == {
        row["name"]: row["templates"] for row in record["read"]["systems"]
    }
    assert all(check["holds"] for check in record["verify"]["checks"])
    assert set(SYSTEMS) == record["train"]["held_out"]["auroc"].keys()
    assert record["bundle"]["sha256"] == json.loads(done.stdout)["bundle"]["sha256"]
    assert not record["simulation"]
    scores = Scorer(bundle, "numpy").scores([b"three disk is full #", b"three cache warm #"])
    assert scores[0] > scores[1]
    assert "NaN" not in (run / "record.json").read_text() + json.dumps(bundle.manifest.record)
    report, card = (run / "report.html").read_text(), (run / "model-card.md").read_text()
    assert "<script" not in report
    assert "&lt;script&gt;" in report
    assert "simulation" not in card
    assert HOSTILE not in card + report
    assert "\x1b" not in card + report
    assert "| three | 1 | 40 |" in card

    # Done again, nothing is done.
    first = (logs.parent / "my.bundle").read_bytes()
    (logs.parent / "my.bundle").unlink()
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("it was trained again"))
    assert 0 == build(logs).exit_code
    assert first == (logs.parent / "my.bundle").read_bytes()


@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on_with_the_folds_it_has(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gives the bundle of one that was not; a simulation is called one everywhere."""
    who = f"simulated:{logs.parent / 'labels.tsv'},normal=0.0"
    done = build(logs, out="calm/x.bundle", who=who)
    assert 0 == done.exit_code, done.output
    run = logs.parent / "calm" / "x.bundle.run"
    assert "a simulation answers" in done.stderr
    assert record_of(logs, "calm/x.bundle")["simulation"]
    assert "simulation" in (run / "model-card.md").read_text().split("\n## ")[0]
    assert "A simulation labelled these lines" in (run / "report.html").read_text()
    manifest = Bundle.load(logs.parent / "calm" / "x.bundle").manifest
    assert manifest.record["labels"]["simulation"]

    real, folds = evaluate.fit, []

    def fit(*args: Any, **more: Any) -> Any:
        folds.append(1)
        if len(folds) == 3:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(evaluate, "fit", fit)
    shaken_run = logs.parent / "shaken" / "x.bundle.run"
    assert 0 != build(logs, out="shaken/x.bundle", who=who).exit_code
    assert not (logs.parent / "shaken" / "x.bundle").exists()
    kept = sorted(shaken_run.glob("folds-*/*.npz"))
    assert 2 == len(kept)
    kept[1].write_bytes(kept[1].read_bytes()[:100])  # damaged: is made again
    for vectors in (shaken_run / "vectors").glob("*.npy"):
        vectors.write_bytes(vectors.read_bytes()[:200])
    (shaken_run / "label.json").unlink()
    assert 0 == build(logs, out="shaken/x.bundle", who=who).exit_code

    assert 5 == len(folds)
    calm, shaken = ((logs.parent / name / "x.bundle").read_bytes() for name in ("calm", "shaken"))
    assert calm == shaken


@pytest.mark.slow
def test_a_batch_file_goes_out_and_its_responses_come_in(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 75 until every answer is there; corrections win over them.

    What was paid is known after the run folder has been moved.
    """
    folder, real = logs.parent, command.with_vectors
    run = folder / "my.bundle.run"
    requests, answers = folder / "req.jsonl", folder / "res.jsonl"
    key = template_key(b"one cache warm #")
    corrections = {"format": FORMAT, "labels": [{"template": key, "label": 1}]}
    (folder / "review.json").write_text(json.dumps(corrections))
    answers.touch()
    (folder / "prices.toml").write_text("[m]\ninput = 1\noutput = 2\n")
    prices = f"--prices={folder / 'prices.toml'}"
    monkeypatch.setattr(command, "with_vectors", lambda *_: pytest.fail("no vectors are needed"))
    done = build(logs, "--estimate", "--model=m", prices, who=f"batch:{requests}")
    assert 0 == done.exit_code, done.output
    assert 0 < json.loads(done.stdout)["estimate"]["dollars"] < 1
    assert not requests.exists()
    monkeypatch.setattr(command, "with_vectors", real)
    waits = 0
    for _ in range(25):
        done = build(
            logs,
            "--model=m",
            prices,
            f"--review={folder / 'review.json'}",
            f"--responses={answers}",
            f"--run-folder={run}",
            who=f"batch:{requests}",
        )
        if done.exit_code != 75:
            break
        waits += 1
        if waits == 2:
            run = run.rename(folder / "moved")
        assert not (folder / "my.bundle").exists()
        with answers.open("a") as file:
            for row in map(json.loads, requests.read_text().splitlines()):
                lines = read_block(row["body"]["messages"][-1]["content"])
                message = {"message": {"content": Model().text(lines, {})}, "finish_reason": "stop"}
                body = {"choices": [message], "model": "m"}
                response = {"status_code": 200, "request_id": "r", "body": body}
                told = {"custom_id": row["custom_id"], "response": response, "error": None}
                file.write(json.dumps(told) + "\n")
    assert 0 == done.exit_code, done.output
    run.rename(folder / "my.bundle.run")

    label = record_of(logs)["label"]
    assert 2 <= waits
    assert 1 == label["reviewed_templates"]
    assert "combined" == label["strategy"]
    assert waits <= label["calls"] == label["paid"]["requests"]
    assert 0 < label["paid"]["dollars"]
    rows = (folder / "my.bundle.run" / "labels.tsv").read_text().splitlines()[1:]
    labels = {row.split("\t")[3]: row.split("\t")[0] for row in rows}
    assert "1" == labels[key]
    # The fake model knows only "fail".
    for name in SYSTEMS[1:]:
        assert "1" == labels[template_key(f"{name} read failed badly #".encode())]
        assert "0" == labels[template_key(f"{name} link is down #".encode())]


@pytest.mark.slow
def test_a_bundle_that_fails_a_check_is_not_handed_out(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an earlier one there stays."""
    from logagent_build.folder import verification

    monkeypatch.setattr(verification, "_LEARNT", 1.1)
    (logs.parent / "my.bundle").write_text("an earlier one")
    done = build(logs)

    assert 3 == done.exit_code
    assert "AUROC on the labels trained on" in done.stderr
    assert "an earlier one" == (logs.parent / "my.bundle").read_text()
    assert not (logs.parent / "my.bundle.run" / "record.json").exists()


def test_what_cannot_be_is_one_line(logs: Path) -> None:
    for more, code, said in (
        (["--strategy=guess"], 7, "none of"),
        (["--base=half"], 7, "none of"),
        (["--strategy=one-shot", "--calls=5"], 4, "--calls"),
        (["--systems=none.toml"], 7, "none.toml"),
        (["--folds=1"], 7, "at least 2"),
        (["--seed=-1"], 7, "0 or more"),
    ):
        done = build(logs, *more)
        assert code == done.exit_code, done.output
        assert said in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.output


def test_what_would_fail_in_the_end_is_told_before_anything_is_read(logs: Path) -> None:
    labels = logs.parent / "labels.tsv"
    for out, who, code, said in (
        ("logs", "labels", 7, "is a folder"),
        ("labels.tsv/x.bundle", "labels", 4, "cannot be written"),
        ("my.bundle", "labels:none.tsv", 4, "none.tsv"),
        ("my.bundle", "http://127.0.0.1:9/v1", 7, "--model"),
        ("my.bundle", f"simulated:{labels},seed=inf", 7, "no whole number"),
    ):
        done = build(logs, f"--run-folder={logs.parent / 'run'}", out=out, who=who)
        assert code == done.exit_code, done.output
        assert said in done.stderr.splitlines()[-1]
        assert not (logs.parent / "run" / "read.json").exists()


def test_too_few_systems_for_training_alone_is_told(logs: Path) -> None:
    mapping = logs.parent / "m.toml"
    mapping.write_text('[systems]\n"one/*" = "a"\n"two/*" = "b"\n')
    done = build(logs, f"--systems={mapping}")

    assert 7 == done.exit_code
    assert "at least 4 systems" in done.stderr


@pytest.mark.slow
def test_kin_are_left_out_together(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they share flatters no figure; and a name that is none is told before anything."""
    mapping = logs.parent / "m.toml"
    systems = "".join(f'"{name}/*" = "{name}"\n' for name in SYSTEMS)
    mapping.write_text(f'[systems]\n{systems}[kin]\none = ["thre"]\n')
    done = build(logs, f"--systems={mapping}")
    assert 7 == done.exit_code
    assert "thre is no system" in done.stderr

    mapping.write_text(f'[systems]\n{systems}[kin]\none = ["three"]\n')
    real, seen = evaluate.fit, []

    def fit(config: Any, language: Any, train: Any, *args: Any, **more: Any) -> Any:
        seen.append({domain.name for domain in train})
        return real(config, language, train, *args, **more)

    monkeypatch.setattr(evaluate, "fit", fit)
    done = build(logs, f"--systems={mapping}")
    assert 0 == done.exit_code, done.output
    assert 3 == len(seen)
    assert all(("one" in names) == ("three" in names) for names in seen)
    assert "left out together" in record_of(logs)["train"]["held_out"]["rule"]


def test_files_that_options_name_are_no_logs(logs: Path) -> None:
    """Neither labels nor keys are read as lines, and asked about."""
    (logs / "labels.tsv").write_bytes((logs.parent / "labels.tsv").read_bytes())
    (logs / "key").write_text("sk-secret\n")
    (logs / "my.bundle.record").write_text("ours\n")
    done = build(
        logs, "--estimate", f"--key-file={logs / 'key'}", out="logs/my.bundle",
        who=f"labels:{logs / 'labels.tsv'}",
    )  # fmt: skip

    assert 0 == done.exit_code, done.output
    read = json.loads((logs / "my.bundle.run" / "read.json").read_text())
    assert sorted(SYSTEMS) == [row["name"] for row in read["facts"]["systems"]]


def test_two_builds_do_not_share_a_run_folder(logs: Path) -> None:
    with command.RunFolder.opened(logs.parent / "my.bundle.run"):
        done = build(logs)

    assert 8 == done.exit_code
    assert "another build" in done.stderr


def test_a_system_named_as_a_shipped_one_keeps_apart_and_has_its_kin() -> None:
    entries = command.Entries(
        [b"a", b"b", b"c"],
        np.array([0, 0, 1]),
        ["nginx", "mine"],
        [(b"a",), (b"b",), (b"c",)],
        [()] * 3,
        [()] * 3,
        np.array([5, 1, 2]),
        np.zeros((3, 2), np.float32),
    )
    labels = strategies.Labels(
        np.array([True, False, False]),
        np.array([0.9, 0.5, 0.1]),
        np.array([0.1, 0.5, 0.1]),
        3,
        1,
    )
    systems = [System("mine", ("x",), frozenset(["nginx"])), System("nginx", ("y",))]
    found = training.domains_of(entries, labels, systems, ["nginx", "apache"])

    assert ["nginx (own)", "mine"] == [each.name for each in found]
    assert [[b"a"], [b"c"]] == [each.templates for each in found]
    both = frozenset(["nginx", "nginx (own)"])
    assert [frozenset(["nginx"]), both] == [each.kin for each in found]
    assert [[[1.0]], [[0.0]]] == [each.positive.tolist() for each in found]
