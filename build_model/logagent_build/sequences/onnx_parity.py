"""Whether the ONNX graph of an ensemble judges as the ensemble does, before it goes in a bundle.

Looked at are all sequences that were trained on and random counts far from them, on onnxruntime as
the agent runs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from logagent.errors import BundleError, LogagentError
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.features import Events
from logagent.sequences.onnx_voters import ONNX_PART, TOLERANCE, on_onnxruntime

__all__ = ["ParityError", "check"]

RANDOM = 200
"""Sequences of random events, of 1 to `_LONGEST`."""
_LONGEST = 512
_CONTRASTED = 200  # sequences of which what carried the verdict is compared too: it takes longest


class ParityError(LogagentError):
    """The graph does not judge as the ensemble does."""

    exit_code = 3


def check(
    part: Mapping[str, Any], graph: bytes, trained_on: Sequence[Events], seed: int
) -> dict[str, Any]:
    """Compare a graph with the ensemble it was made from.

    Args:
        part: what `export.part` made.
        graph: what `onnx_graph.graph` made of it.
        trained_on: int32 (length,) each.
        seed: of the random ones.

    Returns:
        How many sequences, and the largest difference of a voter's scores.

    Raises:
        ParityError: a verdict, or what carried it, differs, or a score by more than `TOLERANCE`.
        BackendError: onnxruntime cannot be imported, or refuses the graph.
    """
    ensemble = Ensemble.read(part)
    try:
        other = on_onnxruntime(ensemble, graph, ONNX_PART)
    except BundleError as error:
        raise ParityError(str(error)) from None
    rng = np.random.default_rng([seed, 5])
    lengths = rng.integers(1, _LONGEST, RANDOM)
    random = [rng.integers(0, ensemble.events, length, dtype=np.int32) for length in lengths]
    sequences = [*random, *{events.tobytes(): events for events in trained_on}.values()]
    largest = 0.0
    rows = np.zeros((1, ensemble.events), np.int64)
    for number, events in enumerate(sequences):
        rows[0] = np.bincount(events, minlength=ensemble.events)
        for name, voter in ensemble.voters.items():
            one, two = voter.scores(rows)[0], other.voters[name].scores(rows)[0]
            largest = max(largest, abs(one - two))
            alike = abs(one - two) <= TOLERANCE and (
                (one > voter.cut) == (two > voter.cut) or abs(one - voter.cut) <= TOLERANCE
            )
            if not alike:
                raise ParityError(
                    f"{ONNX_PART}: {name} scores {two:.6f} where the ensemble scores {one:.6f} "
                    f"(more than {TOLERANCE} apart, or another vote), on a sequence of "
                    f"{len(events)} events; the bundle is not written"
                )
        if number < _CONTRASTED and ensemble.judge(events) != other.judge(events):
            raise ParityError(
                f"{ONNX_PART}: judges a sequence of {len(events)} events otherwise than the "
                "ensemble; the bundle is not written"
            )
    return {
        "sequences": len(sequences),
        "largest_difference": float(f"{largest:.3g}"),
        "tolerance": TOLERANCE,
    }
