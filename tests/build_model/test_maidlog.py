"""The protocol keeps what its paper and its docstrings say, on twelve lines and two domains."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

import torch
from logagent.errors import EXIT_INPUT_PROBLEM
from logagent_build import cli, maidlog, maidlog_detector
from logagent_build.corpora import Domain, read_corpora
from logagent_build.maidlog import markdown, run
from logagent_build.maidlog_detector import Cells, Settings, WordVectors, cells, fit, words
from logagent_build.network import Detector
from logagent_build.objectives import class_weight, focal_loss
from typer.testing import CliRunner

DATA = Path(__file__).parents[3] / "shared" / "data"
LABELS = Path(__file__).parents[2] / "labels" / "loghub_llm.tsv"
NEEDS_LOGHUB = pytest.mark.skipif(
    not (DATA / "loghub").is_dir(), reason="loghub is not stored with the project"
)
SMALL = Settings(
    dim=12,
    hidden=(16, 8),
    discriminator=8,
    epochs=25,
    paper_epochs=30,
    batch_lines=6,
    learning_rate=0.01,
)
GOOD = ["link is up", "session opened", "service started", "request served", "backup done"]
BAD = ["disk is broken", "kernel crashed", "read failed"]


def _encode(some: list[str]) -> np.ndarray:
    """Vectors by spelling, with one column that tells bad words."""
    rows = []
    for word in some:
        row = np.random.default_rng(sum(word.encode()) * len(word)).normal(size=16) * 0.3
        row[0] = 3.0 if word in {"broken", "crashed", "failed", "burnt"} else 0.0
        rows.append(row)
    return np.array(rows, np.float32)


@pytest.fixture
def domains(tmp_path: Path) -> list[Domain]:
    """Two systems, some lines twice."""
    for name in ("alpha", "beta"):
        rows = [f"0\t0\t{name} {text}" for text in GOOD * 2] + [f"1\t3\t{name} {t}" for t in BAD]
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    torch.set_num_threads(1)
    return read_corpora(tmp_path)


def test_words_are_letters_in_lower_case_and_camel_case_is_cut() -> None:
    """Numbers, masks and what is shorter than four letters are no words."""
    assert ["packet", "responder", "block"] == words(
        b"PacketResponder # for block blk_* RPC 12:3 J-U"
    )


def test_a_line_is_the_mean_of_its_words_in_any_order(domains: list[Domain]) -> None:
    """Of unit norm; a line without words is zero."""
    embed = WordVectors(domains, _encode, 12)
    line, turned, empty = embed([b"disk is burnt", b"burnt is disk", b"# ..."])

    assert np.allclose(line, turned, atol=1e-6)
    assert pytest.approx(1.0, abs=1e-5) == float(np.linalg.norm(line))
    assert not empty.any()


def test_what_a_target_says_does_not_change_the_embedding(domains: list[Domain]) -> None:
    """The axes are the sources'; other texts of a call do not matter."""
    fresh, used = WordVectors(domains, _encode, 12), WordVectors(domains, _encode, 12)
    used([b"quite other words of a target", b"disk burnt"])

    assert np.allclose(fresh([b"disk burnt"]), used([b"disk burnt"]), atol=1e-6)


def test_lines_that_are_one_cell_have_the_loss_they_have_one_by_one(
    tmp_path: Path,
) -> None:
    """Eq. 7 is linear in the label, so the mean label is enough."""
    (tmp_path / "x.tsv").write_text("0\t0\tfan stopped\n1\t3\tfan - stopped\n0\t0\tlink is up\n")
    (domain,) = read_corpora(tmp_path)
    data = cells([domain], WordVectors([domain], _encode, 12))
    logits = torch.tensor([0.3, -0.7])
    weight = torch.from_numpy(np.bincount(data.lines).astype(np.float32))
    together = (weight * focal_loss(logits, data.soft, 2.0, data.normal_weight)).sum()
    labels = torch.from_numpy(domain.soft)
    stopped = int(data.lines[np.bincount(data.lines)[data.lines] == 2][0])
    each = torch.stack([logits[stopped], logits[stopped], logits[1 - stopped]])
    apart = focal_loss(each, labels, 2.0, data.normal_weight[:1].expand(3)).sum()

    assert 3 == len(domain.templates)
    assert 2 == len(data.soft)
    torch.testing.assert_close(apart, together)


