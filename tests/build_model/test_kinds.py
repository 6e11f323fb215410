"""What explains verdicts is fitted: kinds that differ are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the [build] extra")

import torch
from logagent.bundle import Bundle
from logagent.embedding import Embedding
from logagent.kinds import Kinds
from logagent_build.export import Exported, write
from logagent_build.features import featurise
from logagent_build.kinds import Linear, fit_categories, fit_systems
from logagent_build.network import Detector
from logagent_build.tokenizer import train_tokenizer, vocabulary
from logagent_build.train import Config, Language, Model

CLASSES, DIM = 4, 6
CENTRES = 5 * np.eye(CLASSES, DIM, dtype=np.float32)


def clusters(*counts: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points around the first of `CENTRES` and whose each is."""
    of_point = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).normal(scale=0.5, size=(len(of_point), DIM))
    return (CENTRES[of_point] + noise).astype(np.float32), of_point


def test_separable_categories_are_told_apart() -> None:
    """On points that were not fitted, and though one category has few of them."""
    embeddings, category = clusters(90, 60, 40, 8)
    fitted = fit_categories(embeddings, category.astype(np.int8), CLASSES)
    others, expected = clusters(20, 20, 20, 20, seed=1)

    assert (DIM, CLASSES) == fitted.weight.shape
    assert (CLASSES,) == fitted.bias.shape
    assert np.float32 == fitted.weight.dtype == fitted.bias.dtype
    assert expected.tolist() == fitted.classes(others).tolist()


def test_lines_whose_category_is_not_known_are_not_fitted() -> None:
    """Wherever they lie."""
    embeddings, category = clusters(30, 30, 30, 30)
    unknown = np.full((200, DIM), 100, np.float32)
    both = np.concatenate((embeddings, unknown))
    known = fit_categories(embeddings, category.astype(np.int8), CLASSES)
    fitted = fit_categories(both, np.append(category, np.full(200, -1)).astype(np.int8), CLASSES)

    assert known.weight.tolist() == fitted.weight.tolist()
    assert known.bias.tolist() == fitted.bias.tolist()


@pytest.mark.parametrize("lost", range(CLASSES))
def test_a_category_without_lines_is_refused(lost: int) -> None:
    """Its name would have no column, or another's."""
    embeddings, category = clusters(30, 30, 30, 30)
    category = np.where(category == lost, -1, category).astype(np.int8)
    with pytest.raises(ValueError, match="3 of 4 categories occur"):
        fit_categories(embeddings, category, CLASSES)


def test_separable_systems_are_told_apart() -> None:
    """On points that were not fitted."""
    fitted = fit_systems(*clusters(50, 50, 50, 50))
    others, expected = clusters(20, 20, 20, 20, seed=1)

    assert (DIM, CLASSES) == fitted.weight.shape
    assert expected.tolist() == fitted.classes(others).tolist()


def test_a_system_with_many_lines_is_no_likelier() -> None:
    """Half way between a large and a small one, the large one has no advantage."""
    embeddings, system = clusters(500, 500, 20)
    few = fit_systems(embeddings, system)
    between = CENTRES[[0, 2]].mean(axis=0)
    logits = between @ few.weight + few.bias

    assert abs(logits[0] - logits[2]) < 0.2 * abs(logits[0] - logits[1])


def _tiny() -> tuple[Model, Language, list[bytes]]:
    """Return a model of random weights and lines of four kinds that share no word."""
    words = ["disk broken sector", "session opened user", "carrier lost eth", "thermal throttled"]
    texts = [
        " ".join(pair).encode()
        for line in words
        for pair in zip(line.split(), line.split()[1:], strict=False)
    ]
    texts += [line.encode() for line in words]
    tokenizer = train_tokenizer(texts, words)
    language = Language(tokenizer, vocabulary(tokenizer), np.zeros((0, 0), np.float32))
    config = Config(token_dim=12, bigram_rows=50, hidden=(5, 4), discriminator=3, groups=2)
    torch.manual_seed(0)
    shape = language.embedding(config)
    model = Model(
        config,
        torch.randn(shape.vocabulary, shape.token_dim),
        torch.randn(shape.bigram_rows, shape.bigram_dim),
        Detector(shape.dim, config.hidden, config.discriminator, config.groups, 0.0).eval(),
    )
    return model, language, texts


def test_the_agent_names_what_was_fitted(tmp_path: Path) -> None:
    """Through the bundle: quantised weights, names of the manifest, the agent's own embedding."""
    model, language, texts = _tiny()
    features = featurise(language.tokenizer, texts, language.embedding(model.config))
    embeddings = model.embed(features).numpy()
    kind = np.array([0, 0, 1, 1, 2, 2, 3, 0, 1, 2, 3])
    fitted = fit_categories(embeddings, kind.astype(np.int8), CLASSES)
    explaining = {"categories": fitted, "systems": Linear(-fitted.weight, -fitted.bias)}
    exported = Exported(model, language, (1.0, 0.0), explaining)
    names = ["storage", "auth/attack", "network", "hardware"]
    systems = ["nas", "bastion", "router", "board"]
    manifest = exported.manifest(
        "tiny", {"normal": 0.5}, ["a", "b"], {}, categories=names, systems=systems
    )
    path = tmp_path / "tiny.bundle"
    write(path, manifest, exported)
    bundle = Bundle.load(path)
    agents = Embedding.from_bundle(bundle).embed(texts)
    found = [Kinds(bundle).of(embedding) for embedding in agents]

    assert [names[index] for index in kind] == [each.category for each in found]
    assert [names[index] for index in fitted.classes(embeddings)] == [e.category for e in found]
    opposite = Linear(-fitted.weight, -fitted.bias).classes(embeddings)
    assert [systems[index] for index in opposite] == [each.systems[0] for each in found]


def test_a_system_of_one_line_is_one_like_others() -> None:
    """Logs of users have such, and nothing is warned of."""
    random = np.random.default_rng(0)
    embeddings = np.concatenate(
        [random.normal(at, 0.1, (n, 4)) for at, n in ((0, 9), (3, 9), (9, 1))]
    )
    system = np.repeat([0, 1, 2], [9, 9, 1])

    assert (
        system.tolist() == fit_systems(embeddings.astype("f4"), system).classes(embeddings).tolist()
    )
