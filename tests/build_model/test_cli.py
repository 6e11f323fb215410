"""`logagent-build` end to end on tiny data, without a sentence encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

from logagent.bundle import Bundle
from logagent_build import cli, pipeline
from logagent_build.cli import base
from typer.testing import CliRunner

GOOD = ["link is up", "session opened", "service started", "job # done", "cache warm"]
BAD = ["link is down", "kernel panic now", "read failed badly", "disk is full", "out of memory"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four corpora, a lexicon, and a stand-in for the encoder; the options that point there."""
    corpora, lexicon = tmp_path / "corpora", tmp_path / "lexicon"
    corpora.mkdir()
    lexicon.mkdir()
    for name in ("one", "two", "three", "four"):
        rows = [f"0\t0\t{name}: {text}" for text in GOOD] + [f"1\t3\t{name}: {t}" for t in BAD]
        (corpora / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    (corpora / "minimal_pairs.tsv").write_text("0\t0\tfan ok\n1\t2\tfan dead\n")
    (lexicon / "phrases.tsv").write_text("is down\t2\nstarted\t-1\n")
    target = tmp_path / "data" / "loghub" / "BGL"
    target.mkdir(parents=True)
    (target / "BGL_2k.log").write_text("- link is up\nX link is down\n")
    monkeypatch.setattr(
        pipeline,
        "word_vectors",
        lambda words, cache: np.random.default_rng(0).normal(size=(len(words), 4)).astype("f4"),
    )
    monkeypatch.setattr(pipeline, "Config", lambda **given: _small(pipeline_config(**given)))
    return [f"--corpora={corpora}", f"--lexicon={lexicon}", f"--data={tmp_path / 'data'}"]


pipeline_config = pipeline.Config


def _small(config: pipeline.Config) -> pipeline.Config:
    return pipeline.dataclasses.replace(
        config,
        token_dim=7,
        bigram_rows=500,
        hidden=(8, 6),
        discriminator=4,
        groups=2,
        batch_lines=16,
    )


def test_training_writes_a_bundle_that_evaluates(tmp_path: Path, folders: list[str]) -> None:
    """And the record says what was done; the same seed gives the same bytes."""
    paths = [tmp_path / "a.bundle", tmp_path / "b" / "a.bundle"]
    for path in paths:
        done = CliRunner().invoke(
            cli.app, ["train", "-o", str(path), "--quick", "--jobs", "1", *folders]
        )
        assert 0 == done.exit_code, done.output
    record = Bundle.load(paths[0]).manifest.record

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert ["four", "one", "three", "two"] == record["data"]["domains"]
    assert "3-fold" in record["held_out"]["rule"]
    assert record["parity"]["int8 onnx = numpy"] < 1e-5
    assert 2 == record["targets_looked_at_only"]["BGL_2k"]["lines"]
    done = CliRunner().invoke(
        cli.app, ["evaluate", "--bundle", str(paths[0]), "--json", folders[2]]
    )
    assert 0 == done.exit_code, done.output
    assert 2 == json.loads(done.stdout)["targets"]["BGL_2k"]["lines"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(base, "EXTRA", ("torch", "no_such_package"))
    done = CliRunner().invoke(cli.app, ["evaluate", "--bundle", "x.bundle"])

    assert 2 == done.exit_code
    assert "no_such_package" in done.stderr
    assert "logagent[build]" in done.stderr


def test_broken_data_are_one_line_and_an_exit_code(tmp_path: Path, folders: list[str]) -> None:
    """File and line number, no traceback; nothing is written."""
    (tmp_path / "corpora" / "one.tsv").write_text("0\tno severity\n")
    bundle = tmp_path / "x.bundle"
    done = CliRunner().invoke(cli.app, ["train", "-o", str(bundle), "--quick", *folders])

    assert 4 == done.exit_code
    assert "one.tsv:1: expected label, severity and line" in done.stderr
    assert "Traceback" not in done.stderr
    assert not bundle.exists()
    done = CliRunner().invoke(cli.app, ["evaluate", "--target", "no_such_target"])
    assert 4 == done.exit_code
    assert "neither a file nor one of" in done.stderr
