"""A trained model to the parts of a bundle, and the proof that all its forms agree.

The detector leaves as INT8 weights with float32 scales, twice: as the arrays `logagent.model`
reads, and as an ONNX graph. There they are widened with Cast and Mul, which onnxruntime folds once
when it loads; a DequantizeLinear before a matrix product would be fused into MatMulNBits, which
quantises activations too and moved scores by up to 2e-3 (onnxruntime 1.31). `parity` compares
torch, a float ONNX graph, the int8 ONNX graph and the numpy backend on the same lines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from logagent.bundle import Bundle, Manifest, write_bundle
from logagent.embedding import Embedding
from logagent.kinds import Kinds
from logagent.model import NumpyBackend, OnnxBackend, encode_arrays
from logagent.normalise import NORMALISER_VERSION
from onnx import TensorProto, helper, numpy_helper

from logagent_build.evaluate import auroc
from logagent_build.features import featurise
from logagent_build.kinds import Linear
from logagent_build.network import Detector
from logagent_build.quantise import quantise_columns, quantise_tables
from logagent_build.train import Language, Model

__all__ = ["Exported", "onnx_graph", "parity", "write"]

Arrays = dict[str, npt.NDArray[Any]]

_OPSET = 17  # what onnxruntime >= 1.15 reads; newer opsets gain nothing here
_IR_VERSION = 9


class Exported:
    """The parts of a bundle."""

    def __init__(
        self,
        model: Model,
        language: Language,
        calibration: tuple[float, float],
        explaining: Mapping[str, Linear] | None = None,
    ) -> None:
        """Quantise a model.

        Args:
            model: embedding and detector.
            language: tokenizer.
            calibration: Platt's slope and offset.
            explaining: ``categories`` and ``systems``, see `logagent.kinds`; or none.
        """
        table, scale = quantise_tables(model.tokens.numpy(), model.bigrams.numpy())
        self.arrays: Arrays = {"embedding.scale": scale}
        self.arrays |= _quantised(model.detector)
        self.arrays["calibration"] = np.array(calibration, np.float32)
        for name, linear in (explaining or {}).items():
            self.arrays |= _layer(name, linear.weight, linear.bias)
        self.parts = {
            "tokenizer": language.tokenizer.to_str().encode(),
            "table": table,
            "weights": encode_arrays(self.arrays),
            "onnx": onnx_graph(self.arrays),
        }
        self.embedding = language.embedding(model.config).to_dict()

    def manifest(
        self,
        name: str,
        thresholds: dict[str, float],
        domains: list[str],
        record: dict[str, Any],
        *,
        categories: Sequence[str] = (),
        systems: Sequence[str] = (),
    ) -> Manifest:
        """Return the manifest that goes with the parts."""
        return Manifest(
            name,
            NORMALISER_VERSION,
            self.embedding,
            thresholds,
            domains,
            list(categories),
            list(systems),
            record,
        )


def write(path: Path, manifest: Manifest, exported: Exported) -> None:
    """Write a bundle and load it again with the agent's loaders, so that a bad one fails here."""
    write_bundle(path, manifest, exported.parts)
    bundle = Bundle.load(path)
    Embedding.from_bundle(bundle)
    Kinds(bundle)


def _quantised(detector: Detector) -> Arrays:
    arrays: Arrays = {}
    for name, layer in detector.layers().items():
        arrays |= _layer(name, layer.weight.detach().numpy().T, layer.bias.detach().numpy())
    return arrays


def _layer(name: str, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> Arrays:
    """Quantise one layer; `weight` is float32 (in, out)."""
    quantised, scale = quantise_columns(weight)
    return {
        f"{name}.weight": quantised,
        f"{name}.scale": scale,
        f"{name}.bias": bias.astype(np.float32),
    }


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
    weights = node("LogSoftmax", (logits,), "weights", axis=1)
    node("Exp", (weights,), "domains")
    heads = dense("heads", hidden)

    def mixture(negated: str, name: str) -> str:
        """Return ``log Σ P(domain) · sigmoid(x)`` of ``-x``: log sigmoid(x) is -softplus(-x)."""
        votes = node("Neg", (node("Softplus", (negated,), f"{name}.softplus"),), f"{name}.votes")
        weighted = node("Add", (weights, votes), f"{name}.weighted")
        return node("ReduceLogSumExp", (weighted,), f"{name}.log", axes=[1], keepdims=0)

    # Eq. 11 for t = 1 and t = 0, in logarithms as in `logagent.model`.
    normal = mixture(heads, "normal")
    anomalous = mixture(node("Neg", (heads,), "heads.negative"), "anomalous")
    logit = node("Sub", (anomalous, normal), "logit")
    slope, offset = arrays["calibration"]
    scaled = node("Mul", (logit, constant("slope", slope)), "scaled")
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
    model: Model,
    language: Language,
    exported: Exported,
    templates: Sequence[bytes],
    anomalous: npt.NDArray[np.bool_],
) -> dict[str, float]:
    """Return the largest difference of score, and of AUROC, between the forms of one detector.

    Args:
        model: in float.
        language: tokenizer.
        exported: its quantised parts.
        templates: lines to compare on.
        anomalous: their labels, bool (n,), both of which occur.

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
    positive = anomalous.astype(np.float64)

    def area(scores: npt.NDArray[Any]) -> float:
        return auroc(positive, 1 - positive, scores.astype(np.float64))

    return {
        "lines": float(len(templates)),
        "torch = float onnx": _largest(reference, float_onnx),
        "int8 onnx = numpy": _largest(int8_onnx, numpy_scores),
        "torch = int8": _largest(reference, int8_onnx),
        "auroc, torch - int8": area(reference) - area(int8_onnx),
        "auroc, onnx - numpy": area(int8_onnx) - area(numpy_scores),
    }


def _largest(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    return float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max())
