"""A tiny run from labelled lines to a bundle the agent scores with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

import torch
from logagent.bundle import Bundle
from logagent.embedding import Embedding
from logagent.model import NumpyBackend, OnnxBackend
from logagent_build.corpora import Domain, Phrase
from logagent_build.export import Exported, onnx_graph, parity, write
from logagent_build.features import featurise, join
from logagent_build.lexical import Lexical, graft
from logagent_build.network import Detector
from logagent_build.quantise import quantise_columns
from logagent_build.tokenizer import train_tokenizer, vocabulary
from logagent_build.train import Config, Language, Model, fit

NORMAL = [b"link is up", b"session opened for user", b"INFO started service", b"0 errors found"]
BROKEN = [b"link is down", b"kernel panic", b"ERROR read failed", b"# errors found"]
CONFIG = Config(rows=600, dim=7, hidden=(12, 6), discriminator=4, groups=2, epochs=4, batch_lines=8)


def _domains() -> list[Domain]:
    domains = []
    for name in ("one", "two", "three"):
        texts = [name.encode() + b": " + text for text in NORMAL + BROKEN]
        soft = np.array([0] * 4 + [1] * 4, np.float32)
        domains.append(Domain(name, "corpora", texts, soft, np.ones(8, np.int64), soft[None]))
    return domains


@pytest.fixture(scope="module")
def language() -> Language:
    """A tokenizer of a few words, with made-up vectors."""
    texts = [text for domain in _domains() for text in domain.templates]
    tokenizer = train_tokenizer(texts, ["link is down"])
    words = vocabulary(tokenizer)
    vectors = np.random.default_rng(0).normal(size=(len(words), 5)).astype(np.float32)
    return Language(tokenizer, words, vectors)


def _fit(language: Language) -> Model:
    torch.set_num_threads(1)
    phrases = [Phrase("link is down", 2.0), Phrase("started", -1.0)]
    return fit(CONFIG, language, _domains(), [0, 1, 0], phrases=phrases)


@pytest.fixture(scope="module")
def model(language: Language) -> Model:
    """A model of a few steps."""
    return _fit(language)


def test_all_forms_of_a_detector_agree(language: Language, model: Model) -> None:
    """Torch, float ONNX, int8 ONNX and the numpy backend."""
    exported = Exported(model, language, (1.3, -0.2))
    differences = parity(model, language, exported, NORMAL + BROKEN + [b"", b"\xff\x00"])

    assert differences["torch = float onnx"] < 1e-5
    assert differences["int8 onnx = numpy"] < 1e-5
    assert differences["torch = int8"] < 0.05


def test_a_seed_gives_the_same_bundle_bytes(tmp_path: Path, language: Language) -> None:
    """Twice the same run, twice the same file."""
    written = []
    for name in ("first", "second"):
        exported = Exported(_fit(language), language, (1.0, 0.0))
        path = tmp_path / f"{name}.bundle"
        write(path, exported.manifest("tiny", {"normal": 0.5}, ["a", "b"], {}), exported)
        written.append(path.read_bytes())

    assert written[0] == written[1]


def test_the_agent_embeds_as_training_did(tmp_path: Path, language: Language, model: Model) -> None:
    """The float table and the int8 one give nearly the same vectors through either code."""
    exported = Exported(model, language, (1.0, 0.0))
    path = tmp_path / "tiny.bundle"
    write(path, exported.manifest("tiny", {"normal": 0.5}, ["a", "b"], {}), exported)
    features = featurise(language.tokenizer, BROKEN, language.embedding(CONFIG))
    trained = model.embed(features).numpy()
    embedded = Embedding.from_bundle(Bundle.load(path)).embed(BROKEN)

    assert trained.shape == embedded.shape
    assert np.abs(trained - embedded).max() < 0.1 * np.abs(trained).max()


def test_a_line_scores_the_same_in_any_batch(
    tmp_path: Path, language: Language, model: Model
) -> None:
    """Activations are not quantised, so nothing of one line reaches another's score."""
    exported = Exported(model, language, (1.0, 0.0))
    path = tmp_path / "tiny.bundle"
    write(path, exported.manifest("tiny", {"normal": 0.5}, ["a", "b"], {}), exported)
    bundle = Bundle.load(path)
    vectors = Embedding.from_bundle(bundle).embed(NORMAL + BROKEN)
    for backend in (OnnxBackend(bundle), NumpyBackend(bundle)):
        bulk = backend.run(vectors)[0]
        single = np.concatenate([backend.run(vectors[i : i + 1])[0] for i in range(8)])
        assert np.abs(bulk - single).max() < 1e-5


def test_grafting_adds_the_linear_logit_to_every_head() -> None:
    """And leaves the discriminator as it was."""
    torch.manual_seed(0)
    detector = Detector(5, (7, 6), 4, 3, 0.0).eval()
    table = torch.randn(20, 5)
    lexical = Lexical(np.random.default_rng(0).normal(size=20).astype(np.float32), 0.3)
    wide, wider = graft(table, detector, lexical, 0.5)
    votes, domain = detector(table)
    wide_votes, wide_domain = wider(wide)
    linear = 0.5 * (torch.from_numpy(lexical.column) + 0.3)

    torch.testing.assert_close(votes + linear[:, None], wide_votes)
    torch.testing.assert_close(domain, wide_domain)


def test_quantised_columns_are_within_half_a_step_where_nothing_is_clipped() -> None:
    """And an outlier may be clipped for the sake of the rest."""
    weight = np.random.default_rng(0).uniform(-1, 1, (100, 3)).astype(np.float32)
    weight[:, 2] = 0
    quantised, scale = quantise_columns(weight)

    assert np.int8 == quantised.dtype
    assert np.abs(quantised * scale - weight).max() <= scale.max() / 2 + 1e-7
    assert not quantised[:, 2].any()


def test_features_can_be_taken_joined_and_dropped(language: Language) -> None:
    """Ragged bookkeeping."""
    features = featurise(language.tokenizer, NORMAL, language.embedding(CONFIG))
    both = join((features, features))
    picked = both.take(np.array([6, 1]))
    random = np.random.default_rng(0)
    nothing = np.zeros(CONFIG.rows, bool)

    assert 8 == len(both)
    assert np.array_equal(features.take(np.array([2, 1])).rows, picked.rows)
    whole = features.dropped(random, 0.0, 0.0, 0.0, nothing)
    assert np.array_equal(features.rows, whole.rows)
    assert np.array_equal(features.starts, whole.starts)
    assert 0 < len(features.dropped(random, 0.4, 0.5, 0.0, nothing).rows) < len(features.rows)


def test_dropping_level_words_drops_their_bigrams_too(language: Language) -> None:
    """Of `INFO started service` only what has no INFO in it stays."""
    features = featurise(language.tokenizer, [b"INFO started service"], language.embedding(CONFIG))
    level = np.zeros(CONFIG.rows, bool)
    level[language.words.index("info")] = True
    left = features.dropped(np.random.default_rng(0), 0.0, 0.0, 1.0, level)

    assert features.rows[2:].tolist() == left.rows.tolist()


def test_the_onnx_graph_is_deterministic(language: Language, model: Model) -> None:
    """The same arrays give the same bytes."""
    arrays = Exported(model, language, (1.0, 0.0)).arrays

    assert onnx_graph(arrays) == onnx_graph(arrays)
