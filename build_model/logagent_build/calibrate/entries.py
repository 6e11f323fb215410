"""What is labelled: the distinct templates of several systems, with what may be told of each.

One entry is one template of one system. The first line of it that came stands for it; a few
others with different texts (more of one with many lines), and the lines around the first, are
kept for prompts. So memory depends on templates, not on lines. Leaves reading logs
to whoever fills it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.embeddings import Encode, embed, with_words
from logagent_build.alpha.pool import Pool

__all__ = ["AROUND", "VARIANTS", "Entries"]

AROUND = 3  # lines kept before, and after: six neighbours in time (MaidLog §IV-C, "refine")
VARIANTS = 5
"""Lines with different texts kept of a template; of one with more than 25 lines √lines: where one
label stands for many lines, many of them may be asked about."""
_MOST_VARIANTS = 64  # of any: so memory depends on templates


@dataclass(frozen=True, slots=True)
class Entries:
    """Templates of several systems."""

    templates: list[bytes]
    domain: npt.NDArray[np.int64]
    """System of each entry, an index into `names`: int64 (n,), not decreasing."""
    names: list[str]
    """Of the systems."""
    variants: list[tuple[bytes, ...]]
    """Lines of each template with different texts, at least one; the first stands for it."""
    before: list[tuple[bytes, ...]]
    """Up to `AROUND` lines before the first variant in its log, oldest first."""
    after: list[tuple[bytes, ...]]
    """Up to `AROUND` lines after it."""
    count: npt.NDArray[np.int64]
    """Lines of each entry: int64 (n,), at least 1."""
    vectors: npt.NDArray[np.float32]
    """Sentence embeddings, float32 (n, d), of unit length."""

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.templates)

    @property
    def lines(self) -> list[bytes]:
        """The line that stands for each entry."""
        return [variants[0] for variants in self.variants]

    @classmethod
    def of(cls, systems: Mapping[str, Sequence[bytes]], encode: Encode, seed: int = 0) -> Entries:
        """Group the lines of systems that fit into memory; each in the order of its log.

        Raises:
            ValueError: there is no system, or one has no lines.
        """
        if not systems:
            raise ValueError("no systems to label")
        pools = [Pool.of(lines) for lines in systems.values()]
        templates = [template for pool in pools for template in pool.templates]
        firsts = [(pool, int(at)) for pool in pools for at in pool.first]
        return cls(
            templates,
            np.repeat(np.arange(len(pools)), [len(pool.templates) for pool in pools]),
            list(systems),
            [
                tuple(
                    dict.fromkeys(
                        [pool.lines[pool.first[entry]]]
                        + [pool.lines[at] for at in pool.members(entry, kept)]
                    )
                )[:kept]
                for pool in pools
                for entry, kept in enumerate(map(_kept, pool.count.tolist()))
            ],
            [tuple(pool.lines[max(0, at - AROUND) : at]) for pool, at in firsts],
            [tuple(pool.lines[at + 1 : at + 1 + AROUND]) for pool, at in firsts],
            np.concatenate([pool.count for pool in pools]),
            with_words(embed(templates, encode), templates, seed),
        )


def _kept(lines: int) -> int:
    """Return how many texts are kept of a template of so many lines."""
    return min(max(VARIANTS, math.isqrt(lines)), _MOST_VARIANTS)
