"""The ensemble's voters as one ONNX graph: part ``sequences.onnx`` of a bundle.

Input ``counts``: float32 (n, events). Outputs: the score of each voter by its name, float64 (n,),
and ``anomalous``, bool (n,), what the leader says. Trees are ``TreeEnsembleRegressor`` of ONNX's
machine-learning domain with the numbers of the bundle's part, so that all three sides compare
alike: scikit-learn, numpy, ONNX. Each tree is a target of its own, and their mean is taken in
float64, as on numpy: then scores are equal bit by bit. A voter that looks at more than counts is
left out.

Guarantees: trees and neighbours score as the part it is made from, as long as counts stay below
4,096 in a sequence (float32 holds squared distances exactly to 2^24).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["graph"]

OPSET = 17
OPSET_ML = 3

Nodes = list[onnx.NodeProto]
Arrays = dict[str, npt.NDArray[Any]]


def graph(part: Mapping[str, Any]) -> bytes:
    """Return the ONNX file of what `export.part` made.

    Raises:
        ValueError: the voter that leads has no place in a graph on counts.
    """
    events = int(part["events"])
    nodes: Nodes = [
        helper.make_node("ReduceSum", ["counts", "one_axis"], ["length"], keepdims=1),
        helper.make_node("Max", ["length", "one"], ["divisor"]),
        helper.make_node("Div", ["counts", "divisor"], ["shares"]),
        helper.make_node("Concat", ["counts", "shares"], ["both"], axis=1),
    ]
    arrays: Arrays = {
        "one_axis": np.array([1], np.int64),
        "one": np.array([1], np.float32),
        "flat": np.array([-1], np.int64),
    }
    names = []
    for name, voter in part["voters"].items():
        if "roots" in voter:
            nodes += _trees(name, voter, arrays)
        elif "neighbours" in voter:
            nodes += _neighbours(name, voter, arrays)
        elif "first.weight" in voter:
            nodes += _network(name, voter, arrays)
        else:
            continue
        names.append(name)
        nodes += [
            helper.make_node("Cast", [f"{name}.column"], [f"{name}.wide"], to=TensorProto.DOUBLE),
            helper.make_node("Reshape", [f"{name}.wide", "flat"], [name]),
        ]
    leader = part["leader"]
    if leader not in names:
        raise ValueError(f"the leader, {leader!r:.40}, is no voter that looks at counts only")
    arrays["cut"] = np.array([part["voters"][leader]["cut"]], np.float64)
    nodes.append(helper.make_node("Greater", [leader, "cut"], ["anomalous"]))
    made = helper.make_graph(
        nodes,
        "sequences",
        [helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["n", events])],
        [
            *(helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n"]) for name in names),
            helper.make_tensor_value_info("anomalous", TensorProto.BOOL, ["n"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    held: bytes = model.SerializeToString()
    return held


def _array(held: list[Any]) -> npt.NDArray[Any]:
    dtype, shape, raw = held
    return np.frombuffer(raw, dtype).reshape(shape)


def _trees(name: str, voter: Mapping[str, Any], arrays: Arrays) -> Nodes:
    feature, right, value, roots = (
        _array(voter[key]) for key in ("feature", "right", "value", "roots")
    )
    tree = np.searchsorted(roots, np.arange(len(feature)), side="right") - 1
    here = np.arange(len(feature)) - roots[tree]  # numbered from 0 within each tree
    inner = feature >= 0
    leaf = np.flatnonzero(~inner)
    arrays[f"{name}.number"] = np.array(len(roots), np.float64)
    return [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["both"],
            [f"{name}.trees"],
            domain="ai.onnx.ml",
            n_targets=len(roots),
            aggregate_function="SUM",
            post_transform="NONE",
            nodes_treeids=tree.tolist(),
            nodes_nodeids=here.tolist(),
            nodes_featureids=np.maximum(feature, 0).tolist(),
            nodes_modes=["BRANCH_LEQ" if each else "LEAF" for each in inner],
            nodes_values=np.where(inner, value, 0).tolist(),
            nodes_truenodeids=np.where(inner, here + 1, 0).tolist(),
            nodes_falsenodeids=np.where(inner, right - roots[tree], 0).tolist(),
            target_treeids=tree[leaf].tolist(),
            target_nodeids=here[leaf].tolist(),
            target_ids=tree[leaf].tolist(),
            target_weights=value[leaf].tolist(),
        ),
        helper.make_node("Cast", [f"{name}.trees"], [f"{name}.each"], to=TensorProto.DOUBLE),
        # Shares of up to 2^24 sequences: sums of them are exact, in any order.
        helper.make_node("ReduceSum", [f"{name}.each", "one_axis"], [f"{name}.sum"]),
        helper.make_node("Div", [f"{name}.sum", f"{name}.number"], [f"{name}.column"]),
    ]


def _neighbours(name: str, voter: Mapping[str, Any], arrays: Arrays) -> Nodes:
    known = _array(voter["counts"]).astype(np.float32)  # (events, sequences)
    arrays[f"{name}.known"] = -2 * known
    arrays[f"{name}.square"] = (known.astype(np.float64) ** 2).sum(axis=0).astype(np.float32)
    arrays[f"{name}.labels"] = _array(voter["anomalous"]).astype(np.float32)
    arrays[f"{name}.k"] = np.array([voter["neighbours"]], np.int64)
    return [
        helper.make_node("MatMul", ["counts", f"{name}.known"], [f"{name}.cross"]),
        helper.make_node("Add", [f"{name}.cross", f"{name}.square"], [f"{name}.far"]),
        # Of equal ones TopK takes the first, as the agent does.
        helper.make_node(
            "TopK", [f"{name}.far", f"{name}.k"], [f"{name}.least", f"{name}.which"], largest=0
        ),
        helper.make_node("Gather", [f"{name}.labels", f"{name}.which"], [f"{name}.near"]),
        helper.make_node("ReduceMean", [f"{name}.near"], [f"{name}.column"], axes=[1]),
    ]


def _network(name: str, voter: Mapping[str, Any], arrays: Arrays) -> Nodes:
    arrays[f"{name}.first"] = _array(voter["first.weight"])
    arrays[f"{name}.first.bias"] = _array(voter["first.bias"])
    arrays[f"{name}.second"] = _array(voter["second.weight"])[:, None]
    arrays[f"{name}.second.bias"] = np.array([voter["second.bias"]], np.float32)
    return [
        helper.make_node("MatMul", ["counts", f"{name}.first"], [f"{name}.1"]),
        helper.make_node("Add", [f"{name}.1", f"{name}.first.bias"], [f"{name}.2"]),
        helper.make_node("Relu", [f"{name}.2"], [f"{name}.3"]),
        helper.make_node("MatMul", [f"{name}.3", f"{name}.second"], [f"{name}.4"]),
        helper.make_node("Add", [f"{name}.4", f"{name}.second.bias"], [f"{name}.5"]),
        helper.make_node("Sigmoid", [f"{name}.5"], [f"{name}.column"]),
    ]
