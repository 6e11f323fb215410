"""Changes that make stable sequences unstable, without changing what they are (§4.2.2, Fig. 6).

Sequence level: a few events are removed, duplicated or shuffled, but never one on which the label
may hang: those that a decision tree on the training set uses are left as they are (Xu et al. 2010;
the paper adds an examination by hand, we leave out every event of some importance instead).

Template level: a word of a template is removed, added or replaced, so that its lines are of a
template that was never seen; `matched` maps such templates back to the nearest known one.

Guarantees: labels, order and number of sequences stay; a seed repeats the changes; a sequence is
never emptied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from logagent.sequences import features
from sklearn.tree import DecisionTreeClassifier

from logagent_build.sequences.data import Events, Sequences

__all__ = ["changed", "important", "matched", "reworded"]

IMPORTANT = 0.001  # share of a tree's gain from which a label may hang on an event
LONGEST = 3  # [events] of a subsequence that is removed or duplicated
SHUFFLED = 5  # [events] of a subsequence that is shuffled
ALIKE = 0.5  # share of words two templates have in common to be one (Jaccard)
WORDS = ("now", "then", "the", "local", "request", "node", "done", "with", "status", "so")


def important(train: Sequences) -> npt.NDArray[np.bool_]:
    """Tell on which events a label may hang: bool (vocabulary,)."""
    table = features.counts_of(train.events, len(train.vocabulary))
    tree = DecisionTreeClassifier(random_state=0).fit(table, train.anomalous)
    held: npt.NDArray[np.bool_] = tree.feature_importances_ >= IMPORTANT
    return held


def changed(
    data: Sequences, share: float, fixed: npt.NDArray[np.bool_], seed: int
) -> tuple[Sequences, int]:
    """Change a share of the sequences; return them, and how many were changed.

    A sequence that was drawn and has no event that may be changed stays as it is.
    """
    random = np.random.default_rng([seed, 10])
    events = list(data.events)
    done = 0
    for at in random.permutation(len(data))[: round(share * len(data))]:
        before = events[at]
        events[at] = _change(before, ~fixed[before], random)
        done += not np.array_equal(before, events[at])
    return dataclasses.replace(data, events=events), done


def _change(events: Events, free: npt.NDArray[np.bool_], random: np.random.Generator) -> Events:
    for way in random.permutation(3):  # the next way where one is not possible
        after = (_removed, _duplicated, _shuffled)[way](events, free, random)
        if len(after) and not np.array_equal(after, events):
            return after
    return events


def _removed(events: Events, free: npt.NDArray[np.bool_], random: np.random.Generator) -> Events:
    kept = np.ones(len(events), dtype=np.bool_)
    kept[_run(free, random)] = False
    return events[kept]


def _duplicated(events: Events, free: npt.NDArray[np.bool_], random: np.random.Generator) -> Events:
    run = _run(free, random)
    if not len(run):
        return events
    return np.insert(events, run[-1] + 1, events[run])


def _shuffled(events: Events, free: npt.NDArray[np.bool_], random: np.random.Generator) -> Events:
    start = int(random.integers(0, max(1, len(events) - SHUFFLED + 1)))
    moved = start + np.flatnonzero(free[start : start + SHUFFLED])
    after = events.copy()
    after[moved] = random.permutation(events[moved])
    return after


def _run(free: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return places of up to `LONGEST` neighbouring events that may be changed."""
    places = np.flatnonzero(free)
    if not len(places):
        return places
    start = int(random.choice(places))
    run = [start]
    for at in range(start + 1, min(start + int(random.integers(1, LONGEST + 1)), len(free))):
        if not free[at]:
            break
        run.append(at)
    return np.array(run, dtype=np.int64)


def reworded(data: Sequences, share: float, seed: int) -> Sequences:
    """Change a word of a template, in a share of the sequences; the vocabulary grows.

    In each sequence drawn, one of its templates is reworded wherever it occurs.
    """
    random = np.random.default_rng([seed, 11])
    vocabulary = list(data.vocabulary)
    known = {text: number for number, text in enumerate(vocabulary)}
    events = list(data.events)
    for at in random.permutation(len(data))[: round(share * len(data))]:
        old = int(random.choice(np.unique(events[at])))
        text = _reworded(data.vocabulary[old], random)
        number = known.setdefault(text, len(vocabulary))
        if number == len(vocabulary):
            vocabulary.append(text)
        events[at] = np.where(events[at] == old, number, events[at]).astype(np.int32)
    return dataclasses.replace(data, events=events, vocabulary=tuple(vocabulary))


def _reworded(template: str, random: np.random.Generator) -> str:
    words = template.split() or [""]
    at = int(random.integers(0, len(words)))
    word = str(random.choice(WORDS))
    match int(random.integers(0, 3)):
        case 0 if len(words) > 1:
            del words[at]
        case 1:
            words[at] = word
        case _:
            words.insert(at, word)
    return " ".join(words)


def matched(data: Sequences, known: Sequence[str], unknown: int = 0) -> Sequences:
    """Map templates that are beyond the known ones to the nearest of those, by their words.

    Args:
        data: its vocabulary begins with the known templates.
        known: templates of the training set.
        unknown: event that stands for templates that are like none.
    """
    bags = [_words(text) for text in known]
    place = np.arange(len(data.vocabulary), dtype=np.int32)
    for number in range(len(known), len(data.vocabulary)):
        here = _words(data.vocabulary[number])
        alike = [_jaccard(here, bag) for bag in bags]
        best = int(np.argmax(alike))
        place[number] = best if alike[best] >= ALIKE else unknown
    events = [place[each] for each in data.events]
    return dataclasses.replace(data, events=events, vocabulary=tuple(known))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.replace("<*>", " ").replace(":", " ").split())


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))
