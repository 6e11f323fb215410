"""`logagent-build sequences`, from logs and labels to a bundle that the agent judges with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="training needs the [build] extra")

import msgpack
import numpy as np
from logagent import cli as agent_cli
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.sequences.part import SequenceModel
from logagent_build import cli
from logagent_build.sequences.fitting import _drawn
from typer.testing import CliRunner

from .test_lines import CUT, KEY, WHOLE, write

BAD = {number for number in range(60) if number % 4 == 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    jobs = {
        number: (CUT if number in BAD else WHOLE)[:1]
        + ("work",) * (number % 7)
        + ("end",) * (number not in BAD)
        for number in range(60)
    }
    write(folder / "train.log", jobs)
    (folder / "labels.tsv").write_text(
        "".join(f"j{number}\t{int(number in BAD)}\n" for number in jobs)
    )
    return folder


def build(folder: Path, out: Path, *more: str):  # type: ignore[no-untyped-def]
    given = [
        str(folder / "train.log"),
        "--session-key",
        KEY,
        "--labels",
        str(folder / "labels.tsv"),
    ]
    return CliRunner().invoke(cli.app, ["sequences", *given, "-o", str(out), *more])


def test_a_bundle_is_made_that_finds_what_it_was_taught(made: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "jobs.bundle"
    done = build(made, bundle)
    assert 0 == done.exit_code, done.output
    assert "60 labelled sequences, 15 anomalous, 3 events" in done.output
    log = write(tmp_path / "test.log", {1: WHOLE, 2: CUT, 3: ("begin", "work", "work", "end")})
    log.write_bytes(log.read_bytes() + b"nothing of a job\n" * 500)  # else j2 may not be over
    scanned = CliRunner().invoke(
        agent_cli.app,
        ["scan", str(log), "--sequences", "--bundle", str(bundle), "--format", "jsonl"],
    )
    (record,) = [json.loads(line) for line in scanned.stdout.splitlines() if "sequence" in line]
    assert "j2" == record["session"]
    assert ("missing", "job j: end") in {
        (each["what"], each["template"]) for each in record["carried"]
    }


def test_a_model_that_tells_normal_sequences_of_its_own_training_is_not_written(
    tmp_path: Path,
) -> None:
    # Anomalous ones differ from the one normal sequence in nothing that counts say.
    jobs = {
        number: (WHOLE[::-1] if number % 16 else CUT) if number % 8 == 0 else WHOLE
        for number in range(160)
    }
    write(tmp_path / "train.log", jobs)
    (tmp_path / "labels.tsv").write_text(
        "".join(f"j{number}\t{int(number % 8 == 0)}\n" for number in jobs)
    )
    done = build(tmp_path, tmp_path / "jobs.bundle")

    assert 0 != done.exit_code
    assert "normal sequences of the training would be told" in " ".join(done.output.split())
    assert not (tmp_path / "jobs.bundle").exists()


def test_the_other_parts_are_those_of_the_base_and_the_rule_is_stored(
    made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.bundle"
    assert 0 == build(made, out, "--session-timeout", "60", "--session-across").exit_code
    base, bundle = Bundle.load(DEFAULT_BUNDLE), Bundle.load(out)
    assert all(bytes(base.part(name)) == bytes(bundle.part(name)) for name in base.sizes())
    model = SequenceModel.of(bundle)
    assert (60.0, True) == (model.rule.timeout_seconds, model.rule.across)
    assert 60 == model.record["labelled_sequences"]
    rng = np.random.default_rng(1)
    for length in range(1, 20):  # what the agent's cache relies on
        events = rng.integers(0, model.ensemble.events, length, dtype=np.int32)
        verdicts = [model.ensemble.judge(each) for each in (events, rng.permutation(events))]
        assert 1 == len({(each.score, tuple(each.votes.items())) for each in verdicts})


def test_the_same_input_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert 0 == build(made, tmp_path / name).exit_code
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_labels_of_one_kind_teach_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("j1\t0\nj2\t0\n")
    (tmp_path / "train.log").write_bytes((made / "train.log").read_bytes())
    done = build(tmp_path, tmp_path / "x.bundle")
    assert (4, True) == (done.exit_code, "all sessions have one label" in done.output)
    assert not (tmp_path / "x.bundle").exists()


def test_an_expression_that_could_take_too_long_is_refused(made: Path, tmp_path: Path) -> None:
    given = [
        str(made / "train.log"),
        "--labels",
        str(made / "labels.tsv"),
        "-o",
        str(tmp_path / "x"),
    ]
    done = CliRunner().invoke(
        cli.app, ["sequences", *given, "--session-key", "(?P<session>(a+)+)x"]
    )
    assert (4, True) == (done.exit_code, "repeats something" in done.output)


def test_every_option_is_on_the_page() -> None:
    import typer.main

    page = Path(__file__).parents[3] / "docs" / "sequences-agent.md"
    if not page.is_file():
        pytest.skip("docs/ is not here: the tests run without the repository around them")
    command = typer.main.get_command(cli.app).commands["sequences"]  # type: ignore[attr-defined]
    options = [o for p in command.params for o in p.opts if o.startswith("--")]
    rows = [row for row in page.read_text("utf-8").splitlines() if row.startswith("|")]
    assert [] == [o for o in options if not any(f"`{o}`" in r or f"`{o} " in r for r in rows)]


def rare(folder: Path, log: str, *more: str):  # type: ignore[no-untyped-def]
    given = ["sequences", str(folder / log), "--session-key", KEY, *more]
    return CliRunner().invoke(cli.app, [*given, "-o", str(folder / "rare.bundle")])


def test_without_labels_what_is_rare_is_learnt_as_anomalous(tmp_path: Path) -> None:
    whole = {number: ("begin", *("work",) * (number % 5), "end") for number in range(400)}
    broken = {400 + number: ("begin", *("work",) * number, "gave up") for number in range(1, 4)}
    write(tmp_path / "train.log", whole | broken)
    done = rare(tmp_path, "train.log", "--rare", "0.01")
    assert 0 == done.exit_code, done.output
    assert "403 labelled sequences, 3 anomalous" in done.output
    test = {
        1: ("begin", "work", "end"),
        2: ("begin", *("work",) * 4, "gave up"),
        3: ("begin", "end"),
    }
    write(tmp_path / "test.log", test)
    given = ["scan", str(tmp_path / "test.log"), "--sequences", "--format", "jsonl"]
    scanned = CliRunner().invoke(agent_cli.app, [*given, "--bundle", str(tmp_path / "rare.bundle")])
    records = [json.loads(line) for line in scanned.stdout.splitlines()]
    assert ["j2"] == [each["session"] for each in records if each.get("kind") == "sequence"]
    model = SequenceModel.of(Bundle.load(tmp_path / "rare.bundle"))
    assert 0.01 == model.record["rare"]

    labels = tmp_path / "labels.tsv"
    labels.write_text("".join(f"j{400 + number}\t0\n" for number in range(1, 4)))
    refused = rare(tmp_path, "train.log", "--rare", "0.01", "--labels", str(labels))
    assert 4 == refused.exit_code
    assert "all sessions have one label, normal" in refused.output


def test_common_kinds_that_are_unlike_each_other_do_not_raise_the_cut(tmp_path: Path) -> None:
    """A kind held out looks anomalous to a forest that never saw it: it is common all the same."""
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    jobs = {at: (words[at % 8],) for at in range(400)}
    jobs |= {400 + at: (words[at % 8], words[(at + 1 + at // 8) % 8]) for at in range(24)}
    write(tmp_path / "train.log", jobs)
    done = rare(tmp_path, "train.log", "--rare", "0.01")
    assert 0 == done.exit_code, done.output
    part = msgpack.unpackb(Bundle.load(tmp_path / "rare.bundle").part("sequences"))
    assert 24 == part["record"]["anomalous"]
    assert part["ensemble"]["voters"]["forest"]["cut"] < 0.51


def test_where_every_session_is_unlike_the_others_rarity_is_refused(tmp_path: Path) -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    jobs = {
        number: tuple(word for at, word in enumerate(words) if number >> at & 1) or ("none",)
        for number in range(300)
    }
    write(tmp_path / "train.log", jobs)
    done = rare(tmp_path, "train.log", "--rare", "0.01")
    assert 4 == done.exit_code
    assert "too different from each other" in done.output
    assert not (tmp_path / "rare.bundle").exists()


def test_rarity_is_of_sessions_and_instead_of_votes(made: Path, tmp_path: Path) -> None:
    log = str(made / "train.log")
    for given, said in (
        (("--window", "5", "--rare", "0.01"), "for sessions"),
        (("--session-key", KEY, "--rare", "0.01", "--votes", "v"), "--votes or --rare"),
        (("--session-key", KEY), "--rare 0.01"),
    ):
        done = CliRunner().invoke(cli.app, ["sequences", log, *given, "-o", str(tmp_path / "x")])
        assert 4 == done.exit_code
        assert said in " ".join(done.output.split())


def test_a_bundle_is_not_written_where_it_would_be_read_as_a_log(
    made: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "train.log").write_bytes((made / "train.log").read_bytes())
    given = [str(logs), "--session-key", KEY]
    for command, more in (("sequences", ["--labels", str(made / "labels.tsv")]), ("sessions", [])):
        done = CliRunner().invoke(cli.app, [command, *given, *more, "-o", str(logs / "deep" / "x")])
        assert (7, True) == (done.exit_code, "read as one of the files" in done.output)
    assert ["train.log"] == [each.name for each in logs.iterdir()]


def test_a_pipe_cannot_be_read_twice_so_silences_are_left_out_aloud(
    made: Path, tmp_path: Path
) -> None:
    read, bundle = os.pipe(), tmp_path / "x.bundle"
    given = ["--session-key", KEY, "--labels", str(made / "labels.tsv")]
    os.write(read[1], (made / "train.log").read_bytes())
    os.close(read[1])
    before = os.dup(0)
    try:
        os.dup2(read[0], 0)
        done = CliRunner().invoke(
            cli.app,
            ["sequences", "-", *given, "-o", str(bundle)],
        )
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(read[0])
    assert 0 == done.exit_code, done.output
    assert "silences: left out: standard input cannot be read twice" in done.output
    assert "left out" in SequenceModel.of(Bundle.load(bundle)).record["silences"]
    assert 0 == build(made, bundle).exit_code
    assert "stored" == SequenceModel.of(Bundle.load(bundle)).record["silences"]


def test_labels_that_events_do_not_tell_apart_are_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path / "train.log", dict.fromkeys(range(30), WHOLE))
    (tmp_path / "labels.tsv").write_text("".join(f"j{at}\t{int(at < 4)}\n" for at in range(30)))
    done = build(tmp_path, tmp_path / "x.bundle")
    assert 4 == done.exit_code
    assert "by their majority all are normal" in done.output


def test_what_is_wrong_with_the_options_is_said_before_logs_are_read(tmp_path: Path) -> None:
    for given, said in (
        (("--session-key", "j"), "--session-key: has no group"),
        (("--window", "5", "--order", "on"), "windows begin anywhere"),
    ):
        done = CliRunner().invoke(
            cli.app, ["sequences", "nowhere.log", *given, "-o", str(tmp_path / "x")]
        )
        assert (4, True) == (done.exit_code, said in done.output)
    (tmp_path / "empty.log").touch()
    given = (str(tmp_path / "empty.log"), "--session-key", KEY)
    done = CliRunner().invoke(cli.app, ["sessions", *given, "-o", str(tmp_path / "x")])
    assert (4, True) == (done.exit_code, "no lines in these logs" in done.output)


@pytest.mark.parametrize("bad", [1, 6, 94, 99])
def test_of_too_many_sequences_all_of_the_rarer_label_are_drawn(bad: int) -> None:
    rows = np.arange(0, 300, 3)
    anomalous = np.arange(100) < bad
    few = _drawn(rows, anomalous, 20, seed=1)
    assert 20 == len(few) == len(set(few.tolist()))
    assert set(few.tolist()) <= set(rows.tolist())
    assert few.tolist() == sorted(few.tolist())
    assert min(bad, 100 - bad) == sum((few // 3 < bad) == (bad < 50))
    assert few.tolist() == _drawn(rows, anomalous, 20, seed=1).tolist()


def test_half_of_what_is_drawn_are_of_either_label_if_there_are_as_many() -> None:
    few = _drawn(np.arange(100), np.arange(100) < 40, 20, seed=1)
    assert (10, 20) == ((few < 40).sum(), len(few))
