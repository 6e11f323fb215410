"""The ensemble as a bundle's part, which `logagent.sequences.ensemble.Ensemble` reads.

Guarantees: what the agent computes from it decides as scikit-learn does. A tree compares float32
numbers with a float64 cut; the cut is rounded down to float32, which changes no comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from logagent.sequences.arrays import packed
from logagent.sequences.ensemble import FORMAT

from logagent_build.sequences.training import Trained
from logagent_build.sequences.voters import Forest, Neighbours, Network, Tree

__all__ = ["part"]

MOST_COUNT = 65_535  # of one event in one sequence, as KNN and patterns hold them


def part(trained: Trained) -> dict[str, Any]:
    """Return what msgpack packs and the agent reads; all voters that were trained are in it.

    Raises:
        ValueError: a voter is of a kind the agent does not know.
    """
    voters: dict[str, Any] = {"forest": _trees(trained.forest)}
    for voter in trained.others:
        match voter:
            case Tree():
                voters["tree"] = _trees(voter)
            case Neighbours():
                voters["knn"] = _neighbours(voter)
            case Network():
                voters["network"] = _network(voter)
            case _:
                raise ValueError(f"{voter.name}: not a voter of the agent")
    return {
        "format": FORMAT,
        "events": len(trained.vocabulary),
        "leader": "forest",
        "voters": voters,
        "normal": _whole(trained.normal),
    }


def _whole(table: npt.NDArray[Any]) -> list[Any]:
    """Pack counts, (n, events), an event to a row."""
    return packed(np.minimum(table, MOST_COUNT).astype("<u2").T)


def _trees(voter: Tree | Forest) -> dict[str, Any]:
    models = getattr(voter.model, "estimators_", None) or [voter.model]
    feature, right, value, roots = [], [], [], []
    at = 0
    for model in models:
        tree = model.tree_
        inner = tree.children_left >= 0
        if (tree.children_left[inner] != np.flatnonzero(inner) + 1).any():
            raise ValueError("scikit-learn no longer puts a left child right after its parent")
        held = tree.value[:, 0, :]
        share = held[:, 1] / held.sum(axis=1)
        feature.append(np.where(inner, tree.feature, -1))
        right.append(np.where(inner, tree.children_right + at, -1))
        value.append(np.where(inner, _rounded_down(tree.threshold), share.astype(np.float32)))
        roots.append(at)
        at += len(inner)
    return {
        "feature": packed(np.concatenate(feature).astype("<i2")),
        "right": packed(np.concatenate(right).astype("<i4")),
        "value": packed(np.concatenate(value).astype("<f4")),
        "roots": packed(np.array(roots, dtype="<i4")),
        "cut": float(voter.cut),
    }


def _rounded_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    near = values.astype(np.float32)
    over = near.astype(np.float64) > values
    near[over] = np.nextafter(near[over], np.float32(-np.inf))
    return near


def _neighbours(voter: Neighbours) -> dict[str, Any]:
    model = voter.model
    return {
        "counts": _whole(model._fit_X),  # type: ignore[attr-defined]  # no other way
        "anomalous": packed(model._y.astype("|u1")),  # type: ignore[attr-defined]
        "neighbours": int(model.n_neighbors),  # type: ignore[attr-defined]
    }


def _network(voter: Network) -> dict[str, Any]:
    first, second = voter.model.coefs_  # type: ignore[attr-defined]
    bias, last = voter.model.intercepts_  # type: ignore[attr-defined]
    return {
        "first.weight": packed(first.astype("<f4")),
        "first.bias": packed(bias.astype("<f4")),
        "second.weight": packed(second[:, 0].astype("<f4")),
        "second.bias": float(last[0]),
    }
