"""Sessions with the votes of a language model as labels: what a model is trained on without people.

Guarantees: a label that people gave wins over a vote; what the model refused or gave no clear reply
to has no label; a vote counts for all sessions that are event by event alike. What every twentieth
session is like is normal, whatever was voted, and is counted: people label it if it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.lines import Sessions, numbered
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.votes import Vote

__all__ = ["COMMON", "LEAST_COMMON", "Voted", "told", "with_votes"]

COMMON = 0.05
"""Share of all sessions that have the same set of events, from which on a vote of "anomalous" does
not count: models err on whole kinds of sequences, and no failure is that common for long."""
LEAST_COMMON = 5
"""Sessions that must be so at least: of a few sessions, each is a twentieth."""


@dataclass(frozen=True, slots=True)
class Voted:
    """Sessions to train on."""

    labelled: Sequences
    """With a label or a vote."""
    rest: Sequences
    """Without; they tell where a model's score is cut, as nearly all of them are normal."""
    by_session: dict[bytes, bool]
    """The label of each session that has one."""
    counts: dict[str, int]
    """For the record."""


def with_votes(
    sessions: Sessions, votes: Mapping[bytes, Vote], labels: Mapping[bytes, bool]
) -> Voted:
    """Give sessions the labels of people, and votes where there is none.

    Args:
        sessions: of the logs.
        votes: by the key of a sequence (`sequence_keys`), of events by name.
        labels: by session.

    Raises:
        ValueError: no session has either.
    """
    kept: list[int] = []
    said: list[bool] = []
    rest: list[int] = []
    by_people = unclear = common = 0
    alike = [frozenset(events.tolist()) for events in sessions.events]
    share = Counter(alike)
    bar = max(COMMON * len(alike), LEAST_COMMON)
    used: set[bytes] = set()
    for at, key in enumerate(keys(sessions.seen)):
        vote = votes.get(key)
        if vote is not None:
            used.add(key)
        label = labels.get(sessions.keys[at])
        if label is not None:
            by_people += 1
        elif vote is not None and vote.anomalous is not None and vote.votes:
            label = vote.anomalous and share[alike[at]] < bar
            common += vote.anomalous and not label
        if label is None:
            unclear += vote is not None
            rest.append(at)
        else:
            kept.append(at)
            said.append(label)
    if not kept and unclear:
        raise ValueError(
            f"votes are of {unclear:,} sessions, but none of these has a clear reply: what is "
            "refused or unclear is no label"
        )
    if not kept:
        raise ValueError(
            "no session has a vote: are these the logs, and is this the expression, that "
            "`logagent-build sessions` was given?"
        )
    return Voted(
        numbered(sessions, kept, np.array(said, bool)),
        numbered(sessions, rest, np.zeros(len(rest), bool)),
        dict(zip((sessions.keys[at] for at in kept), said, strict=True)),
        {
            "labelled_by_people": by_people,
            "labelled_by_votes": len(kept) - by_people,
            "voted_anomalous_but_common": common,
            "votes_without_clear_reply": unclear,
            "votes_without_session": len(votes.keys() - used),
            "labels_without_session": len(labels.keys() - set(sessions.keys)),
            "sequences_without_label": len(rest),
        },
    )


def told(origin: Mapping[str, Any] | None, votes: int, without_session: int) -> str:
    """Say whose votes these are, and what makes them doubtful.

    Args:
        origin: what `read_origin` found.
        votes: in the file.
        without_session: of these.
    """
    said = f"{votes:,} votes"
    if origin is None:
        said += "; no record beside them tells whose they are"
    else:
        said += f" of {origin['model']}"
        if origin["simulation"]:
            said += ": a simulation, no model was asked"
    if 2 * without_session > votes:
        said += (
            f"; {without_session:,} are of no session of these logs: were `sessions` and this "
            "command given the same logs and options?"
        )
    return said
