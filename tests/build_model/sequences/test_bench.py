from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the bench needs the [build] extra")
pytest.importorskip("rich", reason="the command line of training needs the [build] extra")

from logagent_build import cli
from logagent_build.sequences import bench, choosing, command, tables
from logagent_build.sequences.baselines import LightAD
from logagent_build.sequences.bench import Plan, Row, Task
from logagent_build.sequences.training import Settings
from sklearn.tree import DecisionTreeClassifier
from typer.testing import CliRunner

from tests.build_model.sequences.made import sequences
from tests.build_model.sequences.test_readers import write


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees, and one candidate for LightAD: what is tested here is who is run on what."""
    monkeypatch.setattr(choosing, "TREES", 3)
    monkeypatch.setattr(LightAD, "_pool", lambda self: {"tree": DecisionTreeClassifier})
    monkeypatch.setattr(command, "Settings", partial(Settings, trees=3))


SMALL = Settings(trees=3)


def row(method: str, f1: float, seed: int = 0, labels: int = 9) -> Row:
    return Row("one", seed, method, labels, labels, f1, f1, f1, f1, 1.0, 0.001)


def test_every_method_is_run_and_judged() -> None:
    task = Task(0, sequences(40, 20), {"new": sequences(20, 10, seed=1)})
    told: list[str] = []
    rows = list(bench.rows(task, Plan(30, SMALL, networks=False), told.append))

    assert {*bench.BASELINES, bench.OURS} - {"CNN", "DeepLog"} <= {each.method for each in rows}
    assert {each.configuration for each in rows} == {"new"}
    assert all(0 <= each.f1 <= 1 and each.distinct <= each.labels for each in rows)
    assert len(told) == len(rows)


def test_all_are_trained_on_as_many_labels_in_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIZES", (20, 30))
    task = Task(0, sequences(40, 20), {"new": sequences(10, 10, seed=1)})
    rows = list(bench.curve(task, Plan(30, SMALL), lambda _: None))

    assert {each.labels for each in rows} == {20, 30}
    assert tables.curves(rows).header == ("method", "20", "30")


def test_each_number_of_labels_has_its_own_comparison() -> None:
    def some(method: str, labels: int, f1: float) -> list[bench.Row]:
        return [row(method, f1 + at / 100, at, labels) for at in range(8)]

    rows = [*some(bench.OURS, 50, 0.4), *some("LightAD", 50, 0.4)]
    rows += [*some(bench.OURS, 500, 0.8), *some("LightAD", 500, 0.5)]
    table = tables.curves_significance([*rows, *some("CNN", 500, 0.9)])

    assert table.header == ("method", "50", "500")
    first, second = table.rows
    assert first[:2] == ("LightAD", "+0.0 (1)")
    assert first[2].startswith("+30.0 (0.0")
    assert second[:2] == ("CNN", "–")


def test_the_best_method_comes_first_and_ours_is_compared() -> None:
    rows = [row(bench.OURS, 0.9 + at / 100, at) for at in range(8)]
    rows += [row("LightAD", 0.5 + at / 100, at) for at in range(8)]

    table = tables.effectiveness(rows, "F1")
    assert [line[0] for line in table.rows] == [bench.OURS, "LightAD"]
    (line,) = tables.significance(rows).rows
    assert line[0] == "LightAD"
    assert line[1] == "+40.0"
    assert line[3] == "yes"
    assert "| LightAD | +40.0 |" in tables.markdown(tables.significance(rows))


def test_the_page_takes_nothing_for_markup() -> None:
    table = tables.Table("<b>", ("<script>",), [("<img src=x>",)])
    page = tables.page("<i>", [table], {"<u>": "<s>"})

    for mark in ("<b>", "<script>", "<img", "<i>", "<u>", "<s>"):
        assert mark not in page


def test_the_command_writes_tables_json_and_a_page(tmp_path: Path) -> None:
    made = sequences(60, 30)
    for name, seed in (("spark2", 0), ("spark3", 1)):
        each = sequences(60, 30, seed)
        names = [[made.vocabulary[event] for event in events] for events in each.events]
        lines = zip(names, each.anomalous.tolist(), strict=True)
        write(tmp_path / f"{name}.jsonl", *({"events": n, "anomalous": a} for n, a in lines))
    out = [tmp_path / "record.json", tmp_path / "page.html"]
    words = ["bench", "evol", "--data", str(tmp_path), "--quick", "--labels", "40"]
    result = CliRunner().invoke(cli.app, [*words, "--json", str(out[0]), "--html", str(out[1])])
    record = json.loads(out[0].read_text("utf-8"))

    assert result.exit_code == 0
    assert f"| {bench.OURS} |" in result.stdout
    assert {each["configuration"] for each in record["rows"]} == {"spark2 to spark3"}
    assert record["sets"][0]["cache_bytes"] > 0
    assert record["agent"]["differ"] == 0
    assert record["agent"]["sequences"] == 90
    assert bench.OURS in out[1].read_text("utf-8")


def test_a_folder_without_data_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["bench", "adfa-u", "--data", str(tmp_path)])

    assert result.exit_code == 4
    assert "Traceback" not in result.output
