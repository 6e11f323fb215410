"""The detector: embeddings to scores, on two backends with equal outputs.

MaidLog §III-C: an encoder g, a domain discriminator d and one head f_j per source system. The
score of an embedding e is Eq. 11, ``sum_j P(d(g(e)) = j) · P(f_j(g(e)) = anomalous)``, put through
a monotone calibration. It lies in [0, 1]; 1 is anomalous.

* `OnnxBackend` runs the bundle's ONNX graph on onnxruntime (nothing else imports it);
* `NumpyBackend` runs the same weights on numpy, where onnxruntime has no wheel (32-bit ARM, musl).

Guarantees: both give the same score to 1e-4; the score of a line does not
depend on the lines beside it, up to the same. Weights are INT8 with one scale per output, and are
widened to float32 once, at load: about 1.6 MB for 0.4 M parameters.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgpack
import numpy as np
import numpy.typing as npt

from logagent.bundle import Bundle
from logagent.errors import BackendError, BundleError

__all__ = [
    "BACKENDS",
    "Backend",
    "NumpyBackend",
    "OnnxBackend",
    "decode_arrays",
    "dense",
    "encode_arrays",
    "load_backend",
    "onnx_session",
]

BACKENDS = ("auto", "onnxruntime", "numpy")

Floats = npt.NDArray[np.float32]


class Backend(Protocol):
    """What the rest of the agent knows of the detector."""

    name: str

    def run(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """Score embeddings.

        Args:
            embeddings: float32 (n, dim).

        Returns:
            Scores, float32 (n,), in [0, 1], 1 is anomalous; and the discriminator's domain
            weights, float32 (n, n_d), each row sums to 1.
        """
        ...


def load_backend(bundle: Bundle, choice: str = "auto") -> Backend:
    """Return the backend asked for; ``auto`` takes onnxruntime where it can be imported.

    Raises:
        BackendError: onnxruntime was asked for and cannot be imported or refuses the model.
        BundleError: the weights are not those of a detector.
    """
    if choice == "numpy":
        return NumpyBackend(bundle)
    try:
        return OnnxBackend(bundle)
    except ImportError as error:
        if choice == "onnxruntime":
            raise BackendError(
                f"backend onnxruntime: cannot be imported ({error}); "
                "install it, or use --backend numpy"
            ) from None
    return NumpyBackend(bundle)


def onnx_session(graph: bytes, where: str) -> Any:
    """Return a session of onnxruntime for a graph: one thread, no arena.

    Args:
        graph: the ONNX file.
        where: what errors call it.

    Raises:
        ImportError: there is no onnxruntime.
        BackendError: it refuses the graph.
    """
    import onnxruntime  # here, not above: it costs 20 MiB and does not exist everywhere

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # the arena keeps the largest batch's memory for ever
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only: warnings about the device list are noise
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise BackendError(f"backend onnxruntime: refuses {where}: {error}") from None


class OnnxBackend:
    """The bundle's ONNX graph on onnxruntime, one thread."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle) -> None:
        self._session = onnx_session(bytes(bundle.part("onnx")), str(bundle.path))

    def run(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """See `Backend.run`."""
        scores, domains = self._session.run(
            ["scores", "domains"], {"embeddings": np.ascontiguousarray(embeddings, np.float32)}
        )
        return scores, domains


class NumpyBackend:
    """The bundle's weights on numpy."""

    name = "numpy"

    def __init__(self, bundle: Bundle) -> None:
        arrays = decode_arrays(bundle.part("weights"))
        try:
            self._encoder = _layers(arrays, "encoder")
            self._discriminator = _layers(arrays, "discriminator")
            self._heads = dense(arrays, "heads")
            slope, offset = arrays["calibration"]
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(f"bundle {bundle.path}: unusable weights: {error}") from None
        self._slope, self._offset = np.float32(slope), np.float32(offset)

    def run(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """See `Backend.run`."""
        hidden = embeddings  # (n, dim)
        for weight, bias in self._encoder:
            hidden = np.maximum(hidden @ weight + bias, np.float32(0))  # (n, h)
        logits = hidden
        for index, (weight, bias) in enumerate(self._discriminator):
            if index:
                logits = np.maximum(logits, np.float32(0))
            logits = logits @ weight + bias  # (n, n_d) at the end
        domains = logits - _log_sum(logits)[:, None]  # log P(domain), (n, n_d)
        weight, bias = self._heads
        heads = hidden @ weight + bias  # (n, n_d)
        # Eq. 11 for t = 1 and t = 0, in logarithms: near 0 and 1 a sum of probabilities would
        # lose its digits, and with them the order of the strongest anomalies.
        logit = _log_sum(domains + _log_sigmoid(heads)) - _log_sum(domains + _log_sigmoid(-heads))
        return _sigmoid(self._slope * logit + self._offset), np.exp(domains)


def _log_sum(x: Floats) -> Floats:
    """Return ``log Σ exp x`` over the rows, float32 (n,)."""
    largest = x.max(axis=1)
    total: Floats = largest + np.log(np.exp(x - largest[:, None]).sum(axis=1))
    return total


def _log_sigmoid(x: Floats) -> Floats:
    # exp of a non-positive number only: no overflow for any x
    value: Floats = np.minimum(x, np.float32(0)) - np.log1p(np.exp(-np.abs(x)))
    return value


def _sigmoid(x: Floats) -> Floats:
    # exp of a non-positive number only: no overflow for any x
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, np.float32(1) / (1 + small), small / (1 + small)).astype(np.float32)


def dense(arrays: dict[str, npt.NDArray[Any]], name: str) -> tuple[Floats, Floats]:
    """Return weight, float32 (in, out), and bias, float32 (out,), of a layer.

    Raises:
        KeyError: there is no such layer.
        ValueError: its parts do not fit together.
    """
    weight, scale = arrays[f"{name}.weight"], arrays[f"{name}.scale"]
    bias = arrays[f"{name}.bias"]
    if weight.dtype != np.int8 or weight.ndim != 2 or scale.shape != (weight.shape[1],):
        raise ValueError(f"{name}: weight {weight.dtype} {weight.shape}, scale {scale.shape}")
    return weight.astype(np.float32) * scale.astype(np.float32), bias.astype(np.float32)


def _layers(arrays: dict[str, npt.NDArray[Any]], name: str) -> list[tuple[Floats, Floats]]:
    layers: list[tuple[Floats, Floats]] = []
    while f"{name}.{len(layers)}.weight" in arrays:
        layers.append(dense(arrays, f"{name}.{len(layers)}"))
    if not layers:
        raise ValueError(f"no layer {name}.0")
    return layers


def encode_arrays(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as one msgpack map: name → [dtype, shape, C-order bytes]."""
    packed: bytes = msgpack.packb(
        {
            name: [array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes()]
            for name, array in sorted(arrays.items())
        }
    )
    return packed


def decode_arrays(data: memoryview | bytes) -> dict[str, npt.NDArray[Any]]:
    """Inverse of `encode_arrays`; arrays are read-only.

    Raises:
        BundleError: the bytes are no such map.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        for name, (dtype, shape, raw) in msgpack.unpackb(data, max_map_len=1024).items():
            if dtype not in ("|i1", "<f4", "<i4") or any(size < 0 for size in shape):
                raise ValueError(f"{name}: dtype {dtype!r}, shape {shape!r}")
            arrays[name] = np.frombuffer(raw, dtype).reshape(shape)
    except Exception as error:  # msgpack raises several unrelated types on hostile bytes
        raise BundleError(f"unusable weights: {error}") from None
    return arrays
