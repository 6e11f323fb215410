"""The templates of all systems as one set of entries to label, of bounded size.

Guarantees: systems that have few templates keep all of them; what is too many is taken from the
largest, as `table` does it: half by lines, half a sample. Sentence vectors are kept in pieces, so
that a run that was killed loses one piece of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.embeddings import Encode, embed, with_words
from logagent_build.alpha.pool import Pool
from logagent_build.calibrate.entries import Entries
from logagent_build.folder.table import Kept, chosen

__all__ = ["MOST_ENTRIES", "entries_of", "pool_of", "shares", "with_vectors"]

MOST_ENTRIES = 30_000
"""Of all systems. Each has a sentence vector, 100 to 200 of which are made in a second, and is
trained on in every fold; with a thousand answers, more of them would only be guessed at."""
_PIECE = 1_000  # templates embedded between two writes: some ten seconds


def shares(counts: Sequence[int], most: int) -> list[int]:
    """Return how many templates each system may keep, `most` in all; the smallest go first."""
    given = [0] * len(counts)
    left = most
    for place, at in enumerate(sorted(range(len(counts)), key=lambda at: (counts[at], at))):
        given[at] = min(counts[at], left // (len(counts) - place))
        left -= given[at]
    return given


def entries_of(systems: Sequence[tuple[str, list[Kept]]], *, most: int = MOST_ENTRIES) -> Entries:
    """Return the entries of systems that have templates, without vectors.

    Args:
        systems: name and templates of each.
        most: entries in all.

    Raises:
        ValueError: there are no templates.
    """
    there = [(name, kept) for name, kept in systems if kept]
    if not there:
        raise ValueError("there are no lines to label")
    given = shares([len(kept) for _, kept in there], most)
    picked = [
        [kept[at] for at in chosen(kept, places)]
        for (_, kept), places in zip(there, given, strict=True)
    ]
    every = [each for kept in picked for each in kept]
    return Entries(
        [each.template for each in every],
        np.repeat(np.arange(len(there)), [len(kept) for kept in picked]),
        [name for name, _ in there],
        [tuple(each.variants) for each in every],
        [tuple(each.before) for each in every],
        [tuple(each.after) for each in every],
        np.array([each.count for each in every], np.int64),
        np.zeros((len(every), 0), np.float32),
    )


def with_vectors(
    entries: Entries,
    encode: Encode,
    *,
    cache: Path | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _done: None,
) -> Entries:
    """Return entries with their vectors, for strategies that go by likeness.

    Args:
        entries: without.
        encode: the sentence encoder.
        cache: folder that keeps sentence vectors.
        seed: of the reduction of words.
        progress: told the share of the vectors that are there.
    """
    templates = entries.templates
    vectors = with_words(_vectors(templates, encode, cache, progress), templates, seed)
    return dataclasses.replace(entries, vectors=vectors)


def _vectors(
    templates: Sequence[bytes],
    encode: Encode,
    cache: Path | None,
    progress: Callable[[float], None],
) -> npt.NDArray[np.float32]:
    distinct = sorted(set(templates))
    parts = []
    for start in range(0, len(distinct), _PIECE):
        parts.append(embed(distinct[start : start + _PIECE], encode, cache=cache))
        progress(min(1.0, (start + _PIECE) / len(distinct)))
    vectors = np.concatenate(parts)
    at = {template: number for number, template in enumerate(distinct)}
    of_all: npt.NDArray[np.float32] = vectors[[at[template] for template in templates]]
    return of_all


def pool_of(entries: Entries) -> Pool:
    """Return entries as the pool of lines that ALPHA works on: the variants, the true counts."""
    lines = [line for variants in entries.variants for line in variants]
    sizes = [len(variants) for variants in entries.variants]
    return Pool(
        lines,
        np.repeat(np.arange(len(entries)), sizes),
        entries.templates,
        entries.count,
        np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64),
    )
