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
from logagent_build.quantise import quantise_columns, quantise_tables
from logagent_build.tokenizer import train_tokenizer, vocabulary
from logagent_build.train import Config, Language, Model, fit

NORMAL = [b"link is up", b"session opened for user", b"INFO started service", b"0 errors found"]
BROKEN = [b"link is down", b"kernel panic", b"ERROR read failed", b"# errors found"]
CONFIG = Config(
    token_dim=7,
    bigram_rows=500,
    hidden=(12, 6),
    discriminator=4,
    groups=2,
    epochs=4,
    batch_lines=8,
)


def _domains() -> list[Domain]:
    domains = []
    for name in ("one", "two", "three"):
        texts = [name.encode() + b": " + text for text in NORMAL + BROKEN]
        soft = np.array([0] * 4 + [1] * 4, np.float32)
        domains.append(
            Domain(
                name,
                "corpora",
                texts,
                soft,
                np.ones(8, np.int64),
                soft[None],
                np.full(8, -1, np.int8),
            )
        )
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
    texts = [*NORMAL, *BROKEN, b"", b"\xff\x00"]
    truth = np.array([False] * 4 + [True] * 4 + [False, False])
    differences = parity(model, language, exported, texts, truth)

    assert differences["torch = float onnx"] < 1e-5
    assert differences["int8 onnx = numpy"] < 1e-5
    assert differences["torch = int8"] < 0.05
    assert abs(differences["auroc, torch - int8"]) < 0.1
    assert 0.0 == differences["auroc, onnx - numpy"]


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
    lines, logits = torch.randn(20, 5), torch.randn(20)
    nothing = np.zeros(0, np.float32)
    wider = graft(detector, 5, Lexical(nothing, nothing, 0.3), 0.5)
    votes, domain = detector(lines)
    wide_votes, wide_domain = wider(torch.cat((lines, logits[:, None]), dim=1))

    torch.testing.assert_close(votes + 0.5 * (logits[:, None] + 0.3), wide_votes)
    torch.testing.assert_close(domain, wide_domain)


def test_the_tables_last_columns_carry_the_linear_model(language: Language, model: Model) -> None:
    """What the agent adds up from both tables is the linear model's logit without its bias."""
    texts = [text for domain in _domains() for text in domain.templates]
    features = featurise(language.tokenizer, texts, language.embedding(CONFIG))
    lexical = Lexical(model.tokens[:, -1].numpy(), model.bigrams[:, -1].numpy(), 0.0)
    shared = model.embed(features)[:, -1].numpy()

    assert lexical.logits(features) == pytest.approx(shared, abs=1e-5)
    assert np.abs(shared).max() > 0.1


def test_both_last_columns_are_quantised_with_one_step() -> None:
    """The agent adds them up as integers."""
    random = np.random.default_rng(0)
    tokens = random.uniform(-1, 1, (30, 4)).astype(np.float32)
    bigrams = random.uniform(-1, 1, (50, 2)).astype(np.float32)
    bigrams[7] = 0
    table, scale = quantise_tables(tokens, bigrams)
    first = np.frombuffer(table[:120], np.int8).reshape(30, 4)
    second = np.frombuffer(table[120:], np.int8).reshape(50, 2)

    assert (5,) == scale.shape
    assert np.abs(first * scale[[0, 1, 2, 4]] - tokens).max() < 0.02
    assert np.abs(second * scale[[3, 4]] - bigrams).max() < 0.02
    assert not second[7].any()


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
    nothing = np.zeros(len(language.words), bool)

    assert 8 == len(both)
    two = features.take(np.array([2, 1]))
    for left, right in ((two.tokens, picked.tokens), (two.bigrams, picked.bigrams)):
        assert np.array_equal(left.rows, right.rows)
        assert np.array_equal(left.starts, right.starts)
    whole = features.dropped(random, 0.0, 0.0, 0.0, nothing)
    assert np.array_equal(features.tokens.rows, whole.tokens.rows)
    assert np.array_equal(features.bigrams.starts, whole.bigrams.starts)
    fewer = features.dropped(random, 0.4, 0.5, 0.0, nothing)
    assert 0 < len(fewer.tokens.rows) < len(features.tokens.rows)
    assert 0 < len(fewer.bigrams.rows) < len(features.bigrams.rows)


def test_disturbing_leaves_what_was_there(language: Language) -> None:
    """Tokens are added behind each line, bigrams are not."""
    features = featurise(language.tokenizer, NORMAL, language.embedding(CONFIG))
    disturbed = features.disturbed(np.random.default_rng(0), 0.5, 3, len(language.words))
    extra = disturbed.tokens.counts - features.tokens.counts

    assert {0, 3} <= set(extra.tolist()) <= {0, 1, 2, 3}
    assert features.bigrams is disturbed.bigrams
    for line, length in enumerate(features.tokens.counts):
        old, new = features.tokens.starts[line], disturbed.tokens.starts[line]
        expected = features.tokens.rows[old : old + length]
        assert np.array_equal(expected, disturbed.tokens.rows[new : new + length])


def test_dropping_level_words_drops_their_bigrams_too(language: Language) -> None:
    """Of `INFO started service` only what has no INFO in it stays."""
    texts = [b"INFO started service", b"link is up"]
    features = featurise(language.tokenizer, texts, language.embedding(CONFIG))
    levels = np.zeros(len(language.words), bool)
    levels[language.words.index("info")] = True
    left = features.dropped(np.random.default_rng(0), 0.0, 0.0, 1.0, levels)

    assert features.tokens.rows[1:].tolist() == left.tokens.rows.tolist()
    assert features.bigrams.rows[1:].tolist() == left.bigrams.rows.tolist()


def test_the_onnx_graph_is_deterministic(language: Language, model: Model) -> None:
    """The same arrays give the same bytes."""
    arrays = Exported(model, language, (1.0, 0.0)).arrays

    assert onnx_graph(arrays) == onnx_graph(arrays)
