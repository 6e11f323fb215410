"""What explains a verdict: named where it stands out, silent where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from logagent.bundle import Bundle, Manifest, write_bundle
from logagent.errors import BundleError
from logagent.kinds import SYSTEMS, Kind, Kinds
from logagent.model import encode_arrays

CATEGORIES = ["storage", "memory", "network"]
MACHINES = [f"system_{number}" for number in range(40)]
DIM = 6
Arrays = dict[str, np.ndarray]


def layer(name: str, weight: np.ndarray, bias: np.ndarray | None = None) -> Arrays:
    """Return the arrays of a layer that computes ``x · weight + bias``, weights being integers."""
    return {
        f"{name}.weight": weight.astype(np.int8),
        f"{name}.scale": np.ones(weight.shape[1], np.float32),
        f"{name}.bias": np.zeros(weight.shape[1], np.float32) if bias is None else bias,
    }


def random_layer(name: str, classes: int) -> Arrays:
    random = np.random.default_rng(classes)
    bias = random.normal(size=classes).astype(np.float32)
    return layer(name, random.integers(-4, 5, (DIM, classes)), bias)


BOTH = random_layer("categories", len(CATEGORIES)) | random_layer("systems", len(MACHINES))


def bundle(
    folder: Path,
    arrays: Arrays,
    categories: Sequence[str] = CATEGORIES,
    systems: Sequence[str] = MACHINES,
) -> Bundle:
    """Write a bundle whose weights are `arrays`, and load it."""
    manifest = Manifest(
        name="tiny",
        normaliser=1,
        embedding={
            "vocabulary": 3,
            "token_dim": 4,
            "bigram_rows": 5,
            "bigram_dim": 3,
            "max_tokens": 96,
            "max_chars": 1024,
        },
        thresholds={"normal": 0.5},
        domains=["a"],
        categories=list(categories),
        systems=list(systems),
    )
    parts = {"tokenizer": b"{}", "table": bytes(27), "onnx": b"", "weights": encode_arrays(arrays)}
    path = folder / "tiny.bundle"
    write_bundle(path, manifest, parts)
    return Bundle.load(path)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    """Both models, of random weights."""
    return Kinds(bundle(tmp_path_factory.mktemp("kinds"), BOTH))


def shares(name: str, embedding: np.ndarray) -> np.ndarray:
    """Return the definition of the probabilities, written out in float64."""
    raised = np.exp(embedding.astype(float) @ BOTH[f"{name}.weight"] + BOTH[f"{name}.bias"])
    share: np.ndarray = raised / raised.sum()
    return share


embeddings = arrays_of.arrays(np.float32, DIM, elements=st.floats(-4, 4, width=16))


@given(embeddings)
def test_the_category_is_the_one_of_the_largest_probability(
    kinds: Kinds, embedding: np.ndarray
) -> None:
    share = shares("categories", embedding)
    named = kinds.of(embedding).category

    if named:
        assert share[CATEGORIES.index(named)] == pytest.approx(share.max(), rel=1e-4)
        assert share.max() > 0.349
    else:
        assert share.max() < 0.351


@given(embeddings)
def test_the_systems_are_those_of_the_largest_probabilities_the_nearest_first(
    kinds: Kinds, embedding: np.ndarray
) -> None:
    share = shares("systems", embedding)
    named = kinds.of(embedding).systems
    largest = np.sort(share)[::-1]

    assert len(set(named)) == len(named) <= SYSTEMS
    assert pytest.approx(largest[: len(named)], rel=1e-4) == [
        share[MACHINES.index(name)] for name in named
    ]
    assert ((largest[: len(named)]) > 0.0499).all()
    assert (largest[len(named) : SYSTEMS] < 0.0501).all()


def test_a_bundle_without_the_models_explains_nothing(tmp_path: Path) -> None:
    silent = Kinds(bundle(tmp_path, {}, [], []))

    assert Kind("", ()) == silent.of(np.ones(DIM, np.float32))


def test_arrays_that_no_name_belongs_to_are_not_used(tmp_path: Path) -> None:
    """The manifest says what the agent may name."""
    assert Kind() == Kinds(bundle(tmp_path, BOTH, [], [])).of(np.ones(DIM, np.float32))


@pytest.mark.parametrize(("categories", "systems"), [(CATEGORIES, []), ([], MACHINES)])
def test_one_model_may_come_without_the_other(
    tmp_path: Path, categories: list[str], systems: list[str]
) -> None:
    embedding = np.full(DIM, 3, np.float32)
    kind = Kinds(bundle(tmp_path, BOTH, categories, systems)).of(embedding)

    assert bool(categories) == bool(kind.category)
    assert bool(systems) == bool(kind.systems)


def test_where_nothing_stands_out_nothing_is_named(tmp_path: Path) -> None:
    """All categories and all systems are as likely: a third and a fortieth."""
    flat = {name: np.zeros_like(array) for name, array in BOTH.items()}

    assert Kind() == Kinds(bundle(tmp_path, flat)).of(np.ones(DIM, np.float32))


def test_a_system_is_named_alone_if_no_other_comes_near(tmp_path: Path) -> None:
    weight = np.zeros((DIM, len(MACHINES)))
    weight[0, 7] = 100
    arrays = BOTH | layer("systems", weight)
    embedding = np.eye(DIM, dtype=np.float32)[0]

    assert ("system_7",) == Kinds(bundle(tmp_path, arrays)).of(embedding).systems


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e3, 1e6, 1e30])
def test_an_embedding_of_any_size_has_a_kind(kinds: Kinds, size: float) -> None:
    """No overflow, no warning: the exponent is of non-positive numbers only."""
    kind = kinds.of(np.full(DIM, size, np.float32))

    assert kind.category in {"", *CATEGORIES}
    assert set(kind.systems) <= set(MACHINES)


@pytest.mark.parametrize("part", ["categories", "systems"])
@pytest.mark.parametrize("lost", ["weight", "scale", "bias"])
def test_a_missing_array_is_refused(tmp_path: Path, part: str, lost: str) -> None:
    arrays = {name: array for name, array in BOTH.items() if name != f"{part}.{lost}"}
    with pytest.raises(BundleError, match=part):
        Kinds(bundle(tmp_path, arrays))


@pytest.mark.parametrize("part", ["categories", "systems"])
def test_another_number_of_names_than_outputs_is_refused(tmp_path: Path, part: str) -> None:
    names = {"categories": CATEGORIES, "systems": MACHINES}
    names[part] = names[part][:-1]
    with pytest.raises(BundleError, match=part):
        Kinds(bundle(tmp_path, BOTH, **names))


@pytest.mark.parametrize("part", ["categories", "systems"])
@pytest.mark.parametrize(
    "change",
    [
        {"weight": np.zeros((DIM, 3), np.float32)},
        {"weight": np.zeros(3, np.int8)},
        {"scale": np.ones(2, np.float32)},
        {"bias": np.zeros((3, 1), np.float32)},
        {"weight": np.zeros((DIM + 1, 3), np.int8)},  # for an embedding of another width
        {"weight": np.zeros((DIM, 5), np.int8), "scale": np.ones(5, np.float32)},
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path: Path, part: str, change: Arrays) -> None:
    """At load, not at the first group that is reported."""
    both = layer("categories", np.zeros((DIM, 3))) | layer("systems", np.zeros((DIM, 3)))
    arrays = both | {f"{part}.{name}": array for name, array in change.items()}
    with pytest.raises(BundleError, match=part):
        Kinds(bundle(tmp_path, arrays, CATEGORIES, MACHINES[:3]))


def test_a_message_is_one_line_and_names_the_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Kinds(bundle(tmp_path, {}))

    assert "tiny.bundle" in str(caught.value)
    assert "\n" not in str(caught.value)
