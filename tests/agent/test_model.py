"""The detector: two backends that agree, scores that stand alone, weights that are checked."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from logagent.bundle import DEFAULT_BUNDLE, Bundle, write_bundle
from logagent.embedding import EmbeddingConfig
from logagent.errors import BackendError, BundleError
from logagent.model import (
    Backend,
    NumpyBackend,
    OnnxBackend,
    decode_arrays,
    encode_arrays,
    load_backend,
)
from logagent.normalise import templates
from logagent.scorer import Scorer

BUNDLE = Bundle.load(DEFAULT_BUNDLE)
TOLERANCE = 1e-5
LOG = b"Mar 14 07:23:26 router kernel: Out of memory: Killed process 14388 (adblock.sh)\n"
needs_onnxruntime = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed here"
)
BACKENDS = pytest.mark.parametrize(
    "name", [pytest.param("onnxruntime", marks=needs_onnxruntime), "numpy"]
)


def embeddings(count: int, seed: int = 0, scale: float = 0.5) -> np.ndarray:
    dim = EmbeddingConfig.from_dict(BUNDLE.manifest.embedding).dim
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((count, dim)) * scale).astype(np.float32)


@pytest.fixture(scope="module")
def backends() -> dict[str, Backend]:
    made: dict[str, Backend] = {"numpy": NumpyBackend(BUNDLE)}
    if importlib.util.find_spec("onnxruntime") is not None:
        made["onnxruntime"] = OnnxBackend(BUNDLE)
    return made


# --- scores


@needs_onnxruntime
def test_both_backends_give_the_same_scores(backends: dict[str, Backend]) -> None:
    for scale in (0.1, 0.5, 1.0):
        some = embeddings(500, scale=scale)
        scores, domains = backends["onnxruntime"].run(some)
        expected_scores, expected_domains = backends["numpy"].run(some)

        assert np.abs(expected_scores - scores).max() < TOLERANCE
        assert np.abs(expected_domains - domains).max() < TOLERANCE


@needs_onnxruntime
def test_both_backends_give_lines_the_same_scores() -> None:
    lines = [LOG.strip(), b"", b"all is well", b'"GET / HTTP/1.1" 503 7', b"\xff\xfe\0", b"x " * 99]
    masked = templates(lines).templates
    scores = Scorer(BUNDLE, "onnxruntime").scores(masked)

    assert np.abs(Scorer(BUNDLE, "numpy").scores(masked) - scores).max() < TOLERANCE


@needs_onnxruntime
def test_both_backends_give_near_certain_lines_the_same_scores(
    backends: dict[str, Backend],
) -> None:
    some = embeddings(2000, scale=2.0)
    scores = backends["onnxruntime"].run(some)[0]

    # onnxruntime's sigmoid is exact to 1e-7, not to a part of a small value: its logarithm shows.
    assert np.abs(backends["numpy"].run(some)[0] - scores).max() < 1e-4


@BACKENDS
@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_a_score_does_not_depend_on_batch_mates(
    name: str, batch: int, backends: dict[str, Backend]
) -> None:
    some = embeddings(128)
    whole, whole_domains = backends[name].run(some)
    cut = [backends[name].run(some[at : at + batch]) for at in range(0, len(some), batch)]

    assert np.abs(whole - np.concatenate([scores for scores, _ in cut])).max() < TOLERANCE
    assert np.abs(whole_domains - np.concatenate([each for _, each in cut])).max() < TOLERANCE


@BACKENDS
def test_extreme_batch_mates_change_nothing(name: str, backends: dict[str, Backend]) -> None:
    """A scale taken from the whole batch would show here."""
    some = embeddings(8)
    beside = np.concatenate((some, embeddings(8, seed=1, scale=100.0)))

    assert np.abs(backends[name].run(some)[0] - backends[name].run(beside)[0][:8]).max() < TOLERANCE


@BACKENDS
@given(scale=st.sampled_from([0.0, 1e-30, 1.0, 1e3, 1e6]), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_scores_are_in_the_unit_interval_and_domain_weights_sum_to_one(
    name: str, scale: float, seed: int, backends: dict[str, Backend]
) -> None:
    scores, domains = backends[name].run(embeddings(16, seed, scale))

    assert (16,) == scores.shape
    assert (16, len(BUNDLE.manifest.domains)) == domains.shape
    assert np.float32 == scores.dtype == domains.dtype
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (domains >= 0).all()
    assert np.abs(domains.sum(axis=1) - 1).max() < TOLERANCE


@BACKENDS
def test_a_score_is_equation_11_put_through_the_calibration(
    name: str, backends: dict[str, Backend]
) -> None:
    """The definition, written out in float64."""
    stored = decode_arrays(BUNDLE.part("weights"))

    def layer(name: str, inputs: np.ndarray) -> np.ndarray:
        weight = stored[f"{name}.weight"].astype(float) * stored[f"{name}.scale"]
        return inputs @ weight + stored[f"{name}.bias"]

    some = embeddings(32)
    hidden = some.astype(float)
    for index in (0, 1):
        hidden = np.maximum(layer(f"encoder.{index}", hidden), 0)
    logits = layer("discriminator.1", np.maximum(layer("discriminator.0", hidden), 0))
    domains = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probability = (domains / (1 + np.exp(-layer("heads", hidden)))).sum(axis=1)  # Eq. 11
    slope, offset = stored["calibration"].astype(float)
    logit = slope * np.log(probability / (1 - probability)) + offset

    scores, weights = backends[name].run(some)
    assert np.abs(1 / (1 + np.exp(-logit)) - scores).max() < TOLERANCE
    assert np.abs(domains - weights).max() < TOLERANCE


# --- choice


def scan_without_onnxruntime(log: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run `logagent scan` where importing onnxruntime fails, as on 32-bit ARM or musl."""
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'onnxruntime':\n"
        "            raise ImportError('blocked for this test')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from logagent.__main__ import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "scan", str(log), "--stats", "json", *options]
    return subprocess.run(command, capture_output=True, timeout=120)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "router.log"
    path.write_bytes(LOG)
    return path


