"""`logagent-build finetune-data`: labelled sequences to a file that models are fine-tuned on.

Guarantees: the file is checked as it will be when it is used; its record says what it holds, what
was left out, and what one pass costs. The prompts are those `logagent-build vote` makes with
``--examples`` the same file and ``--shots 0``, so that a model is asked as it was trained: which
events are rare is counted in all sequences of the file, labelled, voted on, or neither.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from logagent import files
from logagent.errors import ConfigError

from logagent_build.annotate import prompt_files
from logagent_build.annotate.outputs import writable
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm import finetune
from logagent_build.sequences.llm.prompt import SequencePrompts
from logagent_build.sequences.llm.retrieval import GIVEN, Rarity, Retrieval, given_meanings
from logagent_build.sequences.llm.sequence_files import SequenceFile, read_sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.shown import Showing
from logagent_build.sequences.llm.votes import read_origin, read_votes

__all__ = ["Request", "export"]

_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    sequences: Path
    out: Path
    prompt: str = "flexlog"
    votes: Path | None = None
    """Recorded votes, for sequences without a label."""
    meanings: Sequence[str] = ("system-calls",)
    """``system-calls``, ``none``, or paths of tables."""
    most_meanings: int = 20
    showing: Showing = field(default_factory=Showing)
    most: int | None = None
    """Examples, drawn."""
    seed: int = 0
    epochs: int = 3
    """Passes over the file, for the estimate of what training costs."""
    price: float | None = None
    """[US dollars] of a million tokens trained on."""


def export(request: Request) -> dict[str, Any]:
    """Write the file; return the record, which is written beside it.

    Raises:
        ConfigError: there is too little to train on, or a file cannot be used.
        OSError: a file cannot be written.
    """
    record_path = request.out.with_name(request.out.name + ".json")
    tables = [Path(each) for each in request.meanings if each not in GIVEN]
    for path in (request.out, record_path):
        writable(path, (request.sequences, request.votes, Path(request.prompt), *tables))
    file = prompt_files.load(request.prompt, "sequence")
    found = read_sequences(request.sequences)
    data = _labelled(found, request.votes)
    rarity = Rarity(found.data)
    meanings = given_meanings(request.meanings)
    retrieval = Retrieval(meanings, rarity, request.most_meanings) if meanings else None
    make = SequencePrompts(file, request.showing, request.showing, retrieval, rarity)
    counts = finetune.write(
        request.out, data, make, request.most, request.seed, least=finetune.FEWEST
    )
    examples = finetune.checked(request.out)
    tokens = examples.tokens * request.epochs
    record = {
        "prompt": {"name": file.name, "version": file.version, "sha256": file.digest},
        "showing": dataclasses.asdict(request.showing),
        "meanings": list(request.meanings),
        "votes": None if request.votes is None else read_origin(request.votes),
        "counts": dict(counts),
        "examples": dataclasses.asdict(examples),
        "training": {
            "epochs": request.epochs,
            "tokens": tokens,
            "dollars": None if request.price is None else tokens / _MILLION * request.price,
        },
    }
    files.replace(record_path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _labelled(found: SequenceFile, votes: Path | None) -> Sequences:
    """Return the sequences with a label, true or voted."""
    if votes is None:
        return found.labelled()
    recorded = read_votes(votes)
    anomalous, known = found.data.anomalous.copy(), found.known.copy()
    for at, key in enumerate(keys(found.data)):
        vote = recorded.get(key)
        if not known[at] and vote is not None and vote.votes:
            anomalous[at], known[at] = bool(vote.anomalous), True
    if not known.any():
        raise ConfigError(f"{votes}: no vote on any of these sequences")
    return dataclasses.replace(found.data, anomalous=anomalous).only(np.flatnonzero(known))
