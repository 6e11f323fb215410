"""What a command reads is never written over, and that is told before anything is paid."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the command line needs the [build] extra")
pytest.importorskip("sklearn", reason="needs the [build] extra")

from logagent_build import cli
from typer.testing import CliRunner

ASK = ("--annotator", "batch:requests.jsonl", "--model", "m")


@pytest.mark.parametrize(
    "words",
    [
        ("label", "app.log", "-o", "known.tsv", "--examples", "known.tsv", *ASK),
        ("detect", "known.tsv", "-o", "known.tsv", *ASK),
        ("explain", "alerts.jsonl", "-o", "alerts.jsonl", *ASK),
    ],
)
def test_a_command_refuses_to_write_over_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.log").write_text("disk failed\n")
    (tmp_path / "known.tsv").write_text("1\tdisk failed\n0\tdisk is fine\n")
    (tmp_path / "alerts.jsonl").write_text('{"text": "disk failed", "score": 1}\n')
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    done = CliRunner().invoke(cli.app, words)

    assert 7 == done.exit_code, done.output
    assert "would be written over" in done.output
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
