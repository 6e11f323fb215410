"""What people say of sequences: the cache's update and delete (FlexLog §3.2), as a file.

Corrections are labelled sequences (`sequence_files`). Guarantees: they win over every model, and
what they are about is asked of none; they go by the sequence, so they hold for other outputs,
models and prompts, and outlive a new parse. A line taken out is forgotten: the model's vote counts
again. What was paid for stays with the replies (`annotate.recorded`), which are the rest of the
cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from logagent.errors import ConfigError

from logagent_build.sequences.llm.sequence_files import read_sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.votes import Vote

__all__ = ["corrected", "read_corrections"]


def read_corrections(path: Path | None) -> dict[bytes, bool]:
    """Return labels by the keys of their sequences; none without a file.

    Raises:
        ConfigError: the file holds no sequences, one without a label, or one with both labels.
    """
    if path is None:
        return {}
    found = read_sequences(path)
    if not found.known.all():
        at = int(np.flatnonzero(~found.known)[0]) + 1
        raise ConfigError(f"{path}: sequence {at} has no label, so it corrects nothing")
    labels: dict[bytes, bool] = {}
    for key, label in zip(keys(found.data), found.data.anomalous.tolist(), strict=True):
        if labels.setdefault(key, label) != label:
            raise ConfigError(f"{path}: a sequence has both labels: {key.hex()}")
    return labels


def corrected(
    order: Sequence[bytes], corrections: Mapping[bytes, bool], asked: Iterable[Vote]
) -> list[Vote]:
    """Return the votes on sequences, in their order; those without any are left out.

    Args:
        order: keys of the sequences, equal ones as often as they come.
        corrections: labels by key.
        asked: votes on others, in any order.
    """
    votes = {vote.sequence: vote for vote in asked}
    votes |= {
        key: Vote(key, label, votes=1, votes_anomalous=int(label), how="reviewed", asked=0)
        for key, label in corrections.items()
    }
    return [votes[key] for key in order if key in votes]
