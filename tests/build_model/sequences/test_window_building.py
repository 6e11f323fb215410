"""`logagent-build sequences --window`, from labelled lines to windows that the agent judges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="training needs the [build] extra")
pytest.importorskip("onnx", reason="needs the [build] extra")
pytest.importorskip("onnxruntime", reason="needs the [build] extra")

import numpy as np
import onnx
from logagent import cli as agent_cli
from logagent import model_command
from logagent.bundle import Bundle
from logagent.config import Config, load
from logagent.errors import BackendError, BundleError
from logagent.sequences.onnx_voters import ONNX_PART, with_backend
from logagent.sequences.part import PART, SequenceModel
from logagent.service.sequencing import make_sequences
from logagent_build import cli
from logagent_build.sequences import fitting, onnx_graph
from logagent_build.sequences.building import add_part
from logagent_build.sequences.options import rule_for
from typer.testing import CliRunner

WINDOW = 5


def lines(windows: int, seed: int) -> tuple[list[str], list[bool]]:
    """Return windows of harmless lines; the bad ones have two words together that are never so."""
    rng = np.random.default_rng(seed)
    texts, bad = [], []
    for at in range(windows):
        row = [f"worker: {what}" for what in rng.choice(["begin", "read", "write", "end"], WINDOW)]
        if at % 4 == 0:
            row[1] = row[3] = "worker: retry"
        texts += row
        bad += [at % 4 == 0 and place in (1, 3) for place in range(WINDOW)]
    return texts, bad


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("windows")
    texts, bad = lines(80, 1)
    (made / "train.log").write_text("\n".join(texts) + "\n")
    (made / "labels.tsv").write_text(
        "".join(f"{int(b)}\t{t}\n" for t, b in dict(zip(texts, bad, strict=True)).items())
    )
    (made / "test.log").write_text("\n".join(lines(12, 2)[0]) + "\n")
    done = build(made, "-o", str(made / "x.bundle"), "--onnx")
    assert 0 == done.exit_code, done.output
    return made


def build(folder: Path, *more: str):  # type: ignore[no-untyped-def]
    given = [str(folder / "train.log"), "--window", str(WINDOW)]
    if "--labels" not in more and "--incidents" not in more:
        given += ["--labels", str(folder / "labels.tsv")]
    return CliRunner().invoke(cli.app, ["sequences", *given, *more])


def scan(folder: Path, *more: str) -> list[dict]:  # type: ignore[type-arg]
    given = ["scan", str(folder / "test.log"), "--sequences", "--format", "jsonl", *more]
    if "--bundle" not in more:
        given += ["--bundle", str(folder / "x.bundle")]
    done = CliRunner().invoke(agent_cli.app, given)
    assert 0 == done.exit_code, done.output
    found = map(json.loads, done.stdout.splitlines())
    return [each for each in found if each.get("kind") == "sequence"]


def test_the_agent_makes_windows_as_in_training_unless_told_otherwise(folder: Path) -> None:
    assert [(1, 5), (21, 25), (41, 45)] == [
        (each["line"], each["last_line"]) for each in scan(folder)
    ]
    assert all(10 == each["lines"] for each in scan(folder, "--window", "10"))


def test_the_service_makes_windows_as_in_training_and_rules_inherit_them(folder: Path) -> None:
    bundle = Bundle.load(folder / "x.bundle")
    (folder / "c.toml").write_text(
        '[sequences]\nenabled = true\n[[sequences.rules]]\nsources = ["*/app.log"]\n'
        "[[sequences.rules]]\nsteps = 5\n"
    )
    for config, rules in (
        (Config(), [(WINDOW, 1, ("*",))]),
        (load(folder / "c.toml"), [(WINDOW, 1, ("*/app.log",)), (WINDOW, 5, ("*",))]),
    ):
        made = make_sequences(config, bundle, "box", print, None)
        held = made.watch.sequencer._rules
        assert rules == [(each.window_lines, each.steps, each.sources) for each in held]


def test_the_rule_is_stored_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == model_command.info(folder / "x.bundle", None, None)
    told = json.loads(capsys.readouterr().out)["sequences"]
    assert (WINDOW, "", True) == (told["rule"]["window_lines"], told["rule"]["key"], told["onnx"])
    assert (
        {"forest", "knn", "tree", "network"} == set(told["voters"]) == set(told["record"]["voters"])
    )
    assert told["record"]["onnx_parity"]["sequences"] > 200


def test_onnxruntime_reports_what_numpy_reports(folder: Path) -> None:
    found = [scan(folder, "--backend", each) for each in ("numpy", "onnxruntime", "auto")]
    assert found[0] == found[1] == found[2]
    assert all(each["carried"] for each in found[0])


def test_only_who_asks_for_onnxruntime_gets_the_graph(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(folder / "x.bundle")
    ensemble = SequenceModel.of(bundle).ensemble
    for backend in ("auto", "numpy"):
        assert with_backend(ensemble, bundle, backend) is ensemble
    assert with_backend(ensemble, bundle, "onnxruntime") is not ensemble
    add_part(bundle, bytes(bundle.part(PART)), tmp_path / "plain")
    plain = Bundle.load(tmp_path / "plain")
    assert ONNX_PART not in plain.sizes()
    assert with_backend(ensemble, plain, "onnxruntime") is ensemble


def test_a_new_ensemble_does_not_keep_the_graph_of_the_old_one(
    folder: Path, tmp_path: Path
) -> None:
    old = Bundle.load(folder / "x.bundle")
    add_part(old, bytes(old.part(PART)), tmp_path / "y")
    assert old.sizes().keys() - {ONNX_PART} == Bundle.load(tmp_path / "y").sizes().keys()


def test_the_same_input_gives_the_same_graph(folder: Path, tmp_path: Path) -> None:
    assert 0 == build(folder, "-o", str(tmp_path / "y"), "--onnx").exit_code
    assert (folder / "x.bundle").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_graph_that_judges_otherwise_is_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = onnx_graph.graph

    def wrong(part):  # type: ignore[no-untyped-def]
        voters = dict(part["voters"])
        dtype, shape, raw = voters["forest"]["value"]
        value = np.frombuffer(raw, dtype).copy()
        value[-1] = 1 - value[-1]  # the last leaf of the last tree
        voters["forest"] = voters["forest"] | {"value": [dtype, shape, value.tobytes()]}
        return graph(part | {"voters": voters})

    monkeypatch.setattr(onnx_graph, "graph", wrong)
    done = build(folder, "-o", str(tmp_path / "y"), "--onnx")
    assert 3 == done.exit_code
    assert "sequences.onnx: " in done.output
    assert 1 == done.output.count("logagent-build:")
    assert not (tmp_path / "y").exists()


def _renamed(graph: bytes, old: str, new: str) -> bytes:
    model = onnx.load_from_string(graph)
    for each in (*model.graph.input, *model.graph.output):
        each.name = new if each.name == old else each.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    held: bytes = model.SerializeToString()
    return held


def _reshaped(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value += 1
    held: bytes = model.SerializeToString()
    return held


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda graph: b"", "refuses"),
        (lambda graph: graph[:200], "refuses"),
        (lambda graph: _renamed(graph, "counts", "bounts"), "takes .*bounts.*, not counts of"),
        (_reshaped, "refuses|takes|cannot be run"),
        (lambda graph: graph.replace(b"knn", b"nnk").replace(b"tree", b"eert"), "refuses|scores"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_in_one_line(
    folder: Path, tmp_path: Path, spoil, said: str
) -> None:  # type: ignore[no-untyped-def]
    good = Bundle.load(folder / "x.bundle")
    graph = spoil(bytes(good.part(ONNX_PART)))
    add_part(good, bytes(good.part(PART)), tmp_path / "y", graph)
    bad = Bundle.load(tmp_path / "y")
    with pytest.raises(BundleError, match=said) as raised:
        with_backend(SequenceModel.of(bad).ensemble, bad, "onnxruntime")
    assert "part 'sequences.onnx'" in str(raised.value)


def test_a_graph_of_another_ensemble_is_refused(folder: Path, tmp_path: Path) -> None:
    assert 0 == build(folder, "-o", str(tmp_path / "y"), "--onnx", "--seed", "7").exit_code
    one, other = Bundle.load(folder / "x.bundle"), Bundle.load(tmp_path / "y")
    add_part(one, bytes(one.part(PART)), tmp_path / "z", bytes(other.part(ONNX_PART)))
    mixed = Bundle.load(tmp_path / "z")
    with pytest.raises(BundleError, match="scores otherwise than in part 'sequences'"):
        with_backend(SequenceModel.of(mixed).ensemble, mixed, "onnxruntime")


def test_without_onnxruntime_it_is_said_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    bundle = Bundle.load(folder / "x.bundle")
    ensemble = SequenceModel.of(bundle).ensemble
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"cannot be imported.*--backend numpy"):
        with_backend(ensemble, bundle, "onnxruntime")
    assert with_backend(ensemble, bundle, "auto") is ensemble


def test_windows_are_trained_on_by_times_of_incidents(tmp_path: Path) -> None:
    texts, bad = lines(80, 3)
    stamped = [f"2026-03-01T12:{at // 60:02}:{at % 60:02}Z {text}" for at, text in enumerate(texts)]
    (tmp_path / "train.log").write_text("\n".join(stamped) + "\n")
    whens = [line.split()[0] for line, odd in zip(stamped, bad, strict=True) if odd]
    (tmp_path / "i.tsv").write_text("".join(f"{when}\t{when}\n" for when in whens))
    done = CliRunner().invoke(
        cli.app,
        [
            *("sequences", str(tmp_path / "train.log"), "--window-seconds", "5"),
            *("--incidents", str(tmp_path / "i.tsv"), "-o", str(tmp_path / "x")),
        ],
    )
    assert 0 == done.exit_code, done.output
    assert "80 labelled sequences, 20 anomalous" in done.output
    (tmp_path / "test.log").write_text("\n".join(stamped[:100]) + "\n")
    found = scan(tmp_path, "--bundle", str(tmp_path / "x"))
    assert [1, 21, 41, 61, 81] == [each["line"] for each in found]


def test_a_large_ensemble_is_made_to_fit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MOST_PARAMETERS", 3000)
    done = build(folder, "-o", str(tmp_path / "y"))
    assert 0 == done.exit_code, done.output
    model = SequenceModel.of(Bundle.load(tmp_path / "y"))
    assert 0 < model.ensemble.parameters <= 3000
    assert {"forest", "knn"} <= set(model.record["voters"]) == set(model.ensemble.voters)
    assert "network" not in model.record["voters"]


def test_of_more_sequences_than_there_is_room_for_some_are_drawn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_MOST_COUNTS", 30 * 2 * 21)
    done = build(folder, "-o", str(tmp_path / "y"))
    assert 0 == done.exit_code, done.output
    assert "of which 30 are drawn" in done.output
    model = SequenceModel.of(Bundle.load(tmp_path / "y"))
    assert (30, 80) == (model.record["trained_on"], model.record["labelled_sequences"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--labels", "missing.tsv"], "missing.tsv: cannot be read: No such file"),
        (["--labels", "train.log"], "has no labels of lines"),
        (["--incidents", "labels.tsv"], ":1: not a start, a tab and an end"),
        (["--incidents", "labels.tsv", "--labels", "labels.tsv"], "one of --labels"),
        (["--session-key", "(?P<session>x)"], "one of --session-key, --window"),
        (["--window-seconds", "5"], "one of --session-key, --window"),
        (["--session-across"], "windows have no --session-timeout"),
        (["--window", "5/2"], "--window: the length must be a multiple of the step"),
        (["--window", "-3"], "--window: write a length"),
        (["--window", "400"], "all windows have one label, anomalous"),
        (["-o", "."], "cannot be written: a folder"),
        (["-o", "labels.tsv"], "is read here"),
        (["-o", "/proc/none/x"], "/proc/none/x: cannot be written: No such file"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    out = [] if "-o" in given else ["-o", str(tmp_path / "y")]
    done = build(folder, *out, *given)
    assert done.exit_code in {4, 7}
    assert said in done.output
    assert 1 == len(done.output.strip().splitlines()) or "all windows" in said
    assert not (tmp_path / "y").exists()


def test_options_make_the_rule_that_scan_would_make() -> None:
    made = rule_for(None, "200/50", timeout_seconds=0, across=False, max_events=64)
    assert (200, 4, 64, None) == (made.window_lines, made.steps, made.max_events, made.key)
    made = rule_for(None, None, "7.5/2.5", timeout_seconds=0, across=False, max_events=64)
    assert (7.5, 3) == (made.window_seconds, made.steps)