def test_equation_12_counts_lines(domains: list[Domain]) -> None:
    """Five normal templates of two lines each, three anomalous lines: α₀ = 13 / 20."""
    data = cells(domains, WordVectors(domains, _encode, 12))
    (domain, _) = domains

    assert pytest.approx(13 / 20) == float(data.normal_weight[0])
    assert class_weight(domain.soft) != pytest.approx(13 / 20)


def test_an_epoch_reads_every_line_once(domains: list[Domain]) -> None:
    """Cells by their number of lines."""
    data = cells(domains, WordVectors(domains, _encode, 12))
    seen = np.zeros(len(data.soft))
    for chosen, share in data.batches(np.random.default_rng(0), 26):
        seen[chosen.numpy()] += share.numpy() * 26

    assert np.allclose(np.bincount(data.lines), seen, atol=1e-5)


def test_the_detector_ranks_lines_of_a_system_never_seen(domains: list[Domain]) -> None:
    """By a word it has never seen either, whose vector is like the bad ones'."""
    embed = WordVectors(domains, _encode, 12)
    score = fit(SMALL, cells(domains, embed), seed=0)
    good = score(embed([b"gamma link is up", b"gamma service started"]))
    bad = score(embed([b"gamma fuse burnt", b"gamma disk burnt"]))

    assert bad.min() > good.max()
    assert good.min() >= 0
    assert bad.max() <= 1


def test_a_seed_repeats_a_run(domains: list[Domain]) -> None:
    """Bit for bit."""
    embed = WordVectors(domains, _encode, 12)
    data = cells(domains, embed)
    some = embed([b"gamma fuse burnt", b"link is up"])

    assert np.array_equal(fit(SMALL, data, 3)(some), fit(SMALL, data, 3)(some))
    assert not np.array_equal(fit(SMALL, data, 3)(some), fit(SMALL, data, 4)(some))


def _gradients(settings: Settings, data: Cells) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the encoder and the discriminator, by the adversarial loss alone."""
    torch.manual_seed(0)
    detector = Detector(12, SMALL.hidden, SMALL.discriminator, 2, 0.0)
    everything = torch.arange(len(data.soft))
    share = torch.full((len(data.soft),), 1 / len(data.soft))
    strength = 0.5 if settings.adversary else 0.0
    both, alone = (
        maidlog_detector._loss(
            Settings(beta=beta), data, detector, everything, share, strength, torch.zeros(2)
        )
        for beta in (1.0, 0.0)
    )
    layers = detector.layers()
    parameters = [layers["encoder.0"].weight, layers["discriminator.0"].weight]
    encoder, discriminator = torch.autograd.grad(both - alone, parameters)
    return encoder, discriminator


def test_without_adversary_the_discriminator_learns_and_the_encoder_does_not_hear(
    domains: list[Domain],
) -> None:
    """The paper's ablation sets λ to 0, for the discriminator still weighs the heads."""
    data = cells(domains, WordVectors(domains, _encode, 12))
    encoder, discriminator = _gradients(SMALL, data)
    deaf, learning = _gradients(Settings(adversary=False), data)

    assert encoder.abs().max() > 1e-5
    assert deaf.abs().max() < 1e-7
    torch.testing.assert_close(discriminator, learning)
    assert learning.abs().max() > 1e-5


def test_every_variant_of_the_detector_trains(domains: list[Domain]) -> None:
    """And gives other scores than the whole."""
    embed = WordVectors(domains, _encode, 12)
    data = cells(domains, embed)
    some = embed([b"gamma fuse burnt", b"link is up", b"disk"])
    whole = fit(SMALL, data, 0)(some)
    for name in ("adversary", "ensemble", "supervised"):
        changed = fit(replace(SMALL, **{name: False}), data, 0)(some)
        assert np.isfinite(changed).all()
        assert not np.allclose(whole, changed)


