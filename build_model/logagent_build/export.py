"""A trained model to the parts of a bundle, and the proof that all its forms agree.

The detector leaves as INT8 weights with float32 scales, twice: as the arrays `logagent.model`
reads, and as an ONNX graph. There they are widened with Cast and Mul, which onnxruntime folds once
when it loads; a DequantizeLinear before a matrix product would be fused into MatMulNBits, which
quantises activations too and moved scores by up to 2e-3 (onnxruntime 1.31). `parity` compares
torch, a float ONNX graph, the int8 ONNX graph and the numpy backend on the same lines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from logagent.bundle import Bundle, Manifest, write_bundle
from logagent.embedding import Embedding
from logagent.model import NumpyBackend, OnnxBackend, encode_arrays
from logagent.normalise import NORMALISER_VERSION
from onnx import TensorProto, helper, numpy_helper

from logagent_build.features import featurise
from logagent_build.network import Detector
from logagent_build.quantise import quantise_columns
from logagent_build.train import Language, Model

__all__ = ["Exported", "onnx_graph", "parity", "write"]

Arrays = dict[str, npt.NDArray[Any]]

_OPSET = 17  # what onnxruntime >= 1.15 reads; newer opsets gain nothing here
_IR_VERSION = 9
_EPSILON = 1e-6  # probabilities are kept this far from 0 and 1 before the logit, as in the agent


class Exported:
    """The parts of a bundle."""

    def __init__(self, model: Model, language: Language, calibration: tuple[float, float]) -> None:
        """Quantise a model; `calibration` is Platt's slope and offset."""
        table, scale = quantise_columns(model.table.numpy())
        self.arrays: Arrays = {"embedding.scale": scale}
        self.arrays |= _quantised(model.detector)
        self.arrays["calibration"] = np.array(calibration, np.float32)
        self.parts = {
            "tokenizer": language.tokenizer.to_str().encode(),
            "table": table.tobytes(),
            "weights": encode_arrays(self.arrays),
            "onnx": onnx_graph(self.arrays),
        }
        self.embedding = language.embedding(model.config).to_dict()

    def manifest(
        self, name: str, thresholds: dict[str, float], domains: list[str], record: dict[str, Any]
    ) -> Manifest:
        """Return the manifest that goes with the parts."""
        return Manifest(name, NORMALISER_VERSION, self.embedding, thresholds, domains, record)


def write(path: Path, manifest: Manifest, exported: Exported) -> None:
    """Write a bundle and load it again with the agent's loader, so that a bad one fails here."""
    write_bundle(path, manifest, exported.parts)
    Embedding.from_bundle(Bundle.load(path))


def _quantised(detector: Detector) -> Arrays:
    arrays: Arrays = {}
    for name, layer in detector.layers().items():
        weight = layer.weight.detach().numpy().T  # (in, out)
        arrays[f"{name}.weight"], arrays[f"{name}.scale"] = quantise_columns(weight)
        arrays[f"{name}.bias"] = layer.bias.detach().numpy().astype(np.float32)
    return arrays


def onnx_graph(arrays: Arrays, float_detector: Detector | None = None) -> bytes:
    """Return an ONNX graph of the detector: int8 weights, or float ones for comparison."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: npt.NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def dense(name: str, source: str) -> str:
        bias = constant(f"{name}.bias", arrays[f"{name}.bias"])
        if float_detector is not None:
            layer = float_detector.layers()[name]
            weight = constant(f"{name}.weight", layer.weight.detach().numpy().T)
        else:
            quantised = constant(f"{name}.weight", arrays[f"{name}.weight"])
            scale = constant(f"{name}.scale", arrays[f"{name}.scale"])
            widened = node("Cast", (quantised,), f"{name}.cast", to=TensorProto.FLOAT)
            weight = node("Mul", (widened, scale), f"{name}.float")
        return node("Gemm", (source, weight, bias), f"{name}.out")

    hidden = "embeddings"
    index = 0
    while f"encoder.{index}.weight" in arrays:
        hidden = node("Relu", (dense(f"encoder.{index}", hidden),), f"encoder.{index}.relu")
        index += 1
    logits = hidden
    index = 0
    while f"discriminator.{index}.weight" in arrays:
        if index:
            logits = node("Relu", (logits,), f"discriminator.{index}.relu")
        logits = dense(f"discriminator.{index}", logits)
        index += 1
    domains = node("Softmax", (logits,), "domains", axis=1)
    heads = dense("heads", hidden)
    axes = constant("axes", np.array([1], np.int64))
    least = constant("least", np.array(_EPSILON, np.float32))

    def mixture(logits: str, name: str) -> str:
        votes = node("Sigmoid", (logits,), f"{name}.votes")
        weighted = node("Mul", (domains, votes), f"{name}.weighted")
        return node(
            "Max",
            (node("ReduceSum", (weighted, axes), f"{name}.sum", keepdims=0), least),
            f"{name}.probability",
        )

    # Eq. 11 for t = 1 and t = 0: one minus the first would lose its digits near 1.
    normal = mixture(node("Neg", (heads,), "heads.negative"), "normal")
    odds = node("Div", (mixture(heads, "anomalous"), normal), "odds")
    slope, offset = arrays["calibration"]
    scaled = node("Mul", (node("Log", (odds,), "logit"), constant("slope", slope)), "scaled")
    shifted = node("Add", (scaled, constant("offset", offset)), "shifted")
    node("Sigmoid", (shifted,), "scores")

    width = arrays["encoder.0.weight"].shape[0]
    groups = arrays["heads.bias"].shape[0]
    graph = helper.make_graph(
        nodes,
        "logagent-detector",
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", width])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("domains", TensorProto.FLOAT, ["batch", groups]),
        ],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="logagent-build"
    )
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def parity(
    model: Model, language: Language, exported: Exported, templates: Sequence[bytes]
) -> dict[str, float]:
    """Return the largest difference of score between the forms of one detector.

    Keys: ``torch = float onnx`` and ``int8 onnx = numpy`` compare the same arithmetic, and should
    be rounding only; ``torch = int8`` is what quantising costs, table included.
    """
    features = featurise(language.tokenizer, templates, language.embedding(model.config))
    slope, offset = (float(value) for value in exported.arrays["calibration"])
    reference = 1 / (1 + np.exp(-(slope * model.logits(features) + offset)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parity.bundle"
        manifest = exported.manifest("parity", {"normal": 0.5}, [], {})
        write_bundle(path, manifest, exported.parts)
        bundle = Bundle.load(path)
        vectors = Embedding.from_bundle(bundle).embed(templates)
        int8_onnx, _ = OnnxBackend(bundle).run(vectors)
        numpy_scores, _ = NumpyBackend(bundle).run(vectors)
        floats = exported.parts | {"onnx": onnx_graph(exported.arrays, model.detector)}
        write_bundle(path, manifest, floats)
        float_onnx, _ = OnnxBackend(Bundle.load(path)).run(model.embed(features).numpy())
    return {
        "lines": float(len(templates)),
        "torch = float onnx": _largest(reference, float_onnx),
        "int8 onnx = numpy": _largest(int8_onnx, numpy_scores),
        "torch = int8": _largest(reference, int8_onnx),
    }


def _largest(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    return float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max())
