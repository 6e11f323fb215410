"""Strategies behind one interface: right where answers are, people first, within their calls."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="calibration needs the [build] extra")

from logagent.errors import ConfigError
from logagent_build.alpha.corrections import template_key
from logagent_build.annotate.choice import Choice
from logagent_build.calibrate.entries import Entries
from logagent_build.folder.annotators import asker
from logagent_build.folder.pooled import entries_of, pool_of, shares, with_vectors
from logagent_build.folder.strategies import STRATEGIES, Plan, default_calls, label_entries
from logagent_build.folder.table import kept_of

from ..alpha.fakes import encode, log

UNITS = ("disk", "fan", "net", "gpu")


def entries() -> tuple[Entries, np.ndarray]:
    """Two systems of 28 templates each, and which are anomalous."""
    lines, truth = log(3)
    texts = [f"{unit} {line.decode()}".encode() for unit in UNITS for line in lines]
    labels = np.tile(truth, len(UNITS))
    made = Entries.of({"a": texts, "b": [b"b " + text for text in texts]}, encode)
    known = {text.rstrip(b"0123456789"): bool(x) for text, x in zip(texts, labels, strict=True)}
    return made, np.array(
        [known[line.removeprefix(b"b ").rstrip(b"0123456789")] for line in made.lines]
    )


def file_of(path: Path, made: Entries, truth: np.ndarray) -> Path:
    rows = (f"{int(x)}\t{line.decode()}\n" for line, x in zip(made.lines, truth, strict=True))
    path.write_text("".join(rows))
    return path


def choice(who: str, tmp_path: Path) -> Choice:
    return Choice(who, "r", tmp_path / "store")


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [*(("labels", name) for name in sorted(STRATEGIES)), ("simulated", "combined")],
)
def test_with_right_answers_labels_are_right_and_calls_are_kept_to(
    tmp_path: Path, kind: str, strategy: str
) -> None:
    made, truth = entries()
    path = file_of(tmp_path / "t.tsv", made, truth)
    # Numbers of the lines in the file are others': templates are what is known.
    path.write_text(path.read_text().replace("1", "7").replace("7\t", "1\t"))
    calls = 2 * len(made)
    with asker(choice(f"{kind}:{path}", tmp_path), "logprompt") as who:
        found, reviewed = label_entries(made, who, Plan(strategy, calls))

    assert (kind == "simulated") == who.simulation
    assert 0 == reviewed
    assert 0 < found.calls <= calls
    assert 1 <= found.rounds
    assert (found.anomalous == truth).mean() > 0.95
    assert ((found.soft >= 0.5) == found.anomalous).mean() > 0.95
    assert ((found.wrong >= 0) & (found.wrong <= 0.5)).all()


@pytest.mark.parametrize("strategy", ["calibrate", "combined", "one-shot"])
def test_corrections_win(tmp_path: Path, strategy: str) -> None:
    made, truth = entries()
    path = file_of(tmp_path / "t.tsv", made, truth)
    people = {template_key(made.templates[at]): not truth[at] for at in (0, 4)}
    people["0" * 16] = True  # of another log
    with asker(choice(f"labels:{path}", tmp_path), "logprompt") as who:
        found, reviewed = label_entries(made, who, Plan(strategy, 300), people=people)

    assert 2 == reviewed
    for at in (0, 4):
        assert found.anomalous[at] != truth[at]
        assert (float(not truth[at]), 0.0) == (found.soft[at], found.wrong[at])


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_calls_and_silence_are_those_of_whoever_is_asked(tmp_path: Path, strategy: str) -> None:
    """What people said is not asked, and not counted; no answer is not an answer."""
    made, truth = entries()
    path = file_of(tmp_path / "t.tsv", made, truth)
    rows = path.read_text().splitlines()
    path.write_text("\n".join(row for row in rows if "disk" not in row) + "\n")
    people = {template_key(template): False for template in made.templates[::2]}
    asked: list[str] = []
    with asker(choice(f"labels:{path}", tmp_path), "logprompt") as who:

        def lines(texts, examples, /):
            asked.extend(texts)
            return who.lines(texts, examples)

        def queries(given):
            return lambda questions: lines([each.line for each in questions], [])

        listening = dataclasses.replace(who, lines=lines, queries=queries)
        least = len(made) - len(people) if strategy == "calibrate" else 100
        found, _ = label_entries(made, listening, Plan(strategy, least), people=people)

    assert 0 < found.calls == len(asked) <= least
    assert len({each for each in asked if "disk" in each}) == found.unanswered > 0


def test_a_simulation_errs_as_stated(tmp_path: Path) -> None:
    made, truth = entries()
    path = file_of(tmp_path / "t.tsv", made, truth)
    with asker(choice(f"simulated:{path},normal=1,anomalous=0", tmp_path), "logprompt") as who:
        found, _ = label_entries(made, who, Plan("one-shot", 300))

    assert found.anomalous.all()
    assert "simulated: 1 of normal" in who.name


def test_what_nobody_answers_is_in_doubt_and_not_trained_on(tmp_path: Path) -> None:
    made, truth = entries()
    path = file_of(tmp_path / "t.tsv", made, truth)
    rows = path.read_text().splitlines()
    path.write_text("\n".join(row for row in rows if "disk read" not in row) + "\n")
    with asker(choice(f"labels:{path}", tmp_path), "logprompt") as who:
        found, _ = label_entries(made, who, Plan("one-shot", 300))

    silent = [at for at, line in enumerate(made.lines) if b"disk read" in line]
    assert len(silent) == found.unanswered
    assert (found.wrong[silent] == 0.5).all()
    assert not found.anomalous[silent].any()


def test_strategies_and_annotators_that_are_not_there_are_told(tmp_path: Path) -> None:
    made, truth = entries()
    path = file_of(tmp_path / "t.tsv", made, truth)
    with asker(choice(f"labels:{path}", tmp_path), "logprompt") as who:
        with pytest.raises(ValueError, match="none of combined, alpha"):
            label_entries(made, who, Plan("guess", 10))
        for strategy in ("one-shot", "calibrate"):
            with pytest.raises(ValueError, match="--calls"):
                label_entries(made, who, Plan(strategy, 10))
    for wrong in ("simulated:%s,nromal=1", "simulated:%s,normal=x", "simulated:%s,seed=inf"):
        with (
            pytest.raises(ConfigError, match="simulated"),
            asker(choice(wrong % path, tmp_path), "logprompt"),
        ):
            pass


def test_calls_by_default_grow_with_the_templates_and_end() -> None:
    assert [200, 500, 1000] == [default_calls("combined", n) for n in (10, 5000, 50_000)]
    assert [10, 30] == [default_calls(name, 10) for name in ("one-shot", "calibrate")]


def test_small_systems_keep_all_their_templates() -> None:
    assert [5, 47, 48] == shares([5, 80, 90], 100)
    assert [5, 8, 9] == shares([5, 8, 9], 100)
    assert 100 == sum(shares([70, 70, 70], 100))


def test_entries_are_those_of_the_systems_that_have_any_within_the_bound() -> None:
    rows = [kept_of([b"t %d" % at, at + 1, [b"l %d" % at], [], [], 0]) for at in range(9)]
    bare = entries_of([("empty", []), ("a", rows[:2]), ("b", rows[2:])], most=6)
    made = with_vectors(bare, encode)
    pool = pool_of(made)

    assert ["a", "b"] == made.names
    assert [0, 0, 1, 1, 1, 1] == made.domain.tolist()
    assert [8, 9] == made.count.tolist()[-2:]
    assert made.templates == pool.templates
    assert made.lines == [pool.lines[at] for at in pool.first]
    assert (made.count == pool.count).all()
    assert 0 == bare.vectors.shape[1] < made.vectors.shape[1]
    assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1)