@pytest.mark.parametrize("options", [[], ["--backend", "numpy"]])
def test_without_onnxruntime_numpy_does_the_work(log: Path, options: list[str]) -> None:
    done = scan_without_onnxruntime(log, *options)

    assert 0 == done.returncode
    assert [1] == [json.loads(line)["line"] for line in done.stdout.splitlines()]
    assert "numpy" == json.loads(done.stderr.splitlines()[-1])["backend"]


def test_asking_for_onnxruntime_where_there_is_none_is_one_clear_error(log: Path) -> None:
    done = scan_without_onnxruntime(log, "--backend", "onnxruntime")

    assert (5, b"") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert b"blocked for this test" in done.stderr
    assert b"--backend numpy" in done.stderr


@needs_onnxruntime
def test_auto_takes_onnxruntime_where_it_is() -> None:
    assert "onnxruntime" == load_backend(BUNDLE).name
    assert "numpy" == load_backend(BUNDLE, "numpy").name


def test_choosing_numpy_does_not_import_onnxruntime() -> None:
    """It would cost 20 MiB."""
    code = (
        "import sys; from logagent.bundle import *; from logagent.model import *\n"
        "load_backend(Bundle.load(DEFAULT_BUNDLE), 'numpy')\n"
        "sys.exit('onnxruntime' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code]).returncode


# --- weights


def changed(tmp_path: Path, **parts: bytes) -> Bundle:
    """Write the shipped bundle with other parts, and load it: its checksums are right."""
    path = tmp_path / "changed.bundle"
    whole = {name: bytes(BUNDLE.part(name)) for name in BUNDLE.sizes() if name != "manifest"}
    write_bundle(path, BUNDLE.manifest, whole | parts)
    return Bundle.load(path)


@needs_onnxruntime
def test_a_graph_that_onnxruntime_refuses_is_a_clear_error(tmp_path: Path) -> None:
    bundle = changed(tmp_path, onnx=b"no graph")
    with pytest.raises(BackendError, match=r"refuses .*changed\.bundle"):
        load_backend(bundle)
    assert "numpy" == load_backend(bundle, "numpy").name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heads.weight", None),
        ("heads.weight", np.zeros((2, 2), np.float32)),
        ("encoder.0.scale", np.zeros(3, np.float32)),
        ("encoder.0.weight", None),
        ("discriminator.0.bias", None),
        ("calibration", np.zeros(3, np.float32)),
    ],
)
def test_weights_that_are_no_detectors_are_refused(
    tmp_path: Path, name: str, value: np.ndarray | None
) -> None:
    stored = decode_arrays(BUNDLE.part("weights"))
    stored = {key: array for key, array in stored.items() if key != name}
    if value is not None:
        stored[name] = value
    with pytest.raises(BundleError, match="unusable weights"):
        NumpyBackend(changed(tmp_path, weights=encode_arrays(stored)))