def _tree(root: Path) -> tuple[Path, Path]:
    """Two loghub systems, one that must not be used, and the two targets."""
    rows = ["domain\tline_number\tevent_id\tlabel_explicit\tlabel_operator"]
    rows[0] += "\tcategory_explicit\tcategory_operator"
    for name in ("Apache", "HDFS", "Hadoop"):
        folder = root / "loghub" / name
        folder.mkdir(parents=True)
        texts = [f"{name} {text}" for text in GOOD + BAD]
        (folder / f"{name}_2k.log").write_text("\n".join(texts) + "\n")
        events = "\n".join(f"E{number}" for number in range(len(texts)))
        (folder / f"{name}_2k.log_structured.csv").write_text(f"EventId\n{events}\n")
        for number in range(len(texts)):
            label = int(number >= len(GOOD))
            rows.append(f"{name}\t{number + 1}\tE{number}\t{label}\t{label}\troutine\troutine")
    for name, tag in (("BGL", "KERNDTLB"), ("Thunderbird", "-")):
        folder = root / "loghub" / name
        folder.mkdir()
        (folder / f"{name}_2k.log").write_text(f"- fan is up\n{tag} fuse burnt\n- link is up\n")
    labels = root / "labels.tsv"
    labels.write_text("\n".join(rows) + "\n")
    return root, labels


def test_the_table_has_a_row_per_method_and_survives_json(tmp_path: Path) -> None:
    """From files to Markdown, with sources left out, and without Hadoop."""
    data, labels = _tree(tmp_path)
    told: dict[str, float] = {}
    table = run(data, labels, seeds=2, settings=SMALL, encode=_encode, progress=told.__setitem__)
    text = markdown(table)

    assert {"Apache": 8, "HDFS": 8} == table.sources
    assert {"BGL_2k": (3, 1), "Thunderbird_2k": (3, 0)} == table.targets
    assert [row.name for row in table.rows] == list(told)
    assert set(told.values()) == {1.0}
    assert "Thunderbird_2k: 3 lines, 0 of them alerts: no AUROC." in text
    for row in table.rows:
        assert f"| {row.name} |" in text
    assert json.loads(json.dumps(table.as_dict()))["sources"] == table.sources
    chosen, longest = table.rows[:2]
    assert 2 == len(chosen.auroc)
    assert chosen.held_out is not None
    assert {"Apache", "HDFS"} == set(chosen.held_out)
    assert "MaidLog, 30 epochs as in the paper" == longest.name
    assert longest.held_out is None


def test_the_command_prints_the_table_and_writes_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars are on standard error, so that the table can be sent to a file."""
    data, labels = _tree(tmp_path)
    brief = functools.partial(run, settings=SMALL, encode=_encode)
    monkeypatch.setattr(maidlog, "run", brief)
    options = ["--data", str(data), "--labels", str(labels), "--seeds", "1"]
    done = CliRunner().invoke(
        cli.app, ["maidlog", *options, "--json", str(tmp_path / "figures.json")]
    )
    figures = json.loads((tmp_path / "figures.json").read_text())

    assert 0 == done.exit_code, done.output
    assert done.stdout.startswith("| method | AUROC, BGL_2k |")
    assert {"Apache": 8, "HDFS": 8} == figures["sources"]
    assert "keywords" in done.stdout


def test_the_command_says_what_is_missing_in_one_line(tmp_path: Path) -> None:
    """Which option is meant, and no trace."""
    labels = _tree(tmp_path / "there")[1]
    done = CliRunner().invoke(
        cli.app, ["maidlog", "--data", str(tmp_path), "--labels", str(labels)]
    )

    assert EXIT_INPUT_PROBLEM == done.exit_code
    assert "--data" in done.stderr
    assert "Traceback" not in done.output


def test_a_folder_without_loghub_says_which_option_is_meant(tmp_path: Path) -> None:
    """Instead of an empty table."""
    labels = _tree(tmp_path / "there")[1]
    with pytest.raises(FileNotFoundError, match="--data"):
        maidlog.read_sources(tmp_path / "nowhere", labels)


def test_a_run_without_seeds_is_refused(tmp_path: Path) -> None:
    """Instead of a mean of nothing."""
    data, labels = _tree(tmp_path)
    with pytest.raises(ValueError, match="at least one"):
        run(data, labels, seeds=0, encode=_encode)


@NEEDS_LOGHUB
def test_the_sources_are_twelve_systems_of_two_thousand_lines() -> None:
    """None of them a target, nor a relative of the paper's."""
    sources = maidlog.read_sources(DATA / "loghub", LABELS)

    assert 12 == len(sources)
    assert {2000} == {int(each.count.sum()) for each in sources}
    assert not maidlog.NOT_SOURCES & {each.name for each in sources}
