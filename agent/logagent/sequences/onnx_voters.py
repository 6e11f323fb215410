"""Voters of the ensemble on onnxruntime: the optional part ``sequences.onnx`` of a bundle.

The graph has the voters that look at counts; one that looks at more stays on numpy. Which voter
leads, where each cuts and what carried a verdict is computed as ever, from the graph's scores.

Guarantees: inputs, outputs and scores are those of the ensemble, or `BundleError`; trees and
neighbours score bit by bit as on numpy, a network to 1e-5. Leaves to others: checksums
(`logagent.bundle`), and how onnxruntime is set up (`logagent.model`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from logagent.bundle import Bundle
from logagent.errors import BackendError, BundleError
from logagent.model import onnx_session
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.voters import Counts, Seen, Voter

__all__ = ["ONNX_PART", "TOLERANCE", "OnnxVoter", "on_onnxruntime", "with_backend"]

ONNX_PART: Final = "sequences.onnx"
TOLERANCE: Final = 1e-5
"""Largest difference of a voter's score from numpy's: the network's float32 sums are added in
another order; trees and neighbours differ by nothing."""
_PROBES: Final = 4  # rows of counts that a graph is tried with when it is loaded


class OnnxVoter:
    """One voter of a graph."""

    def __init__(self, session: Any, name: str, voter: Voter) -> None:
        """Take a session that has an output of this name; `voter` is the same on numpy."""
        self.cut = voter.cut
        self.parameters = voter.parameters
        self._run = session.run
        self._names = [name]

    def score(self, seen: Seen) -> float:
        """Return a score in [0, 1]; 1 is anomalous."""
        return float(self.scores(seen.counts[None])[0])

    def scores(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Score rows of counts: int64 (n, events) to float64 (n,)."""
        (held,) = self._run(self._names, {"counts": counts.astype(np.float32)})
        return np.asarray(held, np.float64)


def with_backend(ensemble: Ensemble, bundle: Bundle, backend: str) -> Ensemble:
    """Return an ensemble on the backend asked for.

    Only ``onnxruntime`` moves it there, and only if the bundle has the graph: numpy is as fast
    (docs/sequences-agent.md), and where the line's model runs is another question.

    Raises:
        BackendError: onnxruntime cannot be imported.
        BundleError: it refuses the graph, or the graph is not of this ensemble.
    """
    if backend != "onnxruntime" or ONNX_PART not in bundle.sizes():
        return ensemble
    where = f"bundle {bundle.path}: part {ONNX_PART!r}"
    return on_onnxruntime(ensemble, bytes(bundle.part(ONNX_PART)), where)


def on_onnxruntime(ensemble: Ensemble, graph: bytes, where: str) -> Ensemble:
    """Return an ensemble whose voters are those of a graph, as far as it has them.

    Args:
        ensemble: on numpy.
        graph: the ONNX file.
        where: what errors call it.

    Raises:
        BackendError: onnxruntime cannot be imported.
        BundleError: it refuses the graph, or the graph is not of this ensemble.
    """
    try:
        session = onnx_session(graph, where)
    except ImportError as error:
        raise BackendError(
            f"backend onnxruntime: cannot be imported ({error}); install it, or use --backend numpy"
        ) from None
    except BackendError as error:  # here the graph is the bundle's trouble, not the machine's
        raise BundleError(f"{where}: {error}") from None
    inputs = [(each.name, each.type, each.shape[1:]) for each in session.get_inputs()]
    if inputs != [("counts", "tensor(float)", [ensemble.events])]:
        raise BundleError(f"{where}: takes {inputs!r:.200}, not counts of {ensemble.events} events")
    outputs = {each.name: (each.type, len(each.shape)) for each in session.get_outputs()}
    voters: dict[str, Voter] = {}
    for name, voter in ensemble.voters.items():
        if name not in outputs:
            continue
        if outputs[name] not in (("tensor(double)", 1), ("tensor(float)", 1)):
            raise BundleError(f"{where}: output {name!r} is no row of scores")
        voters[name] = OnnxVoter(session, name, voter)
    if not voters:
        raise BundleError(f"{where}: has no voter of the ensemble")
    _probe(ensemble, voters, where)
    return ensemble.with_voters(voters)


def _probe(ensemble: Ensemble, voters: dict[str, Voter], where: str) -> None:
    """Try a few rows, so that a graph of another ensemble is found before any log is."""
    rows = np.random.default_rng(0).integers(0, 4, (_PROBES, ensemble.events), dtype=np.int64)
    rows[0] = 0
    for name, voter in voters.items():
        try:
            found = voter.scores(rows)
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise BundleError(f"{where}: cannot be run: {error}") from None
        wanted = ensemble.voters[name].scores(rows)
        if found.shape != wanted.shape or not (np.abs(found - wanted) <= TOLERANCE).all():
            raise BundleError(
                f"{where}: voter {name!r} scores otherwise than in part 'sequences'; build the "
                "bundle again"
            )