@pytest.mark.parametrize("problem", ["layers", "embedding", "calibration", "domains"])
def test_weights_that_do_not_fit_together_are_refused(tmp_path: Path, problem: str) -> None:
    stored = dict(decode_arrays(BUNDLE.part("weights")))
    manifest = BUNDLE.manifest
    if problem == "layers":
        stored["heads.weight"] = stored["heads.weight"][:-1]
    elif problem == "embedding":
        stored["encoder.0.weight"] = stored["encoder.0.weight"][:-1]
    elif problem == "calibration":
        stored["calibration"] = np.float32(1).reshape(())
    else:
        manifest = replace(manifest, domains=manifest.domains[:-1])
    path = tmp_path / "unfit.bundle"
    whole = {name: bytes(BUNDLE.part(name)) for name in BUNDLE.sizes() if name != "manifest"}
    write_bundle(path, manifest, whole | {"weights": encode_arrays(stored)})
    with pytest.raises(BundleError):
        Scorer(Bundle.load(path), "numpy")


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xc1",
        msgpack.packb([1, 2]),
        msgpack.packb("text"),
        msgpack.packb({"a": 1}),
        msgpack.packb({"a": ["|O", [1], b"12345678"]}),
        msgpack.packb({"a": ["<f8", [1], b"12345678"]}),
        msgpack.packb({"a": [["<f4"], [1], b"1234"]}),
        msgpack.packb({"a": ["<f4", [2], b"1234"]}),
        msgpack.packb({"a": ["<f4", [1], b"123"]}),
        msgpack.packb({"a": ["|i1", [1 << 62, 1 << 62], b"1"]}),
        msgpack.packb({"a": ["|i1", ["x"], b"1"]}),
        msgpack.packb({"a": ["|i1", [1], "text"]}),
        msgpack.packb({"a": ["|i1", [1], b"1", b"more"]}),
        msgpack.packb({1: ["|i1", [1], b"1"]}),
        msgpack.packb({}) + b"trailing",
        b"\x81" * 100_000,
        b"\x91" * 100_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xde\x04\x01" + b"\xa1a\xc0" * 1025,
    ],
)
def test_hostile_weights_are_refused(hostile: bytes) -> None:
    with pytest.raises(BundleError, match="unusable weights"):
        decode_arrays(hostile)


@given(st.binary(max_size=200))
def test_any_bytes_are_arrays_or_refused(data: bytes) -> None:
    try:
        found = decode_arrays(data)
    except BundleError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.sampled_from([np.int8, np.float32, np.int32]).flatmap(
            lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(max_dims=3, max_side=4))
        ),
        max_size=4,
    )
)
def test_arrays_survive_the_bundle(stored: dict[str, np.ndarray]) -> None:
    found = decode_arrays(encode_arrays(stored))

    assert stored.keys() == found.keys()
    for name, array in stored.items():
        assert array.dtype == found[name].dtype
        assert np.array_equal(array, found[name], equal_nan=array.dtype.kind == "f")
        assert not found[name].flags.writeable


def test_an_empty_call_gives_empty_arrays() -> None:
    scores, domains = Scorer(BUNDLE, "numpy").run([])

    assert (0,) == scores.shape
    assert (0, len(BUNDLE.manifest.domains)) == domains.shape
