"""Sessions without any label: what few sessions are like is taken for anomalous.

A session's kind is the set of its events, as the vocabulary numbers them. A program does a few
things over and over, so a kind that few sessions are of is something that went wrong, or that is
seldom done; operators tell the two apart with `logagent feedback`. What is rare in the logs of the
training is learnt like labels, so that the agent knows it, and what is like it, in any log.

Guarantees: a label of people wins. Refused where sessions are too different from each other for
this to mean anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from logagent_build.sequences.lines import Sessions

__all__ = ["MOST_RARE", "labels_by_rarity"]

MOST_RARE = 0.2
"""Share of all sessions that may be rare: beyond, being rare is the rule."""


def labels_by_rarity(
    sessions: Sessions, share: float, labels: Mapping[bytes, bool]
) -> dict[bytes, bool]:
    """Label every session: anomalous if it is of a kind that few are of.

    Args:
        sessions: of the logs.
        share: of all sessions, in (0, 1), below which a kind is rare; one that two sessions are not
            of is rare, however few there are.
        labels: of people, by session.

    Raises:
        ValueError: more than `MOST_RARE` of the sessions are of rare kinds.
    """
    kinds = [frozenset(events.tolist()) for events in sessions.events]
    held = Counter(kinds)
    least = max(2.0, share * len(kinds))
    rare = [held[kind] < least for kind in kinds]
    if sum(rare) > MOST_RARE * len(rare):
        raise ValueError(
            f"{sum(rare):,} of {len(rare):,} sessions are of kinds that fewer than {share:.1%} of "
            "them are of: they are too different from each other to tell anomalous ones by that; "
            "give --labels or --votes, more logs, or a lower --rare"
        )
    return dict(zip(sessions.keys, rare, strict=True)) | dict(labels)
