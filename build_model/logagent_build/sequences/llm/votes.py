"""Votes of a language model on sequences, recorded: for an ensemble, and for training others.

A line of the file is a JSON object: ``sequence`` (key, hexadecimal), ``vote`` (true is anomalous,
null refused), ``votes`` and ``anomalous`` (replies that counted, and how many said so), ``how``,
``asked``. Guarantees: a file is written whole or not at all, each sequence once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from logagent import files
from logagent.errors import ConfigError
from logagent.sanitise import printable

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.sequence_keys import KEY_BYTES, keys

__all__ = ["RecordedVoter", "Vote", "read_origin", "read_votes", "record_beside", "write_votes"]


@dataclass(frozen=True, slots=True)
class Vote:
    """What a model makes of a sequence."""

    sequence: bytes
    """Its key (`sequence_keys`)."""
    anomalous: bool | None
    """None if the endpoint refuses to answer for it."""
    votes: int
    """Replies that counted; of a person: 1."""
    votes_anomalous: int
    how: str
    """``agreed``; ``majority``; ``gave up``: no clear reply in any try, so normal; ``refused``;
    ``reviewed``: a person's."""
    asked: int
    """Prompts."""

    @property
    def share(self) -> float:
        """Of the replies, those that said anomalous: a soft label in [0, 1]; 0 without any."""
        return self.votes_anomalous / self.votes if self.votes else 0.0


def write_votes(path: Path, votes: Iterable[Vote]) -> None:
    """Write votes, each sequence once.

    Raises:
        OSError: the file cannot be written.
    """
    rows = {
        vote.sequence: {
            "sequence": vote.sequence.hex(),
            "vote": vote.anomalous,
            "votes": vote.votes,
            "anomalous": vote.votes_anomalous,
            "how": vote.how,
            "asked": vote.asked,
        }
        for vote in votes
    }
    files.replace(path, "".join(json.dumps(row) + "\n" for row in rows.values()).encode())


def read_votes(path: Path) -> dict[bytes, Vote]:
    """Read votes by the keys of their sequences.

    Raises:
        ConfigError: the file cannot be read, or a line is no vote.
    """
    votes: dict[bytes, Vote] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            vote = _vote(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"{path}:{number}: no vote of a model") from None
        votes[vote.sequence] = vote
    return votes


def record_beside(votes: Path) -> Path:
    """Return where the record of a file of votes is."""
    return votes.with_name(f"{votes.name}.json")


def read_origin(votes: Path) -> dict[str, Any] | None:
    """Return whose votes a file holds, from the record beside it; None if there is none.

    Returns:
        ``model`` (name), ``simulation`` (true: no model was asked), ``most`` (how many distinct
        sequences were asked about; None: all) and ``in_rounds``.

    Raises:
        ConfigError: what is beside it is no such record.
    """
    path = record_beside(votes)
    try:
        match json.loads(path.read_text("utf-8")):
            case {
                "model": str(model),
                "simulation": bool(simulation),
                "most": int() | None as most,
                "in_rounds": bool(in_rounds),
            }:
                return {
                    "model": printable(model.encode(errors="replace"), 200),
                    "simulation": simulation,
                    "most": most,
                    "in_rounds": in_rounds,
                }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        pass
    raise ConfigError(f"{path}: no record of votes, which tells whose they are")


def _vote(raw: dict[str, Any]) -> Vote:
    key = bytes.fromhex(raw["sequence"])
    counts = [raw["votes"], raw["anomalous"], raw["asked"]]
    if len(key) != KEY_BYTES or not (raw["vote"] is None or isinstance(raw["vote"], bool)):
        raise ValueError("malformed")
    if not all(isinstance(count, int) and count >= 0 for count in counts) or counts[1] > counts[0]:
        raise ValueError("malformed")
    return Vote(key, raw["vote"], counts[0], counts[1], str(raw["how"]), counts[2])


class RecordedVoter:
    """A voter that repeats recorded votes: what an ensemble takes after the model was paid."""

    def __init__(self, votes: Mapping[bytes, Vote], name: str = "language model") -> None:
        self._votes = votes
        self.name = name

    def fit(self, train: Sequences) -> Self:
        """Learn nothing: what the model was shown stands in the record of the votes."""
        del train
        return self

    def score(self, test: Sequences) -> npt.NDArray[np.float64]:
        """Return the share of the replies that said anomalous: float64 (n,), in [0, 1].

        Raises:
            ConfigError: see `predict`.
        """
        return np.array([vote.share for vote in self._of(test)], dtype=np.float64)

    def predict(self, test: Sequences) -> npt.NDArray[np.bool_]:
        """Return whether each sequence is anomalous: bool (n,); refused ones are normal.

        Raises:
            ConfigError: the model was not asked about some.
        """
        return np.array([bool(vote.anomalous) for vote in self._of(test)], dtype=np.bool_)

    def _of(self, data: Sequences) -> list[Vote]:
        wanted = keys(data)
        lacking = sum(key not in self._votes for key in wanted)
        if lacking:
            raise ConfigError(
                f"{data.name}: there is no recorded vote on {lacking:,} of {len(data):,} sequences"
            )
        return [self._votes[key] for key in wanted]
